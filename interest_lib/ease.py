"""EASE: every item foretold from all others by one ridge regression."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, Ints
from interest_lib.recommend import ScoringRecommender
from interest_lib.weighted_ease import ridge_inverse


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
        inverse = ridge_inverse((self.input_.T @ self.input_).toarray(), self.ridge)
        # in place: at 8,000 items each copy of the matrix is half a gigabyte
        inverse /= -np.diag(inverse).copy()
        np.fill_diagonal(inverse, 0.0)
        self.weights_ = inverse

    def _scores(self, rows: Ints) -> Floats:
        scores = np.zeros((len(rows), len(self.history_.item_ids)))
        scores[:, self.columns_] = self.input_[rows] @ self.weights_
        return scores
