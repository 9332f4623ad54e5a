"""One table of features per user and interest at a moment, from what was known before it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from interest_lib.curves import weight_left
from interest_lib.history import SECONDS_PER_DAY, Floats, Ints, goal, is_goal
from interest_lib.schema import InputError

FEATURES: Final[dict[str, str]] = {
    "frequency": "purchases: baskets of the user with the interest",
    "share": "share of the user's purchases that are of this interest, 0 to 1",
    "other_events": "events of weaker kinds, such as views",
    "user_purchases": "purchases of the user in all interests",
    "user_interests": "interests in which the user purchased",
    "recency_days": "days since the last purchase",
    "known_days": "days since the first purchase",
    "decayed_14": "purchases that fade with a half-life of 14 days",
    "decayed_45": "purchases that fade with a half-life of 45 days",
    "decayed_180": "purchases that fade with a half-life of 180 days",
    "trend": "log of purchases in the last 28 days against the 28 before, one half added to each",
    "season_share": "share of the purchases that fell in the moment's quarter of the year, 0 to 1",
    "gap_mean_days": "mean days between purchases; missing for fewer than two",
    "gap_variation": "standard deviation of the gaps over their mean; missing for fewer than three purchases",
    "overdue": "recency_days over gap_mean_days, the gap at least a day: 1 = due at this moment",
    "hour_cos": "circular mean of the hour of day (UTC), cosine: 1 = midnight, -1 = noon",
    "hour_sin": "the same, sine: 1 = six in the morning, -1 = six in the evening",
    "weekday_cos": "circular mean of the day of the week, cosine: 1 = Monday",
    "weekday_sin": "the same, sine: positive from Tuesday to Thursday noon",
    "user_recency_days": "days since the user's last purchase of anything",
    "price_level": "mean unit value over the item's median unit value: 1 = the usual price",
    "discount_share": "share of the items bought at less than 95 % of their median unit value, 0 to 1",
}
"""Every column but the demographics: what it means, and its unit. Purchases are the log's goal events."""

DEMOGRAPHIC: Final = "<attribute>=<value>"
"""Form of the names of demographic columns: 1 where the users table says so, 0 elsewhere."""

HALF_LIVES_DAYS: Final = (14, 45, 180)
TREND_DAYS: Final = 28
DISCOUNT: Final = 0.95

_ALWAYS = ("frequency", "share", "user_purchases", "user_interests")
_PRICED = ("price_level", "discount_share")


def feature_table(
    events: pd.DataFrame, at: pd.Timestamp | None, users: pd.DataFrame | None = None, by: str = "category"
) -> pd.DataFrame:
    """Features of every user and interest that met before `at`.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``item_id``, the column `by`, and what the log has of ``timestamp``, ``event``,
        ``basket_id``, ``basket_number``, ``quantity`` and ``value``. Rows from `at` on and rows without an
        interest are ignored.
    at : pandas.Timestamp or None
        The moment; None takes all events, and is the only choice for a log without times.
    users : pandas.DataFrame or None
        ``user_id`` and attributes, which become columns named as in `DEMOGRAPHIC`.
    by : str
        Column that names the interest of an event.

    Returns
    -------
    pandas.DataFrame of float, indexed by (user_id, interest), sorted
        The columns of `FEATURES` that the log supports, see `absent_features`, then the demographics. Where
        there was no purchase, what describes purchases is missing.

    Raises
    ------
    InputError
        When nothing is known, or a moment is given for a log without times.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 1], "item_id": [7, 7, 8], "category": ["tea", "tea", "milk"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-11", "2017-01-12"])})
    >>> table = feature_table(log, pd.Timestamp("2017-01-13"))
    >>> table.loc[(1, "tea"), ["frequency", "recency_days", "gap_mean_days", "overdue"]].tolist()
    [2.0, 2.0, 10.0, 0.2]
    """
    known = _known(events, at, by)
    now = at if at is not None or "timestamp" not in known else known["timestamp"].max()
    pairs = known[["user_id", by]].drop_duplicates().sort_values(["user_id", by])
    index = pd.MultiIndex.from_frame(pairs)
    goals = known[is_goal(known)]
    occasions = _occasions(goals, by)
    row = index.get_indexer(pd.MultiIndex.from_frame(occasions[["user_id", by]])).astype(np.int64)
    columns = _counted(occasions, row, index, by)
    if "event" in known and len(goals) < len(known):
        other = known[~is_goal(known)]
        place = index.get_indexer(pd.MultiIndex.from_frame(other[["user_id", by]]))
        columns["other_events"] = np.bincount(place, minlength=len(index)).astype(np.float64)
    if now is not None:
        columns |= _timed(occasions, row, len(index), now)
        columns["user_recency_days"] = _since_last(occasions, index, now)
    if "value" in known:
        place = index.get_indexer(pd.MultiIndex.from_frame(goals[["user_id", by]])).astype(np.int64)
        columns |= _priced(goals, place, len(index))
    table = pd.DataFrame({name: columns[name] for name in FEATURES if name in columns}, index=index)
    if users is None:
        return table
    told = _demographics(users)
    return table.join(told, on="user_id").fillna(dict.fromkeys(told.columns, 0.0))


