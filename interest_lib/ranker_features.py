"""What a pair of user and item has behind it: fading counts, rhythm, and the user's pace."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, Ints
from interest_lib.ranker_moments import days_before

Column = npt.NDArray[np.float32]
Columns = dict[str, Column]
"""Features by name, ``group: what it is``; one value for every candidate pair."""

HALF_LIVES_DAYS: Final = (3.0, 7.0, 14.0, 30.0, 60.0, 90.0, 180.0)
WINDOWS_DAYS: Final = (7, 14, 28, 56, 84, 168)
PERIOD_DAYS: Final = 28
VISIT_DAYS: Final = 1 / 24  # events of a user within the same hour are one visit


def visits_of(history: History) -> Ints:
    """Number of each event's visit: events of a user within the same hour lie in one.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_before
    >>> times = pd.to_datetime(["2017-01-01", "2017-01-11", "2017-01-11"])
    >>> log = pd.DataFrame({"user_id": 1, "item_id": ["a", "a", "b"], "timestamp": times})
    >>> h = history_before(log, pd.Timestamp("2017-01-16"), min_users_per_item=1)
    >>> visits_of(h)
    array([1, 0, 0])
    """
    hour = np.floor(days_before(history) / VISIT_DAYS).astype(np.int64)
    return np.unique(history.rows * (hour.max() + 1) + hour, return_inverse=True)[1]


def values_at(matrix: sp.csr_matrix, rows: Ints, cols: Ints) -> Column:
    """Entries of a sparse matrix, 0 where it has none.

    Examples
    --------
    >>> values_at(sp.csr_matrix([[0.0, 2.0]]), np.array([0, 0]), np.array([1, 0])).tolist()
    [2.0, 0.0]
    """
    matrix = matrix.copy() if not matrix.has_sorted_indices else matrix
    matrix.sort_indices()
    width = matrix.shape[1]
    keys = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)) * width + matrix.indices
    wanted = rows * width + cols
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    if not len(keys):
        return np.zeros(len(rows), np.float32)
    return np.where(keys[place] == wanted, matrix.data[place], 0.0).astype(np.float32)


def pair_features(history: History, rows: Ints, cols: Ints) -> Columns:
    """How often, how recently and how regularly the users had the items.

    Parameters
    ----------
    history : History
    rows, cols : ndarray of int, shape (n_pairs,)

    Returns
    -------
    dict of str to ndarray of float32, shape (n_pairs,)

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_before
    >>> times = pd.to_datetime(["2017-01-01", "2017-01-11", "2017-01-11"])
    >>> log = pd.DataFrame({"user_id": 1, "item_id": ["a", "a", "b"], "timestamp": times})
    >>> h = history_before(log, pd.Timestamp("2017-01-16"), min_users_per_item=1)
    >>> found = pair_features(h, np.array([0, 0]), np.array([0, 1]))
    >>> found["decay: days since the last"], found["decay: mean gap in days"]
    (array([5., 5.], dtype=float32), array([10., nan], dtype=float32))
    """
    found: Columns = {}
    for half_life_days in (*HALF_LIVES_DAYS, None):
        counts = decayed_counts(history, half_life_days)
        name = "all purchases" if half_life_days is None else f"purchases, half-life {half_life_days:g} days"
        found[f"decay: {name}"] = values_at(counts, rows, cols)
        if half_life_days in (14.0, 60.0, None):
            total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1e-9)
            found[f"decay: share of {name}"] = (found[f"decay: {name}"] / total[rows]).astype(np.float32)
    return found | _rhythm(history, rows, cols)


class Rhythm:
    """Visits with a thing, for every user and thing that came together: number, ages and gaps.

    Parameters
    ----------
    rows, things : ndarray of int, shape (n_events,)
        User and thing (an item, a category) of every event.
    age_days : ndarray of float, shape (n_events,)

    Attributes
    ----------
    n, oldest, newest, mean_gap, gap_spread, last_gap : ndarray, shape (n_pairs,)
        Visits of every pair of user and thing, ages in days of the first and the last one, and the days
        between visits: mean, standard deviation, and the newest.

    Examples
    --------
    >>> rhythm = Rhythm(np.array([0, 0, 0]), np.array([5, 5, 5]), np.array([30.0, 20.0, 4.0]))
    >>> rhythm.n, rhythm.newest, rhythm.mean_gap, rhythm.last_gap
    (array([3]), array([4.]), array([13.]), array([16.]))
    """

    def __init__(self, rows: Ints, things: Ints, age_days: Floats) -> None:
        self.width = int(things.max()) + 1 if len(things) else 1
        day = np.round(age_days * 24).astype(np.int64)
        span = int(day.max()) + 1 if len(day) else 1
        visits = np.unique((rows * self.width + things) * span + (span - 1 - day))
        pair, self.age = visits // span, (span - 1 - visits % span) / 24.0  # oldest first within a pair
        self.keys, self.first, self.of_visit, self.n = np.unique(
            pair, return_index=True, return_inverse=True, return_counts=True
        )
        last = self.first + self.n - 1
        self.oldest, self.newest = self.age[self.first], self.age[last]
        gap = np.zeros(len(pair))
        gap[1:] = np.where(pair[1:] == pair[:-1], self.age[:-1] - self.age[1:], 0.0)
        self.mean_gap = (self.oldest - self.newest) / np.maximum(self.n - 1, 1)
        squares = np.bincount(self.of_visit, weights=gap**2, minlength=len(self.keys))
        spread = np.maximum(squares / np.maximum(self.n - 1, 1) - self.mean_gap**2, 0.0)
        self.gap_spread = np.sqrt(spread)
        self.last_gap = np.where(self.n > 1, gap[last], np.nan)

    def at(self, rows: Ints, things: Ints) -> Ints:
        """Place of every pair, -1 where user and thing never came together."""
        wanted = rows * self.width + things
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[place] == wanted, place, -1)

    def within(self, low_days: float, high_days: float) -> Floats:
        """Visits of every pair whose age lies in ``[low, high)``."""
        inside = (self.age >= low_days) & (self.age < high_days)
        return np.bincount(self.of_visit[inside], minlength=len(self.keys)).astype(np.float64)


def picked(values: Floats, place: Ints, missing: float = np.nan) -> Column:
    """Values at places; `missing` where the place is -1.

    Examples
    --------
    >>> picked(np.array([7.0, 8.0]), np.array([1, -1]))
    array([ 8., nan], dtype=float32)
    """
    return np.where(place >= 0, values[np.maximum(place, 0)], missing).astype(np.float32)


def _rhythm(history: History, rows: Ints, cols: Ints) -> Columns:
    age = days_before(history)
    wanted = history.is_goal
    rhythm = Rhythm(history.rows[wanted], history.cols[wanted], age[wanted])
    place = rhythm.at(rows, cols)
    single = rhythm.n < 2
    mean_gap = np.where(single, np.nan, rhythm.mean_gap)
    found = {
        "visits": picked(rhythm.n.astype(float), place, 0.0),
        "days since the last": picked(rhythm.newest, place),
        "days since the first": picked(rhythm.oldest, place),
        "mean gap in days": picked(mean_gap, place),
        "spread of gaps in days": picked(np.where(single, np.nan, rhythm.gap_spread), place),
        "last gap in days": picked(rhythm.last_gap, place),
        "days since the last / mean gap": picked(rhythm.newest / np.maximum(mean_gap, 0.5), place),
        "visits a day since the first": picked(rhythm.n / (rhythm.oldest + PERIOD_DAYS), place, 0.0),
    }
    for window_days in WINDOWS_DAYS:
        found[f"visits in {window_days} days"] = picked(rhythm.within(0, window_days), place, 0.0)
    n_periods = int(np.clip(age.max() // PERIOD_DAYS, 1, 12))
    hits = [rhythm.within(p * PERIOD_DAYS, (p + 1) * PERIOD_DAYS) > 0 for p in range(n_periods)]
    found["share of months with it"] = picked(np.mean(hits, axis=0), place, 0.0)
    faded = np.average(hits, axis=0, weights=0.75 ** np.arange(n_periods))
    found["fading share of months with it"] = picked(faded, place, 0.0)
    # of the user's own visits since the first one with the item: how many had it
    found["share of visits since the first"] = _visit_share(history, rhythm, place)
    return {f"decay: {name}": values for name, values in found.items()}


def _visit_share(history: History, rhythm: Rhythm, place: Ints) -> Column:
    """Visits with the item among the user's visits since the first with it."""
    user = Rhythm(history.rows, np.zeros(len(history.rows), np.int64), days_before(history))
    span = float(np.ceil(user.age.max())) + 1
    # visits are sorted by user and then from old to new, so this grows
    clock = user.of_visit * span + (span - user.age)
    owner = rhythm.keys // rhythm.width
    code = np.searchsorted(user.keys, owner)
    since = np.searchsorted(clock, code * span + (span - rhythm.oldest) - 1e-6)
    until = user.first[code] + user.n[code]
    return picked(rhythm.n / np.maximum(until - since, 1), place, 0.0)


