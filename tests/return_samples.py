"""Logs with returns of a known half-life, for the tests of what is learned from returns."""

from pathlib import Path

import numpy as np
import pandas as pd

from interest_lib.curves import CURVES, curve_age
from interest_lib.marketplace import Marketplace, generate

START = pd.Timestamp("2024-01-01")
DAYS = 300.0


def log_of(users: np.ndarray, days: np.ndarray, categories: np.ndarray | str = "tea") -> pd.DataFrame:
    times = START + pd.to_timedelta(days, unit="D")
    return pd.DataFrame({"user_id": users, "category": categories, "timestamp": times}).sort_values(
        "timestamp"
    )


def episodes(
    half_life_days: float, curve: str = "exponential", n_users: int = 400, days: float = DAYS, seed: int = 0
) -> pd.DataFrame:
    """Four episodes a user on average, each with three follow-ups on average, in a log that ends."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), rng.poisson(4 * (days + 300) / 300, n_users))
    start = rng.uniform(-300, days, len(user))
    which = np.repeat(np.arange(len(user)), rng.poisson(3, len(user)))
    age = half_life_days * curve_age(np.full(len(which), CURVES.index(curve)), rng.random(len(which)))
    day = np.concatenate([start, start[which] + age])
    user = np.concatenate([user, user[which]])
    inside = (day >= 0) & (day < days)
    return log_of(user[inside], day[inside])


def views(folder: Path, **settings: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    truth = generate(Marketplace(**settings), folder, n_jobs=1)  # type: ignore[arg-type]
    events = pd.read_parquet(folder / "events", filters=[("event", "==", "view")])
    category = pd.read_parquet(folder / "items.parquet").set_index("item_id")["category"]
    log = events[["user_id", "timestamp"]].assign(category=category.reindex(events["item_id"]).to_numpy())
    return log, truth.table("categories").set_index("category")


def fading_log(seed: int, n_users: int = 300, n_days: int = 250) -> tuple[pd.DataFrame, pd.Series]:
    """Every purchase raises the rate of the next one, in `fast` items for days, in `slow` ones for months."""
    rng = np.random.default_rng(seed)
    half_life = np.repeat([6.0, 120.0], 10)
    raised = np.where(half_life < 20, 0.06, 0.004)
    level = np.zeros((n_users, 20))
    parts = []
    for day in range(n_days):
        level *= np.exp2(-1 / half_life)
        bought = np.argwhere(rng.random(level.shape) < 0.003 + raised * level)
        level[tuple(bought.T)] += 1
        parts.append(np.column_stack([bought, np.full(len(bought), day)]))
    rows = np.concatenate(parts)
    times = pd.Timestamp("2017-01-01 12:00") + pd.to_timedelta(rows[:, 2], unit="D")
    events = pd.DataFrame({"user_id": rows[:, 0], "item_id": rows[:, 1], "timestamp": times})
    events["basket_number"] = events.groupby("user_id")["timestamp"].rank("dense").astype(int)
    return events, pd.Series(np.repeat(["fast", "slow"], 10), index=range(20))
