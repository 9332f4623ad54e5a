"""How much each user will buy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from demand_samples import PERIOD_DAYS, moves_of, sales
from sklearn.metrics import mean_poisson_deviance

from interest_lib.demand_rates import expected_purchases, purchases_alone, rate_choices
from interest_lib.moves import Move


def test_the_rate_is_the_gamma_poisson_mean_written_out() -> None:
    (move,) = moves_of(sales(0)[0], [140])
    user, half_life, prior = 7, 40.0, 10.0
    ages = move.events.loc[move.events["user"] == user, "age_days"]
    watched = np.linspace(0, move.events["age_days"].max(), 200_001)
    days = np.trapezoid(0.5 ** (watched / half_life), watched)
    rate_of_all = (0.5 ** (move.events["age_days"] / half_life)).sum() / days / len(move.user_ids)
    rate = (prior * rate_of_all + (0.5 ** (ages / half_life)).sum()) / (prior + days)
    found = expected_purchases(move, PERIOD_DAYS, half_life, prior)
    assert found[user] == pytest.approx(PERIOD_DAYS * rate, rel=1e-6)


def test_steady_users_are_foretold_and_much_prior_makes_all_alike() -> None:
    table, expected = sales(1)
    (move,) = moves_of(table, [252])
    found = expected_purchases(move, PERIOD_DAYS, 1000, 5)
    truth = expected.sum(axis=1)
    assert np.corrcoef(found, truth)[0, 1] > 0.97
    assert found.mean() == pytest.approx(truth.mean(), rel=0.05)
    assert np.ptp(expected_purchases(move, PERIOD_DAYS, 1000, 1e9)) < 1e-3


def test_the_best_half_life_is_long_where_rates_stay_and_short_where_they_change() -> None:
    table, _ = sales(2)

    def best(moves: list[Move]) -> float:
        tried = rate_choices(moves, PERIOD_DAYS, [10, 1000], [7])
        return tried.loc[tried["deviance"].idxmin(), "half_life_days"]

    assert best(moves_of(table, [196, 224])) == 1000
    day = (table["timestamp"] - table["timestamp"].min()).dt.days
    swapped = table.assign(user_id=np.where(day < 182, 149 - table["user_id"], table["user_id"]))
    assert best(moves_of(swapped, [196])) == 10


def test_a_rate_is_judged_by_the_poisson_deviance_of_its_purchases() -> None:
    moves = moves_of(sales(5)[0], [140, 168])
    found = rate_choices(moves, PERIOD_DAYS, [60], [7, 14]).set_index("prior_days")["deviance"]
    mean = np.concatenate([expected_purchases(move, PERIOD_DAYS, 60, 14) for move in moves])
    came = np.concatenate([move.future.sum(axis=1) for move in moves])
    assert found[14] == pytest.approx(mean_poisson_deviance(came, mean))


def test_views_do_not_count_as_purchases() -> None:
    table, _ = sales(3)
    views = table.assign(event="view", weight=0.1, basket_id=table["basket_id"] + 1_000_000)
    both = pd.concat([table, views]).sort_values("timestamp", kind="stable", ignore_index=True)
    plain, mixed = moves_of(table, [140])[0], moves_of(both, [140])[0]
    assert mixed.decayed().sum() > plain.decayed().sum()
    np.testing.assert_array_equal(purchases_alone(mixed).decayed(30), plain.decayed(30))
    assert purchases_alone(plain) is plain


def test_the_future_is_not_read() -> None:
    (move,) = moves_of(sales(4)[0], [140])
    unknown = replace(move, future=None)
    np.testing.assert_array_equal(
        expected_purchases(move, PERIOD_DAYS, 60, 7), expected_purchases(unknown, PERIOD_DAYS, 60, 7)
    )