def user_features(history: History, rows: Ints) -> Columns:
    """How much and how often the users buy, and how much of it is new to them.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_before
    >>> times = pd.to_datetime(["2017-01-01", "2017-01-11", "2017-01-11"])
    >>> log = pd.DataFrame({"user_id": 1, "item_id": ["a", "a", "b"], "timestamp": times})
    >>> h = history_before(log, pd.Timestamp("2017-01-16"), min_users_per_item=1)
    >>> found = user_features(h, np.array([0]))
    >>> found["context: visits in 28 days"], found["context: share that is new"].round(2)
    (array([2.], dtype=float32), array([0.67], dtype=float32))
    """
    n_users, width = history.shape
    age = days_before(history)
    visits = Rhythm(history.rows, np.zeros(len(age), np.int64), age)
    known = np.zeros(n_users, np.int64)
    known[visits.keys] = np.arange(len(visits.keys))
    n_events = np.bincount(history.rows, minlength=n_users)
    # events are in the order of time, so the first of a pair is its oldest
    pairs, first = np.unique(history.rows * width + history.cols, return_index=True)
    oldest = age[first]
    n_recent = np.bincount(history.rows[age < 84], minlength=n_users)
    new_recent = np.bincount((pairs // width)[oldest < 84], minlength=n_users)
    told = {
        "visits in 28 days": visits.within(0, 28)[known],
        "visits in 84 days": visits.within(0, 84)[known],
        "days since the last visit": visits.newest[known],
        "days known": visits.oldest[known],
        "mean gap of visits": visits.mean_gap[known],
        "items a visit": n_events / np.maximum(visits.n[known], 1),
        "items in 84 days": n_recent,
        "distinct items": np.bincount(pairs // width, minlength=n_users),
        "share that is new": new_recent / np.maximum(n_recent, 1),
    }
    return {f"context: {name}": values[rows].astype(np.float32) for name, values in told.items()}
