"""A move of interest: what was known of users at a moment, and what they bought in the period after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from interest_lib.curves import weight_left
from interest_lib.history import SECONDS_PER_DAY, Floats, codes, is_goal
from interest_lib.migration import purchases, shares
from interest_lib.schema import InputError


@dataclass(frozen=True)
class Move:
    """What was known of users at a moment, and what they bought in the period after it.

    Attributes
    ----------
    label : str
        Day of the moment.
    user_ids, interests : pandas.Index
        Users and interests, sorted; `user` and `interest` in `events` are places in them.
    events : pandas.DataFrame
        Events before the moment that have an interest, in the order of time: ``user``, ``interest``,
        ``age_days``, and what the log has besides. Nothing of the period after the moment is in it.
    signs : pandas.DataFrame
        One row for each user, interest and basket before the moment: ``user``, ``interest``, ``age_days``,
        and ``weight``, in purchases, of the most telling event.
    future : ndarray of float, shape (n_users, n_interests), or None
        Baskets with each interest in the period after the moment; None where it is not known.
    """

    label: str
    user_ids: pd.Index
    interests: pd.Index
    events: pd.DataFrame
    signs: pd.DataFrame
    future: Floats | None

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of users and interests."""
        return len(self.user_ids), len(self.interests)

    def decayed(
        self, half_life_days: float | None = None, last_days: float | None = None, curve: str = "exponential"
    ) -> Floats:
        """Interest of every user, each basket counting what is left of it at the moment.

        Parameters
        ----------
        half_life_days : float or None
            None: nothing fades.
        last_days : float or None
            Only baskets of so many days before the moment count; None for all.
        curve : str
            One of `curves.CURVES`.

        Returns
        -------
        ndarray of float, shape (n_users, n_interests)
        """
        ages = self.signs["age_days"].to_numpy()
        left = self.signs["weight"].to_numpy() * weight_left(ages, half_life_days, curve)
        left = left if last_days is None else np.where(ages <= last_days, left, 0.0)
        cells = self.signs["user"].to_numpy() * self.shape[1] + self.signs["interest"].to_numpy()
        sums = np.bincount(cells, weights=left, minlength=int(np.prod(self.shape)))
        return sums.astype(np.float64).reshape(self.shape)

    def periods(self, period_days: float, n_periods: int) -> Floats:
        """The same by period before the moment, the oldest first, shape (n_periods, n_users, n_interests)."""
        until = [self.decayed(None, period_days * n) for n in range(n_periods + 1)]
        return np.stack([older - newer for newer, older in pairwise(until)][::-1])

    @property
    def next_shares(self) -> Floats:
        """Shares of the interests in the period after the moment; raises InputError where it is not known."""
        if self.future is None:
            raise InputError(f"What came after {self.label} is not known: give a move with a future.")
        return shares(self.future)

    def of_users(self, places: Sequence[int] | np.ndarray) -> Move:
        """The same of some users, by their places."""
        place = np.full(len(self.user_ids), -1)
        place[places] = np.arange(len(places))
        parts = []
        for table in (self.events, self.signs):
            kept = table[place[table["user"].to_numpy()] >= 0]
            parts.append(kept.assign(user=place[kept["user"].to_numpy()]).reset_index(drop=True))
        future = None if self.future is None else self.future[places]
        return replace(self, user_ids=self.user_ids[places], events=parts[0], signs=parts[1], future=future)


def move_at(
    events: pd.DataFrame,
    at: pd.Timestamp,
    period_days: float | None,
    user_ids: pd.Index | None = None,
    interests: pd.Index | None = None,
    min_purchases: int = 1,
    by: str = "category",
) -> Move:
    """The move at a moment.

    Parameters
    ----------
    events : pandas.DataFrame
        Events in the order of time: ``user_id``, ``basket_id``, ``timestamp``, ``weight`` in purchases, the
        column `by`, and ``event`` where there are several kinds. Rows without an interest are left out.
    at : pandas.Timestamp
        The moment.
    period_days : float or None
        Length of the period after it; None for all the rest of the log, 0 where nothing is known of it.
    user_ids : pandas.Index or None
        Users; None takes those with a sign before the moment and `min_purchases` after it.
    interests : pandas.Index or None
        Interests; None takes all that the events before the moment have.
    min_purchases : int
        See `user_ids`.
    by : str
        Column that names the interest of an event: any axis that gives each event one.

    Returns
    -------
    Move

    Raises
    ------
    InputError
        Nobody has what is asked for.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": [1, 1, 2, 3],
    ...                     "category": ["tea", "tea", "milk", "tea"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 2 + ["2017-01-31", "2017-02-05"]),
    ...                     "weight": 1.0})
    >>> move = move_at(log, pd.Timestamp("2017-01-31 00:00:01"), period_days=28)
    >>> move.interests.tolist(), move.decayed(half_life_days=30).round(3).tolist(), move.future.tolist()
    (['milk', 'tea'], [[1.0, 0.5]], [[0.0, 1.0]])
    """
    named = events[events[by].notna()]
    end = pd.Timestamp.max if period_days is None else at + pd.Timedelta(days=period_days)
    known, ahead = (named[named["timestamp"] < at], named[named["timestamp"].between(at, end, "left")])
    ahead = ahead[is_goal(ahead)] if len(ahead) else ahead
    bought = purchases(ahead, np.zeros(len(ahead), dtype=np.int64), by)
    if user_ids is None:
        often = bought["user_id"].value_counts()
        user_ids = pd.Index(
            np.sort(often.index[often >= min_purchases].intersection(pd.Index(known["user_id"].unique())))
        )
    interests = pd.Index(np.sort(known[by].unique())) if interests is None else interests
    if not len(user_ids) or not len(interests):
        raise InputError(
            f"Nobody has a purchase before {at:%Y-%m-%d} and {min_purchases} after it: "
            "give a longer log, a longer period or a smaller minimum."
        )
    user_ids, interests = user_ids.rename("user_id"), interests.rename(by)
    known = _coded(known, user_ids, interests, by)
    known = known.assign(age_days=(at - known["timestamp"]).dt.total_seconds() / SECONDS_PER_DAY)
    future = None
    if period_days is None or period_days > 0:
        coded = _coded(bought, user_ids, interests, by)
        future = np.zeros((len(user_ids), len(interests)))
        np.add.at(future, (coded["user"], coded["interest"]), 1.0)
    return Move(f"{at:%Y-%m-%d}", user_ids, interests, known.reset_index(drop=True), signs_of(known), future)


def signs_of(events: pd.DataFrame) -> pd.DataFrame:
    """The table `Move.signs` of a move with these `Move.events`."""
    baskets = events[events["weight"] > 0].groupby(["user", "interest", "basket_id"], sort=True)
    signs = baskets.agg({"age_days": "min", "weight": "max"}).reset_index()
    return signs[["user", "interest", "age_days", "weight"]]


def _coded(events: pd.DataFrame, user_ids: pd.Index, interests: pd.Index, by: str) -> pd.DataFrame:
    kept = events[events["user_id"].isin(user_ids) & events[by].isin(interests)]
    return kept.assign(user=codes(user_ids, kept["user_id"]), interest=codes(interests, kept[by]))


def same_interests(move: Move, interests: pd.Index) -> None:
    """Raises InputError where a move has other interests."""
    if not move.interests.equals(interests):
        raise InputError(
            f"The move at {move.label} has other interests than those that were learned from: "
            "give move_at the same interests."
        )
