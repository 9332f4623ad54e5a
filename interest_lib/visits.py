"""Visits to one interest each: runs of events of one user in one interest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from interest_lib.history import SECONDS_PER_DAY, Floats, Ints, codes
from interest_lib.moves import Move
from interest_lib.schema import InputError

VISIT_GAP_MINUTES: Final = 30.0
"""Events of one user in one interest that are no further apart belong to one visit."""


@dataclass(frozen=True)
class Visits:
    """Visits of users, each to one interest, sorted by user and time.

    Attributes
    ----------
    user_ids, interests : pandas.Index
    user, interest : ndarray of int, shape (n_visits,)
        Places in them.
    day : ndarray of float, shape (n_visits,)
        Days since `start`.
    start : pandas.Timestamp
    """

    user_ids: pd.Index
    interests: pd.Index
    user: Ints
    interest: Ints
    day: Floats
    start: pd.Timestamp

    @property
    def counts(self) -> Floats:
        """Number of visits, shape (n_users, n_interests)."""
        counts = np.zeros((len(self.user_ids), len(self.interests)))
        np.add.at(counts, (self.user, self.interest), 1.0)
        return counts

    @property
    def first(self) -> Ints:
        """Place of the first visit of each user."""
        return np.flatnonzero(np.append(True, np.diff(self.user) > 0))

    @property
    def last(self) -> Ints:
        """Place of the last visit of each user."""
        return np.append(self.first[1:], len(self.user)) - 1

    def shuffled(self, seed: int) -> Visits:
        """The same visits of every user, to the same interests in a random order."""
        order = np.lexsort((np.random.default_rng(seed).random(len(self.user)), self.user))
        return replace(self, interest=self.interest[order])


def visits_to_interests(
    events: pd.DataFrame, by: str = "category", interests: pd.Index | None = None
) -> Visits:
    """Visits in a log of events: runs of events of one user in one interest, half an hour apart at most.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``timestamp`` and the column `by`; rows without an interest are left out.
    by : str
        Column that names the interest of an event.
    interests : pandas.Index or None
        None takes all there are.

    Returns
    -------
    Visits

    Raises
    ------
    InputError
        When no event has an interest.

    Examples
    --------
    >>> times = pd.to_datetime(["2024-01-01 08:00", "2024-01-01 08:01", "2024-01-02 08:00"])
    >>> visits = visits_to_interests(pd.DataFrame({"user_id": 1, "timestamp": times, "category": "tea"}))
    >>> visits.day.tolist(), visits.interest.tolist()
    ([0.0, 1.0], [0, 0])
    """
    named = events.loc[events[by].notna(), ["user_id", "timestamp", by]]
    if interests is None:
        interests = pd.Index(np.sort(named[by].unique()), name=by)
    named = named[named[by].isin(interests)]
    if named.empty:
        raise InputError(f"No event has an interest in the column {by!r}: give another column.")
    named = named.sort_values(["user_id", "timestamp", by], kind="stable")
    user_ids = pd.Index(named["user_id"].unique(), name="user_id")
    user, interest = codes(user_ids, named["user_id"]), codes(interests, named[by])
    start = named["timestamp"].min()
    day = ((named["timestamp"] - start).dt.total_seconds() / SECONDS_PER_DAY).to_numpy()
    kept = _begins_visit(user, interest, day)
    return Visits(user_ids, interests, user[kept], interest[kept], day[kept], start)


def visits_before(move: Move) -> Visits:
    """Visits of the users of a move, with days from the moment; events of one are half an hour apart at most.

    `Visits.user_ids` are places in the users of the move.

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": [1, 1, 2], "category": ["tea", "tea", "milk"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 2 + ["2017-01-05"]), "weight": 1.0})
    >>> visits = visits_before(move_at(log, pd.Timestamp("2017-01-04"), period_days=7))
    >>> visits.day.tolist(), visits.interest.tolist()
    ([-3.0], [0])
    """
    events = move.events.sort_values(
        ["user", "age_days", "interest"], ascending=[True, False, True], kind="stable"
    )
    user, interest = events["user"].to_numpy(), events["interest"].to_numpy()
    day = -events["age_days"].to_numpy()
    kept = _begins_visit(user, interest, day)
    there, place = np.unique(user[kept], return_inverse=True)
    start = pd.Timestamp(move.label)
    return Visits(pd.Index(there), move.interests, place.astype(np.int64), interest[kept], day[kept], start)


def _begins_visit(user: Ints, interest: Ints, day: Floats) -> npt.NDArray[np.bool_]:
    """Whether each event, by user and time, begins a visit."""
    new = (np.diff(user) > 0) | (np.diff(interest) != 0) | (np.diff(day) > VISIT_GAP_MINUTES / 1440)
    return np.append(True, new)
