"""Interest that is kept up to date: every event costs the same, and it can be read at any moment."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from interest_lib.history import SECONDS_PER_DAY, Floats, Ints
from interest_lib.pairs import Id, Pairs, factorized, known_id
from interest_lib.schema import InputError

_MICROSECONDS_PER_DAY: Final = SECONDS_PER_DAY * 1_000_000
_FARTHEST: Final = 2**61  # microseconds: 73,000 years; the difference of two such times fits into 64 bits
_EPOCH: Final = datetime(1970, 1, 1)


class InterestState:
    """The decayed interest of every user in every item or category: ``sum w_i * 2^-(age_i / half_life)``.

    For each pair of user and interest that ever met, one number is kept: the sum as it was at the newest of
    its events. A later event lets the sum fade until then and is added; a late one fades itself and is
    added, so events may come in any order. Every power of two is at most 1: nothing can overflow, however
    far apart the events lie.

    Parameters
    ----------
    half_life_days : float or None
        Days after which half of a weight is left; None: nothing fades.
    by : str
        Column of the log that names the interest, for example ``"item_id"`` or ``"category"``.
    by_interest : mapping of interest to float, optional
        Half-life in days of single interests; the others have `half_life_days`.

    Raises
    ------
    InputError
        A half-life is not positive. From the methods: an id that is neither an int64 nor text, a time with
        a zone or without a value, a weight that is not finite, a moment before the newest event.

    Notes
    -----
    Times are UTC without a zone, kept in whole microseconds. At a moment after all events, the result is that
    of `queries.interests` and `decay.decayed_counts` to 1e-9 relative. An earlier moment than that of the
    newest event cannot be read, because a sum does not tell which events it has; at that moment itself, the
    event counts in full. Where returns cancel purchases, the error is relative to what was added up, not to
    what is left. Only exponential decay can be kept so: it alone fades a sum as it fades each of its parts.

    Examples
    --------
    >>> state = InterestState(half_life_days=30, by="category")
    >>> state.update(7, "tea", datetime(2017, 1, 1))
    >>> state.update(7, "milk", datetime(2017, 1, 31))
    >>> state.update(7, "tea", datetime(2017, 1, 31))
    >>> state.interests(7, at=datetime(2017, 1, 31))
    {'tea': 1.5, 'milk': 1.0}
    >>> state.shares(7, at=datetime(2017, 3, 2))
    {'tea': 0.6, 'milk': 0.4}
    """

    def __init__(
        self,
        half_life_days: float | None = None,
        by: str = "item_id",
        by_interest: Mapping[Any, float] | None = None,
    ) -> None:
        self.half_life_days = None if half_life_days is None else float(half_life_days)
        self.by = by
        self.by_interest = {known_id(name, by): float(days) for name, days in (by_interest or {}).items()}
        self._rate = _rate(self.half_life_days)
        self._rate_of = {interest: _rate(days) for interest, days in self.by_interest.items()}
        self._pairs = Pairs("user_id", by)
        # by place of the pair
        self._values = array("d")
        self._times = array("q")  # newest event, in microseconds since 1970
        self._rates = array("d")  # powers of two per microsecond, not positive
        self._events = array("q")

    def __len__(self) -> int:
        """Number of pairs of user and interest."""
        return len(self._values)

    def update(self, user: Id, interest: Id, time: datetime, weight: float = 1.0) -> None:
        """Add one event, in constant time.

        Parameters
        ----------
        user, interest : int or str
        time : datetime, pandas.Timestamp or numpy.datetime64
            UTC without a zone.
        weight : float
            How telling the event is, in purchases, such as from `schema.EVENT_WEIGHTS`.
        """
        moment = _microseconds(time)
        if not math.isfinite(weight):
            raise InputError(f"An event of user {user!r} has the weight {weight}: give a number.")
        place = self._pairs.place(user, interest)
        if place == len(self._values):
            self._values.append(weight)
            self._times.append(moment)
            self._rates.append(self._rate_of.get(interest, self._rate))
            self._events.append(1)
            return
        passed = moment - self._times[place]
        if passed >= 0:
            self._values[place] = self._values[place] * 2.0 ** (passed * self._rates[place]) + weight
            self._times[place] = moment
        else:
            self._values[place] += weight * 2.0 ** (-passed * self._rates[place])
        self._events[place] += 1

    def update_events(self, events: pd.DataFrame, weights: Mapping[str, float] | None = None) -> None:
        """Add the events of a log at once.

        Parameters
        ----------
        events : pandas.DataFrame
            ``user_id``, ``timestamp``, the column `by`, and ``event`` and ``weight`` if there are any, in any
            order. Events without an interest are left out.
        weights : mapping of str to float, optional
            Weight of each type of ``event``, for example `schema.EVENT_WEIGHTS`. As in `queries.interests`,
            the column ``weight`` comes first, and a type that is not named has 1.
        """
        given = pd.Series(1.0, index=events.index)
        if weights and "event" in events:
            given = events["event"].map(dict(weights)).astype(float).fillna(1.0)
        if "weight" in events:
            given = events["weight"].astype(float).fillna(given)
        self.update_many(events["user_id"], events[self.by], events["timestamp"], given)

    def update_many(self, users: Any, interests: Any, times: Any, weights: Any = 1.0) -> None:
        """Add many events at once, in any order; one position of each array is one event.

        Parameters
        ----------
        users, interests : array-like of int or str, shape (n_events,)
            Events without an interest are left out.
        times : array-like of datetime64, shape (n_events,)
            UTC without a zone.
        weights : float or array-like of float, shape (n_events,)
        """
        self._add(users, interests, times, weights, 1)

    def interests(self, user: Id, at: datetime) -> dict[Id, float]:
        """What is left of a user's interests at a moment; not negative, empty for a user without events.

        Parameters
        ----------
        user : int or str
        at : datetime, pandas.Timestamp or numpy.datetime64
            Not before the user's newest event.
        """
        names, left, _ = self._of_user(user, at)
        return dict(zip(names, left.tolist(), strict=True))

    def shares(self, user: Id, at: datetime) -> dict[Id, float]:
        """The normalised interests ``P(t)`` of a user: they add up to 1; empty where nothing is left.

        Shares are worked out relative to what has faded least, so they last when the weights themselves have
        become too small for a float.
        """
        names, _, relative = self._of_user(user, at)
        total = relative.sum()
        return dict(zip(names, (relative / total).tolist(), strict=True)) if total > 0 else {}

    def table(self, at: datetime) -> pd.DataFrame:
        """The interests of all users at a moment, as `queries.interests` gives them.

        Parameters
        ----------
        at : datetime, pandas.Timestamp or numpy.datetime64
            Not before the newest event.

        Returns
        -------
        pandas.DataFrame
            ``user_id``, `by`, ``events``, ``weight`` and ``share`` of the user's weight (NaN where nothing is
            left), one row for each user and interest, sorted by both.
        """
        users, _ = self._pairs.codes()
        left, relative = self._left(np.arange(len(self)), users, at)
        totals = np.bincount(users, relative)[users]
        shares = np.divide(relative, totals, out=np.full(len(self), np.nan), where=totals > 0)
        frame = self._named().assign(weight=left, share=shares)
        return frame.sort_values(["user_id", self.by], ignore_index=True)

    def merge(self, other: InterestState) -> None:
        """Add the events of another state, such as of another shard; users and interests may overlap.

        The order and the grouping of merges make no difference but in the last digits.

        Raises
        ------
        InputError
            The other state has other half-lives, or interests of another kind.
        """
        for name in ("by", "half_life_days", "by_interest"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise InputError(f"{name} is {mine} here and {theirs} there: merge states that fade alike.")
        self.add_sums(other.sums())

    def sums(self) -> pd.DataFrame:
        """All that the state has learned: the signed sum of every pair as it was at its newest event.

        Returns
        -------
        pandas.DataFrame
            ``user_id``, `by`, ``events``, ``value`` and ``time``, in the order in which the pairs came.
        """
        times = np.array(self._times, dtype=np.int64).view("datetime64[us]")
        return self._named().assign(value=np.array(self._values, dtype=np.float64), time=times)

    def add_sums(self, sums: pd.DataFrame) -> None:
        """Add what `sums` of a state with the same half-lives has returned."""
        self._add(sums["user_id"], sums[self.by], sums["time"], sums["value"], sums["events"])

    def _add(self, users: Any, interests: Any, times: Any, values: Any, events: Any) -> None:
        """Add sums, each as it was at its time: an event is the sum of one."""
        user_codes, user_ids = factorized(users, "user_id")
        codes, interest_ids = factorized(interests, self.by)
        moments = _all_microseconds(times)
        if not len(user_codes) == len(codes) == len(moments):
            raise InputError(
                f"{len(user_codes)} users, {len(codes)} interests, {len(moments)} times: give as many."
            )
        values, events = (np.broadcast_to(np.asarray(a, np.float64), moments.shape) for a in (values, events))
        known = codes >= 0
        if not known.all():
            user_codes, codes, moments = user_codes[known], codes[known], moments[known]
            values, events = values[known], events[known]
        if (user_codes < 0).any() or not np.isfinite(values).all():
            raise InputError("An event has no user_id or no finite weight: fill it in or leave it out.")
        if len(moments):
            places, position = self._pairs.places(user_codes, user_ids, codes, interest_ids)
            self._make_room(moments.min())
            self._add_at(places, position, moments, values, events)

    def _make_room(self, moment: int) -> None:
        """New pairs start with nothing, at a moment that none of their events is before."""
        first, n_new = len(self), len(self._pairs) - len(self)
        of_interest = [self._rate_of.get(interest, self._rate) for interest in self._pairs.interest_ids]
        _, codes = self._pairs.codes(slice(first, None))
        self._rates.frombytes(np.array(of_interest)[codes].tobytes())
        self._times.frombytes(np.full(n_new, moment).tobytes())
        self._values.frombytes(bytes(8 * n_new))
        self._events.frombytes(bytes(8 * n_new))

    def _add_at(self, places: Ints, position: Ints, moments: Ints, values: Floats, events: Floats) -> None:
        """Add sums to pairs; `position` says to which of the `places`."""
        times, rates, sums = (np.asarray(numbers) for numbers in (self._times, self._rates, self._values))
        before, rate = times[places], rates[places]
        newest = before.copy()
        np.maximum.at(newest, position, moments)
        added = np.bincount(position, values * np.exp2((newest[position] - moments) * rate[position]))
        sums[places] = sums[places] * np.exp2((newest - before) * rate) + added
        times[places] = newest
        np.asarray(self._events)[places] += np.bincount(position, events).astype(np.int64)

    def _named(self) -> pd.DataFrame:
        """User, interest and number of events of every pair."""
        users, codes = self._pairs.codes()
        user_ids, interest_ids = pd.Index(self._pairs.user_ids), pd.Index(self._pairs.interest_ids)
        columns = {"user_id": user_ids.take(users), self.by: interest_ids.take(codes)}
        return pd.DataFrame(columns).assign(events=np.array(self._events, dtype=np.int64))

    def _of_user(self, user: Id, at: datetime) -> tuple[list[Id], Floats, Floats]:
        """Names of a user's interests, and what `_left` says of them."""
        places = self._pairs.of_user(user)
        names = self._pairs.interest_ids
        _, codes = self._pairs.codes(places)
        left, relative = self._left(places, np.zeros_like(places), at)
        return [names[code] for code in codes.tolist()], left, relative

    def _left(self, places: Ints, users: Ints, at: datetime) -> tuple[Floats, Floats]:
        """What is left of pairs at a moment, and the same relative to what has faded least of the user's."""
        values, times, rates = (np.asarray(a)[places] for a in (self._values, self._times, self._rates))
        passed = _microseconds(at) - times
        if (passed < 0).any():
            newest = times.max().astype("datetime64[us]")
            raise InputError(f"An event of {newest} is in the sums: read them at that moment or later.")
        values = np.maximum(values, 0.0)
        exponents = np.where(values > 0, passed * rates, -np.inf)
        least = np.full(users.max(initial=-1) + 1, -np.finfo(np.float64).max)
        np.maximum.at(least, users, exponents)
        return values * np.exp2(exponents), values * np.exp2(exponents - least[users])


