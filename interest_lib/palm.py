"""The likelihood of returns at a lag after a visit, for one interest: fading ones on an even background."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from interest_lib.curves import CURVES, curve_age, curve_share, share_until
from interest_lib.history import Floats, Ints
from interest_lib.return_counts import STRATA, ReturnStatistics

HALF_LIVES: Final = (1.0, 365.0)
"""Shortest and longest half-life that is tried, in days."""

_GRID: Final = np.log(np.geomspace(*HALF_LIVES, 60))
_DRIFTS: Final = np.array([0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4])
_STEPS_OF_ALL: Final = 5  # of Newton's method; then few shares still move
_PENALTY: Final = -0.5 * (_DRIFTS / 0.1) ** 2  # a drift has to show before it is believed


class Part(NamedTuple):
    """What concerns one interest: rows of users, and the length and lags of the whole."""

    user: Ints  # one row for each user with a visit
    member: Floats  # (n_strata, n_rows): 1 where the row's user is in the stratum
    pairs: Floats  # (n_rows, n_bins), as the exposure
    exposure: Floats
    edges_days: Floats
    span_days: float

    def until(self, reach_days: float) -> Part:
        """The same with lags up to `reach_days`, never fewer than eight bins."""
        bins = max(int(np.searchsorted(self.edges_days, reach_days)), 8)
        return self._replace(
            pairs=self.pairs[:, :bins],
            exposure=self.exposure[:, :bins],
            edges_days=self.edges_days[: bins + 1],
        )

    def within(self, fit: Fit, half_lives: float) -> Part:
        """The same with lags up to some half-lives of a fit, but at least a month if the log has it."""
        return self.until(float(np.clip(half_lives * np.exp(fit.log_half_life), 30, 0.85 * self.span_days)))

    def of(self, rows: npt.NDArray[np.bool_]) -> Part:
        """The same for some of the rows."""
        return self._replace(
            user=self.user[rows],
            member=self.member[:, rows],
            pairs=self.pairs[rows],
            exposure=self.exposure[rows],
        )

    def steady(self, drift: float) -> Floats:
        """Shape of the background: level, or falling in a straight line where tastes drift."""
        middle = (self.edges_days[1:] + self.edges_days[:-1]) / 2
        return 1 + 2 * drift * (1 - middle / self.span_days)

    def sums(self, times: Floats | None = None) -> tuple[Floats, Floats]:
        """Pairs and exposure by stratum; with `times` (resamples, users) for each resample."""
        rows = self.member if times is None else times[:, None, self.user] * self.member
        return rows @ self.pairs, np.maximum(rows @ self.exposure, 1e-9)

    def user_scores(self, rates: Floats) -> Floats:
        """Log-likelihood of each user's lags at rates by stratum and bin, given their number in a stratum."""
        total = (self.sums()[1] * rates).sum(-1)
        logs = np.log(rates) - np.log(total)[:, None]
        return np.einsum("sn,sk,nk->n", self.member, logs, self.pairs)

    def even_drift(self) -> int:
        """Place of the drift of the background that suits best if nothing fades."""
        pairs, exposure = self.sums()
        flat = [
            (pairs @ np.log(steady)).sum() - pairs.sum(-1) @ np.log(exposure @ steady)
            for steady in map(self.steady, _DRIFTS)
        ]
        return int((np.array(flat) + _PENALTY).argmax())


class Fit(NamedTuple):
    """One interest under one curve, from `fit_part`."""

    log_half_life: float
    score: float  # log-likelihood, with the penalty for the drift
    width: float  # standard error of the log half-life, were all pairs independent
    drift: int  # place among the drifts of the background that are tried
    share: Floats  # of returns that fade, by stratum


