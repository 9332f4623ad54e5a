"""Half-lives drawn together: categories within departments within all, as far as each is uncertain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from interest_lib.history import Floats, Ints
from interest_lib.palm import HALF_LIVES
from interest_lib.schema import InputError


def pooled_half_lives(fitted: pd.DataFrame, parent: Mapping[str, str]) -> pd.DataFrame:
    """Half-lives drawn together: category within department within all, each as far as it is uncertain.

    Parameters
    ----------
    fitted : pandas.DataFrame
        From `fit_half_lives` with resamples.
    parent : mapping from interest to str
        Department of each category.

    Returns
    -------
    pandas.DataFrame
        In the order of `fitted`: ``parent``, ``trust`` (weight of the category's own estimate),
        ``half_life_days``, ``low`` and ``high`` (90 %), ``parent_half_life_days``. For all together,
        ``attrs`` has ``half_life_days``, ``low`` and ``high``, and the standard deviations of log
        half-lives ``within`` departments and ``between`` them.

    Raises
    ------
    InputError
        No interest has an interval, or one has no parent.

    Notes
    -----
    Empirical Bayes with normal distributions of ``y = log half-life``: ``y_c ~ N(theta_c, s_c^2)`` with the
    error s_c of the resamples, ``theta_c ~ N(mu_d, within^2)``, ``mu_d ~ N(mu, between^2)``; the variances by
    restricted maximum likelihood. Then ``theta_c = B y_c + (1 - B) mu_d`` with ``B = within^2 / (within^2 +
    s_c^2)`` and the variance ``B s_c^2 + (1 - B)^2 var(mu_d)``, and the same one level up. The intervals take
    the two variances as known.

    Examples
    --------
    >>> fitted = pd.DataFrame({"half_life_days": [9.0, 11.0, 80.0], "log_error": [0.1, 0.1, 1.5]},
    ...                       index=["tea", "milk", "salt"])
    >>> pooled_half_lives(fitted, dict.fromkeys(fitted.index, "grocery"))["half_life_days"].round(1).tolist()
    [9.5, 10.5, 10.1]
    """
    known = fitted[np.isfinite(fitted["log_error"]) & (fitted["half_life_days"] > 0)]
    if known.empty or not set(known.index) <= set(parent):
        raise InputError("half-lives: give fits with resamples, and a parent for each interest.")
    value = np.log(known["half_life_days"].to_numpy())
    # an estimate at the border of what was tried says little more than on which side it lies
    shortest, longest = np.log(HALF_LIVES)
    border = (value < shortest + 0.05) | (value > longest - 0.05)
    noise = np.maximum(known["log_error"].to_numpy(), np.where(border, 1.0, 0.01)) ** 2
    group, names = pd.factorize(np.array([parent[name] for name in known.index], dtype=object), sort=True)
    within, between = _variances(value, noise, group)
    centre, centre_error, top, top_error = _centres(value, noise, group, within, between)
    trust = within / (within + noise)
    log = trust * value + (1 - trust) * centre[group]
    error = np.sqrt(trust * noise + (1 - trust) ** 2 * centre_error[group] ** 2)
    columns = {"parent": names[group], "trust": trust}
    columns |= dict(zip(("half_life_days", "low", "high"), _interval(log, error), strict=True))
    columns["parent_half_life_days"] = np.exp(centre)[group]
    pooled = pd.DataFrame(columns, index=known.index).reindex(fitted.index)
    overall = dict(zip(("half_life_days", "low", "high"), map(float, _interval(top, top_error)), strict=True))
    pooled.attrs.update(within=within**0.5, between=between**0.5, **overall)
    return pooled


def _interval(log: Floats | float, error: Floats | float) -> tuple[Floats, Floats, Floats]:
    """Middle and 90 % interval in days."""
    return np.exp(log), np.exp(log - 1.645 * error), np.exp(log + 1.645 * error)


def _centres(
    value: Floats, noise: Floats, group: Ints, within: float, between: float
) -> tuple[Floats, Floats, float, float]:
    """Posterior means and errors of the groups' centres and of the centre of all."""
    weight = 1 / (noise + within)
    precision = np.bincount(group, weight)
    mean = np.bincount(group, weight * value) / precision
    outer = 1 / (1 / precision + between)
    top = float(outer @ mean / outer.sum())
    trust = between / (between + 1 / precision)
    error = np.sqrt(trust / precision + (1 - trust) ** 2 / outer.sum())
    return trust * mean + (1 - trust) * top, error, top, float(outer.sum() ** -0.5)


def _variances(value: Floats, noise: Floats, group: Ints) -> tuple[float, float]:
    """Variances of log half-lives within and between groups, by restricted maximum likelihood on a grid."""
    grid = np.append(1e-4, np.geomspace(0.03, 1.5, 25)) ** 2
    scores = [_restricted(value, noise, group, within, between) for within in grid for between in grid]
    best = int(np.argmax(scores))
    return float(grid[best // len(grid)]), float(grid[best % len(grid)])


def _restricted(value: Floats, noise: Floats, group: Ints, within: float, between: float) -> float:
    weight = 1 / (noise + within)
    precision = np.bincount(group, weight)
    mean = np.bincount(group, weight * value) / precision
    outer = 1 / (1 / precision + between)
    top = outer @ mean / outer.sum()
    inner = weight @ (value - mean[group]) ** 2 - np.log(weight).sum() + np.log(precision).sum()
    return float(-0.5 * (inner + outer @ (mean - top) ** 2 - np.log(outer).sum() + np.log(outer.sum())))
