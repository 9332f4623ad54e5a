"""Returns counted by lag: pairs, what is under observation, and the clocks."""

import numpy as np
import pandas as pd
import pytest
from return_samples import DAYS, START, episodes, log_of

from interest_lib.return_counts import as_one, from_lag, return_statistics
from interest_lib.schema import InputError


def test_pairs_and_exposure_equal_the_sums_written_out() -> None:
    rng = np.random.default_rng(1)
    log = log_of(rng.integers(0, 5, 200), rng.uniform(0, 90, 200), rng.choice(["tea", "milk"], 200))
    found = return_statistics(log, clock="none", min_gap_days=1e-9)
    begin, edges = log["timestamp"].min(), found.edges_days
    day = ((log["timestamp"] - begin) / pd.Timedelta(days=1)).to_numpy()
    for row in range(len(found.user)):
        own = (log["user_id"] == found.user_ids[found.user[row]]).to_numpy()
        here = own & (log["category"] == found.interests[found.interest[row]]).to_numpy()
        lags = (day[here][None, :] - day[here][:, None]).ravel()
        later = (day[own][None, :] - day[here][:, None]).ravel()
        seen = np.minimum(day[here][:, None] + edges, day.max())
        np.testing.assert_array_equal(found.pairs[row], np.histogram(lags[lags > 0], edges)[0])
        np.testing.assert_array_equal(found.after[row], np.histogram(later[later > 0], edges)[0])
        np.testing.assert_allclose(found.exposure[row], np.diff(seen, axis=1).sum(axis=0), atol=1e-9)
    assert found.visits.sum() == 200


def test_events_of_one_visit_are_no_returns() -> None:
    """The second and third event follow within half an hour each, the fourth does not."""
    log = log_of(np.array([1, 1, 1, 1, 1, 2]), np.array([0, 20, 40, 75, 43_200, 86_400]) / 1440)
    found = return_statistics(log, clock="none")
    assert found.visits.tolist() == [3, 1]
    assert found.pairs.sum(axis=1).tolist() == [3, 0]
    assert return_statistics(log, clock="none", min_gap_days=1.0).visits.tolist() == [2, 1]


def test_nothing_after_the_end_is_seen() -> None:
    log = episodes(10.0)
    until = START + pd.Timedelta(days=200)
    cut = return_statistics(log[log["timestamp"] < until], until=until)
    whole = return_statistics(log, until=until)
    np.testing.assert_array_equal(whole.pairs, cut.pairs)
    np.testing.assert_array_equal(whole.exposure, cut.exposure)


def test_the_users_own_clock_counts_his_visits() -> None:
    rng = np.random.default_rng(2)
    log = log_of(rng.integers(0, 5, 300), rng.uniform(0, 90, 300), rng.choice(["tea", "milk"], 300))
    found = return_statistics(log, clock="user")
    scale = found.exposure.sum() / found.after.sum()
    np.testing.assert_allclose(found.exposure, found.after * scale)
    assert scale == pytest.approx(90 * 5 / 300, rel=0.1)


def test_seasons_are_no_fading_by_the_clock_of_the_shop() -> None:
    """Visits at random but for a wave of half a year: level rates after all lags, only with the clock."""
    rng = np.random.default_rng(3)
    day = rng.uniform(0, DAYS, 40_000)
    day = day[rng.random(len(day)) < (1 + 0.8 * np.cos(2 * np.pi * day / 180)) / 1.8]
    log = log_of(rng.integers(0, 500, len(day)), day)
    ratio = {}
    for clock in ("none", "shop"):
        found = return_statistics(log, clock=clock)
        rate = found.pairs.sum(axis=0) / found.exposure.sum(axis=0)
        middle = (found.edges_days[1:] + found.edges_days[:-1]) / 2
        ratio[clock] = rate[middle < 20].mean() / rate[(middle > 70) & (middle < 110)].mean()
    assert ratio["none"] > 1.5
    assert ratio["shop"] == pytest.approx(1, abs=0.1)


def in_summer(n_users: int, peak: float, seed: int = 4) -> pd.DataFrame:
    """Bread at every visit; tea at one in ten on average, and mostly in the middle of the log."""
    rng = np.random.default_rng(seed)
    user, day = rng.integers(0, n_users, 80 * n_users), rng.uniform(0, DAYS, 80 * n_users)
    tea = rng.random(len(day)) < 0.1 * (1 - peak * np.cos(2 * np.pi * day / DAYS))
    return pd.concat([log_of(user, day, "bread"), log_of(user[tea], day[tea], "tea")])


