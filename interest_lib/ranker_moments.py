"""Earlier moments of a history: what was known then, and what came next."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from interest_lib.history import SECONDS_PER_DAY, Bools, Floats, History, Ints
from interest_lib.schema import InputError


def days_before(history: History) -> Floats:
    """Ages of the events in days, to the millisecond: the same on every way to the same moment.

    Raises
    ------
    InputError
        The log has no times.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1], "item_id": ["a"], "timestamp": pd.to_datetime(["2017-01-01"])})
    >>> days_before(history_before(log, pd.Timestamp("2017-01-03"), min_users_per_item=1))
    array([2.])
    """
    if history.age_days is None:
        raise InputError(
            "The ranker needs times: give a log with a column timestamp, or another recommender."
        )
    return np.round(history.age_days * SECONDS_PER_DAY, 3) / SECONDS_PER_DAY


@dataclass(frozen=True)
class Moment:
    """A moment inside a history.

    Attributes
    ----------
    history : History
        What was known then. Users are those with an event of the vocabulary.
    rows, cols : ndarray of int
        Codes of the users and items that came together in the days that followed, each pair once;
        none where they are not known.
    """

    history: History
    rows: Ints
    cols: Ints

    def is_target(self, rows: Ints, cols: Ints) -> Bools:
        """Whether the pairs of user and item came together in the days that followed."""
        width = self.history.shape[1]
        return np.isin(rows * width + cols, self.rows * width + self.cols)


def earlier(
    history: History,
    shift_days: int = 0,
    horizon_days: int = 28,
    min_users_per_item: int = 5,
    popularity_days: int = 28,
) -> Moment:
    """The history as it was some days ago, made of nothing but the events that it holds.

    Parameters
    ----------
    history : History
        With times.
    shift_days : int
        How long ago; 0 gives the history itself, without users whose events are outside the vocabulary.
    horizon_days : int
        Days after the moment in which what was predicted came true or not.
    min_users_per_item, popularity_days : int
        As in `history.history_before`: the vocabulary is the one of then, and so is the tie order.

    Returns
    -------
    Moment

    Raises
    ------
    InputError
        The log has no times, or no item had enough users then.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 1], "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-02", "2017-02-01"])})
    >>> h = history_before(log, pd.Timestamp("2017-02-10"), min_users_per_item=1)
    >>> moment = earlier(h, shift_days=28, min_users_per_item=1)
    >>> moment.history.label, moment.history.age_days.tolist(), moment.cols.tolist()
    ('2017-01-13', [12.0, 11.0], [0])
    """
    age = np.round((days_before(history) - shift_days) * SECONDS_PER_DAY, 3) / SECONDS_PER_DAY
    known = age > 0
    then = _as_known(history, known, age, min_users_per_item, popularity_days)
    moment = pd.Timestamp(history.label) - pd.Timedelta(days=shift_days)
    then = replace(then, label=f"{moment:%Y-%m-%d}", last_seen=_last_seen(moment, then))
    after = ~known & (age > -horizon_days) & history.is_goal
    rows = then.user_ids.get_indexer(history.user_ids)[history.rows[after]]
    cols = then.item_ids.get_indexer(history.item_ids)[history.cols[after]]
    inside = (rows >= 0) & (cols >= 0)
    pairs = np.unique(rows[inside] * then.shape[1] + cols[inside])
    return Moment(then, *(part.astype(np.int64) for part in np.divmod(pairs, then.shape[1])))


def _as_known(
    history: History, known: Bools, age: Floats, min_users_per_item: int, popularity_days: int
) -> History:
    """The known events alone, with the vocabulary and the popularity that follow from them."""
    n_items = history.shape[1]
    pairs = np.unique(history.rows[known] * n_items + history.cols[known])
    vocabulary = np.flatnonzero(np.bincount(pairs % n_items, minlength=n_items) >= min_users_per_item)
    if not len(vocabulary):
        raise InputError(
            f"No item had {min_users_per_item} or more users at a moment that the ranker learns from: "
            "give a longer log or a smaller min_users_per_item."
        )
    wanted = known & history.is_goal & (age <= popularity_days)
    recent = np.unique(history.rows[wanted] * n_items + history.cols[wanted])
    popularity = np.bincount(recent % n_items, minlength=n_items)[vocabulary]
    by_id = np.argsort(history.item_ids[vocabulary], kind="stable")
    by_tie_rule = by_id[np.argsort(-popularity[by_id], kind="stable")]
    col_of = np.full(n_items, -1)
    col_of[vocabulary[by_tie_rule]] = np.arange(len(vocabulary))
    kept = known & (col_of[history.cols] >= 0)
    users = np.unique(history.rows[kept])
    return replace(
        history,
        user_ids=history.user_ids[users],
        item_ids=history.item_ids[vocabulary[by_tie_rule]],
        popularity=popularity[by_tie_rule].astype(np.float64),
        rows=np.searchsorted(users, history.rows[kept]),
        cols=col_of[history.cols[kept]],
        weights=history.weights[kept],
        is_goal=history.is_goal[kept],
        age_days=age[kept],
        age_baskets=None,  # a moment of time is no number of baskets
    )


def _last_seen(moment: pd.Timestamp, then: History) -> str:
    assert then.age_days is not None
    newest = moment - pd.Timedelta(seconds=float(then.age_days.min()) * SECONDS_PER_DAY)
    return str(newest.round("ms").floor("s"))


def fingerprint(history: History) -> str:
    """The same for histories of the same events, whatever users and items without events they list.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1], "item_id": ["a"], "timestamp": pd.to_datetime(["2017-01-01"])})
    >>> h = history_before(log, pd.Timestamp("2017-01-03"), min_users_per_item=1)
    >>> fingerprint(h) == fingerprint(replace(h, rows=h.rows + 0)), fingerprint(h)[:10]
    (True, '2017-01-03')
    """
    digest = hashlib.sha256()
    for part in (history.rows, history.cols, days_before(history), history.weights, history.is_goal):
        digest.update(np.ascontiguousarray(part).tobytes())
    for ids in (history.user_ids, history.item_ids):
        digest.update("\0".join(map(str, ids)).encode())
    return f"{history.label}-{digest.hexdigest()[:16]}"
