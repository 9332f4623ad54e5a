"""Returns counted by lag: pairs, what is under observation, and the clocks."""

import numpy as np
import pandas as pd
import pytest
from return_samples import DAYS, START, episodes, log_of

from interest_lib.return_counts import as_one, return_statistics
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
