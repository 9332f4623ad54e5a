"""EASE: every item foretold from all others by one ridge regression."""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, Ints
from interest_lib.recommend import ScoringRecommender
from interest_lib.weighted_ease import ridge_inverse

MOST_USERS: Final = 6000
"""Up to here a users x users matrix is inverted, if that is the smaller one: 288 MB, and a copy."""
MOST_ITEMS: Final = 8000
"""How many items enter where items x items is inverted and nothing else is asked for."""
BATCH_USERS: Final = 256


class EASE(ScoringRecommender):
    """Embarrassingly shallow autoencoder: a ridge regression of every item on all others.

    Parameters
    ----------
    ridge : float
        Strength of the L2 penalty.
    half_life_days, half_life_baskets : float or None
        Half-life of the purchases behind the input ``log(1 + decayed count)``, in one of the two units.
    n_items : int or None
        Only the items with most users enter; the others score zero. None: all, or `MOST_ITEMS` of them
        where there are more than `MOST_USERS` users.

    Notes
    -----
    With ``K = X X' + ridge I`` the scores ``X B`` are ``X - ridge (K^-1 X) / d``, where ``d`` is the diagonal
    of ``I - X' K^-1 X``. So the regression is solved among users where these are fewer than items, and among
    items elsewhere: the time grows with the cube of the smaller number.

    References
    ----------
    Steck (2019), Embarrassingly Shallow Autoencoders for Sparse Data.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["tea", "cup", "tea"], "basket_number": 1})
    >>> h = history_but_baskets(log, n_hidden=0, min_users_per_item=1)
    >>> EASE(ridge=1.0).fit(h).recommend([2], exclude_seen=True)["item_id"].tolist()
    ['cup']
    """

    def __init__(
        self,
        ridge: float = 100.0,
        half_life_days: float | None = None,
        n_items: int | None = None,
        half_life_baskets: float | None = None,
    ) -> None:
        self.ridge = ridge
        self.half_life_days = half_life_days
        self.half_life_baskets = half_life_baskets
        self.n_items = n_items

    def _learn(self, history: History) -> None:
        counts = decayed_counts(history, self.half_life_days, self.half_life_baskets)
        n_users, n_items = counts.shape
        most = self.n_items or (n_items if n_users <= MOST_USERS else MOST_ITEMS)
        users_of_item = np.bincount(counts.indices, minlength=n_items)
        self.columns_ = np.sort(np.argsort(-users_of_item, kind="stable")[:most])
        self.input_ = sp.csr_matrix(counts[:, self.columns_].log1p())
        self._weights: Floats | None = None
        self.among_users_ = n_users < min(len(self.columns_), MOST_USERS + 1)
        if self.among_users_:
            self._solve_among_users()
        else:
            self._weights = self._solved_among_items()

    @property
    def weights_(self) -> Floats:
        """What each item (row) says about each other (column), shape (n_columns, n_columns)."""
        if self._weights is None:
            weights = (self.input_.T @ (self.inverse_ @ self.input_)) / self.unexplained_
            np.fill_diagonal(weights, 0.0)
            self._weights = weights
        return self._weights

    def _solved_among_items(self) -> Floats:
        inverse = ridge_inverse((self.input_.T @ self.input_).toarray(), self.ridge)
        # in place: at 8,000 items each copy of the matrix is half a gigabyte
        inverse /= -np.diag(inverse).copy()
        np.fill_diagonal(inverse, 0.0)
        return inverse

    def _solve_among_users(self) -> None:
        kernel = (self.input_ @ self.input_.T).toarray()
        kernel[np.diag_indices_from(kernel)] += self.ridge
        self.inverse_ = scipy.linalg.inv(kernel, overwrite_a=True, check_finite=False)
        self.unexplained_ = np.ones(len(self.columns_))
        for start in range(0, len(self.inverse_), BATCH_USERS):
            part = slice(start, start + BATCH_USERS)
            explained = self.input_[part].multiply(self.inverse_[part] @ self.input_)
            self.unexplained_ -= np.asarray(explained.sum(axis=0)).ravel()

    def _scores(self, rows: Ints) -> Floats:
        scores = np.zeros((len(rows), len(self.history_.item_ids)))
        if self.among_users_:
            found = self.inverse_[rows] @ self.input_
            found *= -self.ridge / self.unexplained_
            found += self.input_[rows]
        else:
            found = self.input_[rows] @ self.weights_
        scores[:, self.columns_] = found
        return scores
