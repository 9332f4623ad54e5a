"""The study's own next basket: the user's habits at the user's own pace, and what others add to them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from interest_lib.basket_models import BasketCells, basket_cells, nearest_rows, own_and_borrowed
from interest_lib.history import Floats, History, Ints
from interest_lib.recommend import ScoringRecommender
from interest_lib.schema import InputError


class PacedFrequency(ScoringRecommender):
    """The chance that an item is in the next basket, put together from four sources that all are chances.

    - *Own habit*: the item's baskets, each fading by the baskets since, times how readily the item is bought
      again (its share of baskets that are followed by one with the item, drawn to the mean of all items) and
      times the user's pace (the same share over the user's own items, relative to the mean).
    - *Neighbours*: the mean of the faded shares of the nearest users.
    - *Followers*: what was in the basket after one with an item of the user's newest baskets.
    - *Popularity*: the item's share of all baskets.

    Everything is counted in the history alone; the weights of the sources are settings.

    Parameters
    ----------
    fade_per_basket : float in (0, 1]
        What is left of a basket's weight after the next one.
    propensity_baskets, pace_baskets : float
        How many baskets the mean weighs in an item's propensity, and in a user's pace.
    propensity_power : float
        0 leaves the propensity out; 1 takes it as it is.
    neighbour_weight, follower_weight, popularity_weight : float
        Of the sources beside the own habit.
    n_neighbours : int
        Nearest users, by Euclidean distance of faded shares.
    follower_fade : float in (0, 1]
        What is left of a basket, as something that others follow on, after the next one.
    follower_baskets : float
        How many baskets without any follower are added to those of each item.

    Notes
    -----
    Faded counts and neighbours are those of Hu et al. (2020), Modeling Personalized Item Frequency
    Information for Next-basket Recommendation; repeat propensities those of Anderson et al. (2014), The
    Dynamics of Repeat Consumption, shrunk as in `pooling`.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1, 1, 2, 2], "item_id": ["tea", "pan", "tea", "pan", "tea"],
    ...                     "basket_number": [1, 1, 2, 1, 2]}).sort_values("basket_number", kind="stable")
    >>> h = history_but_baskets(log.reset_index(drop=True), n_hidden=0, min_users_per_item=1)
    >>> model = PacedFrequency(n_neighbours=1, propensity_baskets=1.0).fit(h)
    >>> model.propensity_.round(2).tolist(), list(h.item_ids)
    ([0.11, 0.67], ['pan', 'tea'])
    """

    def __init__(
        self,
        fade_per_basket: float = 0.95,
        propensity_baskets: float = 100.0,
        propensity_power: float = 0.5,
        pace_baskets: float = 50.0,
        neighbour_weight: float = 0.8,
        n_neighbours: int = 300,
        follower_weight: float = 0.1,
        follower_fade: float = 0.3,
        follower_baskets: float = 100.0,
        popularity_weight: float = 0.2,
    ) -> None:
        self.fade_per_basket = fade_per_basket
        self.propensity_baskets = propensity_baskets
        self.propensity_power = propensity_power
        self.pace_baskets = pace_baskets
        self.neighbour_weight = neighbour_weight
        self.n_neighbours = n_neighbours
        self.follower_weight = follower_weight
        self.follower_fade = follower_fade
        self.follower_baskets = follower_baskets
        self.popularity_weight = popularity_weight

    def _learn(self, history: History) -> None:
        if not 0 < self.fade_per_basket <= 1 or self.propensity_baskets <= 0 or self.pace_baskets <= 0:
            raise InputError(
                f"PacedFrequency fades by {self.fade_per_basket:g} a basket and adds "
                f"{self.propensity_baskets:g} and {self.pace_baskets:g} baskets: "
                "give a fade above 0, up to 1, and more than 0 baskets."
            )
        cells = basket_cells(history)
        n_users, n_items = cells.shape
        repeated, could_be = followed_by_itself(cells)
        mean = repeated.sum() / max(could_be.sum(), 1)
        self.propensity_ = _shrunk(repeated, could_be, cells.cols, n_items, mean, self.propensity_baskets)
        self.pace_ = _shrunk(repeated, could_be, cells.rows, n_users, mean, self.pace_baskets)
        left = cells.told * self.fade_per_basket**cells.age
        counts = cells.summed(left)
        self.habit_ = self._habit(counts, mean)
        self.shares_ = sp.csr_matrix(sp.diags(1 / _faded(cells.n_baskets, self.fade_per_basket)) @ counts)
        self.square_ = np.asarray(self.shares_.multiply(self.shares_).sum(axis=1)).ravel()
        self.newest_ = cells.summed(cells.told * self.follower_fade**cells.age)
        following = followers(cells, self.follower_baskets)
        self.sources_ = sp.vstack([self.habit_, self.shares_, following], format="csr")
        self.popular_ = np.bincount(cells.cols, cells.told, n_items) / max(cells.n_baskets.sum(), 1)

    def _habit(self, counts: sp.csr_matrix, mean: float) -> sp.csr_matrix:
        """Chances from own baskets: faded counts times propensity and pace, both relative to the mean."""
        item = (self.propensity_ / mean) ** self.propensity_power if mean > 0 else np.ones(counts.shape[1])
        return sp.csr_matrix(sp.diags(self.pace_) @ counts @ sp.diags(item))

    def _scores(self, rows: Ints) -> Floats:
        n_users, n = self.habit_.shape[0], len(rows)
        nearness = 2 * (self.shares_[rows] @ self.shares_.T).toarray()
        nearness -= self.square_  # the negative of the squared distance, but for one's own norm
        nearest = nearest_rows(nearness, rows, self.n_neighbours)
        own = sp.csr_matrix((np.ones(n), (np.arange(n), rows)), shape=(n, n_users))
        borrowed = own_and_borrowed(rows, 0.0, nearest, self.neighbour_weight, n_users)
        # one product of everything is faster than a sum of three
        weights = sp.hstack([own, borrowed, self.follower_weight * self.newest_[rows]], format="csr")
        scores: Floats = (weights @ self.sources_).toarray() + self.popularity_weight * self.popular_
        return scores


def followed_by_itself(cells: BasketCells) -> tuple[Floats, Floats]:
    """For every cell: whether the user's next basket has the item again, and whether there is a next basket.

    Returns
    -------
    repeated, could_be : ndarray of float, shape (n_cells,)

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": 1, "item_id": ["a", "a", "b"], "basket_number": [1, 2, 3]})
    >>> cells = basket_cells(history_but_baskets(log, n_hidden=0, min_users_per_item=1))
    >>> cells.age.tolist(), [found.tolist() for found in followed_by_itself(cells)]
    ([1, 2, 0], [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    """
    same = (np.diff(cells.rows) == 0) & (np.diff(cells.cols) == 0) & (np.diff(cells.age) == 1)
    repeated = np.concatenate([[False], same])  # cells of a pair lie together, the newest first
    return repeated.astype(np.float64), (cells.age > 0).astype(np.float64)


def _shrunk(repeated: Floats, could_be: Floats, group: Ints, n: int, mean: float, strength: float) -> Floats:
    """Share of baskets that are followed by one with the item again, drawn to the mean of all."""
    again, baskets = np.bincount(group, repeated, n), np.bincount(group, could_be, n)
    return (again + strength * mean) / (baskets + strength)


def _faded(n_baskets: Ints, fade: float) -> Floats:
    """What all baskets of each user weigh together."""
    n = np.maximum(n_baskets, 1)
    return n.astype(np.float64) if fade == 1 else (1 - fade**n) / (1 - fade)


def followers(cells: BasketCells, empty_baskets: float) -> sp.csr_matrix:
    """Chance that an item is in the basket after one that holds another item.

    Parameters
    ----------
    cells : BasketCells
    empty_baskets : float
        Baskets without any follower that are added to those of each item, so that rare ones say little.

    Returns
    -------
    scipy.sparse.csr_matrix of float, shape (n_items, n_items)
        From the item of a row to the item of a column; what follows on itself is left out.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": 1, "item_id": ["a", "b", "b"], "basket_number": [1, 2, 3]})
    >>> cells = basket_cells(history_but_baskets(log, n_hidden=0, min_users_per_item=1))
    >>> followers(cells, empty_baskets=1.0).toarray()
    array([[0. , 0.5],
           [0. , 0. ]])
    """
    n_items = cells.shape[1]
    longest = int(cells.n_baskets.max(initial=1))
    baskets, of_cell = np.unique(cells.rows * longest + cells.age, return_inverse=True)
    held = sp.csr_matrix((cells.told, (of_cell, cells.cols)), shape=(len(baskets), n_items))
    # ages go up within a user, so the basket after one is the row before it
    has_next = np.flatnonzero((np.diff(baskets) == 1) & (baskets[1:] % longest > 0))
    before, after = held[has_next + 1], held[has_next]
    pairs = sp.coo_matrix(before.T @ after)
    other = pairs.row != pairs.col
    chance = 1 / (np.asarray(before.sum(axis=0)).ravel() + empty_baskets)
    values = pairs.data[other] * chance[pairs.row[other]]
    return sp.csr_matrix((values, (pairs.row[other], pairs.col[other])), shape=(n_items, n_items))
