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

PART_PAIRS = 8192  # pairs that are worked on at a time where nothing is learned, so that memory stays small
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

    def __getitem__(self, pairs: slice | Tensor) -> Block:
        """Some of the pairs; by a slice nothing is copied."""
        columns = (self.features, self.categories, self.sums, self.returned)
        if isinstance(pairs, slice):
            return Block(*(column[pairs] for column in columns))
        return Block(*(column.index_select(0, pairs) for column in columns))  # faster than column[pairs]


@dataclass(frozen=True)
class Training:
    """How the network is trained.

    Attributes
    ----------
    learning_rate : float
        Largest step of AdamW; steps grow to it and shrink again (one cycle).
    weight_decay : float
        Share of every weight that AdamW takes away in a step of that size.
    batch_size : int
        Pairs in a step, about; a small log takes smaller batches, to have a hundred steps.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 1e-5
    batch_size: int = 8192


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
    n_hidden : int
        Width of the first hidden layer; the second has half of it.
    n_embedding : int
        Coordinates of a category.
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
        self.rate_sees, self.weight_sees = torch.tensor(rate_sees).float(), torch.tensor(weight_sees).float()
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
        if sums.shape[1] == 1:  # nothing to share out
            shares = torch.ones_like(sums)
        else:
            seen = torch.cat([features * self.rate_sees, category], dim=1)
            shares = torch.softmax(self.rate(seen), dim=1)
        known = category * self.weight_by_category
        log_weight = self.weight(torch.cat([features * self.weight_sees, known], dim=1))[:, 0]
        return log_weight + torch.log((shares * sums).sum(dim=1) + 1e-9), log_weight, shares


def _layers(n_in: int, n_hidden: int, start: Tensor) -> nn.Sequential:
    """Two hidden layers; the last one starts with the same answer for all pairs."""
    last = nn.Linear(n_hidden // 2, len(start))
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(start)
    wide, narrow = nn.Linear(n_in, n_hidden), nn.Linear(n_hidden, n_hidden // 2)
    return nn.Sequential(wide, nn.ReLU(inplace=True), narrow, nn.ReLU(inplace=True), last)


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
    starts = range(0, len(shares), PART_PAIRS)
    found = [_half_is_left(shares[start : start + PART_PAIRS], parts, finite) for start in starts]
    return np.concatenate([np.empty(0), *found])


def _half_is_left(shares: Floats, parts: Floats, finite: Floats) -> Floats:
    """The same by bisection, for some of the rows."""
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
    of_block = [_mean_and_spread(block.features) for block in blocks[:-1]]
    mean, spread = (torch.stack(each).mean(dim=0).float() for each in zip(*of_block, strict=True))
    for block in blocks:
        block.features.sub_(mean).div_(spread + 1e-6)


def _mean_and_spread(features: Tensor) -> tuple[Tensor, Tensor]:
    exact = features.double()
    return exact.mean(dim=0), exact.std(dim=0)


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


def _losses(network: RateNetwork, block: Block) -> Tensor:
    """Negative log-likelihood of who came back, with probability ``1 - exp(-interest)``, of every pair."""
    log_interest, _, _ = network(block.features, block.categories, block.sums)
    interest = torch.exp(log_interest.clamp(-16.0, 4.0))
    back = torch.log(-torch.expm1(-interest))
    return -torch.where(block.returned > 0, back, -interest)


def train(
    network: RateNetwork, pairs: Block, n_epochs: int, seed: int, judge: Block | None, how: Training
) -> list[float]:
    """Fit in place; the judge's mean loss after every epoch."""
    n = len(pairs.returned)
    n_batches = max(n // how.batch_size, min(n // 64, 100), 1)  # a small log needs its steps too
    optimiser = torch.optim.AdamW(network.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, how.learning_rate, total_steps=n_epochs * n_batches + 1
    )
    order = np.random.default_rng(seed)
    losses = []
    for _ in range(n_epochs):
        for batch in np.array_split(order.permutation(n), n_batches):
            loss = _losses(network, pairs[torch.from_numpy(batch)]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        if judge is not None:
            with torch.no_grad():
                losses.append(float(torch.cat([_losses(network, part) for part in _parts(judge)]).mean()))
    return losses


def _parts(block: Block) -> Iterator[Block]:
    """The pairs, some at a time."""
    for start in range(0, len(block.returned), PART_PAIRS):
        yield block[start : start + PART_PAIRS]


def predict(network: RateNetwork, block: Block) -> tuple[Floats, Floats, Floats]:
    """Log interest, log weight and shares of every pair."""
    with torch.no_grad():
        parts = [network(part.features, part.categories, part.sums) for part in _parts(block)]
    columns = [torch.cat(column).double().numpy() for column in zip(*parts, strict=True)]
    return columns[0], columns[1], columns[2]
