"""Items in the order in which users met them: windows of equal length, and what may be done to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from interest_lib.history import Ints
from interest_lib.schema import InputError

PADDING: Final = 0
"""Code of an empty place; item `c` has code `c + 1`, and the mask comes after the last item."""

AUGMENTATIONS: Final = ("crop", "mask", "reorder")
"""What may be done to a window in training."""

CROP_SHARE, MASK_SHARE, REORDER_SHARE = 0.6, 0.2, 0.2


@dataclass(frozen=True)
class ItemSequences:
    """The items that users met, one user after another.

    Attributes
    ----------
    codes : ndarray of int, shape (n_meetings,)
        Column of the item plus one.
    start : ndarray of int, shape (n_users + 1,)
        Where each user begins.
    n_items : int
        Columns; the code of the mask is `n_items` + 1.
    """

    codes: Ints
    start: Ints
    n_items: int

    @property
    def length(self) -> Ints:
        """Items of every user."""
        return np.diff(self.start)

    @property
    def mask(self) -> int:
        """Code of a hidden item."""
        return self.n_items + 1


def sequences_of(met: sp.csr_matrix, rows: Ints | None = None) -> ItemSequences:
    """Items by the order in which they were met.

    Parameters
    ----------
    met : scipy.sparse.csr_matrix of int, shape (n_users, n_items)
        Place of an item in the user's order, from 1 on, as in `groups.GroupTask`.
    rows : ndarray of int or None
        Which users, in this order; all if None.

    Examples
    --------
    >>> sequences_of(sp.csr_matrix([[0, 2, 1], [1, 0, 0]])).codes.tolist()
    [3, 2, 1]
    """
    chosen = sp.csr_matrix(met if rows is None else met[rows])
    user = np.repeat(np.arange(chosen.shape[0]), np.diff(chosen.indptr))
    order = np.lexsort((chosen.data, user))
    return ItemSequences(
        chosen.indices[order].astype(np.int64) + 1, chosen.indptr.astype(np.int64), chosen.shape[1]
    )


def windows(
    sequences: ItemSequences, users: Ints, length: int, end: Ints | None = None, kept: Ints | None = None
) -> Ints:
    """Some items of every user, the latest in the last place; what is missing in front is padding.

    Parameters
    ----------
    sequences : ItemSequences
    users : ndarray of int, shape (n,)
        Places in `sequences`; one may come more than once.
    length : int
        Places of a window.
    end : ndarray of int or None, shape (n,)
        How many items of the user come before the end of the window; all if None.
    kept : ndarray of int or None, shape (n,)
        Items in the window, at most `length`; as many as there are if None.

    Returns
    -------
    ndarray of int, shape (n, length)

    Examples
    --------
    >>> sequences = sequences_of(sp.csr_matrix([[0, 2, 1], [1, 0, 0]]))
    >>> windows(sequences, np.array([0, 1]), 2), windows(sequences, np.array([0]), 2, end=np.array([1]))
    (array([[3, 2],
           [0, 1]]), array([[0, 3]]))
    """
    if length < 1:
        raise InputError(f"A window of {length} items holds nothing: give a length of at least 1.")
    first = sequences.start[users]
    stop = sequences.start[users + 1] if end is None else first + end
    begin = first if kept is None else np.maximum(first, stop - kept)
    place = stop[:, None] - length + np.arange(length)
    inside = place >= begin[:, None]
    return np.where(inside, np.append(sequences.codes, PADDING)[np.where(inside, place, -1)], PADDING)


def cropped(
    sequences: ItemSequences,
    users: Ints,
    length: int,
    rng: np.random.Generator,
    share: float = CROP_SHARE,
) -> Ints:
    """A window from anywhere in the user's history: a share of all items, in one piece.

    Examples
    --------
    >>> sequences = sequences_of(sp.csr_matrix([[1, 2, 3, 4]]))
    >>> cropped(sequences, np.array([0]), 4, np.random.default_rng(0), share=0.5).tolist()
    [[0, 0, 3, 4]]
    """
    n = sequences.length[users]
    kept = np.minimum(length, np.ceil(share * n).astype(np.int64))
    return windows(sequences, users, length, rng.integers(kept, n + 1), kept)


def masked(shown: Ints, mask: int, rng: np.random.Generator, share: float = MASK_SHARE) -> Ints:
    """Every item is hidden with a chance of `share`: the mask stands in its place.

    Examples
    --------
    >>> masked(np.array([[0, 5, 6, 7]]), 9, np.random.default_rng(1), share=0.5).tolist()
    [[0, 5, 9, 7]]
    """
    return np.where((shown != PADDING) & (rng.random(shown.shape) < share), mask, shown)


def reordered(shown: Ints, rng: np.random.Generator, share: float = REORDER_SHARE) -> Ints:
    """A stretch of every window in random order: a share of its items, at least two; 1 mixes all of them.

    Examples
    --------
    >>> reordered(np.array([[0, 5, 6, 7, 8]]), np.random.default_rng(4), share=0.5).tolist()
    [[0, 5, 6, 8, 7]]
    """
    n_places = shown.shape[1]
    n = (shown != PADDING).sum(axis=1)
    stretch = np.minimum(np.maximum(np.ceil(share * n), 2), n).astype(np.int64)
    first = n_places - n + rng.integers(0, n - stretch + 1)
    place = np.arange(n_places)
    inside = (place >= first[:, None]) & (place < (first + stretch)[:, None])
    # a stretch keeps its places, as all its keys lie between those of its neighbours
    keys = np.where(inside, first[:, None] + stretch[:, None] * rng.random(shown.shape) - 0.5, place)
    return np.take_along_axis(shown, np.argsort(keys, axis=1, kind="stable"), axis=1)
