"""Rows that a learned forecast of shares reads, one per user and interest, and what it learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import delayed

from interest_lib.forecasts import Forecaster, ShrunkShares
from interest_lib.history import Floats, Ints
from interest_lib.moves import Move
from interest_lib.processes import all_done
from interest_lib.schema import InputError
from interest_lib.share_columns import N_NEIGHBOURS, SHARE_COLUMNS, share_columns
from interest_lib.share_features import TABLE_COLUMNS, attribute_columns, table_columns

Inputs = npt.NDArray[np.float32]

SHARE_FEATURES: Final = {**SHARE_COLUMNS, **TABLE_COLUMNS}
"""Every column but the demographics: what it means, and its unit."""

BASE: Final = ShrunkShares(half_life_days=120, strength=80, n_neighbours=N_NEIGHBOURS)

LEAST_BASE: Final = (
    5e-4  # smaller base shares are corrected too, but teach nothing: their ratios are all noise
)
MOST_KEPT: Final = 6  # moves; the rows of a large one take a hundred megabytes
MOST_PURCHASES: Final = 300  # a user's say grows with the root of the purchases, up to so many


@dataclass(frozen=True)
class ShareRows:
    """Rows of a move, user by user, the interests in their order.

    Attributes
    ----------
    inputs : ndarray of float32, shape (n_users * n_interests, n_columns)
    names : pandas.Index
        Of the columns: `SHARE_FEATURES`, then the demographics.
    base : ndarray of float, shape (n_users, n_interests)
        Shares of the base forecast, which the learned one corrects.
    """

    inputs: Inputs
    names: pd.Index
    base: Floats


@dataclass(frozen=True)
class Lesson:
    """Rows to learn from.

    Attributes
    ----------
    inputs : ndarray of float32, shape (n_rows, n_columns)
    names : pandas.Index
        Of the columns.
    ratio : ndarray of float, shape (n_rows,)
        Next share over the base share.
    weight : ndarray of float, shape (n_rows,)
        How much the row counts; the mean is 1.
    user : ndarray of int, shape (n_rows,)
        Whose it is; users are numbered anew in every move.
    """

    inputs: Inputs
    names: pd.Index
    ratio: Floats
    weight: Floats
    user: Ints

    def of_rows(self, rows: Ints) -> Lesson:
        """Some of the rows, the mean of their weights again 1."""
        weight = self.weight[rows]
        return Lesson(
            self.inputs[rows], self.names, self.ratio[rows], weight / weight.mean(), self.user[rows]
        )

    def drawn(self, n_rows: int | None, random_state: int) -> Lesson:
        """So many of the rows, in their order; all where there are no more, or none are to be left out."""
        if n_rows is None or n_rows >= len(self.ratio):
            return self
        order = np.random.default_rng(random_state).permutation(len(self.ratio))
        return self.of_rows(np.sort(order[:n_rows]))


class ShareRowStore:
    """Rows of moves, each made once, for the several models that read them; the last few moves are kept.

    Parameters
    ----------
    base : Forecaster or None
        Simple forecast that the models correct; None takes 200 neighbours, strength 80 and 120 days.
    users : pandas.DataFrame or None
        ``user_id`` and attributes, which become columns, see `share_features.attribute_columns`.

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "item_id": [7, 8], "basket_id": [1, 2], "category": ["tea", "milk"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-08"]), "weight": 1.0})
    >>> store, move = ShareRowStore(), move_at(log, pd.Timestamp("2017-01-11"), 0, pd.Index([1]))
    >>> store.rows(move) is store.rows(move)
    True
    """

    def __init__(self, base: Forecaster | None = None, users: pd.DataFrame | None = None) -> None:
        self.base = BASE if base is None else base
        self.users = users
        self._kept: dict[int, tuple[Move, ShareRows]] = {}

    def rows(self, move: Move) -> ShareRows:
        """Rows of this very move; the store keeps the move, so that no other can take its place."""
        if id(move) not in self._kept:
            if len(self._kept) == MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[id(move)] = (move, _made(move, self.base, self.users))
        return self._kept[id(move)][1]

    def filled(self, moves: Sequence[Move], n_jobs: int) -> ShareRowStore:
        """A copy that has the rows of these moves, made in so many processes."""
        made = all_done((delayed(_made)(move, self.base, self.users) for move in moves), n_jobs)
        store = ShareRowStore(self.base, self.users)
        store._kept = {id(move): (move, rows) for move, rows in zip(moves, made, strict=True)}
        return store

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In another process the moves have other places in memory."""
        kept = {id(move): (move, rows) for move, rows in state["_kept"].values()}
        self.__dict__.update(state | {"_kept": kept})

    def __sklearn_clone__(self) -> ShareRowStore:
        """Copies of a model share the store."""
        return self


def _made(move: Move, base: Forecaster, users: pd.DataFrame | None) -> ShareRows:
    return share_rows(move, base.predict(move), users)


def share_rows(move: Move, base: Floats, users: pd.DataFrame | None = None) -> ShareRows:
    """Features of every user and interest at the moment of a move; what came after is not read.

    Parameters
    ----------
    move : Move
        Its events have ``item_id``, ``basket_id`` and ``timestamp``, and what the log has of ``department``,
        ``quantity``, ``value`` and ``event``.
    base : ndarray of float, shape (n_users, n_interests)
        A simple forecast of this move.
    users : pandas.DataFrame or None
        As for `ShareRowStore`.

    Returns
    -------
    ShareRows

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "item_id": [7, 8], "basket_id": [1, 2], "category": ["tea", "milk"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-08"]), "weight": 1.0})
    >>> move = move_at(log, pd.Timestamp("2017-01-11"), 0, pd.Index([1]))
    >>> rows = share_rows(move, np.array([[0.5, 0.5]]))
    >>> rows.inputs[:, rows.names.get_loc("since_days")].tolist()
    [3.0, 10.0]
    """
    told = {} if users is None else dict(attribute_columns(move, users))
    names = pd.Index([*SHARE_FEATURES, *told])
    inputs = np.empty((base.size, len(names)), dtype=np.float32)
    for columns in (share_columns(move, base), table_columns(move), told.items()):
        for name, column in columns:
            wide = column[:, None] if column.ndim == 1 else column  # what is the user's stands in all rows
            inputs[:, names.get_loc(name)] = np.broadcast_to(wide, base.shape).ravel()
    return ShareRows(inputs, names, base)


def lesson(moves: Sequence[Move], store: ShareRowStore) -> Lesson:
    """Rows of all moves together, without those that teach nothing.

    Parameters
    ----------
    moves : sequence of Move
        Their future is known.
    store : ShareRowStore

    Returns
    -------
    Lesson

    Raises
    ------
    InputError
        A future is not known, or nobody bought anything.

    Notes
    -----
    A row's weight is its base times the root of the user's purchases in the period: the variance of a ratio
    falls with both.
    """
    parts, n_users = [], 0
    for move in moves:
        rows, purchases = store.rows(move), _purchases(move)
        weight = np.sqrt(np.minimum(purchases, MOST_PURCHASES)) * rows.base
        user = np.broadcast_to(n_users + np.arange(len(weight), dtype=np.int64)[:, None], weight.shape)
        ratio = move.next_shares / np.maximum(rows.base, LEAST_BASE)
        teaches = ((rows.base > LEAST_BASE) & (purchases > 0)).ravel()
        parts.append((rows.inputs[teaches], *(a.ravel()[teaches] for a in (ratio, weight, user))))
        n_users += len(weight)
    if not sum(len(part[1]) for part in parts):
        raise InputError("No move has a user who bought something after it: give moves with a known future.")
    inputs, ratio, weight, user = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Lesson(inputs, store.rows(moves[0]).names, ratio, weight / weight.mean(), user)


def _purchases(move: Move) -> Floats:
    if move.future is None:
        raise InputError(f"What came after {move.label} is not known: learn from moves with a future.")
    return np.asarray(move.future.sum(axis=1, keepdims=True), np.float64)
