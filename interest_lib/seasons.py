"""When a shop is visited, and when an interest is in season: what would come back without any memory."""

from __future__ import annotations

from typing import Final

import numpy as np

from interest_lib.history import Floats, Ints

MONTH_DAYS: Final = 28.0
EVEN_VISITS: Final = 10.0  # visits in each month that count for an even season


def visits_by_hour(user: Ints, day: Floats, span_days: float) -> Floats:
    """Visits until each hour of the log, smoothed, in days: course over months x weekday x hour.

    Only users seen in the first weeks count; otherwise a growing shop would look like a season.

    Parameters
    ----------
    user : ndarray of int, shape (n_visits,)
        Sorted codes of users.
    day : ndarray of float, shape (n_visits,)
        Days since the log began.
    span_days : float
        Length of the log.

    Returns
    -------
    ndarray of float, shape (24 * days + 1,)
        Cumulated; a day of the usual traffic adds 1.

    Examples
    --------
    >>> at_noon = visits_by_hour(np.zeros(28, dtype=np.int64), np.arange(28) + 0.5, 28.0)
    >>> at_noon[[0, 12, 13, 24, 28 * 24]].round(3)
    array([ 0.,  0.,  1.,  1., 28.])
    """
    first = np.full(user[-1] + 1, np.inf)
    np.minimum.at(first, user, day)
    day = day[first[user] <= max(28.0, span_days / 14)]
    days = int(np.ceil(span_days))
    whole = np.minimum(day.astype(np.int64), days - 1)
    hour = np.bincount(((day - whole) * 24).astype(np.int64).clip(0, 23), minlength=24) / len(day)
    daily = np.bincount(whole, minlength=days).astype(np.float64)
    n_months = max(1, round(days / 28))
    month, weekday = np.arange(days) * n_months // days, np.arange(days) % 7
    middle = np.bincount(month, np.arange(days) + 0.5) / np.bincount(month)
    level, trend, week = np.ones(n_months), np.ones(days), np.ones(days)
    for _ in range(4):
        level *= np.bincount(month, daily) / np.maximum(np.bincount(month, trend * week), 1e-9)
        trend = np.interp(np.arange(days) + 0.5, middle, level)
        week = (np.bincount(weekday, daily) / np.maximum(np.bincount(weekday, trend), 1e-9))[weekday]
    season = trend * week / (trend * week).mean()
    return np.concatenate([[0.0], np.cumsum(np.outer(season, hour))])


def interest_seasons(interest: Ints, day: Floats, own_day: Floats, span_days: float) -> tuple[Floats, Floats]:
    """How often visits around each month's middle include each interest, relative to its mean.

    Levels, linear between, under which each month has the visits to the interest that it had. A few visits
    count for an even season, so that a rare interest has none.

    Parameters
    ----------
    interest : ndarray of int, shape (n_visits_to_interests,)
        Codes of interests.
    day : ndarray of float, same shape
        Days since the log began.
    own_day : ndarray of float, shape (n_visits,)
        The same of visits to anything.
    span_days : float
        Length of the log.

    Returns
    -------
    level : ndarray of float, shape (n_interests, n_months)
        1 on average over the visits.
    place : ndarray of float, shape (n_visits,)
        Where each visit to anything lies between the middles of months, 0 being the first.

    Examples
    --------
    >>> day = np.arange(56) + 0.5
    >>> level, _ = interest_seasons(np.zeros(28, dtype=np.int64), day[:28], day, 56.0)
    >>> bool(level[0, 0] > 2 * level[0, 1])
    True
    """
    n_months, n_interests = max(2, round(span_days / MONTH_DAYS)), int(interest.max()) + 1
    month, own_month = (
        np.minimum((x * n_months / span_days).astype(int), n_months - 1) for x in (day, own_day)
    )
    cells = np.bincount(interest * n_months + month, minlength=n_interests * n_months)
    found = cells.reshape(n_interests, n_months).astype(np.float64)
    place = np.clip(own_day * n_months / span_days - 0.5, 0, n_months - 1)
    left = np.minimum(place.astype(int), n_months - 2)
    sides = np.concatenate([own_month * n_months + left, own_month * n_months + left + 1])
    weight = np.concatenate([1 - place + left, place - left])
    visits = np.bincount(sides, weight, n_months**2).reshape(n_months, n_months) / len(own_day)
    total, level = found.sum(axis=1, keepdims=True), np.ones_like(found)
    for _ in range(8):
        level *= (found + EVEN_VISITS) / (total * (level @ visits.T) + EVEN_VISITS * level)
    return level / (level @ visits.T).sum(axis=1, keepdims=True), place
