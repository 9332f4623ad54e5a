"""One network for two groups of users: either, both, a head each, or blind to the group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from interest_lib.group_transfer import Method
from interest_lib.groups import GroupTask
from interest_lib.history import Floats, Ints
from interest_lib.rate_network import one_thread
from interest_lib.reversal import discriminator, group_loss, ramp
from interest_lib.schema import InputError

MODES: Final = (
    *("network_target", "network_source", "network_pooled", "network_weighted", "fine_tuned"),
    *("multitask", "adversarial", "adversarial_labelled"),
)
"""``adversarial`` sees of target users what they met first, as input only; ``adversarial_labelled`` all."""

_EVIDENCE: Final = 10.0  # items after which a bag has half of its full length, squared
_WARM_UP: Final = 20  # steps until the full learning rate
_NOISE: Final = 0.02  # on what the discriminator sees: without it the two chase each other in circles
_MOMENTA: Final = (0.0, 0.99)  # of Adam: momentum makes a game against an adversary go round, too


@dataclass(frozen=True)
class Training:
    """How a network is trained; one trial of the tuning.

    Attributes
    ----------
    n_steps : int
        Batches; the weights that are kept are the mean over the second half of them.
    source_weight : float
        How often a source user is drawn, relative to a target user.
    tune_steps : int
        Batches of target users only, afterwards (``fine_tuned``).
    deviation : float
        Penalty on what the head of the target group adds to the shared one (``multitask``).
    reversal : float
        Weight of the reversed gradient, once it has grown (``adversarial``); 0 trains a discriminator that
        the encoder does not notice.
    n_rounds : int
        Steps of the discriminator for one of the encoder.
    n_hidden : int
        Length of the representation.
    dropout : float
        Share of the items met that is hidden.
    learning_rate, weight_decay : float
        Of AdamW.
    batch_size : int
        Users in a batch.
    """

    n_steps: int = 200
    source_weight: float = 1.0
    tune_steps: int = 0
    deviation: float = 1e-3
    reversal: float = 0.0
    n_rounds: int = 3
    n_hidden: int = 32
    dropout: float = 0.3
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    batch_size: int = 200


class GroupNetwork(nn.Module):
    """Scores of all items from a bag of items met and the user's attributes.

    Parameters
    ----------
    n_items, n_attributes : int
        Columns; attributes enter by embeddings, each the row of a value.
    n_hidden : int
        Length of the representation.
    heads : bool
        Whether the target group has a head of its own, which adds to the shared one.

    Notes
    -----
    Multinomial likelihood over the items as in Liang et al. (2018), Variational Autoencoders for
    Collaborative Filtering; the two heads as in Evgeniou and Pontil (2004), Regularized Multi-task Learning.

    Examples
    --------
    >>> GroupNetwork(3, 0, 4, heads=True)(torch.ones(5, 3), torch.ones(5)).shape
    torch.Size([5, 3])
    """

    def __init__(self, n_items: int, n_attributes: int, n_hidden: int, heads: bool) -> None:
        super().__init__()
        self.settings = {
            "n_items": n_items,
            "n_attributes": n_attributes,
            "n_hidden": n_hidden,
            "heads": heads,
        }
        self.n_items = n_items
        self.encoder = nn.Linear(n_items + n_attributes, n_hidden)
        self.head = nn.Linear(n_hidden, n_items)
        self.own = nn.Linear(n_hidden, n_items) if heads else None
        if self.own is not None:
            nn.init.zeros_(self.own.weight)
            nn.init.zeros_(self.own.bias)
        self.discriminator = discriminator(n_hidden)

    def represent(self, known: Tensor) -> Tensor:
        """The representation, shape (n_users, n_hidden), of items met beside attributes."""
        bag = known[:, : self.n_items]
        bag = bag / torch.sqrt(bag.sum(dim=1, keepdim=True) + _EVIDENCE)
        return torch.tanh(self.encoder(torch.cat([bag, known[:, self.n_items :]], dim=1)))

    def forward(self, known: Tensor, of_target: Tensor) -> Tensor:
        """Logits of the items, shape (n_users, n_items); `of_target` is 1 for users of the target group."""
        hidden = self.represent(known)
        logits: Tensor = self.head(hidden)
        return logits if self.own is None else logits + of_target[:, None] * self.own(hidden)

    def strayed(self) -> Tensor:
        """Sum of squares of what the own head adds."""
        if self.own is None:
            return torch.zeros(())
        return (self.own.weight**2).sum() + 0.01 * (self.own.bias**2).sum()


@dataclass(frozen=True)
class _Learners:
    """Users who are learned from: places of the items met, attributes, group, how often each is drawn."""

    met: sp.csr_matrix
    attributes: sp.csr_matrix
    group: Ints
    share: Floats


def fit_network(
    task: GroupTask,
    n_target: int,
    mode: str,
    how: Training,
    seed: int,
    attributes: sp.csr_matrix | None = None,
) -> GroupNetwork:
    """Train a network in one of the `MODES`; in each batch every user is cut at random, to foretell the rest.

    Parameters
    ----------
    task : GroupTask
    n_target : int
        Target users to learn from, the first of ``task.target``.
    mode : str
    how : Training
    seed : int
    attributes : scipy.sparse.csr_matrix, shape (n_users, n_attributes), optional
        What else is known of every user of the task, such as `transfer.one_hot` gives; not the group.

    Returns
    -------
    GroupNetwork

    Raises
    ------
    InputError
        For an unknown mode, or target users that are needed and not there.

    References
    ----------
    Ganin et al. (2016), Domain-Adversarial Training of Neural Networks.

    Examples
    --------
    >>> from interest_lib.group_market import planted_groups
    >>> from interest_lib.groups import group_task
    >>> task = group_task(*planted_groups(n_users=60, n_items=80), n_test=5, n_validation=5)
    >>> network = fit_network(task, 10, "network_pooled", Training(n_steps=2), seed=0)
    >>> network_scorer(network, task)(task.test).shape == (5, len(task.item_ids))
    True
    """
    if mode not in MODES:
        raise InputError(f"group_network: mode {mode!r} is unknown; choose one of {', '.join(MODES)}.")
    if mode != "network_source" and not min(n_target, len(task.target)):
        raise InputError(f"group_network: {mode} learns from target users; give an n_target above 0.")
    learners = _learners(task, n_target, mode, how, attributes)
    heads = mode == "multitask"
    with one_thread():
        torch.manual_seed(seed)
        draw = np.random.default_rng(seed)
        network = GroupNetwork(len(task.item_ids), learners.attributes.shape[1], how.n_hidden, heads)
        _start(network, learners)
        game = _game if mode.startswith("adversarial") else None
        _train(network, learners, learners.share, how, how.n_steps, draw, game)
        if mode == "fine_tuned":
            share = (learners.group == 1).astype(np.float64)
            _train(network, learners, share, how, how.tune_steps, draw, None)
    return network


def _learners(
    task: GroupTask, n_target: int, mode: str, how: Training, attributes: sp.csr_matrix | None
) -> _Learners:
    rows = np.concatenate([task.source, task.target[:n_target]])
    group = np.repeat([0, 1], [len(task.source), len(rows) - len(task.source)])
    share = np.where(group == 0, how.source_weight, 1.0)
    if mode == "network_target":
        share[group == 0] = 0.0
    if mode in ("network_source", "fine_tuned", "adversarial"):
        share[group == 1] = 0.0
    known = sp.csr_matrix((len(rows), 0)) if attributes is None else attributes[rows]
    return _Learners(sp.csr_matrix(task.met[rows], dtype=np.float32), known, group, share)


def _start(network: GroupNetwork, learners: _Learners) -> None:
    """The head begins with how common the items are, so that the network learns the rest."""
    common = (learners.met > 0).T @ (learners.share / learners.share.sum()) * len(learners.share) + 0.5
    with torch.no_grad():
        network.head.bias.copy_(torch.from_numpy(np.log(common / common.sum())))
        network.head.weight.mul_(0.1)


def _train(
    network: GroupNetwork,
    learners: _Learners,
    share: Floats,
    how: Training,
    n_steps: int,
    draw: np.random.Generator,
    game: Callable[..., Tensor] | None,
) -> None:
    """Steps with a rate that falls to zero; the mean of the weights over the second half."""
    own = [value for name, value in network.named_parameters() if not name.startswith("discriminator")]
    optimiser = torch.optim.AdamW(own, how.learning_rate, _MOMENTA, weight_decay=how.weight_decay)
    rival = torch.optim.AdamW(network.discriminator.parameters(), 1e-2, _MOMENTA, weight_decay=1e-3)
    mean = AveragedModel(network)
    for step in range(n_steps):
        for part in optimiser.param_groups:
            part["lr"] = how.learning_rate * min((step + 1) / _WARM_UP, 1 - step / n_steps)
        users = draw.choice(len(share), how.batch_size, p=share / share.sum())
        loss = _interest_loss(network, learners, users, how)
        loss = loss + how.deviation * network.strayed()
        if game is not None:
            loss = loss - how.reversal * ramp(step / n_steps) * game(network, learners, rival, how, draw)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step >= n_steps // 2:
            mean.update_parameters(network)
    if n_steps:
        network.load_state_dict(mean.module.state_dict())
    network.eval()


def _interest_loss(network: GroupNetwork, learners: _Learners, users: Ints, how: Training) -> Tensor:
    """Mean negative log-likelihood of what users met after a moment, from what they met before."""
    met = torch.from_numpy(learners.met[users].toarray())
    cut = torch.ceil(torch.rand(len(met), 1) * (met.amax(dim=1, keepdim=True) - 1)).clamp(min=1)
    seen = ((met > 0) & (met <= cut) & (torch.rand_like(met) > how.dropout)).float()
    later = (met > cut).float()
    logits = network(_beside(seen, learners, users), torch.from_numpy(learners.group[users]).float())
    found = (later * torch.log_softmax(logits, dim=1)).sum(dim=1) / later.sum(dim=1).clamp(min=1)
    return -found.mean()


def _game(
    network: GroupNetwork,
    learners: _Learners,
    rival: torch.optim.Optimizer,
    how: Training,
    draw: np.random.Generator,
) -> Tensor:
    """The discriminator's loss after its own steps; the encoder wants it large."""
    of_group = [np.flatnonzero(learners.group == number) for number in (0, 1)]
    for _ in range(how.n_rounds):
        users = np.concatenate([draw.choice(rows, how.batch_size // 2) for rows in of_group])
        met = torch.from_numpy(learners.met[users].toarray())
        part = (0.35 + 0.3 * torch.rand(len(met), 1)) * met.amax(dim=1, keepdim=True)
        seen = ((met > 0) & (met <= part.floor().clamp(min=1))).float()
        hidden = network.represent(_beside(seen, learners, users))
        hidden = hidden + _NOISE * torch.randn_like(hidden)
        rival.zero_grad()
        group_loss(network.discriminator(hidden.detach()), learners.group[users]).backward()  # type: ignore[no-untyped-call]
        rival.step()
    return group_loss(network.discriminator(hidden), learners.group[users])


def _beside(seen: Tensor, learners: _Learners, users: Ints) -> Tensor:
    if not learners.attributes.shape[1]:
        return seen
    known = torch.from_numpy(learners.attributes[users].toarray().astype(np.float32))
    return torch.cat([seen, known], dim=1)


def network_scorer(
    network: GroupNetwork, task: GroupTask, attributes: sp.csr_matrix | None = None
) -> Callable[[Ints], Floats]:
    """Scores of target users from what the task gives of them: rows to an array (n_rows, n_items)."""

    def score(rows: Ints) -> Floats:
        seen = (task.met[rows] > 0).astype(np.float32)
        both = seen if attributes is None else sp.csr_matrix(sp.hstack([seen, attributes[rows]]))
        with one_thread(), torch.no_grad():
            known = torch.from_numpy(both.toarray().astype(np.float32))
            return network(known, torch.ones(len(rows))).double().numpy()

    return score


def network_methods(n_steps: int = 300, attributes: sp.csr_matrix | None = None) -> dict[str, Method]:
    """Every mode with three trials, for `group_transfer.transfer_scores`.

    Parameters
    ----------
    n_steps : int
        The longest training.
    attributes : scipy.sparse.csr_matrix, optional
        As in `fit_network`.
    """
    half = n_steps // 2
    lengths = tuple(Training(n) for n in (n_steps // 4, half, n_steps))
    blind = tuple(Training(n_steps, reversal=weight) for weight in (0.1, 0.3, 1.0))
    tried = dict.fromkeys(MODES, lengths) | {
        "network_weighted": tuple(Training(n_steps, source_weight=weight) for weight in (0.5, 0.3, 0.1)),
        "fine_tuned": tuple(Training(half, tune_steps=n) for n in (half // 8, half // 2, n_steps)),
        "multitask": tuple(
            Training(n, deviation=penalty) for n, penalty in ((half, 1e-3), (n_steps, 1e-3), (n_steps, 1e-4))
        ),
        "adversarial": blind,
        "adversarial_labelled": blind,
    }
    return {mode: _method(mode, tried[mode], attributes) for mode in MODES}


def _method(mode: str, settings: tuple[Training, ...], attributes: sp.csr_matrix | None) -> Method:
    def fit(task: GroupTask, n_target: int, how: Training, seed: int) -> Callable[[Ints], Floats]:
        return network_scorer(fit_network(task, n_target, mode, how, seed, attributes), task, attributes)

    return Method(fit, settings, needs_target=mode != "network_source")
