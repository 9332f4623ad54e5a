"""The tables of a synthetic marketplace: those of the shop, and those of the truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from interest_lib.curves import CURVES
from interest_lib.marketplace_behaviour import Table
from interest_lib.marketplace_catalogue import items_table, n_periods, period_weights, queries
from interest_lib.marketplace_events import Block
from interest_lib.marketplace_settings import Bools, Ints, Marketplace
from interest_lib.marketplace_truth import AGES, GENDERS, REGIONS, SEGMENT, World
from interest_lib.schema import EVENTS


@dataclass(frozen=True)
class Counts:
    """What is counted over blocks.

    Attributes
    ----------
    events : ndarray of int, one a kind of event
    departures : ndarray of int, shape (2, n_segments, n_categories)
        Episodes that were followed by another within the log, by era of that other one.
    transitions : ndarray of int, shape (2, n_categories, n_categories)
        Consecutive episodes of a user.
    """

    events: Ints
    departures: Ints
    transitions: Ints

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.events + other.events,
            self.departures + other.departures,
            self.transitions + other.transitions,
        )


def count(world: World, block: Block) -> Counts:
    """Count a block; episodes from before the log count as left, not as reached."""
    part, c, n_segments = block.episodes, world.settings.n_categories, world.taste.shape[1]
    seen = (part["before"] >= 0) & (part["start"] >= 0)
    era, before, after, seg = (part[name][seen] for name in ("era", "before", "category", "segment"))
    departures = np.bincount((era * n_segments + seg) * c + before, minlength=2 * n_segments * c)
    transitions = np.bincount((era * c + before) * c + after, minlength=2 * c * c)
    return Counts(
        events=np.bincount(block.events["event"], minlength=len(EVENTS)),
        departures=departures.reshape(2, n_segments, c),
        transitions=transitions.reshape(2, c, c),
    )


def _texts(codes: Ints, names: list[str] | tuple[str, ...], missing: Bools | None = None) -> pa.Array:
    indices = pa.array(codes.astype(np.int32), mask=missing)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(names), pa.string()))


def _times(settings: Marketplace, seconds: Ints, missing: Bools | None = None) -> pa.Array:
    start = np.datetime64(settings.start, "us").astype(np.int64)
    return pa.array(start + seconds * 1_000_000, pa.int64(), mask=missing).cast(pa.timestamp("us"))


def _days_to_times(settings: Marketplace, days: Any) -> pa.Array:
    days = np.asarray(days, dtype=np.float64)
    known = np.isfinite(days)
    seconds = np.round(np.where(known, days, 0) * 86_400).astype(np.int64)
    return _times(settings, seconds, missing=~known)


def events_table(world: World, events: Table) -> pa.Table:
    """Events as in `schema.EVENT_COLUMNS`; ids of orders and amounts only where a shop has them."""

    def absent(*kinds: str) -> np.ndarray:
        return ~np.isin(events["event"], [EVENTS.index(kind) for kind in kinds])

    search, purchase = absent("search"), absent("purchase")
    return pa.table(
        {
            "user_id": events["user_id"],
            "item_id": pa.array(events["item_id"], mask=~search),
            "timestamp": _times(world.settings, events["seconds"]),
            "event": _texts(events["event"], EVENTS),
            "basket_id": pa.array(events["basket_id"], mask=purchase),
            "quantity": pa.array(events["quantity"], mask=absent("cart", "purchase", "return")),
            "value": pa.array(events["value"], mask=purchase),
            "query": _texts(events["query"], queries(world.catalogue), search),
            "rating": pa.array(events["rating"], mask=absent("review")),
        }
    )


def detail_tables(world: World, block: Block) -> dict[str, pa.Table]:
    """Every episode and every visit of a block; the number of an episode counts within its block."""
    names, settings = world.catalogue.categories, world.settings
    episodes, visits = block.episodes, block.visits
    return {
        "episodes": pa.table(
            {
                "user_id": episodes["user_id"],
                "episode": np.arange(len(episodes["start"])),
                "start": _days_to_times(settings, episodes["start"]),
                "end": _days_to_times(settings, episodes["end"]),
                "category": _texts(episodes["category"], names),
                "before": _texts(np.maximum(episodes["before"], 0), names, episodes["before"] < 0),
                "era": episodes["era"],
                "group": episodes["segment"] // SEGMENT,
            }
        ),
        "visits": pa.table(
            {
                "user_id": visits["user_id"],
                "episode": visits["episode"],
                "category": _texts(visits["category"], names),
                "timestamp": _times(settings, visits["seconds"]),
                "age_days": visits["age_days"],
            }
        ),
    }


def shop_tables(world: World) -> dict[str, pa.Table]:
    """The tables that a shop has itself: items, users, promotions."""
    users, catalogue, settings = world.users, world.catalogue, world.settings
    period, item = np.divmod(catalogue.promoted, settings.n_items)
    start = period * settings.promotion_days
    return {
        "items": pa.Table.from_pandas(items_table(catalogue), preserve_index=False),
        "users": pa.table(
            {
                "user_id": users["user_id"].to_numpy(),
                "age": _texts(users["age"].to_numpy(), AGES, ~users["knows_age"].to_numpy()),
                "gender": _texts(users["gender"].to_numpy(), GENDERS, ~users["knows_gender"].to_numpy()),
                "region": _texts(users["region"].to_numpy(), REGIONS),
            }
        ),
        "promotions": pa.table(
            {
                "promotion_id": np.arange(1, len(item) + 1),
                "item_id": catalogue.item_id[item],
                "start": _days_to_times(settings, start),
                "end": _days_to_times(settings, np.minimum(start + settings.promotion_days, settings.days)),
                "discount": catalogue.discount,
            }
        ),
    }


def truth_tables(world: World, counts: Counts) -> dict[str, pa.Table]:
    """The tables of the truth, as `docs/marketplace.md` lists them."""
    tables = {
        "categories": _categories(world),
        "tastes": _tastes(world),
        "transitions": _transitions(world, counts),
        "users": _users(world),
        "items": _items(world),
        "promotions": _promotions(world),
        "days": _days(world),
    }
    return {name: pa.table(columns) for name, columns in tables.items()}


def _categories(world: World) -> dict[str, Any]:
    settings, catalogue = world.settings, world.catalogue
    return {
        "category": catalogue.categories,
        "department": catalogue.departments,
        "curve": _texts(world.curve, CURVES),
        "half_life_days": world.half_life_days,
        "repeat_share": world.repeat_share,
        "cart_share": world.cart_share,
        "purchase_share": world.purchase_share,
        "women_log_odds": settings.gender_log_odds * world.gender_sign,
        "oldest_log_odds": settings.age_log_odds * world.age_sign,
        "visit_share": world.visit_mix,
    }


def _tastes(world: World) -> dict[str, Any]:
    eras, segments, c = world.taste.shape
    era, seg, category = (axis.ravel() for axis in np.indices((eras, segments, c)))
    return {
        "era": era,
        "group": seg // SEGMENT,
        "gender": _texts(seg // len(AGES) % len(GENDERS), GENDERS),
        "age": _texts(seg % len(AGES), AGES),
        "category": _texts(category, world.catalogue.categories),
        "share": world.taste.ravel(),
    }


def _transitions(world: World, counts: Counts) -> dict[str, Any]:
    """The planted matrix, and what the population as a whole has to show, given who left which category."""
    share, c = world.settings.transition_share, world.settings.n_categories
    by_taste = np.einsum("esi,esj->eij", counts.departures, world.taste)
    left = counts.departures.sum(axis=1)[:, :, None]
    expected = share * world.transition + (1 - share) * by_taste / np.maximum(left, 1)
    era, before, after = (axis.ravel() for axis in np.indices((2, c, c)))
    return {
        "era": era,
        "before": _texts(before, world.catalogue.categories),
        "after": _texts(after, world.catalogue.categories),
        "planted": world.transition.ravel(),
        "expected": np.where(left > 0, expected, np.nan).ravel(),
        "count": counts.transitions.ravel(),
    }


def _users(world: World) -> dict[str, Any]:
    users, settings = world.users, world.settings
    moved, taken = (np.isfinite(users[name].to_numpy()) for name in ("move_day", "takeover_day"))
    return {
        "user_id": users["user_id"].to_numpy(),
        "group": users["group"].to_numpy(),
        "gender": _texts(users["gender"].to_numpy(), GENDERS),
        "age": _texts(users["age"].to_numpy(), AGES),
        "joined": _days_to_times(settings, users["joined"]),
        "activity": users["activity"].to_numpy(),
        "moved": _days_to_times(settings, users["move_day"]),
        "group_after": pa.array(users["group_after"].to_numpy(), mask=~moved),
        "takeover": _days_to_times(settings, users["takeover_day"]),
        "takeover_group": pa.array(users["takeover_group"].to_numpy(), mask=~taken),
    }


def _items(world: World) -> dict[str, Any]:
    catalogue = world.catalogue
    days = np.where(catalogue.introduced < 0, np.nan, catalogue.introduced)
    order = np.argsort(catalogue.item_id)
    introduced = _days_to_times(world.settings, np.ceil(days[order] * 86_400) / 86_400)
    return {
        "item_id": catalogue.item_id[order],
        "introduced": introduced,
        "popularity": catalogue.weight[order],
        "quality": catalogue.quality[order],
    }


def _promotions(world: World) -> dict[str, Any]:
    """Per promotion its planted uplift, and the factor on the item's share of views that follows from it.

    Views of favourites know no promotion, and the promoted items of a category share what they gain; hence
    ``factor = r A + (1 - r A) uplift / N`` with the share r of views that go to favourites, the share A of
    popularity that is there, and the mean N of what multiplies the odds.
    """
    catalogue, settings = world.catalogue, world.settings
    period, item = np.divmod(catalogue.promoted, settings.n_items)
    category, factor, share = catalogue.category[item], np.empty(len(item)), np.empty(len(item))
    for number in range(n_periods(settings)):
        here = period == number
        there, lifted = period_weights(
            settings, catalogue.weight, catalogue.introduced, catalogue.promoted, number
        )
        available, raised = np.bincount(catalogue.category, there), np.bincount(catalogue.category, lifted)
        kept = (world.repeat_share * available)[category[here]]
        mean = (raised / available)[category[here]]
        factor[here] = kept + (1 - kept) * settings.promotion_uplift / mean
        share[here] = factor[here] * catalogue.weight[item[here]] / available[category[here]]
    return {
        "promotion_id": np.arange(1, len(item) + 1),
        "uplift": np.full(len(item), settings.promotion_uplift),
        "share_factor": factor,
        "view_share": share,
    }


def _days(world: World) -> dict[str, Any]:
    return {
        "day": _days_to_times(world.settings, np.arange(world.settings.days)),
        "factor": world.day_factor,
    }
