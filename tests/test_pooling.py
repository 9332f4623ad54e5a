"""Half-lives drawn together: what is uncertain moves, by the best linear prediction."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.pooling import pooled_half_lives
from interest_lib.schema import InputError


def test_pooling_draws_what_is_uncertain_to_its_department() -> None:
    rng = np.random.default_rng(5)
    names = [f"c{i}" for i in range(60)]
    parent = {name: "ab"[i % 2] for i, name in enumerate(names)}
    truth = np.where(np.arange(60) % 2, 60.0, 10.0) * np.exp(rng.normal(0, 0.2, 60))
    error = np.where(np.arange(60) % 3 == 0, 1.0, 0.05)
    fitted = pd.DataFrame(
        {"half_life_days": truth * np.exp(rng.normal(0, error)), "log_error": error}, index=names
    )
    pooled = pooled_half_lives(fitted, parent)
    vague = error == 1
    own, drawn = (np.abs(np.log(table["half_life_days"] / truth)) for table in (fitted, pooled))
    assert drawn[vague].mean() < 0.4 * own[vague].mean()
    assert np.abs(np.log(pooled["half_life_days"] / fitted["half_life_days"]))[~vague].max() < 0.1
    assert ((pooled["low"] < truth) & (truth < pooled["high"])).mean() >= 0.8
    assert pooled.attrs["within"] == pytest.approx(0.2, abs=0.08)
    assert pooled.attrs["between"] > 0.5


def test_pooled_values_are_the_best_linear_prediction() -> None:
    """Against the formula with whole matrices, at the variances that were found."""
    rng = np.random.default_rng(6)
    group = np.arange(30) % 5
    error = rng.uniform(0.1, 0.8, 30)
    value = np.log(20) + rng.normal(0, 0.5, 5)[group] + rng.normal(0, 0.3, 30) + rng.normal(0, error)
    fitted = pd.DataFrame(
        {"half_life_days": np.exp(value), "log_error": error}, index=[f"c{i}" for i in range(30)]
    )
    pooled = pooled_half_lives(fitted, {f"c{i}": f"d{group[i]}" for i in range(30)})
    signal = pooled.attrs["within"] ** 2 * np.eye(30) + pooled.attrs["between"] ** 2 * (
        group[:, None] == group
    )
    inverse = np.linalg.inv(signal + np.diag(error**2))
    mean = inverse.sum(axis=0) @ value / inverse.sum()
    np.testing.assert_allclose(
        np.log(pooled["half_life_days"]), mean + signal @ inverse @ (value - mean), rtol=1e-6
    )
    assert np.log(pooled.attrs["half_life_days"]) == pytest.approx(mean)


def test_fits_without_resamples_or_parents_are_refused() -> None:
    fitted = pd.DataFrame({"half_life_days": [9.0, 30.0], "log_error": [0.1, 0.2]}, index=["tea", "salt"])
    with pytest.raises(InputError, match="give fits with resamples"):
        pooled_half_lives(fitted.assign(log_error=np.nan), dict.fromkeys(fitted.index, "grocery"))
    with pytest.raises(InputError, match="a parent for each interest"):
        pooled_half_lives(fitted, {"tea": "drinks"})
