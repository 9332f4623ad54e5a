"""What is known before a moment, coded for models: who, what, when and how telling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from interest_lib.schema import GOALS, InputError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class History:
    """Events before one moment, coded as rows and columns of a users x items matrix.

    Attributes
    ----------
    label : str
        Name of the moment: the day of the origin, or which basket comes next.
    user_ids : pandas.Index
        Users with at least one event, sorted; position = row code.
    item_ids : pandas.Index
        The vocabulary in *tie order*: popularity, highest first, then item id.
        Position = column code, so among equal scores the lower column wins.
    popularity : ndarray of float, shape (n_items,)
        Distinct users with a goal event on each item, in the recent window if there are times.
    rows, cols : ndarray of int, shape (n_events,)
        Codes of the events' users and items, in the order of time.
    weights : ndarray of float, shape (n_events,)
        What each event says about interest, in purchases: the column ``weight``, 1 where the log has none.
    is_goal : ndarray of bool, shape (n_events,)
        Whether the event is of the kind that is predicted, see `goal`.
    age_days : ndarray of float, shape (n_events,), or None
        Fractional days from each event to the origin; None for a log without times.
    age_baskets : ndarray of float, shape (n_events,), or None
        Baskets that the user made after the event's; None for a log whose baskets are not numbered.
    last_seen : str
        The newest event that a model fitted on this history can have seen: its time, or its basket.
    """

    label: str
    user_ids: pd.Index
    item_ids: pd.Index
    popularity: Floats
    rows: Ints
    cols: Ints
    weights: Floats
    is_goal: Bools
    age_days: Floats | None
    age_baskets: Floats | None
    last_seen: str

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users, number of items."""
        return len(self.user_ids), len(self.item_ids)


def codes(index: pd.Index, values: pd.Series) -> Ints:
    """Position of each value in `index`, -1 where it is not there.

    Examples
    --------
    >>> codes(pd.Index(["a", "b"]), pd.Series(["b", "c"]))
    array([ 1, -1])
    """
    return index.get_indexer(pd.Index(values)).astype(np.int64)


def goal(events: pd.DataFrame) -> str:
    """The kind of event that is predicted: the strongest sign of interest that the log has.

    Returns
    -------
    str
        The first of `schema.GOALS` that occurs; empty where the log does not tell events apart.

    Examples
    --------
    >>> goal(pd.DataFrame({"event": ["view", "cart", "view"]})), goal(pd.DataFrame({"user_id": [1]}))
    ('cart', '')
    """
    return strongest(events["event"].unique()) if "event" in events else ""


def strongest(kinds: Iterable[str]) -> str:
    """The kind of event that commits a user most: the first of `schema.GOALS`; empty if none is there.

    Examples
    --------
    >>> strongest(["return", "view", "cart"])
    'cart'
    """
    there = set(kinds)
    return next((kind for kind in GOALS if kind in there), "")


def is_goal(events: pd.DataFrame, kind: str | None = None) -> Bools:
    """Which events are of the kind that is predicted; all of them where the log does not tell them apart.

    Examples
    --------
    >>> is_goal(pd.DataFrame({"event": ["view", "purchase"]})).tolist()
    [False, True]
    """
    kind = goal(events) if kind is None else kind
    return (events["event"] == kind).to_numpy(bool) if kind else np.ones(len(events), dtype=bool)


def history_before(
    events: pd.DataFrame,
    origin: pd.Timestamp,
    min_users_per_item: int = 5,
    popularity_days: int = 28,
) -> History:
    """Code what is known before `origin`.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``item_id``, ``timestamp`` and, if the log has them, ``event``, ``weight`` and
        ``basket_number``, in the order of time; rows from the origin on are ignored.
    origin : pandas.Timestamp
        The moment of prediction.
    min_users_per_item : int
        An item enters the vocabulary when this many distinct users had it before the origin.
    popularity_days : int
        Length of the window before the origin in which recent popularity is counted.

    Returns
    -------
    History

    Raises
    ------
    InputError
        When no item has enough users.

    Examples
    --------
    >>> log = pd.DataFrame({
    ...     "user_id": [1, 2, 1, 2], "item_id": ["a", "a", "b", "c"],
    ...     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-02", "2017-01-03", "2017-02-01"])})
    >>> h = history_before(log, pd.Timestamp("2017-01-05"), min_users_per_item=1)
    >>> list(h.item_ids), h.age_days.tolist()
    (['a', 'b'], [4.0, 3.0, 2.0])
    """
    known = events[events["timestamp"] < origin]
    recent = known["timestamp"] >= origin - pd.Timedelta(days=popularity_days)
    label = f"{origin:%Y-%m-%d}"
    return _coded(
        known, recent, label, min_users_per_item, origin, last_seen=str(known["timestamp"].max().floor("s"))
    )


