"""One network for several kinds of users: a shared encoder, a head for each task, and a discriminator."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor, nn

from interest_lib.history import Bools, Floats, Ints
from interest_lib.rate_network import one_thread
from interest_lib.reversal import discriminator, group_loss, ramp, reversed_gradient

_EVIDENCE: Final = 10.0  # as many interests, bought once each, give a bag half of its full length, squared
_CHASE: Final = 5.0  # step of the discriminator over that of the rest
_PART_USERS: Final = 512  # users that are worked on at a time where nothing is learned


@dataclass(frozen=True)
class UserRows:
    """Users as the network reads them; the same user may stand in several rows.

    Attributes
    ----------
    interests : scipy.sparse.csr_matrix, shape (n_rows, n_interests)
        How much the user bought of every interest (a product, a category), not negative.
    attributes : scipy.sparse.csr_matrix, shape (n_rows, n_attributes)
        What else is known; a log without attributes has no columns here.
    labels : mapping from task to scipy.sparse.csr_matrix, shape (n_rows, n_classes)
        What is to be foretold, not negative; a row without an entry is not part of the task.
    group : ndarray of int, shape (n_rows,), or None
        0 or 1 for what the discriminator has to tell apart, -1 for neither; None for no groups.
    """

    interests: sp.csr_matrix
    attributes: sp.csr_matrix
    labels: Mapping[str, sp.csr_matrix] = field(default_factory=dict)
    group: Ints | None = None

    def __len__(self) -> int:
        return int(self.interests.shape[0])

    def __getitem__(self, rows: Ints | Bools | slice) -> UserRows:
        """Some of the rows."""
        labels = {task: label[rows] for task, label in self.labels.items()}
        group = None if self.group is None else self.group[rows]
        return UserRows(self.interests[rows], self.attributes[rows], labels, group)


@dataclass(frozen=True)
class Fitting:
    """How a network is fitted.

    Attributes
    ----------
    n_epochs, patience : int
        Passes at most, and passes without a better judgement after which it goes back to the best. With
        patience 0 it makes all of them and keeps the last: what the reversed gradient does comes late.
    batch_size : int
        Rows in a step.
    learning_rate, weight_decay : float
        Of AdamW.
    task_weights : mapping from task to float
        Share of each task in the loss, 1 where it does not stand here.
    judged_task : str
        Task whose loss on the judging rows decides when to stop; empty for the sum of all.
    reversal : float
        Weight of the reversed gradient at the end; 0 trains the discriminator without telling the encoder.
    """

    n_epochs: int = 20
    patience: int = 3
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    task_weights: Mapping[str, float] = field(default_factory=dict)
    judged_task: str = ""
    reversal: float = 0.0


class InterestNetwork(nn.Module):
    """What a user is like, from a bag of interests and attributes, and what follows from it for every task.

    Parameters
    ----------
    n_interests, n_attributes : int
        Columns of the rows.
    n_classes : mapping from task to int
        A head for each task: a linear layer on the shared representation.
    n_hidden : int
        Length of the representation.
    dropout : float
        Share of what is known of a user that is hidden in a step of training.

    Examples
    --------
    >>> network = InterestNetwork(3, 0, {"products": 2}, n_hidden=4)
    >>> network.represent(torch.ones(5, 3), torch.ones(5, 0)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        n_interests: int,
        n_attributes: int,
        n_classes: Mapping[str, int],
        n_hidden: int = 32,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "n_interests": n_interests,
            "n_attributes": n_attributes,
            "n_classes": dict(n_classes),
            "n_hidden": n_hidden,
            "dropout": dropout,
        }
        self.hide = nn.Dropout(dropout)
        self.straight = nn.Linear(n_interests + n_attributes, n_hidden)
        self.bent = nn.Linear(n_hidden, n_hidden)
        nn.init.zeros_(self.bent.weight)
        nn.init.zeros_(self.bent.bias)
        self.heads = nn.ModuleDict({task: nn.Linear(n_hidden, n) for task, n in n_classes.items()})
        self.discriminator = discriminator(n_hidden)

    def represent(self, interests: Tensor, attributes: Tensor) -> Tensor:
        """The shared representation, shape (n_rows, n_hidden): a linear one, and what a bent layer adds.

        A bag is made shorter, so that a year of purchases is not read as a stronger taste than a month; one
        of few interests stays short, as it tells less.
        """
        bag = torch.log1p(interests)
        bag = bag / torch.sqrt((bag**2).sum(dim=1, keepdim=True) + _EVIDENCE * np.log(2) ** 2)
        linear = self.straight(self.hide(torch.cat([bag, attributes], dim=1)))
        return linear + self.bent(torch.relu(linear))

    def forward(self, interests: Tensor, attributes: Tensor, task: str) -> Tensor:
        """Logits of one task, shape (n_rows, n_classes)."""
        return self.heads[task](self.represent(interests, attributes))

    def start_heads(self, rows: UserRows) -> None:
        """Let every head begin with how common its classes are among the rows, so that it learns the rest."""
        with torch.no_grad():
            for task, label in rows.labels.items():
                common = np.asarray(label.sum(axis=0), np.float64).ravel() + 0.5
                head: Any = self.heads[task]
                head.bias.copy_(torch.from_numpy(np.log(common / common.sum())))
                head.weight.mul_(0.1)


