"""Recommenders behind one small protocol: fit on a history, then a ranked list for every user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, Self

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from joblib import delayed
from lightfm import LightFM
from sklearn.base import BaseEstimator
from sklearn.preprocessing import normalize

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, Ints
from interest_lib.mining import interest_formula
from interest_lib.processes import all_done
from interest_lib.ranking import keep_nearest, ranked_lists, rows_or_empty
from interest_lib.schema import InputError
from interest_lib.split import Fold

BATCH_USERS = 256  # dense scores exist for this many users at a time, never for all


class Recommender(Protocol):
    """What the study asks of a recommender; everything else is the model's own business."""

    def fit(self, history: History) -> Self:
        """Learn from the events that the history holds."""

    def recommend(self, user_ids: Iterable[object], k: int = 10, exclude_seen: bool = False) -> pd.DataFrame:
        """Ranked lists: ``user_id``, ``item_id``, ``rank`` (1 is best), ``score``."""


class ScoringRecommender(BaseEstimator):
    """Ranked lists for any model that can score all items for a few users.

    A user without history scores zero everywhere and gets the most popular items, by the tie rule.
    """

    history_: History

    def fit(self, history: History) -> Self:
        self.history_ = history
        self._learn(history)
        return self

    def recommend(self, user_ids: Iterable[object], k: int = 10, exclude_seen: bool = False) -> pd.DataFrame:
        users = pd.Index(list(user_ids))
        history = self.history_
        rows = history.user_ids.get_indexer(users)
        own_counts = self._sparse_scores()
        if own_counts is not None and not exclude_seen:
            return ranked_lists(users, rows_or_empty(own_counts, rows), history.item_ids, k)
        seen = _had(history) if exclude_seen else None
        parts = []
        for start in range(0, len(rows), BATCH_USERS):
            batch = rows[start : start + BATCH_USERS]
            scores = np.zeros((len(batch), len(history.item_ids)))
            known = batch >= 0
            if known.any():
                scores[known] = self._scores(batch[known])
            if seen is not None:
                hidden_rows, hidden_cols = seen[batch[known]].nonzero()
                scores[np.flatnonzero(known)[hidden_rows], hidden_cols] = -np.inf
            parts.append(ranked_lists(users[start : start + BATCH_USERS], scores, history.item_ids, k))
        return pd.concat(parts, ignore_index=True)

    def _learn(self, history: History) -> None:
        raise NotImplementedError

    def _scores(self, rows: Ints) -> Floats:
        raise NotImplementedError

    def _sparse_scores(self) -> sp.csr_matrix | None:
        """Scores of all users, for a model that is positive in a few places and zero everywhere else."""
        return None


def _had(history: History) -> sp.csr_matrix:
    """Ones where the user had the item, by a goal event: a product that was only looked at is still new."""
    cells = (history.rows[history.is_goal], history.cols[history.is_goal])
    return sp.csr_matrix((np.ones(len(cells[0])), cells), shape=history.shape)


class RecentPopularity(ScoringRecommender):
    """The items with the most distinct users in the recent window, the same list for everyone."""

    def _learn(self, history: History) -> None:
        pass

    def _scores(self, rows: Ints) -> Floats:
        return np.tile(self.history_.popularity, (len(rows), 1))


class InterestRecommender(ScoringRecommender):
    """Ranked lists by an interest that is worked out once for every user: positive in few places, else zero.

    `_learn` leaves it as ``interest_``, shape (n_users, n_items).
    """

    interest_: sp.csr_matrix

    def _scores(self, rows: Ints) -> Floats:
        return self.interest_[rows].toarray()

    def _sparse_scores(self) -> sp.csr_matrix:
        return self.interest_


class PersonalFrequency(InterestRecommender):
    """What the user bought most often, each purchase fading with a half-life.

    Parameters
    ----------
    half_life_days, half_life_baskets : float or None
        Half-life of a purchase's weight, in one of the two units; None counts every purchase fully.
    curve : str
        Family of the decay curve, see `curves.weight_left`.
    """

    def __init__(
        self,
        half_life_days: float | None = None,
        half_life_baskets: float | None = None,
        curve: str = "exponential",
    ) -> None:
        self.half_life_days = half_life_days
        self.half_life_baskets = half_life_baskets
        self.curve = curve

    def _learn(self, history: History) -> None:
        self.interest_ = decayed_counts(history, self.half_life_days, self.half_life_baskets, self.curve)


