"""The families of decay curves: what is left of an interest at an age, and their integrals."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from interest_lib.schema import InputError, nearest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CURVES: Final = ("exponential", "linear", "logarithmic", "power")
"""Families of decay curves; the marketplace stores their places here as codes."""

POWER: Final = 2.0
"""Exponent of the power law."""

_DOUBLING: Final = 2 ** (1 / POWER) - 1
_LOG_FULL: Final = 3 / math.log(4) - 1  # integral of the logarithmic curve up to its end at three half-lives
_LOG_AGES: Final = 3 * np.linspace(0, 1, 4001) ** 2
_LOG_SHARES: Final = (
    _LOG_AGES - ((1 + _LOG_AGES) * np.log1p(_LOG_AGES) - _LOG_AGES) / math.log(4)
) / _LOG_FULL


def curve_value(curve: str, age: Floats) -> Floats:
    """Height of a decay curve at an age in half-lives: 1 at 0, 1/2 at 1.

    Parameters
    ----------
    curve : str
        ``exponential: 2^-x``; ``linear: 1 - x/2`` until 2; ``logarithmic: 1 - log4(1 + x)`` until 3;
        ``power: (1 + (sqrt(2) - 1) x)^-2``.
    age : ndarray of float
        Not negative.

    Returns
    -------
    ndarray of float, same shape, in [0, 1]

    Examples
    --------
    >>> [float(curve_value(curve, np.array([1.0]))[0].round(12)) for curve in CURVES]
    [0.5, 0.5, 0.5, 0.5]
    """
    x = np.asarray(age, dtype=np.float64)
    if curve == "exponential":
        return np.exp2(-x)
    if curve == "linear":
        return np.maximum(1 - x / 2, 0)
    if curve == "logarithmic":
        return np.maximum(1 - np.log1p(x) / math.log(4), 0)
    return (1 + _DOUBLING * x) ** -POWER


def weight_left(age: Floats, half_life: float | Floats | None, curve: str = "exponential") -> Floats:
    """What is left of an event's weight at an age.

    Parameters
    ----------
    age : ndarray of float
        Age of each event, not negative, in days or in baskets.
    half_life : float, ndarray of float or None
        Age at which half of the weight is left, in the same unit, one for all or one for each event; None
        means that nothing fades.
    curve : str
        One of `CURVES`. Of the exponential, ``exp(-rate * age)``, the half-life is ``log(2) / rate``; of the
        linear, ``1 - rate * age``, it is ``1 / (2 * rate)``, and after two half-lives nothing is left.

    Returns
    -------
    ndarray of float, same shape, in [0, 1]

    Raises
    ------
    InputError
        The half-life is not a positive number, or the curve unknown.

    Notes
    -----
    All families are parameterized by their half-life, so that their settings can be compared. What one of the
    source articles calls logarithmic, ``1 - rate * age``, is the linear one; the logarithmic curve here is
    the one that deserves the name: it falls with the logarithm of the age, and ends after three half-lives.
    The power law is the one of memory research (Wixted and Ebbesen, 1991), shifted so that it is finite at 0.

    Examples
    --------
    >>> weight_left(np.array([0.0, 90.0, 180.0]), half_life=90)
    array([1.  , 0.5 , 0.25])
    >>> weight_left(np.array([0.0, 90.0, 180.0]), half_life=90, curve="linear")
    array([1. , 0.5, 0. ])
    """
    if curve not in CURVES:
        raise InputError(f"The curve {curve!r} is unknown; {nearest(curve, CURVES)}")
    if half_life is None:
        return np.ones_like(age, dtype=np.float64)
    if not np.all(np.asarray(half_life) > 0):
        raise InputError(f"The half-life is {half_life}: give a positive number, or None for no decay.")
    return curve_value(curve, age / half_life)


def curve_share(curve: Ints, age: Floats) -> Floats:
    """Share of follow-ups that come until an age in half-lives: the integral of the curve, 1 at infinity.

    Parameters
    ----------
    curve : ndarray of int
        Places in `CURVES`.
    age : ndarray of float, same shape

    Examples
    --------
    >>> curve_share(np.array([0, 1, 2, 3]), np.ones(4)).round(4)
    array([0.5   , 0.75  , 0.6197, 0.2929])
    """
    share = np.empty(len(age))
    for code, place in _by_curve(curve):
        share[place] = share_until(CURVES[code], age[place])
    return share


def share_until(curve: str, age: Floats) -> Floats:
    """As `curve_share`, of one curve by its name; ages of any shape.

    Examples
    --------
    >>> share_until("linear", np.array([[0.0, 1.0], [2.0, 3.0]]))
    array([[0.  , 0.75],
           [1.  , 1.  ]])
    """
    if curve == "exponential":
        return 1 - np.exp2(-age)
    if curve == "linear":
        return 1 - (1 - np.minimum(age, 2) / 2) ** 2
    if curve == "logarithmic":
        return np.interp(age, _LOG_AGES, _LOG_SHARES)
    return 1 - (1 + _DOUBLING * age) ** (1 - POWER)


def curve_age(curve: Ints, share: Floats) -> Floats:
    """The inverse of `curve_share`: the age in half-lives until which a share of the follow-ups comes.

    Examples
    --------
    >>> curve_age(np.array([0, 1, 2, 3]), curve_share(np.array([0, 1, 2, 3]), np.ones(4))).round(6)
    array([1., 1., 1., 1.])
    """
    age = np.empty(len(share))
    for code, place in _by_curve(curve):
        left = 1 - share[place]
        if CURVES[code] == "exponential":
            age[place] = -np.log2(left)
        elif CURVES[code] == "linear":
            age[place] = 2 * (1 - np.sqrt(left))
        elif CURVES[code] == "logarithmic":
            age[place] = np.interp(share[place], _LOG_SHARES, _LOG_AGES)
        else:
            age[place] = (left ** (-1 / (POWER - 1)) - 1) / _DOUBLING
    return age


def _by_curve(curve: Ints) -> list[tuple[int, Ints]]:
    return [(code, np.flatnonzero(curve == code)) for code in range(len(CURVES))]
