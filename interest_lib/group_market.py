"""Marketplaces in which two groups of users are known to differ: events and labels."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.marketplace import generate
from interest_lib.marketplace_settings import Marketplace

GIVEN: Final = 0.5
"""Share of what held-out users met that is given where networks are put to the proof: short histories, as the
items of campaigns are among them, and as moved users go on to other items after it."""


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


def campaign_log(
    n_users: int = 2000, n_items: int = 600, n_campaign: int = 10, per_user: int = 5, seed: int = 0
) -> tuple[pd.DataFrame, pd.Series]:
    """Two groups of like tastes, each drawn in by a campaign of its own.

    A campaign shows popular items. Whoever came by it met some of them first, at random; for the other group
    the same items are a sign of interest.

    Parameters
    ----------
    n_users, n_items : int
        Sizes of the marketplace.
    n_campaign, per_user : int
        Items that a campaign shows, and how many of them a user meets.
    seed : int

    Returns
    -------
    events, is_source
        As of `planted_groups`.

    Examples
    --------
    >>> events, is_source = campaign_log(n_users=40, n_items=80)
    >>> len(events.groupby("user_id")), bool(is_source.any())
    (40, True)
    """
    events, is_source = planted_groups(n_users, 0.0, 60.0, n_items, seed)
    rng = np.random.default_rng([seed, 1])
    common = rng.permutation(events["item_id"].value_counts().index[: 2 * n_campaign].sort_values())
    parts = []
    for users, shown in (
        (is_source.index[is_source], common[:n_campaign]),
        (is_source.index[~is_source], common[n_campaign:]),
    ):
        chosen = np.argsort(rng.random((len(users), n_campaign)), axis=1)[:, :per_user]
        parts.append(pd.DataFrame({"user_id": users.repeat(per_user), "item_id": shown[chosen.ravel()]}))
    first = pd.concat(parts).assign(timestamp=events["timestamp"].min() - pd.Timedelta(days=1))
    return pd.concat([first, events], ignore_index=True), is_source


def moved_log(
    n_users: int = 2000, n_items: int = 600, moved_share: float = 0.8, seed: int = 0
) -> tuple[pd.DataFrame, pd.Series]:
    """Two groups with like beginnings, from which the target group goes on to other items.

    In the second half of what a target user met, items are replaced by their partners: those next to them in
    popularity, which mostly belong to another taste. The beginnings do not tell the groups apart.

    Parameters
    ----------
    n_users, n_items : int
        Sizes of the marketplace.
    moved_share : float
        Share of later items that are replaced.
    seed : int

    Returns
    -------
    events, is_source
        As of `planted_groups`.

    Examples
    --------
    >>> events, is_source = moved_log(n_users=40, n_items=80)
    >>> bool(events.duplicated(["user_id", "item_id"]).any())
    False
    """
    events, is_source = planted_groups(n_users, 0.0, 60.0, n_items, seed)
    events = events.drop_duplicates(["user_id", "item_id"], ignore_index=True)
    rank = pd.Series(events["item_id"].value_counts().sort_index().sort_values(kind="stable").index)
    partner = pd.Series(rank.to_numpy()[np.minimum(np.arange(len(rank)) ^ 1, len(rank) - 1)], index=rank)
    by_user = events.groupby("user_id")["item_id"]
    late = by_user.cumcount() >= GIVEN * by_user.transform("size")
    moves = late & ~events["user_id"].map(is_source)
    moves &= np.random.default_rng([seed, 2]).random(len(events)) < moved_share
    items = events["item_id"].where(~moves, events["item_id"].map(partner))
    return events.assign(item_id=items).drop_duplicates(["user_id", "item_id"], ignore_index=True), is_source
