"""Moves as networks read them: a forecast to correct, the user's own history, and what came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interest_lib.history import Floats, Ints
from interest_lib.migration import shares
from interest_lib.moves import Move, same_interests
from interest_lib.schema import InputError

OWN_HALF_LIVES_DAYS: Final = (7.0, 30.0, 90.0, None)
N_OWN: Final = len(OWN_HALF_LIVES_DAYS) + 2
_OWN_STRENGTH = 20.0  # pseudo-purchases that keep the logarithm of a share finite
_STATE_STRENGTH = 40.0  # pseudo-purchases in the state: a few purchases make no direction
_LARGEST = 300.0  # purchases: who buys more tells no more of how to forecast


@dataclass(frozen=True)
class Rows:
    """Users at their moments, as the end of the network reads them.

    Attributes
    ----------
    log_base : Tensor, shape (n, n_interests)
        Logarithm of the forecast that is to be corrected.
    log_population : Tensor, shape (n, n_interests)
        The same of its mean over the users of the move.
    own : Tensor, shape (n, n_interests, N_OWN)
        What the user's own history says of each interest, see `rows_of`.
    shares : Tensor, shape (n, n_interests)
        What came; zeros where it is not known.
    weight : Tensor, shape (n,)
        Weight in the loss: square root of the purchases that came, counted up to 300.
    move : Tensor of int, shape (n,)
        Which of the moves the row is from.
    """

    log_base: Tensor
    log_population: Tensor
    own: Tensor
    shares: Tensor
    weight: Tensor
    move: Tensor

    def __getitem__(self, places: Ints) -> Rows:
        """Some of the rows."""
        index = torch.from_numpy(places)
        return Rows(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def spread(self) -> Tensor:
        """Standard deviation of each column of `own`."""
        return self.own.flatten(0, 1).double().std(dim=0).float() + 1e-6

    def scaled(self, spread: Tensor) -> Rows:
        """The same with `own` in units of a spread, and small enough for the steps of Adam."""
        return replace(self, own=0.3 * self.own / spread)


def rows_of(moves: Sequence[Move], bases: Sequence[Floats]) -> Rows:
    """The users of some moves, each with a forecast to correct.

    `own` has, for each of `OWN_HALF_LIVES_DAYS`, the logarithm of the user's share over the base, pulled to
    it by 20 purchases; then the logarithm of one plus the baskets with the interest; then that of one plus
    the days since the last of them (the longest there are where there was none). The mean of all users of
    the move is taken off, interest by interest: what the season does to all says nothing about one.

    Parameters
    ----------
    moves : sequence of Move
        Of the same interests; `future` is read for `shares` and `weight` alone.
    bases : sequence of ndarray of float, each of shape (n_users, n_interests)
        Forecasts, rows adding up to one.

    Returns
    -------
    Rows
    """
    parts: list[tuple[Tensor, ...]] = []
    for number, (move, forecast) in enumerate(zip(moves, bases, strict=True)):
        base = shares(np.maximum(forecast, 1e-7))
        future = np.zeros(move.shape) if move.future is None else move.future
        total = future.sum(axis=1)
        columns = (
            np.log(base),
            np.tile(np.log(base.mean(axis=0)), (len(base), 1)),
            _own(move, base),
            shares(future),
            np.sqrt(np.minimum(total, _LARGEST)),
        )
        numbers = torch.full((len(base),), number, dtype=torch.int64)
        parts.append((*(torch.from_numpy(column).float() for column in columns), numbers))
    return Rows(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _own(move: Move, base: Floats) -> Floats:
    own = np.empty((*move.shape, N_OWN))
    for place, half_life in enumerate(OWN_HALF_LIVES_DAYS):
        counts = move.decayed(half_life)
        known = counts.sum(axis=1, keepdims=True)
        own[:, :, place] = np.log((counts / base + _OWN_STRENGTH) / (known + _OWN_STRENGTH))
    own[:, :, -2] = np.log1p(move.decayed(None))
    ages = move.signs["age_days"].to_numpy()
    days = np.full(move.shape, ages.max(initial=0.0))
    np.minimum.at(days, (move.signs["user"].to_numpy(), move.signs["interest"].to_numpy()), ages)
    own[:, :, -1] = np.log1p(days)
    return own - own.mean(axis=0)


def batches(places: Ints, sizes: Ints, batch_size: int, draw: np.random.Generator | None) -> Iterator[Ints]:
    """Places in parts of similar size, in a drawn order; the smallest first where nothing is drawn.

    Examples
    --------
    >>> [part.tolist() for part in batches(np.arange(3), np.array([5, 1, 2]), 2, None)]
    [[1, 2], [0]]
    """
    size = sizes[places].astype(np.float64)
    if draw is not None:
        order = draw.permutation(len(places))
        places, size = places[order], size[order] * draw.uniform(0.8, 1.2, len(places))
    places = places[np.argsort(size, kind="stable")]
    starts = np.arange(0, len(places), batch_size)
    for start in starts if draw is None else draw.permutation(starts):
        yield places[start : start + batch_size]


def user_state(move: Move, half_lives_days: Sequence[float | None]) -> Tensor:
    """Where users stand: square roots of shrunk shares about their mean, and how much is known of them.

    Parameters
    ----------
    move : Move
    half_lives_days : sequence of float or None

    Returns
    -------
    Tensor, shape (n_users, len(half_lives_days) * n_interests + 1)
        The shares' part has a mean square length of 9, whatever the log.
    """
    parts = []
    for half_life in half_lives_days:
        counts = move.decayed(half_life)
        root = np.sqrt(shares(counts + _STATE_STRENGTH * shares(counts.sum(axis=0))))
        parts.append(root - root.mean(axis=0))
    state = np.concatenate(parts, axis=1)
    state *= 3.0 / max(float(np.sqrt((state**2).sum(axis=1).mean())), 1e-9)
    known = np.log1p(move.decayed(None).sum(axis=1))
    return torch.from_numpy(np.column_stack([state, known / 2 - 2])).float()


def users_of(moves: Sequence[Move]) -> Ints:
    """Who each row of the joined moves is about, as numbers."""
    ids = moves[0].user_ids.append([move.user_ids for move in moves[1:]])
    return np.asarray(ids.factorize(sort=True)[0], dtype=np.int64)


def common_interests(moves: Sequence[Move]) -> pd.Index:
    """The interests of moves to learn from; raises InputError where they differ or something is missing."""
    if not moves:
        raise InputError("There are no moves to learn from: give earlier moves whose future is known.")
    for move in moves:
        same_interests(move, moves[0].interests)
        _ = move.next_shares  # says so where the future is not known
    return moves[0].interests
