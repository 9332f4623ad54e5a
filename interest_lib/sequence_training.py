"""Training of sequence networks: masked or following items, fine-tuning, updates; and scores from them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interest_lib.history import Floats, Ints
from interest_lib.item_sequences import (
    AUGMENTATIONS,
    PADDING,
    ItemSequences,
    cropped,
    masked,
    reordered,
    windows,
)
from interest_lib.rate_network import one_thread
from interest_lib.schema import InputError, nearest
from interest_lib.sequence_encoders import SequenceNetwork

_BATCH_SCORED = 256


@dataclass(frozen=True)
class Lessons:
    """How a network is trained.

    Attributes
    ----------
    n_updates : int
        Steps of the optimiser: what training costs, whatever the machine.
    learning_rate : float
        Largest step of AdamW; steps grow to it and shrink again (one cycle).
    batch_size : int
        Windows in a step.
    length : int
        Items of a window.
    reach : int
        The next so many items are foretold together: wanted is more than the next one.
    asked : int
        Places of a window at which the network is asked, on average; all at once would cost more and teach
        little more.
    augment : tuple of str
        From `item_sequences.AUGMENTATIONS`.
    weight_decay : float
        Of AdamW.
    """

    n_updates: int = 300
    learning_rate: float = 3e-3
    batch_size: int = 128
    length: int = 50
    reach: int = 20
    asked: int = 8
    augment: tuple[str, ...] = ()
    weight_decay: float = 0.01


@dataclass(frozen=True)
class _Questions:
    """Windows, the places at which the network is asked, and the codes that are right there (0: none)."""

    shown: Ints
    row: Ints
    place: Ints
    right: Ints


def train(network: SequenceNetwork, sequences: ItemSequences, how: Lessons, seed: int) -> list[float]:
    """Train in place: on the following items, or, a transformer, on masked ones.

    Called again on the same network it goes on: pre-training on one group and fine-tuning on another, or
    an update with what is new.

    Parameters
    ----------
    network : SequenceNetwork
    sequences : ItemSequences
        Users who met fewer than two items teach nothing.
    how : Lessons
    seed : int
        Of the order of users, the places asked, the augmentations and dropout.

    Returns
    -------
    list of float
        Mean log loss of every update.

    Raises
    ------
    InputError
        For an unknown augmentation, or where no user met two items.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from interest_lib.item_sequences import sequences_of
    >>> sequences = sequences_of(sp.csr_matrix([[1, 2, 3], [1, 2, 3], [3, 2, 1]]))
    >>> network = SequenceNetwork("lstm", np.eye(3), np.ones(3, bool), n_hidden=8, dropout=0.0)
    >>> how = Lessons(n_updates=60, learning_rate=0.03, length=3, reach=1)
    >>> losses = train(network, sequences, how, seed=0)
    >>> losses[-1] < 0.7 < losses[0]
    True
    """
    for name in how.augment:
        if name not in AUGMENTATIONS:
            raise InputError(f"There is no augmentation {name!r}: {nearest(name, AUGMENTATIONS)}")
    able = np.flatnonzero(sequences.length >= 2)
    if not able.size:
        raise InputError("No user met two items: there is no order to learn from; give more events.")
    losses = []
    with _repeatable():
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, how.learning_rate, total_steps=how.n_updates + 1
        )
        network.train()
        for users in _batches(able, how, rng):
            loss = _loss(network, _questions(network.kind, sequences, users, how, rng))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        network.eval()
    return losses


def trained_on(
    network: SequenceNetwork, sequences: ItemSequences, how: Lessons, seed: int
) -> SequenceNetwork:
    """A copy of the network, trained further; the one that was given stays what it is."""
    pupil = copy.deepcopy(network)
    train(pupil, sequences, how, seed)
    return pupil


def next_scores(
    network: SequenceNetwork, sequences: ItemSequences, length: int = 50, shuffle_seed: int | None = None
) -> Floats:
    """Score of every item as what comes next, from each user's last items.

    Parameters
    ----------
    network : SequenceNetwork
    sequences : ItemSequences
    length : int
        As in training.
    shuffle_seed : int or None
        Gives the items of the window in random order: what the order is worth is what that loses.

    Returns
    -------
    ndarray of float32, shape (n_users, n_items)
    """
    users = np.arange(len(sequences.length))
    at_end = network.kind == "transformer"
    shown = windows(sequences, users, length - at_end)
    if shuffle_seed is not None:
        shown = reordered(shown, np.random.default_rng(shuffle_seed), share=1.0)
    if at_end:
        shown = np.column_stack([shown, np.full(len(users), sequences.mask)])
    network.eval()
    with _repeatable(), torch.no_grad():
        parts = [
            network.scores(_last_states(network, torch.from_numpy(part)))
            for part in np.array_split(shown, range(_BATCH_SCORED, len(shown), _BATCH_SCORED))
        ]
    return torch.cat(parts).numpy()


def _last_states(network: SequenceNetwork, shown: Tensor) -> Tensor:
    n, length = shown.shape
    states: Tensor = network(shown, (torch.arange(n), torch.full((n,), length - 1)))
    return states


@contextmanager
def _repeatable() -> Iterator[None]:
    """`one_thread`, without the filling of new memory, which nothing here reads and which costs a tenth."""
    memory: Any = torch.utils.deterministic  # torch's own types do not know the setting
    fills, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    try:
        with one_thread():
            yield
    finally:
        memory.fill_uninitialized_memory = fills


def _batches(users: Ints, how: Lessons, rng: np.random.Generator) -> list[Ints]:
    """Users of every update: all of them in random order, then again."""
    needed = how.n_updates * how.batch_size
    rounds = -(-needed // len(users))
    drawn = np.concatenate([rng.permutation(users) for _ in range(rounds)])[:needed]
    return list(drawn.reshape(how.n_updates, how.batch_size))


def _questions(
    kind: str, sequences: ItemSequences, users: Ints, how: Lessons, rng: np.random.Generator
) -> _Questions:
    shown = (
        cropped(sequences, users, how.length, rng)
        if "crop" in how.augment
        else windows(sequences, users, how.length)
    )
    if "reorder" in how.augment:
        shown = reordered(shown, rng)
    asked = (
        _masked_items(shown, sequences.mask, how, rng) if kind == "transformer" else _next(shown, how, rng)
    )
    if "mask" not in how.augment:
        return asked
    return _Questions(masked(asked.shown, sequences.mask, rng), asked.row, asked.place, asked.right)


def _next(shown: Ints, how: Lessons, rng: np.random.Generator) -> _Questions:
    """At some places of every window: what comes within reach after them."""
    row, place = np.nonzero(shown[:, :-1])
    if len(row) > how.asked * len(shown):
        some = np.sort(rng.choice(len(row), how.asked * len(shown), replace=False))
        row, place = row[some], place[some]
    return _Questions(shown, row, place, _following(shown, row, place, how.reach))


def _following(shown: Ints, row: Ints, place: Ints, reach: int) -> Ints:
    """Codes of the next places, 0 beyond the end."""
    beyond = np.pad(shown, ((0, 0), (0, reach)))
    return beyond[row[:, None], place[:, None] + 1 + np.arange(reach)]


def _masked_items(shown: Ints, mask: int, how: Lessons, rng: np.random.Generator) -> _Questions:
    """A mask after a window that was cut short, asked for what was cut; and masks in the midst of it."""
    n, length = shown.shape
    n_there = (shown != PADDING).sum(axis=1)
    cut = rng.integers(1, np.minimum(how.reach, np.maximum(n_there - 1, 1)) + 1)
    row, end = np.arange(n), length - 1 - cut
    right_at_end = _following(shown, row, end, how.reach)
    place = np.arange(length) - cut[:, None]  # shifted, so that the mask comes last
    kept = np.where(
        place[:, 1:] >= 0, np.take_along_axis(shown, np.maximum(place[:, 1:], 0), axis=1), PADDING
    )
    kept = np.column_stack([kept, np.full(n, mask)])
    hidden = (kept != PADDING) & (rng.random(kept.shape) < (how.asked - 1) / length)
    hidden[:, -1] = False
    inner_row, inner_place = np.nonzero(hidden)
    inner_right = np.zeros((len(inner_row), how.reach), dtype=np.int64)
    inner_right[:, 0] = kept[hidden]
    return _Questions(
        np.where(hidden, mask, kept),
        np.concatenate([row, inner_row]),
        np.concatenate([np.full(n, length - 1), inner_place]),
        np.concatenate([right_at_end, inner_right]),
    )


def _loss(network: SequenceNetwork, asked: _Questions) -> Tensor:
    """Mean over the places asked of the log loss of what is right there."""
    shown, row, place = map(torch.from_numpy, (asked.shown, asked.row, asked.place))
    told = network.log_shares(network(shown, (row, place)))
    right = torch.from_numpy(asked.right)
    there = right != PADDING
    of_item = told.gather(1, (right - 1).clamp(min=0)).masked_fill(~there, 0.0)
    return -(of_item.sum(dim=1) / there.sum(dim=1)).mean()
