"""Recommenders that count baskets: own frequency, TIFU-KNN and UP-CF, with their published semantics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.history import Floats, History, Ints
from interest_lib.ranking import top_k
from interest_lib.recommend import InterestRecommender, ScoringRecommender
from interest_lib.schema import InputError


@dataclass(frozen=True)
class BasketCells:
    """Which items each basket of each user holds, an item once a basket.

    Attributes
    ----------
    rows, cols : ndarray of int, shape (n_cells,)
        Codes of user and item in the history; sorted by both, then by basket, the newest first.
    age : ndarray of int, shape (n_cells,)
        Baskets that the user made after this one.
    told : ndarray of float in [0, 1], shape (n_cells,)
        What the events say: 1 for a purchase, the weight of looking for what was only looked at.
    n_baskets : ndarray of int, shape (n_users,)
        Baskets of every user.
    shape : (int, int)
        Number of users, number of items.
    """

    rows: Ints
    cols: Ints
    age: Ints
    told: Floats
    n_baskets: Ints
    shape: tuple[int, int]

    def summed(self, weights: Floats) -> sp.csr_matrix:
        """Weights of the cells added up over baskets, shape (n_users, n_items)."""
        keys = self.rows * self.shape[1] + self.cols
        cells, inverse = np.unique(keys, return_inverse=True)
        sums = np.bincount(inverse, weights=weights, minlength=len(cells))
        counts = sp.csr_matrix((sums, np.divmod(cells, self.shape[1])), shape=self.shape)
        counts.eliminate_zeros()
        return counts


def basket_cells(history: History) -> BasketCells:
    """Every basket as a set of items.

    Parameters
    ----------
    history : History
        Where baskets are not numbered, the events of a user at one moment make one.

    Returns
    -------
    BasketCells

    Examples
    --------
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1, 1], "item_id": ["a", "a", "b"], "basket_number": [1, 2, 2]})
    >>> cells = basket_cells(history_but_baskets(log, n_hidden=0, min_users_per_item=1))
    >>> cells.age.tolist(), cells.n_baskets.tolist()
    ([0, 1, 0], [2])
    """
    age = _basket_ages(history)
    n_users, n_items = history.shape
    n_baskets = np.zeros(n_users, dtype=np.int64)
    np.maximum.at(n_baskets, history.rows, age + 1)
    longest = int(n_baskets.max(initial=1))
    keys = (history.rows * n_items + history.cols) * longest + age
    cells, inverse = np.unique(keys, return_inverse=True)
    told: Floats = np.clip(np.bincount(inverse, weights=history.weights, minlength=len(cells)), 0.0, 1.0)
    pairs, ages = np.divmod(cells, longest)
    rows, cols = np.divmod(pairs, n_items)
    return BasketCells(rows, cols, ages, told, n_baskets, history.shape)


def _basket_ages(history: History) -> Ints:
    """Baskets after each event's own; without numbers, moments of the user after it."""
    if history.age_baskets is not None:
        return history.age_baskets.astype(np.int64)
    moments = pd.DataFrame({"row": history.rows, "age": history.age_days})
    return moments.groupby("row")["age"].rank("dense").to_numpy(np.int64) - 1


class GPTopFreq(InterestRecommender):
    """In how many of the own baskets an item was, filled up by popularity (GP-TopFreq).

    Equal counts go to the more popular item, by the study's tie rule; the published code breaks them in an
    arbitrary order, which costs it a tenth of its recall.

    References
    ----------
    Li et al. (2023), A Next Basket Recommendation Reality Check, ACM TOIS 41(4).

    Examples
    --------
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1, 1], "item_id": ["a", "b", "b"], "basket_number": [1, 1, 2]})
    >>> model = GPTopFreq().fit(history_but_baskets(log, n_hidden=0, min_users_per_item=1))
    >>> model.recommend([1])[["item_id", "score"]].values.tolist()
    [['b', 2.0], ['a', 1.0]]
    """

    def _learn(self, history: History) -> None:
        cells = basket_cells(history)
        self.interest_ = cells.summed(cells.told)