def test_an_own_visit_counts_as_much_as_the_interest_is_in_season() -> None:
    """Against the sum over pairs of visits, at the season that was planted."""
    log = in_summer(400, peak=0.9)
    by_category, by_user = (return_statistics(log, clock=clock) for clock in ("category", "user"))
    scale = by_user.exposure.sum() / by_user.after.sum()
    day = ((log["timestamp"] - log["timestamp"].min()) / pd.Timedelta(days=1)).to_numpy()
    season, edges = 1 - 0.9 * np.cos(2 * np.pi * day / DAYS), by_user.edges_days
    tea = by_category.interest == 1
    expected = np.zeros((100, len(edges) - 1))
    for user in range(100):
        own = (log["user_id"] == user).to_numpy()
        bread, here = (
            own & (log["category"] == "bread").to_numpy(),
            own & (log["category"] == "tea").to_numpy(),
        )
        lags = (day[bread][None, :] - day[here][:, None]).ravel()
        weight = np.broadcast_to(season[bread], (here.sum(), bread.sum())).ravel()
        expected[user] = np.histogram(lags[lags > 1 / 48], edges, weights=weight[lags > 1 / 48])[0]
    assert by_category.user[tea][:100].tolist() == list(range(100))
    ratio, plain = (
        found.exposure[tea][:100].sum(axis=0) / (scale * expected.sum(axis=0))
        for found in (by_category, by_user)
    )
    near = edges[1:] < 200  # at longer lags a few visits decide
    np.testing.assert_allclose(ratio[near], 1, atol=0.04)
    assert np.abs(plain[near] - 1).max() > 0.3


def test_what_is_in_season_all_year_counts_as_by_the_users_clock() -> None:
    log = in_summer(400, peak=0.0)
    by_category, by_user = (return_statistics(log, clock=clock) for clock in ("category", "user"))
    np.testing.assert_array_equal(by_category.pairs, by_user.pairs)
    ratio = by_category.exposure.sum(axis=0) / by_user.exposure.sum(axis=0)
    np.testing.assert_allclose(ratio, 1, atol=0.02)


def test_a_few_visits_make_no_season() -> None:
    """Six visits in one month, of six users, two of whom come back: far from an end of interest."""
    log = in_summer(60, peak=0.0)
    rare = log_of(np.array([0, 0, 1, 1, 2, 3]), np.array([150.0, 155, 151, 157, 160, 161]), "rare")
    found = {c: return_statistics(pd.concat([log, rare]), clock=c) for c in ("category", "user")}
    ratio = {c: s.exposure[s.interest == 1] for c, s in found.items()}
    near, far = (slice(0, 4), slice(-8, None))
    assert found["user"].interests[1] == "rare"
    shape = [ratio["category"][:, k].sum() / ratio["user"][:, k].sum() for k in (near, far)]
    assert 1 < shape[0] / shape[1] < 2


def test_lags_from_a_border_on_are_those_counted_from_there() -> None:
    log = in_summer(40, peak=0.5)
    finest = return_statistics(log, clock="category", edges_days=np.arange(3.5, 200, 7))
    again = return_statistics(log, clock="category", edges_days=np.arange(17.5, 200, 7))
    cut = from_lag(finest, 17.5)
    for name in ("edges_days", "pairs", "exposure", "after", "visits"):
        np.testing.assert_allclose(getattr(cut, name), getattr(again, name), atol=1e-9)
    with pytest.raises(InputError, match="no bin of lag begins at 18"):
        from_lag(finest, 18)
    with pytest.raises(InputError, match="no bin of lag begins at"):
        from_lag(finest, finest.edges_days[-1])


def test_all_interests_as_one_keep_every_pair() -> None:
    rng = np.random.default_rng(5)
    log = log_of(rng.integers(0, 40, 900), rng.uniform(0, 90, 900), rng.choice(["tea", "milk", "salt"], 900))
    statistics = return_statistics(log)
    one = as_one(statistics)
    np.testing.assert_allclose(one.pairs.sum(axis=0), statistics.pairs.sum(axis=0))
    np.testing.assert_allclose(one.exposure.sum(axis=0), statistics.exposure.sum(axis=0))
    assert len(one.user) < len(statistics.user)


def test_what_cannot_be_counted_is_said() -> None:
    log = episodes(10.0, n_users=30)
    with pytest.raises(InputError, match="no column 'brand'"):
        return_statistics(log, by="brand")
    with pytest.raises(InputError, match="the clock 'shp' is unknown"):
        return_statistics(log, clock="shp")
    with pytest.raises(InputError, match="less than 14 days"):
        return_statistics(log, until=START + pd.Timedelta(days=5))
