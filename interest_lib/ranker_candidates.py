"""What the ranker chooses from: the best of several simple models, and everybody's own favourites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.decay import decayed_counts
from interest_lib.history import Bools, History, Ints
from interest_lib.ranker_models import BATCH_USERS, Scorer, Scores


@dataclass(frozen=True)
class Candidates:
    """Pairs of user and item that may be listed, sorted by user and then item.

    Attributes
    ----------
    rows, cols : ndarray of int, shape (n_pairs,)
    own : ndarray of bool
        Whether the user had the item before.
    scores : pandas.DataFrame of float32
        One column for every simple model, by its name, and ``place: <name>`` with the place (1 is best)
        among the pairs of the same user and kind (own or new).
    """

    rows: Ints
    cols: Ints
    own: Bools
    scores: pd.DataFrame


def owned(history: History) -> sp.csr_matrix:
    """Ones where the user had the item, by a goal event, shape (n_users, n_items).

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": "a", "timestamp": pd.Timestamp("2017-01-01")})
    >>> owned(history_before(log, pd.Timestamp("2017-02-01"), min_users_per_item=1)).toarray()
    array([[1.]], dtype=float32)
    """
    goal = history.is_goal
    cells = (history.rows[goal], history.cols[goal])
    had = sp.csr_matrix((np.ones(int(goal.sum()), np.float32), cells), shape=history.shape)
    had.data[:] = 1.0  # duplicates have been added up
    return had


def choose(
    history: History, scorers: Mapping[str, Scorer], n_new: Mapping[str, int], n_own: int = 100
) -> Candidates:
    """The pairs that may be listed: the best new items of every model, and the user's own favourites.

    Parameters
    ----------
    history : History
    scorers : mapping of str to callable
        Simple models; each scores every pair.
    n_new : mapping of str to int
        How many items that the user never had each model may name.
    n_own : int
        How many of the user's own items are kept by each of three half-lives: 30 days, 90 days and none.

    Returns
    -------
    Candidates

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-02-01"), min_users_per_item=1)
    >>> from interest_lib.ranker_models import by_popularity
    >>> pairs = choose(h, {"popularity": by_popularity(h)}, {"popularity": 1})
    >>> pairs.rows, pairs.cols, pairs.own
    (array([0, 0, 1, 1]), array([0, 1, 0, 1]), array([ True,  True,  True, False]))
    """
    had, favourites = owned(history), _favourites(history, n_own)
    parts = []
    for start in range(0, history.shape[0], BATCH_USERS):
        users = np.arange(start, min(start + BATCH_USERS, history.shape[0]))
        scores = {name: scorer(users) for name, scorer in scorers.items()}
        own, listed = (matrix[users].toarray() > 0 for matrix in (had, favourites))
        for name, number in n_new.items():
            listed |= _best(np.where(own, -np.inf, scores[name]), number)
        row, col = listed.nonzero()
        table = pd.DataFrame({name: of_pair[row, col] for name, of_pair in scores.items()})
        parts.append((row + start, col, own[row, col], table))
    rows, cols, is_own, tables = zip(*parts, strict=True)
    row, own = np.concatenate(rows), np.concatenate(is_own)
    found = pd.concat(tables, ignore_index=True)
    places = {f"place: {name}": places_within(row * 2 + own, found[name].to_numpy()) for name in scorers}
    return Candidates(row, np.concatenate(cols), own, found.assign(**places))


def _favourites(history: History, n_own: int) -> sp.csr_matrix:
    """The user's own items with the most decayed counts, by any of three half-lives."""
    chosen = sp.csr_matrix(history.shape, dtype=np.float32)
    for half_life_days in (30.0, 90.0, None):
        counts = decayed_counts(history, half_life_days).astype(np.float32)
        place = places_within(np.repeat(np.arange(history.shape[0]), np.diff(counts.indptr)), counts.data)
        counts.data = (place <= n_own).astype(np.float32)
        chosen = chosen + counts
    chosen.eliminate_zeros()
    return chosen


def _best(scores: Scores, number: int) -> Bools:
    number = min(number, scores.shape[1] - 1)
    edge = -np.partition(-scores, number, axis=1)[:, number, None]
    return np.asarray((scores > edge) & np.isfinite(scores))


def places_within(groups: Ints, scores: Scores) -> Scores:
    """Place of every score within its group, 1 for the highest; of equals the earlier one is first.

    Examples
    --------
    >>> places_within(np.array([0, 0, 1, 1]), np.array([0.5, 0.7, 0.1, 0.1], np.float32))
    array([2., 1., 1., 2.], dtype=float32)
    """
    order = np.lexsort((-scores, groups))
    sorted_groups = groups[order]
    starts = np.flatnonzero(np.r_[True, sorted_groups[1:] != sorted_groups[:-1]])
    place = np.arange(len(groups)) - np.repeat(starts, np.diff(np.r_[starts, len(groups)])) + 1
    places = np.empty(len(groups), np.float32)
    places[order] = place
    return places
