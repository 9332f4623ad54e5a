"""Return rates that are learned online, and the probability that they have changed."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nbinom, poisson

from interest_lib.changepoint import AdaptiveRate, follow, visits_per_period
from interest_lib.history import Floats, Ints
from interest_lib.online import InterestState
from interest_lib.schema import InputError

HAZARD, PRIOR_DAYS, RATE = 0.01, 30.0, 0.2


def rates_of(n_series: int, hazard_per_day: float = HAZARD, n_explanations: int = 32) -> AdaptiveRate:
    return AdaptiveRate(RATE, PRIOR_DAYS, hazard_per_day, n_series, n_explanations)


def total(rates: AdaptiveRate, counts: Ints, days: float = 1.0) -> Floats:
    """Sum of log probabilities of each series; `counts` has one row for each period."""
    return np.sum([rates.update(row, days) for row in counts], axis=0)


def evidence(counts: Ints) -> float:
    """Log probability of counts with one rate, by the chain of negative binomials."""
    events, days, found = RATE * PRIOR_DAYS, PRIOR_DAYS, 0.0
    for count in counts:
        found += nbinom.logpmf(count, events, days / (days + 1))
        events, days = events + count, days + 1
    return found


def test_without_hazard_it_is_the_fixed_rate() -> None:
    counts = np.random.default_rng(0).poisson(0.4, (40, 3))
    rates = rates_of(3, hazard_per_day=0.0)
    np.testing.assert_allclose(total(rates, counts), [evidence(series) for series in counts.T], rtol=1e-10)
    mean = (RATE * PRIOR_DAYS + counts.sum(axis=0)) / (PRIOR_DAYS + 40)
    np.testing.assert_allclose(rates.rate_per_day, mean, rtol=1e-12)
    np.testing.assert_allclose(rates.median_wait_days, np.log(2) / mean, rtol=1e-12)
    assert rates.changed_within(1000).tolist() == [0, 0, 0]


def test_a_sure_prior_is_the_rate_of_the_population() -> None:
    counts = np.arange(6)
    for hazard in (0.0, 0.3):
        rates = AdaptiveRate(RATE, 1e12, hazard, 6)
        found = [rates.update(counts, days=3) for _ in range(3)]
        np.testing.assert_allclose(found, [poisson.logpmf(counts, 3 * RATE)] * 3, rtol=1e-9)
        np.testing.assert_allclose(rates.rate_per_day, RATE, rtol=1e-9)


def test_it_is_the_sum_over_all_ways_to_change() -> None:
    counts = np.array([0, 1, 0, 4, 6, 5, 3])
    ways = 0.0
    for changes in product([False, True], repeat=len(counts) - 1):
        cuts = [i + 1 for i, change in enumerate(changes) if change]
        segments = np.split(counts, cuts)
        prior = HAZARD ** len(cuts) * (1 - HAZARD) ** (len(counts) - 1 - len(cuts))
        ways += prior * np.exp(sum(evidence(segment) for segment in segments))
    assert total(rates_of(1), counts[:, None])[0] == pytest.approx(np.log(ways), rel=1e-12)


@pytest.mark.parametrize("n_explanations", [2, 8, 64])
def test_whatever_comes_it_costs_little_beyond_the_fixed_rate(n_explanations: int) -> None:
    rng = np.random.default_rng(1)
    rates = rng.gamma(0.5, 1.0, 200)
    wild = rng.poisson(rates * rng.choice([0, 1, 20], (60, 200), p=[0.45, 0.5, 0.05]))
    adaptive = total(rates_of(200, HAZARD, n_explanations), wild, days=2)
    fixed = total(rates_of(200, 0.0), wild, days=2)
    assert (adaptive - fixed >= 60 * 2 * np.log1p(-HAZARD) - 1e-9).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_rate_that_stays_costs_next_to_nothing_and_one_that_changes_pays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_days, n_series = 200, 400
    rate = rng.gamma(RATE * PRIOR_DAYS, 1 / PRIOR_DAYS, n_series)
    stays = rng.poisson(rate, (n_days, n_series))
    gain = {
        name: (total(rates_of(n_series), counts) - total(rates_of(n_series, 0.0), counts)).mean() / n_days
        for name, counts in {
            "stays": stays,
            "stops": np.where(np.arange(n_days)[:, None] < 100, stays, 0),
            "triples": np.where(np.arange(n_days)[:, None] < 100, stays, rng.poisson(3 * rate, stays.shape)),
        }.items()
    }
    assert -0.004 < gain["stays"] <= 0
    assert gain["stops"] > 0.01 and gain["triples"] > 0.01


def test_a_change_is_seen_and_the_rate_follows() -> None:
    rng = np.random.default_rng(2)
    before, after = rng.poisson(0.2, (150, 300)), rng.poisson(1.0, (30, 300))
    rates, fixed = (AdaptiveRate(RATE, 5.0, hazard, 300) for hazard in (HAZARD, 0.0))
    total(rates, before)
    assert rates.changed_within(30).mean() < 0.3
    assert rates.rate_per_day.mean() == pytest.approx(0.2, abs=0.05)
    total(rates, after)
    total(fixed, np.concatenate([before, after]))
    assert np.median(rates.changed_within(35)) > 0.8
    assert rates.rate_per_day.mean() > 0.75 and fixed.rate_per_day.mean() < 0.4


def test_before_any_evidence_a_change_is_as_probable_as_the_hazard_says() -> None:
    rates = AdaptiveRate(RATE, 1e12, HAZARD, 1, n_explanations=60)
    total(rates, np.zeros((50, 1)))
    for days in (1, 10, 50):
        assert rates.changed_within(days)[0] == pytest.approx(1 - (1 - HAZARD) ** days, rel=1e-6)


def test_a_few_explanations_do_as_well_as_all() -> None:
    rng = np.random.default_rng(3)
    counts = rng.poisson(np.where(np.arange(150)[:, None] < 75, 0.2, 0.8), (150, 100))
    some, every = rates_of(100, n_explanations=32), rates_of(100, n_explanations=200)
    assert abs(total(some, counts).mean() - total(every, counts).mean()) < 0.05
    np.testing.assert_allclose(some.rate_per_day, every.rate_per_day, rtol=0.05)


def test_each_series_is_on_its_own_and_may_have_its_own_prior() -> None:
    rng = np.random.default_rng(4)
    counts, rate, days = rng.poisson(0.5, (60, 5)), rng.uniform(0.1, 1, 5), rng.uniform(5, 50, 5)
    together = AdaptiveRate(rate, days, HAZARD, 5)
    found = total(together, counts)
    for i in range(5):
        alone = AdaptiveRate(rate[i], days[i], HAZARD, 1)
        assert total(alone, counts[:, [i]])[0] == pytest.approx(found[i], rel=1e-12)
        assert alone.rate_per_day[0] == pytest.approx(together.rate_per_day[i], rel=1e-12)


def test_a_series_that_is_not_watched_stays_as_it_is() -> None:
    rates, alone = rates_of(2, n_explanations=3), rates_of(1, n_explanations=3)
    for count in (0, 2, 0, 5, 1):
        alone.update([count])
        rates.update([count, 0], days=[1, 1])
        assert rates.update([0, 0], days=[0, 0]).tolist() == [0, 0]
    assert rates.rate_per_day[0] == alone.rate_per_day[0]
    assert rates.changed_within(3)[0] == alone.changed_within(3)[0]


@pytest.mark.parametrize(
    ("counts", "days", "problem"),
    [
        ([-1, 0], 1, "not be negative"),
        ([0.5, 0], 1, "whole numbers"),
        ([float("nan"), 0], 1, "whole numbers"),
        ([0, 0], -1, "not be negative"),
        ([1, 0], [0, 1], "0 days"),
        ([1, 0, 0], 1, "for 2 series"),
    ],
)
def test_impossible_periods_are_refused_and_change_nothing(counts, days, problem) -> None:  # type: ignore[no-untyped-def]
    rates = rates_of(2)
    with pytest.raises(InputError, match=problem):
        rates.update(counts, days)
    assert rates.rate_per_day == pytest.approx(RATE)


def test_impossible_settings_are_refused() -> None:
    for hazard in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match="below 1"):
            AdaptiveRate(RATE, PRIOR_DAYS, hazard, 1)
    for rate, days in ((0, 1), (1, -1), (float("nan"), 1), (1, float("inf"))):
        with pytest.raises(InputError, match="positive number"):
            AdaptiveRate(rate, days, HAZARD, 1)
    with pytest.raises(InputError, match="at least 2"):
        AdaptiveRate(RATE, PRIOR_DAYS, HAZARD, 1, n_explanations=1)
    for half_life in (0.0, -7.0, float("nan")):
        with pytest.raises(InputError, match="give a positive number, or None"):
            AdaptiveRate(RATE, PRIOR_DAYS, 0.0, 1, half_life_days=half_life)


def test_visits_are_baskets_in_whole_periods_up_to_the_end() -> None:
    end = pd.Timestamp("2017-03-01")
    days_before = [0.0, 0.5, 7.0, 7.5, 14.0, 20.9, 21.5]
    log = pd.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 2, 2, 2],
            "basket_id": range(7),
            "timestamp": [end - pd.Timedelta(days=days) for days in days_before],
        }
    )
    twice = pd.concat([log, log.assign(timestamp=log["timestamp"] + pd.Timedelta(minutes=1))])
    found = visits_per_period(twice, end)
    # at the end is after it; 7 days before it still belongs to the last week; the first week is not whole
    assert found.to_dict("list") == {1: [0, 1, 2], 2: [1, 1, 0]}


def forgotten(counts: Ints, half_life_days: float, days: float = 7.0) -> tuple[Floats, Floats]:
    """Events and days that are left after each period, counts and periods summed up anew every time."""
    left = [0.5 ** (days * np.arange(n)[::-1] / half_life_days) for n in range(1, len(counts) + 1)]
    events = np.array([share @ counts[: len(share)] for share in left])
    return events, np.array([[days * share.sum()] for share in left])


def test_forgetting_is_the_sum_of_what_is_left_of_every_period() -> None:
    counts = np.random.default_rng(6).poisson(2, (20, 3))
    found = follow(pd.DataFrame(counts), RATE, PRIOR_DAYS, half_life_days=28)
    events, days = forgotten(counts, 28)
    events, days = events + RATE * PRIOR_DAYS, days + PRIOR_DAYS
    np.testing.assert_allclose(found.rate_per_day, events / days, rtol=1e-12)
    predicted = nbinom.logpmf(counts[1:], events[:-1], days[:-1] / (days[:-1] + 7))
    np.testing.assert_allclose(found.log_probability[1:], predicted, rtol=1e-9)


def test_what_is_never_forgotten_is_the_fixed_rate() -> None:
    counts = pd.DataFrame(np.random.default_rng(7).poisson(2, (30, 4)))
    fixed = follow(counts, RATE, PRIOR_DAYS)
    never = follow(counts, RATE, PRIOR_DAYS, half_life_days=np.inf)
    pd.testing.assert_frame_equal(fixed.log_probability, never.log_probability, check_exact=True)
    pd.testing.assert_frame_equal(fixed.rate_per_day, never.rate_per_day, check_exact=True)
    assert not fixed.rate_per_day.equals(follow(counts, RATE, PRIOR_DAYS, half_life_days=1e6).rate_per_day)


def test_the_faded_count_is_the_one_of_the_online_state() -> None:
    start, counts = pd.Timestamp("2017-01-01"), np.random.default_rng(8).poisson(3, 10)
    state = InterestState(half_life_days=20)
    for week, count in enumerate(counts, start=1):
        for _ in range(count):  # counts are as old as the end of their period
            state.update("anna", "visits", start + pd.Timedelta(days=7 * week))
    faded = state.interests("anna", start + pd.Timedelta(days=70))["visits"]
    days = forgotten(counts[:, None], 20)[1][-1, 0]
    rates = follow(pd.DataFrame({"anna": counts}), RATE, PRIOR_DAYS, half_life_days=20).rates
    expected = (RATE * PRIOR_DAYS + faded) / (PRIOR_DAYS + days)
    assert rates.rate_per_day[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("hazard", "half_life_days"), [(0.0, None), (0.0, 10.0), (HAZARD, None), (HAZARD, 10)]
)
def test_the_probabilities_of_what_may_come_add_up_to_one(
    hazard: float, half_life_days: float | None
) -> None:
    rates = AdaptiveRate(RATE, PRIOR_DAYS, hazard, 400, half_life_days=half_life_days)
    for count in (0, 3, 1, 9, 0):  # the same past for every series, then each count once
        rates.update(np.full(400, count), days=7)
    assert np.exp(rates.update(np.arange(400), days=7)).sum() == pytest.approx(1.0, abs=1e-9)


def test_forgetting_follows_a_change_and_pays_for_it_where_nothing_changes() -> None:
    rng = np.random.default_rng(9)
    rate = rng.gamma(RATE * 5, 1 / 5, 500)
    still = rng.poisson(7 * rate, (60, 500))
    tripled = np.where(np.arange(60)[:, None] < 40, still, rng.poisson(21 * rate, still.shape))
    gain = {}
    for name, counts in (("still", still), ("tripled", tripled)):
        runs = [follow(pd.DataFrame(counts), RATE, 5, *s) for s in ((), (0.0, 28), (0.002,))]
        fixed, forgetting, points = (run.log_probability.to_numpy()[40:].mean() for run in runs)
        gain[name] = forgetting - fixed, points - fixed
        if name == "tripled":
            share = [run.rates.rate_per_day.sum() / (3 * rate.sum()) for run in runs]
            assert share[0] < 0.65 and share[1] > 0.9 and share[2] > 0.9
    assert min(gain["tripled"]) > 0.1
    # a week costs change points at most what their hazard says; forgetting has no such bound
    bound = -7 * np.log1p(-0.002)
    assert -bound < gain["still"][1] < 0 and gain["still"][0] < -1.5 * bound


def test_forgetting_goes_together_with_change_points_and_keeps_their_bound() -> None:
    counts = np.random.default_rng(10).poisson(np.repeat([1, 6, 2], 15)[:, None], (45, 20))
    both, forgetting = (AdaptiveRate(RATE, 5, hazard, 20, half_life_days=60) for hazard in (HAZARD, 0.0))
    difference = total(both, counts, days=7) - total(forgetting, counts, days=7)
    assert (difference >= 45 * 7 * np.log1p(-HAZARD)).all() and (difference > 0).all()


def test_what_is_not_watched_is_not_forgotten() -> None:
    rates = AdaptiveRate(RATE, 5, 0.0, 2, half_life_days=7)
    rates.update([4, 4], days=7)
    before = rates.rate_per_day
    rates.update([0, 0], days=[0, 7])
    assert rates.rate_per_day[0] == before[0] and rates.rate_per_day[1] < before[1]


def test_following_is_updating_period_by_period() -> None:
    counts = pd.DataFrame(np.random.default_rng(3).poisson(2, (20, 3)), columns=["a", "b", "c"])
    found = follow(counts, 0.2, 15, 0.002)
    rates = AdaptiveRate(0.2, 15, 0.002, n_series=3)
    steps = [(rates.update(row, days=7), rates.rate_per_day) for row in counts.to_numpy()]
    np.testing.assert_array_equal(found.log_probability, [step[0] for step in steps])
    np.testing.assert_array_equal(found.rate_per_day, [step[1] for step in steps])
    np.testing.assert_array_equal(found.rates.changed_within(28), rates.changed_within(28))
