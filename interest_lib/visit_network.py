"""An LSTM over visits: its inputs as tensors, and the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from interest_lib.history import Floats, Ints
from interest_lib.move_rows import Rows
from interest_lib.share_network import ShareHead
from interest_lib.visit_table import VISIT_FEATURES, Visits

N_LAST = 2  # what the end sees besides the LSTM: days since the last visit, and how many visits there are
_AGE = list(VISIT_FEATURES).index("age")
_NEVER = float(np.log1p(365.0))


@dataclass(frozen=True)
class VisitBatch:
    """The visits of some users, as the network reads them.

    Attributes
    ----------
    features : Tensor, shape (n_visits, n_features)
    interest, kind : Tensor of int, shape (n_cells,)
    amount : Tensor, shape (n_cells,)
    offset : Tensor of int, shape (n_visits,)
        Where the cells of each visit begin.
    visit : Tensor of int, shape (n_cells,)
        The visit of each cell.
    row, step : Tensor of int, shape (n_visits,)
        The user of each visit, and its place in the sequence from 1 on; at 0 stands the beginning.
    length : Tensor of int, shape (n_users,)
        Visits and the beginning.
    last : Tensor, shape (n_users, N_LAST)
    """

    features: Tensor
    interest: Tensor
    kind: Tensor
    amount: Tensor
    offset: Tensor
    visit: Tensor
    row: Tensor
    step: Tensor
    length: Tensor
    last: Tensor


class VisitData:
    """The visits of all rows of some moves; ``data[places]`` are those of some rows.

    Parameters
    ----------
    tables : sequence of Visits
        One for each move.
    scale : tuple of ndarray or None
        Mean and spread of the features; None takes these visits' own.

    Attributes
    ----------
    scale : tuple of ndarray
    length : ndarray of int, shape (n_rows,)
        Visits of each row.
    """

    def __init__(self, tables: Sequence[Visits], scale: tuple[Floats, Floats] | None = None) -> None:
        raw = np.concatenate([table.features for table in tables])
        self.scale = _scale(raw) if scale is None else scale
        self._features = torch.from_numpy((raw - self.scale[0]) / self.scale[1]).float()
        visits = np.cumsum([0, *(len(table.features) for table in tables)])
        cells = np.cumsum([0, *(len(table.interest) for table in tables)])
        self._start = np.concatenate([t.start + first for t, first in zip(tables, visits, strict=False)])
        self.length = np.concatenate([table.length for table in tables])
        begins = [table.cell_start[:-1] + first for table, first in zip(tables, cells, strict=False)]
        self._cell_start = np.concatenate([*begins, cells[-1:]])
        self._interest, self._kind = (
            torch.from_numpy(np.concatenate([getattr(table, name) for table in tables]))
            for name in ("interest", "kind")
        )
        self._amount = torch.from_numpy(np.concatenate([table.amount for table in tables])).float()
        newest = raw[np.maximum(self._start + self.length - 1, 0), _AGE] if len(raw) else np.empty(0)
        since = np.where(self.length > 0, newest, _NEVER) if len(raw) else np.full(len(self.length), _NEVER)
        last = np.column_stack([since / 2 - 0.5, np.log1p(self.length) / 2 - 2])
        self._last = torch.from_numpy(last).float()

    def __getitem__(self, places: Ints) -> VisitBatch:
        length = self.length[places]
        visits = _ranges(self._start[places], length)
        n_cells = self._cell_start[visits + 1] - self._cell_start[visits]
        cells = torch.from_numpy(_ranges(self._cell_start[visits], n_cells))
        return VisitBatch(
            features=self._features[torch.from_numpy(visits)],
            interest=self._interest[cells],
            kind=self._kind[cells],
            amount=self._amount[cells],
            offset=torch.from_numpy(np.cumsum(n_cells) - n_cells),
            visit=torch.from_numpy(np.repeat(np.arange(len(visits)), n_cells)),
            row=torch.from_numpy(np.repeat(np.arange(len(places)), length)),
            step=torch.from_numpy(_ranges(np.ones_like(length), length)),
            length=torch.from_numpy(length + 1),
            last=self._last[torch.from_numpy(places)],
        )


def _scale(raw: Floats) -> tuple[Floats, Floats]:
    """Mean and spread; a spread of one where nothing varies, so that news does not grow beyond measure."""
    if not len(raw):
        return np.zeros(raw.shape[1]), np.ones(raw.shape[1])
    spread = raw.std(axis=0)
    return raw.mean(axis=0), np.where(spread > 1e-3, spread, 1.0)


def _ranges(start: Ints, length: Ints) -> Ints:
    """`start`, `start` + 1, ..., as many as `length` says, for each pair."""
    before = np.cumsum(length) - length
    return np.repeat(start - before, length) + np.arange(int(length.sum()))


class VisitNetwork(nn.Module):
    """An LSTM reads the visits: its last state corrects the forecast, each of them foretells the next visit.

    A visit enters as the sum of the embeddings of its interests, each weighted by the log of its events and
    by a factor that its kind of event has, beside the visit's features.

    Parameters
    ----------
    n_features, n_kinds : int
        See `visit_table.Visits`.
    log_population : Tensor, shape (n_interests,)
        Where the forecast of the next visit starts.
    rank, own, gate
        See `share_network.ShareHead`.
    n_embedding, n_hidden : int
        Coordinates of an interest, and of the state.
    next_visit : float
        Weight of the next visit's log loss; 0 leaves it out.
    """

    def __init__(
        self,
        n_features: int,
        n_kinds: int,
        log_population: Tensor,
        rank: int,
        own: bool,
        gate: bool,
        n_embedding: int,
        n_hidden: int,
        next_visit: float,
    ) -> None:
        super().__init__()
        n_interests = len(log_population)
        self.next_visit = next_visit
        self.embedding = nn.Parameter(0.1 * torch.randn(n_interests, n_embedding))
        self.of_kind = nn.Parameter(torch.zeros(n_kinds))
        self.lstm = nn.LSTM(n_embedding + n_features, n_hidden, batch_first=True)
        self.head = ShareHead(n_hidden + N_LAST, n_interests, rank, own, gate)
        self.ahead = nn.Linear(n_hidden, n_embedding)
        self.candidates = nn.Parameter(0.05 * torch.randn(n_embedding, n_interests))
        self.popularity = nn.Parameter(log_population.clone())

    def forward(self, rows: Rows, visits: VisitBatch) -> tuple[Tensor, Tensor]:
        """Logarithm of the shares, shape (n, n_interests), and the loss of the next visits."""
        states, last = self._read(visits)
        side = self._next_loss(states, visits) if self.training and self.next_visit else torch.zeros(())
        return self.head(rows, torch.cat([last, visits.last], dim=1)), self.next_visit * side

    def _read(self, visits: VisitBatch) -> tuple[Tensor, Tensor]:
        weight = visits.amount * torch.exp(self.of_kind[visits.kind])
        met = nn.functional.embedding_bag(
            visits.interest, self.embedding, visits.offset, mode="sum", per_sample_weights=weight
        )
        width = met.shape[1] + visits.features.shape[1]
        padded = met.new_zeros(len(visits.length), int(visits.length.max()), width)
        padded = padded.index_put((visits.row, visits.step), torch.cat([met, visits.features], dim=1))
        packed = nn.utils.rnn.pack_padded_sequence(
            padded, visits.length, batch_first=True, enforce_sorted=False
        )
        states, (last, _) = self.lstm(packed)
        return nn.utils.rnn.pad_packed_sequence(states, batch_first=True)[0], last[0]

    def _next_loss(self, states: Tensor, visits: VisitBatch) -> Tensor:
        """Log loss of the interests of every visit, from the state before it."""
        if not len(visits.row):
            return torch.zeros(())
        logits = self.popularity + self.ahead(states[visits.row, visits.step - 1]) @ self.candidates
        told = torch.log_softmax(logits, dim=1)[visits.visit, visits.interest] * visits.amount
        total = visits.amount.new_zeros(len(visits.row)).index_add(0, visits.visit, visits.amount)
        return -(told / total[visits.visit]).sum() / len(visits.row)
