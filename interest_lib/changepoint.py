"""How often somebody comes back, learned as it happens, with the probability that it has just changed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betaln

from interest_lib.curves import weight_left
from interest_lib.history import Floats
from interest_lib.schema import InputError


class AdaptiveRate:
    """Return rates of many series at once, each with a posterior over when it last changed.

    A series is a user, or a user in one category. Its events come with a constant rate, until that changes
    and is drawn anew. Explanations of what was seen are kept side by side: nothing has ever changed, or the
    last change was on this day or that. Each learns its own rate from what came after its change, and has
    the probability that it has earned by predicting. This is the online change-point detection of Adams and
    MacKay (2007) with a Gamma prior and Poisson counts. To make a period cost the same however long a series
    is, the least probable explanation makes room for the new one (much as in Fearnhead and Liu, 2007).

    Parameters
    ----------
    rate_per_day : float or array-like of float, shape (n_series,)
        Expected rate before anything is seen, and after a change: that of the population, or of the category.
    prior_days : float or array-like of float, shape (n_series,)
        For how many days of watching this expectation counts.
    hazard_per_day : float
        Probability that a rate changes on a day, from 0 (never) to below 1.
    n_series : int
        Number of series.
    n_explanations : int
        How many explanations are kept, at least 2; with a hazard of 0 there is only one.
    half_life_days : float, optional
        Age at which half of what was seen is forgotten, see the notes; None forgets nothing.

    Raises
    ------
    InputError
        A number is outside its range, or an array has another length than `n_series`.

    Notes
    -----
    The explanation that nothing ever changed is never given up. So the sum of log probabilities of what comes
    is below that of the same without changes (`hazard_per_day` = 0) by at most ``-log(1 - hazard_per_day)`` a
    day, whatever comes. Without changes and without a half-life, the rate is fixed and learned from
    everything; with very many `prior_days`, it is `rate_per_day` itself.

    Without changes and with a half-life, the rate follows by forgetting alone, which is the discount model of
    West and Harrison (1997) and the decay of the rest of the study. The events seen and the days watched fade
    alike, each as old as the end of the period it came in, and the prior stays. The rate is ``(prior events +
    events) / (prior_days + days)``: the faded `events` are the one number that `online.InterestState` keeps
    for a series, O(1) per event, and the faded `days` follow from the lengths of the periods.

    Examples
    --------
    >>> rates = AdaptiveRate(rate_per_day=0.2, prior_days=20, hazard_per_day=0.01, n_series=2)
    >>> for week in range(30):
    ...     _ = rates.update([1, 1 if week < 20 else 9], days=7)
    >>> rates.rate_per_day.round(2), rates.changed_within(days=100).round(2)
    (array([0.16, 0.99]), array([0.52, 1.  ]))
    """

    def __init__(
        self,
        rate_per_day: float | npt.ArrayLike,
        prior_days: float | npt.ArrayLike,
        hazard_per_day: float,
        n_series: int,
        n_explanations: int = 32,
        half_life_days: float | None = None,
    ) -> None:
        rate, days = _per_series(rate_per_day, n_series), _per_series(prior_days, n_series)
        if not (np.isfinite(rate * days).all() and (rate > 0).all() and (days > 0).all()):
            raise InputError("A rate_per_day or prior_days is not a positive number: give one.")
        if not 0 <= hazard_per_day < 1:
            raise InputError(f"hazard_per_day is {hazard_per_day}: give a probability below 1.")
        if n_explanations < 2:
            raise InputError(f"n_explanations is {n_explanations}: give at least 2, one without a change.")
        weight_left(np.zeros(1), half_life_days)  # refuses an impossible half-life before it is needed
        self._half_life_days = half_life_days
        self._stay = math.log1p(-hazard_per_day)  # log probability that a day passes without a change
        self._prior_events, self._prior_days = (rate * days)[:, None], days[:, None]
        shape = (n_series, n_explanations if hazard_per_day else 1)
        # column 0 is the explanation that nothing ever changed
        self._log_weights = np.full(shape, -np.inf)
        self._log_weights[:, 0] = 0.0
        self._events, self._days = np.zeros(shape), np.zeros(shape)  # seen since the change, and faded
        self._since = np.full(shape, np.inf)  # days since the change that each explanation assumes

    @property
    def rate_per_day(self) -> Floats:
        """Expected rate of each series today, shape (n_series,)."""
        return self._mean((self._prior_events + self._events) / (self._prior_days + self._days))

    @property
    def median_wait_days(self) -> Floats:
        """Days until a series has an event with probability one half, ``log(2) / rate``, shape (n_series,).

        It is the half-life of an interest where interest means to come back, and only there.
        """
        return math.log(2) / self.rate_per_day

    def changed_within(self, days: float) -> Floats:
        """Probability that the rate of each series has changed within the last days, shape (n_series,).

        Before anything speaks for or against a change, it is ``1 - (1 - hazard_per_day) ** days``.
        """
        return self._mean((self._since < days).astype(np.float64))

    def update(self, counts: npt.ArrayLike, days: float | npt.ArrayLike = 1.0) -> Floats:
        """Learn from a period that has passed.

        Parameters
        ----------
        counts : array-like of int, shape (n_series,)
            Events of each series.
        days : float or array-like of float, shape (n_series,)
            Length of the period; 0 for a series that was not watched and stays as it is.

        Returns
        -------
        ndarray of float, shape (n_series,)
            Log probability that each count had before it was seen: negative binomial for each explanation,
            weighted by their probabilities.

        Raises
        ------
        InputError
            A count is not a whole number, is negative, or has no days; an array has another length.
        """
        seen, length = _per_series(counts, len(self._events)), _per_series(days, len(self._events))
        if not ((seen >= 0) & (seen == np.floor(seen)) & (length >= 0) & np.isfinite(seen + length)).all():
            raise InputError("Counts and days must not be negative, and counts whole numbers: correct them.")
        if (seen[length == 0] > 0).any():
            raise InputError("A series has events in a period of 0 days: give the days it was watched.")
        events, days = self._prior_events + self._events, self._prior_days + self._days
        joint = self._log_weights + _log_probability(seen[:, None], length[:, None], events, days)
        found = _log_sum(joint)
        self._log_weights = joint - found[:, None]
        left = weight_left(length, self._half_life_days)[:, None]
        self._events = self._events * left + seen[:, None]
        self._days = self._days * left + length[:, None]
        self._since += length[:, None]
        self._allow_change(np.flatnonzero(length > 0), length)
        return found

    def _allow_change(self, series: npt.NDArray[np.int64], length: Floats) -> None:
        """Once a period has passed, its rate may end: the new explanation takes the place of the weakest."""
        if self._stay == 0:
            return
        stay = self._stay * length[series]
        weakest = 1 + self._log_weights[series, 1:].argmin(axis=1)
        self._log_weights[series] += stay[:, None]
        self._log_weights[series, weakest] = np.log(-np.expm1(stay))
        self._events[series, weakest] = 0.0
        self._days[series, weakest] = 0.0
        self._since[series, weakest] = 0.0
        self._log_weights[series] -= _log_sum(self._log_weights[series])[:, None]

    def _mean(self, values: Floats) -> Floats:
        return (np.exp(self._log_weights) * values).sum(axis=1)


@dataclass(frozen=True)
class Followed:
    """What `AdaptiveRate` said while it went through a log.

    Attributes
    ----------
    log_probability : pandas.DataFrame, shape (n_periods, n_series)
        Of every count, before it was seen.
    rate_per_day : pandas.DataFrame, same shape
        After each period.
    rates : AdaptiveRate
        As it is at the end.
    """

    log_probability: pd.DataFrame
    rate_per_day: pd.DataFrame
    rates: AdaptiveRate


def visits_per_period(events: pd.DataFrame, end: pd.Timestamp, period_days: int = 7) -> pd.DataFrame:
    """Baskets of every user in each period up to a moment, whole periods counted backwards from it.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``basket_id``, ``timestamp``.
    end : pandas.Timestamp
        End of the last period; later events do not count.
    period_days : int

    Returns
    -------
    pandas.DataFrame of int, shape (n_periods, n_users)
        The oldest period first.

    Examples
    --------
    >>> times = pd.to_datetime(["2017-01-01", "2017-01-09", "2017-01-10"])
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": [1, 2, 3], "timestamp": times})
    >>> visits_per_period(log, pd.Timestamp("2017-01-15"))[1].tolist()
    [1, 2]
    """
    length = pd.Timedelta(days=period_days)
    n_periods = int((end - events["timestamp"].min()) / length)
    first = events.groupby(["user_id", "basket_id"], as_index=False)["timestamp"].min()
    first = first[(first["timestamp"] < end) & (first["timestamp"] >= end - n_periods * length)]
    period = n_periods - 1 - (end - first["timestamp"] - pd.Timedelta(microseconds=1)) // length
    counts = first.groupby([period.rename("period"), "user_id"]).size().unstack(fill_value=0)
    return counts.reindex(range(n_periods), fill_value=0)


def follow(
    counts: pd.DataFrame,
    rate_per_day: float,
    prior_days: float,
    hazard_per_day: float = 0.0,
    half_life_days: float | None = None,
    period_days: int = 7,
) -> Followed:
    """Let `AdaptiveRate` go through counts by period, such as from `visits_per_period`.

    Without a hazard and without a half-life, the rate is fixed and learned from everything.

    Examples
    --------
    >>> counts = pd.DataFrame({"anna": [1, 1, 1, 8, 8, 8]})
    >>> rates = follow(counts, rate_per_day=0.2, prior_days=14, hazard_per_day=0.01).rate_per_day
    >>> rates["anna"].round(2).tolist()
    [0.18, 0.17, 0.17, 0.39, 0.59, 0.71]
    >>> follow(counts, 0.2, prior_days=14, half_life_days=14).rate_per_day["anna"].round(2).tolist()
    [0.18, 0.17, 0.17, 0.39, 0.52, 0.61]
    """
    rates = AdaptiveRate(
        rate_per_day, prior_days, hazard_per_day, counts.shape[1], half_life_days=half_life_days
    )
    found, through = [], []
    for seen in counts.to_numpy():  # one step a period, all series at once
        found.append(rates.update(seen, days=period_days))
        through.append(rates.rate_per_day)
    return Followed(
        pd.DataFrame(found, index=counts.index, columns=counts.columns),
        pd.DataFrame(through, index=counts.index, columns=counts.columns),
        rates,
    )


def _log_probability(counts: Floats, length: Floats, events: Floats, days: Floats) -> Floats:
    """Negative binomial: Poisson counts whose rate is Gamma distributed with `events` in `days`.

    Written with the logarithm of the beta function, which keeps its digits where many events are expected;
    differences of log-gammas do not.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ways = np.where(counts > 0, -np.log(counts) - betaln(events, np.maximum(counts, 1)), 0.0)
        hits = np.where(counts > 0, counts * np.log(length / (days + length)), 0.0)
    return ways + hits - events * np.log1p(length / days)


def _log_sum(values: Floats) -> Floats:
    """``log(sum(exp(values)))`` of each row."""
    top = values.max(axis=1)
    return top + np.log(np.exp(values - top[:, None]).sum(axis=1))


def _per_series(values: Any, n_series: int) -> Floats:
    """One number for each series."""
    found = np.asarray(values, dtype=np.float64)
    if found.shape not in ((), (n_series,)):
        raise InputError(f"{found.shape} numbers for {n_series} series: give one, or one for each.")
    return np.broadcast_to(found, n_series).copy()
