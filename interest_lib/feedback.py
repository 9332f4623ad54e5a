"""A synthetic shop that shows recommendations: what its users do by themselves, and how they react."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.feedback_appeal import appeal
from interest_lib.history import Floats, Ints
from interest_lib.marketplace_behaviour import DAY, act
from interest_lib.marketplace_catalogue import choose_items
from interest_lib.marketplace_settings import Marketplace
from interest_lib.marketplace_truth import World, make_world
from interest_lib.schema import InputError

VIEW_SECONDS: Final = 60
STREAM: Final = 9  # of random numbers, apart from those of the marketplace's own files


@dataclass(frozen=True)
class Shop:
    """A marketplace whose visits are drawn, and what is viewed in them without recommendations.

    Attributes
    ----------
    world : World
        Everything planted.
    visits : pandas.DataFrame
        In the order of time, position = number of the visit: ``user_id``, ``category`` (number), ``day``
        (whole), ``timestamp``. The category is what the user is interested in at that moment.
    views : pandas.DataFrame
        In the order of time: ``visit``, ``place`` (0 for the first of the visit), ``user_id``, ``item``
        (inner number), ``item_id``, ``timestamp``.
    item_order : ndarray of int
        Inner numbers of the items by ascending item id.
    """

    world: World
    visits: pd.DataFrame
    views: pd.DataFrame
    item_order: Ints

    def moment(self, day: float) -> pd.Timestamp:
        """A day of the log as a moment of its calendar."""
        return pd.Timestamp(self.world.settings.start) + pd.Timedelta(days=day)

    def inner(self, item_ids: pd.Series) -> Ints:
        """Inner numbers of items."""
        return self.item_order[item_ids.to_numpy(np.int64) - 1]


def open_shop(settings: Marketplace) -> Shop:
    """Let the users of a marketplace come, and view what they would view without recommendations.

    Visits and views follow the laws of `docs/marketplace.md`; searches, carts and what follows them are left
    out: a view is what counts here.

    Parameters
    ----------
    settings : Marketplace

    Returns
    -------
    Shop

    Examples
    --------
    >>> shop = open_shop(Marketplace(n_users=20, n_items=100, events_per_user=60))
    >>> list(shop.views.columns), bool(shop.views["timestamp"].is_monotonic_increasing)
    (['visit', 'place', 'user_id', 'item', 'item_id', 'timestamp'], True)
    """
    world = make_world(settings)
    rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(STREAM,)))
    _, acted = act(world, slice(0, settings.n_users), rng)
    order = np.argsort(acted["seconds"], kind="stable")
    seconds = acted["seconds"][order]
    start = pd.Timestamp(settings.start)
    visits = pd.DataFrame(
        {
            "user_id": acted["user_id"][order],
            "category": acted["category"][order],
            "day": seconds // DAY,
            "timestamp": start + pd.to_timedelta(seconds, unit="s"),
        }
    )
    return Shop(world, visits, _views(world, visits, rng), np.argsort(world.catalogue.item_id))


def _views(world: World, visits: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """What is looked at in every visit: favourites and popular items of its category."""
    count = 1 + rng.poisson(world.settings.views_per_visit - 1, len(visits))
    visit = np.repeat(np.arange(len(visits)), count)
    place = np.arange(len(visit)) - np.repeat(np.cumsum(count) - count, count)
    user_id, category = (visits[name].to_numpy()[visit] for name in ("user_id", "category"))
    item = choose_items(
        world.settings,
        world.catalogue,
        rng,
        user_id=user_id,
        category=category,
        day=visits["day"].to_numpy(np.float64)[visit],
        repeat_share=world.repeat_share[category],
    )
    timestamp = visits["timestamp"].to_numpy()[visit] + pd.to_timedelta(VIEW_SECONDS * place, unit="s")
    views = pd.DataFrame({"visit": visit, "place": place, "user_id": user_id, "item": item})
    views = views.assign(item_id=world.catalogue.item_id[item], timestamp=timestamp)
    return views.sort_values(["timestamp", "visit", "place"], kind="stable", ignore_index=True)


def react(shop: Shop, visits: Ints, lists: pd.DataFrame, seed: int) -> pd.DataFrame:
    """What users click of the lists that they are shown in their visits.

    A place is looked at with the probability ``1 / log2(rank + 1)``; what is looked at is clicked with the
    item's `feedback_appeal.appeal` if it is of the category that the visit is about, and not otherwise. The
    same item at the same place of the same visit is clicked or not whatever else happened: arms of an
    experiment have common random numbers.

    Parameters
    ----------
    shop : Shop
    visits : ndarray of int
        Numbers of the visits in which the lists are shown.
    lists : pandas.DataFrame
        ``user_id``, ``item_id``, ``rank``.
    seed : int
        Draws the clicks.

    Returns
    -------
    pandas.DataFrame
        One row per visit and place that is of the visit's category: ``visit``, ``user_id``, ``item``,
        ``item_id``, ``rank``, ``appeal``, ``clicked``.

    Raises
    ------
    InputError
        An item is not in the shop.
    """
    if not lists["item_id"].between(1, len(shop.item_order)).all():
        raise InputError("The lists hold an item that is not in the shop: recommend from its own views.")
    met = shop.visits.loc[visits, ["user_id", "category", "day"]].rename_axis("visit").reset_index()
    shown = lists[["user_id", "item_id", "rank"]].assign(item=shop.inner(lists["item_id"]))
    shown["category"] = shop.world.catalogue.category[shown["item"]]
    fits = met.merge(shown, on=["user_id", "category"]).sort_values(["visit", "rank"], ignore_index=True)
    user_id, item, visit = (fits[name].to_numpy(np.int64) for name in ("user_id", "item", "visit"))
    fits["appeal"] = appeal(shop.world, user_id, item, fits["day"].to_numpy(np.int64))
    looked = 1 / np.log2(fits["rank"].to_numpy() + 1.0)
    fits["clicked"] = _chance(seed, visit * len(shop.item_order) + item) < looked * fits["appeal"]
    return fits[["visit", "user_id", "item", "item_id", "rank", "appeal", "clicked"]]


def _chance(seed: int, number: Ints) -> Floats:
    """The same chance in [0, 1) for the same numbers, in whatever company (finaliser of SplitMix64)."""
    mixed = number.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x2545F4914F6CDD1D) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def with_clicks(shop: Shop, visits: Ints, clicked: pd.DataFrame) -> pd.DataFrame:
    """What is viewed in some visits where recommendations are shown: a click takes the time of one own view.

    Parameters
    ----------
    shop : Shop
    visits : ndarray of int
        Numbers of the visits.
    clicked : pandas.DataFrame
        ``visit``, ``user_id``, ``item``, ``item_id`` of the clicks.

    Returns
    -------
    pandas.DataFrame
        ``user_id``, ``item``, ``item_id``, ``timestamp``, in the order of time. The last of the own views
        give way, as far as there are so many.
    """
    own = shop.views[shop.views["visit"].isin(visits)]
    n_clicks = clicked.groupby("visit").size().reindex(own["visit"], fill_value=0).to_numpy()
    n_views = own.groupby("visit")["visit"].transform("size").to_numpy()
    stay = own[own["place"].to_numpy() < n_views - n_clicks]
    seconds = pd.to_timedelta(5 * clicked.groupby("visit").cumcount().to_numpy(), unit="s")
    when = shop.visits["timestamp"].to_numpy()[clicked["visit"]] + seconds
    columns = ["user_id", "item", "item_id", "timestamp"]
    both = pd.concat([stay[columns], clicked.assign(timestamp=when)[columns]])
    return both.sort_values(["timestamp", "user_id", "item_id"], kind="stable", ignore_index=True)
