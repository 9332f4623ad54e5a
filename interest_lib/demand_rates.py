"""How much each user will buy: purchases in the next period, by a rate that follows and is shrunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from interest_lib.history import Floats, is_goal
from interest_lib.moves import Move


def purchases_alone(move: Move) -> Move:
    """The move with purchases alone as signs, each counting once: views tell what, but not how many.

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": 1, "category": ["tea", "milk"], "weight": [1.0, 0.1],
    ...                     "event": ["purchase", "view"], "timestamp": pd.Timestamp("2017-01-01")})
    >>> move = move_at(log, pd.Timestamp("2017-01-02"), 0, pd.Index([1]))
    >>> move.decayed().tolist(), purchases_alone(move).decayed().tolist()
    ([[0.1, 1.0]], [[0.0, 1.0]])
    """
    bought = is_goal(move.events) if len(move.events) else np.zeros(0, dtype=bool)
    if bought.all() and (move.signs["weight"] == 1).all():
        return move  # as it is already
    once = move.events[bought].drop_duplicates(["user", "interest", "basket_id"], keep="last")
    return replace(move, signs=once[["user", "interest", "age_days"]].assign(weight=1.0))


def days_watched(move: Move) -> float:
    """Days from the first event of the log to the moment.

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": 1, "category": ["tea"], "weight": 1.0,
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> days_watched(move_at(log, pd.Timestamp("2017-01-11"), 0, pd.Index([1])))
    10.0
    """
    return float(move.events["age_days"].max())


def expected_purchases(move: Move, period_days: float, half_life_days: float, prior_days: float) -> Floats:
    """Purchases of each user in the next period, by a rate that follows and is shrunk to that of all.

    Parameters
    ----------
    move : Move
        From `purchases_alone`; only what was known at its moment is read.
    period_days : float
        Length of the next period.
    half_life_days : float
        Age at which half of a purchase, and of a day watched, is forgotten.
    prior_days : float
        For how many days of watching the rate of all users counts.

    Returns
    -------
    ndarray of float, shape (n_users,)
        A purchase is an interest in a basket.

    Notes
    -----
    The mean of a Gamma-Poisson model whose evidence fades, as `changepoint.AdaptiveRate` has it by periods.

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "basket_id": [1, 2, 3], "category": "tea", "weight": 1.0,
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-09", "2017-01-08"])})
    >>> move = move_at(log, pd.Timestamp("2017-01-11"), 0, pd.Index([1, 2]))
    >>> expected_purchases(move, period_days=10, half_life_days=30, prior_days=10).round(2).tolist()
    [1.72, 1.29]
    """
    return period_days * _shrunk(*_faded(move, half_life_days), prior_days)


def rate_choices(
    moves: Sequence[Move],
    period_days: float,
    half_lives_days: Sequence[float],
    priors_days: Sequence[float],
) -> pd.DataFrame:
    """How well every half-life and prior foretold users' purchases.

    Parameters
    ----------
    moves : sequence of Move
        From `purchases_alone`; their future is known, and has `period_days`.
    period_days : float
    half_lives_days, priors_days : sequence of float
        All pairs are tried.

    Returns
    -------
    pandas.DataFrame
        One row per pair: ``half_life_days``, ``prior_days``, and ``deviance``, the Poisson deviance per user;
        the lowest is the best.

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": range(6), "category": "tea", "weight": 1.0,
    ...                     "timestamp": pd.to_datetime([f"2017-01-{day}" for day in (1, 8, 9, 10, 11, 12)])})
    >>> move = move_at(log, pd.Timestamp("2017-01-10"), 3)
    >>> rate_choices([move], 3, [3, 300], [1])["deviance"].round(2).tolist()
    [1.82, 2.59]
    """
    came = np.concatenate([np.zeros(0) if m.future is None else m.future.sum(axis=1) for m in moves])
    rows = []
    for half_life_days in half_lives_days:
        faded = [_faded(move, half_life_days) for move in moves]
        for prior_days in priors_days:
            expected = np.concatenate([period_days * _shrunk(*known, prior_days) for known in faded])
            rows.append((half_life_days, prior_days, _deviance(came, expected)))
    return pd.DataFrame(rows, columns=["half_life_days", "prior_days", "deviance"])


def _faded(move: Move, half_life_days: float) -> tuple[Floats, float]:
    """What is left of each user's purchases, and of the days they were watched."""
    mean_life = half_life_days / np.log(2)
    days = mean_life * (1 - np.exp(-days_watched(move) / mean_life))
    return move.decayed(half_life_days).sum(axis=1), float(days)


def _shrunk(faded: Floats, days: float, prior_days: float) -> Floats:
    """Purchases a day of each user, drawn to the mean of all."""
    return np.asarray((prior_days * faded.mean() / days + faded) / (prior_days + days))


def _deviance(came: Floats, expected: Floats) -> float:
    """Poisson deviance, mean over users."""
    mean = np.maximum(expected, 1e-9)
    ratio = np.where(came > 0, np.maximum(came, 1e-9) / mean, 1.0)
    return float(2 * (came * np.log(ratio) - came + mean).mean())
