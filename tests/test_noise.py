"""The noise of a period's shares, and a shuffled order."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.history import Floats
from interest_lib.migration import forecast_errors, period_counts, perplexity, shares
from interest_lib.moves import Move, move_at
from interest_lib.noise import perplexity_floor, sampling_noise, shuffled_order

N_USERS, N_BASKETS, N_INTERESTS = 60, 12, 15


def drawn_baskets(odds: Floats, seed: int) -> pd.DataFrame:
    """Baskets of 1 to 10 different interests, drawn one after the other by the user's odds."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(odds)), N_BASKETS)
    size = np.random.default_rng(0).integers(1, 11, len(owner))  # sizes are given, as the noise has it
    order = np.argsort(-np.log(odds)[owner] - rng.gumbel(size=(len(owner), odds.shape[1])), axis=1)
    met = np.arange(odds.shape[1]) < size[:, None]
    basket, place = np.nonzero(met)
    return pd.DataFrame({"user_id": owner[basket], "basket_id": basket, "category": order[basket, place]})


def observed(baskets: pd.DataFrame) -> Floats:
    return period_counts(baskets, np.zeros(len(baskets), dtype=np.int64), 1)[0][0]


@pytest.fixture(scope="module")
def odds() -> Floats:
    return np.random.default_rng(3).dirichlet(np.full(N_INTERESTS, 0.7), N_USERS) + 0.005


def test_the_noise_is_that_of_repeated_draws(odds: Floats) -> None:
    draws = [drawn_baskets(odds, seed) for seed in range(40)]
    truth = np.stack([shares(observed(baskets)) for baskets in draws]).var(axis=0, ddof=1).sum(axis=1).mean()
    found = np.mean([sampling_noise(baskets).mean() for baskets in draws])
    assert found == pytest.approx(truth, rel=0.08)
    counts = observed(draws[0])
    multinomial = ((1 - (shares(counts) ** 2).sum(axis=1)) / (counts.sum(axis=1) - 1)).mean()
    assert abs(multinomial - truth) > 0.2 * truth


def test_one_basket_tells_no_noise_and_repeats_in_a_basket_count_once() -> None:
    log = pd.DataFrame({"user_id": [1, 1, 1, 2, 2], "basket_id": [1, 1, 2, 3, 3], "category": list("aabab")})
    noise = sampling_noise(log)
    assert noise.index.tolist() == [1, 2]
    assert np.isnan(noise[2])
    pd.testing.assert_series_equal(noise, sampling_noise(log.drop_duplicates()))
    assert noise[1] == pytest.approx(2 * 0.5 / (4 * 0.5))


def test_equal_baskets_have_no_noise() -> None:
    log = pd.DataFrame({"user_id": 1, "basket_id": [1, 1, 2, 2], "category": list("abab")})
    assert sampling_noise(log)[1] == pytest.approx(0, abs=1e-15)


def test_the_perplexity_of_the_true_shares_lies_in_the_range() -> None:
    rng = np.random.default_rng(4)
    usual = rng.dirichlet(np.full(60, 0.5), 80) * 0.98 + 0.02 / 60
    truth = np.stack([rng.dirichlet(60 * row) for row in usual])
    counts = np.stack([rng.multinomial(150, row) for row in truth]).astype(float)
    n = counts.sum(axis=1)
    entropy = -(truth * np.log(np.maximum(truth, 1e-300))).sum(axis=1)
    true_perplexity = np.exp(n @ entropy / n.sum())
    low, high = perplexity_floor(counts, usual)
    assert low < 1.01 * true_perplexity
    assert high > 0.98 * true_perplexity
    assert high < perplexity(forecast_errors(usual, counts))
    plug_in = perplexity(forecast_errors(shares(counts), counts))
    assert 1.02 * plug_in < low


@pytest.fixture(scope="module")
def move(shop: pd.DataFrame) -> Move:
    log = shop.assign(category="c" + (shop["item_id"] % 12).astype(str), weight=1.0)
    return move_at(log, log["timestamp"].min() + pd.Timedelta(days=112), 28)


def test_shuffling_moves_whole_baskets_and_nothing_else(move: Move) -> None:
    shuffled = shuffled_order(move, seed=1)
    np.testing.assert_array_equal(shuffled.decayed(), move.decayed())
    assert not np.allclose(shuffled.decayed(14), move.decayed(14))
    for table in (shuffled, move):
        assert (table.events.groupby("basket_id")["age_days"].nunique() == 1).all()
    ages = [
        table.events.drop_duplicates("basket_id").groupby("user")["age_days"] for table in (shuffled, move)
    ]
    for of_user, own in zip(*ages, strict=True):
        np.testing.assert_allclose(np.sort(of_user[1]), np.sort(own[1]), atol=1e-8)
    assert shuffled.future is move.future
    keys = ["user", "item_id", "basket_id"]
    old, new = (table.events.sort_values(keys)[keys].to_numpy() for table in (move, shuffled))
    np.testing.assert_array_equal(old, new)
    assert shuffled.events["timestamp"].is_monotonic_increasing
    assert (shuffled.events["age_days"] > 0).all()


def test_signs_agree_with_events_after_shuffling(move: Move) -> None:
    shuffled = shuffled_order(move, seed=1)
    recent = shuffled.events[shuffled.events["age_days"] <= 14].drop_duplicates(
        ["user", "interest", "basket_id"]
    )
    counts = np.zeros(move.shape)
    np.add.at(counts, (recent["user"], recent["interest"]), 1.0)
    np.testing.assert_array_equal(counts, shuffled.decayed(last_days=14))


def test_the_seed_draws_the_order(move: Move) -> None:
    orders = [shuffled_order(move, seed).decayed(14) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
