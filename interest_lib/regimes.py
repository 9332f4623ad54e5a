"""One interest at a time: regimes behind a sequence of visits, when they change, and where they lead."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.cluster import KMeans

from interest_lib.history import SECONDS_PER_DAY, Floats, Ints, codes
from interest_lib.migration import shares
from interest_lib.schema import InputError

Singles = npt.NDArray[np.float32]  # half the memory, and nothing here needs more digits

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
    kept = begins_visit(user, interest, day)
    return Visits(user_ids, interests, user[kept], interest[kept], day[kept], start)


def begins_visit(user: Ints, interest: Ints, day: Floats) -> npt.NDArray[np.bool_]:
    """Whether each event, by user and time, begins a visit.

    Examples
    --------
    >>> user, interest = np.array([0, 0, 0, 1]), np.array([5, 5, 6, 6])
    >>> begins_visit(user, interest, day=np.array([0.0, 0.01, 0.01, 0.01])).tolist()
    [True, False, True, True]
    """
    new = (np.diff(user) > 0) | (np.diff(interest) != 0) | (np.diff(day) > VISIT_GAP_MINUTES / 1440)
    return np.append(True, new)


class RegimeModel:
    """Regimes of interest behind visits, learned from the visits alone.

    A user has one interest at a time. A share of the visits goes to it, the others follow the user's taste.
    The longer the gap between two visits, the likelier is a change of regime in it. The next interest
    follows the one before by a matrix, the same for all users, with the probability `transition_share_`, and
    the user's taste otherwise. Tastes are those of groups of users, found by K-Means, of which each user is
    a variation. All of it is learned by expectation and maximisation (Baum and others, 1970; for the two ways
    to the next interest, a mixture transition distribution in the manner of Raftery, 1985).

    Parameters
    ----------
    n_groups : int
        Groups of users with one taste.
    n_iterations : int
        Steps of expectation and maximisation.
    taste_strength : float
        What the taste of the group counts for in that of a user, in draws.
    random_state : int
        For K-Means.

    Attributes
    ----------
    transition_ : ndarray of float, shape (n_interests, n_interests)
        Where the matrix leads; rows add up to one.
    transition_share_, regime_share_ : float
        Share of the changes that follow the matrix, and of the visits that go to the interest of the regime.
    sojourn_days_ : float
        Mean length of a regime; a change back to the same interest counts as one.
    tastes_ : ndarray of float, shape (n_users, n_interests)
    moves_ : ndarray of float, shape (n_interests, n_interests)
        Expected number of changes from each interest to each, by the matrix and by taste together.
    log_likelihood_ : list of float
        At each step, in nats.

    Notes
    -----
    A change back to the same interest cannot be seen, so the diagonal of `transition_` is not to be trusted.
    Within one gap at most one change is allowed for. Memory is 4 bytes a visit and interest.

    Examples
    --------
    >>> days = pd.to_datetime("2024-01-01") + pd.to_timedelta(range(60), unit="D")
    >>> log = pd.DataFrame({"timestamp": days, "category": np.repeat(["tea", "ham", "tea"], 20)})
    >>> visits = visits_to_interests(pd.concat([log.assign(user_id=user) for user in range(20)]))
    >>> model = RegimeModel(n_groups=1).fit(visits)
    >>> model.regimes(visits).loc[:2, "interest"].tolist(), model.regime_share_ > 0.9
    (['tea', 'ham', 'tea'], True)
    """

    def __init__(
        self, n_groups: int = 10, n_iterations: int = 9, taste_strength: float = 60.0, random_state: int = 0
    ) -> None:
        self.n_groups = n_groups
        self.n_iterations = n_iterations
        self.taste_strength = taste_strength
        self.random_state = random_state

    def fit(self, visits: Visits) -> RegimeModel:
        """Learn from visits."""
        self._start(visits)
        self.log_likelihood_: list[float] = []
        for _ in range(self.n_iterations):
            self._step(visits)
        return self

    def regimes(self, visits: Visits) -> pd.DataFrame:
        """The most probable regime at each visit, runs of the same one together.

        Returns
        -------
        pandas.DataFrame
            One row per regime of a user, in the order of time: ``user_id``, ``interest``, ``before`` (missing
            for the first), and ``changed``, the moment half way between the visits around the change.
        """
        state = self._expected(visits).regime
        new_user = np.append(True, np.diff(visits.user) > 0)
        begins = np.flatnonzero(new_user | np.append(True, np.diff(state) != 0))
        first = new_user[begins]
        half_way = np.where(first, visits.day[begins], (visits.day[begins] + visits.day[begins - 1]) / 2)
        before = pd.Series(visits.interests[state[begins - 1]]).mask(first)
        return pd.DataFrame(
            {
                "user_id": visits.user_ids[visits.user[begins]],
                "interest": visits.interests[state[begins]],
                "before": before,
                "changed": visits.start + pd.to_timedelta(half_way, unit="D"),
            }
        )

    def _start(self, visits: Visits) -> None:
        counts = visits.counts
        n_users, width = counts.shape
        means = KMeans(min(self.n_groups, n_users), n_init=4, random_state=self.random_state)
        self.groups_ = means.fit(np.sqrt(shares(counts)))
        self.group_ = means.labels_.astype(np.int64)
        self._learn_tastes(counts)
        other = np.flatnonzero((np.diff(visits.user) == 0) & (np.diff(visits.interest) != 0))
        seen = np.tile(shares(counts.sum(axis=0)), (width, 1))
        np.add.at(seen, (visits.interest[other], visits.interest[other + 1]), 1.0)
        self.transition_ = shares(seen)
        self.transition_share_, self.regime_share_, self.sojourn_days_ = 0.5, 0.7, 30.0

    def adapted(self, visits: Visits, n_iterations: int = 3) -> RegimeModel:
        """The same model for other visits of any users, such as later ones: only tastes are learned."""
        model = copy(self)
        counts = visits.counts
        model.group_ = self.groups_.predict(np.sqrt(shares(counts))).astype(np.int64)
        model._own_tastes(counts)
        for _ in range(n_iterations):
            model._own_tastes(model._expected(visits).draws(visits))
        return model

    def expected_shares(
        self, visits: Visits, after_days: Floats, period_days: float, n_steps: int = 8
    ) -> Floats:
        """Expected shares of the interests in the visits of a coming period.

        Parameters
        ----------
        visits : Visits
            Those that the model was fitted on or adapted to.
        after_days : ndarray of float, shape (n_users,)
            Days from the last visit of each user to the begin of the period.
        period_days : float
        n_steps : int
            Moments within the period that are averaged.

        Returns
        -------
        ndarray of float, shape (n_users, n_interests), rows adding up to one
        """
        state, total = self._expected(visits).last, np.zeros_like(self.tastes_)
        for step in range(n_steps):
            days = after_days + period_days / n_steps / 2 if step == 0 else period_days / n_steps
            h = np.reshape(-np.expm1(-np.asarray(days) / self.sojourn_days_), (-1, 1))
            m = self.transition_share_
            state = state + h * (m * state @ self.transition_ + (1 - m) * self.tastes_ - state)
            total += state / n_steps
        return shares(self.regime_share_ * total + (1 - self.regime_share_) * self.tastes_)

    def _learn_tastes(self, draws: Floats) -> None:
        of_group = np.zeros((self.group_.max() + 1, draws.shape[1]))
        np.add.at(of_group, self.group_, draws)
        self.group_tastes_ = shares(of_group + 0.5 / draws.shape[1])
        self._own_tastes(draws)

    def _own_tastes(self, draws: Floats) -> None:
        self.tastes_ = shares(draws + self.taste_strength * self.group_tastes_[self.group_])

    def _step(self, visits: Visits) -> None:
        found = self._expected(visits)
        self.log_likelihood_.append(found.log_likelihood)
        self.moves_ = found.moves
        # one change spread evenly, so that nothing is impossible
        self.transition_ = shares(found.jumps + 1 / len(found.jumps))
        by_matrix, by_taste = found.jumps.sum(), found.taste_jumps.sum()
        self.transition_share_ = float(by_matrix / (by_matrix + by_taste))
        self.regime_share_ = float(1 - found.strays.sum() / len(visits.user))
        self.sojourn_days_ = float(found.gap_days / (by_matrix + by_taste))
        self._learn_tastes(found.draws(visits))

    def _expected(self, visits: Visits) -> _Expected:
        """Forward through the visits of all users at once, the first ones together, then the second ones."""
        m, r, matrix = self.transition_share_, self.regime_share_, self.transition_.astype(np.float32)
        rows = _Rows.of(visits)
        tastes = self.tastes_[rows.user[: rows.number[0]]].astype(np.float32)
        hazard = -np.expm1(-np.maximum(rows.gap, 1e-3) / self.sojourn_days_).astype(np.float32)[:, None]
        chance = ((1 - r) * self.tastes_[rows.user, rows.interest]).astype(np.float32)[:, None]
        state = np.empty((len(rows.user), len(matrix)), dtype=np.float32)  # after each visit
        scale = np.empty((len(rows.user), 1), dtype=np.float32)
        state[rows.at(0)] = tastes
        for step, n in enumerate(rows.number):
            now = rows.at(step)
            if step:
                before, h = state[rows.before(step)], hazard[now]
                led = m * (before @ matrix) + (1 - m) * tastes[:n]
                state[now] = before + h * (led - before)
            likely = np.tile(chance[now], (1, len(matrix)))
            likely[np.arange(n), rows.interest[now]] += r
            state[now] *= likely
            scale[now] = state[now].sum(axis=1, keepdims=True)
            state[now] /= scale[now]
        return self._backward(rows, state, scale, chance, hazard, tastes)

    def _backward(
        self, rows: _Rows, state: Singles, scale: Singles, chance: Singles, hazard: Singles, tastes: Singles
    ) -> _Expected:
        m, r, matrix = self.transition_share_, self.regime_share_, self.transition_.astype(np.float32)
        jumps, by_own = np.zeros(matrix.shape), np.zeros(matrix.shape)
        taste_jumps = np.zeros(tastes.shape)
        own, regime = np.empty(len(scale)), np.empty(len(scale), dtype=np.int64)
        rest = np.ones_like(tastes)  # how likely all later visits are, by the regime at this one
        for step in range(len(rows.number) - 1, -1, -1):
            now, n = rows.at(step), rows.number[step]
            here = (np.arange(n), rows.interest[now])
            is_in = state[now] * rest[:n]
            own[now], regime[now] = is_in[here], is_in.argmax(axis=1)
            if step == 0:
                break
            likely = np.tile(chance[now], (1, len(matrix)))
            likely[here] += r
            ahead = rest[:n] * likely / scale[now]
            h, left = hazard[now], hazard[now] * state[rows.before(step)]
            taste = (1 - m) * tastes[:n] * ahead
            jumps += left.T @ ahead
            by_own += left.T @ taste
            taste_jumps[:n] += h * taste
            led = m * (ahead @ matrix.T) + taste.sum(axis=1, keepdims=True)
            rest[:n] = ahead + h * (led - ahead)
        jumps *= m * self.transition_
        stray = 1 - own * r / (r + chance[:, 0])  # at the visited interest, by regime or by taste
        back = np.empty_like(taste_jumps)
        back[rows.user[: rows.number[0]]] = taste_jumps
        log_likelihood = float(np.log(scale.astype(np.float64)).sum())
        last = state[rows.last].astype(np.float64)
        stray, regime = stray[rows.place], regime[rows.place]
        return _Expected(jumps, jumps + by_own, back, stray, rows.gap.sum(), log_likelihood, regime, last)


@dataclass(frozen=True)
class _Rows:
    """Visits in the order of their number within the user, users with most visits first."""

    user: Ints
    interest: Ints
    gap: Floats  # days since the visit before
    place: Ints  # of each visit of `Visits` in this order
    last: Ints  # place of the last visit of each user in this order
    number: list[int]  # users with so many visits
    offset: Ints

    @classmethod
    def of(cls, visits: Visits) -> _Rows:
        count = np.bincount(visits.user)
        rank = np.empty(len(count), dtype=np.int64)
        rank[np.argsort(-count, kind="stable")] = np.arange(len(count))
        step = np.arange(len(visits.user)) - visits.first[visits.user]
        number = np.bincount(step)
        offset = np.append(0, np.cumsum(number))
        place = offset[step] + rank[visits.user]
        order = np.argsort(place)
        gap = np.where(step > 0, np.diff(visits.day, prepend=0.0), 0.0)
        last = place[np.append(visits.first[1:], len(place)) - 1]
        return cls(
            visits.user[order], visits.interest[order], gap[order], place, last, number.tolist(), offset
        )

    def at(self, step: int) -> slice:
        return slice(self.offset[step], self.offset[step + 1])

    def before(self, step: int) -> slice:
        """The visits before those of a step, in the same order."""
        return slice(self.offset[step - 1], self.offset[step - 1] + self.number[step])


@dataclass(frozen=True)
class _Expected:
    """What is expected to have happened, given all visits."""

    jumps: Floats  # changes by the matrix
    moves: Floats  # all changes
    taste_jumps: Floats  # changes by taste, by user and interest
    strays: Floats  # of each visit, the probability that it followed the taste
    gap_days: float
    log_likelihood: float
    regime: Ints  # the most probable one at each visit
    last: Floats  # probability of each regime at the last visit of each user

    def draws(self, visits: Visits) -> Floats:
        """Visits and changes that followed the taste, by user and interest."""
        draws = self.taste_jumps.copy()
        np.add.at(draws, (visits.user, visits.interest), self.strays)
        return draws
