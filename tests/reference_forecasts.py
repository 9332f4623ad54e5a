"""Forecasts and chains in their plainest form, beside which the library's are checked."""

import numpy as np

from interest_lib.history import Floats, Ints
from interest_lib.migration import shares


def decayed_periods(counts: Floats, decay_per_period: float) -> Floats:
    """Past periods summed, each older one multiplied by `decay_per_period` once more.

    0 keeps the last period alone (persistence), 1 sums all periods equally (pooled).

    Parameters
    ----------
    counts : ndarray of float, shape (n_periods, n_users, n_interests)
    decay_per_period : float in [0, 1]

    Returns
    -------
    ndarray of float, shape (n_users, n_interests)

    Examples
    --------
    >>> decayed_periods(np.array([[[4.0]], [[2.0]], [[1.0]]]), decay_per_period=0.5)
    array([[3.]])
    """
    weights = np.power(float(decay_per_period), np.arange(len(counts))[::-1])
    return np.asarray(np.tensordot(weights, counts, axes=1))


def shrunk_shares(counts: Floats, decay_per_period: float, strength: float) -> Floats:
    """Decayed shares pulled towards the population by a Dirichlet prior.

    The posterior mean of a user's shares when the prior is Dirichlet with `strength` pseudo-purchases
    spread like the decayed purchases of all users.

    Parameters
    ----------
    counts : ndarray of float, shape (n_periods, n_users, n_interests)
    decay_per_period : float in [0, 1]
    strength : float
        Pseudo-purchases of the prior; 0 gives plain decayed shares.

    Returns
    -------
    ndarray of float, shape (n_users, n_interests), rows adding up to one

    Examples
    --------
    >>> shrunk_shares(np.array([[[3.0, 1.0], [0.0, 4.0]]]), decay_per_period=1.0, strength=4.0)
    array([[0.5625, 0.4375],
           [0.1875, 0.8125]])
    """
    weights = decayed_periods(counts, decay_per_period)
    population = shares(weights.sum(axis=0))
    return shares(weights + strength * population)


def transition_matrix(before: Ints, after: Ints, n_states: int, strength: float = 0.0) -> Floats:
    """Markov chain over leading interests, maximum a posteriori.

    Every row has a Dirichlet prior of `strength` pseudo-moves spread like the overall destinations.

    Parameters
    ----------
    before, after : ndarray of int, shape (n_moves,)
        State of a user in one period and in the next.
    n_states : int
        Number of states.
    strength : float
        Pseudo-moves added to each row; 0 is maximum likelihood, and then a row never left is zero.

    Returns
    -------
    ndarray of float, shape (n_states, n_states)
        Row = from, column = to.

    Examples
    --------
    >>> transition_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), n_states=2)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    moves = np.zeros((n_states, n_states))
    np.add.at(moves, (before, after), 1.0)
    destinations = shares(moves.sum(axis=0))
    return shares(moves + strength * destinations)
