"""How fast interest fades, learned from returns: half-lives by the lags between visits, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.curves import CURVES
from interest_lib.history import Floats
from interest_lib.palm import Fit, Part, fit_part, lag_density, parts_by_interest, rates, resampled
from interest_lib.return_counts import ReturnStatistics
from interest_lib.schema import InputError, nearest

REACHES: Final = (4.0, 6.0, 10.0)
"""Longest lags that are looked at, in half-lives."""

_MIN_PAIRS: Final = 30
_SHARES: Final = ("faded_share", "faded_share_low", "faded_share_high")
_ESTIMATES: Final = ("curve_share", "half_life_days", "low", "high", "log_error", *_SHARES)
Fitted = Callable[[Part, str, float], Fit]
"""What fits a part under a curve, as `palm.fit_part` does."""

_FACTORS: Final = (1.0, 2 / 3, 3 / 2)  # on the follow-ups, of which only the mean can be learned


def fit_half_lives(
    statistics: ReturnStatistics,
    curve: str | Mapping[str, str] | None = None,
    n_resamples: int = 0,
    seed: int = 0,
    follow_ups: float | None = None,
) -> pd.DataFrame:
    """Half-life of every interest by the likelihood of its returns, with 90 % intervals.

    Parameters
    ----------
    statistics : ReturnStatistics
        From `return_statistics`.
    curve : str, mapping from interest to str, or None
        One of `curves.CURVES` for all, or one for each interest. None: the one under which the lags are most
        likely; then each resample chooses anew, and the estimate is the mean over their choices.
    n_resamples : int
        Resamples of users for the intervals; 99 will do. 0 gives none.
    seed : int
        Of the resamples.
    follow_ups : float or None
        Visits that an episode of interest brings after its first one; only the first leaves an interest
        behind. 0: every visit does, which is what a recommender with decayed counts assumes. None: learned
        from the log, one number for all interests; it stands in ``attrs["follow_ups"]``.

    Returns
    -------
    pandas.DataFrame
        By interest: ``curve``, ``curve_share`` (share of resamples that choose it), ``half_life_days``,
        ``low`` and ``high``, ``log_error`` (standard error of the logarithm), ``faded_share`` (of all returns
        at the lags that were counted, those that fade between the first lag and the last) with
        ``faded_share_low`` and ``faded_share_high``, ``excess`` (returns that fade, for each visit, with
        those that the curve has before the first lag), ``background_per_day`` (returns that do not),
        ``pairs`` and ``users``. An interest with fewer than 30 pairs of visits has no half-life.

    Raises
    ------
    InputError
        A curve is unknown.

    Notes
    -----
    After a visit, the user returns at lag x at the rate ``b + a * g(x / half-life)`` (Palm likelihood of a
    cluster process: Tanaka, Ogata and Stoyan, 2008, Biometrical Journal 50). With f the curve and F its
    integral, both scaled to ``F(inf) = 1``, an episode with m follow-ups gives ``g(x) = (f(x) + m *
    integral f(y) f(y + x) dy) / (1 + m / 2)``, and ``a = m (1 + m / 2) / (1 + m)``, from whose median over
    interests m is found. Four things keep slower changes from being taken for fading:

    - users are in strata by their number of visits to the interest, with a and b of their own, since
      what users like anyway differs more than what fades;
    - what lies after the end of the log does not count as a day without return, and a day counts as much
      as the shop was visited on it;
    - the background may fall in a straight line over the log, by an amount with a normal prior;
    - only lags until 4, 6 and 10 half-lives are used, and the mean of the three estimates taken.

    Each resample of users takes one of the three reaches, and follow-ups times 1, 2/3 or 3/2, so that the
    interval holds these choices too. A half-life above half the length of the log is a guess.

    Whether anything fades is for ``faded_share`` to say and not for ``excess``, which speaks of lags that
    nobody looked at. It counts the returns above the rate that is reached at the last lag: what never fades
    within the log, or has faded before the first lag, adds nothing. It is never negative, so where
    nothing fades it lies a little above zero: compare it with that of the log shuffled in time.

    Examples
    --------
    >>> from interest_lib.return_counts import return_statistics
    >>> rng = np.random.default_rng(0)
    >>> start = np.repeat(rng.uniform(0, 300, 400), 3)  # 400 users, one interest, up to two follow-ups
    >>> day = start + rng.exponential(10 / np.log(2), 1200) * (np.arange(1200) % 3 > 0)
    >>> log = pd.DataFrame({"user_id": np.arange(1200) // 3, "category": "tea",
    ...                     "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")})
    >>> found = fit_half_lives(return_statistics(log, clock="none"), "exponential")
    >>> float(found["half_life_days"].iloc[0].round())
    10.0
    """
    parts = parts_by_interest(statistics)
    curves = given_curves(statistics, curve or CURVES[0])
    given = 3.0 if follow_ups is None else follow_ups
    start = [fit_part(part, own, given) for part, own in zip(parts, curves, strict=True)]
    heights = [_heights(part, fit, own, given) for part, fit, own in zip(parts, start, curves, strict=True)]
    if follow_ups is None:
        follow_ups = _follow_ups(np.array([excess for excess, _ in heights]))
    times = _resamples(len(statistics.user_ids), n_resamples, seed)
    rows = []
    for part, fit, own, height in zip(parts, start, curves, heights, strict=True):
        found = _with_resamples(part, fit, own if curve else None, follow_ups, times)
        rows.append(found | {"excess": height[0], "background_per_day": height[1]} | _size(part))
    table = pd.DataFrame(rows, index=statistics.interests.rename("interest"))
    table.attrs["follow_ups"] = follow_ups
    return table


def given_curves(statistics: ReturnStatistics, curve: str | Mapping[str, str]) -> list[str]:
    """The curve of each interest, from one for all or one for each; raises InputError on an unknown one."""
    chosen = [curve if isinstance(curve, str) else curve[name] for name in statistics.interests]
    for name in chosen:
        if name not in CURVES:
            raise InputError(f"returns: the curve {name!r} is unknown; {nearest(name, CURVES)}")
    return chosen


def curve_scores(part: Part, follow_ups: float, fitted: Fitted = fit_part) -> Floats:
    """Log-likelihood of each user under each curve."""
    fits = [(own, fitted(part, own, follow_ups)) for own in CURVES]
    return np.array([part.user_scores(rates(part, fit, own, follow_ups)[0]) for own, fit in fits])


def _heights(part: Part, fit: Fit, curve: str, follow_ups: float) -> tuple[float, float]:
    """Returns per visit that fade, over all time, and background returns per day."""
    _, fading, level = rates(part, fit, curve, follow_ups)
    exposure = part.sums()[1]
    weight = exposure @ lag_density(curve, part.edges_days, np.array([fit.log_half_life]), follow_ups)[0]
    days = exposure.sum(-1)
    return float(fading @ weight / weight.sum()), float(level @ days / days.sum())


def _follow_ups(excess: Floats) -> float:
    """Follow-ups m of an episode from the excess: of m + 1 visits one has m later ones, m have m / 2."""
    found = excess[np.isfinite(excess) & (excess > 0)]
    typical = float(np.median(found)) if len(found) else 0.0
    return typical - 1 + float(np.hypot(typical - 1, np.sqrt(2 * typical)))


def _resamples(n_users: int, n_resamples: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_users, np.full(n_users, 1 / n_users), n_resamples).astype(np.float64)


def _size(part: Part) -> dict[str, int]:
    return {"pairs": int(part.pairs.sum()), "users": len(part.user)}


def _with_resamples(
    part: Part, fit: Fit, curve: str | None, follow_ups: float, times: Floats
) -> dict[str, object]:
    """Half-life with its interval; without a given curve, each resample takes the one that suits it."""
    if part.pairs.sum() < _MIN_PAIRS:
        return {"curve": curve or ""} | dict.fromkeys(_ESTIMATES, np.nan)
    fitted = _each_once()
    if curve is None:
        scores = curve_scores(part.within(fit, REACHES[-1]), follow_ups, fitted)
        best = int(scores.sum(axis=1).argmax())
        pick = (times[:, part.user] @ scores.T).argmax(axis=1)
    else:
        best, pick = CURVES.index(curve), np.full(len(times), CURVES.index(curve))
    share = np.bincount(pick if len(pick) else [best], minlength=len(CURVES)) / max(len(pick), 1)
    estimate, again = np.zeros(2), [np.empty((2, 0))]
    for code in np.flatnonzero(share):
        own, found = _within_reach(part, fit, CURVES[code], follow_ups, times[pick == code], fitted)
        estimate = estimate + share[code] * own
        again.append(found)
    return {"curve": CURVES[best], "curve_share": float(share[best])} | _told(estimate, np.hstack(again))


def _told(estimate: Floats, again: Floats) -> dict[str, object]:
    """Half-life and share that fades, from estimates and resamples of log half-life and share."""
    spread = np.full((2, 3), np.nan)
    if again.size:
        spread[:, :2], spread[:, 2] = np.quantile(again, [0.05, 0.95], axis=1).T, again.std(axis=1)
    (log, faded), ((low, high, error), (least, most, _)) = estimate, spread
    values = map(float, (np.exp(log), np.exp(low), np.exp(high), error, faded, least, most))
    return dict(zip(_ESTIMATES[1:], values, strict=True))


def _each_once() -> Fitted:
    """Fits of one interest with the same follow-ups: reaches that end at the same lag have the same."""
    known: dict[tuple[int, str], Fit] = {}

    def fitted(part: Part, curve: str, follow_ups: float) -> Fit:
        key = (part.pairs.shape[1], curve)
        if key not in known:
            known[key] = fit_part(part, curve, follow_ups)
        return known[key]

    return fitted


def _within_reach(
    part: Part, fit: Fit, curve: str, follow_ups: float, times: Floats, fitted: Fitted
) -> tuple[Floats, Floats]:
    """Log half-life and share that fades, from lags of some half-lives, which slower changes do not reach.

    How far to look, and how often interest starts anew, are not known: each choice has a share of resamples.
    """
    found, again = [], [np.empty((2, 0))]
    for i, reach in enumerate(REACHES):
        near = part.within(fit, reach)
        here = fitted(near, curve, follow_ups)
        log, fading = np.array([here.log_half_life]), (near.sums()[0].sum(-1) * here.share)[None]
        found.append(np.append(log, _faded_share(part, near, curve, follow_ups, log, fading)))
        for j, factor in enumerate(_FACTORS):
            own = times[i + len(REACHES) * j :: len(REACHES) * len(_FACTORS)]
            if len(own):
                given = follow_ups * factor
                logs, fading = resampled(near, here, curve, given, own)
                again.append(np.stack([logs, _faded_share(part, near, curve, given, logs, fading, own)]))
    return np.mean(found, axis=0), np.hstack(again)


def _faded_share(
    part: Part,
    near: Part,
    curve: str,
    follow_ups: float,
    logs: Floats,
    fading: Floats,
    times: Floats | None = None,
) -> Floats:
    """Share of returns at all lags of a part that fade there, from those that fade at the nearer lags."""
    density, exposure = lag_density(curve, part.edges_days, logs, follow_ups), part.sums()[1]
    bins = near.exposure.shape[1]
    seen = exposure[:, :bins] @ density[:, :bins].T
    lost = exposure @ (density - density[:, -1:]).T  # without what is still there at the last lag
    pairs = part.pairs.sum(axis=1)
    total = pairs.sum() if times is None else times[:, part.user] @ pairs
    return np.einsum("rs,sr->r", fading, lost / seen) / np.maximum(total, 1)