class NearestUsers(ScoringRecommender):
    """Own decayed frequency blended with that of the most similar users (the idea of TIFU-KNN).

    Parameters
    ----------
    half_life_days, half_life_baskets : float or None
        Half-life of a purchase's weight, in one of the two units.
    n_neighbours : int
        How many users to borrow from, by cosine similarity of decayed counts.
    own_weight : float in [0, 1]
        Weight of the user's own interest; the neighbours' similarity-weighted mean gets the rest.

    References
    ----------
    Hu et al. (2020), Modeling Personalized Item Frequency Information for Next-basket Recommendation.
    """

    def __init__(
        self,
        half_life_days: float | None = None,
        n_neighbours: int = 100,
        own_weight: float = 0.8,
        half_life_baskets: float | None = None,
    ) -> None:
        self.half_life_days = half_life_days
        self.half_life_baskets = half_life_baskets
        self.n_neighbours = n_neighbours
        self.own_weight = own_weight

    def _learn(self, history: History) -> None:
        self.interest_ = decayed_counts(history, self.half_life_days, self.half_life_baskets)
        self.unit_ = normalize(self.interest_)

    def _scores(self, rows: Ints) -> Floats:
        similarity = (self.unit_[rows] @ self.unit_.T).toarray()
        similarity[np.arange(len(rows)), rows] = 0.0  # nobody is their own neighbour
        borrowed = interest_formula(keep_nearest(similarity, self.n_neighbours), self.interest_)
        return self.own_weight * self.interest_[rows].toarray() + (1 - self.own_weight) * borrowed


class EASE(ScoringRecommender):
    """Embarrassingly shallow autoencoder: a ridge regression of every item on all others.

    Parameters
    ----------
    ridge : float
        Strength of the L2 penalty.
    half_life_days, half_life_baskets : float or None
        Half-life of the purchases behind the input ``log(1 + decayed count)``, in one of the two units.
    n_items : int
        Only the items with most users enter; the others score zero (time grows with its cube).

    References
    ----------
    Steck (2019), Embarrassingly Shallow Autoencoders for Sparse Data.
    """

    def __init__(
        self,
        ridge: float = 100.0,
        half_life_days: float | None = None,
        n_items: int = 8000,
        half_life_baskets: float | None = None,
    ) -> None:
        self.ridge = ridge
        self.half_life_days = half_life_days
        self.half_life_baskets = half_life_baskets
        self.n_items = n_items

    def _learn(self, history: History) -> None:
        counts = decayed_counts(history, self.half_life_days, self.half_life_baskets)
        n_users = np.bincount(counts.indices, minlength=counts.shape[1])
        self.columns_ = np.sort(np.argsort(-n_users, kind="stable")[: self.n_items])
        self.input_ = sp.csr_matrix(counts[:, self.columns_].log1p())
        self.weights_ = _ease_weights(self.input_, self.ridge)

    def _scores(self, rows: Ints) -> Floats:
        scores = np.zeros((len(rows), len(self.history_.item_ids)))
        scores[:, self.columns_] = self.input_[rows] @ self.weights_
        return scores


def _ease_weights(matrix: sp.csr_matrix, ridge: float) -> Floats:
    """Closed form of EASE: ``B = I - P / diag(P)`` with ``P = (X'X + ridge * I)^-1``."""
    gram = (matrix.T @ matrix).toarray(order="F")
    gram[np.diag_indices_from(gram)] += ridge
    factor, _ = scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    inverse, info = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise InputError(f"EASE cannot invert its matrix with ridge {ridge}: give a larger ridge.")
    # in place from here on: at 8,000 items each copy of the matrix is half a gigabyte
    weights: Floats = np.tril(inverse)
    del gram, factor, inverse
    weights += np.tril(weights, -1).T
    weights /= -np.diag(weights).copy()
    np.fill_diagonal(weights, 0.0)
    return weights


