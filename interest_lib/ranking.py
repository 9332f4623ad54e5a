"""From scores to ranked lists: the one tie rule that every model of the study goes through."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.split import Floats, Ints


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
    above = compared > kth
    level = compared == kth
    places_left = k - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= places_left))
    columns = np.nonzero(chosen)[1].reshape(len(scores), k)
    best_first = np.argsort(-np.take_along_axis(compared, columns, axis=1), axis=1, kind="stable")
    columns = np.take_along_axis(columns, best_first, axis=1)
    return columns, np.take_along_axis(scores, columns, axis=1)


def ranked_lists(user_ids: pd.Index, scores: Floats, item_ids: pd.Index, k: int = 10) -> pd.DataFrame:
    """The `k` best items of every user as a long table.

    Parameters
    ----------
    user_ids : pandas.Index, length n_users
    scores : ndarray of float, shape (n_users, n_items)
        ``-inf`` hides an item.
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
    columns, values = top_k(scores, k)
    shown = np.isfinite(values)
    return pd.DataFrame(
        {
            "user_id": user_ids.repeat(shown.sum(axis=1)),
            "item_id": item_ids.take(columns[shown]),
            "rank": np.cumsum(shown, axis=1)[shown],
            "score": values[shown],
        }
    )


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
