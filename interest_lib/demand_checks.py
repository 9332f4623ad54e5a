"""Whether the demand came as foretold: inside its intervals, nearer than by simple rules, up and down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.demand import Outlook
from interest_lib.demand_backtest import Foretold
from interest_lib.history import Floats
from interest_lib.metrics import relative_gain

BANDS: Final = (0.0, 0.1, 0.5, 2.0, 5.0, np.inf)  # expected baskets of a user; coverage is told for each


def coverage(outlook: Outlook, came: Floats, levels: Sequence[float] = (0.8, 0.95)) -> pd.DataFrame:
    """How often the intervals held what came.

    Parameters
    ----------
    outlook : Outlook
    came : ndarray of float, shape (n_users, n_interests)
        Baskets that came.
    levels : sequence of float
        Levels of the intervals.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``of`` ("shop", "users", or users' interests by their expected baskets, as "0.5 to 2") and
        ``level``: ``reached``; ``promised``, which is above the level for counts; ``n`` intervals.

    Examples
    --------
    >>> calm = Outlook(pd.Index([1]), pd.Index(["tea"]), np.array([[4.0]]), 0.01, np.array([0.1]),
    ...                np.array([1.0]))
    >>> coverage(calm, np.array([[4.0]]), levels=[0.8]).round(2).reset_index().values.tolist()
    [['shop', 0.8, 1.0, 0.8, 1], ['users', 0.8, 1.0, 0.85, 1], ['2 to 5', 0.8, 1.0, 0.85, 1]]
    """
    shop, total = outlook.of_shop(levels), came.sum(axis=0)
    band = np.digitize(outlook.expected, BANDS[1:-1])
    named = {"users": np.ones(band.shape, dtype=bool)}
    for number in np.unique(band):
        least, most = BANDS[number : number + 2]
        named[f"{least:g} to {most:g}" if np.isfinite(most) else f"{least:g} or more"] = band == number
    rows = []
    for level in levels:
        held = (total >= shop[f"low{100 * level:g}"]) & (total <= shop[f"high{100 * level:g}"])
        rows.append(("shop", level, float(held.mean()), level, len(held)))
        low, high = outlook.of_users(level)
        inside, promised = (came >= low) & (came <= high), outlook.promised(low, high)
        for name, those in named.items():
            found = (float(inside[those].mean()), float(promised[those].mean()), int(those.sum()))
            rows.append((name, level, *found))
    return pd.DataFrame(rows, columns=["of", "level", "reached", "promised", "n"]).set_index(["of", "level"])


def errors_saved(foretold: Foretold, seed: int, n_resamples: int = 1000) -> pd.DataFrame:
    """What the forecast saves against those who learn nothing, for the shop and for its users.

    Parameters
    ----------
    foretold : Foretold
    seed, n_resamples
        As in `metrics.bootstrap_mean`.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``of`` ("shop", "users") and ``against``: ``error`` of the forecast and ``other`` error;
        ``saved``, the part of the other error that is saved, with ``low`` and ``high`` (95 %) and ``n``. The
        error of the shop is the absolute one of its totals for each basket that came, interests resampled;
        that of users is squared, summed over interests, users resampled.
    """
    came, expected = foretold.came, foretold.outlook.expected
    per = max(float(came.sum()), 1e-9) / came.shape[1]
    losses: dict[str, Callable[[Floats], Floats]] = {
        "shop": lambda said: np.abs((said - came).sum(axis=0)) / per,
        "users": lambda said: ((said - came) ** 2).sum(axis=1),
    }
    rows = {}
    for of, loss in losses.items():
        for name, last in foretold.last.items():
            ours, other = loss(expected), loss(last)
            gain = relative_gain(ours, other, seed, n_resamples)
            rows[of, name] = (ours.mean(), other.mean(), -gain.value, -gain.high, -gain.low, gain.n)
    names = ["error", "other", "saved", "low", "high", "n"]
    index = pd.MultiIndex.from_tuples(rows, names=["of", "against"])
    return pd.DataFrame(list(rows.values()), index, names)


def expected_changes(
    outlook: Outlook, last: Floats, came: Floats | None = None, level: float = 0.8, min_baskets: float = 20
) -> pd.DataFrame:
    """How much each interest is expected to grow or fall against the last period, the surest at the ends.

    Parameters
    ----------
    outlook : Outlook
    last : ndarray of float, shape (n_interests,)
        Baskets of all users with each interest in the last period of the same length.
    came : ndarray of float, same shape, or None
        What came; None where it is not known.
    level : float
        Level of the interval.
    min_baskets : float
        Interests with fewer expected or last baskets are left out.

    Returns
    -------
    pandas.DataFrame
        Indexed by interest, the surest fall first and the surest growth last: ``last``, ``expected``;
        ``change``, ``low`` and ``high`` in per cent of `last`; ``sureness``, the change in units of half the
        interval, in logarithms, so that beyond -1 and 1 no change lies outside of the interval; where `came`
        is given also ``came``, ``came_change`` in per cent, and ``right``, whether it went that way.

    Examples
    --------
    >>> calm = Outlook(pd.Index([1]), pd.Index(["ice", "tea"]), np.array([[40.0, 60.0]]), 0.1,
    ...                np.full(2, 0.1), np.array([1.0]))
    >>> expected_changes(calm, last=np.array([80.0, 60.0]))[["change", "sureness"]].round(1).to_dict("index")
    {'ice': {'change': -50.0, 'sureness': -6.9}, 'tea': {'change': 0.0, 'sureness': 0.0}}
    """
    shop = outlook.of_shop([level]).set_axis(["expected", "low", "high"], axis=1)
    table = shop.assign(last=last)[np.minimum(shop["expected"], last) >= min_baskets]
    percent = 100 * (table[["expected", "low", "high"]].div(table["last"], axis=0) - 1)
    change = np.log((table["expected"] + 0.5) / (table["last"] + 0.5))
    half = np.log((table["high"] + 0.5) / (table["expected"] + 0.5))
    percent = percent.rename(columns={"expected": "change"}).assign(sureness=change / half)
    table = pd.concat([table[["last", "expected"]], percent], axis=1)
    if came is not None:
        brought = pd.Series(came, outlook.interests).reindex(table.index)
        table = table.assign(came=brought, came_change=100 * (brought / table["last"] - 1))
        table["right"] = np.sign(table["change"]) == np.sign(table["came_change"])
    return table.sort_values("sureness", kind="stable")
