"""What the ranker knows of an item: how popular it is, since when, with whom, and who comes back for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.decay import decayed_counts
from interest_lib.history import Bools, Floats, History, Ints
from interest_lib.ranker_features import Column, Columns, Rhythm, values_at
from interest_lib.ranker_interests import kind_of
from interest_lib.ranker_moments import days_before

WINDOWS_DAYS: Final = (7, 14, 28, 56, 90, 180)
MONTH_DAYS: Final = 28
PRIOR_USERS: Final = 50.0  # a group of a few users says little of its taste


def item_features(history: History, cols: Ints) -> Columns:
    """Users of the items in several windows, all and new ones; trends; repeats; ages.

    Parameters
    ----------
    history : History
    cols : ndarray of int, shape (n_pairs,)

    Returns
    -------
    dict of str to ndarray of float32, shape (n_pairs,)

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 2], "item_id": "a",
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-10"])})
    >>> h = history_before(log, pd.Timestamp("2017-01-12"), min_users_per_item=1)
    >>> found = item_features(h, np.array([0]))
    >>> found["facts: users in 7 days"], found["facts: users in 14 days"]
    (array([1.], dtype=float32), array([2.], dtype=float32))
    """
    goal, width = history.is_goal, history.shape[1]
    rhythm = Rhythm(history.rows[goal], history.cols[goal], days_before(history)[goal])
    item = rhythm.keys % rhythm.width

    def per_item(of_pair: Floats | Ints | Bools) -> Floats:
        return np.bincount(item, weights=of_pair, minlength=width).astype(np.float64)

    users = {days: per_item(rhythm.within(0, days) > 0) for days in WINDOWS_DAYS}
    new = {days: per_item(rhythm.oldest < days) for days in (14, 28, 56, 90)}
    told = {f"users in {days} days": values for days, values in users.items()}
    told |= {f"new users in {days} days": values for days, values in new.items()}
    told |= {
        "trend, 28 to 90 days": (users[28] + 1) / (users[90] + 3),
        "trend, 7 to 28 days": (users[7] + 1) / (users[28] + 4),
        "trend of new users": (new[28] + 1) / (new[90] + 3),
    }
    told |= _repeats(rhythm, per_item(np.ones(len(item))), per_item)
    first, last = np.zeros(width), np.full(width, float(np.ceil(rhythm.oldest.max(initial=0.0))))
    np.maximum.at(first, item, rhythm.oldest)
    np.minimum.at(last, item, rhythm.newest)
    told |= {"days since the shop first sold it": first, "days since the shop last sold it": last}
    return {f"facts: {name}": values.astype(np.float32)[cols] for name, values in told.items()}


def _repeats(
    rhythm: Rhythm, n_users: Floats, per_item: Callable[[Floats | Ints | Bools], Floats]
) -> dict[str, Floats]:
    """How often who has the item comes back for it."""
    earlier = rhythm.oldest >= MONTH_DAYS  # could have come back within the last month
    back = earlier & (rhythm.within(0, MONTH_DAYS) > 0)
    twice = rhythm.n > 1
    n_twice = per_item(twice)
    return {
        "users": n_users,
        "share of users who come back": (n_twice + 1) / (n_users + 4),
        "share of earlier users who came back in 28 days": (per_item(back) + 0.5) / (per_item(earlier) + 5),
        "visits of a user": per_item(rhythm.n) / np.maximum(n_users, 1),
        "mean gap in days": per_item(np.where(twice, rhythm.mean_gap, 0.0)) / np.maximum(n_twice, 1),
    }


def group_features(history: History, users: pd.DataFrame, rows: Ints, cols: Ints) -> Columns:
    """How much more than others the users of the same age, income and the like take the items.

    The mean, over the attributes that are known of a user, of the logarithm of how many of the group had the
    item in comparison to all; not a number where none is known.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-01-12"), min_users_per_item=1)
    >>> people = pd.DataFrame({"user_id": [1, 2], "age": ["young", "old"]})
    >>> found = group_features(h, people, np.array([0, 0]), np.array([0, 1]))
    >>> found["transfer: taken more by people alike"].round(3)
    array([ 0.019, -0.02 ], dtype=float32)
    """
    had = decayed_counts(history)
    had.data[:] = 1.0
    overall = np.maximum(np.asarray(had.sum(axis=0)).ravel() / history.shape[0], 1e-9)[cols]
    told: list[Column] = []
    for name in users.columns.drop("user_id"):
        kind = kind_of(users, history.user_ids, str(name), key="user_id")
        group = kind.of_item[rows]
        size = np.bincount(kind.of_item, minlength=kind.n)[group]
        taken = values_at(sp.csr_matrix(kind.indicator().T @ had), group, cols)
        lift = np.log((taken + PRIOR_USERS * overall) / (size + PRIOR_USERS) / overall)
        told.append(np.where(group == kind.n - 1, np.nan, lift).astype(np.float32))
    if not told:
        return {}
    known = np.isfinite(told).sum(axis=0)
    mean = np.nansum(told, axis=0) / np.maximum(known, 1)
    return {"transfer: taken more by people alike": np.where(known > 0, mean, np.nan).astype(np.float32)}
