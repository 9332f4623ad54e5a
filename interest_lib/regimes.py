"""One interest at a time: regimes behind a sequence of visits, when they change, and where they lead."""

from __future__ import annotations

from copy import copy

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from interest_lib.history import Floats
from interest_lib.migration import shares
from interest_lib.regime_passes import Expected, expected_regimes
from interest_lib.visits import Visits


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
    >>> from interest_lib.visits import visits_to_interests
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

    def _expected(self, visits: Visits) -> Expected:
        return expected_regimes(
            visits,
            self.tastes_,
            self.transition_,
            self.transition_share_,
            self.regime_share_,
            self.sojourn_days_,
        )
