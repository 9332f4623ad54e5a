"""Half-lives from the likelihood of return: recovery, intervals, and interests that nobody returns to."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from return_samples import episodes, log_of, views

from interest_lib import return_rates
from interest_lib.decay import shuffled_in_time
from interest_lib.palm import Fit, Part, fit_part
from interest_lib.return_counts import from_lag, return_statistics
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


def seasonal(peak: float, half_life_days: float = np.inf, n_users: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Visits every four days, all with bread; tea by liking, season, and what is left of past impulses."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), rng.poisson(350 / 4, n_users))
    day, interest = rng.uniform(0, 350, len(user)), np.ones(len(user))
    if np.isfinite(half_life_days):
        age = day[:, None] - rng.uniform(-100, 350, (n_users, 4))[user]
        interest = 0.3 + 3 * ((age >= 0) * 0.5 ** (np.maximum(age, 0) / half_life_days)).sum(axis=1)
    season = (1 + peak * np.cos(2 * np.pi * (day - 200) / 350)) / (1 + peak)
    tea = rng.random(len(user)) < 0.12 * rng.gamma(4, 0.25, n_users)[user] * interest * season
    log = pd.concat([log_of(user, day, "bread"), log_of(user[tea], day[tea], "tea")])
    return log.assign(basket_id=log["timestamp"].astype("int64"), item_id=log["category"])


def by_clock(log: pd.DataFrame, clock: str) -> pd.Series:
    statistics = return_statistics(log, clock=clock, edges_days=np.arange(3.5, 330, 7))
    return fit_half_lives(statistics, "exponential", 45, follow_ups=0).loc["tea"]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_season_of_the_interest_is_no_fading_by_its_own_clock(seed: int) -> None:
    log = seasonal(0.8, seed=seed)
    by_user, by_category = by_clock(log, "user"), by_clock(log, "category")
    assert by_user["faded_share_low"] > 0.25
    assert by_category["faded_share_low"] < 0.03
    assert by_category["faded_share"] < 0.05


@pytest.mark.parametrize("seed", [1, 3])
def test_a_half_life_is_found_below_a_season(seed: int) -> None:
    log = seasonal(0.8, half_life_days=20, seed=seed)
    by_user, by_category = by_clock(log, "user"), by_clock(log, "category")
    assert by_user["low"] > 20
    assert by_category["low"] < 20 < by_category["high"]
    assert by_category["half_life_days"] == pytest.approx(20, rel=0.25)
    assert by_category["faded_share_low"] > 0.1


def test_the_share_that_fades_is_the_planted_one() -> None:
    """Episodes of four visits on a level background: returns within an episode fade, all others do not."""
    log = episodes(4.0, n_users=1500, days=200)
    statistics = return_statistics(log, clock="none", edges_days=np.append(0.02, np.arange(0.5, 180)))
    found = fit_half_lives(statistics, "exponential", 45).iloc[0]
    middle = (statistics.edges_days[1:] + statistics.edges_days[:-1]) / 2
    pairs, exposure = statistics.pairs.sum(axis=0), statistics.exposure.sum(axis=0)
    level = pairs[middle > 60].sum() / exposure[middle > 60].sum()
    assert found["faded_share"] == pytest.approx(1 - level * exposure.sum() / pairs.sum(), abs=0.05)
    assert found["faded_share_low"] < found["faded_share"] < found["faded_share_high"]
    later = fit_half_lives(from_lag(statistics, 30.5), "exponential", 45).iloc[0]
    assert later["excess"] > found["excess"]  # so much for what lies before the first lag
    assert later["faded_share"] < 0.5 * found["faded_share"]
    assert later["faded_share_low"] < 0.05


def test_where_time_is_shuffled_hardly_a_return_fades() -> None:
    """Whatever half-life the noise seems to have, and however many returns it had before the first lag."""
    log = seasonal(0.0, half_life_days=20, n_users=500)
    whole = by_clock(log, "category")
    mixed = pd.DataFrame([by_clock(shuffled_in_time(log, seed), "category") for seed in range(5)])
    assert whole["faded_share_low"] > mixed["faded_share"].max()
    assert mixed["faded_share"].median() < 0.1 * whole["faded_share"]
    assert mixed["faded_share_low"].max() < 0.1 * whole["faded_share"]


def test_an_unknown_curve_is_refused() -> None:
    with pytest.raises(InputError, match="the curve 'expo' is unknown"):
        fit_half_lives(return_statistics(episodes(10.0, n_users=30)), "expo")


@pytest.mark.parametrize("half_life_days", [3.0, 20.0])
def test_no_fit_is_made_twice_and_the_second_would_be_the_first(
    half_life_days: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a short half-life, all reaches end after a month, so that they have the same lags."""
    statistics = return_statistics(episodes(half_life_days), clock="none")
    made: list[tuple[int, str]] = []

    def counting(part: Part, curve: str, follow_ups: float) -> Fit:
        made.append((part.pairs.shape[1], curve))
        return fit_part(part, curve, follow_ups)

    monkeypatch.setattr(return_rates, "fit_part", counting)
    found = fit_half_lives(statistics, None, 18, follow_ups=3.0)
    once = len(made)
    monkeypatch.setattr(return_rates, "_each_once", lambda: counting)
    pd.testing.assert_frame_equal(found, fit_half_lives(statistics, None, 18, follow_ups=3.0))
    assert len(set(made[1:once])) == once - 1 < len(made) - once - 1  # the first one has all lags
