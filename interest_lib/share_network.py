"""The end that all networks for shares have in common, and their training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from interest_lib.history import Bools, Floats, Ints
from interest_lib.migration import shares
from interest_lib.move_rows import N_OWN, Rows, batches

_N_FOLDS: Final = 5
_STAYS: Final = -2.0  # where the gate starts: one in eight moves


class ShareHead(nn.Module):
    """A forecast corrected: ``log base + own' w + h1' Q h2``, and a softmax over the interests.

    `h1` is the user's state, `h2` an interest, and `Q` has low rank: ``h1' Q h2`` is ``(h1' A) V``. The
    weights `w` of the user's own history are the same for all, plus a part by interest, plus a part by state.
    With `gate` the user stays or moves: with a probability that the state sets the shares are
    ``softmax(log population + h1' Q h2)``, otherwise ``softmax(log base + own' w)``.

    Parameters
    ----------
    n_state, n_interests, rank : int
        Sizes of `h1`, `h2` and of Q; rank 0 leaves Q out.
    own, gate : bool
        Whether the user's own history, and the gate, are there.
    """

    def __init__(self, n_state: int, n_interests: int, rank: int, own: bool, gate: bool) -> None:
        super().__init__()
        self.rank, self.sees_own, self.has_gate = rank, own, gate
        self.left = nn.Parameter(torch.randn(n_state, rank) / max(n_state, 1) ** 0.5)
        self.right = nn.Parameter(torch.zeros(rank, n_interests))
        self.own = nn.Parameter(torch.zeros(N_OWN))
        self.own_of_interest = nn.Parameter(torch.zeros(n_interests, N_OWN))
        self.own_of_state = nn.Parameter(torch.zeros(n_state, N_OWN))
        self.gate = nn.Parameter(torch.zeros(n_state + 1))

    def forward(self, rows: Rows, state: Tensor) -> Tensor:
        """Logarithm of the shares, shape (n, n_interests)."""
        stays, moves = rows.log_base, state @ self.left @ self.right
        if self.sees_own:
            weights = (self.own + state @ self.own_of_state)[:, None] + self.own_of_interest
            stays = stays + (rows.own * weights).sum(dim=2)
        if not self.has_gate:
            return torch.log_softmax(stays + moves, dim=1)
        moving = (state @ self.gate[1:] + self.gate[0] + _STAYS)[:, None]
        parts = (torch.log_softmax(stays, dim=1), torch.log_softmax(rows.log_population + moves, dim=1))
        sigmoid = nn.functional.logsigmoid
        return torch.logaddexp(parts[0] + sigmoid(-moving), parts[1] + sigmoid(moving))

    def squares(self) -> tuple[Tensor, Tensor]:
        """Sums of squares, for the penalty: of A and V, and of the weights by interest and by state."""
        own = (self.own_of_interest**2).sum() + (self.own_of_state**2).sum()
        return (self.left**2).sum() + (self.right**2).sum(), own


@dataclass(frozen=True)
class Fitting:
    """How networks are fitted.

    Attributes
    ----------
    n_networks : int
        Networks, each judged on another fifth of the users, which it does not learn from.
    n_epochs, patience : int
        Passes at most, and passes without a better judgement after which it ends.
    learning_rate : float
        Step of Adam.
    batch_size : int
        Rows in a step.
    penalty, own_penalty : float
        Of the squares of A and V, and of the weights by interest and by state; divided by the number of
        rows, as the precision of a normal prior is.
    random_state : int
        Draws users, start values and batches.
    """

    n_networks: int
    n_epochs: int
    patience: int
    learning_rate: float
    batch_size: int
    penalty: float
    own_penalty: float
    random_state: int

    @classmethod
    def of(cls, model: BaseEstimator) -> Fitting:
        """As the parameters of these names say."""
        return cls(**{field.name: getattr(model, field.name) for field in fields(cls)})


def fit_networks(
    make: Callable[[], nn.Module], rows: Rows, seen: Any, users: Ints, sizes: Ints, how: Fitting
) -> list[nn.Module]:
    """Networks fitted by the log loss of the shares, each as it was when its judges liked it best.

    Every move and interest has a free bias while the networks learn: what the season does to everybody. It is
    not kept, as the next season is another one.

    Parameters
    ----------
    make : callable
        Makes a network with an attribute `head` (a `ShareHead`); called with rows and what it sees of them,
        it gives the logarithm of the shares and a loss of its own to add, or zero.
    rows : Rows
    seen : anything that gives some of its rows by their places
        What the network reads besides.
    users : ndarray of int, shape (n,)
        Who the row is about: nobody is learned from and judged on at once.
    sizes : ndarray of int, shape (n,)
        Batches hold rows of similar size.
    how : Fitting

    Returns
    -------
    list of torch.nn.Module
    """
    names, place = np.unique(users, return_inverse=True)
    fold = (np.random.default_rng(how.random_state).permutation(len(names)) % _N_FOLDS)[place]
    found = []
    for number in range(how.n_networks):
        judges = fold == number % _N_FOLDS
        if judges.all() or not judges.any():
            judges = np.zeros(len(fold), dtype=bool)  # too few users to part them
        torch.manual_seed(how.random_state + number)
        network = make()
        _fit(network, rows, seen, judges, sizes, how, np.random.default_rng([how.random_state, number]))
        found.append(network)
    return found


def _fit(
    network: nn.Module,
    rows: Rows,
    seen: Any,
    judges: Bools,
    sizes: Ints,
    how: Fitting,
    draw: np.random.Generator,
) -> None:
    season = nn.Parameter(torch.zeros(int(rows.move.max()) + 1, rows.shares.shape[1]))
    optimiser = torch.optim.Adam([*network.parameters(), season], lr=how.learning_rate)
    learned, judged = np.flatnonzero(~judges), np.flatnonzero(judges if judges.any() else ~judges)
    best, kept, since = np.inf, copy.deepcopy(network.state_dict()), 0
    for _ in range(how.n_epochs):
        network.train()
        for places in batches(learned, sizes, how.batch_size, draw):
            loss, side = _losses(network, rows, seen, places, season)
            squares = network.head.squares()  # type: ignore[union-attr, operator]
            prior = (how.penalty * squares[0] + how.own_penalty * squares[1]) / len(learned)
            optimiser.zero_grad()
            (loss.mean() + side + prior).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        network.eval()
        with torch.no_grad():
            parts = [
                _losses(network, rows, seen, p, season)[0]
                for p in batches(judged, sizes, how.batch_size, None)
            ]
        score = float(torch.cat(parts).double().mean())
        since += 1
        if score < best - 1e-6:
            best, kept, since = score, copy.deepcopy(network.state_dict()), 0
        elif since >= how.patience:
            break
    network.load_state_dict(kept)
    network.eval()


def _losses(network: nn.Module, rows: Rows, seen: Any, places: Ints, season: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted log loss of every row, and the network's own loss."""
    some = rows[places]
    bias = season[some.move]
    shifted = replace(some, log_base=some.log_base + bias, log_population=some.log_population + bias)
    log_shares, side = network(shifted, seen[places])
    return -some.weight / rows.weight.mean().clamp(min=1e-9) * (some.shares * log_shares).sum(dim=1), side


def mean_forecast(networks: Sequence[nn.Module], rows: Rows, seen: Any, sizes: Ints, keep: bool) -> Floats:
    """Mean of the networks' shares; with `keep` the population's shares stay where the base has them.

    Corrections of single users shift their mean as well, which nobody asked them to; it is taken back by
    factors on the interests.
    """
    base = rows.log_base.double().exp().numpy()
    forecasts = []
    for network in networks:
        found = np.empty(base.shape)
        with torch.no_grad():
            for places in batches(np.arange(len(base)), sizes, 256, None):
                found[places] = network(rows[places], seen[places])[0].double().exp().numpy()
        for _ in range(20 if keep else 0):
            found = shares(found * (base.mean(axis=0) / found.mean(axis=0)))
        forecasts.append(shares(found))
    return np.asarray(np.mean(forecasts, axis=0))
