"""Where interest goes by a softmax of low rank: from a user's state and every candidate interest."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from interest_lib.forecasts import Forecaster
from interest_lib.history import Floats
from interest_lib.migration import shares
from interest_lib.move_rows import (
    Rows,
    common_interests,
    rows_of,
    user_state,
    users_of,
)
from interest_lib.moves import Move, same_interests
from interest_lib.rate_network import one_thread
from interest_lib.share_network import Fitting, ShareHead, fit_networks, mean_forecast


class SoftmaxMove(BaseEstimator):
    """Next shares by ``softmax(log base + own' w + h1' Q h2)``, with Q of low rank and learned.

    `h1` is the user's interest state: square roots of shares at some half-lives, less their mean over the
    users, and how much is known of the user. `h2` is the candidate interest. With Q and w at zero nothing
    moves: the forecast is the base. With no base and no `own` it is the bare model,
    ``P(T2 | T1) = softmax(b + h1' Q h2)``, `b` being the logarithm of the population's shares.

    Parameters
    ----------
    base : Forecaster or None
        The forecast that is corrected; None takes the population's shares for everybody.
    rank : int
        Rank of Q; 0 leaves it out.
    own : bool
        Whether the user's own shares at several half-lives, and how often and how long ago, may count anew.
    gate : bool
        Whether a user either stays, at the base, or moves, by Q; see `share_network.ShareHead`.
    half_lives_days : sequence of float or None
        Of the state; None: nothing fades.
    penalty, own_penalty : float
        Precision of the normal priors of Q's factors, and of the weights by interest and by state.
    n_networks, n_epochs, patience, learning_rate, batch_size, random_state
        See `share_network.Fitting`.

    Attributes
    ----------
    networks_ : list of torch.nn.Module
    interests_ : pandas.Index

    Notes
    -----
    With a base, the population's shares stay where the base has them: what the season did to everybody in the
    moves that were learned from is not carried over, see `share_network.fit_networks`.

    Examples
    --------
    >>> from interest_lib.forecasts import ShrunkShares
    >>> SoftmaxMove(ShrunkShares(half_life_days=90.0, strength=80.0), rank=4).get_params(deep=False)["rank"]
    4
    """

    def __init__(
        self,
        base: Forecaster | None = None,
        rank: int = 8,
        own: bool = True,
        gate: bool = False,
        half_lives_days: Sequence[float | None] = (30.0, 120.0),
        penalty: float = 1.0,
        own_penalty: float = 10.0,
        n_networks: int = 2,
        n_epochs: int = 60,
        patience: int = 5,
        learning_rate: float = 3e-3,
        batch_size: int = 128,
        random_state: int = 0,
    ) -> None:
        self.base = base
        self.rank = rank
        self.own = own
        self.gate = gate
        self.half_lives_days = half_lives_days
        self.penalty = penalty
        self.own_penalty = own_penalty
        self.n_networks = n_networks
        self.n_epochs = n_epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.random_state = random_state

    def fit(self, moves: Sequence[Move]) -> Self:
        """Learn from moves whose future is known.

        Raises
        ------
        InputError
            No moves, moves with other interests, or one whose future is not known.
        """
        self.interests_ = common_interests(moves)
        self.base_ = None if self.base is None else copy.deepcopy(self.base).fit(moves)
        rows = self._rows(moves)
        self.spread_ = rows.spread
        state = torch.cat([user_state(move, self.half_lives_days) for move in moves])
        users, n_interests = users_of(moves), len(self.interests_)

        def make() -> nn.Module:
            return _SoftmaxNetwork(ShareHead(state.shape[1], n_interests, self.rank, self.own, self.gate))

        with one_thread():
            scaled, alike = rows.scaled(self.spread_), np.zeros(len(users), dtype=np.int64)
            self.networks_ = fit_networks(make, scaled, state, users, alike, Fitting.of(self))
        return self

    def predict(self, move: Move) -> Floats:
        """Next shares, shape (n_users, n_interests), rows adding up to one; `move.future` is not read."""
        same_interests(move, self.interests_)
        rows = self._rows([replace(move, future=None)]).scaled(self.spread_)
        state = user_state(move, self.half_lives_days)
        with one_thread():
            sizes = np.zeros(len(state), dtype=np.int64)
            return mean_forecast(self.networks_, rows, state, sizes, self.base_ is not None)

    def _rows(self, moves: Sequence[Move]) -> Rows:
        forecast = _population if self.base_ is None else self.base_.predict
        return rows_of(moves, [forecast(move) for move in moves])


class _SoftmaxNetwork(nn.Module):
    def __init__(self, head: ShareHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, rows: Rows, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(rows, state), torch.zeros(())


def _population(move: Move) -> Floats:
    return np.tile(shares(move.decayed(None).sum(axis=0)), (move.shape[0], 1))
