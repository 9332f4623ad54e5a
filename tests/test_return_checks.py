"""Curves compared, what has to stay quiet where nothing fades, and a rival generator that does not fit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from return_samples import views

from interest_lib.return_checks import compare_curves, misfit
from interest_lib.return_counts import ReturnStatistics, return_statistics


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReturnStatistics, pd.DataFrame, pd.DataFrame]:
    log, planted = views(
        tmp_path_factory.mktemp("shop") / "log", n_users=500, n_categories=12, n_groups=6, seed=3
    )
    statistics = return_statistics(log)
    return statistics, planted.loc[statistics.interests], log


def test_planted_curves_are_found_where_the_log_can_tell(
    shop: tuple[ReturnStatistics, pd.DataFrame, pd.DataFrame],
) -> None:
    statistics, planted, _ = shop
    compared = compare_curves(statistics)
    certain = compared["lead"] > 1.3
    assert certain.sum() >= 4
    assert (compared["curve"] == planted["curve"])[certain].mean() >= 0.75


def test_where_nothing_fades_no_decay_is_chosen(
    shop: tuple[ReturnStatistics, pd.DataFrame, pd.DataFrame],
) -> None:
    """The visits of each user keep their times and swap their interests."""
    _, _, log = shop
    assert compare_curves(return_statistics(log, clock="user")).attrs["over_none"] > 5
    hour = log.assign(hour=log["timestamp"].dt.floor("h"))
    visit = hour.drop_duplicates(["user_id", "category", "hour"]).sort_values("user_id", kind="stable")
    rng = np.random.default_rng(0)
    order = np.lexsort((rng.random(len(visit)), visit["user_id"]))
    shuffled = visit.assign(category=visit["category"].to_numpy()[order])
    assert compare_curves(return_statistics(shuffled, clock="user")).attrs["over_none"] < 1.6


def test_the_rival_generator_does_not_fit(
    shop: tuple[ReturnStatistics, pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    statistics, planted, _ = shop
    fading = misfit(statistics, planted["curve"].to_dict())
    log, _ = views(tmp_path / "log", n_users=500, n_categories=12, n_groups=6, seed=3, generator="regimes")
    rival = return_statistics(log)
    switching = misfit(rival, dict.fromkeys(rival.interests, "exponential"), 10.0)
    assert fading["z"].abs().max() < 3
    assert fading["others_z"].abs().max() < 5
    assert switching["others_z"].min() < -10
    assert switching["others"].iloc[0] < 0.7 * switching["others_expected"].iloc[0]
