"""Forecasts of the next period's shares: one interface, the simple ladder behind it, mixtures, and tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from interest_lib.history import Floats
from interest_lib.migration import forecast_errors, perplexity, shares
from interest_lib.moves import Move
from interest_lib.neighbours import neighbour_shares, population_shares
from interest_lib.schema import InputError


class Forecaster(Protocol):
    """What the study asks of a forecast of shares; everything else is the model's own business."""

    def fit(self, moves: Sequence[Move]) -> Self:
        """Learn from earlier moves whose future is known; simple forecasts have nothing to learn."""

    def predict(self, move: Move) -> Floats:
        """Next shares, shape (n_users, n_interests), rows adding up to one; `move.future` is not read."""


_Model = TypeVar("_Model", bound=Forecaster)


class ShrunkShares(BaseEstimator):
    """What is left of the past, pulled towards the population and towards the nearest users.

    All rungs of the simple ladder by their parameters: *persistence* has `last_days` alone, *pooled* nothing,
    *decay* a half-life or a decay per period, *Dirichlet* a strength besides, and *neighbours* all of it.

    Parameters
    ----------
    half_life_days : float or None
        Age at which half of a basket's weight is left; None with no `decay_per_period`: nothing fades.
    decay_per_period : float in [0, 1] or None
        The same in steps: a basket keeps its weight within a period before the moment and is multiplied by
        this with every period that it is older.
    period_days : float
        Length of those periods.
    last_days : float or None
        Only baskets of so many days before the moment count; None for all.
    strength : float
        Pseudo-purchases of the Dirichlet prior; 0 gives plain shares.
    n_neighbours : int
        Users whose shares make up the prior; 0 takes the whole population.
    neighbour_share : float in [0, 1]
        Part of the prior that comes from the neighbours; the rest is the population's.

    Notes
    -----
    Neighbours are the users of the same move with the highest cosine between square roots of shares, centred
    on the population (Hellinger's geometry: rare interests count), weighted by it. Whoever has no purchase
    that counts gets the prior.

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": range(4), "category": ["tea", "milk", "tea", "tea"],
    ...                     "timestamp": pd.to_datetime("2017-01-01") + pd.to_timedelta([0, 14, 14, 31], "D"),
    ...                     "weight": 1.0})
    >>> move = move_at(log, pd.Timestamp("2017-01-16"), period_days=28)
    >>> ShrunkShares().fit([]).predict(move).round(3), ShrunkShares(last_days=7).fit([]).predict(move)
    (array([[0.333, 0.667]]), array([[0.5, 0.5]]))
    """

    def __init__(
        self,
        half_life_days: float | None = None,
        decay_per_period: float | None = None,
        period_days: float = 91.0,
        last_days: float | None = None,
        strength: float = 0.0,
        n_neighbours: int = 0,
        neighbour_share: float = 0.9,
    ) -> None:
        self.half_life_days = half_life_days
        self.decay_per_period = decay_per_period
        self.period_days = period_days
        self.last_days = last_days
        self.strength = strength
        self.n_neighbours = n_neighbours
        self.neighbour_share = neighbour_share

    def fit(self, moves: Sequence[Move]) -> Self:
        """Nothing is learned."""
        return self

    def predict(self, move: Move) -> Floats:
        """Next shares, shape (n_users, n_interests).

        Raises
        ------
        InputError
            A half-life and a decay per period at once.
        """
        weights = self._weights(move)
        population = population_shares(weights)
        prior = np.broadcast_to(population, weights.shape)
        if self.n_neighbours > 0:
            near = neighbour_shares(weights, self.n_neighbours)
            prior = self.neighbour_share * near + (1 - self.neighbour_share) * population
        return np.where(
            weights.sum(axis=1, keepdims=True) > 0, shares(weights + self.strength * prior), shares(prior)
        )

    def _weights(self, move: Move) -> Floats:
        if self.decay_per_period is None:
            return move.decayed(self.half_life_days, self.last_days)
        if self.half_life_days is not None:
            raise InputError(
                f"half_life_days is {self.half_life_days:g} and decay_per_period is "
                f"{self.decay_per_period:g}; interest fades by one of them."
            )
        ages = move.signs["age_days"].to_numpy()
        periods = np.maximum(np.ceil(ages / self.period_days) - 1, 0)  # as `Move.periods` cuts them
        left = move.signs["weight"] * np.power(float(self.decay_per_period), periods)
        faded = replace(move, signs=move.signs.assign(weight=left))
        return faded.decayed(None, self.last_days)


