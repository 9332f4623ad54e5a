"""Ways to rank new items by their text and category."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from lightfm import LightFM
from sklearn.cluster import KMeans
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from interest_lib.embeddings import Vectors
from interest_lib.groups import GroupTask
from interest_lib.history import Floats, Ints
from interest_lib.item_sequences import sequences_of
from interest_lib.new_items import NewItems, hide_items, new_item_ndcg
from interest_lib.sequence_encoders import SequenceNetwork, content_columns
from interest_lib.sequence_training import Lessons, next_scores, train


def new_item_scores(
    task: GroupTask, rows: Ints, vectors: Floats, category: Ints, how: Lessons, seed: int, k: int = 10
) -> pd.DataFrame:
    """Hide a tenth of the items, and rank them in every way of this module.

    Parameters
    ----------
    task : GroupTask
    rows : ndarray of int
        Held-out users to judge by.
    vectors : ndarray of float, shape (n_items, n_dimensions)
        Of the items' texts.
    category : ndarray of int, shape (n_items,)
        Code of each item's category.
    how : Lessons
        Of the transformer.
    seed : int
        Of the draw, and of all that is drawn after it.
    k : int
        Length of the list.

    Returns
    -------
    pandas.DataFrame
        NDCG@k: a column per way (``random``, ``category``, ``text``, ``regression``, ``lightfm``,
        ``transformer``), a row per user.
    """
    new, content = hide_items(task, rows, seed=seed), content_columns(vectors)
    groups = KMeans(min(100, len(content)), n_init=1, random_state=seed).fit_predict(content)
    features = sp.csr_matrix(sp.hstack([_indicators(category), _indicators(groups.astype(np.int64))]))
    ways = {
        "random": np.random.default_rng(seed).random(new.wanted.shape),
        "category": by_category(new, category),
        "text": by_text(new, vectors),
        "regression": by_regression(new, vectors, category, seed=seed),
        "lightfm": by_lightfm(new, features, seed=seed),
        "transformer": by_network(new, content, how, seed),
    }
    return pd.DataFrame({name: new_item_ndcg(new, scores, k) for name, scores in ways.items()})


def by_category(new: NewItems, category: Ints) -> Floats:
    """How much the user met of the item's category.

    Parameters
    ----------
    new : NewItems
    category : ndarray of int, shape (n_items,)
        Code of each item's category.

    Returns
    -------
    ndarray of float, shape (n_judged, n_hidden)
    """
    of_category = _indicators(category)
    shares = normalize(new.given(new.rows) @ of_category, norm="l1")
    return (shares @ of_category[new.hidden].T).toarray()


def by_text(new: NewItems, vectors: Floats) -> Floats:
    """Likeness of the item's text to the mean text of what the user met.

    Parameters
    ----------
    new : NewItems
    vectors : ndarray of float, shape (n_items, n_dimensions)
        From `embeddings.embed_texts`. What all items have in common is taken off.

    Returns
    -------
    ndarray of float, shape (n_judged, n_hidden)
    """
    apart = normalize(vectors - vectors[new.known].mean(axis=0))
    return normalize(new.given(new.rows) @ apart) @ apart[new.hidden].T


def by_regression(
    new: NewItems, vectors: Floats, category: Ints, n_factors: int = 32, ridge: float = 10.0, seed: int = 0
) -> Floats:
    """Factors of the hidden items, foretold from text and category by a ridge regression on the known ones.

    Parameters
    ----------
    new : NewItems
    vectors : ndarray of float, shape (n_items, n_dimensions)
    category : ndarray of int, shape (n_items,)
    n_factors : int
        Of the truncated SVD of who met what.
    ridge : float
        Of the regression; items count by the number of users who met them.
    seed : int
        Of the randomised SVD.

    Returns
    -------
    ndarray of float, shape (n_judged, n_hidden)

    Notes
    -----
    Gantner et al. (2010) map attributes to factors in this way.
    """
    met = new.given(new.learners)
    _, size, factors = randomized_svd(met, min(n_factors, min(met.shape) - 1), random_state=seed)
    features = np.column_stack([vectors, _indicators(category).toarray()])
    weight = np.asarray(met.sum(axis=0)).ravel()[new.known]
    model = Ridge(alpha=ridge).fit(features[new.known], factors.T[new.known], weight / weight.mean())
    of_user = new.given(new.rows) @ factors.T  # in the space of items; a factor counts as much as it is used
    return (of_user * size / size[0]) @ model.predict(features[new.hidden]).T


def by_lightfm(
    new: NewItems, features: sp.csr_matrix, n_factors: int = 32, n_epochs: int = 5, seed: int = 0
) -> Floats:
    """LightFM (WARP) with the items' features; known items have a vector of their own beside them.

    Parameters
    ----------
    new : NewItems
    features : scipy.sparse.csr_matrix of float, shape (n_items, n_features)
        Indicators of categories, of groups of texts and so on.
    n_factors, n_epochs : int
    seed : int

    Returns
    -------
    ndarray of float32, shape (n_judged, n_hidden)

    Notes
    -----
    Kula (2015). The judged users' given items are learned from as well, as LightFM knows no others.
    """
    rows = np.concatenate([new.learners, new.rows])
    own = sp.csr_matrix(sp.diags(new.known.astype(np.float64)))[:, np.flatnonzero(new.known)]
    described = sp.csr_matrix(normalize(sp.hstack([own, features]), norm="l1"), dtype=np.float32)
    model = LightFM(n_factors, loss="warp", random_state=seed)
    model.fit(sp.coo_matrix(new.given(rows), dtype=np.float32), None, described, epochs=n_epochs)
    level, factors = model.get_item_representations(described[new.hidden])
    _, of_user = model.get_user_representations()
    return of_user[len(new.learners) :] @ factors.T + level


def by_network(new: NewItems, content: Vectors, how: Lessons, seed: int, kind: str = "transformer") -> Floats:
    """A sequence network that knows items by their content alone, known and hidden ones alike.

    Parameters
    ----------
    new : NewItems
    content : ndarray of float32, shape (n_items, n_content)
    how : Lessons
    seed : int
    kind : str
        From `sequence_encoders.ENCODERS`.

    Returns
    -------
    ndarray of float32, shape (n_judged, n_hidden)
    """
    network = SequenceNetwork(kind, content, new.known, how.length, own=False, seed=seed)
    train(network, sequences_of(new.task.met, new.learners), how, seed)
    return next_scores(network, sequences_of(new.task.met, new.rows), how.length)[:, new.hidden]


def _indicators(codes: Ints) -> sp.csr_matrix:
    """A one in the column of the code."""
    n = len(codes)
    return sp.csr_matrix((np.ones(n), (np.arange(n), codes)), shape=(n, int(codes.max()) + 1))
