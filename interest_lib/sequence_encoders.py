"""Readers of item sequences: a convolution, an LSTM and a BERT-type transformer with one interface."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from interest_lib.item_sequences import PADDING
from interest_lib.schema import InputError, nearest

ENCODERS: Final = ("cnn", "lstm", "transformer")
"""Kinds of reader. The first two look back only; the transformer looks both ways and is asked at masks."""

Asked = tuple[Tensor, Tensor]
"""Windows and places in them at which a state is wanted, each of shape (n_asked,)."""

_INIT = 0.02


class ItemVectors(nn.Module):
    """The vector of an item: a projection of its content plus, if it is known, a vector of its own.

    Parameters
    ----------
    content : Tensor of float, shape (n_items, n_content)
        Such as text embeddings; no column at all leaves items to their own vectors.
    n_hidden : int
    known : Tensor of bool, shape (n_items,)
        Items somebody met before; the others have nothing but their content.
    own : bool
        Whether items have a vector of their own; without it, known and unknown items are treated alike.
    """

    def __init__(self, content: Tensor, n_hidden: int, known: Tensor, own: bool) -> None:
        super().__init__()
        self.register_buffer("content", content)
        self.register_buffer("has_own", known.float() * own)
        self.project = nn.Linear(content.shape[1], n_hidden, bias=False) if content.shape[1] else None
        if self.project is not None:  # content and own vectors of like size, so that neither drowns the other
            nn.init.normal_(self.project.weight, std=_INIT / math.sqrt(content.shape[1]))
        self.own = nn.Parameter(_INIT * torch.randn(len(content), n_hidden)) if own else None
        self.special = nn.Parameter(_INIT * torch.randn(1, n_hidden))  # the mask's

    def forward(self) -> Tensor:
        """Vectors by code: padding (zeros), the items, the mask; shape (n_items + 2, n_hidden)."""
        parts = [] if self.project is None else [self.project(self.content)]
        if self.own is not None:
            parts.append(self.own * self.get_buffer("has_own")[:, None])
        items = torch.stack(parts).sum(dim=0)
        return torch.cat([torch.zeros_like(self.special), items, self.special])


class SequenceNetwork(nn.Module):
    """Reads windows of item codes and scores every item at every place.

    Parameters
    ----------
    kind : {"cnn", "lstm", "transformer"}
    content : ndarray of float, shape (n_items, n_content)
        What is known of items beside who met them.
    known : ndarray of bool, shape (n_items,)
        Items that may be learned from; the others take no part in training.
    length : int
        Places of the longest window.
    n_hidden : int
        Coordinates of items and states.
    own : bool
        Whether an item has a learned vector and a learned level beside its content.
    dropout : float
        Share of inputs and of every layer's output that is dropped in training.
    met : ndarray of float or None, shape (n_items,)
        How many users to learn from met the item: levels start from its logarithm, so that an untrained
        network ranks by popularity; all alike if None.
    seed : int
        Of the first weights.

    Raises
    ------
    InputError
        For another kind, or where items would have no vector at all.

    Notes
    -----
    The convolutions look back with gaps of 1, 2, 4, 8 places (Yuan et al. 2019); the transformer is that
    of Sun et al. (2019). Output weights are the items' input vectors.

    Examples
    --------
    >>> network = SequenceNetwork("lstm", np.eye(3), np.ones(3, bool), length=4, n_hidden=8, seed=0)
    >>> tuple(network(torch.tensor([[0, 0, 1, 3]])).shape), tuple(network.scores(torch.zeros(2, 8)).shape)
    ((1, 4, 8), (2, 3))
    """

    def __init__(
        self,
        kind: str,
        content: npt.NDArray[np.floating],
        known: npt.NDArray[np.bool_],
        length: int = 50,
        n_hidden: int = 64,
        own: bool = True,
        dropout: float = 0.2,
        met: npt.NDArray[np.floating] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if kind not in ENCODERS:
            raise InputError(f"There is no encoder {kind!r}: {nearest(kind, ENCODERS)}")
        if not own and not content.shape[1]:
            raise InputError("Items have neither content nor a vector of their own: give one of them.")
        self.kind = kind
        self.settings: dict[str, object] = {
            "kind": kind,
            "n_items": len(content),
            "n_content": content.shape[1],
            "length": length,
            "n_hidden": n_hidden,
            "own": own,
            "dropout": dropout,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            known_items = torch.from_numpy(np.asarray(known, dtype=bool))
            self.items = ItemVectors(torch.from_numpy(content).float(), n_hidden, known_items, own)
            self.register_buffer("closed", torch.where(known_items, 0.0, -torch.inf))
            level = torch.zeros(len(content)) if met is None else torch.from_numpy(np.log1p(met)).float()
            self.level = nn.Parameter(level) if own else None
            # convolutions and LSTM know the order by themselves
            self.place = nn.Parameter(_INIT * torch.randn(length, n_hidden)) if kind == ENCODERS[2] else None
            self.first = nn.LayerNorm(n_hidden)
            self.drop = nn.Dropout(dropout)
            self.reader = _reader(kind, n_hidden, dropout)
            self.last = nn.LayerNorm(n_hidden)

    def forward(self, codes: Tensor, asked: Asked | None = None) -> Tensor:
        """States at every place, shape (n, length, n_hidden); or where asked, shape (n_asked, n_hidden)."""
        there = codes != PADDING
        inputs = self.items()[codes]
        if self.place is not None:
            inputs = inputs + self.place[-codes.shape[1] :]
        return self.last(self.reader(self.drop(self.first(inputs)) * there[..., None], there, asked))

    def scores(self, states: Tensor) -> Tensor:
        """Score of every item, shape (n, n_items)."""
        told = states @ self.items()[1:-1].T
        return told if self.level is None else told + self.level * self.items.get_buffer("has_own")

    def log_shares(self, states: Tensor) -> Tensor:
        """Logarithm of the chance of every known item; what is unknown is no rival to it."""
        told, closed = self.scores(states), self.get_buffer("closed")
        return torch.log_softmax(told + closed if closed.any() else told, dim=1)


def content_columns(vectors: npt.NDArray[np.floating], n_columns: int = 64) -> npt.NDArray[np.float32]:
    """The main directions of items' text vectors, of spread one together: small inputs for a small network.

    Examples
    --------
    >>> content_columns(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), n_columns=1).shape
    (3, 1)
    """
    apart = np.asarray(vectors, dtype=np.float64) - vectors.mean(axis=0)
    values, directions = np.linalg.eigh(apart.T @ apart)
    chosen = directions[:, np.argsort(-values, kind="stable")[:n_columns]]
    chosen = chosen * np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
    content = apart @ chosen
    spread = content.std()
    return (content / (spread if spread > 0 else 1.0)).astype(np.float32)


def blank_network(n_items: int, n_content: int, **settings: Any) -> SequenceNetwork:
    """A network of the same form, for `weights.load_network` to fill; ``network.settings`` are its arguments.

    Examples
    --------
    >>> network = SequenceNetwork("cnn", np.eye(3), np.ones(3, bool), n_hidden=8)
    >>> blank_network(**network.settings).settings == network.settings
    True
    """
    content = np.zeros((n_items, n_content), dtype=np.float32)
    return SequenceNetwork(content=content, known=np.ones(n_items, dtype=bool), **settings)


def _reader(kind: str, n_hidden: int, dropout: float) -> nn.Module:
    if kind == "cnn":
        return _Convolutions(n_hidden, dropout)
    return _Lstm(n_hidden, dropout) if kind == "lstm" else _Transformer(n_hidden, dropout)


class _Convolutions(nn.Module):
    """Residual convolutions that look back 3 places, with growing gaps between them."""

    def __init__(self, n_hidden: int, dropout: float, gaps: tuple[int, ...] = (1, 2, 4, 8)) -> None:
        super().__init__()
        self.gaps = gaps
        self.layers = nn.ModuleList(nn.Conv1d(n_hidden, n_hidden, 3, dilation=gap) for gap in gaps)
        self.norms = nn.ModuleList(nn.LayerNorm(n_hidden) for _ in gaps)
        self.drop = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, there: Tensor, asked: Asked | None) -> Tensor:
        states = inputs
        for gap, layer, norm in zip(self.gaps, self.layers, self.norms, strict=True):
            before = nn.functional.pad(norm(states).transpose(1, 2), (2 * gap, 0))
            states = states + self.drop(torch.relu(layer(before).transpose(1, 2))) * there[..., None]
        return states if asked is None else states[asked]


class _Lstm(nn.Module):
    def __init__(self, n_hidden: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_hidden, n_hidden, batch_first=True)
        self.project = nn.Linear(n_hidden, n_hidden)
        self.drop = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, there: Tensor, asked: Asked | None) -> Tensor:
        states = self.lstm(inputs)[0]
        return self.project(self.drop(states if asked is None else states[asked]))


class _Transformer(nn.Module):
    """Two layers of self-attention, in both directions; padding is not looked at."""

    def __init__(self, n_hidden: int, dropout: float, n_layers: int = 2, n_heads: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Attention(n_hidden, dropout, n_heads) for _ in range(n_layers))

    def forward(self, inputs: Tensor, there: Tensor, asked: Asked | None) -> Tensor:
        *before, last = self.layers
        states = inputs
        for layer in before:
            states = layer(states, states, there)
        if asked is None:
            found: Tensor = last(states, states, there)
            return found
        # nobody reads the other places of the last layer, and they would be most of its work
        at, slot = _by_row(*asked, len(inputs))
        some = states.take_along_dim(at[..., None], dim=1)
        found = last(some, states, there)
        return found[asked[0], slot]


class _Attention(nn.Module):
    """What some places see in all places of their window, and what they make of it."""

    def __init__(self, n_hidden: int, dropout: float, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(n_hidden)
        self.ask = nn.Linear(n_hidden, n_hidden)
        self.offer = nn.Linear(n_hidden, 2 * n_hidden)
        self.join = nn.Linear(n_hidden, n_hidden)
        self.think = nn.Sequential(
            nn.LayerNorm(n_hidden),
            nn.Linear(n_hidden, 2 * n_hidden),
            nn.GELU(),
            nn.Linear(2 * n_hidden, n_hidden),
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, some: Tensor, states: Tensor, there: Tensor) -> Tensor:
        normed = self.norm(states)
        asking = normed if some is states else self.norm(some)
        query = self._heads(self.ask(asking))
        key, value = map(self._heads, self.offer(normed).chunk(2, dim=2))
        # a window of padding alone sees itself, so that nothing is 0 / 0
        may_look = there | ~there.any(dim=1, keepdim=True)
        seen = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=may_look[:, None, None, :]
        )
        joined = some + self.drop(self.join(seen.transpose(1, 2).flatten(2)))
        found: Tensor = joined + self.drop(self.think(joined))
        return found

    def _heads(self, vectors: Tensor) -> Tensor:
        """From (n, length, width) to (n, n_heads, length, width of a head)."""
        return vectors.view(*vectors.shape[:2], self.n_heads, vectors.shape[2] // self.n_heads).transpose(
            1, 2
        )


def _by_row(row: Tensor, place: Tensor, n_rows: int) -> tuple[Tensor, Tensor]:
    """Places in a table, one line for each row and filled up with place 0, and where in its line each went.

    Examples
    --------
    >>> _by_row(torch.tensor([0, 1, 0]), torch.tensor([5, 6, 7]), 2)
    (tensor([[5, 7],
            [6, 0]]), tensor([0, 0, 1]))
    """
    order = torch.argsort(row, stable=True)
    sizes = torch.bincount(row, minlength=n_rows)
    slot = torch.empty_like(row)
    slot[order] = torch.arange(len(row)) - (sizes.cumsum(0) - sizes)[row[order]]
    at = torch.zeros((n_rows, int(sizes.max()) if n_rows else 0), dtype=torch.int64)
    at[row, slot] = place
    return at, slot
