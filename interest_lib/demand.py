"""From households to the shop: expected baskets with each interest in the next period, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from scipy.special import betainc, betaincinv
from sklearn.base import BaseEstimator

from interest_lib.demand_rates import expected_purchases, purchases_alone, rate_choices
from interest_lib.demand_totals import (
    log_misses,
    monthly_totals,
    restlessness,
    tilt_choices,
    tilted,
    width_choices,
)
from interest_lib.history import Floats
from interest_lib.migration import shares
from interest_lib.moves import Move
from interest_lib.schema import InputError


@dataclass(frozen=True)
class Outlook:
    """What the next period is expected to bring.

    Attributes
    ----------
    user_ids, interests : pandas.Index
    expected : ndarray of float, shape (n_users, n_interests)
        Expected baskets of each user with each interest.
    dispersion : float
        A user's baskets have the variance ``expected + dispersion * expected ** 2``.
    restlessness : ndarray of float, shape (n_interests,)
        How far the shop's totals may come out wrong, see `demand_totals.restlessness`.
    misses : ndarray of float
        How far they came out from earlier forecasts, in units of `restlessness`, in order.
    """

    user_ids: pd.Index
    interests: pd.Index
    expected: Floats
    dispersion: float
    restlessness: Floats
    misses: Floats

    def of_shop(self, levels: Sequence[float] = (0.8, 0.95)) -> pd.DataFrame:
        """Expected baskets of all users together, by interest, with an interval for each level.

        Columns ``expected``, ``low80``, ``high80`` and so on. The widths come from how far earlier forecasts
        missed (split conformal prediction, over interests and moves), so they cover a common shock of the
        season only as far as earlier periods had one.
        """
        total = self.expected.sum(axis=0)
        table = {"expected": total}
        for level in levels:
            factor = np.exp(np.quantile(self.misses, level) * self.restlessness)
            table[f"low{100 * level:g}"] = np.maximum((total + 0.5) / factor - 0.5, 0)
            table[f"high{100 * level:g}"] = (total + 0.5) * factor - 0.5
        return pd.DataFrame(table, index=self.interests)

    def of_users(self, level: float) -> tuple[Floats, Floats]:
        """Lowest and highest number of baskets of the central interval, shape (n_users, n_interests) each.

        Counts are whole numbers, so the intervals cover more than `level`; `promised` says how much more.
        """
        low, high = (self._quantile(tail) for tail in ((1 - level) / 2, (1 + level) / 2))
        return low, high

    def promised(self, low: Floats, high: Floats) -> Floats:
        """Probability that the number of baskets lies within bounds, for each user and interest."""
        size = 1 / self.dispersion
        chance = size / (size + self.expected)
        found, below = betainc(size, high + 1, chance), low > 0
        found[below] -= betainc(size, low[below], chance[below])
        return np.asarray(found)

    def _quantile(self, tail: float) -> Floats:
        """Quantile of the negative binomial distribution: how many counts are too few for the mean."""
        size, most = 1 / self.dispersion, float(self.expected.max())
        counts = np.arange(np.ceil(most + 12 * np.sqrt(most + self.dispersion * most**2) + 12))
        chance = betaincinv(size, counts + 1, tail)
        means = size * (1 - chance) / chance  # up to this mean, so many are enough
        return np.searchsorted(means, self.expected, side="left").astype(np.float64)


class Demand(BaseEstimator):
    """Baskets with each interest in the next period: forecast shares times expected purchases.

    Settings are chosen by `fit` on the earlier moves that it is given.

    Parameters
    ----------
    period_days : float
        Length of the next period.
    month_days : float
        Length of a month: changes from one to the next tell how restless an interest is, and windows of
        recent sales are whole months.
    half_lives_days, priors_days : sequence of float
        Candidates for `demand_rates.expected_purchases`; the lowest Poisson deviance wins.
    mix_shares, level_shares : sequence of float in [0, 1]
        Candidates for how far the totals follow the last month, in how they are split among the interests and
        in their sum (`demand_totals.tilted`); the lowest absolute error of the totals wins. See the notes.
    own_weights, commons : sequence of float
        Candidates for `demand_totals.restlessness`; the most probable misses win.

    Attributes
    ----------
    choices_ : pandas.Series
        What was chosen: ``half_life_days``, ``prior_days``, ``mix_share``, ``level_share``,
        ``own_weight``, ``common``.
    dispersion_ : float
    misses_ : ndarray of float
        See `Outlook`.

    Notes
    -----
    Expected totals belong to the users known at the moment; what newcomers buy is not in them.

    That totals are split as the last month was chosen on the first half year of Complete Journey, 28 days
    ahead from eleven moments, the last on day 154, by `demand_totals.tilt_choices`. The error of the totals
    for each basket that came was 10.5 % for the sum over households, 9.4 % halfway, 9.2 % for the mix of the
    last month, and 9.3 % for its baskets as they are. To choose anew at each moment was worse (9.6 %): there
    are few moves to choose by, and the early ones have no long past that could mislead. For the level alone
    that costs less (9.3 %), and a shop that grows needs it.

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> days = pd.date_range("2017-01-01", periods=120)
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": range(120), "category": "tea", "weight": 1.0,
    ...                     "timestamp": days})
    >>> early, late = (move_at(log, days[at], 28) for at in (60, 90))
    >>> demand = Demand(period_days=28).fit([early], [np.ones((1, 1))])
    >>> demand.predict(late, np.ones((1, 1))).of_shop()["expected"].round(1).to_dict()
    {'tea': 28.0}
    """

    def __init__(
        self,
        period_days: float,
        month_days: float = 28.0,
        half_lives_days: Sequence[float] = (15, 30, 60, 120, 240),
        priors_days: Sequence[float] = (1, 2, 4, 8, 16, 32),
        mix_shares: Sequence[float] = (1.0,),
        level_shares: Sequence[float] = (0.0, 0.5, 1.0),
        own_weights: Sequence[float] = (1, 4, 16, 64),
        commons: Sequence[float] = (0.0, 0.02, 0.05, 0.1, 0.2),
    ) -> None:
        self.period_days = period_days
        self.month_days = month_days
        self.half_lives_days = half_lives_days
        self.priors_days = priors_days
        self.mix_shares = mix_shares
        self.level_shares = level_shares
        self.own_weights = own_weights
        self.commons = commons

    def fit(self, moves: Sequence[Move], forecasts: Sequence[Floats]) -> Self:
        """Choose and calibrate on earlier moves.

        Parameters
        ----------
        moves : sequence of Move
            Their future is known, and has `period_days`. Users should be all that were known then: those
            chosen for buying later would come out too high.
        forecasts : sequence of ndarray of float, shape (n_users, n_interests)
            Shares foretold for each, made without its future.

        Raises
        ------
        InputError
            There is no move, or one without a future.
        """
        if not moves or len(moves) != len(forecasts):
            raise InputError(
                f"{len(moves)} moves, {len(forecasts)} forecasts: give one for each, at least one."
            )
        futures, bought = [_future(move) for move in moves], [purchases_alone(move) for move in moves]
        rates = rate_choices(bought, self.period_days, self.half_lives_days, self.priors_days)
        self.choices_ = _best(rates, "deviance")
        plain = [self._plain(*pair) for pair in zip(bought, forecasts, strict=True)]
        monthly = [monthly_totals(move, self.month_days) for move in bought]
        came, totals = ([each.sum(axis=0) for each in parts] for parts in (futures, plain))
        recent = [self._recent(each) for each in monthly]
        tilts = tilt_choices(totals, came, recent, self.mix_shares, self.level_shares)
        self.choices_ = pd.concat([self.choices_, _best(tilts, "wape")])
        expected = [self._tilted(*pair) for pair in zip(plain, monthly, strict=True)]
        self.dispersion_ = _dispersion(futures, expected)
        totals = [each.sum(axis=0) for each in expected]
        widths = width_choices(totals, came, monthly, self.own_weights, self.commons)
        self.choices_ = pd.concat([self.choices_, _best(-widths, "log_likelihood").abs()])
        missed = np.concatenate([log_misses(*pair) for pair in zip(totals, came, strict=True)])
        scale = [self._restlessness(*pair) for pair in zip(totals, monthly, strict=True)]
        self.misses_ = np.sort(missed / np.concatenate(scale))
        return self

    def predict(self, move: Move, forecast: Floats) -> Outlook:
        """What is expected after a move, given its forecast shares; `move.future` is not read."""
        bought = purchases_alone(move)
        monthly = monthly_totals(bought, self.month_days)
        expected = self._tilted(self._plain(bought, forecast), monthly)
        scale = self._restlessness(expected.sum(axis=0), monthly)
        return Outlook(move.user_ids, move.interests, expected, self.dispersion_, scale, self.misses_)

    def _plain(self, bought: Move, forecast: Floats) -> Floats:
        half_life_days, prior_days = self.choices_[["half_life_days", "prior_days"]]
        n = expected_purchases(bought, self.period_days, half_life_days, prior_days)
        return shares(forecast) * n[:, None]

    def _recent(self, monthly: Floats) -> Floats:
        return monthly[-1] * (self.period_days / self.month_days)

    def _tilted(self, plain: Floats, monthly: Floats) -> Floats:
        total = plain.sum(axis=0)
        followed = tilted(total, self._recent(monthly), *self.choices_[["mix_share", "level_share"]])
        return plain * np.divide(followed, total, out=np.ones_like(total), where=total > 0)

    def _restlessness(self, totals: Floats, monthly: Floats) -> Floats:
        return restlessness(totals, monthly, *self.choices_[["own_weight", "common"]])


def _best(tried: pd.DataFrame, loss: str) -> pd.Series:
    """Settings with the smallest loss; ties go to the first."""
    return tried.iloc[int(tried[loss].to_numpy().argmin())].drop(loss).astype(float)


def _dispersion(futures: Sequence[Floats], expected: Sequence[Floats]) -> float:
    """Dispersion of users' baskets, by moments, over all users, interests and moves."""
    pairs = list(zip(futures, expected, strict=True))
    excess = sum(float(((future - mean) ** 2 - mean).sum()) for future, mean in pairs)
    squares = sum(float((mean**2).sum()) for _, mean in pairs)
    return max(excess / max(squares, 1e-9), 0.01)


def _future(move: Move) -> Floats:
    if move.future is None:
        raise InputError(f"What came after {move.label} is not known: give moves with a future.")
    return move.future
