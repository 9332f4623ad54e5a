"""What is borrowed, blended with a newcomer's own purchases in one way for all methods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp
from lightfm import LightFM
from scipy.special import softmax
from sklearn.preprocessing import normalize

from interest_lib.history import Floats
from interest_lib.interest_network import UserRows
from interest_lib.metrics import ndcg_at_k
from interest_lib.newcomer_models import Play, playing
from interest_lib.newcomer_rows import newcomers
from interest_lib.ranking import ranked_lists, top_k
from interest_lib.transfer import NewUserTask


def blended_lists(
    task: NewUserTask, n_given: int, borrowed: Floats, strengths: Sequence[float], k: int = 10
) -> dict[float, pd.DataFrame]:
    """Lists by ``own purchases + strength * borrowed shares``, for each strength.

    What is borrowed fades by itself, as the own purchases grow and the shares do not.

    Parameters
    ----------
    task : NewUserTask
    n_given : int
        First baskets that are known.
    borrowed : ndarray of float, shape (n_held_out, at most n_items)
        Shares of the first products, not negative; rows sum to one, whatever the method.
    strengths : sequence of float
        Purchases that all that is borrowed is worth; infinity leaves the own purchases out.
    k : int
        Length of the lists.

    Returns
    -------
    dict of float to pandas.DataFrame
        As `ranking.ranked_lists` gives them.
    """
    own = sp.csr_matrix(task.own_counts(n_given))
    places = _candidates(own, borrowed, k)
    row = np.repeat(np.arange(own.shape[0]), np.diff(places.indptr))
    last = borrowed.shape[1] - 1
    share = np.where(places.indices <= last, borrowed[row, np.minimum(places.indices, last)], 0.0)
    bought = np.asarray(own[row, places.indices]).ravel()
    found = {}
    for strength in strengths:
        scores = share if np.isinf(strength) else bought + strength * share
        blend = sp.csr_matrix((scores, places.indices, places.indptr), shape=own.shape)
        found[strength] = ranked_lists(task.user_ids, blend, task.source.item_ids, k)
    return found


def _candidates(own: sp.csr_matrix, borrowed: Floats, k: int) -> sp.csr_matrix:
    """Where the best of every blend must be: what the user bought, and the best that is borrowed besides."""
    beside = borrowed.copy()
    beside[own[:, : borrowed.shape[1]].nonzero()] = -np.inf
    best, _ = top_k(beside, k)
    rows, cols = own.nonzero()
    rows = np.concatenate([rows, np.repeat(np.arange(len(best)), best.shape[1])])
    cols = np.concatenate([cols, best.ravel()])
    return sp.csr_matrix((np.ones(len(rows)), (rows, cols)), shape=own.shape)


def blended_ndcg(
    task: NewUserTask, n_given: int, borrowed: Floats, strengths: Sequence[float], k: int = 10
) -> pd.DataFrame:
    """NDCG of the blended lists of every held-out user; the targets begin after what is given.

    Returns
    -------
    pandas.DataFrame
        ``user_id``, ``strength``, ``ndcg``.
    """
    targets = task.targets_after(n_given)
    tables = [
        ndcg_at_k(lists, targets, k).rename("ndcg").reset_index().assign(strength=strength)
        for strength, lists in blended_lists(task, n_given, borrowed, strengths, k).items()
    ]
    return pd.concat(tables, ignore_index=True)


def popular_shares(task: NewUserTask, n_products: int) -> Floats:
    """The share of every product in the source's popularity, the same for all held-out users."""
    popular = task.source.popularity[:n_products]
    return np.tile(popular / popular.sum(), (len(task.user_ids), 1))


class FactorModel:
    """LightFM whose users are nothing but features, so that newcomers need no training of their own.

    A user is a mean of what is known: bought products and categories, attributes. It learns from source users
    who play newcomers, what they bought later being what is ranked.

    Parameters
    ----------
    play : Play
        How source users play newcomers.
    n_factors, n_epochs : int
        Length of the vectors, passes over the data.

    References
    ----------
    Kula (2015), Metadata Embeddings for User and Item Cold-start Recommendations.
    """

    def __init__(self, play: Play, n_factors: int = 32, n_epochs: int = 3) -> None:
        self.play, self.n_factors, self.n_epochs = play, n_factors, n_epochs

    def fit(self, task: NewUserTask) -> FactorModel:
        """Learn from the source users of a task."""
        play = self.play
        rows = playing(task, play)[0]
        self.model_ = LightFM(no_components=self.n_factors, loss="warp", random_state=play.seed)
        self.items_ = _items(task, play.n_products)
        pairs = rows.labels["products"].astype(np.float32).tocoo()
        # LightFM is deterministic with one thread only.
        self.model_.fit(
            pairs, user_features=_users(rows), item_features=self.items_, epochs=self.n_epochs, num_threads=1
        )
        return self

    def shares(self, task: NewUserTask, n_given: int) -> Floats:
        """Softmax of the scores of the held-out users, shape (n_held_out, n_products)."""
        rows = newcomers(task, n_given, self.play.n_products)
        _, users = self.model_.get_user_representations(_users(rows))
        bias, items = self.model_.get_item_representations(self.items_)
        return np.asarray(softmax(np.asarray(users, np.float64) @ items.T.astype(np.float64) + bias, axis=1))


def _users(rows: UserRows) -> sp.csr_matrix:
    """What is known of users, purchases adding up to one; everybody has a feature in common."""
    bag = normalize(rows.interests, norm="l1")
    nobody = sp.csr_matrix(np.ones((len(rows), 1)))
    known = sp.hstack([bag, rows.attributes * 0.05, nobody * 0.3])
    return sp.csr_matrix(known).astype(np.float32)


def _items(task: NewUserTask, n_products: int) -> sp.csr_matrix:
    """An indicator of every product beside its categories, each row adding up to one."""
    features = task.item_features[:n_products]
    own = sp.identity(features.shape[0])
    return normalize(sp.csr_matrix(sp.hstack([own, features])), norm="l1").astype(np.float32)
