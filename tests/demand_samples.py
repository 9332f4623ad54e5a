"""Logs of users with known shares and rates, for the tests of the demand."""

import numpy as np
import pandas as pd

from interest_lib.history import Floats
from interest_lib.moves import Move, move_at

START = pd.Timestamp("2017-01-01")
PERIOD_DAYS = 28


def sales(
    seed: int, n_users: int = 150, n_interests: int = 12, n_days: int = 280, restless: float = 0.0
) -> tuple[pd.DataFrame, Floats]:
    """Purchases, one a basket, and the expected number of each user and interest in a period.

    `restless` is the standard deviation of the change, from month to month, of the logarithm of what the
    shop sells of each interest.
    """
    rng = np.random.default_rng(seed)
    rate = rng.gamma(2.0, 0.35, n_users)[:, None] * rng.dirichlet(np.full(n_interests, 1.5), n_users)
    months = int(np.ceil(n_days / 28))
    season = np.exp(np.cumsum(rng.normal(0, restless, (months, n_interests)), axis=0))
    day_rate = season[np.minimum(np.arange(n_days) // 28, months - 1)]
    counts = rng.poisson(rate[None] * day_rate[:, None, :])
    day, user, interest = np.nonzero(counts)
    times = counts[day, user, interest]
    day, user, interest = (np.repeat(column, times) for column in (day, user, interest))
    seconds = rng.integers(0, 86_400, len(day))
    table = pd.DataFrame({"user_id": user, "category": interest, "event": "purchase", "weight": 1.0})
    table["timestamp"] = START + pd.to_timedelta(day * 86_400 + seconds, unit="s")
    table = table.sort_values("timestamp", kind="stable", ignore_index=True)
    return table.assign(basket_id=np.arange(len(table))), rate * PERIOD_DAYS


def moves_of(table: pd.DataFrame, days: list[int], n_users: int = 150, n_interests: int = 12) -> list[Move]:
    """Moves of all users, whoever buys later or not."""
    users, interests = pd.Index(range(n_users)), pd.Index(range(n_interests))
    return [move_at(table, START + pd.Timedelta(days=day), PERIOD_DAYS, users, interests) for day in days]
