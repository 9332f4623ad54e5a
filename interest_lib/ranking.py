"""From scores to ranked lists: the one tie rule that every model of the study goes through."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.history import Floats, Ints


def top_k(scores: Floats, k: int) -> tuple[Ints, Floats]:
    """Columns of the `k` highest scores of every row, best first; ties go to the lower column.

    Scores are compared in single precision, so that two items that deserve the same score tie even
    when another machine's linear algebra rounds them apart in the last digits.

    Parameters
    ----------
    scores : ndarray of float, shape (n_rows, n_columns)
        Not a number is not allowed; ``-inf`` marks a column that must not be shown.
    k : int
        Length of the list, at most `n_columns` is returned.

    Returns
    -------
    columns : ndarray of int, shape (n_rows, min(k, n_columns))
    values : ndarray of float, same shape
        ``-inf`` where a row has fewer than `k` columns to show.

    Examples
    --------
    >>> columns, values = top_k(np.array([[1.0, 3.0, 3.0, 2.0]]), k=3)
    >>> columns, values
    (array([[1, 2, 3]]), array([[3., 3., 2.]]))
    """
    compared = scores.astype(np.float32)
    n_columns = scores.shape[1]
    k = min(k, n_columns)
    kth = np.partition(compared, n_columns - k, axis=1)[:, n_columns - k, None]
    chosen = compared >= kth
    tied = np.flatnonzero(chosen.sum(axis=1) > k)  # more deserve the last place than there is room for
    above, level = compared[tied] > kth[tied], compared[tied] == kth[tied]
    places_left = k - above.sum(axis=1, keepdims=True)
    chosen[tied] = above | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= places_left))
    columns = np.nonzero(chosen)[1].reshape(len(scores), k)
    best_first = np.argsort(-np.take_along_axis(compared, columns, axis=1), axis=1, kind="stable")
    columns = np.take_along_axis(columns, best_first, axis=1)
    return columns, np.take_along_axis(scores, columns, axis=1)


def top_k_sparse(scores: sp.csr_matrix, k: int) -> tuple[Ints, Floats]:
    """The same as `top_k` for scores that are positive in a few places and zero everywhere else.

    Parameters
    ----------
    scores : scipy.sparse.csr_matrix of float, shape (n_rows, n_columns)
        No negative entries.
    k : int
        Length of the list, at most `n_columns` is returned.

    Returns
    -------
    columns : ndarray of int, shape (n_rows, min(k, n_columns))
    values : ndarray of float, same shape

    Examples
    --------
    >>> columns, values = top_k_sparse(sp.csr_matrix([[0.0, 0.0, 3.0, 0.0]]), k=3)
    >>> columns, values
    (array([[2, 0, 1]]), array([[3., 0., 0.]]))
    """
    n_rows, n_columns = scores.shape
    k = min(k, n_columns)
    rows = np.repeat(np.arange(n_rows), np.diff(scores.indptr))
    best_first = np.lexsort((scores.indices, -scores.data.astype(np.float32), rows))
    place = np.arange(len(rows)) - scores.indptr[rows]  # the sort keeps the rows where they are
    listed = (place < k) & (scores.data[best_first] > 0)
    own = best_first[listed]
    columns = np.full((n_rows, k), -1, dtype=np.int64)
    values = np.zeros((n_rows, k))
    columns[rows[listed], place[listed]] = scores.indices[own]
    values[rows[listed], place[listed]] = scores.data[own]
    short = np.flatnonzero(columns[:, -1] < 0)
    columns[short] = _filled_up(columns[short], n_columns)
    return columns, values


def _filled_up(columns: Ints, n_columns: int) -> Ints:
    """The free places, marked -1 at the end of a row, get the lowest columns that the row does not have."""
    k = columns.shape[1]
    lowest = min(2 * k, n_columns)  # of so many at least k are free
    taken = np.zeros((len(columns), lowest + 1), dtype=bool)
    within = np.where((columns >= 0) & (columns < lowest), columns, lowest)
    np.put_along_axis(taken, within, True, axis=1)
    free = np.argsort(taken[:, :lowest], axis=1, kind="stable")
    n_listed = (columns >= 0).sum(axis=1, keepdims=True)
    next_free = np.take_along_axis(free, np.clip(np.arange(k) - n_listed, 0, lowest - 1), axis=1)
    return np.where(columns >= 0, columns, next_free)


def ranked_lists(
    user_ids: pd.Index, scores: Floats | sp.csr_matrix, item_ids: pd.Index, k: int = 10
) -> pd.DataFrame:
    """The `k` best items of every user as a long table.

    Parameters
    ----------
    user_ids : pandas.Index, length n_users
    scores : ndarray or scipy.sparse.csr_matrix of float, shape (n_users, n_items)
        ``-inf`` hides an item; sparse ones are not negative.
    item_ids : pandas.Index, length n_items
        In tie order: among equal scores the earlier item wins.
    k : int
        Length of the lists.

    Returns
    -------
    pandas.DataFrame
        ``user_id``, ``item_id``, ``rank`` (1 is best), ``score``.

    Examples
    --------
    >>> scores = np.array([[0.0, 2.0, -np.inf]])
    >>> ranked_lists(pd.Index([7]), scores, pd.Index(["a", "b", "c"])).values.tolist()
    [[7, 'b', 1, 2.0], [7, 'a', 2, 0.0]]
    """
    columns, values = top_k_sparse(scores, k) if sp.issparse(scores) else top_k(scores, k)
    shown = np.isfinite(values)
    return pd.DataFrame(
        {
            "user_id": user_ids.repeat(shown.sum(axis=1)),
            "item_id": item_ids.take(columns[shown]),
            "rank": np.cumsum(shown, axis=1)[shown],
            "score": values[shown],
        }
    )


def rows_or_empty(matrix: sp.csr_matrix, rows: Ints) -> sp.csr_matrix:
    """Some rows of a matrix; a row that is -1, as of somebody unknown, is empty.

    Examples
    --------
    >>> rows_or_empty(sp.csr_matrix([[1.0, 2.0]]), np.array([-1, 0])).toarray()
    array([[0., 0.],
           [1., 2.]])
    """
    known = sp.csr_matrix(sp.diags((rows >= 0).astype(np.float64)))
    return sp.csr_matrix(known @ matrix[np.maximum(rows, 0)])


def keep_nearest(similarity: Floats, n_neighbours: int) -> sp.csr_matrix:
    """Similarities of every row to its `n_neighbours` most similar columns, the others dropped.

    Examples
    --------
    >>> keep_nearest(np.array([[0.1, 0.9, 0.5]]), n_neighbours=2).toarray()
    array([[0. , 0.9, 0.5]])
    """
    columns, values = top_k(similarity, n_neighbours)
    starts = np.arange(len(similarity) + 1) * columns.shape[1]
    return sp.csr_matrix((values.ravel(), columns.ravel(), starts), shape=similarity.shape)


def nearest_others(profiles: sp.csr_matrix, n_neighbours: int, batch_users: int = 1024) -> sp.csr_matrix:
    """Similarities of every row to the rows most like it, its own left out.

    Parameters
    ----------
    profiles : scipy.sparse.csr_matrix of float, shape (n_users, n_columns)
        Rows of length one, so that their product is the cosine.
    n_neighbours : int
        How many are kept.
    batch_users : int
        Dense similarities exist for that many users at a time.

    Returns
    -------
    scipy.sparse.csr_matrix of float, shape (n_users, n_users)

    Examples
    --------
    >>> nearest_others(sp.csr_matrix([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), 1).toarray().round(1)
    array([[0. , 0.6, 0. ],
           [0. , 0. , 0.8],
           [0. , 0.8, 0. ]])
    """
    parts = []
    for start in range(0, profiles.shape[0], batch_users):
        similarity = (profiles[start : start + batch_users] @ profiles.T).toarray()
        rows = np.arange(len(similarity))
        similarity[rows, start + rows] = 0.0
        parts.append(keep_nearest(similarity, n_neighbours))
    return sp.csr_matrix(sp.vstack(parts))
