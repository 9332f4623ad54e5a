"""Users who play newcomers: what was known of them early on, and what they bought later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from interest_lib.history import Bools, Floats, History, Ints, ages_in
from interest_lib.interest_network import UserRows
from interest_lib.transfer import NewUserTask

EVERYTHING: Final = 10**9  # baskets given to a user who plays nobody


@dataclass(frozen=True)
class Window:
    """What is known of a user and what is to be foretold.

    Attributes
    ----------
    n_given : int
        Baskets that are known; `EVERYTHING` for all but the ones to be foretold.
    n_skipped : int
        Baskets between the first one known and the first one to be foretold.
    n_foretold : int
        Baskets whose products are to be foretold.
    """

    n_given: int
    n_skipped: int = 5
    n_foretold: int = 20


def baskets_of(source: History) -> Ints:
    """How many baskets every source user has, shape (n_source_users,).

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a"] * 3, "basket_number": [1, 2, 1]})
    >>> baskets_of(history_but_baskets(log, n_hidden=0, min_users_per_item=1))
    array([2, 1])
    """
    last = np.zeros(source.shape[0], dtype=np.int64)
    np.maximum.at(last, source.rows, ages_in(source, "baskets", "history").astype(np.int64))
    return last + 1


def played_rows(
    task: NewUserTask,
    windows: list[Window],
    n_products: int = 2000,
    n_starts: int = 3,
    users: Bools | None = None,
    seed: int = 0,
) -> UserRows:
    """Source users as they were at some time: a few baskets, and what followed.

    Parameters
    ----------
    task : NewUserTask
    windows : list of Window
        One row for each user, window and start.
    n_products : int
        Products that are read and foretold, the most bought ones; others count by their categories.
    n_starts : int
        Places in a user's log, drawn at random; the first is its beginning, where newcomers stand.
    users : ndarray of bool, shape (n_source_users,), or None
        Who plays; None for all.
    seed : int
        Of the places.

    Returns
    -------
    UserRows
        Labels ``products`` and, where items have categories, ``categories``; no row is without a label.

    Raises
    ------
    InputError
        When the log's baskets are not numbered.
    """
    source = task.source
    total = baskets_of(source)
    basket = total[source.rows] - 1 - ages_in(source, "baskets", "history").astype(np.int64)
    rng = np.random.default_rng(seed)
    attributes = task.user_features[: source.shape[0]]
    found = []
    for copy in range(n_starts):
        place = rng.random(source.shape[0]) * (copy > 0)
        for window in windows:
            bought, later = _cut(source, basket, total, window, place)
            given, wanted = (_counts(source, chosen) for chosen in (bought, later))
            found.append(rows_of(task, given, attributes, wanted, n_products))
    rows = stacked(found)
    playing = np.ones(source.shape[0], dtype=bool) if users is None else users
    has_label = np.diff(rows.labels["products"].indptr) > 0
    return rows[np.flatnonzero(np.tile(playing, len(found)) & has_label)]


def _cut(source: History, basket: Ints, total: Ints, window: Window, place: Floats) -> tuple[Bools, Bools]:
    """Which events are known and which are to be foretold, when every user's window starts at that place."""
    if window.n_given == EVERYTHING:
        end = np.maximum(total - window.n_foretold, (total + 1) // 2)
        end = np.maximum((end * (1 - place / 2)).astype(np.int64), 1)
        first, known = end[source.rows], basket < end[source.rows]
    else:
        length = window.n_skipped + window.n_foretold
        start = (place * np.maximum(total - length + 1, 1)).astype(np.int64)[source.rows]
        first, known = start + window.n_skipped, (basket >= start) & (basket < start + window.n_given)
    later = (basket >= first) & (basket < first + window.n_foretold)
    return known, later & source.is_goal


def _counts(source: History, chosen: Bools) -> sp.csr_matrix:
    cells = (source.weights[chosen], (source.rows[chosen], source.cols[chosen]))
    return sp.csr_matrix(sp.csr_matrix(cells, shape=source.shape).maximum(0))


def rows_of(
    task: NewUserTask,
    given: sp.csr_matrix,
    attributes: sp.csr_matrix,
    wanted: sp.csr_matrix | None = None,
    n_products: int = 2000,
) -> UserRows:
    """Purchases of some users as a network reads them: the most bought products, and categories.

    Parameters
    ----------
    task : NewUserTask
        For the categories.
    given, wanted : scipy.sparse.csr_matrix, shape (n_users, n_items)
        What is known, and what is to be foretold (distinct products count).
    attributes : scipy.sparse.csr_matrix, shape (n_users, n_attributes)
    n_products : int
        The first columns are the most bought products.
    """
    bag = sp.csr_matrix(sp.hstack([given[:, :n_products], given @ task.item_features]))
    if wanted is None:
        return UserRows(bag, attributes)
    distinct = sp.csr_matrix((wanted > 0).astype(np.float64))
    labels = {"products": sp.csr_matrix(distinct[:, :n_products])}
    if task.item_features.shape[1]:
        labels["categories"] = sp.csr_matrix(distinct @ task.item_features)
    return UserRows(bag, attributes, labels)


def newcomers(task: NewUserTask, n_given: int, n_products: int = 2000) -> UserRows:
    """The held-out users with their first baskets, as `played_rows` has those who play them; no labels."""
    own = task.own_counts(n_given)
    return rows_of(task, own, task.user_features[task.source.shape[0] :], None, n_products)


def stacked(parts: list[UserRows]) -> UserRows:
    """Rows below each other; a part that does not have a task has no label in it, and no group is -1."""
    widths = {name: label.shape[1] for part in parts for name, label in part.labels.items()}
    labels = {
        name: [part.labels.get(name, sp.csr_matrix((len(part), width))) for part in parts]
        for name, width in widths.items()
    }
    groups = [np.full(len(part), -1) if part.group is None else part.group for part in parts]
    return UserRows(
        sp.csr_matrix(sp.vstack([part.interests for part in parts])),
        sp.csr_matrix(sp.vstack([part.attributes for part in parts])),
        {name: sp.csr_matrix(sp.vstack(label)) for name, label in labels.items()},
        np.concatenate(groups) if any(part.group is not None for part in parts) else None,
    )
