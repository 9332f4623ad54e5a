"""The closed forms of two-group EASE against what they should minimise."""

import numpy as np
import pytest
import scipy.sparse as sp

from interest_lib.schema import InputError
from interest_lib.weighted_ease import SourceModel, ridge_inverse

RIDGE, WEIGHT = 2.0, 0.3


def _users(n_users: int, seed: int) -> sp.csr_matrix:
    return sp.csr_matrix((np.random.default_rng(seed).random((n_users, 6)) < 0.5).astype(float))


SOURCE, GIVEN = _users(40, 1), _users(5, 3)
FEW, MANY = _users(4, 2), _users(9, 2)  # fewer and more than there are items: two ways to the same end
TARGET = FEW
GRAM = (SOURCE.T @ SOURCE).toarray()


def _column_by_column(gram: np.ndarray, aim: np.ndarray) -> np.ndarray:
    """Ridge regression of every item on all others: `gram` and `aim` of the normal equations."""
    n_items = len(gram)
    weights = np.zeros((n_items, n_items))
    for item in range(n_items):
        others = np.arange(n_items) != item
        weights[others, item] = np.linalg.solve(gram[np.ix_(others, others)], aim[others, item])
    return weights


@pytest.mark.parametrize("target", [FEW, MANY])
def test_pooled_users_are_weighted_regressions(target: sp.csr_matrix) -> None:
    both = WEIGHT * GRAM + (target.T @ target).toarray()
    expected = _column_by_column(both + WEIGHT * RIDGE * np.eye(6), both)
    found = SourceModel(GRAM, RIDGE).pooled(target, WEIGHT)(GIVEN)
    np.testing.assert_allclose(found, GIVEN @ expected, atol=1e-12)


def test_nobody_in_the_target_leaves_the_source_model() -> None:
    model = SourceModel(GRAM, RIDGE)
    alone = GIVEN @ _column_by_column(GRAM + RIDGE * np.eye(6), GRAM)
    np.testing.assert_allclose(model.scores(GIVEN), alone, atol=1e-12)
    np.testing.assert_allclose(model.pooled(TARGET[:0], 1.0)(GIVEN), alone, atol=1e-12)


@pytest.mark.parametrize("target", [FEW, MANY])
def test_fine_tuning_is_a_ridge_towards_the_source_model(target: sp.csr_matrix) -> None:
    before = _column_by_column(GRAM + RIDGE * np.eye(6), GRAM)
    gram, ridge = (target.T @ target).toarray(), 1.5
    expected = _column_by_column(gram + ridge * np.eye(6), gram + ridge * before)
    found = SourceModel(GRAM, RIDGE).fine_tuned(target, ridge)(GIVEN)
    np.testing.assert_allclose(found, GIVEN @ expected, atol=1e-12)
    assert np.abs(expected - before).max() > 0.1  # or the test would see nothing


def test_fine_tuning_with_a_strong_prior_stays_with_the_source() -> None:
    model = SourceModel(GRAM, RIDGE)
    np.testing.assert_allclose(model.fine_tuned(TARGET, 1e9)(GIVEN), model.scores(GIVEN), atol=1e-6)


def test_inverse_leaves_the_gram_matrix_alone_and_names_what_cannot_be_solved() -> None:
    gram = np.zeros((2, 2))
    np.testing.assert_allclose(ridge_inverse(gram, 2.0), np.eye(2) / 2)
    assert not gram.any()
    with pytest.raises(InputError, match="give a larger ridge"):
        ridge_inverse(gram, 0.0)
