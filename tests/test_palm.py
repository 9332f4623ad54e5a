"""The likelihood of returns: the density of lags, and the background that has to show its drift."""

import numpy as np
import pandas as pd
import pytest

from interest_lib import palm
from interest_lib.curves import CURVES, curve_age
from interest_lib.palm import Part, fit_part, lag_density, rates, resampled

EDGES = np.append(0.02, np.arange(0.5, 280))
SPAN_DAYS = 300.0


def with_drift(drift: float, n_pairs: float, fading: float = 0.0) -> Part:
    """One user and the returns to expect: some fade in a half-life of five days, the others drift."""
    exposure = np.diff(EDGES) * (1 - (EDGES[1:] + EDGES[:-1]) / 2 / SPAN_DAYS)
    even = exposure * (1 + 2 * drift * (1 - (EDGES[1:] + EDGES[:-1]) / 2 / SPAN_DAYS))
    fresh = exposure * lag_density("exponential", EDGES, np.log([5.0]), 0.0)[0]
    pairs = n_pairs * ((1 - fading) * even / even.sum() + fading * fresh / fresh.sum())
    return Part(np.zeros(1, int), np.ones((1, 1)), pairs[None], exposure[None], EDGES, SPAN_DAYS)


def drift_of(part: Part, place: int) -> float:
    """The drift at a place, from the first and the last value of its shape."""
    fit = fit_part(part, "exponential", 0.0)._replace(drift=place, share=np.zeros(1))
    shape = rates(part, fit, "exponential", 0.0)[0][0]
    near, far = 1 - (EDGES[[0, -2]] + EDGES[[1, -1]]) / 2 / SPAN_DAYS
    ratio = shape[0] / shape[-1]
    return float((ratio - 1) / 2 / (near - ratio * far))


@pytest.mark.parametrize("curve", CURVES)
def test_the_density_of_lags_is_that_of_simulated_episodes(curve: str) -> None:
    rng = np.random.default_rng(4)
    size = rng.poisson(3, 60_000)
    episode = np.append(np.arange(60_000), np.repeat(np.arange(60_000), size))
    age = 10 * curve_age(np.full(size.sum(), CURVES.index(curve)), rng.random(size.sum()))
    table = pd.DataFrame({"episode": episode, "age": np.append(np.zeros(60_000), age)})
    pairs = table.merge(table, on="episode")
    lag = (pairs["age_y"] - pairs["age_x"]).to_numpy()
    edges = np.array([0.0, 1, 3, 6, 10, 20, 40])
    counts = np.histogram(lag[lag > 0], edges)[0] / (lag > 0).sum()
    density = lag_density(curve, edges, np.log([10.0]), 3.0)[0] * np.diff(edges)
    np.testing.assert_allclose(density, counts, rtol=0.03, atol=1e-4)


@pytest.mark.parametrize("drift", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_a_drift_of_the_background_is_found_and_is_no_fading(drift: float) -> None:
    even = with_drift(drift, 1e6)
    assert drift_of(even, even.even_drift()) == pytest.approx(drift, abs=1e-9)
    mixed = with_drift(drift, 1e6, fading=0.3)
    fit = fit_part(mixed, "exponential", 0.0)
    assert drift_of(mixed, fit.drift) == pytest.approx(drift, abs=1e-9)
    assert np.exp(fit.log_half_life) == pytest.approx(5, rel=0.01)
    assert fit.share[0] == pytest.approx(0.3, abs=0.01)


def test_the_smallest_drift_has_to_gain_what_its_prior_costs() -> None:
    """By a normal prior of 0.1, a drift of 0.05 costs 1/8: fewer pairs than gain that show no drift."""
    exposure = with_drift(0.0, 1.0).exposure[0]
    level, falling = exposure / exposure.sum(), with_drift(0.05, 1.0).pairs[0]
    enough = 0.125 / (falling @ np.log(falling / level))
    for n_pairs, drift in ((0.9 * enough, 0.0), (1.1 * enough, 0.05)):
        part = with_drift(0.05, n_pairs)
        assert drift_of(part, part.even_drift()) == pytest.approx(drift, abs=1e-9)


def gain_by_pair(fading: float) -> float:
    """What a drift of 0.05 gains for each pair; scores grow with the pairs, but for the cost of the drift."""
    few, many = (fit_part(with_drift(0.05, n, fading), "exponential", 0.0) for n in (1.0, 1e6))
    assert (few.drift, many.drift) == (0, 1)
    return (many.score + 0.125) / 1e6 - few.score


def test_beside_fading_the_smallest_drift_has_to_gain_as_much() -> None:
    enough = 0.125 / gain_by_pair(0.3)
    for n_pairs, drift in ((0.9 * enough, 0.0), (1.1 * enough, 0.05)):
        part = with_drift(0.05, n_pairs, fading=0.3)
        found = fit_part(part, "exponential", 0.0).drift
        assert drift_of(part, found) == pytest.approx(drift, abs=1e-9)


def test_resamples_weigh_the_drifts_beside_that_of_the_fit_and_what_they_cost() -> None:
    """The sample itself as a resample: the fit's half-life again, also from a place beside its drift."""
    enough = 0.125 / gain_by_pair(0.3)
    for n_pairs in (0.5 * enough, 3 * enough, 1e6):
        part = with_drift(0.05, n_pairs, fading=0.3)
        fit = fit_part(part, "exponential", 0.0)
        for beside in (fit, fit._replace(drift=1 - fit.drift)):
            again, fading = resampled(part, beside, "exponential", 0.0, np.ones((1, 1)))
            assert again[0] == pytest.approx(fit.log_half_life, abs=0.005)
            assert fading[0, 0] == pytest.approx(fit.share[0] * n_pairs, rel=0.03)


def test_shares_that_stand_still_need_not_be_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    exposure = rng.gamma(2.0, 30.0, (40, 12))
    edges, rows = np.arange(13) * 7 + 0.5, np.arange(40)
    pairs = rng.poisson(exposure * (0.02 + 0.1 * np.exp2(-np.arange(12) / 3))).astype(float)
    member = (rows % 3 == np.arange(4)[:, None]).astype(float)  # the last stratum has nobody
    part = Part(rows, member, pairs, exposure, edges, SPAN_DAYS)
    few = [fit_part(part, curve, 3.0) for curve in CURVES]
    monkeypatch.setattr(palm, "_STEPS_OF_ALL", 10)
    for fit, curve in zip(few, CURVES, strict=True):
        followed = fit_part(part, curve, 3.0)
        assert fit.drift == followed.drift
        assert fit.log_half_life == pytest.approx(followed.log_half_life, abs=1e-9)
        np.testing.assert_allclose(fit.share, followed.share, atol=1e-9)


def test_the_share_is_where_the_likelihood_is_highest() -> None:
    mixed = with_drift(0.1, 1e4, fading=0.3)
    fit = fit_part(mixed, "exponential", 0.0)
    tried = palm._GRID[np.abs(palm._GRID - fit.log_half_life).argmin()]
    density = lag_density("exponential", EDGES, np.array([tried]), 0.0)[0]
    parts = np.stack([density, mixed.steady(0.1)]) * mixed.exposure
    parts /= parts.sum(axis=1, keepdims=True)
    share = np.linspace(0, 0.999, 5001)[:, None]
    likely = np.log(share * parts[0] + (1 - share) * parts[1]) @ mixed.pairs[0]
    assert fit.share[0] == pytest.approx(share[likely.argmax(), 0], abs=2e-4)
