"""What the shop sells in all: totals that follow its recent mix, and how far such totals come out wrong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from interest_lib.history import Floats
from interest_lib.migration import shares
from interest_lib.moves import Move


def monthly_totals(bought: Move, month_days: float) -> Floats:
    """Baskets of all users together in each whole month before the moment, the oldest first.

    Parameters
    ----------
    bought : Move
        From `demand_rates.purchases_alone`.
    month_days : float
        Length of a month.

    Returns
    -------
    ndarray of float, shape (n_months, n_interests)
        There is at least one month, whole or not.

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> times = pd.to_datetime(["2017-01-01", "2017-01-02", "2017-01-30", "2017-03-01"])
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": range(4), "category": ["tea", "tea", "milk", "tea"],
    ...                     "timestamp": times, "weight": 1.0})
    >>> monthly_totals(move_at(log, pd.Timestamp("2017-03-02"), 0, pd.Index([1])), 30).tolist()
    [[1.0, 2.0], [0.0, 1.0]]
    """
    n_months = max(int(bought.events["age_days"].max() // month_days), 1)
    ages = bought.signs["age_days"].to_numpy()
    back = np.maximum(np.ceil(ages / month_days).astype(np.int64) - 1, 0)
    inside = back < n_months
    cells = (n_months - 1 - back[inside]) * bought.shape[1] + bought.signs["interest"].to_numpy()[inside]
    left = bought.signs["weight"].to_numpy()[inside]
    sums = np.bincount(cells, weights=left, minlength=n_months * bought.shape[1])
    return sums.astype(np.float64).reshape(n_months, -1)


def tilted(expected: Floats, recent: Floats, mix_share: float, level_share: float) -> Floats:
    """Totals by interest that follow what the shop sold lately as far as asked for.

    Parameters
    ----------
    expected : ndarray of float, shape (n_interests,)
        Expected baskets of all users together.
    recent : ndarray of float, same shape
        What the next period would bring at the pace of the last weeks. One basket of the expected mix stands
        beside it, so that what was not sold lately is not expected never to sell.
    mix_share : float in [0, 1]
        How far the shares of the interests follow: 0 leaves them as they are, 1 gives the recent ones, the
        rest lies between in logarithms.
    level_share : float in [0, 1]
        The same for the sum over interests.

    Returns
    -------
    ndarray of float, shape (n_interests,)

    Examples
    --------
    >>> recent = np.array([0.0, 20.0])
    >>> [tilted(np.array([5.0, 5.0]), recent, mix, 0).round(2).tolist() for mix in (0, 0.5, 1)]
    [[5.0, 5.0], [1.35, 8.65], [0.24, 9.76]]
    >>> tilted(np.array([5.0, 5.0]), recent, mix_share=0, level_share=1)
    array([10., 10.])
    """
    mix = shares(recent + shares(expected))
    factor = np.divide(mix, shares(expected), out=np.ones_like(expected), where=expected > 0)
    total, pace = expected.sum(), recent.sum()
    level = total * (pace / total) ** level_share if pace > 0 and total > 0 else total
    return np.asarray(shares(expected * factor**mix_share) * level)


def tilt_choices(
    expected: Sequence[Floats],
    came: Sequence[Floats],
    recent: Sequence[Floats],
    mix_shares: Sequence[float],
    level_shares: Sequence[float],
) -> pd.DataFrame:
    """How far totals were off at earlier moves, for every setting of `tilted`.

    Parameters
    ----------
    expected, came, recent : sequence of ndarray of float, shape (n_interests,)
        Totals of each move.
    mix_shares, level_shares : sequence of float
        All pairs are tried.

    Returns
    -------
    pandas.DataFrame
        One row per pair: ``mix_share``, ``level_share``, and ``wape``: absolute errors of the totals summed
        over interests and moves, for each basket that came.

    Examples
    --------
    >>> known = [np.array([5.0, 5.0])], [np.array([0.0, 19.0])], [np.array([0.0, 20.0])]
    >>> tilt_choices(*known, [0, 1], [0, 1])["wape"].round(2).tolist()
    [1.0, 1.0, 0.5, 0.05]
    """
    rows = []
    for mix, level in product(mix_shares, level_shares):
        totals = [tilted(*pair, mix, level) for pair in zip(expected, recent, strict=True)]
        missed = sum(float(np.abs(a - b).sum()) for a, b in zip(came, totals, strict=True))
        rows.append((mix, level, missed / max(sum(float(total.sum()) for total in came), 1e-9)))
    return pd.DataFrame(rows, columns=["mix_share", "level_share", "wape"])


def restlessness(expected: Floats, monthly: Floats, own_weight: float, common: float) -> Floats:
    """How far each total may come out wrong, in logarithms, up to a factor that is the same for all.

    Parameters
    ----------
    expected : ndarray of float, shape (n_interests,)
        Expected totals.
    monthly : ndarray of float, shape (n_months, n_interests)
        From `monthly_totals`.
    own_weight : float
        In changes from month to month: what is usual for an interest of that size counts as so many.
    common : float
        Standard deviation, in logarithms, of what is usual beside the noise of counts.

    Returns
    -------
    ndarray of float, shape (n_interests,)
        The root mean square change of the logarithm of an interest's monthly totals, drawn to what is usual:
        ``common ** 2 + 1 / total``, scaled to the changes of all.

    Examples
    --------
    >>> monthly = np.array([[30.0, 30.0], [33.0, 60.0], [31.0, 20.0]])
    >>> restlessness(np.array([30.0, 30.0]), monthly, own_weight=1, common=0.1).round(2).tolist()
    [0.38, 0.83]
    """
    usual = common**2 + 1 / (expected + 0.5)
    squares = np.diff(np.log(monthly + 0.5), axis=0) ** 2
    if not squares.sum() > 0:
        return np.sqrt(usual)
    usual = usual * squares.mean() / usual.mean()
    return np.sqrt((own_weight * usual + squares.sum(axis=0)) / (own_weight + len(squares)))


def log_misses(expected: Floats, came: Floats) -> Floats:
    """How far totals came out wrong, in logarithms; half a basket stands on both sides.

    Examples
    --------
    >>> log_misses(np.array([4.5, 0.0]), np.array([9.5, 0.0])).round(2).tolist()
    [0.69, 0.0]
    """
    return np.asarray(np.abs(np.log((came + 0.5) / (expected + 0.5))))


def width_choices(
    expected: Sequence[Floats],
    came: Sequence[Floats],
    monthly: Sequence[Floats],
    own_weights: Sequence[float],
    commons: Sequence[float],
) -> pd.DataFrame:
    """How probable the misses of earlier moves were, for every setting of `restlessness`.

    Parameters
    ----------
    expected, came : sequence of ndarray of float, shape (n_interests,)
        Totals of each move.
    monthly : sequence of ndarray of float, shape (n_months, n_interests)
        From `monthly_totals`, of each move.
    own_weights, commons : sequence of float
        All pairs are tried.

    Returns
    -------
    pandas.DataFrame
        One row per pair: ``own_weight``, ``common``, and ``log_likelihood`` per total, of misses with a
        Laplace distribution whose scale is the restlessness times a factor fitted to them.
    """
    missed = np.concatenate([log_misses(*pair) for pair in zip(expected, came, strict=True)])
    rows = []
    for own_weight, common in product(own_weights, commons):
        known = zip(expected, monthly, strict=True)
        scale = np.concatenate([restlessness(*pair, own_weight, common) for pair in known])
        fit = -np.log(scale).mean() - np.log(max(float((missed / scale).mean()), 1e-9))
        rows.append((own_weight, common, fit))
    return pd.DataFrame(rows, columns=["own_weight", "common", "log_likelihood"])
