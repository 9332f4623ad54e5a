"""Simple recommenders as the ranker uses them: scores of all items for a few users at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from implicit.nearest_neighbours import ItemItemRecommender
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from interest_lib.decay import decayed_counts
from interest_lib.ease import EASE
from interest_lib.history import History, Ints
from interest_lib.ranker_features import visits_of
from interest_lib.ranker_interests import word_vectors
from interest_lib.ranking import nearest_others

Scores = npt.NDArray[np.float32]
Scorer = Callable[[Ints], Scores]
"""Rows of users to the scores of all items, shape (n_rows, n_items)."""

BATCH_USERS: Final = 256


def shallow_autoencoder(history: History, half_life_days: float | None, ridge: float) -> Scorer:
    """The study's EASE.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 3)})
    >>> h = history_before(log, pd.Timestamp("2017-02-01"), min_users_per_item=1)
    >>> shallow_autoencoder(h, None, ridge=1.0)(np.array([1])).argmax(axis=1).tolist()
    [1]
    """
    ease = EASE(ridge, half_life_days).fit(history)
    return lambda rows: ease._scores(rows).astype(np.float32)


def neighbours_mean(history: History, half_life_days: float | None, n_neighbours: int) -> Scorer:
    """Mean decayed counts of the nearest users, weighted by their cosine: what `NearestUsers` borrows.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1)
    >>> neighbours_mean(h, None, n_neighbours=1)(np.array([1]))
    array([[1., 1.]], dtype=float32)
    """
    interest = decayed_counts(history, half_life_days).astype(np.float32)
    near = normalize(nearest_others(normalize(interest), n_neighbours), norm="l1").astype(np.float32)
    return lambda rows: np.asarray((near[rows] @ interest).toarray())


def similar_items(history: History, half_life_days: float | None, n_neighbours: int) -> Scorer:
    """What is bought by the users who buy what the user buys: the cosine of an item's nearest others.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1)
    >>> similar_items(h, None, n_neighbours=2)(np.array([1])).round(2)
    array([[0.  , 0.49]], dtype=float32)
    """
    interest = decayed_counts(history, half_life_days).log1p()
    model = ItemItemRecommender(K=n_neighbours, num_threads=1)
    model.fit(sp.csr_matrix(normalize(interest, axis=0)), show_progress=False)
    similarity = sp.csr_matrix(model.similarity).astype(np.float32)
    similarity.setdiag(0)
    return _product(interest, similarity)


def bought_together(history: History, half_life_days: float | None, n_visits_prior: float = 20.0) -> Scorer:
    """What lies in the same visits as what the user buys: shares of visits, shrunk where they are few.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1)
    >>> bought_together(h, None, n_visits_prior=0.0)(np.array([1])).round(2)
    array([[0.  , 0.17]], dtype=float32)
    """
    visits = visits_of(history)
    lying = sp.csr_matrix(
        (np.ones(len(visits), np.float32), (visits, history.cols)), shape=(visits.max() + 1, history.shape[1])
    )
    lying.data[:] = 1.0
    # weighed by what else lies in the visit: a large basket says little about any pair
    weight = 1.0 / np.maximum(np.diff(lying.indptr), 1)
    pairs = sp.csr_matrix(lying.T @ sp.diags(weight.astype(np.float32)) @ lying)
    pairs.setdiag(0)
    pairs.eliminate_zeros()
    n_visits = np.bincount(lying.indices, minlength=history.shape[1])
    pairs = sp.csr_matrix(sp.diags((1.0 / (n_visits + n_visits_prior)).astype(np.float32)) @ pairs)
    return _product(decayed_counts(history, half_life_days).log1p(), pairs)


def latent_factors(history: History, half_life_days: float | None, n_factors: int, seed: int) -> Scorer:
    """Decayed counts as far as a few latent interests explain them (a truncated SVD).

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1)
    >>> latent_factors(h, None, n_factors=1, seed=0)(np.array([1])).round(2)
    array([[0.85, 0.35]], dtype=float32)
    """
    interest = normalize(decayed_counts(history, half_life_days).log1p())
    n_factors = min(n_factors, min(interest.shape) - 1)
    left, size, right = randomized_svd(interest, n_factors, random_state=seed)
    users, items = (left * size).astype(np.float32), right.astype(np.float32)
    return lambda rows: np.asarray(users[rows] @ items)


def by_popularity(history: History) -> Scorer:
    """The users that each item had of late: the same for everybody.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1)
    >>> by_popularity(h)(np.array([0, 1]))
    array([[2., 1.],
           [2., 1.]], dtype=float32)
    """
    popularity = history.popularity.astype(np.float32)
    return lambda rows: np.tile(popularity, (len(rows), 1))


def similar_words(history: History, items: pd.DataFrame, half_life_days: float) -> Scorer | None:
    """Cosine of an item's words with those of what the user buys; None where items have no words.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1)
    >>> similar_words(h, pd.DataFrame({"item_id": ["a"], "title": ["tea"]}), 30.0)(np.array([1]))
    array([[1., 0.]], dtype=float32)
    """
    words = word_vectors(history, items)
    if words is None:
        return None
    profiles = normalize(decayed_counts(history, half_life_days).log1p() @ words).astype(np.float32)
    words = sp.csr_matrix(words.T)
    return lambda rows: np.asarray((profiles[rows] @ words).toarray())


def _product(interest: sp.csr_matrix, similarity: sp.csr_matrix) -> Scorer:
    known = interest.astype(np.float32)
    return lambda rows: np.asarray((known[rows] @ similarity).toarray())
