"""The planted decay curves: their integrals, and draws from them."""

import math
from typing import Final

import numpy as np

from interest_lib.curves import CURVES, POWER
from interest_lib.marketplace_settings import Floats, Ints

_DOUBLING: Final = 2 ** (1 / POWER) - 1
_LOG_FULL: Final = 3 / math.log(4) - 1  # integral of the logarithmic curve up to its end at three half-lives
_LOG_AGES: Final = 3 * np.linspace(0, 1, 4001) ** 2
_LOG_SHARES: Final = (
    _LOG_AGES - ((1 + _LOG_AGES) * np.log1p(_LOG_AGES) - _LOG_AGES) / math.log(4)
) / _LOG_FULL


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
        x = age[place]
        if CURVES[code] == "exponential":
            share[place] = 1 - np.exp2(-x)
        elif CURVES[code] == "linear":
            share[place] = 1 - (1 - np.minimum(x, 2) / 2) ** 2
        elif CURVES[code] == "logarithmic":
            share[place] = np.interp(x, _LOG_AGES, _LOG_SHARES)
        else:
            share[place] = 1 - (1 + _DOUBLING * x) ** (1 - POWER)
    return share


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
