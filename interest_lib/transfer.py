"""What can be borrowed from other users when little is known of a new one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.decay import decayed_counts
from interest_lib.history import History, Ints, codes, goal, history_but_baskets, is_goal
from interest_lib.schema import InputError


@dataclass(frozen=True)
class NewUserTask:
    """Households treated as new: their first baskets may be seen, later ones are the targets.

    Attributes
    ----------
    source : History
        Everything that all other users did; its popularity counts their whole log.
    source_events : pandas.DataFrame
        The same events, row for row: ``user_id``, ``item_id``, ``basket_number`` and ``timestamp``, if known.
    user_ids : pandas.Index
        The held-out users, sorted.
    own : pandas.DataFrame
        What they did: ``user_id``, ``item_id``, ``basket_number``, ``weight``, ``is_goal`` and ``timestamp``,
        if known. Models read it through the methods below, which show no more than they are asked for.
    target_baskets : (int, int)
        First and last basket whose items are foretold, inclusive; see `targets_after`.
    user_features : scipy.sparse.csr_matrix, shape (n_source_users + n_held_out, n_user_features)
        Indicators of the users' attributes, source users first.
    item_features : scipy.sparse.csr_matrix, shape (n_items, n_item_features)
        Indicators of the items' category and department.
    item_category : ndarray of int, shape (n_items,)
        Code of each item's category; the last code is that of items without one.
    categories : pandas.Index
        Names of the categories, position = code.
    """

    source: History
    source_events: pd.DataFrame
    user_ids: pd.Index
    own: pd.DataFrame
    target_baskets: tuple[int, int]
    user_features: sp.csr_matrix
    item_features: sp.csr_matrix
    item_category: Ints
    categories: pd.Index

    @cached_property
    def source_counts(self) -> sp.csr_matrix:
        """Purchases of every source user, shape (n_source_users, n_items)."""
        return decayed_counts(self.source)

    @cached_property
    def first(self) -> pd.DataFrame:
        """The held-out users' events before the first target basket."""
        return self.own[self.own["basket_number"] < self.target_baskets[0]]

    @cached_property
    def targets(self) -> pd.DataFrame:
        """Distinct ``user_id``, ``item_id`` of the target baskets, inside the vocabulary."""
        return self.targets_after(0)

    def first_target(self, n_baskets: int) -> int:
        """Number of the first target basket when `n_baskets` are given: never one of those."""
        return max(self.target_baskets[0], n_baskets + 1)

    def targets_after(self, n_baskets: int) -> pd.DataFrame:
        """Distinct ``user_id``, ``item_id`` of the target baskets when the first `n_baskets` are given.

        Where the given baskets reach into `target_baskets`, the targets move back and keep their number: with
        baskets 6 to 25 as targets, ten given baskets are judged by baskets 11 to 30.
        """
        start = self.first_target(n_baskets)
        length = self.target_baskets[1] - self.target_baskets[0]
        inside = self.own["is_goal"] & self.own["basket_number"].between(start, start + length)
        pairs = self.own.loc[inside, ["user_id", "item_id"]].drop_duplicates()
        return pairs.sort_values(["user_id", "item_id"], ignore_index=True)

    def own_counts(self, n_baskets: int) -> sp.csr_matrix:
        """Weighted events up to basket `n_baskets` of each held-out user, shape (n_held_out, n_items)."""
        seen = self.own[self.own["basket_number"] <= n_baskets]
        rows = codes(self.user_ids, seen["user_id"])
        cols = codes(self.source.item_ids, seen["item_id"])
        shape = (len(self.user_ids), len(self.source.item_ids))
        counts = sp.csr_matrix((seen["weight"].to_numpy(np.float64), (rows, cols)), shape=shape)
        return sp.csr_matrix(counts.maximum(0))

    def asked_on(self, n_baskets: int) -> pd.Series:
        """Day on which each held-out user comes for the first target basket; empty without times."""
        if "timestamp" not in self.own:
            return pd.Series(dtype="datetime64[us]")
        at = self.own.loc[self.own["basket_number"] >= self.first_target(n_baskets)]
        return at.groupby("user_id")["timestamp"].min().dt.normalize().reindex(self.user_ids)


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
        ``user_id``, ``item_id``, ``weight``, ``basket_number`` and, if the log has it, ``event``, in the
        order of time.
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
    inside = events["item_id"].isin(source.item_ids)
    own = events[is_held_out & inside].assign(is_goal=lambda log: is_goal(log, goal(events)))
    if not (own["is_goal"] & own["basket_number"].between(*target_baskets)).any():
        raise InputError(
            f"No held-out user has an item in baskets {target_baskets[0]} to {target_baskets[1]}: "
            "give a longer log or earlier target_baskets."
        )
    user_ids = pd.Index(held_out).sort_values()
    attributes = [name for name in users.columns if name != "user_id"]
    columns = ["user_id", "item_id", "basket_number", *(["timestamp"] if "timestamp" in events else [])]
    category, names = _categories(items, source.item_ids)
    return NewUserTask(
        source=source,
        source_events=events.loc[~is_held_out & inside, columns],
        user_ids=user_ids,
        own=own[[*columns, "weight", "is_goal"]],
        target_baskets=target_baskets,
        user_features=one_hot(users, source.user_ids.append(user_ids), "user_id", attributes),
        item_features=one_hot(items, source.item_ids, "item_id", ["category", "department"]),
        item_category=category,
        categories=names,
    )


def _categories(items: pd.DataFrame, item_ids: pd.Index) -> tuple[Ints, pd.Index]:
    """Code of every item's category, and the categories' names; the last name is for items without one."""
    named = items.set_index("item_id")["category"].reindex(item_ids) if "category" in items else None
    if named is None or named.isna().all():
        return np.zeros(len(item_ids), np.int64), pd.Index(["all"])
    names = pd.Index(np.append(np.sort(named.dropna().unique().astype(str)), "none"))
    found = codes(names, named.astype(str).where(named.notna(), "none"))
    return found, names


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