def absent_features(events: pd.DataFrame, users: pd.DataFrame | None = None) -> dict[str, str]:
    """Features that a log does not support, and what it would need for them.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1], "item_id": ["a"], "category": ["tea"], "basket_number": [1]})
    >>> absent = absent_features(log)
    >>> absent["recency_days"], absent["<attribute>=<value>"]
    ('needs a column timestamp', 'needs a users table with attributes')
    """
    absent = {}
    for name in FEATURES:
        if name in _PRICED and "value" not in events:
            absent[name] = "needs a column value"
        elif name == "other_events" and ("event" not in events or events["event"].nunique() < 2):
            absent[name] = "needs a column event with more than one kind"
        elif name not in (*_ALWAYS, *_PRICED, "other_events") and "timestamp" not in events:
            absent[name] = "needs a column timestamp"
    if users is None or users.shape[1] < 2:
        absent[DEMOGRAPHIC] = "needs a users table with attributes"
    return absent


def bought_next(table: pd.DataFrame, events: pd.DataFrame, at: pd.Timestamp, horizon_days: int = 28) -> Ints:
    """Whether each user purchases each interest of a feature table in the `horizon_days` from `at`: 1 or 0.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "a"], "category": ["tea", "tea"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-05"])})
    >>> at = pd.Timestamp("2017-01-03")
    >>> bought_next(feature_table(log, at), log, at).tolist()
    [1]
    """
    end = at + pd.Timedelta(days=horizon_days)
    kind = goal(events[events["timestamp"] < at])
    ahead = events[(events["timestamp"] >= at) & (events["timestamp"] < end) & is_goal(events, kind)]
    met = pd.MultiIndex.from_frame(ahead[["user_id", str(table.index.names[1])]].drop_duplicates())
    return table.index.isin(met).astype(np.int64)


def _known(events: pd.DataFrame, at: pd.Timestamp | None, by: str) -> pd.DataFrame:
    if at is not None and "timestamp" not in events:
        raise InputError("The log has no times, so there is no moment to cut it at: give None for at.")
    if by not in events:
        raise InputError(f"The events have no column {by}: join it from the items table.")
    known = events[events[by].notna()]
    known = known if at is None else known[known["timestamp"] < at]
    if known.empty:
        raise InputError(f"No event with a {by} lies before {at}: give a later moment.")
    return known


def _occasions(goals: pd.DataFrame, by: str) -> pd.DataFrame:
    """Purchases: user, interest and basket once, sorted by user, interest and time."""
    unit = next((name for name in ("basket_id", "basket_number", "timestamp") if name in goals), None)
    columns = ["user_id", by, *([unit] if unit else [])]
    when = [name for name in ("timestamp", "basket_number") if name in goals and name not in columns]
    once = goals[columns + when].sort_values(columns[:2] + when + columns[2:], kind="stable")
    return once.drop_duplicates(columns) if unit else once


def _counted(occasions: pd.DataFrame, row: Ints, index: pd.MultiIndex, by: str) -> dict[str, Floats]:
    frequency = np.bincount(row, minlength=len(index)).astype(np.float64)
    user = index.codes[0]
    total = np.bincount(user, weights=frequency)[user]
    breadth = np.bincount(user, weights=(frequency > 0).astype(np.float64))[user]
    share = np.divide(frequency, total, out=np.zeros_like(frequency), where=total > 0)
    return {"frequency": frequency, "share": share, "user_purchases": total, "user_interests": breadth}


