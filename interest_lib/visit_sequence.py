"""Where interest goes next by an LSTM over the sequence of a user's visits."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import torch
from sklearn.base import BaseEstimator
from torch import nn

from interest_lib.forecasts import Forecaster
from interest_lib.history import Floats
from interest_lib.move_rows import Rows, common_interests, rows_of, users_of
from interest_lib.moves import Move, same_interests
from interest_lib.rate_network import one_thread
from interest_lib.share_network import Fitting, fit_networks, mean_forecast
from interest_lib.visit_network import VisitData, VisitNetwork
from interest_lib.visit_table import Visits, kinds_of, visits_of


class VisitForecast(BaseEstimator):
    """Next shares by an LSTM that reads the last visits in order, as a correction of a simpler forecast.

    Each visit tells what was met (interests by kind of event), how much of it (events, units, money, share of
    discounts), what was taken off by offers and coupons, how many campaigns run, and when (gap to the visit
    before, age, hour, weekday). The LSTM's last state is the `h1` of `share_network.ShareHead`; on the way it
    learns to foretell the next visit, too.

    Parameters
    ----------
    base : Forecaster
        The forecast that is corrected.
    n_last : int
        Visits that are read of each user.
    rank, own, gate
        See `softmax_move.SoftmaxMove`.
    n_embedding, n_hidden : int
        Coordinates of an interest, and of the LSTM's state.
    next_visit : float
        Weight of the next visit's log loss in training.
    without : sequence of str
        Groups of `visit_table.INPUTS` that are not read, to see what they are worth.
    penalty, own_penalty, n_networks, n_epochs, patience, learning_rate, batch_size, random_state
        See `share_network.Fitting`.

    Attributes
    ----------
    networks_ : list of torch.nn.Module
    interests_ : pandas.Index
    kinds_ : list of str
        Kinds of events that are told apart.

    Notes
    -----
    The population's shares stay where the base has them, as in `softmax_move.SoftmaxMove`.

    Examples
    --------
    >>> from interest_lib.forecasts import ShrunkShares
    >>> VisitForecast(ShrunkShares(strength=80.0), n_last=60).get_params(deep=False)["n_last"]
    60
    """

    def __init__(
        self,
        base: Forecaster,
        n_last: int = 100,
        rank: int = 8,
        own: bool = True,
        gate: bool = True,
        n_embedding: int = 32,
        n_hidden: int = 48,
        next_visit: float = 0.1,
        without: Sequence[str] = (),
        penalty: float = 1.0,
        own_penalty: float = 10.0,
        n_networks: int = 2,
        n_epochs: int = 20,
        patience: int = 3,
        learning_rate: float = 3e-3,
        batch_size: int = 64,
        random_state: int = 0,
    ) -> None:
        self.base = base
        self.n_last = n_last
        self.rank = rank
        self.own = own
        self.gate = gate
        self.n_embedding = n_embedding
        self.n_hidden = n_hidden
        self.next_visit = next_visit
        self.without = without
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
        self.kinds_ = kinds_of(moves)
        self.base_ = copy.deepcopy(self.base).fit(moves)
        rows = self._rows(moves)
        self.spread_ = rows.spread
        visits = VisitData(self._visits(moves))
        self.scale_ = visits.scale
        log_population = torch.log(rows.shares.mean(dim=0) + 1e-6)

        def make() -> nn.Module:
            return VisitNetwork(
                *(len(self.scale_[0]), len(self.kinds_), log_population, self.rank, self.own, self.gate),
                *(self.n_embedding, self.n_hidden, self.next_visit),
            )

        with one_thread():
            scaled, users = rows.scaled(self.spread_), users_of(moves)
            self.networks_ = fit_networks(make, scaled, visits, users, visits.length, Fitting.of(self))
        return self

    def predict(self, move: Move) -> Floats:
        """Next shares, shape (n_users, n_interests), rows adding up to one; `move.future` is not read."""
        same_interests(move, self.interests_)
        rows = self._rows([replace(move, future=None)]).scaled(self.spread_)
        visits = VisitData(self._visits([move]), self.scale_)
        with one_thread():
            return mean_forecast(self.networks_, rows, visits, visits.length, keep=True)

    def _visits(self, moves: Sequence[Move]) -> list[Visits]:
        return [visits_of(move, self.n_last, self.kinds_, self.without) for move in moves]

    def _rows(self, moves: Sequence[Move]) -> Rows:
        return rows_of(moves, [self.base_.predict(move) for move in moves])