def _rate(half_life_days: float | None) -> float:
    """Powers of two by which a weight changes in a microsecond."""
    if half_life_days is None:
        return 0.0
    if not 1 <= half_life_days * _MICROSECONDS_PER_DAY < math.inf:  # times are whole microseconds
        raise InputError(f"The half-life is {half_life_days}: give a positive number of days, or None.")
    return -1.0 / (half_life_days * _MICROSECONDS_PER_DAY)


def _microseconds(time: datetime) -> int:
    """Microseconds since 1970."""
    if type(time) is datetime and time.tzinfo is None:
        passed = time - _EPOCH
        return (passed.days * SECONDS_PER_DAY + passed.seconds) * 1_000_000 + passed.microseconds
    return int(_all_microseconds([time])[0])


def _all_microseconds(times: Any) -> Ints:
    """Microseconds since 1970 of each time."""
    index = pd.Index(times)
    if index.empty:
        return np.empty(0, dtype=np.int64)
    if not isinstance(index, pd.DatetimeIndex) or index.tz is not None:
        raise InputError(f"Times are of type {index.dtype}: give datetime64 in UTC without a zone.")
    found = index.to_numpy().astype("datetime64[us]").astype(np.int64)
    if index.hasnans or (np.abs(found) > _FARTHEST).any():
        raise InputError("A time is missing or farther than 73,000 years: fill it in or leave the event out.")
    return found
