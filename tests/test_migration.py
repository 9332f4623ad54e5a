"""Period shares, forecasts and the Markov chain."""

import numpy as np
import pandas as pd
import pytest
import reference_forecasts as reference
from sklearn.metrics import ndcg_score

from interest_lib import migration as m
from interest_lib.schema import InputError


def test_a_category_counts_once_a_basket_and_inactive_users_are_left_out() -> None:
    log = pd.DataFrame(
        [(1, "x", "tea", 0), (1, "x", "tea", 0), (1, "x", "milk", 0), (1, "y", "tea", 1), (2, "z", "tea", 0)],
        columns=["user_id", "basket_id", "category", "period"],
    )
    counts, users, interests = m.period_counts(log, log["period"].to_numpy(), min_per_period=1)
    assert list(users) == [1] and list(interests) == ["milk", "tea"]
    assert counts.tolist() == [[[1.0, 1.0]], [[0.0, 1.0]]]
    with pytest.raises(InputError, match="No user has"):
        m.period_counts(log, log["period"].to_numpy(), min_per_period=[9, 9])


def test_the_ends_of_decay_are_persistence_and_pooling() -> None:
    counts = np.random.default_rng(0).poisson(3.0, (3, 5, 4)).astype(float)
    np.testing.assert_array_equal(reference.decayed_periods(counts, 0.0), counts[-1])
    np.testing.assert_array_equal(reference.decayed_periods(counts, 1.0), counts.sum(axis=0))


def test_shrinkage_moves_from_own_shares_to_the_population() -> None:
    counts = np.random.default_rng(1).poisson(2.0, (2, 50, 6)).astype(float)
    own = m.shares(reference.decayed_periods(counts, 0.5))
    population = m.shares(reference.decayed_periods(counts, 0.5).sum(axis=0))
    np.testing.assert_allclose(reference.shrunk_shares(counts, 0.5, 0.0), own)
    np.testing.assert_allclose(
        reference.shrunk_shares(counts, 0.5, 1e12), np.tile(population, (50, 1)), atol=1e-9
    )


def test_shrinkage_helps_where_shares_are_noise_around_one_population() -> None:
    rng = np.random.default_rng(2)
    population = rng.dirichlet(np.ones(20))
    counts = rng.multinomial(15, population, size=(3, 400)).astype(float)
    error = [
        m.forecast_errors(reference.shrunk_shares(counts[:2], 1.0, s), counts[2])["squared_error"].mean()
        for s in (0, 50)
    ]
    assert error[1] < 0.8 * error[0]


def test_perplexity_of_the_truth_counts_the_equally_likely() -> None:
    uniform = np.full((3, 8), 1 / 8)
    assert m.perplexity(m.forecast_errors(uniform, np.ones((3, 8)))) == pytest.approx(8.0)


def test_planted_transition_matrix_is_recovered() -> None:
    rng = np.random.default_rng(3)
    truth = rng.dirichlet(np.full(4, 0.7), size=4)
    before = rng.integers(0, 4, 100_000)
    after = (rng.random(100_000)[:, None] > truth[before].cumsum(axis=1)).sum(axis=1)
    np.testing.assert_allclose(reference.transition_matrix(before, after, 4), truth, atol=0.01)


def test_the_prior_fills_rows_that_nobody_left() -> None:
    chain = reference.transition_matrix(np.array([0, 0]), np.array([1, 1]), n_states=3, strength=5.0)
    np.testing.assert_allclose(chain, [[0, 1, 0], [0, 1, 0], [0, 1, 0]])


def test_ndcg_of_forecasts_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    predicted, future = rng.random((30, 15)), rng.poisson(1.5, (30, 15)).astype(float)
    future[3] = 0  # who bought nothing has nothing to be foretold
    found = m.forecast_errors(predicted, future)["ndcg10"].to_numpy()
    told = np.arange(30) != 3
    expected = [ndcg_score(m.shares(future[[u]]), predicted[[u]], k=10) for u in np.flatnonzero(told)]
    np.testing.assert_allclose(found[told], expected, atol=1e-12)
    assert found[3] == 0
