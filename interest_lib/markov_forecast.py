"""Next shares by a Markov chain over shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.base import BaseEstimator

from interest_lib.history import Floats
from interest_lib.markov import MarkovChain
from interest_lib.migration import shares
from interest_lib.moves import Move, same_interests


class MarkovForecast(BaseEstimator):
    """Next shares by a chain over soft states: what is left of a user's past, pulled to everyone, moved on.

    Parameters
    ----------
    half_life_days : float or None
        Of the purchases in the state; None: nothing fades.
    shrinkage : float
        Purchases of the average user added to the state; 0 gives raw shares, and the average to those who
        have none.
    strength : float or None
        What the priors of staying and of the rest of each row are worth, in purchases, see `MarkovChain`;
        None learns both.
    stay : float or None
        Share of the prior that stays; near one, the forecast is the state itself until moves say otherwise.
        None learns it.

    Attributes
    ----------
    chain_ : MarkovChain

    Notes
    -----
    The likelihood of the next purchases given the shares before them; each purchase comes from one of the
    interests that a user had, and which one is summed over.

    What is new to a user can come from a move or from the average that is added to the state. On the shrunk
    state it is nearly all put down to the average, and the chain comes out as staying. To find moves, leave
    the state raw and let the priors be learned; where interest changes within weeks, the half-life has to be
    shorter than that. The defaults are for baskets of households, where hardly anything moves.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2], "basket_id": range(4), "weight": 1.0,
    ...                     "category": ["tea", "milk", "milk", "ham"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-09"] * 2)})
    >>> moves = [move_at(log, pd.Timestamp("2017-01-08"), 7, interests=pd.Index(["ham", "milk", "tea"]))]
    >>> MarkovForecast(shrinkage=0, strength=1.0, stay=0.0).fit(moves).predict(moves[0]).round(1).tolist()
    [[0.2, 0.7, 0.1], [0.7, 0.2, 0.1]]
    """

    def __init__(
        self,
        half_life_days: float | None = 120.0,
        shrinkage: float = 40.0,
        strength: float | None = 10_000.0,
        stay: float | None = 0.9,
    ) -> None:
        self.half_life_days = half_life_days
        self.shrinkage = shrinkage
        self.strength = strength
        self.stay = stay

    def state(self, move: Move) -> Floats:
        """State at the moment, shape (n_users, n_interests), rows adding up to one."""
        weights = move.decayed(self.half_life_days)
        population = shares(weights.sum(axis=0) + 1.0 / weights.shape[1])
        empty = weights.sum(axis=1, keepdims=True) == 0
        return shares(weights + np.maximum(self.shrinkage, empty) * population)

    def fit(self, moves: Sequence[Move]) -> MarkovForecast:
        """Learn the chain from moves whose future is known."""
        self.interests_ = moves[0].interests
        for move in moves:
            same_interests(move, self.interests_)
        before = np.vstack([self.state(move) for move in moves])
        after = np.vstack([move.next_shares if move.future is None else move.future for move in moves])
        self.chain_ = MarkovChain(self.strength, self.stay, self.strength).fit(before, after)
        return self

    def predict(self, move: Move) -> Floats:
        """Forecast shares, shape (n_users, n_interests)."""
        same_interests(move, self.interests_)
        return shares(self.state(move) @ self.chain_.transition_)
