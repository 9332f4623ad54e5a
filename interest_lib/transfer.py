"""What can be borrowed from other users when little is known of a new one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp
from lightfm import LightFM
from sklearn.preprocessing import normalize

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, codes, goal, history_but_baskets, is_goal
from interest_lib.mining import interest_formula
from interest_lib.ranking import keep_nearest
from interest_lib.schema import InputError


@dataclass(frozen=True)
class NewUserTask:
    """Households treated as new: their first baskets may be seen, later ones are the targets.

    Attributes
    ----------
    source : History
        Everything that all other users did; its popularity counts their whole log.
    user_ids : pandas.Index
        The held-out users, sorted.
    first : pandas.DataFrame
        Their events before the target baskets: ``user_id``, ``item_id``, ``weight``, ``basket_number``.
    targets : pandas.DataFrame
        Distinct ``user_id``, ``item_id`` of the target baskets, inside the vocabulary.
    user_features : scipy.sparse.csr_matrix, shape (n_source_users + n_held_out, n_user_features)
        Indicators of the users' attributes, source users first.
    item_features : scipy.sparse.csr_matrix, shape (n_items, n_item_features)
        Indicators of the items' category and department.
    """

    source: History
    user_ids: pd.Index
    first: pd.DataFrame
    targets: pd.DataFrame
    user_features: sp.csr_matrix
    item_features: sp.csr_matrix

    @cached_property
    def source_counts(self) -> sp.csr_matrix:
        """Purchases of every source user, shape (n_source_users, n_items)."""
        return decayed_counts(self.source)

    def own_counts(self, n_baskets: int) -> sp.csr_matrix:
        """Weighted events up to basket `n_baskets` of each held-out user, shape (n_held_out, n_items)."""
        seen = self.first[self.first["basket_number"] <= n_baskets]
        rows = codes(self.user_ids, seen["user_id"])
        cols = codes(self.source.item_ids, seen["item_id"])
        shape = (len(self.user_ids), len(self.source.item_ids))
        counts = sp.csr_matrix((seen["weight"].to_numpy(np.float64), (rows, cols)), shape=shape)
        return sp.csr_matrix(counts.maximum(0))


def new_user_task(
    events: pd.DataFrame,
    held_out: pd.Index,
    users: pd.DataFrame,
    items: pd.DataFrame,
    target_baskets: tuple[int, int] = (6, 25),
    min_users_per_item: int = 5,
) -> NewUserTask:
    """Hide users from the log and ask for what they buy in later baskets.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``item_id``, ``weight``, ``basket_number`` and, if the log has it, ``event``.
    held_out : pandas.Index
        Users to treat as new.
    users, items : pandas.DataFrame
        What is known of users (``user_id``, attributes) and items (``item_id``, ``category``, `department`).
    target_baskets : (int, int)
        First and last basket whose items are the targets, inclusive.
    min_users_per_item : int
        Vocabulary: items with this many source users.

    Returns
    -------
    NewUserTask

    Raises
    ------
    InputError
        When no held-out user has a target.

    Notes
    -----
    Source users' purchases are not cut at a date: the question is what is worth borrowing, and the new
    users' first baskets are spread over the whole log.
    """
    is_held_out = events["user_id"].isin(held_out)
    source = history_but_baskets(events[~is_held_out], 0, min_users_per_item)
    own = events[is_held_out & events["item_id"].isin(source.item_ids)]
    first_target, last_target = target_baskets
    wanted = own[is_goal(own, goal(events)) & own["basket_number"].between(first_target, last_target)]
    if wanted.empty:
        raise InputError(
            f"No held-out user has an item in baskets {first_target} to {last_target}: "
            "give a longer log or earlier target_baskets."
        )
    user_ids = pd.Index(held_out).sort_values()
    attributes = [name for name in users.columns if name != "user_id"]
    return NewUserTask(
        source=source,
        user_ids=user_ids,
        first=own.loc[own["basket_number"] < first_target, ["user_id", "item_id", "weight", "basket_number"]],
        targets=wanted[["user_id", "item_id"]].drop_duplicates().sort_values(["user_id", "item_id"]),
        user_features=one_hot(users, source.user_ids.append(user_ids), "user_id", attributes),
        item_features=one_hot(items, source.item_ids, "item_id", ["category", "department"]),
    )


def popularity_prior(task: NewUserTask, n_baskets: int, strength: float) -> Floats:
    """Own counts plus `strength` times the share of source users who buy the item.

    With one basket the popular items that were not bought yet compete with the own ones; with many
    baskets the own counts outgrow the prior, so what is borrowed fades by itself.

    Parameters
    ----------
    task : NewUserTask
    n_baskets : int
        First baskets that are known.
    strength : float
        Purchases that an item bought by everyone is worth beforehand; 0 is own history alone.

    Returns
    -------
    ndarray of float, shape (n_held_out, n_items)
    """
    return task.own_counts(n_baskets).toarray() + strength * task.source.popularity / len(
        task.source.user_ids
    )


def borrow_from_nearest(
    task: NewUserTask, n_baskets: int, borrowed_weight: float, n_neighbours: int = 100
) -> Floats:
    """The interest formula over the most similar source users, blended with the own purchases.

    Parameters
    ----------
    task : NewUserTask
    n_baskets : int
        First baskets that are known.
    borrowed_weight : float in [0, 1]
        Weight of what is borrowed; the own purchases get the rest.
    n_neighbours : int
        Source users to borrow from, by cosine similarity of purchase counts.

    Returns
    -------
    ndarray of float, shape (n_held_out, n_items)
        A user without any purchase is similar to nobody and scores zero everywhere.
    """
    own = task.own_counts(n_baskets)
    similarity = (normalize(own) @ normalize(task.source_counts).T).toarray()
    borrowed = interest_formula(keep_nearest(similarity, n_neighbours), task.source_counts)
    return (1 - borrowed_weight) * own.toarray() + borrowed_weight * borrowed


def one_hot(table: pd.DataFrame, ids: pd.Index, key: str, columns: Sequence[str]) -> sp.csr_matrix:
    """Attributes of `ids` as indicator columns; an id or attribute that is missing has none.

    Parameters
    ----------
    table : pandas.DataFrame
        With the column `key` and the attribute `columns`.
    ids : pandas.Index
        Order of the rows.
    key : str
        ``user_id`` or ``item_id``.
    columns : sequence of str
        Attributes to encode.

    Returns
    -------
    scipy.sparse.csr_matrix of float, shape (len(ids), n_values)

    Examples
    --------
    >>> people = pd.DataFrame({"user_id": [1, 2], "age": ["19-24", "65+"]})
    >>> one_hot(people, pd.Index([2, 3]), "user_id", ["age"]).toarray()
    array([[0., 1.],
           [0., 0.]])
    """
    aligned = table.set_index(key).reindex(ids)
    blocks = [sp.csr_matrix((len(ids), 0))]
    for column in columns:
        values = np.sort(table[column].dropna().unique())
        found = codes(pd.Index(values), aligned[column])
        known = found >= 0
        cells = (np.flatnonzero(known), found[known])
        blocks.append(sp.csr_matrix((np.ones(int(known.sum())), cells), shape=(len(ids), len(values))))
    return sp.csr_matrix(sp.hstack(blocks))


def lightfm_hybrid(
    task: NewUserTask, n_baskets: int, n_factors: int = 32, n_epochs: int = 5, random_state: int = 0
) -> Floats:
    """LightFM with user and item features, trained on source users and the new users' first purchases.

    Every user and item has an indicator of its own beside its features. A new user without a
    purchase has none, so that only learned features speak for them.

    Parameters
    ----------
    task : NewUserTask
    n_baskets : int
        First baskets that are known.
    n_factors, n_epochs, random_state : int
        Length of the vectors, passes over the data, seed.

    Returns
    -------
    ndarray of float, shape (n_held_out, n_items)

    References
    ----------
    Kula (2015), Metadata Embeddings for User and Item Cold-start Recommendations.
    """
    pairs = sp.csr_matrix(sp.vstack([task.source_counts, task.own_counts(n_baskets)])).astype(np.float32)
    pairs.data[:] = 1.0
    has_purchase = (np.diff(pairs.indptr) > 0).astype(float)
    users = _share_of_features(sp.diags(has_purchase), task.user_features)
    items = _share_of_features(sp.eye(pairs.shape[1]), task.item_features)
    model = LightFM(no_components=n_factors, loss="warp", random_state=random_state)
    # LightFM is deterministic with one thread only.
    model.fit(pairs.tocoo(), user_features=users, item_features=items, epochs=n_epochs, num_threads=1)
    _, user_factors = model.get_user_representations(users[task.source_counts.shape[0] :])
    item_bias, item_factors = model.get_item_representations(items)
    return np.asarray(user_factors, np.float64) @ np.asarray(item_factors, np.float64).T + item_bias


def _share_of_features(own: sp.spmatrix, features: sp.csr_matrix) -> sp.csr_matrix:
    """Indicators side by side, each row adding up to one as LightFM expects."""
    return normalize(sp.csr_matrix(sp.hstack([own, features])), norm="l1").astype(np.float32)
