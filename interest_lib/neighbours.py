"""Shares of those who are like a user: the mean of the nearest, and of everybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from interest_lib.history import Floats
from interest_lib.migration import shares
from interest_lib.ranking import keep_nearest, nearest_others

PROFILE_STRENGTH: Final = 40.0  # pseudo-purchases in what is compared: a few purchases make no neighbours
BATCH_USERS: Final = 1024  # dense similarities exist for that many users at a time


def population_shares(weights: Floats) -> Floats:
    """Shares of all users together; even where nobody has anything.

    Examples
    --------
    >>> population_shares(np.array([[2.0, 0.0], [1.0, 1.0]])), population_shares(np.zeros((1, 2)))
    (array([0.75, 0.25]), array([0.5, 0.5]))
    """
    total = weights.sum(axis=0)
    return shares(total if total.sum() > 0 else np.ones_like(total))


def neighbour_shares(weights: Floats, n_neighbours: int) -> Floats:
    """Mean shares of the users most like each user, weighted by how much they are like them.

    Parameters
    ----------
    weights : ndarray of float, shape (n_users, n_interests)
        Interest of every user, in purchases.
    n_neighbours : int
        How many users count; one's own shares never do.

    Returns
    -------
    ndarray of float, same shape, rows adding up to one

    Examples
    --------
    >>> neighbour_shares(np.array([[40.0, 0.0], [80.0, 0.0], [0.0, 40.0]]), 1).round(2).tolist()
    [[0.92, 0.08], [0.87, 0.13], [0.72, 0.28]]
    """
    own = shares(weights + PROFILE_STRENGTH * population_shares(weights))
    profiles = normalize(np.sqrt(own) - np.sqrt(own).mean(axis=0))
    return mean_of_nearest(profiles, own, n_neighbours)


def mean_of_nearest(profiles: Floats | sp.csr_matrix, own: Floats, n_neighbours: int) -> Floats:
    """Mean of the shares of those whose profiles are nearest, weighted by the cosine; one's own left out.

    Parameters
    ----------
    profiles : ndarray or scipy.sparse.csr_matrix of float, shape (n_users, n_columns)
        Rows of length one.
    own : ndarray of float, shape (n_users, n_interests)
        Shares of every user.
    n_neighbours : int
        How many count; those with a negative cosine do not.

    Returns
    -------
    ndarray of float, shape (n_users, n_interests), rows adding up to one
        The mean of all for somebody who is like nobody.

    Examples
    --------
    >>> mean_of_nearest(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.eye(3), 1).round(2).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.33, 0.33, 0.33]]
    """
    if sp.issparse(profiles):
        mean = nearest_others(profiles, n_neighbours) @ own
    else:
        mean = np.vstack([near @ own for near in _nearest_parts(np.asarray(profiles), n_neighbours)])
    return shares(mean + 1e-9 * own.mean(axis=0))


def _nearest_parts(profiles: Floats, n_neighbours: int) -> Iterator[sp.csr_matrix]:
    """As `ranking.nearest_others` for profiles without zeros, where dense products are many times as fast."""
    for start in range(0, len(profiles), BATCH_USERS):
        similarity = np.maximum(profiles[start : start + BATCH_USERS] @ profiles.T, 0.0)
        rows = np.arange(len(similarity))
        similarity[rows, start + rows] = 0.0
        yield keep_nearest(similarity, n_neighbours)