class TIFUKNN(ScoringRecommender):
    """Own baskets, fading within and across groups of them, blended with those of the nearest users.

    The baskets of a user are cut into `n_groups` groups of consecutive ones, as equal as can be, newer
    groups larger by one where they cannot be equal; a user with fewer baskets has a group for each. A basket
    weighs ``within_decay_rate ** (baskets after it in its group)``; a group is the mean of its baskets and
    weighs ``group_decay_rate ** (groups after it)``; the user's vector is the mean of the groups. The score
    is ``alpha`` times the own vector plus ``1 - alpha`` times the mean of the nearest users' vectors.

    Parameters
    ----------
    n_groups : int
        Groups of a user's baskets (the paper's m, which its code calls group size).
    within_decay_rate, group_decay_rate : float in (0, 1]
        What is left of a basket after the next one of its group, and of a group after the next group.
    n_neighbours : int
        How many users to borrow from: the nearest by Euclidean distance of the vectors, as in the authors'
        code, each with the same weight; nobody is their own neighbour.
    alpha : float in [0, 1]
        Weight of the own vector.

    Notes
    -----
    The defaults are the paper's for Ta-Feng. Every basket that is known counts: a public comparison drops
    the newest one (and the oldest) by an index that its own input format does not need.

    References
    ----------
    Hu et al. (2020), Modeling Personalized Item Frequency Information for Next-basket Recommendation.

    Examples
    --------
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": ["a", "b", "b", "c"],
    ...                     "basket_number": [1, 2, 1, 1]})
    >>> h = history_but_baskets(log, n_hidden=0, min_users_per_item=1)
    >>> TIFUKNN(n_neighbours=1).fit(h).recommend([1])[["item_id", "score"]].round(3).values.tolist()
    [['b', 0.65], ['c', 0.3], ['a', 0.245]]
    """

    def __init__(
        self,
        n_groups: int = 7,
        within_decay_rate: float = 0.9,
        group_decay_rate: float = 0.7,
        n_neighbours: int = 300,
        alpha: float = 0.7,
    ) -> None:
        self.n_groups = n_groups
        self.within_decay_rate = within_decay_rate
        self.group_decay_rate = group_decay_rate
        self.n_neighbours = n_neighbours
        self.alpha = alpha

    def _learn(self, history: History) -> None:
        if self.n_groups < 1 or self.n_neighbours < 1:
            raise InputError("TIFUKNN has no groups or no neighbours: give 1 or more of each.")
        cells = basket_cells(history)
        groups, size, group_age, age_inside = _groups(cells, self.n_groups)
        left = self.within_decay_rate**age_inside * self.group_decay_rate**group_age
        self.vectors_ = cells.summed(cells.told * left / (size * groups))
        self.square_ = np.asarray(self.vectors_.multiply(self.vectors_).sum(axis=1)).ravel()

    def _scores(self, rows: Ints) -> Floats:
        nearness = 2 * (self.vectors_[rows] @ self.vectors_.T).toarray()
        nearness -= self.square_  # the negative of the squared distance, but for one's own norm
        nearest = nearest_rows(nearness, rows, self.n_neighbours)
        shares = own_and_borrowed(rows, self.alpha, nearest, 1 - self.alpha, self.vectors_.shape[0])
        scores: Floats = (shares @ self.vectors_).toarray()
        return scores


def _groups(cells: BasketCells, n_groups: int) -> tuple[Ints, Ints, Ints, Ints]:
    """For every cell: groups of its user, baskets in its group, groups after it, baskets after it inside."""
    n_baskets = cells.n_baskets[cells.rows]
    groups = np.minimum(n_groups, n_baskets)
    small, n_large = np.divmod(n_baskets, groups)
    in_large = n_large * (small + 1)  # baskets that lie in the newest groups, which have one more
    large = cells.age < in_large
    size = np.where(large, small + 1, small)
    since = np.where(large, cells.age, cells.age - in_large)
    group_age = np.where(large, 0, n_large) + since // size
    return groups, size, group_age, since % size


def nearest_rows(nearness: Floats, rows: Ints, n_neighbours: int) -> Ints:
    """The other users that are nearest to each of some, ties to the lower row.

    Parameters
    ----------
    nearness : ndarray of float, shape (n_rows, n_users)
        Changed in place: nobody is their own neighbour.
    rows : ndarray of int, shape (n_rows,)
        Who they are.
    n_neighbours : int

    Returns
    -------
    ndarray of int, shape (n_rows, n_neighbours), the nearest first

    Examples
    --------
    >>> nearest_rows(np.array([[9.0, 1.0, 2.0]]), np.array([0]), n_neighbours=1)
    array([[2]])
    """
    nearness[np.arange(len(rows)), rows] = -np.inf
    nearest, _ = top_k(nearness, min(n_neighbours, nearness.shape[1] - 1))
    return nearest


