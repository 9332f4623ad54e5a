"""The tie rule and the way from scores to lists."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from interest_lib.ranking import keep_nearest, ranked_lists, top_k, top_k_sparse


@pytest.mark.parametrize("k", [1, 3, 10, 50])
def test_top_k_is_a_stable_sort(k: int) -> None:
    scores = np.random.default_rng(0).integers(0, 4, size=(60, 40)).astype(float)
    columns, values = top_k(scores, k)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=1))


def test_noise_in_the_last_digits_does_not_break_a_tie() -> None:
    columns, _ = top_k(np.array([[1.0, 1.0 + 1e-12, 2.0]]), 3)
    assert columns.tolist() == [[2, 0, 1]]


def test_hidden_items_are_never_shown_and_lists_may_be_short() -> None:
    scores = np.array([[-np.inf, 0.5, -np.inf], [0.1, 0.2, 0.3]])
    lists = ranked_lists(pd.Index(["x", "y"]), scores, pd.Index([10, 20, 30]), k=2)
    assert lists[["user_id", "item_id", "rank"]].to_numpy().tolist() == [
        ["x", 20, 1],
        ["y", 30, 1],
        ["y", 20, 2],
    ]


def test_keep_nearest_keeps_values_and_drops_the_rest() -> None:
    kept = keep_nearest(np.array([[0.2, 0.1, 0.4], [0.0, 0.3, 0.3]]), 2).toarray()
    np.testing.assert_array_equal(kept, [[0.2, 0.0, 0.4], [0.0, 0.3, 0.3]])


def test_sparse_and_dense_lists_are_the_same() -> None:
    rng = np.random.default_rng(3)
    for n_columns, k in ((4, 10), (15, 10), (60, 10), (60, 1)):
        dense = rng.integers(0, 4, (200, n_columns)) * (rng.random((200, n_columns)) < 0.2) / 3
        dense[0], dense[1] = 0, 1
        for one, other in zip(top_k(dense, k), top_k_sparse(sp.csr_matrix(dense), k), strict=True):
            np.testing.assert_array_equal(one, other)
