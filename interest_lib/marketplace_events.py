"""What happens during visits to a synthetic marketplace: searches, views, carts, orders and what follows."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from interest_lib.marketplace_behaviour import DAY, Table, act
from interest_lib.marketplace_catalogue import choose_items, query_codes
from interest_lib.marketplace_truth import World
from interest_lib.schema import EVENTS

VIEW_SECONDS: Final = 60


@dataclass(frozen=True)
class Block:
    """What a block of users did.

    Attributes
    ----------
    episodes, visits
        As from `act`.
    events
        Columns of the log as arrays, seconds since the start of the log, sorted by time; what an event has
        not is zero.
    """

    episodes: Table
    visits: Table
    events: Table


def simulate(world: World, rows: slice, rng: np.random.Generator, first_basket: int) -> Block:
    """Let the users of the given rows of `World.users` act; orders are numbered from `first_basket`."""
    episodes, visits = act(world, rows, rng)
    return Block(episodes, visits, _events(world, visits, rng, first_basket))


def _events(world: World, visits: Table, rng: np.random.Generator, first_basket: int) -> Table:
    views = _views(world, visits, rng)
    searches = _searches(world, visits, views, rng)
    carts = _keep(views, rng.random(len(views["visit"])) < world.cart_share[views["category"]])
    carts["seconds"] = carts["seconds"] + rng.integers(3, 10, len(carts["visit"]))
    carts["quantity"] = 1 + rng.poisson(0.15, len(carts["visit"]))
    purchases = _purchases(world, visits, carts, rng, first_basket)
    later = [
        _later(world, purchases, rng, share, delay)
        for share, delay in (
            (world.settings.review_share, world.settings.review_delay_days),
            (world.settings.return_share, world.settings.return_delay_days),
        )
    ]
    noise = rng.normal(0, 0.8, len(later[0]["visit"]))
    later[0]["rating"] = np.clip(np.round(world.catalogue.quality[later[0]["item"]] + noise), 1, 5)
    kinds = dict(zip(EVENTS, (views, searches, carts, purchases, *later), strict=True))
    return _merged(world, visits, kinds)


def _keep(table: Table, chosen: np.ndarray) -> Table:
    return {name: values[chosen] for name, values in table.items()}


def _views(world: World, visits: Table, rng: np.random.Generator) -> Table:
    count = 1 + rng.poisson(world.settings.views_per_visit - 1, len(visits["seconds"]))
    visit = np.repeat(np.arange(len(count)), count)
    place = np.arange(len(visit)) - np.repeat(np.cumsum(count) - count, count)
    category = visits["category"][visit]
    item = choose_items(
        world.settings,
        world.catalogue,
        rng,
        user_id=visits["user_id"][visit],
        category=category,
        day=visits["seconds"][visit] / DAY,
        repeat_share=world.repeat_share[category],
    )
    pause = VIEW_SECONDS // 2 + VIEW_SECONDS * place + rng.integers(0, VIEW_SECONDS - 12, len(visit))
    return {
        "visit": visit,
        "category": category,
        "item": item,
        "seconds": visits["seconds"][visit] + pause,
        "place": place,
        "views": count[visit],
    }


def _searches(world: World, visits: Table, views: Table, rng: np.random.Generator) -> Table:
    first = np.flatnonzero(views["place"] == 0)
    searched = np.flatnonzero(rng.random(len(first)) < world.settings.search_share)
    item = views["item"][first[searched]]
    return {
        "visit": searched,
        "item": item,
        "seconds": visits["seconds"][searched],
        "query": query_codes(world.catalogue, item, rng),
    }


def _purchases(
    world: World, visits: Table, carts: Table, rng: np.random.Generator, first_basket: int
) -> Table:
    """What is bought of the carts: one order a visit, after its last view, its lines booked in turn."""
    bought = _keep(carts, rng.random(len(carts["visit"])) < world.purchase_share[carts["category"]])
    visit, item = bought["visit"], bought["item"]
    bought["seconds"] = visits["seconds"][visit] + VIEW_SECONDS * (bought["views"] + 1) + bought["place"]
    new = np.append(True, visit[1:] != visit[:-1])[: len(visit)]
    bought["basket_id"] = first_basket + np.cumsum(new) - 1
    period = bought["seconds"] // (world.settings.promotion_days * DAY)
    keys = period * world.settings.n_items + item
    place = np.minimum(np.searchsorted(world.catalogue.promoted, keys), len(world.catalogue.promoted) - 1)
    price = world.catalogue.price[item]
    if len(world.catalogue.promoted):
        promoted = world.catalogue.promoted[place] == keys
        price = np.where(promoted, price * (1 - world.catalogue.discount[place]), price)
    bought["value"] = np.round(np.round(price, 2) * bought["quantity"], 2)
    return bought


def _later(
    world: World, purchases: Table, rng: np.random.Generator, share: float, delay_days: float
) -> Table:
    chosen = _keep(purchases, rng.random(len(purchases["visit"])) < share)
    delay = rng.exponential(delay_days * DAY, len(chosen["visit"]))
    chosen["seconds"] = chosen["seconds"] + 1 + delay.astype(np.int64)
    return chosen


def _merged(world: World, visits: Table, kinds: dict[str, Table]) -> Table:
    """All events in the order of time, without those after the end of the log."""
    seconds = np.concatenate([part["seconds"] for part in kinds.values()])
    order = np.argsort(seconds, kind="stable")
    order = order[: np.searchsorted(seconds[order], world.settings.days * DAY)]

    def column(name: str, owners: tuple[str, ...], dtype: type) -> np.ndarray:
        parts: list[np.ndarray] = [
            part[name].astype(dtype) if kind in owners else np.zeros(len(part["visit"]), dtype)
            for kind, part in kinds.items()
        ]
        return np.concatenate(parts)[order]

    code = np.repeat(np.arange(len(kinds), dtype=np.int8), [len(part["visit"]) for part in kinds.values()])
    visit = column("visit", EVENTS, np.int64)
    return {
        "user_id": visits["user_id"][visit],
        "item_id": world.catalogue.item_id[column("item", EVENTS, np.int64)],
        "seconds": seconds[order],
        "event": code[order],
        "basket_id": column("basket_id", ("purchase",), np.int64),
        "quantity": column("quantity", ("cart", "purchase", "return"), np.float64),
        "value": column("value", ("purchase",), np.float64),
        "query": column("query", ("search",), np.int32),
        "rating": column("rating", ("review",), np.float64),
    }
