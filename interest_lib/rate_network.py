"""The network behind dynamic decay: rate and weight of every pair, trained on who came back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from interest_lib.history import Floats

BATCH_PAIRS = 8192
LEARNING_RATE = 3e-3
START = 4  # place in the grid of the half-life that the network starts from


@dataclass(frozen=True)
class Block:
    """The pairs of one moment as the network reads them.

    Attributes
    ----------
    features : Tensor of float, shape (n_pairs, n_features)
    categories : Tensor of int, shape (n_pairs,)
    sums : Tensor of float, shape (n_pairs, n_rates)
        Decayed sums on the grid of half-lives.
    returned : Tensor of float, shape (n_pairs,)
        1 where the pair came back within the horizon.
    """

    features: Tensor
    categories: Tensor
    sums: Tensor
    returned: Tensor


class RateNetwork(nn.Module):
    """Rate and weight of a pair from its features and the embedding of its category.

    ``interest = weight * sum over k of share_k * S_k``, where `S_k` is the pair's decayed sum at the k-th
    half-life of a grid: what an event leaves is a mixture of exponentials whose shares the network sets.

    Parameters
    ----------
    rate_sees, weight_sees : sequence of bool, shape (n_features,)
        Features that the rate and the weight may read. Were the weight to read the time that has passed, it
        would decay by itself, and nobody could say what the rate does.
    n_categories, n_rates : int
    weight_by_category : bool
        Whether the weight may read the category.
    level : float
        Logarithm of returns per unit of interest at the start.
    """

    def __init__(
        self,
        rate_sees: Sequence[bool],
        weight_sees: Sequence[bool],
        n_categories: int,
        n_rates: int,
        weight_by_category: bool,
        level: float,
        n_hidden: int = 64,
        n_embedding: int = 8,
    ) -> None:
        super().__init__()
        self.weight_by_category = weight_by_category
        self.rate_sees, self.weight_sees = torch.tensor(rate_sees), torch.tensor(weight_sees)
        width = len(rate_sees) + n_embedding
        self.embedding = nn.Embedding(n_categories, n_embedding)
        nn.init.normal_(self.embedding.weight, std=0.05)
        start = torch.zeros(n_rates)
        start[min(START, n_rates - 1)] = 2.0
        self.rate = _layers(width, n_hidden, start)
        self.weight = _layers(width, n_hidden, torch.tensor([level]))

    def forward(self, features: Tensor, categories: Tensor, sums: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logarithm of interest, logarithm of the weight, and the shares of the half-lives, of every pair."""
        category = self.embedding(categories)
        shares = torch.softmax(self.rate(torch.cat([features * self.rate_sees, category], dim=1)), dim=1)
        known = category * self.weight_by_category
        log_weight = self.weight(torch.cat([features * self.weight_sees, known], dim=1))[:, 0]
        return log_weight + torch.log((shares * sums).sum(dim=1) + 1e-9), log_weight, shares


def _layers(n_in: int, n_hidden: int, start: Tensor) -> nn.Sequential:
    """Two hidden layers; the last one starts with the same answer for all pairs."""
    last = nn.Linear(n_hidden // 2, len(start))
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(start)
    hidden = (nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_hidden // 2), nn.ReLU())
    return nn.Sequential(*hidden, last)


def mixture_half_life(shares: Floats, half_lives: Sequence[float]) -> Floats:
    """Age at which a mixture of exponentials has half of its height.

    Parameters
    ----------
    shares : ndarray of float, shape (n, n_rates)
        Not negative, rows sum to one.
    half_lives : sequence of float
        Of the parts, in any unit; infinity for a part that stays.

    Returns
    -------
    ndarray of float, shape (n,)
        In the same unit; infinite where half or more stays for ever.

    Examples
    --------
    >>> mixture_half_life(np.array([[1.0, 0.0], [0.5, 0.5], [0.75, 0.25]]), [30.0, np.inf]).round(2)
    array([30.  ,   inf, 47.55])
    """
    parts = np.asarray(half_lives)
    finite = parts[np.isfinite(parts)]
    if not finite.size:
        return np.full(len(shares), np.inf)
    low = np.full(len(shares), math.log(finite.min()) - 1e-9)
    high = np.full(len(shares), math.log(finite.max()) + 12.0)
    for _ in range(40):
        middle = (low + high) / 2
        above = (shares * np.exp2(-np.exp(middle)[:, None] / parts)).sum(axis=1) > 0.5
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    stays = shares[:, np.isinf(parts)].sum(axis=1) >= 0.5
    return np.where(stays, np.inf, np.exp((low + high) / 2))


def standardise(blocks: Sequence[Block]) -> None:
    """Features in units of their spread at the moments of training, all but the last block, in place."""
    past = blocks[:-1]
    mean = torch.stack([block.features.double().mean(dim=0) for block in past]).mean(dim=0).float()
    spread = torch.stack([block.features.double().std(dim=0) for block in past]).mean(dim=0).float()
    for block in blocks:
        block.features.sub_(mean).div_(spread + 1e-6)


@contextmanager
def one_thread() -> Iterator[None]:
    """For a while one thread, deterministic algorithms, and random numbers apart from the caller's."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def _loss(network: RateNetwork, block: Block, pairs: Tensor | slice) -> Tensor:
    """Mean negative log-likelihood of who came back, with probability ``1 - exp(-interest)``."""
    log_interest, _, _ = network(block.features[pairs], block.categories[pairs], block.sums[pairs])
    interest = torch.exp(log_interest.clamp(-16.0, 4.0))
    back = torch.log(-torch.expm1(-interest))
    return -torch.where(block.returned[pairs] > 0, back, -interest).mean()


def train(
    network: RateNetwork,
    blocks: Sequence[Block],
    n_epochs: int,
    seed: int,
    judge: Block | None,
) -> list[float]:
    """Fit in place; the judge's loss after every epoch."""
    every = _together(blocks)
    n = len(every.returned)
    n_batches = max(n // BATCH_PAIRS, min(n // 64, 100), 1)  # a small log needs its steps too
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=n_epochs * n_batches + 1
    )
    order = np.random.default_rng(seed)
    losses = []
    for _ in range(n_epochs):
        for batch in np.array_split(order.permutation(n), n_batches):
            loss = _loss(network, every, torch.from_numpy(batch))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        if judge is not None:
            with torch.no_grad():
                losses.append(float(_loss(network, judge, slice(None))))
    return losses


def _together(blocks: Sequence[Block]) -> Block:
    columns = ("features", "categories", "sums", "returned")
    return Block(*(torch.cat([getattr(block, name) for block in blocks]) for name in columns))


def predict(network: RateNetwork, block: Block) -> tuple[Floats, Floats, Floats]:
    """Log interest, log weight and shares of every pair, some at a time."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(block.returned), 8 * BATCH_PAIRS):
            here = slice(start, start + 8 * BATCH_PAIRS)
            parts.append(network(block.features[here], block.categories[here], block.sums[here]))
    columns = [torch.cat(column).double().numpy() for column in zip(*parts, strict=True)]
    return columns[0], columns[1], columns[2]