def parts_by_interest(statistics: ReturnStatistics) -> list[Part]:
    """What concerns each interest, in their order."""
    stratum = np.searchsorted(STRATA, statistics.visits, side="right")
    member = (stratum == np.arange(len(STRATA) + 1)[:, None]).astype(np.float64)
    border = np.searchsorted(statistics.interest, np.arange(len(statistics.interests) + 1))
    return [
        Part(
            statistics.user[low:high],
            member[:, low:high],
            statistics.pairs[low:high],
            statistics.exposure[low:high],
            statistics.edges_days,
            statistics.span_days,
        )
        for low, high in pairwise(border)
    ]


def lag_density(curve: str, edges_days: Floats, log_half_life: Floats, follow_ups: float) -> Floats:
    """Mean density of returns that fade, for each half-life and bin of lag.

    With follow-ups, of two visits of an episode the earlier is its first one, or both are follow-ups.
    """
    age = edges_days / np.exp(log_half_life)[:, None]
    reached = share_until(curve, age)
    if follow_ups:
        reached = (reached + follow_ups * np.interp(age, *_between(curve))) / (1 + follow_ups / 2)
    return np.maximum(np.diff(reached, axis=1) / np.diff(edges_days), 1e-12)


@cache
def _between(curve: str) -> tuple[Floats, Floats]:
    """Mean number of follow-ups until a lag after one of two, at some lags in half-lives."""
    code = np.full(200, CURVES.index(curve))
    first = curve_age(code, (np.arange(200) + 0.5) / 200)
    lags = np.append(0.0, np.geomspace(1e-3, 1e3, 400))
    return lags, np.array(
        [(curve_share(code, first + lag) - curve_share(code, first)).mean() for lag in lags]
    )


def fit_part(part: Part, curve: str, follow_ups: float) -> Fit:
    """Half-life and drift of the background under which the returns to one interest are most likely."""
    pairs, exposure = part.sums()
    density = lag_density(curve, part.edges_days, _GRID, follow_ups)
    steady = np.stack([part.steady(drift) for drift in _DRIFTS])[:, None]
    fits, shares = _profile(pairs, exposure, density, steady)
    scores = fits.sum(axis=1) + _PENALTY[:, None]
    drift = int(scores.max(axis=1).argmax())
    score, best = scores[drift], float(_peak(scores[drift], _GRID))
    i = int(np.clip(score.argmax(), 1, len(_GRID) - 2))
    bend = (2 * score[i] - score[i - 1] - score[i + 1]) / (_GRID[1] - _GRID[0]) ** 2
    return Fit(best, float(score.max()), float(max(bend, 1e-3) ** -0.5), drift, shares[drift, :, i])


def resampled(part: Part, fit: Fit, curve: str, follow_ups: float, times: Floats) -> tuple[Floats, Floats]:
    """Log half-lives of resamples, from a grid around the estimate and the drifts beside its own.

    Beside them the number of returns that fade, by resample and stratum.
    """
    grid = fit.log_half_life + np.clip(9 * fit.width, 0.3, 2.5) * np.linspace(-1, 1, 21)
    density = lag_density(curve, part.edges_days, grid, follow_ups)
    pairs, exposure = part.sums(times)
    near = range(max(fit.drift - 1, 0), min(fit.drift + 2, len(_DRIFTS)))
    fits = [_profile(pairs, exposure, density, part.steady(_DRIFTS[d]), fit.share[:, None]) for d in near]
    scores = np.stack([score.sum(1) + _PENALTY[d] for (score, _), d in zip(fits, near, strict=True)])
    best, each = scores.max(-1).argmax(0), np.arange(len(times))
    top = scores[best, each].argmax(-1)
    share = np.stack([share for _, share in fits])[best, each, :, top]
    return _peak(scores[best, each], grid), pairs.sum(-1) * share


