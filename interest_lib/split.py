"""Cut the log in time: rolling origins, what was known before each, what happened after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from interest_lib.schema import InputError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class History:
    """Events before one moment, coded as rows and columns of a users x items matrix.

    Attributes
    ----------
    origin : pandas.Timestamp
        The moment. Every event in here happened before it.
    user_ids : pandas.Index
        Users with at least one event, sorted; position = row code.
    item_ids : pandas.Index
        The vocabulary in *tie order*: recent popularity, highest first, then item id.
        Position = column code, so among equal scores the lower column wins.
    popularity : ndarray of float, shape (n_items,)
        Distinct users of each item in the recent window.
    rows, cols : ndarray of int, shape (n_events,)
        Codes of the events' users and items, in the order of time.
    age_days : ndarray of float, shape (n_events,)
        Fractional days from each event to the origin.
    last_timestamp : pandas.Timestamp
        The newest event that a model fitted on this history can have seen.
    """

    origin: pd.Timestamp
    user_ids: pd.Index
    item_ids: pd.Index
    popularity: Floats
    rows: Ints
    cols: Ints
    age_days: Floats
    last_timestamp: pd.Timestamp

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users, number of items."""
        return len(self.user_ids), len(self.item_ids)


@dataclass(frozen=True)
class Fold:
    """One origin of an evaluation: the history before it and the targets after it.

    Attributes
    ----------
    history : History
        What a model may see.
    targets : pandas.DataFrame
        Distinct ``user_id``, ``item_id`` of the horizon, inside the vocabulary, and ``novel``:
        True where the user never had the item before.
    n_targets_dropped : int
        Distinct pairs of the horizon whose item is outside the vocabulary.
    """

    history: History
    targets: pd.DataFrame
    n_targets_dropped: int

    @property
    def origin(self) -> pd.Timestamp:
        """The moment that separates history from targets."""
        return self.history.origin

    @property
    def user_ids(self) -> pd.Index:
        """Users with at least one target, sorted."""
        return pd.Index(np.sort(self.targets["user_id"].unique()), name="user_id")


def codes(index: pd.Index, values: pd.Series) -> Ints:
    """Position of each value in `index`, -1 where it is not there.

    Examples
    --------
    >>> codes(pd.Index(["a", "b"]), pd.Series(["b", "c"]))
    array([ 1, -1])
    """
    return index.get_indexer(pd.Index(values)).astype(np.int64)


def rolling_origins(events: pd.DataFrame, horizon_days: int, n_origins: int) -> list[pd.Timestamp]:
    """Origins `horizon_days` apart, newest first, the last horizon ending where the log ends.

    The day of the last event is left out, as the log may not cover it to its end. An origin needs a horizon
    of history before it, counted from the day of the first event.

    Parameters
    ----------
    events : pandas.DataFrame
        With a column ``timestamp``.
    horizon_days : int
        Days from an origin to the end of its targets.
    n_origins : int
        How many origins are wanted; fewer come back when the log is too short for them.

    Returns
    -------
    list of pandas.Timestamp
        Newest (the test origin) first.

    Raises
    ------
    InputError
        When not even one origin fits.

    Examples
    --------
    >>> log = pd.DataFrame({"timestamp": pd.to_datetime(["2017-01-01 10:00", "2017-03-01 04:00"])})
    >>> [str(o.date()) for o in rolling_origins(log, horizon_days=28, n_origins=4)]
    ['2017-02-01']
    """
    first, last = events["timestamp"].min(), events["timestamp"].max()
    horizon = pd.Timedelta(days=horizon_days)
    earliest = first.normalize() + horizon
    origins = [last.normalize() - (i + 1) * horizon for i in range(n_origins)]
    origins = [origin for origin in origins if origin >= earliest]
    if not origins:
        raise InputError(
            f"The log spans {(last - first).days} days, too short for one horizon of {horizon_days} days "
            "after as much history: give a longer log or a smaller horizon_days."
        )
    return origins


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
        ``user_id``, ``item_id``, ``timestamp``, in the order of time; rows from the origin on are ignored.
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
    n_users = known.groupby("item_id")["user_id"].nunique()
    vocabulary = n_users.index[n_users >= min_users_per_item]
    if vocabulary.empty:
        raise InputError(
            f"No item has {min_users_per_item} or more users before {origin:%Y-%m-%d}: "
            "give a larger log or a smaller min_users_per_item."
        )
    recent = known[known["timestamp"] >= origin - pd.Timedelta(days=popularity_days)]
    popularity = recent.groupby("item_id")["user_id"].nunique().reindex(vocabulary, fill_value=0)
    # groupby has sorted by item id, so a stable sort by popularity alone leaves ids as the last tie-breaker
    popularity = popularity.sort_values(ascending=False, kind="stable")
    kept = known[known["item_id"].isin(vocabulary)]
    user_ids = pd.Index(np.sort(known["user_id"].unique()), name="user_id")
    return History(
        origin=origin,
        user_ids=user_ids,
        item_ids=pd.Index(popularity.index, name="item_id"),
        popularity=np.asarray(popularity, np.float64),
        rows=codes(user_ids, kept["user_id"]),
        cols=codes(popularity.index, kept["item_id"]),
        age_days=((origin - kept["timestamp"]).dt.total_seconds() / SECONDS_PER_DAY).to_numpy(np.float64),
        last_timestamp=known["timestamp"].max(),
    )


