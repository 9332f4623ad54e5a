"""A user's visits in order, as a sequence model reads them: what was met, how, for how much, and when."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.features import DISCOUNT, price_level
from interest_lib.history import Floats, Ints
from interest_lib.moves import Move
from interest_lib.schema import InputError, nearest

VISIT_GAP_DAYS: Final = 1 / 24  # a pause of more than an hour ends a visit

VISIT_FEATURES: Final[dict[str, str]] = {
    "gap": "log of one plus the days since the beginning of the visit before; 0 for the first",
    "age": "log of one plus the days from the beginning of the visit to the moment",
    "value": "log of one plus the money of the visit; 0 where the log knows none",
    "quantity": "log of one plus the units of the visit; 0 where the log knows none",
    "discount": "share of the events with a price below 95 % of the item's median, 0 to 1",
    "saved": "log of one plus the money that offers and coupons took off; 0 where the log knows none",
    "coupons": "share of the events with a coupon, 0 to 1; 0 where the log knows none",
    "campaigns": "log of one plus the campaigns that run for the user, the most at an event of the visit",
    "hour_cos": "hour of day, cosine: 1 = midnight; 0 where the log has no times of day",
    "hour_sin": "the same, sine",
    "weekday_cos": "day of the week, cosine: 1 = Monday",
    "weekday_sin": "the same, sine",
}
"""Columns of `Visits.features`; after them, for each kind of event, the log of one plus their number."""

INPUTS: Final[dict[str, tuple[str, ...]]] = {
    "kinds": (),
    "amounts": ("value", "quantity", "discount"),
    "times": ("gap", "age"),
    "hours": ("hour_cos", "hour_sin", "weekday_cos", "weekday_sin"),
    "coupons": ("saved", "coupons", "campaigns"),
}
"""Groups of inputs that can be left out, with their columns.

