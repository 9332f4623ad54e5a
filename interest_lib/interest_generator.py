"""A generator that makes up interests of newcomers, and a discriminator that tells them from real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn

from interest_lib.history import Floats
from interest_lib.interest_network import UserRows
from interest_lib.rate_network import one_thread

_BATCH: Final = 256
_EVIDENCE: Final = 20.0  # interests of which a bag of first baskets reaches half of its length, squared


@dataclass(frozen=True)
class Contest:
    """How generator and discriminator are trained against each other.

    Attributes
    ----------
    n_factors : int
        Length of an interest vector.
    n_noise : int
        Random numbers that a vector is made from, beside what is known.
    n_hidden : int
        Width of both networks.
    n_steps : int
        Steps of each of the two.
    learning_rate : float
        Of Adam, for both.
    """

    n_factors: int = 16
    n_noise: int = 16
    n_hidden: int = 128
    n_steps: int = 1500
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Diversity:
    """Whether made-up vectors are as varied as real ones, on users that nothing was learned from.

    Attributes
    ----------
    spread : float
        Standard deviation of made-up vectors over that of real ones, mean over the factors; 1 is as varied.
    spread_of_one : float
        The same among vectors made up for one user, over the spread of all real ones: 0 means that the noise
        is ignored.
    told_apart : float
        Accuracy of the discriminator that was trained along, on as many real as made-up vectors.
    """

    spread: float
    spread_of_one: float
    told_apart: float


class InterestGenerator:
    """A conditional generative adversarial network over factors of interest.

    An interest vector is what a user buys later, in the factors of a truncated SVD. The generator makes one
    from noise and what is known (first baskets in the same factors, attributes); the discriminator sees the
    same and tells real ones from made-up ones.

    Parameters
    ----------
    contest : Contest
    random_state : int

    References
    ----------
    Goodfellow et al. (2014), Generative Adversarial Nets; Mirza and Osindero (2014), Conditional Generative
    Adversarial Nets.
    """

    def __init__(self, contest: Contest | None = None, random_state: int = 0) -> None:
        self.contest = contest or Contest()
        self.random_state = random_state

    def fit(self, rows: UserRows) -> InterestGenerator:
        """Learn from users who play newcomers: what was known early, and the label ``products``."""
        how, products = self.contest, rows.labels["products"]
        real = normalize(products)
        n_factors = min(how.n_factors, min(real.shape) - 1)
        _, _, factors = randomized_svd(real, n_factors, random_state=self.random_state)
        self.factors_ = np.asarray(factors, np.float64)
        vectors = np.asarray(real @ self.factors_.T)
        self.mean_, self.scale_ = vectors.mean(axis=0), vectors.std(axis=0) + 1e-9
        with one_thread():
            torch.manual_seed(self.random_state)
            known, wanted = _tensor(self._known(rows)), _tensor((vectors - self.mean_) / self.scale_)
            n_known = known.shape[1]
            self.generator_ = _network(n_known + how.n_noise, how.n_hidden, n_factors)
            self.discriminator_ = _network(n_known + n_factors, how.n_hidden, 1)
            self._contend(known, wanted)
        return self

    def _known(self, rows: UserRows) -> Floats:
        """First baskets in the factors, shorter where they hold little; how much they hold; attributes."""
        bag = rows.interests[:, : self.factors_.shape[1]].log1p()
        squares = np.asarray(bag.multiply(bag).sum(axis=1))
        inside = (bag @ self.factors_.T) / np.sqrt(squares + _EVIDENCE)
        held = np.log1p(np.asarray(rows.interests.sum(axis=1))) / 5.0
        return np.hstack([5.0 * inside, held, rows.attributes.toarray()])

    def _contend(self, known: Tensor, wanted: Tensor) -> None:
        """One step of the discriminator, one of the generator, in turn."""
        how, order = self.contest, np.random.default_rng(self.random_state)
        nets = (self.generator_, self.discriminator_)
        makes, judges = (torch.optim.Adam(net.parameters(), how.learning_rate, (0.5, 0.9)) for net in nets)
        for _ in range(how.n_steps):
            chosen = torch.from_numpy(order.integers(0, len(known), _BATCH))
            given, real = known[chosen], wanted[chosen]
            made = self._make(given)
            loss = _contrast(self._says(given, real), self._says(given, made.detach()))
            _step(judges, loss + self._steepness(given, real))
            _step(makes, nn.functional.softplus(-self._says(given, made)).mean())

    def _make(self, known: Tensor) -> Tensor:
        return self.generator_(torch.cat([known, torch.randn(len(known), self.contest.n_noise)], dim=1))

    def _says(self, known: Tensor, vectors: Tensor) -> Tensor:
        return self.discriminator_(torch.cat([known, vectors], dim=1))[:, 0]

    def _steepness(self, known: Tensor, real: Tensor) -> Tensor:
        """Squared gradient at real vectors: without it the two circle around each other (Mescheder 2018)."""
        real = real.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(self._says(known, real).sum(), real, create_graph=True)
        return 0.5 * (slope**2).sum(dim=1).mean()

    def draw(self, rows: UserRows, n_draws: int, seed: int) -> Floats:
        """Interest vectors made up for users, shape (n_draws, n_rows, n_factors), in standard deviations."""
        with one_thread(), torch.no_grad():
            torch.manual_seed(seed)
            known = _tensor(self._known(rows))
            return torch.stack([self._make(known) for _ in range(n_draws)]).double().numpy()

    def shares(self, rows: UserRows, n_draws: int = 20, seed: int = 0) -> Floats:
        """Products that the mean of some made-up vectors stands for.

        Returns
        -------
        ndarray of float, shape (n_rows, n_products)
            Not negative, rows sum to one.
        """
        vectors = self.draw(rows, n_draws, seed).mean(axis=0) * self.scale_ + self.mean_
        worth = np.maximum(vectors @ self.factors_, 0.0) + 1e-12
        return worth / worth.sum(axis=1, keepdims=True)

    def diversity(self, rows: UserRows, seed: int = 0) -> Diversity:
        """How varied made-up vectors are, for users that nothing was learned from, with their labels."""
        real = np.asarray(normalize(rows.labels["products"]) @ self.factors_.T - self.mean_) / self.scale_
        made = self.draw(rows, 10, seed)
        with one_thread(), torch.no_grad():
            known = _tensor(self._known(rows))
            right = (self._says(known, _tensor(real)) > 0, self._says(known, _tensor(made[0])) <= 0)
        spread = real.std(axis=0)
        return Diversity(
            float((made[0].std(axis=0) / spread).mean()),
            float((made.std(axis=0, ddof=1).mean(axis=0) / spread).mean()),
            float(torch.cat(right).double().mean()),
        )


def _network(n_in: int, n_hidden: int, n_out: int) -> nn.Sequential:
    slope = 0.2
    return nn.Sequential(
        *(nn.Linear(n_in, n_hidden), nn.LeakyReLU(slope)),
        *(nn.Linear(n_hidden, n_hidden), nn.LeakyReLU(slope)),
        nn.Linear(n_hidden, n_out),
    )


def _contrast(real: Tensor, made: Tensor) -> Tensor:
    """Loss of the discriminator: real ones should be called real, made-up ones made up."""
    return nn.functional.softplus(-real).mean() + nn.functional.softplus(made).mean()


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _tensor(values: Floats | sp.csr_matrix) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))
