"""Half-lives from the likelihood of return: recovery, intervals, and interests that nobody returns to."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from return_samples import episodes, log_of, views

from interest_lib.return_counts import return_statistics
from interest_lib.return_rates import fit_half_lives
from interest_lib.schema import InputError


@pytest.mark.parametrize("half_life_days", [4.0, 20.0])
def test_half_lives_are_found_although_the_log_ends(half_life_days: float) -> None:
    statistics = return_statistics(episodes(half_life_days, n_users=1500, days=200), clock="none")
    row = fit_half_lives(statistics, "exponential", n_resamples=45).iloc[0]
    assert row["log_error"] < 0.15
    assert abs(np.log(row["half_life_days"] / half_life_days)) < 2.5 * row["log_error"]
    assert row["low"] < row["half_life_days"] < row["high"]


def test_planted_half_lives_and_follow_ups_are_found(tmp_path: Path) -> None:
    log, planted = views(tmp_path / "log", n_users=500, n_categories=12, n_groups=6, seed=3)
    statistics = return_statistics(log)
    planted = planted.loc[statistics.interests]
    told = fit_half_lives(statistics, planted["curve"].to_dict(), n_resamples=99)
    error = np.log(told["half_life_days"] / planted["half_life_days"])
    assert error.abs().median() < 0.1
    assert abs(error.median()) < 0.06
    inside = (told["low"] < planted["half_life_days"]) & (planted["half_life_days"] < told["high"])
    assert inside.mean() >= 0.7
    assert told.attrs["follow_ups"] == pytest.approx(3, rel=0.15)
    found = fit_half_lives(statistics, n_resamples=27)
    assert np.abs(np.log(found["half_life_days"] / planted["half_life_days"])).median() < 0.15


def test_the_same_seed_gives_the_same_and_fewer_users_a_wider_interval() -> None:
    width = []
    for n_users in (200, 1800):
        statistics = return_statistics(episodes(10.0, n_users=n_users), clock="none")
        first, second = (fit_half_lives(statistics, "exponential", 45, seed=1) for _ in range(2))
        pd.testing.assert_frame_equal(first, second)
        other = fit_half_lives(statistics, "exponential", 45, seed=2)
        assert other["low"].iloc[0] != first["low"].iloc[0]
        assert other["half_life_days"].iloc[0] == first["half_life_days"].iloc[0]
        width.append(first["log_error"].iloc[0])
    assert 2 < width[0] / width[1] < 5  # three in theory


def test_an_interest_without_returns_has_no_half_life() -> None:
    log = pd.concat([episodes(10.0), log_of(np.arange(50), np.linspace(0, 200, 50), "rare")])
    found = fit_half_lives(return_statistics(log), n_resamples=9)
    assert np.isnan(found.loc["rare", "half_life_days"]) and np.isfinite(found.loc["tea", "half_life_days"])


def test_an_unknown_curve_is_refused() -> None:
    with pytest.raises(InputError, match="the curve 'expo' is unknown"):
        fit_half_lives(return_statistics(episodes(10.0, n_users=30)), "expo")