def fold_at(events: pd.DataFrame, origin: pd.Timestamp, horizon_days: int = 28, **vocabulary: int) -> Fold:
    """History before `origin` and the distinct items of every user in the `horizon_days` from it.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``item_id``, ``timestamp``, in the order of time.
    origin : pandas.Timestamp
        The moment of prediction.
    horizon_days : int
        Length of the target window.
    **vocabulary : int
        ``min_users_per_item`` and ``popularity_days`` of `history_before`.

    Returns
    -------
    Fold

    Examples
    --------
    >>> log = pd.DataFrame({
    ...     "user_id": [1, 2, 1, 2], "item_id": ["a", "b", "a", "a"],
    ...     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-02", "2017-01-06", "2017-01-07"])})
    >>> fold = fold_at(log, pd.Timestamp("2017-01-05"), min_users_per_item=1)
    >>> fold.targets.to_dict("list")
    {'user_id': [1, 2], 'item_id': ['a', 'a'], 'novel': [False, True]}
    """
    history = history_before(events, origin, **vocabulary)
    end = origin + pd.Timedelta(days=horizon_days)
    window = events[(events["timestamp"] >= origin) & (events["timestamp"] < end)]
    pairs = window[["user_id", "item_id"]].drop_duplicates().sort_values(["user_id", "item_id"])
    targets = pairs[pairs["item_id"].isin(history.item_ids)].reset_index(drop=True)
    width = len(history.item_ids)
    rows = codes(history.user_ids, targets["user_id"])
    keys = rows * width + codes(history.item_ids, targets["item_id"])
    targets["novel"] = (rows < 0) | ~np.isin(keys, history.rows * width + history.cols)
    return Fold(history, targets, n_targets_dropped=len(pairs) - len(targets))


def quarters(
    timestamps: pd.Series, period_days: int = 91, n_periods: int = 4, start: pd.Timestamp | None = None
) -> Ints:
    """Period number of each event: whole days since the start, cut every `period_days`.

    The start is the first event unless it is given.

    The last period takes the rest, so that a year of 365 days is four quarters of 91, 91, 91 and 92.

    Examples
    --------
    >>> times = pd.Series(pd.to_datetime(["2017-01-01 12:00", "2017-04-02 11:00", "2017-04-02 12:00"]))
    >>> quarters(times).tolist()
    [0, 0, 1]
    """
    first = timestamps.min() if start is None else start
    days = (timestamps - first).dt.days.to_numpy(np.int64)
    return np.minimum(days // period_days, n_periods - 1)


def sample_users(user_ids: Sequence[object] | pd.Index, n: int, seed: int) -> pd.Index:
    """`n` users drawn without replacement, sorted; all of them when there are not more.

    Examples
    --------
    >>> len(sample_users(range(10), 3, seed=0)), list(sample_users([2, 1], 5, seed=0))
    (3, [1, 2])
    """
    pool = pd.Index(user_ids).sort_values()
    if n >= len(pool):
        return pool
    chosen = np.random.default_rng(seed).choice(len(pool), size=n, replace=False)
    return pool[np.sort(chosen)]
