"""A model refreshed every period against one left alone: how fast it goes stale, and what to refresh."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from interest_lib.forecasts import Forecaster
from interest_lib.history import Floats
from interest_lib.metrics import relative_gain
from interest_lib.migration import forecast_errors, shares
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError

WAYS: Final = ("left_alone", "shop_only", "state_only", "refit")
"""What is refreshed, from nothing to everything; see `refresh_losses`."""

MEASURES: Final = ("squared_error", "log_loss")


def moves_apart(
    events: pd.DataFrame,
    origins: Sequence[pd.Timestamp],
    period_days: float,
    known_before: pd.Timestamp | None = None,
    by: str = "category",
) -> list[Move]:
    """Moves at several moments, all with the same users and interests, so that they can be compared.

    Parameters
    ----------
    events : pandas.DataFrame
        As for `moves.move_at`.
    origins : sequence of pandas.Timestamp
        The moments.
    period_days : float
        Length of the period after each.
    known_before : pandas.Timestamp or None
        Users and interests are those with an event before this moment; None for the first origin.
    by : str
        Column that names the interest of an event.

    Returns
    -------
    list of Move
        In the order of time. A user without a purchase in a period has an empty row in its `future`.

    Raises
    ------
    InputError
        Nothing happened before the first moment.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": [1, 2, 3], "category": ["tea", "milk", "tea"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-02", "2017-01-12"]),
    ...                     "weight": 1.0})
    >>> origins = pd.to_datetime(["2017-01-05", "2017-01-10"])
    >>> [move.future.tolist() for move in moves_apart(log, origins, period_days=5)]
    [[[0.0, 0.0]], [[0.0, 1.0]]]
    """
    ordered = sorted(origins)
    named = events[events[by].notna() & (events["weight"] > 0)]
    known = named[named["timestamp"] < (ordered[0] if known_before is None else known_before)]
    user_ids, interests = (pd.Index(np.sort(known[name].unique())) for name in ("user_id", by))
    return [move_at(events, at, period_days, user_ids, interests, by=by) for at in ordered]


def refresh_losses(
    moves: Sequence[Move],
    fit: Callable[[Sequence[Move]], Forecaster],
    first: int = 1,
    min_purchases: int = 5,
    every_start: bool = True,
) -> pd.DataFrame:
    """Errors of the same model at several ages, refreshed in four ways, on the same users.

    ``left_alone``: the forecast of the start, for ever. ``shop_only``: the same, tilted to what the shop as a
    whole buys today, so that what is left of the gap is not the season. ``state_only``: today's events go
    into the model, its parameters are those of the start. ``refit``: everything is learned anew.

    Parameters
    ----------
    moves : sequence of Move
        Of the same users and interests, one period apart, in the order of time, such as `moves_apart` gives.
    fit : callable
        Makes a fitted forecaster of the moves whose future is known by then; it may also tune on them.
    first : int
        Place of the first move that is foretold; those before it are the first to learn from.
    min_purchases : int
        A user is judged in a period with at least so many purchases.
    every_start : bool
        Whether every move from `first` on is also the start of a model, so that there are several periods to
        most ages. False: the first one alone, where fitting takes long.

    Returns
    -------
    pandas.DataFrame
        One row per start, moment, way and user: ``start`` and ``origin`` (labels), ``age`` in periods,
        ``way`` (see `WAYS`), ``user_id``, ``squared_error``, ``log_loss`` (nats, over all purchases),
        ``purchases``. At age 0 all ways are the same.

    Raises
    ------
    InputError
        The moves have different users or interests, or there are too few.

    Examples
    --------
    >>> class Persistence:
    ...     def fit(self, moves): return self
    ...     def predict(self, move): return shares(move.decayed(None, last_days=5))
    >>> days = pd.date_range("2017-01-01", periods=4, freq="5D")
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": range(4), "timestamp": days, "weight": 1.0,
    ...                     "category": ["tea", "tea", "milk", "milk"]})
    >>> moves = moves_apart(log, days[1:] - pd.Timedelta(hours=1), 5, known_before=days[-1])
    >>> losses = refresh_losses(moves, lambda known: Persistence(), first=1, min_purchases=1)
    >>> losses.query("age == 1").set_index("way")["squared_error"].to_dict()
    {'left_alone': 2.0, 'shop_only': 2.0, 'state_only': 0.0, 'refit': 0.0}
    """
    _check(moves, first)
    fresh = {place: fit(moves[:place]) for place in range(first, len(moves))}
    refit = {place: model.predict(moves[place]) for place, model in fresh.items()}
    starts = list(fresh) if every_start else [first]
    found = []
    for start in starts:
        for place in range(start, len(moves)):
            state = refit[place] if place == start else fresh[start].predict(moves[place])
            ways = (refit[start], tilted(refit[start], state), state, refit[place])
            table = _judged(moves[place], dict(zip(WAYS, ways, strict=True)), min_purchases)
            start_label, origin_label = moves[start].label, moves[place].label
            found.append(table.assign(start=start_label, origin=origin_label, age=place - start))
    return pd.concat(found, ignore_index=True)


def tilted(forecast: Floats, today: Floats) -> Floats:
    """A forecast whose odds are moved by what the mean of all users has changed by.

    Parameters
    ----------
    forecast : ndarray of float, shape (n_users, n_interests)
        What is to be moved.
    today : ndarray of float, same shape
        Forecasts whose mean over users says what the shop as a whole buys.

    Examples
    --------
    >>> tilted(np.array([[0.5, 0.5]]), np.array([[0.8, 0.2]]))
    array([[0.8, 0.2]])
    """
    before, after = forecast.mean(axis=0), today.mean(axis=0)
    moved = forecast * np.divide(after, before, out=np.ones_like(after), where=before > 0)
    return np.where(moved.sum(axis=1, keepdims=True) > 0, shares(moved), forecast)


def staleness(
    losses: pd.DataFrame,
    of: str = "left_alone",
    over: str = "refit",
    measure: str = "squared_error",
    seed: int = 0,
    n_resamples: int = 1000,
) -> pd.DataFrame:
    """What is lost by refreshing in one way instead of another, by age of the model.

    Parameters
    ----------
    losses : pandas.DataFrame
        From `refresh_losses`.
    of, over : str
        Two of `WAYS`: whose error, and with whose it is compared.
    measure : str
        ``squared_error`` (summed over interests, mean over users and periods) or ``log_loss`` (nats per
        purchase).
    seed, n_resamples
        As in `metrics.bootstrap_mean`; users are drawn anew, each with all periods.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``age``: ``value``, ``low``, ``high`` (95 %) of the difference, above 0 where `of` is
        worse; ``base``, the error of `over`; ``n`` users. The row ``all`` is the mean over all ages from 1.

    Raises
    ------
    InputError
        A way or a measure is unknown.

    Examples
    --------
    >>> rows = [(age, way, user, 1.0 + age * (way == "left_alone")) for age in (0, 1)
    ...         for way in ("left_alone", "refit") for user in range(30)]
    >>> losses = pd.DataFrame(rows, columns=["age", "way", "user_id", "squared_error"])
    >>> staleness(losses.assign(start="a", origin="b"))["value"].round(3).to_dict()
    {0: 0.0, 1: 1.0, 'all': 1.0}
    """
    if measure not in MEASURES or not {of, over} <= set(WAYS):
        raise InputError(f"{of!r}, {over!r} or {measure!r} is unknown: choose from {WAYS} and {MEASURES}.")
    keys = ["age", "start", "origin", "user_id"]
    pairs = losses[losses["way"].isin([of, over])].pivot(index=keys, columns="way", values=measure)
    counted = losses[losses["way"] == over].set_index(keys)
    pairs["trials"] = 1.0 if measure == "squared_error" else counted["purchases"]
    older = pairs[pairs.index.get_level_values("age") > 0]
    slices: dict[Any, pd.DataFrame] = {**dict(list(pairs.groupby(level="age"))), "all": older}
    rows = {age: _difference(part, of, over, seed, n_resamples) for age, part in slices.items() if len(part)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("age")


def _difference(part: pd.DataFrame, of: str, over: str, seed: int, n_resamples: int) -> dict[str, float]:
    """Sum of differences over sum of trials, users drawn anew."""
    users = part.groupby(level="user_id").sum()
    # a ratio of sums over users, as relative_gain resamples it: (trials + difference) / trials - 1
    gain = relative_gain(users["trials"] + users[of] - users[over], users["trials"], seed, n_resamples)
    return {**vars(gain), "base": float(users[over].sum() / users["trials"].sum())}


def _judged(move: Move, ways: Mapping[str, Floats], min_purchases: int) -> pd.DataFrame:
    future = move.future
    assert future is not None  # `_check` has seen to it
    often = np.flatnonzero(future.sum(axis=1) >= max(min_purchases, 1))
    tables = []
    for way, forecast in ways.items():
        errors = forecast_errors(forecast[often], future[often]).drop(columns="top1")
        tables.append(errors.assign(way=way, user_id=move.user_ids[often]))
    return pd.concat(tables, ignore_index=True)


def _check(moves: Sequence[Move], first: int) -> None:
    if not 1 <= first < len(moves):
        raise InputError(f"{len(moves)} moves, foretold from number {first} on: give more moves.")
    for move in moves:
        if not (move.user_ids.equals(moves[0].user_ids) and move.interests.equals(moves[0].interests)):
            raise InputError(
                f"The move of {move.label} has other users or interests: make all with moves_apart."
            )
        if move.future is None:
            raise InputError(f"What came after {move.label} is not known: give moves with a future.")
