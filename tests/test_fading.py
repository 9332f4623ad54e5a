"""The transfer that fades: its ends, its likelihood, and that it finds planted strengths."""

from dataclasses import replace

import ibis
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import betabinom

from interest_lib import basket_habits, borrowing, fading, queries, transfer
from interest_lib.split import sample_users


@pytest.fixture(scope="module")
def task(shop: pd.DataFrame) -> transfer.NewUserTask:
    numbered = queries.baskets(ibis.memtable(shop)).to_pandas()
    events = numbered.sort_values(["timestamp", "user_id", "item_id"], ignore_index=True).assign(weight=1.0)
    items = pd.DataFrame({"item_id": np.arange(60), "category": np.arange(60) % 5, "department": "x"})
    held_out = sample_users(events["user_id"].unique(), 20, seed=1)
    return transfer.new_user_task(events, held_out, pd.DataFrame({"user_id": np.arange(80)}), items)


@pytest.fixture(scope="module")
def prior(task: transfer.NewUserTask) -> basket_habits.BasketPrior:
    return basket_habits.basket_prior(task)


ROWS = np.arange(20)


def test_chance_of_any_is_that_of_the_beta_binomial() -> None:
    a, b = 3 * 0.2 + 2, 3 * 0.8 + 4
    found = fading.chance_of_any(np.array([0.2]), np.array([3.0]), np.array([2.0]), 6, 20)
    assert found[0] == pytest.approx(1 - betabinom(20, a, b).pmf(0))


def test_infinite_strength_gives_the_prior() -> None:
    mean, had = np.array([[0.1, 0.3, 0.02]]), np.array([[0.0, 0.0, 2.0]])
    certain = fading.chance_of_any(mean, np.full(3, np.inf), had, 2, 20)
    np.testing.assert_allclose(certain, 1 - (1 - mean) ** 20)
    nearly = fading.chance_of_any(mean, np.full(3, 1e9), had, 2, 20)
    np.testing.assert_allclose(nearly, certain, rtol=1e-5)


def test_no_history_gives_the_prior_the_same_for_everyone(
    task: transfer.NewUserTask, prior: basket_habits.BasketPrior
) -> None:
    fresh = fading.fading_transfer(task, prior, 0)(ROWS)
    np.testing.assert_array_equal(fresh, fading.fading_transfer(task, prior, 0, own=False)(ROWS))
    assert (fresh == fresh[0]).all()
    # alike strengths: what more users have comes first, as in the popularity list
    flat = replace(prior, strength_baskets=np.full(5, 10.0))
    assert (np.diff(fading.fading_transfer(task, flat, 0)(ROWS)[0]) <= 0).all()


def test_what_is_borrowed_alone_does_not_count_own_baskets(
    task: transfer.NewUserTask, prior: basket_habits.BasketPrior
) -> None:
    alone = fading.fading_transfer(task, prior, 5, neighbour_weight=0.0, own=False)(ROWS)
    np.testing.assert_array_equal(alone, fading.fading_transfer(task, prior, 0)(ROWS))


def test_much_history_gives_the_own_ranking(
    task: transfer.NewUserTask, prior: basket_habits.BasketPrior
) -> None:
    had = basket_habits.own_baskets(task, 40).toarray()
    weak = fading.fading_transfer(task, prior, 40, common_baskets=1e-9)(ROWS)
    for own, scores in zip(had, weak, strict=True):
        assert (np.diff(own[np.argsort(-scores)]) <= 0).all()
    assert np.corrcoef(had.ravel(), weak.ravel())[0, 1] > 0.8


def test_what_is_borrowed_fades_with_baskets_and_differs_by_category(
    task: transfer.NewUserTask, prior: basket_habits.BasketPrior
) -> None:
    shares = fading.borrowed_share(8.0, np.array([0, 1, 8, 1000]))
    np.testing.assert_allclose(shares, [1, 8 / 9, 0.5, 8 / 1008])
    table = fading.category_strengths(task, prior, 20.0)
    expected = np.sqrt(20.0 * table["fitted_baskets"])
    np.testing.assert_allclose(table["strength_baskets"], expected)
    assert table["items_per_basket"].is_monotonic_decreasing and len(table) == 5


def test_likelihood_equals_the_beta_binomial_up_to_its_constant(task: transfer.NewUserTask) -> None:
    had, n_baskets = basket_habits._source_baskets(task, 12)
    mean = np.asarray(had.sum(axis=0)).ravel() / n_baskets.sum()
    found = basket_habits._log_likelihood(had, n_baskets, mean)
    column = had[:, [7]].toarray().ravel()
    m = mean[7]
    written = [betabinom(n_baskets, s * m, s - s * m).logpmf(column).sum() for s in basket_habits.STRENGTHS]
    np.testing.assert_allclose(found[:, 7] - found[0, 7], np.array(written) - written[0], atol=1e-8)


def test_planted_strengths_are_found() -> None:
    rng = np.random.default_rng(4)
    rows, planted = [], {"alike": 60.0, "apart": 1.5}
    for user in range(150):
        for kind, strength in planted.items():
            for item in range(6):
                p = rng.beta(0.2 * strength, 0.8 * strength)
                rows += [(user, f"{kind}{item}", basket + 1) for basket in np.flatnonzero(rng.random(30) < p)]
    log = pd.DataFrame(rows, columns=["user_id", "item_id", "basket_number"]).assign(weight=1.0)
    items = pd.DataFrame({"item_id": log["item_id"].unique(), "department": None})
    items["category"] = items["item_id"].str[:-1]
    users = pd.DataFrame({"user_id": np.arange(150)})
    task = transfer.new_user_task(log, pd.Index([0, 1]), users, items, (6, 25))
    fitted = pd.Series(basket_habits.basket_prior(task).strength_baskets, task.categories).drop("none")
    assert 40 < fitted["alike"] < 90 and 1.1 < fitted["apart"] < 2.0


def test_as_many_users_are_expected_to_have_an_item_as_do(task: transfer.NewUserTask) -> None:
    strength = np.full(5, 12.0)
    had, n_baskets = basket_habits._source_baskets(task, 30)
    habits = sp.csr_matrix(sp.hstack([had, n_baskets[:, None]]))
    mean = fading._matched_mean(habits, task.item_category, strength)
    expected = sum(fading.chance_of_any(mean, np.full(60, 12.0), np.zeros(60), 0, int(n)) for n in n_baskets)
    np.testing.assert_allclose(expected, np.bincount(had.indices, minlength=60), rtol=0.02)


def test_a_basket_counts_once_however_much_of_an_item_is_in_it(task: transfer.NewUserTask) -> None:
    doubled = replace(task, own=pd.concat([task.own, task.own]))
    assert (basket_habits.own_baskets(task, 5) != basket_habits.own_baskets(doubled, 5)).nnz == 0
    assert (task.own_counts(5) != doubled.own_counts(5)).nnz > 0


def test_planted_repeaters_rank_own_first_and_neighbours_help(
    task: transfer.NewUserTask, prior: basket_habits.BasketPrior
) -> None:
    leaning = fading.fading_transfer(task, prior, 5, neighbour_weight=1.0)(ROWS)
    average = fading.fading_transfer(task, prior, 5, neighbour_weight=0.0)(ROWS)
    own = basket_habits.own_baskets(task, 5).toarray()
    assert (leaning != average).any()
    assert average[own >= 3].min() > average[own == 0].max()
    assert borrowing.own_history(task, 5)(ROWS).shape == leaning.shape
