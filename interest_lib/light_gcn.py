"""LightGCN: vectors of users and items, smoothed over the graph of who had what."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from interest_lib.factorisation import FactorRecommender, pair_weights
from interest_lib.history import History
from interest_lib.rate_network import one_thread

_INIT = 0.1


class LightGCN(FactorRecommender):
    """Factorisation whose vectors are means over the graph of users and items, learned by pairs (BPR).

    A vector is the mean of what was learned for it and of what `n_layers` steps along the edges bring to it;
    an edge counts ``weight / sqrt(edges of the user * edges of the item)``, summed by weight.

    Parameters
    ----------
    n_factors : int
        Length of a user's and an item's vector.
    n_layers : int
        Steps along the graph; 0 is plain factorisation.
    n_updates : int
        Steps of Adam: what training costs, whatever the log.
    batch_size : int
        Pairs of a step, each against one item that is drawn.
    learning_rate : float
        Of Adam.
    penalty : float
        L2 penalty of the learned vectors of a step's users and items.
    weights : {"ones", "counts"}
        What an edge weighs and how often it is drawn: all alike, or ``log(1 + count)``.
    half_life_days, half_life_baskets : float or None
        Half-life of an event in the counts, in one of the two units; None counts every event fully.
    random_state : int
        Seed of start values and draws.

    References
    ----------
    He et al. (2020), LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["tea", "cup", "tea", "cup", "tea"],
    ...                     "timestamp": pd.date_range("2017-01-01", periods=5, freq="9D")})
    >>> history = history_before(log, pd.Timestamp("2017-02-09"), min_users_per_item=1)
    >>> model = LightGCN(n_factors=4, n_updates=20, batch_size=32).fit(history)
    >>> model.recommend([3], k=1, exclude_seen=True)["item_id"].tolist()
    ['cup']
    """

    def __init__(
        self,
        n_factors: int = 64,
        n_layers: int = 2,
        n_updates: int = 150,
        batch_size: int = 16_384,
        learning_rate: float = 0.03,
        penalty: float = 1e-3,
        weights: str = "ones",
        half_life_days: float | None = None,
        random_state: int = 0,
        half_life_baskets: float | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.n_layers = n_layers
        self.n_updates = n_updates
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.penalty = penalty
        self.weights = weights
        self.half_life_days = half_life_days
        self.random_state = random_state
        self.half_life_baskets = half_life_baskets

    def _learn(self, history: History) -> None:
        edges = pair_weights(history, self.weights, self.half_life_days, self.half_life_baskets)
        if self.weights == "counts":
            edges = edges.log1p()
        graph = _graph(edges)
        n_users, n_items = edges.shape
        with one_thread():
            torch.manual_seed(self.random_state)
            learned = (_INIT * torch.randn(n_users + n_items, self.n_factors)).requires_grad_()
            self.losses_ = self._trained(learned, graph, edges)
            with torch.no_grad():
                vectors = self._smoothed(learned, graph).numpy().astype(np.float64)
        self.user_factors_, self.item_factors_ = vectors[:n_users], vectors[n_users:]

    def _trained(self, learned: Tensor, graph: sp.csr_matrix, edges: sp.csr_matrix) -> list[float]:
        """Train the vectors in place; the mean loss of every step."""
        rng = np.random.default_rng(self.random_state)
        n_users, n_items = edges.shape
        row = np.repeat(np.arange(n_users), np.diff(edges.indptr))
        until = np.cumsum(edges.data) / edges.data.sum()
        optimiser = torch.optim.Adam([learned], lr=self.learning_rate)
        losses = []
        for _ in range(self.n_updates):
            drawn = np.minimum(np.searchsorted(until, rng.random(self.batch_size)), len(row) - 1)
            other = rng.integers(n_items, size=self.batch_size)
            triple = np.concatenate([row[drawn], n_users + edges.indices[drawn], n_users + other])
            places = torch.from_numpy(triple.astype(np.int64))
            user, had, not_had = self._smoothed(learned, graph)[places].chunk(3)
            margin = (user * (had - not_had)).sum(dim=1)
            loss = torch.nn.functional.softplus(-margin).mean()
            size = learned[places].square().sum() / self.batch_size
            optimiser.zero_grad()
            (loss + self.penalty * size).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(float(loss.detach()))
        return losses

    def _smoothed(self, learned: Tensor, graph: sp.csr_matrix) -> Tensor:
        layer, total = learned, learned
        for _ in range(self.n_layers):
            layer = _Along.apply(layer, graph)  # type: ignore[no-untyped-call]
            total = total + layer
        return total / (self.n_layers + 1)


class _Along(torch.autograd.Function):
    """One step along the edges; the graph is symmetric, so gradients go back the same way."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, graph: sp.csr_matrix) -> Tensor:
        ctx.graph = graph
        return torch.from_numpy(graph @ vectors.detach().numpy())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return torch.from_numpy(ctx.graph @ gradients[0].contiguous().numpy()), None


def _graph(edges: sp.csr_matrix) -> sp.csr_matrix:
    """Edges between users and items both ways, users first, scaled by the roots of the sums at both ends."""
    both = sp.bmat([[None, edges], [edges.T, None]], format="csr")
    root = sp.diags(1 / np.sqrt(np.maximum(np.asarray(both.sum(axis=1)).ravel(), 1e-12)))
    return sp.csr_matrix(root @ both @ root, dtype=np.float32)
