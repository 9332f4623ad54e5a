"""Returns of users to interests: counts by lag, and how long each lag was under observation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from interest_lib.history import Floats, Ints
from interest_lib.schema import InputError, nearest
from interest_lib.seasons import interest_seasons, visits_by_hour

CLOCKS: Final = ("shop", "user", "category", "none")
"""What a day under observation counts: the shop's visits at that time, the user's own visits, these by the
season of the interest, or one."""

STRATA: Final = np.array([4, 8, 16, 32, 64])
"""Visits of a user to an interest at which a stratum begins; the first one begins at one visit."""

_DAY: Final = np.timedelta64(86_400_000_000, "us")


@dataclass(frozen=True)
class ReturnStatistics:
    """Returns of users to interests by lag, and how long they were under observation.

    Attributes
    ----------
    interests, user_ids : pandas.Index
        Names, sorted; `interest` and `user` are places in them.
    edges_days : ndarray of float, shape (n_bins + 1,)
        Borders of the bins of lag.
    span_days : float
        Length of the log.
    interest, user, visits : ndarray of int, shape (n_rows,)
        One row for each interest and user with a visit: the codes, and the number of visits.
    pairs : ndarray of float, shape (n_rows, n_bins)
        Pairs of a visit and a later one, by lag; lags close to the length of the log are left out.
    exposure : ndarray of float, shape (n_rows, n_bins)
        Days under observation at that lag, summed over visits: what lies after the end of the log is
        censored, not absent.
    after : ndarray of float, shape (n_rows, n_bins)
        Pairs of a visit and a later one of the same user to any interest.
    """

    interests: pd.Index
    user_ids: pd.Index
    edges_days: Floats
    span_days: float
    interest: Ints
    user: Ints
    visits: Ints
    pairs: Floats
    exposure: Floats
    after: Floats


def return_statistics(
    events: pd.DataFrame,
    by: str = "category",
    until: pd.Timestamp | None = None,
    min_gap_days: float = 1 / 48,
    clock: str = "shop",
    edges_days: Floats | None = None,
) -> ReturnStatistics:
    """Count the returns of every user to every interest by their lag.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``timestamp`` and the column `by`; rows without an interest are left out. Give kinds of
        events that happen during visits: a review comes at a time of its own.
    by : str
        Column with the interest.
    until : pandas.Timestamp or None
        End of the observation; None for the last event.
    min_gap_days : float
        An event that follows within this gap on one of the same user and interest belongs to the same visit
        and is no return; half an hour by default.
    clock : str
        ``shop``: a day under observation counts as the shop was visited on it (weekdays, hours and a smooth
        course over the year, from users known from early on), so that seasons do not look like fading.
        ``user``: what counts is the user's own visits to any interest: how often a visit includes the
        interest, whenever it comes; right where users come anyway and an interest is only one reason.
        ``category``: as ``user``, but a visit counts as much as the interest was in season: how often all
        users' visits around that time included it, over months of 28 days, relative to its mean.
        ``none``: every day counts alike.
    edges_days : ndarray of float or None
        Borders of the bins of lag. None: from `min_gap_days` on, first in days, then wider. Whole weeks from
        a later lag on suit a log of purchases by the week, where nobody buys again what is not used up.

    Returns
    -------
    ReturnStatistics

    Raises
    ------
    InputError
        A column is missing, the clock unknown, or the log is shorter than two weeks.

    Notes
    -----
    Additive over users, so that a resample of users is a weighted sum. It takes one sorted search for each
    bin, so a user with many visits costs no more than many users with one.

    The clock ``category`` adds one pass over all visits for each interest. By ``user``, a visit is expected
    to bring a later one back as often as the user's share of visits with the interest says; by ``category``
    this share rises and falls with the season, by the same factor for everybody. Ten visits in each month
    count for an even season, so a rare interest has none. A user's own visits are not left out of the season
    that he is measured by, which some dozen users of an interest make harmless. A peak much shorter than a
    month (a feast) stays in part, and so does a season that only some of an interest's users have.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": 1, "category": "tea",
    ...                     "timestamp": pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-31"])})
    >>> found = return_statistics(log, clock="none")
    >>> found.pairs.sum(), found.visits, found.edges_days[:4].round(2)
    (np.float64(2.0), array([3]), array([0.02, 0.5 , 1.5 , 2.5 ]))
    """
    for column in ("user_id", "timestamp", by):
        if column not in events:
            raise InputError(f"returns: the log has no column {column!r}; name one that it has.")
    if clock not in CLOCKS:
        raise InputError(f"returns: the clock {clock!r} is unknown; {nearest(clock, CLOCKS)}")
    known = events[events[by].notna()]
    known = known if until is None else known[known["timestamp"] < until]
    begin, end = known["timestamp"].min(), known["timestamp"].max() if until is None else until
    if known.empty or (span := float((end - begin) / _DAY)) < 14:
        raise InputError(f"returns: the log has less than 14 days with a {by}; give a longer one.")
    user, user_ids = pd.factorize(known["user_id"], sort=True)
    interest, interests = pd.factorize(known[by].astype(object), sort=True)
    day = ((known["timestamp"] - begin) / _DAY).to_numpy(np.float64)
    own, own_day = _visits(user.astype(np.int64), day, min_gap_days)
    row, at = _visits(interest.astype(np.int64) * len(user_ids) + user, day, min_gap_days)
    rows, first, visits = np.unique(row, return_index=True, return_counts=True)
    edges = _edges(span, min_gap_days) if edges_days is None else np.asarray(edges_days, dtype=np.float64)
    width = 2 * span + edges[-1] + 1
    to_own, to_any = row * width + at, row % len(user_ids) * width + at
    pairs = _differences((np.searchsorted(to_own, to_own + edge, side="right") for edge in edges), first)
    reached = _Reached.by(own * width + own_day, to_any, edges)
    after = _differences(reached.of(slice(None)), first)
    interest, user = np.divmod(rows, len(user_ids))
    if clock in ("shop", "none"):
        exposure = _exposure(
            visits_by_hour(own, own_day, span) if clock == "shop" else None, at, edges, span, first
        )
    elif clock == "user":
        exposure = after * (span * len(user_ids) / len(own))
    else:
        seasons, place = interest_seasons(row // len(user_ids), at, own_day, span)
        exposure = _in_season(seasons, place, reached, interest, first)
        exposure *= span * len(user_ids) / len(own)
    return ReturnStatistics(
        pd.Index(interests), pd.Index(user_ids), edges, span, interest, user, visits, pairs, exposure, after
    )


def _visits(group: Ints, day: Floats, min_gap_days: float) -> tuple[Ints, Floats]:
    """Groups and first moments of visits, in the order of groups and time."""
    order = np.lexsort((day, group))
    group, day = group[order], day[order]
    new = np.append(True, (np.diff(group) > 0) | (np.diff(day) > min_gap_days))
    return group[new], day[new]


def _edges(span: float, min_gap_days: float) -> Floats:
    """First a bin around each whole number of days, which evens out the hours; then wider ones."""
    days = np.arange(0.5, min(8, span), 1.0)
    wide = np.round(np.geomspace(7.5, max(0.95 * span, 8), 25)) + 0.5
    return np.unique(np.concatenate([[min_gap_days], days[days > min_gap_days], wide[wide < span]]))


class _Reached(NamedTuple):
    """Own visits until each border of lag after a visit to an interest.

    All interests of one visit have the same, so it is looked up once for each different moment.
    """

    counts: Ints  # (n_borders, n_moments)
    moment: Ints  # by visit to an interest

    @classmethod
    def by(cls, own: Floats, to_any: Floats, edges: Floats) -> _Reached:
        """From the sorted keys of own visits, and the keys of visits to an interest."""
        keys, moment = np.unique(to_any, return_inverse=True)
        return cls(np.stack([np.searchsorted(own, keys + edge, side="right") for edge in edges]), moment)

    def of(self, visits: slice) -> Iterable[Ints]:
        """Border after border, for some of the visits to an interest."""
        moment = self.moment[visits]
        return (counts[moment] for counts in self.counts)


def _exposure(cumulated: Floats | None, at: Floats, edges: Floats, span: float, first: Ints) -> Floats:
    """Days after each visit that lie within the log, by lag, each as long as the shop was visited then."""
    moments = (np.minimum(at + edge, span) for edge in edges)
    if cumulated is None:
        return _differences(moments, first)
    hours = np.arange(len(cumulated)) / 24
    return _differences((np.interp(moment, hours, cumulated) for moment in moments), first)


def _in_season(seasons: Floats, place: Floats, reached: _Reached, interest: Ints, first: Ints) -> Floats:
    """Own visits by lag after each visit, each as much as the row's interest is in season."""
    found, months = np.empty((len(first), len(reached.counts) - 1)), np.arange(seasons.shape[1])
    rows = np.searchsorted(interest, np.arange(len(seasons) + 1))
    visits = np.append(first, len(reached.moment))[rows]
    for season, (low, high), (begin, end) in zip(seasons, pairwise(rows), pairwise(visits), strict=True):
        until = np.append(0.0, np.cumsum(np.interp(place, months, season)))
        after = (until[counts] for counts in reached.of(slice(begin, end)))
        found[low:high] = _differences(after, first[low:high] - begin)
    return found


