"""What is planted in marketplaces and what is found of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interest_lib.marketplace import Marketplace, Truth, generate
from interest_lib.markov import MarkovForecast
from interest_lib.migration_recovery import (
    SURE,
    change_recovery,
    forecast_gains,
    global_change,
    matrix_recovery,
    planted_matrices,
    views_of,
)
from interest_lib.moves import Move, move_at
from interest_lib.regime_forecast import RegimeForecast
from interest_lib.regimes import RegimeModel, visits_to_interests
from interest_lib.schema import InputError

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
def moves(truth: Truth) -> Iterator[list[Move]]:
    events = pd.read_parquet(truth.folder / "events", filters=[("event", "in", ["view", "purchase"])])
    category = pd.read_parquet(truth.folder / "items.parquet").set_index("item_id")["category"].astype(str)
    events = events.assign(
        category=category.reindex(events["item_id"]).to_numpy(),
        weight=np.where(events["event"] == "view", 0.2, 1.0),
        basket_id=events["user_id"].astype(str) + events["timestamp"].dt.strftime("/%m-%d"),
    ).sort_values(["timestamp", "user_id", "item_id"])
    end, interests = (
        events["timestamp"].max().normalize(),
        pd.Index(np.sort(category.unique()), name="category"),
    )
    yield [
        move_at(events, end - pd.Timedelta(days=28 * back), 28, interests=interests, min_purchases=2)
        for back in (3, 2, 1)
    ]


def test_regimes_foretell_better_than_staying_and_migration_has_its_share(moves: list[Move]) -> None:
    forecasters = {
        "staying": MarkovForecast(7, shrinkage=2, strength=1e7, stay=1 - 1e-7),
        "alike": RegimeForecast(28, follows=False, n_groups=5),
        "regimes": RegimeForecast(28, n_groups=5),
    }
    for model in forecasters.values():
        model.fit(moves[:-1])
    table = forecast_gains(forecasters, moves[-1], "staying", seed=1, n_resamples=200)
    assert table.loc["regimes", "low"] > 30 and table.loc["staying", "gain"] == 0
    assert table.loc["regimes", "perplexity"] < 0.95 * table.loc["alike", "perplexity"]
    over = forecast_gains(forecasters, moves[-1], "alike", seed=1, n_resamples=200)
    assert over.loc["regimes", "low"] > 0


def test_forecasts_read_no_future_and_have_rows_of_shares(moves: list[Move]) -> None:
    test = moves[-1]
    model = RegimeForecast(28, n_groups=5, n_iterations=3).fit(moves[:-1])
    found = model.predict(test)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(found, model.predict(replace(test, future=None)))
    with pytest.raises(InputError, match="not known"):
        forecast_gains({"regimes": model}, replace(test, future=None), "regimes", seed=1)
