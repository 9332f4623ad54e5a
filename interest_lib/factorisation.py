"""Factorisation of who had what: vectors of users and items whose products rank."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from lightfm import LightFM

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, Ints
from interest_lib.recommend import ScoringRecommender
from interest_lib.schema import InputError


class FactorRecommender(ScoringRecommender):
    """Ranked lists by ``user_factors_ @ item_factors_.T + item_bias_``, which `_learn` leaves behind."""

    user_factors_: Floats
    item_factors_: Floats
    item_bias_: Floats | float = 0.0

    def _scores(self, rows: Ints) -> Floats:
        scores: Floats = self.user_factors_[rows] @ self.item_factors_.T + self.item_bias_
        return scores


class ALS(FactorRecommender):
    """Matrix factorisation of implicit feedback by alternating least squares (package ``implicit``).

    Parameters
    ----------
    n_factors : int
        Length of a user's and an item's vector.
    regularization : float
        L2 penalty.
    alpha : float
        Confidence of an observation is ``1 + alpha * weight``.
    weights : {"ones", "counts", "logs"}
        What a pair of user and item weighs: one, how often it occurs, or ``log(1 + count)``.
    half_life_days, half_life_baskets : float or None
        Half-life of an event in the counts, in one of the two units; None counts every event fully.
    n_iterations : int
        Sweeps over users and items.
    random_state : int
        Seed of the start values.

    References
    ----------
    Hu, Koren and Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets.
    """

    def __init__(
        self,
        n_factors: int = 64,
        regularization: float = 0.05,
        alpha: float = 1.0,
        weights: str = "ones",
        half_life_days: float | None = None,
        n_iterations: int = 15,
        random_state: int = 0,
        half_life_baskets: float | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.regularization = regularization
        self.alpha = alpha
        self.weights = weights
        self.half_life_days = half_life_days
        self.n_iterations = n_iterations
        self.random_state = random_state
        self.half_life_baskets = half_life_baskets

    def _learn(self, history: History) -> None:
        # One thread and double precision: the same factors on any number of cores.
        model = AlternatingLeastSquares(
            factors=self.n_factors,
            regularization=self.regularization,
            alpha=self.alpha,
            iterations=self.n_iterations,
            dtype=np.float64,
            num_threads=1,
            random_state=self.random_state,
        )
        weights = pair_weights(history, self.weights, self.half_life_days, self.half_life_baskets)
        model.fit(weights, show_progress=False)
        self.user_factors_, self.item_factors_ = model.user_factors, model.item_factors


class BPR(FactorRecommender):
    """Matrix factorisation that ranks what a user had above what the user had not (package ``implicit``).

    Every pair counts alike, however often and however long ago it occurred. The package draws what a user had
    not as often as others had it, so that the vectors say how much more than others a user likes an item, and
    not how much: what all like is added again, ``popularity_weight * log(1 + users of the item)``.

    Parameters
    ----------
    n_factors : int
        Length of a user's and an item's vector, beside the item's level.
    learning_rate : float
        Step of the stochastic gradient descent.
    regularization : float
        L2 penalty.
    n_iterations : int
        Passes over the pairs, each against one item that is drawn.
    popularity_weight : float
        0 leaves the scores as the package has them.
    random_state : int
        Seed of start values and draws.

    References
    ----------
    Rendle et al. (2009), BPR: Bayesian Personalized Ranking from Implicit Feedback.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["tea", "cup", "tea", "cup", "tea"],
    ...                     "timestamp": pd.date_range("2017-01-01", periods=5, freq="9D")})
    >>> history = history_before(log, pd.Timestamp("2017-02-09"), min_users_per_item=1)
    >>> BPR(n_factors=2, n_iterations=5).fit(history).recommend([3], exclude_seen=True)["item_id"].tolist()
    ['cup']
    """

    def __init__(
        self,
        n_factors: int = 64,
        learning_rate: float = 0.05,
        regularization: float = 0.01,
        n_iterations: int = 40,
        random_state: int = 0,
        popularity_weight: float = 1.0,
    ) -> None:
        self.n_factors = n_factors
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.n_iterations = n_iterations
        self.popularity_weight = popularity_weight
        self.random_state = random_state

    def _learn(self, history: History) -> None:
        # threads write into the same vectors without waiting for each other: only one gives the same twice
        model = BayesianPersonalizedRanking(
            factors=self.n_factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.n_iterations,
            num_threads=1,
            random_state=self.random_state,
        )
        pairs = pair_weights(history)
        model.fit(pairs.astype(np.float32), show_progress=False)
        self.user_factors_ = model.user_factors.astype(np.float64)
        self.item_factors_ = model.item_factors.astype(np.float64)
        users_of_item = np.bincount(pairs.indices, minlength=pairs.shape[1])
        self.item_bias_ = self.popularity_weight * np.log1p(users_of_item)


class LightFMWarp(FactorRecommender):
    """LightFM with the WARP ranking loss: by ids, or a hybrid that also knows what users and items are.

    Parameters
    ----------
    n_factors : int
        Length of a user's and an item's vector.
    n_epochs : int
        Passes over the data.
    learning_rate : float
        Start of the adagrad schedule.
    weights : {"ones", "counts", "logs"}
        What a pair of user and item weighs: one, how often it occurs, or ``log(1 + count)``.
    half_life_days, half_life_baskets : float or None
        Half-life of an event in the counts, in one of the two units; None counts every event fully.
    random_state : int
        Seed of start values and sampling.
    items, users : pandas.DataFrame or None
        ``item_id`` or ``user_id`` and columns of labels, such as category or age; a vector is the sum of the
        own one and of those of the labels, see `label_features`. None: by ids alone.

    References
    ----------
    Kula (2015), Metadata Embeddings for User and Item Cold-start Recommendations.
    """

    def __init__(
        self,
        n_factors: int = 64,
        n_epochs: int = 10,
        learning_rate: float = 0.05,
        weights: str = "ones",
        half_life_days: float | None = None,
        random_state: int = 0,
        half_life_baskets: float | None = None,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.weights = weights
        self.half_life_days = half_life_days
        self.random_state = random_state
        self.half_life_baskets = half_life_baskets
        self.items = items
        self.users = users

    def _learn(self, history: History) -> None:
        model = LightFM(
            no_components=self.n_factors,
            loss="warp",
            learning_rate=self.learning_rate,
            random_state=self.random_state,
        )
        of_pair = pair_weights(history, self.weights, self.half_life_days, self.half_life_baskets)
        weights = of_pair.astype(np.float32).tocoo()
        pairs = sp.coo_matrix((np.ones_like(weights.data), (weights.row, weights.col)), shape=weights.shape)
        of_user = label_features(history.user_ids, self.users)
        of_item = label_features(history.item_ids, self.items)
        # LightFM is deterministic with one thread only.
        model.fit(
            pairs,
            user_features=of_user.astype(np.float32),
            item_features=of_item.astype(np.float32),
            sample_weight=weights,
            epochs=self.n_epochs,
            num_threads=1,
        )
        self.user_factors_ = of_user @ model.user_embeddings.astype(np.float64)
        self.item_factors_ = of_item @ model.item_embeddings.astype(np.float64)
        self.item_bias_ = of_item @ model.item_biases.astype(np.float64)


def label_features(ids: pd.Index, table: pd.DataFrame | None, min_sharing: int = 5) -> sp.csr_matrix:
    """What LightFM is told of users or items: which one it is, and its labels.

    Parameters
    ----------
    ids : pandas.Index, length n
        Its name is the column of `table` that identifies.
    table : pandas.DataFrame or None
        Every other column holds labels, but for fractions such as prices; a missing one tells nothing. None:
        ids alone.
    min_sharing : int
        A label that fewer have is left out, such as a title of one's own.

    Returns
    -------
    scipy.sparse.csr_matrix of float, shape (n, n + n_labels)
        The identity, then a column of ones and zeros for every label of every column.

    Examples
    --------
    >>> users = pd.DataFrame({"user_id": [7, 8], "age": ["old", None]})
    >>> label_features(pd.Index([8, 7], name="user_id"), users, min_sharing=1).toarray()
    array([[1., 0., 0.],
           [0., 1., 1.]])
    """
    parts = [sp.identity(len(ids), format="csr")]
    columns = [] if table is None else table.set_index(str(ids.name)).reindex(ids).items()
    for _, column in columns:
        if pd.api.types.is_float_dtype(column.dtype) or column.isna().all():
            continue
        code, labels = pd.factorize(column, sort=True)
        told = np.flatnonzero(code >= 0)
        cells = (np.ones(len(told)), (told, code[told]))
        having = sp.csr_matrix(cells, shape=(len(ids), len(labels)))
        parts.append(having[:, np.bincount(code[told], minlength=len(labels)) >= min_sharing])
    return sp.csr_matrix(sp.hstack(parts))


def pair_weights(
    history: History,
    weights: str = "ones",
    half_life_days: float | None = None,
    half_life_baskets: float | None = None,
) -> sp.csr_matrix:
    """One for every pair of user and item that occurs, or its decayed count, or the logarithm of one more.

    Parameters
    ----------
    history : History
    weights : {"ones", "counts", "logs"}
    half_life_days, half_life_baskets : float or None
        Of the counts, in one of the two units.

    Returns
    -------
    scipy.sparse.csr_matrix of float, shape (n_users, n_items)

    Raises
    ------
    InputError
        For other weights, or a half-life of ones.

    Examples
    --------
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "a"], "basket_number": [1, 2]})
    >>> history = history_but_baskets(log, n_hidden=0, min_users_per_item=1)
    >>> pair_weights(history).toarray(), pair_weights(history, "counts", half_life_baskets=1).toarray()
    (array([[1.]]), array([[1.5]]))
    """
    if weights not in ("ones", "counts", "logs"):
        raise InputError(f"weights is '{weights}': give 'ones', 'counts' or 'logs'.")
    if weights == "ones" and (half_life_days or half_life_baskets):
        raise InputError("weights 'ones' have no half-life: give weights 'counts' or no half-life.")
    matrix = decayed_counts(history, half_life_days, half_life_baskets)
    if weights == "ones":
        matrix.data[:] = 1.0
    return sp.csr_matrix(matrix.log1p()) if weights == "logs" else matrix
