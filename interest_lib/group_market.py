"""A marketplace in which two groups of users are known to differ: events and labels."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from interest_lib.marketplace import generate
from interest_lib.marketplace_settings import Marketplace


def planted_groups(
    n_users: int = 1500,
    log_odds: float = 4.0,
    events_per_user: float = 80.0,
    n_items: int = 600,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.Series]:
    """Views of a synthetic shop whose men and women are planted to differ, and who is a man.

    A third of the categories draws women, a third draws men, a third draws both alike; everything that
    changes a user's taste on the way is switched off.

    Parameters
    ----------
    n_users : int
        About half of them are men.
    log_odds : float
        Difference between women and men in the log-odds of the categories that differ; 0 plants nothing.
    events_per_user : float
        Mean number of events of all kinds; a little more than half are views. Few leave the group unknown
        from the history alone.
    n_items : int
        Items, in 40 categories.
    seed : int

    Returns
    -------
    events : pandas.DataFrame
        ``user_id``, ``item_id``, ``timestamp`` of the views, in the order of time.
    is_source : pandas.Series of bool
        By user id: True for men, for `groups.group_task`.

    Examples
    --------
    >>> events, is_source = planted_groups(n_users=40, events_per_user=20, n_items=80)
    >>> list(events.columns), len(is_source), bool(is_source.any() and not is_source.all())
    (['user_id', 'item_id', 'timestamp'], 40, True)
    """
    settings = Marketplace(
        n_users=n_users,
        n_items=n_items,
        events_per_user=events_per_user,
        gender_log_odds=log_odds,
        age_log_odds=0.0,
        seed=seed,
        new_user_share=0.0,
        new_item_share=0.0,
        global_change_at=1.0,
        moving_user_share=0.0,
        takeover_share=0.0,
        unknown_share=0.0,
    )
    with TemporaryDirectory() as folder:
        truth = generate(settings, Path(folder) / "shop", n_jobs=1)
        events, users = pd.read_parquet(truth.folder / "events"), truth.table("users")
    views = events.loc[events["event"] == "view", ["user_id", "item_id", "timestamp"]]
    views = views.sort_values(["timestamp", "user_id", "item_id"], kind="stable", ignore_index=True)
    gender = users.set_index("user_id")["gender"]
    return views, (gender == "male").rename("is_source")