def rates(part: Part, fit: Fit, curve: str, follow_ups: float) -> tuple[Floats, Floats, Floats]:
    """Returns to expect a day under observation, by stratum and bin; heights of excess and background."""
    pairs, exposure = part.sums()
    density = lag_density(curve, part.edges_days, np.array([fit.log_half_life]), follow_ups)[0]
    steady = part.steady(float(_DRIFTS[fit.drift]))
    number = np.maximum(pairs.sum(-1), 1e-9)  # a stratum without pairs keeps the shape of its background
    fading = number * fit.share / (exposure @ density)
    level = number * (1 - fit.share) / (exposure @ steady)
    return fading[:, None] * density + level[:, None] * steady, fading, level


def _profile(
    pairs: Floats, exposure: Floats, density: Floats, steady: Floats, share: Floats | None = None
) -> tuple[Floats, Floats]:
    """Log-likelihood of each stratum for each half-life, at the best share of returns that fade.

    Poisson counts with free heights of background and excess are, given their sum, a mixture of two known
    shapes; its share is found by Newton's method.
    """
    level = (exposure * steady).sum(-1)[..., None]
    height = level / np.maximum(exposure @ density.T, 1e-300)
    ratio = height[..., None] * (density / steady[..., None, :]) - 1
    start = np.broadcast_to(0.3 if share is None else share, ratio.shape[:-1])
    share = _best_share(ratio, pairs, start, steps=10 if share is None else 4)
    logs = np.log1p(np.multiply(ratio, share[..., None], out=ratio), out=ratio)
    flat = (pairs * np.log(steady)).sum(-1) - pairs.sum(-1) * np.log(np.maximum(level[..., 0], 1e-300))
    return _along_lags(logs, pairs) + flat[..., None], share


def _best_share(ratio: Floats, pairs: Floats, share: Floats, steps: int) -> Floats:
    """The share by Newton's method; `ratio` is the excess over the background, less one, by lag.

    After some steps most shares stand still, and only the others are followed.
    """
    with np.errstate(divide="ignore"):
        inverse = 1 / ratio
    room = np.empty_like(ratio)
    for _ in range(min(steps, _STEPS_OF_ALL)):
        before, share = share, _newton_step(inverse, pairs, share, room)
    if steps > _STEPS_OF_ALL:
        places = np.nonzero(np.abs(share - before) > 1e-9)
        of_those = np.broadcast_to(pairs[..., None, :], ratio.shape)[places][:, None]
        inverse, room, some = inverse[places][:, None], room[places][:, None], share[places][:, None]
        for _ in range(steps - _STEPS_OF_ALL):
            some = _newton_step(inverse, of_those[:, 0], some, room)
        share[places] = some[:, 0]
    return share


def _newton_step(inverse: Floats, pairs: Floats, share: Floats, room: Floats) -> Floats:
    """One step of the shares, at most 0.3 long; `room` is written over."""
    pull = np.reciprocal(np.add(inverse, share[..., None], out=room), out=room)  # ratio / (1 + share * ratio)
    slope = _along_lags(pull, pairs)
    bend = _along_lags(np.square(pull, out=room), pairs)
    step = np.minimum(np.maximum(slope / np.maximum(bend, 1e-12), -0.3), 0.3)
    return np.minimum(np.maximum(share + step, 0), 0.999)


def _along_lags(values: Floats, pairs: Floats) -> Floats:
    """Sum over the pairs of visits, lag by lag: (..., n_half_lives, n_bins) by (..., n_bins)."""
    return np.asarray((values @ pairs[..., None])[..., 0])


def _peak(score: Floats, grid: Floats) -> Floats:
    """Where the last axis is highest, by a parabola through three points of an even grid."""
    i = np.clip(score.argmax(-1), 1, score.shape[-1] - 2)[..., None]
    low, mid, high = (np.take_along_axis(score, i + step, -1)[..., 0] for step in (-1, 0, 1))
    bend = np.minimum(low - 2 * mid + high, -1e-9)
    return grid[i[..., 0]] + np.clip(0.5 * (low - high) / bend, -1, 1) * (grid[1] - grid[0])
