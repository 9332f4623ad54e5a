"""How fast interest fades in each category, by the likelihood of return, partially pooled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.history import Floats, History, Ints
from interest_lib.recommend import InterestRecommender
from interest_lib.schema import InputError
from interest_lib.windows import Window, category_codes, training_windows, window_before

DAYS = (7.0, 10.0, 14.0, 20.0, 28.0, 40.0, 57.0, 80.0, 113.0, 160.0, 226.0, 320.0, 640.0, 1280.0)
BASKETS = (1.0, 1.4, 2.0, 2.8, 4.0, 5.7, 8.0, 11.0, 16.0, 23.0, 32.0, 45.0, 90.0, 180.0)
BACKGROUNDS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # what a pair keeps for ever, in fresh purchases
SPREADS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # how far categories stray: standard deviations of log half-life


def category_rates(
    windows: Sequence[Window],
    category_of_item: Ints,
    half_lives: Sequence[float] = DAYS,
    pooling_returns: float = 50.0,
    backgrounds: Sequence[float] = BACKGROUNDS,
) -> pd.DataFrame:
    """Half-life and weight of every category, by the likelihood of what came back.

    A pair of user and product with decayed sum `S(h)` comes back with rate ``weight * I``, where
    ``I = S(h) + b``. The background `b` is what never fades; without it one late return would make a fast
    category look slow. Given `h` and `b`, the best weight is the number of returns over the sum of all `I`,
    and what is left is the likelihood of *which* pairs of the category came back, ``product of I / sum of
    I``. Log half-lives of categories are normal around a common one; its place and spread maximise the
    marginal likelihood (empirical Bayes).

    Parameters
    ----------
    windows : sequence of Window
        From `training_windows`.
    category_of_item : ndarray of int, shape (n_items,)
    half_lives : sequence of float
        The grid, in the unit of the windows' ages.
    pooling_returns : float
        Returns that a category needs until its own weight counts as much as that of all.
    backgrounds : sequence of float
        What a pair may keep for ever, in fresh purchases; ``(0.0,)`` for nothing.

    Returns
    -------
    pandas.DataFrame
        One row for every category code: ``half_life`` (exponential of the posterior mean of its logarithm),
        ``background``, ``weight`` (returns expected per unit of interest in a horizon, shrunk to that of
        all), ``n_returned``; and ``global``, the half-life with the best likelihood when all share one.

    Raises
    ------
    InputError
        `pooling_returns` is not a positive number.

    Notes
    -----
    The Poisson process with covariate `S(h)`, profiled over its scale: Cox and Lewis (1966). Pairs count as
    independent, which overstates what is known; the spread is learned from the same likelihood.
    """
    if not pooling_returns > 0:
        raise InputError(f"pooling_returns is {pooling_returns}: give a positive number of returns.")
    n_returned, interest, fit = _sufficient(windows, category_of_item, half_lives, backgrounds)
    of_all = fit.sum(axis=0) - n_returned.sum() * np.log(interest.sum(axis=0))
    profile = fit - n_returned[:, None, None] * np.log(np.maximum(interest, 1e-12))
    background = profile.argmax(axis=2)
    grid = np.log(np.minimum(half_lives, 1e6))  # so that no decay has a place on the grid
    log_half_life = _pooled(profile.max(axis=2), grid)
    near = np.abs(grid - log_half_life[:, None]).argmin(axis=1)
    every = np.arange(len(near))
    of_category = background[every, near]
    exposure = interest[every, near, of_category]
    common = n_returned.sum() / exposure.sum()
    return pd.DataFrame(
        {
            "half_life": np.exp(log_half_life) if len(half_lives) > 1 else half_lives[0],
            "background": np.array(backgrounds)[of_category],
            "weight": (n_returned + pooling_returns) / (exposure + pooling_returns / common),
            "n_returned": n_returned.astype(np.int64),
            "global": half_lives[int(of_all.max(axis=1).argmax())],
        }
    )


def _sufficient(
    windows: Sequence[Window],
    category_of_item: Ints,
    half_lives: Sequence[float],
    backgrounds: Sequence[float],
) -> tuple[Floats, Floats, Floats]:
    """By category: returns; and by half-life and background all interest, and the logs of what came back."""
    n = int(category_of_item.max()) + 1
    n_returned = np.zeros(n)
    interest, fit = np.zeros((2, n, len(half_lives), len(backgrounds)))
    for window in windows:
        if window.returned is None or window.active is None:
            continue
        category = category_of_item[window.cells[window.active] % len(category_of_item)]
        sums = window.sums(half_lives)[window.active]
        back = window.returned[window.active]
        n_pairs = np.bincount(category, minlength=n)
        n_returned += np.bincount(category[back], minlength=n)
        for j in range(len(half_lives)):
            total = np.bincount(category, weights=sums[:, j], minlength=n)
            for k, background in enumerate(backgrounds):
                left = np.log(np.maximum(sums[back, j] + background, 1e-9))
                fit[:, j, k] += np.bincount(category[back], weights=left, minlength=n)
                interest[:, j, k] += total + background * n_pairs
    return n_returned, interest, fit


def _pooled(profile: Floats, grid: Floats) -> Floats:
    """Posterior mean of every log half-life, under the common prior that explains all of them best."""
    likelihood = np.exp(profile - profile.max(axis=1, keepdims=True))
    best, posterior = -np.inf, likelihood
    for centre in grid:
        for spread in SPREADS:
            prior = np.exp(-0.5 * ((grid - centre) / spread) ** 2)
            joint = likelihood * (prior / prior.sum())
            evidence = float(np.log(joint.sum(axis=1) + 1e-300).sum())
            if evidence > best:
                best, posterior = evidence, joint
    return (posterior @ grid) / posterior.sum(axis=1)


class CategoryDecay(InterestRecommender):
    """Interest in products that fades at the rate of their category.

    Parameters
    ----------
    item_category : pandas.Series
        Category by item id.
    rates : bool
        Whether every category has a half-life of its own; if not, all have `half_life`.
    weights : bool
        Whether a category's interest counts by how often it comes back, and keeps its background.
    half_life : float or None
        Half-life of all categories where `rates` is False, in the unit of the horizon; None takes the one
        with the best likelihood.
    horizon_days, horizon_baskets : float or None
        Length of the period in which coming back counts, in one of the two units.
    n_origins : int
        Moments inside the history from which rates are learned.
    pooling_returns : float
        Returns that a category needs until its own weight counts as much as that of all.
    background : bool
        Whether what never fades is told apart when rates are learned, and kept where there are weights.

    Attributes
    ----------
    rates_ : pandas.DataFrame
        As `category_rates`, indexed by category.
    """

    def __init__(
        self,
        item_category: pd.Series,
        rates: bool = True,
        weights: bool = True,
        half_life: float | None = None,
        horizon_days: float | None = 28.0,
        horizon_baskets: float | None = None,
        n_origins: int = 3,
        pooling_returns: float = 50.0,
        background: bool = True,
    ) -> None:
        self.item_category = item_category
        self.rates = rates
        self.weights = weights
        self.half_life = half_life
        self.horizon_days = horizon_days
        self.horizon_baskets = horizon_baskets
        self.n_origins = n_origins
        self.pooling_returns = pooling_returns
        self.background = background

    def _learn(self, history: History) -> None:
        category_of_item, categories = category_codes(history, self.item_category)
        windows = training_windows(history, self.n_origins, self.horizon_days, self.horizon_baskets)
        learned = partial(
            category_rates,
            windows,
            category_of_item,
            pooling_returns=self.pooling_returns,
            backgrounds=BACKGROUNDS if self.background else (0.0,),
        )
        found = learned(BASKETS if self.horizon_days is None else DAYS)
        if not self.rates:
            one = float(found["global"].iloc[0]) if self.half_life is None else self.half_life
            found = learned((one,))
        if not self.weights:
            found[["weight", "background"]] = 1.0, 0.0
        self.rates_ = found.set_index(categories)
        now = window_before(history, 0, self.horizon_days, self.horizon_baskets)
        sums = now.decayed(found["half_life"].to_numpy()[category_of_item[now.cols]])
        places = np.divmod(now.cells, history.shape[1])
        of_pair = found[["background", "weight"]].to_numpy()[category_of_item[places[1]]].T
        scores = (sums + of_pair[0]) * of_pair[1]
        self.interest_ = sp.csr_matrix((scores, places), shape=history.shape)
        self.interest_.eliminate_zeros()