class Mixture(BaseEstimator):
    """Mean of several forecasts.

    Parameters
    ----------
    parts : sequence of Forecaster
        `fit` fits them in place; parts that are fitted already may be mixed without it.
    weights : sequence of float or None
        One for each part; None weighs them alike.

    Examples
    --------
    >>> Mixture([ShrunkShares(), ShrunkShares(strength=80)], weights=[1, 3])
    Mixture(parts=[ShrunkShares(), ShrunkShares(strength=80)], weights=[1, 3])
    """

    def __init__(self, parts: Sequence[Forecaster], weights: Sequence[float] | None = None) -> None:
        self.parts = parts
        self.weights = weights

    def fit(self, moves: Sequence[Move]) -> Self:
        """Fit every part."""
        for part in self.parts:
            part.fit(moves)
        return self

    def predict(self, move: Move) -> Floats:
        """Next shares, shape (n_users, n_interests)."""
        mixed = np.average([part.predict(move) for part in self.parts], axis=0, weights=self.weights)
        return np.asarray(mixed, np.float64)


def tuned(
    model: _Model,
    grid: Mapping[str, Sequence[Any]],
    learn: Sequence[Move],
    judge: Move,
    n_tries: int,
    seed: int = 0,
) -> tuple[_Model, pd.DataFrame]:
    """The settings of a model that forecast an earlier move best, and a log of all that was tried.

    Parameters
    ----------
    model : Forecaster
        With scikit-learn's `get_params` and `set_params`; it is copied, not changed.
    grid : mapping of str to sequence
        Values of its parameters; every combination is a candidate.
    learn : sequence of Move
        What each candidate is fitted on.
    judge : Move
        What it is judged by; its future is known, and ends before the test begins.
    n_tries : int
        Combinations tried, drawn at random where there are more, so that models get the same budget.
    seed : int
        Draws them.

    Returns
    -------
    model : Forecaster
        A copy with the settings of the smallest squared error, not fitted; ties go to the one tried first.
    tries : pandas.DataFrame
        One row per try, in the order of the grid: the settings, ``sse1000`` (squared error summed over
        interests, mean over users, x 1000), ``perplexity``, and ``chosen``.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": range(4), "category": ["tea", "milk", "milk", "milk"],
    ...                     "timestamp": pd.date_range("2017-01-01", periods=4, freq="7D"), "weight": 1.0})
    >>> from interest_lib.moves import move_at
    >>> judge = move_at(log, pd.Timestamp("2017-01-14"), period_days=28)
    >>> best, tries = tuned(ShrunkShares(), {"last_days": [None, 7.0]}, [], judge, n_tries=2)
    >>> best.last_days, tries["sse1000"].round().tolist()
    (7.0, [500.0, 0.0])
    """
    settings = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    if not settings:
        raise InputError("The grid has a parameter without a value: give every parameter one or more.")
    drawn = np.random.default_rng(seed).permutation(len(settings))[:n_tries]
    rows = []
    for place in np.sort(drawn):
        candidate = clone(model).set_params(**settings[place]).fit(learn)
        rows.append(settings[place] | scored(candidate.predict(judge), judge))
    tries = pd.DataFrame(rows)
    best = int(tries["sse1000"].to_numpy().argmin())
    chosen = clone(model).set_params(**settings[np.sort(drawn)[best]])
    return chosen, tries.assign(chosen=np.arange(len(tries)) == best)


def scored(forecast: Floats, move: Move) -> dict[str, float]:
    """``sse1000`` and ``perplexity`` of a forecast of a move whose future is known.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": [1, 2], "category": "tea", "weight": 1.0,
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-08"])})
    >>> from interest_lib.moves import move_at
    >>> scored(np.ones((1, 1)), move_at(log, pd.Timestamp("2017-01-02"), 28))
    {'sse1000': 0.0, 'perplexity': 1.0}
    """
    if move.future is None:
        raise InputError(f"What came after {move.label} is not known: give a move with a future.")
    errors = forecast_errors(forecast, move.future)
    return {"sse1000": 1000 * float(errors["squared_error"].mean()), "perplexity": perplexity(errors)}
