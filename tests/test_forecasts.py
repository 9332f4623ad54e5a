"""The ladder of simple forecasts, mixtures and tuning."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from reference_forecasts import shrunk_shares
from sklearn.base import clone
from sklearn.preprocessing import normalize

from interest_lib import migration, split
from interest_lib.forecasts import (
    Mixture,
    ShrunkShares,
    scored,
    tuned,
)
from interest_lib.moves import Move, move_at
from interest_lib.neighbours import mean_of_nearest, neighbour_shares
from interest_lib.schema import InputError

LADDER = {
    "persistence": ShrunkShares(last_days=28),
    "pooled": ShrunkShares(),
    "decay": ShrunkShares(half_life_days=30),
    "dirichlet": ShrunkShares(decay_per_period=0.7, period_days=28, strength=20),
    "neighbours": ShrunkShares(half_life_days=60, strength=20, n_neighbours=10),
}


@pytest.fixture(scope="module")
def log(shop: pd.DataFrame) -> pd.DataFrame:
    return shop.assign(category="c" + (shop["item_id"] % 12).astype(str).str.zfill(2), weight=1.0)


@pytest.fixture(scope="module")
def moves(log: pd.DataFrame) -> list[Move]:
    start = log["timestamp"].min()
    return [move_at(log, start + pd.Timedelta(days=d), 28) for d in (56, 84, 112)]


@pytest.mark.parametrize("name", LADDER)
def test_a_forecast_adds_up_to_one_and_reads_nothing_that_came_after(name: str, moves: list[Move]) -> None:
    forecast = LADDER[name].fit(moves[:2]).predict(moves[2])
    np.testing.assert_allclose(forecast.sum(axis=1), 1.0)
    assert (forecast >= 0).all()
    other = replace(moves[2], future=np.full(moves[2].shape, np.nan))
    np.testing.assert_array_equal(forecast, LADDER[name].predict(other))
    np.testing.assert_array_equal(forecast, LADDER[name].predict(replace(moves[2], future=None)))


@pytest.mark.parametrize("name", LADDER)
def test_rows_after_the_moment_change_nothing(name: str, log: pd.DataFrame, moves: list[Move]) -> None:
    at = log["timestamp"].min() + pd.Timedelta(days=112)
    spoilt = log.copy()
    late = spoilt["timestamp"] >= at
    spoilt.loc[late, "category"], spoilt.loc[late, "weight"] = "c00", 77.0
    move = move_at(spoilt, at, 28, moves[2].user_ids, moves[2].interests)
    np.testing.assert_array_equal(LADDER[name].predict(moves[2]), LADDER[name].predict(move))


def test_decay_in_steps_is_the_shrinkage_of_periods(log: pd.DataFrame) -> None:
    period = split.quarters(log["timestamp"], 28, n_periods=6)
    counts, users, interests = migration.period_counts(log, period, 1)
    at = log["timestamp"].min() + pd.Timedelta(days=112)
    move = move_at(log, at, 28, users, interests)
    for decay, strength in ((0.0, 0.0), (0.7, 80.0), (1.0, 5.0)):
        expected = shrunk_shares(counts[:4], decay, strength)
        model = ShrunkShares(decay_per_period=decay, period_days=28, strength=strength)
        np.testing.assert_allclose(model.predict(move), expected, rtol=1e-12)


def test_who_has_nothing_recent_gets_what_everybody_buys(moves: list[Move]) -> None:
    nobody = moves[2].signs[moves[2].signs["user"] != 3]
    move = replace(moves[2], signs=nobody)
    counts = move.decayed()
    for strength in (0.0, 20.0):
        forecast = ShrunkShares(strength=strength).predict(move)
        np.testing.assert_allclose(forecast[3], counts.sum(axis=0) / counts.sum())
    nothing = replace(moves[2], signs=nobody.iloc[:0])
    np.testing.assert_allclose(ShrunkShares().predict(nothing), 1 / moves[2].shape[1])


def test_two_ways_of_fading_at_once_are_refused(moves: list[Move]) -> None:
    with pytest.raises(InputError, match="fades by one of them"):
        ShrunkShares(half_life_days=30, decay_per_period=0.5).predict(moves[0])


def test_the_prior_is_made_of_users_alike_and_leaves_oneself_out() -> None:
    rng = np.random.default_rng(0)
    tastes = np.repeat([[8.0, 1, 1, 1], [1, 1, 1, 8.0]], 20, axis=0)
    weights = rng.poisson(tastes * 4).astype(float)
    near = neighbour_shares(weights, 5)
    assert (near[:20, 0] > near[:20, 3]).all()
    assert (near[20:, 3] > near[20:, 0]).all()
    own = weights.copy()
    own[0] = [0, 50, 0, 0]
    assert neighbour_shares(own, 39)[0, 1] < 0.2


def test_dense_and_sparse_profiles_have_the_same_neighbours() -> None:
    rng = np.random.default_rng(1)
    profiles, own = normalize(rng.random((50, 6))), migration.shares(rng.random((50, 4)))
    np.testing.assert_allclose(
        mean_of_nearest(profiles, own, 7), mean_of_nearest(sp.csr_matrix(profiles), own, 7)
    )


def test_a_mixture_is_the_weighted_mean(moves: list[Move]) -> None:
    parts = [LADDER["pooled"], LADDER["persistence"]]
    first, second = (part.predict(moves[2]) for part in parts)
    mixed = Mixture(parts, weights=[3, 1]).fit(moves[:2]).predict(moves[2])
    np.testing.assert_allclose(mixed, 0.75 * first + 0.25 * second)


def test_tuning_takes_the_best_of_so_many_tries_and_logs_them(moves: list[Move]) -> None:
    grid = {"half_life_days": [7.0, 30.0, 120.0], "strength": [0.0, 20.0, 1e6]}
    before = clone(LADDER["pooled"])
    best, tries = tuned(before, grid, moves[:1], moves[1], n_tries=100)
    assert len(tries) == 9
    assert before.strength == 0
    scores = {
        (h, s): scored(ShrunkShares(h, strength=s).predict(moves[1]), moves[1])["sse1000"]
        for h in grid["half_life_days"]
        for s in grid["strength"]
    }
    assert (best.half_life_days, best.strength) == min(scores, key=scores.__getitem__)
    assert tries.loc[tries["chosen"], "sse1000"].tolist() == [min(scores.values())]
    some, few = tuned(before, grid, moves[:1], moves[1], n_tries=4, seed=2)
    assert len(few) == 4
    assert some.half_life_days == few.loc[few["chosen"], "half_life_days"].item()
    pd.testing.assert_frame_equal(few, tuned(before, grid, moves[:1], moves[1], n_tries=4, seed=2)[1])


def test_a_future_is_needed_to_score(moves: list[Move]) -> None:
    with pytest.raises(InputError, match="give a move with a future"):
        scored(LADDER["pooled"].predict(moves[0]), replace(moves[0], future=None))
    with pytest.raises(InputError, match="one or more"):
        tuned(ShrunkShares(), {"strength": []}, [], moves[0], 3)
