"""What a moment knows of every pair of user and product: its record, user, product and category."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from interest_lib.history import Floats, Ints
from interest_lib.windows import Window

CLOCK = frozenset(
    {
        *("since_last", "since_first", "overdue", "since_visit", "skipped"),
        *("category_recent", "since_category", "user_recent", "user_trend"),
    }
)
"""Features that move while the user does nothing: a rate may read them, a weight may not."""


def pair_records(
    window: Window, n_users: int, category_of_item: Ints, horizon: float
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Features of every pair that a window knows, from the events before its moment alone.

    Parameters
    ----------
    window : Window
        From `windows.window_before`.
    n_users : int
    category_of_item : ndarray of int, shape (n_items,)
    horizon : float
        Length of the recent period, in the unit of the window's ages.

    Returns
    -------
    features : ndarray of float32, shape (n_pairs, n_features)
        Counts, ages and gaps as ``log(1 + x)``, shares as logarithms; ages are those of the window.
    names : list of str
        Of the columns; those in `CLOCK` change while the user does nothing.

    Notes
    -----
    The season is left out: in a log of a year no month is seen twice, so nothing can be learned from it. What
    season there is shows in ``item_trend`` and ``category_trend``: this horizon against the one before.
    """
    width = len(category_of_item)
    users, items = np.divmod(window.cells, width)
    categories = category_of_item[items]
    own = _own_record(window)
    user = _user_record(window, n_users, horizon)
    item = _group_record(window.cols, items, own["n"], window.ages, width, horizon)
    n_categories = int(category_of_item.max()) + 1
    event_categories = category_of_item[window.cols]
    category = _group_record(event_categories, categories, own["n"], window.ages, n_categories, horizon)
    shared = _in_category(window, event_categories, n_categories, own["n"], horizon)
    visit = user.pop("visit")[users]
    features = {
        **{name: column for name, column in own.items() if name != "n"},
        **{f"user_{name}": column[users] for name, column in user.items()},
        **{f"item_{name}": column[items] for name, column in item.items()},
        **{f"category_{name}": category[name][categories] for name in ("trend", "repeats")},
        **shared,
        "since_visit": np.log1p(visit),
        "skipped": np.log1p(np.maximum(own["last"] - visit, 0.0)),
    }
    del features["last"]
    table = np.empty((len(users), len(features)), dtype=np.float32)
    for place, column in enumerate(features.values()):
        table[:, place] = column
    return table, list(features)


def _own_record(window: Window) -> dict[str, Floats]:
    """How often, since when, and how regularly the user had the product."""
    n = np.bincount(window.cell_of_event).astype(np.float64)
    in_order = np.argsort(window.cell_of_event, kind="stable")  # events are in the order of time
    ages = window.ages[in_order]
    end = np.cumsum(n).astype(np.int64) - 1
    last, first = ages[end], ages[end - n.astype(np.int64) + 1]
    before = ages[np.maximum(end - 1, 0)]
    gap = (first - last) / np.maximum(n - 1, 1)
    again = n > 1
    return {
        "n": n,
        "last": last,
        "count": np.log1p(n),
        "single": (~again).astype(np.float64),
        "mean_gap": np.log1p(gap),
        "last_gap": np.log1p(np.where(again, before - last, 0.0)),
        "since_last": np.log1p(last),
        "since_first": np.log1p(first),
        "overdue": np.where(again, np.log1p(last) - np.log1p(gap), 0.0),
    }


def _user_record(window: Window, n_users: int, horizon: float) -> dict[str, Floats]:
    """How much, how often and how long the user has been buying; ``visit`` is the age of the last event."""
    ages, rows = window.ages, window.rows
    n = np.bincount(rows, minlength=n_users)
    visit, first = np.full(n_users, ages.max()), np.zeros(n_users)
    np.minimum.at(visit, rows, ages)
    np.maximum.at(first, rows, ages)
    # events are in the order of time, and those of one basket share their age
    by_user = np.argsort(rows, kind="stable")
    new = (np.diff(rows[by_user], prepend=-1) != 0) | (np.diff(ages[by_user], prepend=np.nan) != 0)
    baskets = np.bincount(rows[by_user][new], minlength=n_users)
    recent, earlier = _two_periods(rows, ages, n_users, horizon)
    span = np.maximum(first - visit, 0.0)  # zero too for users of whom nothing is known yet
    return {
        "events": np.log1p(n),
        "baskets": np.log1p(baskets),
        "span": np.log1p(span),
        "gap": np.log1p(span / np.maximum(baskets - 1, 1)),
        "recent": np.log1p(recent),
        "trend": np.log1p(recent) - np.log1p(earlier),
        "visit": visit,
    }


def _two_periods(codes: Ints, ages: Floats, n: int, horizon: float) -> tuple[Floats, Floats]:
    """Events of each code in the last horizon, and in the one before it."""
    recent = np.bincount(codes[ages <= horizon], minlength=n).astype(np.float64)
    both = np.bincount(codes[ages <= 2 * horizon], minlength=n)
    return recent, both - recent


def _group_record(
    of_event: Ints, of_pair: Ints, n_of_pair: Floats, ages: Floats, n: int, horizon: float
) -> dict[str, Floats]:
    """Of every product or category: users, recent sales, their trend, and how often a pair comes again."""
    pairs = np.bincount(of_pair, minlength=n)
    again = np.bincount(of_pair[n_of_pair > 1], minlength=n)
    recent, earlier = _two_periods(of_event, ages, n, horizon)
    overall = np.mean(n_of_pair > 1)
    return {
        "users": np.log1p(pairs),
        "recent": np.log1p(recent),
        "trend": np.log1p(recent) - np.log1p(earlier),
        "repeats": np.log((again + 5 * overall + 1e-3) / (pairs + 5)),
        "intensity": np.log((np.bincount(of_event, minlength=n) + 1) / (pairs + 1)),
    }


def _in_category(
    window: Window, event_categories: Ints, n_categories: int, n: Floats, horizon: float
) -> dict[str, Floats]:
    """What the user does in the pair's whole category."""
    keys = window.rows * n_categories + event_categories
    place, found = pd.factorize(keys)
    count = np.bincount(place).astype(np.float64)
    recent = np.bincount(place, weights=np.exp2(-window.ages / horizon))
    last = np.full(len(found), np.inf)
    np.minimum.at(last, place, window.ages)
    of_pair = np.empty(len(n), dtype=np.int64)
    of_pair[window.cell_of_event] = place  # the same for all events of a pair
    return {
        "category_count": np.log1p(count[of_pair]),
        "category_share": n / count[of_pair],
        "category_recent": np.log1p(recent[of_pair]),
        "since_category": np.log1p(last[of_pair]),
    }
