"""Moves of a simulated log, as a shop would know them."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from interest_lib.marketplace import Truth
from interest_lib.moves import Move, move_at
from interest_lib.schema import EVENT_WEIGHTS

SIGNS: Final = ("view", "cart", "purchase", "review")
"""Kinds of events that a shop reads interest from here, with the weights of the schema."""


def marketplace_moves(truth: Truth, n_moves: int, period_days: int = 28) -> list[Move]:
    """The last moves of a simulated log, a period apart, as a shop would know them.

    Parameters
    ----------
    truth : Truth
        Its log: views, carts, purchases and reviews count, weighted by the schema; a day is a basket.
    n_moves : int
        How many; the period after the last one ends with the log.
    period_days : int

    Returns
    -------
    list of Move
        In the order of time; users with two or more purchases in the period after.
    """
    category = pd.read_parquet(truth.folder / "items.parquet").set_index("item_id")["category"].astype(str)
    events = pd.read_parquet(truth.folder / "events")
    events = events[events["event"].isin(SIGNS)]
    events = events.assign(
        category=category.reindex(events["item_id"]).to_numpy(),
        weight=events["event"].map(EVENT_WEIGHTS),
        basket_id=events["user_id"].astype(str) + events["timestamp"].dt.strftime("/%Y-%m-%d"),
    ).sort_values(["timestamp", "user_id", "item_id"], kind="stable", ignore_index=True)
    interests, end = pd.Index(np.sort(category.unique())), events["timestamp"].max().normalize()
    moments = [end - pd.Timedelta(days=period_days * back) for back in range(n_moves, 0, -1)]
    return [move_at(events, at, period_days, interests=interests, min_purchases=2) for at in moments]
