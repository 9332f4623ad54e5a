"""Cut the log in time, or in the order of baskets: what was known before a moment, what happened after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interest_lib.history import (
    History,
    Ints,
    baskets_after,
    codes,
    goal,
    history_before,
    history_but_baskets,
    is_goal,
)
from interest_lib.schema import InputError


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
    def label(self) -> str:
        """Name of the moment that separates history from targets."""
        return self.history.label

    @property
    def user_ids(self) -> pd.Index:
        """Users with at least one target, sorted."""
        return pd.Index(np.sort(self.targets["user_id"].unique()), name="user_id")


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


def fold_at(events: pd.DataFrame, origin: pd.Timestamp, horizon_days: int = 28, **vocabulary: int) -> Fold:
    """History before `origin` and the distinct items of every user in the `horizon_days` from it.

    Parameters
    ----------
    events : pandas.DataFrame
        As for `history_before`. Targets are its goal events.
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
    return _with_targets(history, window, goal(events[events["timestamp"] < origin]))


def folds(
    events: pd.DataFrame, horizon_days: int = 28, n_folds: int = 2, min_users_per_item: int = 5
) -> list[Fold]:
    """The folds on which the study judges, newest first: the first is the test, the others choose.

    Parameters
    ----------
    events : pandas.DataFrame
        As for `history_before`. Without times, the last basket of every user is the test, the one
        before it the validation, and so on.
    horizon_days : int
        Length of the target window in a log with times.
    n_folds : int
        How many are wanted; fewer come back when the log is too short for them.
    min_users_per_item : int
        As for `history_before`.

    Returns
    -------
    list of Fold

    Raises
    ------
    InputError
        When not even one fits.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 1], "item_id": ["a", "a", "a"], "basket_number": [1, 2, 3]})
    >>> [(f.label, f.targets["novel"].tolist()) for f in folds(log, n_folds=3, min_users_per_item=1)]
    [('last_basket', [False]), ('last_basket_but_1', [False])]
    """
    if "timestamp" in events:
        origins = rolling_origins(events, horizon_days, n_folds)
        return [fold_at(events, o, horizon_days, min_users_per_item=min_users_per_item) for o in origins]
    baskets = events.groupby("user_id")["basket_number"].max()
    # A fold needs users who have a basket to learn from beside the one to foretell.
    n_hidden = [n for n in range(1, n_folds + 1) if (baskets > n).any()]
    if not n_hidden:
        raise InputError("No user has two baskets: give a log in which users come back.")
    return [_fold_but_baskets(events, n, min_users_per_item) for n in n_hidden]


def _fold_but_baskets(events: pd.DataFrame, n_hidden: int, min_users_per_item: int) -> Fold:
    history = history_but_baskets(events, n_hidden, min_users_per_item)
    after = baskets_after(events)
    return _with_targets(history, events[after == n_hidden - 1], goal(events[after >= n_hidden]))


def _with_targets(history: History, window: pd.DataFrame, kind: str) -> Fold:
    """The distinct items of every user among the goal events of a window."""
    pairs = window.loc[is_goal(window, kind), ["user_id", "item_id"]].drop_duplicates()
    pairs = pairs.sort_values(["user_id", "item_id"])
    targets = pairs[pairs["item_id"].isin(history.item_ids)].reset_index(drop=True)
    width = len(history.item_ids)
    rows = codes(history.user_ids, targets["user_id"])
    keys = rows * width + codes(history.item_ids, targets["item_id"])
    had = history.rows[history.is_goal] * width + history.cols[history.is_goal]
    targets["novel"] = (rows < 0) | ~np.isin(keys, had)
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