def _timed(occasions: pd.DataFrame, row: Ints, n_rows: int, now: pd.Timestamp) -> dict[str, Floats]:
    """What the times of the purchases say; `row` is sorted, and within a row the times are."""
    age = ((now - occasions["timestamp"]).dt.total_seconds() / SECONDS_PER_DAY).to_numpy(np.float64)
    count = np.bincount(row, minlength=n_rows).astype(np.float64)
    first, last = np.full(n_rows, np.nan), np.full(n_rows, np.nan)
    first[row[::-1]], last[row] = age[::-1], age  # of several, the one that is written last stays
    columns = {"recency_days": last, "known_days": first}
    for days in HALF_LIVES_DAYS:
        columns[f"decayed_{days}"] = np.bincount(row, weights=weight_left(age, days), minlength=n_rows)
    recent = np.bincount(row, weights=age < TREND_DAYS, minlength=n_rows)
    before = np.bincount(row, weights=(age >= TREND_DAYS) & (age < 2 * TREND_DAYS), minlength=n_rows)
    columns["trend"] = np.log((recent + 0.5) / (before + 0.5))
    in_season = (occasions["timestamp"].dt.quarter == now.quarter).to_numpy(np.float64)
    columns["season_share"] = _mean(in_season, row, count)
    columns |= _gaps(age, row, first - last, count)
    gap = columns["gap_mean_days"]
    columns["overdue"] = last / np.maximum(gap, 1.0)  # baskets of one visit lie minutes apart
    return columns | _circular(occasions["timestamp"], row, count)


def _gaps(age: Floats, row: Ints, span: Floats, count: Floats) -> dict[str, Floats]:
    mean = np.where(count >= 2, _ratio(span, count - 1), np.nan)
    within = row[1:] == row[:-1]
    gap, place = (age[:-1] - age[1:])[within], row[1:][within]
    squares = np.bincount(place, weights=(gap - mean[place]) ** 2, minlength=len(count))
    variation = _ratio(np.sqrt(_ratio(squares, count - 2)), mean)
    return {"gap_mean_days": mean, "gap_variation": variation}


def _circular(times: pd.Series, row: Ints, count: Floats) -> dict[str, Floats]:
    day = (times.dt.hour + times.dt.minute / 60).to_numpy(np.float64) / 24
    week = times.dt.day_of_week.to_numpy(np.float64) / 7
    columns = {}
    for name, turn in (("hour", day), ("weekday", week)):
        columns[f"{name}_cos"] = _mean(np.cos(2 * np.pi * turn), row, count)
        columns[f"{name}_sin"] = _mean(np.sin(2 * np.pi * turn), row, count)
    return columns


def _since_last(occasions: pd.DataFrame, index: pd.MultiIndex, now: pd.Timestamp) -> Floats:
    last = occasions.groupby("user_id")["timestamp"].max()
    days = (now - last).dt.total_seconds() / SECONDS_PER_DAY
    return days.reindex(index.get_level_values(0)).to_numpy(np.float64)


def price_level(events: pd.DataFrame) -> Floats:
    """Unit value of each event over the median unit value of its item; missing where there is none.

    Examples
    --------
    >>> events = pd.DataFrame({"item_id": 7, "value": [2.0, 4.0, 3.0], "quantity": [1.0, 2.0, 2.0]})
    >>> price_level(events)
    array([1.  , 1.  , 0.75])
    """
    quantity = events["quantity"].to_numpy(np.float64) if "quantity" in events else np.ones(len(events))
    unit = _ratio(events["value"].to_numpy(np.float64), quantity)
    usual = pd.Series(unit).groupby(events["item_id"].to_numpy()).transform("median").to_numpy(np.float64)
    return _ratio(unit, usual)


def _priced(goals: pd.DataFrame, row: Ints, n_rows: int) -> dict[str, Floats]:
    """Prices against the item's own, so that a dear item is no dear purchase."""
    level = price_level(goals)
    told = np.isfinite(level)
    count = np.bincount(row[told], minlength=n_rows).astype(np.float64)
    cheap = (level[told] < DISCOUNT).astype(np.float64)
    return {
        "price_level": _mean(level[told], row[told], count),
        "discount_share": _mean(cheap, row[told], count),
    }


def _mean(values: Floats, row: Ints, count: Floats) -> Floats:
    return _ratio(np.bincount(row, weights=values, minlength=len(count)), count)


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Floats:
    """Missing where there is nothing to divide by."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def _demographics(users: pd.DataFrame) -> pd.DataFrame:
    attributes = users.set_index("user_id").astype(object)
    return pd.get_dummies(attributes, prefix_sep="=", dtype=np.float64)
