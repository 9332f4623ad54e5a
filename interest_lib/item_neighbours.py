"""Items like those that a user had: nearest neighbours of items, and SAR."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight, normalize

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, Ints
from interest_lib.recommend import ScoringRecommender
from interest_lib.schema import InputError, nearest

WEIGHTINGS = ("cosine", "bm25")


class ItemNeighbours(ScoringRecommender):
    """Every item of a user votes for the items most similar to it (package ``implicit``).

    Items are similar when the same users had them. The score of an item is the sum of its similarities to
    what the user had, each times the user's interest in that; an item is its own neighbour.

    Parameters
    ----------
    weighting : {"cosine", "bm25"}
        Cosine of the columns of users; or their product after BM25, in which many counts of one user
        and users with many items say less.
    n_neighbours : int
        Similar items that each item keeps, itself among them.
    binary : bool
        Whether an item counts once, however often the user had it.
    half_life_days, half_life_baskets : float or None
        Half-life of a purchase in the counts, in one of the two units.
    k1, b : float
        BM25's saturation of counts, and how far it corrects for users with many items.

    References
    ----------
    Deshpande and Karypis (2004), Item-based Top-N Recommendation Algorithms; Robertson and Zaragoza (2009)
    for BM25.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "a", "b", "a"],
    ...                     "basket_number": 1})
    >>> h = history_but_baskets(log, n_hidden=0, min_users_per_item=1)
    >>> ItemNeighbours(n_neighbours=2).fit(h).recommend([3])[["item_id", "score"]].round(3).values.tolist()
    [['a', 1.0], ['b', 0.816]]
    """

    def __init__(
        self,
        weighting: str = "cosine",
        n_neighbours: int = 50,
        binary: bool = False,
        half_life_days: float | None = None,
        half_life_baskets: float | None = None,
        k1: float = 1.2,
        b: float = 0.75,
    ) -> None:
        self.weighting = weighting
        self.n_neighbours = n_neighbours
        self.binary = binary
        self.half_life_days = half_life_days
        self.half_life_baskets = half_life_baskets
        self.k1 = k1
        self.b = b

    def _learn(self, history: History) -> None:
        if self.weighting not in WEIGHTINGS:
            hint = nearest(self.weighting, WEIGHTINGS)
            raise InputError(f"weighting {self.weighting} of item neighbours is unknown; {hint}")
        self.interest_ = decayed_counts(history, self.half_life_days, self.half_life_baskets)
        if self.binary:
            self.interest_.data[:] = 1.0
        items = self.interest_.T  # the package weighs rows
        weighted = bm25_weight(items, self.k1, self.b) if self.weighting == "bm25" else normalize(items)
        # one thread, so that sums run in one order on any machine
        model = ItemItemRecommender(self.n_neighbours, num_threads=1)
        model.fit(sp.csr_matrix(weighted.T), show_progress=False)
        self.similarity_ = sp.csr_matrix(model.similarity)

    def _scores(self, rows: Ints) -> Floats:
        scores: Floats = (self.interest_[rows] @ self.similarity_).toarray()
        return scores


class SAR(ScoringRecommender):
    """Simple algorithm for recommendation: faded affinity times Jaccard similarity of items.

    Parameters
    ----------
    half_life_days, half_life_baskets : float or None
        Half-life of a purchase in the affinity; similarities do not fade. None: an item counts once, however
        often the user had it.
    n_items : int
        Only the items with most users enter; the others score zero (memory grows with its square).

    Notes
    -----
    As in Microsoft's ``recommenders``, whose default is a half-life of 30 days, and which drops repetitions
    where it does not fade: the Jaccard similarity is that of the sets of users who had the items, and an item
    is as similar to itself as can be.

    References
    ----------
    Argyriou, Gonzalez-Fierro and Zhang (2020), Microsoft Recommenders: Best Practices for Production-Ready
    Recommendation Systems.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "a", "b", "a"],
    ...                     "basket_number": 1})
    >>> h = history_but_baskets(log, n_hidden=0, min_users_per_item=1)
    >>> SAR().fit(h).recommend([3])[["item_id", "score"]].round(3).values.tolist()
    [['a', 1.0], ['b', 0.667]]
    """

    def __init__(
        self,
        half_life_days: float | None = None,
        n_items: int = 8000,
        half_life_baskets: float | None = None,
    ) -> None:
        self.half_life_days = half_life_days
        self.n_items = n_items
        self.half_life_baskets = half_life_baskets

    def _learn(self, history: History) -> None:
        had = decayed_counts(history)
        had.data[:] = 1.0
        n_users = np.bincount(had.indices, minlength=had.shape[1])
        self.columns_ = np.sort(np.argsort(-n_users, kind="stable")[: self.n_items])
        fades = self.half_life_days is not None or self.half_life_baskets is not None
        affinity = decayed_counts(history, self.half_life_days, self.half_life_baskets) if fades else had
        self.affinity_ = sp.csr_matrix(affinity[:, self.columns_], dtype=np.float32)  # as the similarity is
        kept = sp.csr_matrix(had[:, self.columns_], dtype=np.float32)
        together = (kept.T @ kept).toarray()
        users = np.diag(together).copy()
        together /= users[:, None] + users - together
        self.similarity_ = together

    def _scores(self, rows: Ints) -> Floats:
        scores = np.zeros((len(rows), len(self.history_.item_ids)))
        scores[:, self.columns_] = self.affinity_[rows] @ self.similarity_
        return scores