def own_and_borrowed(
    rows: Ints, own: float, nearest: Ints, borrowed: Floats | float, n_users: int
) -> sp.csr_matrix:
    """How much of every user's vector goes into the scores of some users.

    Parameters
    ----------
    rows : ndarray of int, shape (n_rows,)
    own : float
        Weight of one's own vector.
    nearest : ndarray of int, shape (n_rows, n_neighbours)
        Others, from `nearest_rows`.
    borrowed : float or ndarray of float, shape (n_rows, n_neighbours)
        What all neighbours weigh together, each the same; or what each of them weighs.
    n_users : int

    Returns
    -------
    scipy.sparse.csr_matrix of float, shape (n_rows, n_users)

    Examples
    --------
    >>> own_and_borrowed(np.array([0]), 0.6, np.array([[1, 2]]), 0.4, n_users=3).toarray()
    array([[0.6, 0.2, 0.2]])
    """
    n_rows, n = nearest.shape
    each = borrowed if isinstance(borrowed, np.ndarray) else np.full((n_rows, n), borrowed / max(n, 1))
    weights = np.column_stack([np.full(n_rows, own), each])
    users = np.column_stack([rows, nearest])
    starts = np.arange(n_rows + 1) * (n + 1)
    return sp.csr_matrix((weights.ravel(), users.ravel(), starts), shape=(n_rows, n_users))


class UPCF(ScoringRecommender):
    """Recency-aware popularity within the user, and collaborative filtering over users on top (UP-CF).

    ``score(u, i) = sum_v sim(u, v)^q * share(v, i)``, where the share is that of v's last `recency` baskets
    with i, the sum runs over u and the most similar users, and ``sim(u, v) = |u and v| / (|u|^alpha
    |v|^(1 - alpha))`` compares the sets of items of all baskets (1 with oneself).

    Parameters
    ----------
    recency : int
        Newest baskets of each user that count in the shares.
    locality : float
        The exponent q: high values leave the nearest only.
    alpha : float in [0, 1]
        Asymmetry of the cosine; 0.5 is the usual one.
    n_neighbours : int
        How many users to borrow from.

    References
    ----------
    Faggioli, Polato and Aiolli (2020), Recency Aware Collaborative Filtering for Next Basket Recommendation.

    Examples
    --------
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": ["a", "b", "b", "c"],
    ...                     "basket_number": [1, 2, 1, 1]})
    >>> h = history_but_baskets(log, n_hidden=0, min_users_per_item=1)
    >>> model = UPCF(recency=1, locality=1).fit(h)
    >>> model.recommend([1])[["item_id", "score"]].round(3).values.tolist()
    [['b', 1.5], ['c', 0.5], ['a', 0.0]]
    """

    def __init__(
        self, recency: int = 10, locality: float = 5.0, alpha: float = 0.25, n_neighbours: int = 100
    ) -> None:
        self.recency = recency
        self.locality = locality
        self.alpha = alpha
        self.n_neighbours = n_neighbours

    def _learn(self, history: History) -> None:
        if self.recency < 1 or self.n_neighbours < 1:
            raise InputError("UPCF has no baskets or no neighbours: give 1 or more of each.")
        cells = basket_cells(history)
        counted = np.minimum(cells.n_baskets, self.recency)[cells.rows]
        self.shares_ = cells.summed(cells.told * (cells.age < self.recency) / counted)
        had = cells.summed(cells.told)
        had.data[:] = 1.0
        n_items = np.maximum(np.diff(had.indptr), 1).astype(np.float64)
        self.from_ = sp.csr_matrix(sp.diags(n_items**-self.alpha) @ had)
        self.to_ = sp.csr_matrix(sp.diags(n_items ** (self.alpha - 1)) @ had)

    def _scores(self, rows: Ints) -> Floats:
        similarity = (self.from_[rows] @ self.to_.T).toarray()
        nearest = nearest_rows(similarity, rows, self.n_neighbours)
        weights = np.take_along_axis(similarity, nearest, axis=1) ** self.locality
        shares = own_and_borrowed(rows, 1.0, nearest, weights, len(self.history_.user_ids))
        scores: Floats = (shares @ self.shares_).toarray()
        return scores
