"""Training of the network for two groups: on either, on both, with a head each, or blind to the group."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from interest_lib.group_learners import Learners
from interest_lib.group_network import GroupNetwork, network_scorer
from interest_lib.group_transfer import Method, Scorer
from interest_lib.groups import GroupTask
from interest_lib.history import Ints
from interest_lib.rate_network import one_thread
from interest_lib.reversal import group_loss, ramp
from interest_lib.schema import InputError

MODES: Final = (
    *("network_target", "network_source", "network_pooled", "network_weighted", "fine_tuned"),
    *("multitask", "adversarial", "adversarial_labelled"),
)
"""``adversarial`` sees of target users what they met first, as input only; ``adversarial_labelled`` all."""

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


def fit_network(
    task: GroupTask,
    n_target: int,
    mode: str,
    how: Training,
    seed: int,
    attributes: sp.csr_matrix | None = None,
    starts: dict[Any, Any] | None = None,
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
    starts : dict, optional
        Keeps what does not depend on the target group: trainings on the source of one task.

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
        raise InputError(f"group_training: mode {mode!r} is unknown; choose one of {', '.join(MODES)}.")
    if mode != "network_source" and not min(n_target, len(task.target)):
        raise InputError(f"group_training: {mode} learns from target users; give an n_target above 0.")
    with one_thread():
        if mode in ("network_source", "fine_tuned"):
            network, draw = _of_source(task, how, seed, attributes, {} if starts is None else starts)
            if mode == "fine_tuned":
                learners = _learners(task, n_target, mode, how, attributes)
                _train(network, learners, how, how.tune_steps, draw)
            return network
        learners = _learners(task, n_target, mode, how, attributes)
        network, draw = _begun(learners, how, seed, heads=mode == "multitask")
        game = _Game(network, learners, how, draw) if mode.startswith("adversarial") else None
        _train(network, learners, how, how.n_steps, draw, game)
    return network


def _of_source(
    task: GroupTask, how: Training, seed: int, attributes: sp.csr_matrix | None, starts: dict[Any, Any]
) -> tuple[GroupNetwork, np.random.Generator]:
    """A network trained on the source, and random numbers that go on where they were left."""
    key = (replace(how, tune_steps=0), seed)
    if key not in starts:
        learners = _learners(task, 0, "network_source", how, attributes)
        network, draw = _begun(learners, how, seed)
        _train(network, learners, how, how.n_steps, draw)
        starts[key] = (network, draw, torch.get_rng_state())
    network, draw, state = copy.deepcopy(starts[key])
    torch.set_rng_state(state)
    return network, draw


def _learners(
    task: GroupTask, n_target: int, mode: str, how: Training, attributes: sp.csr_matrix | None
) -> Learners:
    """Users of both groups; those whose share is zero are not learned from, only told apart."""
    rows = np.concatenate([task.source, task.target[:n_target]])
    group = np.repeat([0, 1], [len(task.source), len(rows) - len(task.source)])
    share = np.where(group == 0, how.source_weight, 1.0)
    if mode in ("network_target", "fine_tuned"):
        share[group == 0] = 0.0
    if mode in ("network_source", "adversarial"):
        share[group == 1] = 0.0
    known = sp.csr_matrix((len(rows), 0)) if attributes is None else attributes[rows]
    return Learners(sp.csr_matrix(task.met[rows], dtype=np.float32), known, group, share)


def _begun(
    learners: Learners, how: Training, seed: int, heads: bool = False
) -> tuple[GroupNetwork, np.random.Generator]:
    """A network whose head begins with how common the items are, so that it learns the rest."""
    torch.manual_seed(seed)
    network = GroupNetwork(learners.met.shape[1], learners.attributes.shape[1], how.n_hidden, heads)
    share = learners.share / learners.share.sum()
    common = (learners.met > 0).T @ share * len(share) + 0.5
    with torch.no_grad():
        network.head.bias.copy_(torch.from_numpy(np.log(common / common.sum())))
        network.head.weight.mul_(0.1)
    return network, np.random.default_rng(seed)


def _train(
    network: GroupNetwork,
    learners: Learners,
    how: Training,
    n_steps: int,
    draw: np.random.Generator,
    game: _Game | None = None,
) -> None:
    """Steps with a rate that falls to zero; the mean of the weights over the second half."""
    own = [value for name, value in network.named_parameters() if not name.startswith("discriminator")]
    optimiser = torch.optim.AdamW(own, how.learning_rate, _MOMENTA, weight_decay=how.weight_decay)
    reached = np.cumsum(learners.share / learners.share.sum())
    means: list[Tensor] = []
    for step in range(n_steps):
        for part in optimiser.param_groups:
            part["lr"] = how.learning_rate * min((step + 1) / _WARM_UP, 1 - step / n_steps)
        # as `draw.choice(len(share), p=share)`, which would add the shares up at every step
        users = np.searchsorted(reached / reached[-1], draw.random(how.batch_size), side="right")
        loss = _interest_loss(network, learners, users, how) + how.deviation * network.strayed()
        if game is not None:
            loss = loss - how.reversal * ramp(step / n_steps) * game.loss()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step >= n_steps // 2:
            means = _averaged(means, list(network.parameters()), step - n_steps // 2)
    with torch.no_grad():
        for value, mean in zip(network.parameters(), means, strict=bool(means)):
            value.copy_(mean)
    network.eval()


def _averaged(means: list[Tensor], values: list[torch.nn.Parameter], n_averaged: int) -> list[Tensor]:
    with torch.no_grad():
        if not n_averaged:
            return [value.clone() for value in values]
        return [mean + (value - mean) / (n_averaged + 1) for mean, value in zip(means, values, strict=True)]


def _interest_loss(network: GroupNetwork, learners: Learners, users: Ints, how: Training) -> Tensor:
    """Mean negative log-likelihood of what users met after a moment, from what they met before."""
    met = learners.meetings(users)
    last = torch.from_numpy(learners.last[users])
    cut = torch.ceil(torch.rand(len(users), 1) * (last - 1)).clamp(min=1).numpy()
    shown = met.of_cells(torch.rand(len(users), network.n_items).numpy()) > how.dropout
    early = met.place <= cut[met.user, 0]
    later = met.dense((~early).astype(np.float32))
    hidden = network.encode(learners.bags(users, met, early & shown))
    logits = network.foretell(hidden, torch.from_numpy(learners.group[users]).float())
    found = (later * torch.log_softmax(logits, dim=1)).sum(dim=1) / later.sum(dim=1).clamp(min=1)
    return -found.mean()


class _Game:
    """The discriminator of a network, which takes some steps before every one of the encoder."""

    def __init__(
        self, network: GroupNetwork, learners: Learners, how: Training, draw: np.random.Generator
    ) -> None:
        self.network, self.learners, self.how, self.draw = network, learners, how, draw
        self.rows = [np.flatnonzero(learners.group == number) for number in (0, 1)]
        self.rival = torch.optim.AdamW(network.discriminator.parameters(), 1e-2, _MOMENTA, weight_decay=1e-3)

    def loss(self) -> Tensor:
        """The discriminator's loss after its own steps; the encoder wants it large."""
        group = np.repeat([0, 1], self.how.batch_size // 2)
        for left in reversed(range(self.how.n_rounds)):
            # the encoder hears of the last round only, and of none where nothing is reversed
            with torch.set_grad_enabled(not left and self.how.reversal > 0):
                hidden = self._hidden()
            self.rival.zero_grad()
            group_loss(self.network.discriminator(hidden.detach()), group).backward()  # type: ignore[no-untyped-call]
            self.rival.step()
        return group_loss(self.network.discriminator(hidden), group)

    def _hidden(self) -> Tensor:
        """What users of both groups met first, as much as is given of held-out ones, with some noise."""
        n_each, learners = self.how.batch_size // 2, self.learners
        users = np.concatenate([self.draw.choice(rows, n_each) for rows in self.rows])
        met = learners.meetings(users)
        part = (0.35 + 0.3 * torch.rand(len(users), 1)) * torch.from_numpy(learners.last[users])
        seen = met.place <= part.floor().clamp(min=1).numpy()[met.user, 0]
        hidden = self.network.encode(learners.bags(users, met, seen))
        return hidden + _NOISE * torch.randn_like(hidden)


def network_methods(
    task: GroupTask, n_steps: int = 300, attributes: sp.csr_matrix | None = None
) -> dict[str, Method]:
    """Every mode with three trials, for `group_transfer.transfer_scores`.

    Parameters
    ----------
    task : GroupTask
        Its source is learned from once; fit the methods on this task, or the same one `with_validation`.
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
    starts: dict[Any, Any] = {}

    def fitter(mode: str) -> Callable[[GroupTask, int, Training, int], Scorer]:
        def fit(part: GroupTask, n_target: int, how: Training, seed: int) -> Scorer:
            known = starts if part.source is task.source else None
            network = fit_network(part, n_target, mode, how, seed, attributes, known)
            return network_scorer(network, part, attributes)

        return fit

    return {mode: Method(fitter(mode), tried[mode], mode != "network_source") for mode in MODES}
