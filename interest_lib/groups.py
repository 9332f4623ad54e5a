"""Two groups of users: what the larger one knows, and held-out members of the smaller one to judge it by."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.history import Floats, Ints, codes, is_goal
from interest_lib.metrics import ndcg_at_k
from interest_lib.ranking import ranked_lists
from interest_lib.schema import InputError

FEWEST_ITEMS = 5  # of a user who can be held out
BATCH_USERS = 512  # dense scores exist for this many users at a time


@dataclass(frozen=True)
class GroupTask:
    """Users of a source group, users of a target group, and what held-out target users come to next.

    An item is met once: later events of a user with the same item do not count.

    Attributes
    ----------
    user_ids, item_ids : pandas.Index
        Rows and columns; items in tie order, most users who may be learned from first.
    met : scipy.sparse.csr_matrix of int, shape (n_users, n_items)
        Place of an item in the order in which the user met them, from 1 on. Of held-out users only the first
        part is there.
    wanted : scipy.sparse.csr_matrix of int, shape (n_users, n_items)
        The same for the items that held-out users met afterwards; their places go on counting.
    source : ndarray of int
        Rows of the source group.
    target : ndarray of int
        Rows of the target group that may be learned from, in random order: the first `n` are a sample of `n`.
    validation, test : ndarray of int
        Rows of held-out users of the target group: to choose settings by, and to score once.
    """

    user_ids: pd.Index
    item_ids: pd.Index
    met: sp.csr_matrix
    wanted: sp.csr_matrix
    source: Ints
    target: Ints
    validation: Ints
    test: Ints


def group_task(
    events: pd.DataFrame,
    is_source: pd.Series,
    n_test: int = 500,
    n_validation: int = 250,
    given_share: float = 0.8,
    min_users_per_item: int = 1,
    seed: int = 0,
) -> GroupTask:
    """Hold out users of the target group, and of each of them the items met last.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``item_id``, in the order of time or with ``timestamp``, and ``event`` if the log has it.
    is_source : pandas.Series of bool
        By user id: whether the user is of the source group; users who are missing are left out.
    n_test, n_validation : int
        Held-out users of the target group. Users who met fewer than five items cannot be held out.
    given_share : float
        Share of a held-out user's items that is given; the last ones are wanted.
    min_users_per_item : int
        Vocabulary: items that so many users met who may be learned from.
    seed : int
        Of the draw, and of the order of items that a user met at the same moment.

    Returns
    -------
    GroupTask

    Raises
    ------
    InputError
        When a group is too small to hold anybody out and to learn from the rest.

    Notes
    -----
    With ``n_test=500`` and ``given_share=0.8`` this is the protocol of the study for men and women on
    MovieLens-1M. Validation users who are not needed any more can be learned from: `with_validation`.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": np.repeat(range(8), 5), "item_id": np.tile(list("abcde"), 8)})
    >>> task = group_task(log, pd.Series(np.arange(8) < 4), n_test=2, n_validation=1)
    >>> len(task.source), len(task.target), task.wanted[task.test].getnnz(axis=1).tolist()
    (4, 1, [1, 1])
    """
    rng = np.random.default_rng(seed)
    met = _first_meetings(events[events["user_id"].isin(is_source.index)], rng)
    user_ids = pd.Index(np.sort(met["user_id"].unique()), name="user_id")
    of_source = is_source.reindex(user_ids).to_numpy(bool)
    row = codes(user_ids, met["user_id"])
    n_met = np.bincount(row, minlength=len(user_ids))
    source, others = np.flatnonzero(of_source), rng.permutation(np.flatnonzero(~of_source))
    able = others[n_met[others] >= FEWEST_ITEMS]
    if len(able) < n_test + n_validation or len(others) <= n_test + n_validation or not len(source):
        raise InputError(
            f"The source group has {len(source)} users and the target group {len(others)}, of whom "
            f"{len(able)} met five items or more: {n_test} + {n_validation} cannot be held out; hold out "
            "fewer of them or give larger groups."
        )
    held_out = able[: n_test + n_validation]
    target = others[~np.isin(others, held_out)]
    is_held_out = np.isin(np.arange(len(user_ids)), held_out)
    n_given = np.where(is_held_out, np.floor(given_share * n_met).clip(1, np.maximum(n_met - 1, 1)), n_met)
    given = met["place"].to_numpy() <= n_given[row]
    item_ids = _vocabulary(met[given & ~is_held_out[row]], min_users_per_item)
    col, shape = codes(item_ids, met["item_id"]), (len(user_ids), len(item_ids))

    def matrix(kept: np.ndarray, values: np.ndarray) -> sp.csr_matrix:
        kept = kept & (col >= 0)
        return sp.csr_matrix((values[kept], (row[kept], col[kept])), shape=shape)

    return GroupTask(
        user_ids=user_ids,
        item_ids=item_ids,
        met=matrix(given, met["place"].to_numpy()),
        wanted=matrix(~given, met["place"].to_numpy()),
        source=source,
        target=target,
        validation=held_out[n_test:],
        test=held_out[:n_test],
    )


def with_validation(task: GroupTask) -> GroupTask:
    """The same task when everything has been chosen: validation users are learned from, with all they met.

    They come after the others in ``target``, so that samples of `n` of these stay what they were.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": np.repeat(range(8), 5), "item_id": np.tile(list("abcde"), 8)})
    >>> task = group_task(log, pd.Series(np.arange(8) < 4), n_test=2, n_validation=1)
    >>> len(with_validation(task).target), with_validation(task).validation.size
    (2, 0)
    """
    joins = np.isin(np.arange(len(task.user_ids)), task.validation)
    joined = sp.csr_matrix(task.wanted.multiply(joins[:, None].astype(np.int64)))
    return replace(
        task,
        met=sp.csr_matrix(task.met + joined),
        wanted=_without_zeros(task.wanted - joined),
        target=np.concatenate([task.target, task.validation]),
        validation=task.validation[:0],
    )


def ndcg(task: GroupTask, rows: Ints, scores: Floats, k: int = 10) -> pd.Series:
    """NDCG@k of held-out users, what they met already left out of the lists.

    Parameters
    ----------
    task : GroupTask
    rows : ndarray of int
        Users of ``task.validation`` or ``task.test``, at most some hundred at a time.
    scores : ndarray of float, shape (len(rows), at most n_items)
        Items without a column are not recommended.
    k : int
        Length of the list.

    Returns
    -------
    pandas.Series
        One value for each of them who met something afterwards that is in the vocabulary, by user id.
    """
    n_scored = scores.shape[1]
    hidden = scores.copy()
    hidden[task.met[rows][:, :n_scored].nonzero()] = -np.inf
    of_row, col = task.wanted[rows].nonzero()
    users = task.user_ids[rows]
    targets = pd.DataFrame({"user_id": users[of_row], "item_id": task.item_ids[col]})
    return ndcg_at_k(ranked_lists(users, hidden, task.item_ids[:n_scored], k), targets, k)


def halves(values: pd.Series) -> pd.Series:
    """Two groups by one attribute: its values in natural order, cut where the halves are most alike in size.

    Parameters
    ----------
    values : pandas.Series
        Attribute by user id; users without one are left out.

    Returns
    -------
    pandas.Series of bool
        True for the larger half, the source.

    Raises
    ------
    InputError
        When there is only one value.

    Examples
    --------
    >>> halves(pd.Series(["Under 15K", "15-24K", "15-24K", None, "100-124K"], index=list("abcde"))).to_dict()
    {'a': False, 'b': True, 'c': True, 'e': True}
    """
    known = values.dropna().astype(str)
    counts = known.value_counts()
    if len(counts) < 2:
        raise InputError(f"The attribute {values.name} has only one value: name another one.")
    ordered = sorted(counts.index, key=_natural)
    reached = counts[ordered].cumsum().to_numpy() / len(known)
    cut = int(np.abs(reached[:-1] - 0.5).argmin())
    lower = known.isin(ordered[: cut + 1])
    return lower if lower.mean() >= 0.5 else ~lower


def _natural(text: str) -> tuple[float, bool, str]:
    """Sort key: by the first number in the text; what is below or under a number comes before it."""
    number = re.search(r"\d+", text)
    return (
        float(number[0]) if number else np.inf,
        not text.lower().startswith(("under", "below", "<")),
        text,
    )


def _first_meetings(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The first goal event of every user with every item, and its place in the user's order from 1 on."""
    wanted = events.loc[is_goal(events)]
    moment = wanted["timestamp"] if "timestamp" in wanted else np.arange(len(wanted))
    wanted = wanted[["user_id", "item_id"]].assign(moment=moment)
    met = pd.DataFrame(wanted.groupby(["user_id", "item_id"], as_index=False)["moment"].min())
    met["lot"] = rng.permutation(len(met))  # the order of ids may follow the order of time
    met = met.sort_values(["user_id", "moment", "lot"], ignore_index=True)
    met["place"] = met.groupby("user_id").cumcount() + 1
    return met[["user_id", "item_id", "place"]]


def _vocabulary(met: pd.DataFrame, min_users_per_item: int) -> pd.Index:
    n_users = met.groupby("item_id").size()  # sorted by id, so that a stable sort leaves ids to break ties
    kept = n_users[n_users >= min_users_per_item].sort_values(ascending=False, kind="stable")
    return pd.Index(kept.index, name="item_id")


def _without_zeros(matrix: sp.spmatrix) -> sp.csr_matrix:
    kept = sp.csr_matrix(matrix)
    kept.eliminate_zeros()
    return kept