def history_but_baskets(events: pd.DataFrame, n_hidden: int = 1, min_users_per_item: int = 5) -> History:
    """Code what is known before every user's last basket, or before one of the baskets ahead of it.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``item_id``, ``basket_number``, sorted by basket number; no times are needed.
    n_hidden : int
        How many last baskets of every user stay unknown; 0 for none.
    min_users_per_item : int
        An item enters the vocabulary when this many distinct users had it in a known basket.

    Returns
    -------
    History
        Popularity counts all known baskets, as nothing tells which are recent.

    Raises
    ------
    InputError
        When no item has enough users.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 1], "item_id": ["a", "a", "b"], "basket_number": [1, 2, 3]})
    >>> h = history_but_baskets(log, min_users_per_item=1)
    >>> h.label, h.age_baskets.tolist(), h.age_days is None
    ('last_basket', [1.0, 0.0], True)
    """
    known = events[baskets_after(events) >= n_hidden]
    label = ["end_of_log", "last_basket"][n_hidden] if n_hidden < 2 else f"last_basket_but_{n_hidden - 1}"
    everything = pd.Series(True, index=known.index)
    last_seen = f"the basket before the {label.replace('_', ' ')}"
    return _coded(known, everything, label, min_users_per_item, origin=None, last_seen=last_seen)


def _coded(
    known: pd.DataFrame,
    recent: pd.Series,
    label: str,
    min_users_per_item: int,
    origin: pd.Timestamp | None,
    last_seen: str,
) -> History:
    """Known events as codes; popularity counts the goal events among the `recent`."""
    n_users = known.groupby("item_id")["user_id"].nunique()
    vocabulary = n_users.index[n_users >= min_users_per_item]
    if vocabulary.empty:
        raise InputError(
            f"No item has {min_users_per_item} or more users before {label.replace('_', ' ')}: "
            "give a larger log or a smaller min_users_per_item."
        )
    wanted = known[recent & is_goal(known)]
    popularity = wanted.groupby("item_id")["user_id"].nunique().reindex(vocabulary, fill_value=0)
    # groupby has sorted by item id, so a stable sort by popularity alone leaves ids as the last tie-breaker
    popularity = popularity.sort_values(ascending=False, kind="stable")
    kept = known[known["item_id"].isin(vocabulary)]
    user_ids = pd.Index(np.sort(known["user_id"].unique()), name="user_id")
    days = None if origin is None else (origin - kept["timestamp"]).dt.total_seconds() / SECONDS_PER_DAY
    return History(
        label=label,
        user_ids=user_ids,
        item_ids=pd.Index(popularity.index, name="item_id"),
        popularity=np.asarray(popularity, np.float64),
        rows=codes(user_ids, kept["user_id"]),
        cols=codes(popularity.index, kept["item_id"]),
        weights=kept["weight"].to_numpy(np.float64) if "weight" in kept else np.ones(len(kept)),
        is_goal=is_goal(kept, goal(known)),
        age_days=None if days is None else days.to_numpy(np.float64),
        age_baskets=baskets_after(known)[kept.index].to_numpy(np.float64)
        if "basket_number" in known
        else None,
        last_seen=last_seen,
    )


def baskets_after(events: pd.DataFrame) -> pd.Series:
    """How many baskets each event's user made after the event's own.

    Examples
    --------
    >>> baskets_after(pd.DataFrame({"user_id": [1, 1, 2], "basket_number": [1, 2, 1]})).tolist()
    [1, 0, 0]
    """
    last: pd.Series = events.groupby("user_id")["basket_number"].transform("max")
    return last - events["basket_number"]


def ages_in(history: History, unit: str, setting: str) -> Floats:
    """Age of every event in one unit.

    Parameters
    ----------
    history : History
    unit : {"days", "baskets"}
    setting : str
        What was given in this unit, such as ``half_life`` for ``half_life_days``; the error names it.

    Raises
    ------
    InputError
        The log does not have the unit.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "a"], "basket_number": [1, 2]})
    >>> ages_in(history_but_baskets(log, n_hidden=0, min_users_per_item=1), "baskets", "half_life")
    array([1., 0.])
    """
    ages, other = (history.age_days, "baskets") if unit == "days" else (history.age_baskets, "days")
    if ages is None:
        raise InputError(
            f"The log has no ages in {unit}; give {setting}_{other} instead of {setting}_{unit}."
        )
    return ages


def age_unit(events: pd.DataFrame) -> str:
    """In what the age of an event is counted: days, or baskets of the user where the log has no times.

    Examples
    --------
    >>> age_unit(pd.DataFrame({"timestamp": []})), age_unit(pd.DataFrame({"basket_number": []}))
    ('days', 'baskets')
    """
    return "days" if "timestamp" in events else "baskets"