def _differences(reached: Iterable[npt.NDArray[Any]], first: Ints) -> Floats:
    """From what is reached until each border, what lies between two; summed within rows, bin by bin."""
    sums = [np.add.reduceat(until, first) for until in reached]
    return np.diff(np.stack(sums, axis=1), axis=1).astype(np.float64)


def as_one(statistics: ReturnStatistics) -> ReturnStatistics:
    """All interests as one, for the half-life that they have in common.

    Returns are still to the same interest; users are in strata by their visits to it.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": 1, "category": ["tea", "milk"] * 3,
    ...                     "timestamp": pd.date_range("2024-01-01", periods=6, freq="7D")})
    >>> both = as_one(return_statistics(log, clock="none"))
    >>> both.interests.tolist(), both.pairs.sum()
    (['all'], np.float64(6.0))
    """
    stratum = np.searchsorted(STRATA, statistics.visits, side="right")
    order = np.lexsort((statistics.user, stratum))
    key = stratum[order] * len(statistics.user_ids) + statistics.user[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    return replace(
        statistics,
        interests=pd.Index(["all"]),
        interest=np.zeros(len(first), dtype=np.int64),
        user=statistics.user[order][first],
        visits=statistics.visits[order][first],
        pairs=np.add.reduceat(statistics.pairs[order], first, axis=0),
        exposure=np.add.reduceat(statistics.exposure[order], first, axis=0),
        after=np.add.reduceat(statistics.after[order], first, axis=0),
    )


def from_lag(statistics: ReturnStatistics, shortest_days: float) -> ReturnStatistics:
    """The same without returns at lags shorter than a border of the bins, which stay counted once.

    Raises
    ------
    InputError
        No bin begins there, or none is left after it.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": 1, "category": "tea",
    ...                     "timestamp": pd.date_range("2024-01-01", periods=6, freq="7D")})
    >>> weekly = return_statistics(log, clock="none", edges_days=np.arange(3.5, 35, 7))
    >>> weekly.pairs.sum(), from_lag(weekly, 17.5).pairs.sum()
    (np.float64(14.0), np.float64(5.0))
    """
    begin = int(np.argmin(np.abs(statistics.edges_days - shortest_days)))
    if abs(statistics.edges_days[begin] - shortest_days) > 1e-9 or begin == len(statistics.edges_days) - 1:
        raise InputError(f"returns: no bin of lag begins at {shortest_days} days; take one of edges_days.")
    return replace(
        statistics,
        edges_days=statistics.edges_days[begin:],
        pairs=statistics.pairs[:, begin:],
        exposure=statistics.exposure[:, begin:],
        after=statistics.after[:, begin:],
    )