Without ``kinds`` all events are of one kind; without ``amounts`` it is not told either how many they are. The
interests and their order stay.
"""


@dataclass(frozen=True)
class Visits:
    """The last visits of every user, the oldest first.

    Attributes
    ----------
    start, length : ndarray of int, shape (n_users,)
        Place of a user's first visit in `features`, and how many there are; a user may have none.
    features : ndarray of float, shape (n_visits, len(VISIT_FEATURES) + n_kinds)
    cell_start : ndarray of int, shape (n_visits + 1,)
        Where the cells of each visit begin.
    interest, kind : ndarray of int, shape (n_cells,)
        Interest and kind of event of each cell.
    amount : ndarray of float, shape (n_cells,)
        Log of one plus the events of the cell.
    """

    start: Ints
    length: Ints
    features: Floats
    cell_start: Ints
    interest: Ints
    kind: Ints
    amount: Floats


def kinds_of(moves: Sequence[Move]) -> list[str]:
    """Kinds of events that occur before the moments; one without a name where the log does not tell.

    Examples
    --------
    >>> kinds_of([])
    ['']
    """
    named = [move.events["event"].astype(str).unique() for move in moves if "event" in move.events]
    return sorted({str(kind) for part in named for kind in part}) or [""]


def visits_of(move: Move, n_last: int, kinds: Sequence[str], without: Collection[str] = ()) -> Visits:
    """The last `n_last` visits of every user of a move.

    A visit is what a user does without a pause of more than an hour: baskets, and views, carts and reviews
    besides where the log has them.

    Parameters
    ----------
    move : Move
        Only `events` is read, which lie before the moment.
    n_last : int
        Visits that are kept of each user.
    kinds : sequence of str
        Kinds of events that are told apart, see `kinds_of`; others are left out.
    without : collection of str
        Groups of `INPUTS` that say nothing: their columns are zero.

    Returns
    -------
    Visits

    Raises
    ------
    InputError
        An unknown group of inputs.

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": [1, 1, 2], "category": ["tea", "milk", "tea"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-01", "2017-01-05"]),
    ...                     "weight": 1.0})
    >>> move = move_at(log, pd.Timestamp("2017-01-06"), 0, pd.Index([1]))
    >>> visits = visits_of(move, n_last=10, kinds=[""])
    >>> visits.length.tolist(), visits.interest.tolist(), np.expm1(visits.features[:, 0]).round(1).tolist()
    ([2], [0, 1, 1], [0.0, 4.0])
    """
    silent = _columns_of(without)
    table = _last_visits(_in_visits(move.events, kinds), n_last)
    table = table.assign(kind=0) if "kinds" in without else table
    n_visits = 0 if table.empty else int(table["visit"].iloc[-1]) + 1
    user = np.zeros(n_visits, dtype=np.int64)
    user[table["visit"].to_numpy()] = table["user"].to_numpy()
    length = np.bincount(user, minlength=len(move.user_ids))
    cells = table.groupby(["visit", "interest", "kind"], sort=True).size().reset_index(name="n")
    features, amount = _features(table, n_visits, len(kinds)), np.log1p(cells["n"].to_numpy(np.float64))
    features[:, silent] = 0.0
    if "amounts" in without:  # that there was such an event is told by its kind
        for counted in (amount, features[:, len(VISIT_FEATURES) :]):
            np.minimum(counted, np.log(2.0), out=counted)
    return Visits(
        start=np.concatenate([[0], np.cumsum(length)[:-1]]).astype(np.int64),
        length=length.astype(np.int64),
        features=features,
        cell_start=np.searchsorted(cells["visit"].to_numpy(), np.arange(n_visits + 1)).astype(np.int64),
        interest=cells["interest"].to_numpy(np.int64),
        kind=cells["kind"].to_numpy(np.int64),
        amount=amount,
    )


def _columns_of(groups: Collection[str]) -> list[int]:
    """Places of the columns of some groups of `INPUTS`."""
    for group in groups:
        if group not in INPUTS:
            raise InputError(f"without: there are no inputs {group}; {nearest(group, INPUTS)}")
    names = {name for group in groups for name in INPUTS[group]}
    return [place for place, name in enumerate(VISIT_FEATURES) if name in names]


def _in_visits(events: pd.DataFrame, kinds: Sequence[str]) -> pd.DataFrame:
    """Events by user and time, with the number of their visit; what is not known of them is filled in."""
    kind = events["event"].astype(str) if "event" in events else pd.Series("", index=events.index)
    table = events[["user", "interest", "age_days"]].assign(kind=pd.Index(kinds).get_indexer(pd.Index(kind)))
    for name in ("value", "quantity", "discount_value", "coupon_value", "n_campaigns"):
        table[name] = events[name].fillna(0.0) if name in events else 0.0
    table["saved"] = table["discount_value"] + table["coupon_value"]
    table["coupon"] = (table["coupon_value"] > 0).astype(np.float64)
    table["cheap"] = _cheap(events)
    table["hour"], table["weekday"] = np.nan, np.nan
    if "timestamp" in events:
        times = events["timestamp"].dt
        table["hour"] = (times.hour + times.minute / 60).to_numpy(np.float64)
        table["weekday"] = times.day_of_week.to_numpy(np.float64)
    # by interest and kind last, so that the order of rows within a second changes nothing
    keys = ["user", "age_days", "interest", "kind"]
    table = table[table["kind"] >= 0].sort_values(keys, ascending=[True, False, True, True], kind="stable")
    new_user = table["user"].diff().fillna(1.0) != 0
    return table.assign(visit=(new_user | (-table["age_days"].diff() > VISIT_GAP_DAYS)).cumsum() - 1)


def _cheap(events: pd.DataFrame) -> Floats:
    if not {"value", "quantity", "item_id"} <= set(events.columns):
        return np.zeros(len(events))
    return (price_level(events) < DISCOUNT).astype(np.float64)


def _last_visits(table: pd.DataFrame, n_last: int) -> pd.DataFrame:
    """The newest visits of each user, numbered from 0 on."""
    newest = table.groupby("user")["visit"].transform("max")
    kept = table[newest - table["visit"] < n_last]
    return kept.assign(visit=(kept["visit"].diff().fillna(1.0) != 0).cumsum() - 1)


def _features(table: pd.DataFrame, n_visits: int, n_kinds: int) -> Floats:
    visit = table["visit"].to_numpy()
    size = np.maximum(np.bincount(visit, minlength=n_visits), 1)
    first = np.searchsorted(visit, np.arange(n_visits))
    user, age = table["user"].to_numpy()[first], table["age_days"].to_numpy()[first]
    gap = np.zeros(n_visits)
    gap[1:] = np.where(user[1:] == user[:-1], age[:-1] - age[1:], 0.0)
    columns = [np.log1p(gap), np.log1p(age)]
    totals = {
        name: np.bincount(visit, weights=table[name].to_numpy(), minlength=n_visits)
        for name in ("value", "quantity", "cheap", "saved", "coupon")
    }
    columns += [np.log1p(np.maximum(totals[name], 0.0)) for name in ("value", "quantity")]
    columns += [totals["cheap"] / size, np.log1p(np.maximum(totals["saved"], 0.0)), totals["coupon"] / size]
    columns.append(np.log1p(np.maximum(table.groupby("visit")["n_campaigns"].max().to_numpy(), 0.0)))
    for name, turn in (("hour", 24.0), ("weekday", 7.0)):
        angle = 2 * np.pi * table[name].to_numpy()[first] / turn
        columns += [np.nan_to_num(np.cos(angle)), np.nan_to_num(np.sin(angle))]
    kind = table["kind"].to_numpy()
    counts = np.bincount(visit * n_kinds + kind, minlength=n_visits * n_kinds).reshape(n_visits, n_kinds)
    return np.column_stack([*columns, np.log1p(counts)])
