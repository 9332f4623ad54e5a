"""Next shares from the regime that a user is in now, where it leads, and the user's taste."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interest_lib.history import Floats
from interest_lib.migration import shares
from interest_lib.moves import Move, same_interests
from interest_lib.regimes import RegimeModel
from interest_lib.visits import visits_before


class RegimeForecast:
    """Forecast of next shares by hidden regimes of interest.

    `regimes.RegimeModel` is learned from all that was done before the last of the moves. At a moment it gives
    the probability of each regime of a user, carries it through the coming period, and adds the visits that
    follow the taste. Some interests are bought more often for a visit than others: a factor for each is
    learned from what came after the moves.

    Parameters
    ----------
    period_days : float
        Length of the period that is forecast.
    follows : bool
        False leaves out where a change comes from: it leads where changes lead overall, or follows the taste.
        What the forecast then loses is what migration is worth.
    n_groups : int
        Groups of users with one taste.
    n_iterations : int
    random_state : int

    Attributes
    ----------
    model_ : RegimeModel
    factor_ : ndarray of float, shape (n_interests,)
        Purchases for a visit, relative to the mean.
    """

    def __init__(
        self,
        period_days: float,
        follows: bool = True,
        n_groups: int = 10,
        n_iterations: int = 9,
        random_state: int = 0,
    ) -> None:
        self.period_days = period_days
        self.follows = follows
        self.n_groups = n_groups
        self.n_iterations = n_iterations
        self.random_state = random_state

    def fit(self, moves: Sequence[Move]) -> RegimeForecast:
        """Learn from moves whose future is known, in the order of time."""
        last = moves[-1]
        self.interests_ = last.interests
        model = RegimeModel(self.n_groups, self.n_iterations, random_state=self.random_state)
        self.model_ = model.fit(visits_before(last))
        if not self.follows:
            overall = shares(model.moves_.sum(axis=0))
            model.transition_ = np.tile(overall, (len(overall), 1))
        bought, visited = np.ones(last.shape[1]), np.ones(last.shape[1])
        for move in moves:
            of_user = move.next_shares if move.future is None else move.future
            bought += of_user.sum(axis=0)
            visited += of_user.sum(axis=1) @ self._visited(move)
        self.factor_ = bought / visited
        return self

    def predict(self, move: Move) -> Floats:
        """Forecast shares, shape (n_users, n_interests)."""
        return shares(self._visited(move) * self.factor_)

    def _visited(self, move: Move) -> Floats:
        """Expected shares of the interests in the visits of the coming period."""
        same_interests(move, self.interests_)
        visits = visits_before(move)
        after_days = -visits.day[visits.last]
        known = self.model_.adapted(visits).expected_shares(visits, after_days, self.period_days)
        found = np.tile(shares(known.sum(axis=0)), (move.shape[0], 1))
        found[visits.user_ids] = known
        return found
