"""New items: taken out of everybody's events, to be ranked for users who will meet some of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.groups import GroupTask
from interest_lib.history import Floats, Ints
from interest_lib.metrics import ndcg_at_k
from interest_lib.ranking import ranked_lists
from interest_lib.schema import InputError


@dataclass(frozen=True)
class NewItems:
    """Items that nobody is known to have met, and held-out users who will meet some of them.

    Attributes
    ----------
    task : GroupTask
        The same users and columns; nobody has met the hidden items.
    hidden : ndarray of int, shape (n_hidden,)
        Their columns in random order: the order of columns would tell how many will meet them.
    rows : ndarray of int, shape (n_judged,)
        Held-out users of the task who meet some of them.
    wanted : scipy.sparse.csr_matrix of bool, shape (n_judged, n_hidden)
        Which.
    """

    task: GroupTask
    hidden: Ints
    rows: Ints
    wanted: sp.csr_matrix

    @property
    def known(self) -> np.ndarray:
        """Which columns are not hidden."""
        return ~np.isin(np.arange(self.task.met.shape[1]), self.hidden)

    @property
    def learners(self) -> Ints:
        """Rows of users that may be learned from."""
        return np.concatenate([self.task.source, self.task.target])

    def given(self, rows: Ints) -> sp.csr_matrix:
        """Ones where a user met an item that is not hidden."""
        return sp.csr_matrix(self.task.met[rows].astype(bool).astype(np.float64))


def hide_items(task: GroupTask, rows: Ints, share: float = 0.1, seed: int = 0) -> NewItems:
    """Take some items out of everybody's events, as if they had just come into the shop.

    Parameters
    ----------
    task : GroupTask
    rows : ndarray of int
        Users to judge by: ``task.validation`` or ``task.test``. All they met of the hidden items counts.
    share : float
        Share of the items that is hidden.
    seed : int
        Of the draw.

    Raises
    ------
    InputError
        When none of the users meets a hidden item.

    Examples
    --------
    >>> from interest_lib.groups import group_task
    >>> log = pd.DataFrame({"user_id": np.repeat(range(8), 5), "item_id": np.tile(list("abcde"), 8)})
    >>> task = group_task(log, pd.Series(np.arange(8) < 4), n_test=2, n_validation=1)
    >>> new = hide_items(task, task.test, share=0.2)
    >>> new.task.met[:, new.hidden].nnz, new.wanted.shape, new.wanted.nnz
    (0, (2, 1), 2)
    """
    n_items = task.met.shape[1]
    n_hidden = min(max(round(share * n_items), 1), n_items - 1)
    hidden = np.random.default_rng(seed).permutation(n_items)[:n_hidden]
    known = sp.diags((~np.isin(np.arange(n_items), hidden)).astype(np.float64))
    wanted = sp.csr_matrix((task.met + task.wanted)[rows][:, hidden].astype(bool))
    judged = wanted.getnnz(axis=1) > 0
    if not judged.any():
        raise InputError(
            f"None of the {len(rows)} held-out users meets one of the {n_hidden} hidden items: hide a larger "
            "share or hold out more users."
        )
    met, later = (sp.csr_matrix(part @ known).astype(np.int64) for part in (task.met, task.wanted))
    for part in (met, later):
        part.eliminate_zeros()
    return NewItems(replace(task, met=met, wanted=later), hidden, rows[judged], wanted[judged])


def new_item_ndcg(new: NewItems, scores: Floats, k: int = 10) -> pd.Series:
    """NDCG@k of a ranking of the hidden items alone, by user id; scores of shape (n_judged, n_hidden).

    Examples
    --------
    >>> from interest_lib.groups import group_task
    >>> log = pd.DataFrame({"user_id": np.repeat(range(8), 5), "item_id": np.tile(list("abcde"), 8)})
    >>> task = group_task(log, pd.Series(np.arange(8) < 4), n_test=2, n_validation=1)
    >>> new_item_ndcg(hide_items(task, task.test), np.zeros((2, 1))).tolist()
    [1.0, 1.0]
    """
    users, items = new.task.user_ids[new.rows], new.task.item_ids[new.hidden]
    row, col = new.wanted.nonzero()
    targets = pd.DataFrame({"user_id": users[row], "item_id": items[col]})
    return ndcg_at_k(ranked_lists(users, scores, items, k), targets, k)


def item_texts(items: pd.DataFrame, item_ids: pd.Index) -> pd.Series:
    """What is written about every item: title, subcategory, category and department, as far as there are any.

    Examples
    --------
    >>> items = pd.DataFrame({"item_id": [1, 2], "title": ["Tea", "Milk"], "category": ["drinks", None]})
    >>> item_texts(items, pd.Index([2, 1, 7])).tolist()
    ['Milk', 'Tea. drinks', '']
    """
    parts = [name for name in ("title", "subcategory", "category", "department") if name in items]
    told = items.set_index("item_id")[parts].reindex(item_ids).fillna("").astype(str)
    written = [". ".join(dict.fromkeys(filter(None, row))) for row in told.itertuples(index=False)]
    return pd.Series(written, index=item_ids, dtype=object)