def fit(network: InterestNetwork, rows: UserRows, judge: UserRows, how: Fitting, seed: int) -> list[float]:
    """Train in place, and go back to the weights that the judge liked best.

    Parameters
    ----------
    network : InterestNetwork
        Made by the caller, under `torch.manual_seed` or from stored weights.
    rows, judge : UserRows
        What is learned from, and what decides when to stop: other users.
    how : Fitting
    seed : int
        Of the order of the rows and of what is hidden.

    Returns
    -------
    list of float
        The judge's loss before the first epoch, and after each.

    References
    ----------
    Ganin et al. (2016), Domain-Adversarial Training of Neural Networks.
    """
    with one_thread():
        torch.manual_seed(seed)
        order = np.random.default_rng(seed)
        optimiser = _optimiser(network, how)
        losses = [_judged(network, judge, how)]
        best, kept = losses[0], copy.deepcopy(network.state_dict())
        for epoch in range(how.n_epochs):
            _epoch(network, rows, how, optimiser, order, epoch / how.n_epochs)
            losses.append(_judged(network, judge, how))
            if losses[-1] < best or not how.patience:
                best, kept = losses[-1], copy.deepcopy(network.state_dict())
            elif len(losses) - 1 - losses.index(best) >= how.patience:
                break
        network.load_state_dict(kept)
        network.eval()
    return losses


def _optimiser(network: InterestNetwork, how: Fitting) -> torch.optim.Optimizer:
    """The discriminator takes larger steps: it has to follow an encoder that runs away from it."""
    own = list(network.discriminator.parameters())
    others = [value for name, value in network.named_parameters() if not name.startswith("discriminator")]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": own, "lr": _CHASE * how.learning_rate}]
    return torch.optim.AdamW(groups, lr=how.learning_rate, weight_decay=how.weight_decay)


def _epoch(
    network: InterestNetwork,
    rows: UserRows,
    how: Fitting,
    optimiser: torch.optim.Optimizer,
    order: np.random.Generator,
    progress: float,
) -> None:
    network.train()
    n_batches = max(len(rows) // how.batch_size, 1)
    for step, chosen in enumerate(np.array_split(order.permutation(len(rows)), n_batches)):
        part = rows[np.sort(chosen)]
        weight = how.reversal * ramp(progress + step / n_batches / how.n_epochs)
        hidden = network.represent(_dense(part.interests), _dense(part.attributes))
        loss = _interest_loss(network, hidden, part, how)
        if part.group is not None:
            loss = loss + group_loss(network.discriminator(reversed_gradient(hidden, weight)), part.group)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def _interest_loss(network: InterestNetwork, hidden: Tensor, rows: UserRows, how: Fitting) -> Tensor:
    """Sum over the tasks of the mean negative log-likelihood of a label, over the rows that have one."""
    total = hidden.sum() * 0.0
    for task, label in rows.labels.items():
        has = np.diff(label.indptr) > 0
        if has.any() and (weight := how.task_weights.get(task, 1.0)):
            shares = nn.functional.normalize(_dense(label[has]), p=1, dim=1)
            logits = network.heads[task](hidden[torch.from_numpy(has)])
            total = total - weight * (shares * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()
    return total


def _judged(network: InterestNetwork, rows: UserRows, how: Fitting) -> float:
    """Loss on rows that nothing is learned from: of the judged task, or of all together."""
    network.eval()
    if how.judged_task:
        label = rows.labels[how.judged_task]
        rows = replace(rows, labels={how.judged_task: label})[np.flatnonzero(np.diff(label.indptr) > 0)]
    total, n = 0.0, 0
    with torch.no_grad():
        for part in _parts(rows):
            hidden = network.represent(_dense(part.interests), _dense(part.attributes))
            total += len(part) * float(_interest_loss(network, hidden, part, how))
            n += len(part)
    return total / max(n, 1)


def represented(network: InterestNetwork, rows: UserRows) -> Floats:
    """The shared representation of every row, shape (n_rows, n_hidden)."""
    network.eval()
    with one_thread(), torch.no_grad():
        found = [network.represent(_dense(part.interests), _dense(part.attributes)) for part in _parts(rows)]
    return torch.cat(found).double().numpy()


def foretold(network: InterestNetwork, rows: UserRows, task: str) -> Floats:
    """Shares of the classes of one task for every row, shape (n_rows, n_classes): give some users."""
    network.eval()
    with one_thread(), torch.no_grad():
        found = [network(_dense(part.interests), _dense(part.attributes), task) for part in _parts(rows)]
        return torch.softmax(torch.cat(found).double(), dim=1).numpy()


def told_apart(
    network: InterestNetwork, rows: UserRows, judge: UserRows, seed: int, n_steps: int = 300
) -> float:
    """Balanced accuracy of a fresh discriminator on the finished representation; 0.5 is chance.

    The one that the encoder was trained against may only have lost its way: this one learns on `rows`
    whatever still tells the groups apart, and is judged on other users.
    """
    both = [part[np.flatnonzero(part.group >= 0)] for part in (rows, judge) if part.group is not None]
    values = [represented(network, part) for part in both]
    mean, spread = values[0].mean(axis=0), values[0].std() + 1e-9
    hidden = [torch.from_numpy((value - mean) / spread).float() for value in values]
    with one_thread():
        torch.manual_seed(seed)
        judge_of = discriminator(hidden[0].shape[1])
        optimiser = torch.optim.AdamW(judge_of.parameters(), lr=1e-2, weight_decay=1e-3)
        truth = both[0].group
        for _ in range(n_steps):
            assert truth is not None
            loss = group_loss(judge_of(hidden[0]), truth)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            says = judge_of(hidden[1])[:, 0].numpy() > 0
    return float(balanced_accuracy_score(both[1].group, says))


def _parts(rows: UserRows) -> Iterator[UserRows]:
    """The rows, some at a time."""
    for start in range(0, len(rows), _PART_USERS):
        yield rows[slice(start, start + _PART_USERS)]


def _dense(matrix: sp.csr_matrix) -> Tensor:
    """A few rows as a tensor."""
    return torch.from_numpy(matrix.toarray().astype(np.float32))
