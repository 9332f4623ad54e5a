"""What is planted in marketplaces and what is found of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interest_lib.forecasts import Forecaster, ShrunkShares
from interest_lib.ladder import scores, squared_errors
from interest_lib.market_moves import marketplace_moves
from interest_lib.marketplace import Marketplace, Truth, generate
from interest_lib.markov_forecast import MarkovForecast
from interest_lib.metrics import mean_intervals
from interest_lib.migration_recovery import matrix_recovery, planted_matrices
from interest_lib.moves import Move
from interest_lib.recovery import views_of
from interest_lib.regime_changes import SURE, change_recovery, global_change
from interest_lib.regime_forecast import RegimeForecast
from interest_lib.regimes import RegimeModel
from interest_lib.schema import InputError
from interest_lib.visits import visits_to_interests

SHOP = Marketplace(n_users=500, n_items=400, n_categories=20, n_groups=5, generator="regimes")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return generate(SHOP, tmp_path_factory.mktemp("shop") / "shop", n_jobs=1)


@pytest.fixture(scope="module")
def regimes(truth: Truth) -> pd.DataFrame:
    visits = visits_to_interests(views_of(truth))
    return RegimeModel(n_groups=5).fit(visits).regimes(visits)


def test_the_planted_matrix_is_recovered_and_the_better_the_more_is_seen() -> None:
    still = replace(SHOP, global_change_at=1.0)
    table = matrix_recovery([replace(still, n_users=100), still], n_groups=5)
    few, many = table["planted.regimes"]
    assert many < 0.02 and many < 0.7 * few
    assert few < 0.6 * table["planted.destinations"][0]
    assert (table["expected.regimes"] < 1.5 * table["expected.seen"]).all()
    assert (table["planted.leaders"] > 2 * table["planted.regimes"]).all()
    assert table["regime_share"].between(0.75, 0.85).all()


def test_a_log_with_a_global_change_has_two_matrices() -> None:
    table = matrix_recovery([SHOP], n_groups=5)
    assert table["era"].tolist() == [0, 1] and (table["planted.regimes"] < 0.03).all()
    with pytest.raises(InputError, match="regimes"):
        matrix_recovery([replace(SHOP, generator="decay")])


def test_changes_are_found_far_better_than_by_chance(truth: Truth, regimes: pd.DataFrame) -> None:
    found = change_recovery(truth, regimes)
    week = found.loc[7]
    assert week["recall"] > 0.75 and week["precision"] > 0.85 and week["right_interest"] > 0.9
    assert week["recall"] > 2 * week["recall_by_chance"]
    assert found["recall"].is_monotonic_increasing and found["precision"].is_monotonic_increasing
    late = regimes.assign(changed=regimes["changed"] + pd.Timedelta(days=30))
    assert change_recovery(truth, late).loc[7, "recall"] < 0.5 * week["recall"]


def test_the_global_change_and_its_rows_are_found(truth: Truth, regimes: pd.DataFrame) -> None:
    moment, evidence = global_change(regimes)
    assert abs(moment - pd.Timestamp(truth.planted["global_change"])) < pd.Timedelta(days=15)
    (early, *_), (late, *_) = (planted_matrices(truth, era) for era in (0, 1))
    names = truth.table("categories")["category"].astype(str)
    changed = pd.Series(np.abs(early - late).max(axis=1) > 0.05, index=names)[evidence.index]
    assert ((evidence > SURE) == changed).mean() >= 0.85


def test_no_change_is_found_where_none_is_planted(tmp_path: Path) -> None:
    truth = generate(replace(SHOP, global_change_at=1.0), tmp_path / "shop", n_jobs=1)
    visits = visits_to_interests(views_of(truth))
    _, evidence = global_change(RegimeModel(n_groups=5).fit(visits).regimes(visits))
    assert (evidence > SURE).sum() <= 1


@pytest.fixture(scope="module")
def moves(truth: Truth) -> list[Move]:
    return marketplace_moves(truth, n_moves=3)


def gains(fitted: dict[str, Forecaster], judge: Move, over: str) -> pd.DataFrame:
    told = {name: model.predict(judge) for name, model in fitted.items()}
    error = squared_errors(told, judge)
    saved = error.rsub(error[over], axis=0)
    return scores(told, judge).join(mean_intervals(saved, seed=1, n_resamples=200))


def test_regimes_foretell_better_than_staying_and_migration_has_its_share(moves: list[Move]) -> None:
    forecasters = {
        "staying": MarkovForecast(7, shrinkage=2, strength=1e7, stay=1 - 1e-7),
        "alike": RegimeForecast(28, follows=False, n_groups=5),
        "regimes": RegimeForecast(28, n_groups=5),
    }
    for model in forecasters.values():
        model.fit(moves[:-1])
    table = gains(forecasters, moves[-1], "staying")
    assert table.loc["regimes", "low"] > 30 and table.loc["staying", "value"] == 0
    assert table.loc["regimes", "perplexity"] < 0.95 * table.loc["alike", "perplexity"]
    over = gains(forecasters, moves[-1], "alike")
    assert over.loc["regimes", "low"] > 0


def test_a_chain_on_the_raw_state_finds_moves_that_the_shrunk_state_explains_away(moves: list[Move]) -> None:
    raw, shrunk = (
        MarkovForecast(5, shrinkage, strength=None, stay=None).fit(moves[:-1]) for shrinkage in (0.0, 2.0)
    )
    stays = [model.chain_.transition_.diagonal().mean() for model in (raw, shrunk)]
    assert stays[0] < 0.7 and stays[1] > 0.95
    rivals = {"dirichlet": ShrunkShares(half_life_days=5, strength=1), "raw": raw, "shrunk": shrunk}
    table = gains(rivals, moves[-1], "shrunk")
    assert table.loc["raw", "low"] > 0
    assert table.loc["raw", "perplexity"] < 0.95 * table["perplexity"].drop("raw").min()


def test_forecasts_read_no_future_and_have_rows_of_shares(moves: list[Move]) -> None:
    test = moves[-1]
    model = RegimeForecast(28, n_groups=5, n_iterations=3).fit(moves[:-1])
    found = model.predict(test)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(found, model.predict(replace(test, future=None)))
