"""Forecasts by a chain over shares."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interest_lib.markov_forecast import MarkovForecast
from interest_lib.migration import forecast_errors
from interest_lib.moves import Move
from interest_lib.schema import InputError

WIDTH = 6


def moves(n_users: int, seed: int) -> Move:
    """Everybody has one interest, and turns to the next one."""
    rng = np.random.default_rng(seed)
    interest = rng.integers(0, WIDTH, n_users)
    signs = pd.DataFrame({"user": np.arange(n_users), "interest": interest, "age_days": 5.0, "weight": 20.0})
    future = np.zeros((n_users, WIDTH))
    future[np.arange(n_users), (interest + 1) % WIDTH] = 10
    names = pd.Index(list("abcdef"), name="category")
    return Move("2017-01-01", pd.RangeIndex(n_users), names, signs, signs, future)


def test_the_forecast_follows_moves_and_reads_no_future() -> None:
    model = MarkovForecast(None, shrinkage=1.0, strength=1.0, stay=0.5).fit([moves(300, 1), moves(300, 2)])
    test = moves(200, 3)
    assert test.future is not None
    found = model.predict(test)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert forecast_errors(found, test.future)["top1"].mean() == 1
    np.testing.assert_array_equal(found, model.predict(replace(test, future=test.future[::-1])))
    still = MarkovForecast(None, shrinkage=1.0, strength=1e7, stay=1 - 1e-7).fit([moves(300, 1)])
    np.testing.assert_allclose(still.predict(test), still.state(test), atol=1e-3)


def test_a_forecast_for_other_interests_is_refused() -> None:
    model = MarkovForecast().fit([moves(50, 1)])
    with pytest.raises(InputError, match="other interests"):
        model.predict(replace(moves(50, 1), interests=pd.Index(list("uvwxyz"))))


@pytest.mark.parametrize("settings", [{"shrinkage": 0.0}, {"shrinkage": 0.0, "strength": None, "stay": None}])
def test_a_raw_state_has_a_forecast_for_those_without_a_past(settings: dict[str, float | None]) -> None:
    known = moves(300, 1)
    new = replace(known, signs=known.signs[known.signs["user"] > 0])
    found = MarkovForecast(**settings).fit([known]).predict(new)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[0], found[1:].mean(axis=0), atol=0.01)
