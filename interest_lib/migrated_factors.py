"""Recommending by migrated interest, u' Q h, in a space of factors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.utils.extmath import randomized_svd

from interest_lib.decay import decayed_counts
from interest_lib.factorisation import FactorRecommender
from interest_lib.history import Bools, Floats, History, ages_in
from interest_lib.schema import InputError


class MigratedFactors(FactorRecommender):
    """``u' Q h`` in a space of factors: `Q` leads from what users had to what they took up next.

    Items have the vectors of a truncated SVD of ``log(1 + decayed count)`` in the whole history; a user is
    the sum of the own items' vectors by that weight. `Q` is the ridge regression from where users stood at
    earlier moments to what they bought in the period after, pulled towards the multiple of the identity that
    fits best: the static twin.

    Parameters
    ----------
    n_factors : int
        Coordinates.
    half_life_days : float or None
        Half-life of an event in the counts; None: nothing fades.
    migrates : bool
        Without it `Q` is the identity.
    new_only : bool
        Learn from what was new to the user at the moment, instead of all that was bought after it.
    ridge : float
        How strongly `Q` is pulled, as a multiple of the mean square of a coordinate and user.
    n_moves, period_days
        As in `MigratedInterest`.
    random_state : int
        Of the randomised SVD.

    Raises
    ------
    InputError
        In `fit`: no times, or nothing older than a period.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["tea", "cup", "tea", "cup", "tea"],
    ...                     "timestamp": pd.date_range("2017-01-01", periods=5, freq="9D")})
    >>> history = history_before(log, pd.Timestamp("2017-02-09"), min_users_per_item=1)
    >>> model = MigratedFactors(n_factors=1, n_moves=1, period_days=14.0).fit(history)
    >>> model.recommend([3], k=1, exclude_seen=True)["item_id"].tolist()
    ['cup']
    """

    def __init__(
        self,
        n_factors: int = 64,
        half_life_days: float | None = 90.0,
        migrates: bool = True,
        new_only: bool = False,
        ridge: float = 100.0,
        n_moves: int = 3,
        period_days: float = 28.0,
        random_state: int = 0,
    ) -> None:
        self.n_factors = n_factors
        self.half_life_days = half_life_days
        self.migrates = migrates
        self.new_only = new_only
        self.ridge = ridge
        self.n_moves = n_moves
        self.period_days = period_days
        self.random_state = random_state

    def _learn(self, history: History) -> None:
        counts = decayed_counts(history, self.half_life_days).log1p()
        n_factors = min(self.n_factors, min(counts.shape) - 1)
        _, _, vectors = randomized_svd(counts, n_factors, random_state=self.random_state)
        self.item_factors_ = vectors.T
        self.user_factors_ = counts @ self.item_factors_
        if self.migrates:
            self.q_ = self._q(history)
            self.user_factors_ = self.user_factors_ @ self.q_

    def _q(self, history: History) -> Floats:
        ages = ages_in(history, "days", "half_life")
        width = self.item_factors_.shape[1]
        gram, cross = np.zeros((width, width)), np.zeros((width, width))
        for number in range(1, self.n_moves + 1):
            moment = number * self.period_days
            then = _events(history, ages > moment, moment)
            had = decayed_counts(then, self.half_life_days).log1p()
            ahead = history.is_goal & (ages <= moment) & (ages > moment - self.period_days)
            came = decayed_counts(_events(history, ahead, 0.0))
            came.data[:] = 1.0
            if self.new_only:
                came = came - came.multiply(had > 0)
            known, came = had @ self.item_factors_, came @ self.item_factors_
            gram, cross = gram + known.T @ known, cross + known.T @ came
        if not gram.any():
            raise InputError(
                f"Nothing is older than {self.period_days:g} days before {history.label}: there is no move "
                "to learn from, give a longer log or a smaller period_days."
            )
        scale = np.trace(cross) / np.trace(gram)
        pull = self.ridge * np.trace(gram) / width / len(history.user_ids)
        return np.linalg.solve(gram + pull * np.eye(width), cross + pull * scale * np.eye(width))


def _events(history: History, chosen: Bools, days_before: float) -> History:
    ages = None if history.age_days is None else history.age_days[chosen] - days_before
    return replace(
        history,
        rows=history.rows[chosen],
        cols=history.cols[chosen],
        weights=history.weights[chosen],
        is_goal=history.is_goal[chosen],
        age_days=ages,
        age_baskets=None,
    )