class ALS(ScoringRecommender):
    """Matrix factorisation of implicit feedback by alternating least squares (package ``implicit``).

    Parameters
    ----------
    n_factors : int
        Length of a user's and an item's vector.
    regularization : float
        L2 penalty.
    alpha : float
        Confidence of an observation is ``1 + alpha * weight``.
    weights : {"ones", "counts"}
        What a pair of user and item weighs: one, or how often it occurs.
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
        model.fit(_pair_weights(history, self), show_progress=False)
        self.user_factors_, self.item_factors_ = model.user_factors, model.item_factors

    def _scores(self, rows: Ints) -> Floats:
        scores: Floats = self.user_factors_[rows] @ self.item_factors_.T
        return scores


class LightFMWarp(ScoringRecommender):
    """LightFM by ids with the WARP ranking loss, pairs optionally weighted by their decayed count.

    Parameters
    ----------
    n_factors : int
        Length of a user's and an item's vector.
    n_epochs : int
        Passes over the data.
    learning_rate : float
        Start of the adagrad schedule.
    weights : {"ones", "counts"}
        What a pair of user and item weighs: one, or how often it occurs.
    half_life_days, half_life_baskets : float or None
        Half-life of an event in the counts, in one of the two units; None counts every event fully.
    random_state : int
        Seed of start values and sampling.

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
    ) -> None:
        self.n_factors = n_factors
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.weights = weights
        self.half_life_days = half_life_days
        self.random_state = random_state
        self.half_life_baskets = half_life_baskets

    def _learn(self, history: History) -> None:
        model = LightFM(
            no_components=self.n_factors,
            loss="warp",
            learning_rate=self.learning_rate,
            random_state=self.random_state,
        )
        weights = _pair_weights(history, self).astype(np.float32).tocoo()
        pairs = sp.coo_matrix((np.ones_like(weights.data), (weights.row, weights.col)), shape=weights.shape)
        # LightFM is deterministic with one thread only.
        model.fit(pairs, sample_weight=weights, epochs=self.n_epochs, num_threads=1)
        self.user_factors_ = model.user_embeddings.astype(np.float64)
        self.item_factors_ = model.item_embeddings.astype(np.float64)
        self.item_bias_ = model.item_biases.astype(np.float64)

    def _scores(self, rows: Ints) -> Floats:
        scores: Floats = self.user_factors_[rows] @ self.item_factors_.T + self.item_bias_
        return scores


def _pair_weights(history: History, model: ALS | LightFMWarp) -> sp.csr_matrix:
    """One for every pair that occurs, or its decayed count."""
    if model.weights not in ("ones", "counts"):
        raise InputError(f"weights is '{model.weights}': give 'ones' or 'counts'.")
    if model.weights == "ones" and (model.half_life_days or model.half_life_baskets):
        raise InputError("weights 'ones' have no half-life: give weights 'counts' or no half-life.")
    matrix = decayed_counts(history, model.half_life_days, model.half_life_baskets)
    if model.weights == "ones":
        matrix.data[:] = 1.0
    return matrix


def recommend_all(
    models: Mapping[str, Recommender],
    fold: Fold,
    slices: Sequence[str] = ("all", "novel"),
    k: int = 10,
    n_jobs: int = 2,
) -> pd.DataFrame:
    """Fit every model on one history and collect every list that will be scored.

    Parameters
    ----------
    models : mapping of str to Recommender
        Name of the model to an unfitted recommender.
    fold : Fold
        History to fit on; users with targets get a list.
    slices : sequence of {"all", "novel"}
        ``novel`` leaves out what the user already had.
    k : int
        Length of the lists.
    n_jobs : int
        Models fitted at the same time, each on one core.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``origin``, ``slice``, ``user_id``, ``item_id``, ``rank``, ``score``.
    """
    tasks = (
        delayed(_lists_of)(name, model, fold.history, fold.user_ids, slices, k)
        for name, model in models.items()
    )
    parts = all_done(tasks, n_jobs)
    lists = pd.concat(parts, ignore_index=True)
    lists.insert(1, "origin", fold.label)
    return lists


def _lists_of(
    name: str, model: Recommender, history: History, user_ids: pd.Index, slices: Sequence[str], k: int
) -> pd.DataFrame:
    fitted = model.fit(history)
    parts = []
    for which in slices:
        lists = fitted.recommend(user_ids, k=k, exclude_seen=which == "novel")
        lists.insert(0, "slice", which)
        parts.append(lists)
    lists = pd.concat(parts, ignore_index=True)
    lists.insert(0, "model", name)
    return lists
