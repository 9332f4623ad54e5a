"""The assortment of a synthetic marketplace: names, prices, popularity, introductions, promotions, choice."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.marketplace_settings import Floats, Ints, Marketplace

NAMES: Final = {
    "grocery": ("coffee", "tea", "pasta", "chocolate", "cereal"),
    "home": ("lamp", "cushion", "towel", "vase", "candle"),
    "kitchen": ("pan", "kettle", "knife", "mug", "grill"),
    "clothing": ("shirt", "jacket", "jeans", "scarf", "sneaker"),
    "electronics": ("headphone", "camera", "tablet", "speaker", "keyboard"),
    "sports": ("bicycle", "tent", "racket", "dumbbell", "ski"),
    "books": ("novel", "cookbook", "atlas", "comic", "biography"),
    "garden": ("rose", "mower", "spade", "planter", "hose"),
}
STYLES: Final = (
    "basic",
    "classic",
    "compact",
    "family",
    "fine",
    "green",
    "light",
    "premium",
    "soft",
    "travel",
)
BRANDS: Final = (
    "alder",
    "aspen",
    "birch",
    "cedar",
    "elm",
    "hazel",
    "juniper",
    "larch",
    "linden",
    "maple",
    "oak",
    "pine",
)
FORMS: Final = 1 + len(STYLES) + len(BRANDS)  # of a query: the category alone, with a style, with a brand


@dataclass(frozen=True)
class Catalogue:
    """Items in an inner order by category, with the tables by which they are chosen.

    Attributes
    ----------
    categories, departments : list of str
        Names, one a category.
    item_id, category, style, brand : ndarray of int, one an item
    price : ndarray of float
    weight : ndarray of float
        Popularity within the category, sums to one.
    introduced : ndarray of float
        Day of introduction, counted from the start of the log; -1 if before.
    quality : ndarray of float
        Mean of the ratings before rounding.
    any_time : ndarray of float, shape (n_items,)
        Cumulated `weight`, plus the number of the category.
    by_period : ndarray of float, shape (n_periods * n_items,)
        The same for what can be had in each period of promotions, with the uplift.
    promoted, discount : ndarray
        Sorted keys ``period * n_items + item`` of the promotions, and their discounts.
    """

    categories: list[str]
    departments: list[str]
    item_id: Ints
    category: Ints
    style: Ints
    brand: Ints
    price: Floats
    weight: Floats
    introduced: Floats
    quality: Floats
    any_time: Floats
    by_period: Floats
    promoted: Ints
    discount: Floats


def category_names(count: int) -> tuple[list[str], list[str]]:
    """Names of `count` categories and of their departments.

    Examples
    --------
    >>> category_names(42)[0][-3:]
    ['hose', 'coffee 2', 'tea 2']
    """
    pairs = [(department, name) for department, names in NAMES.items() for name in names]
    rounds = [(divmod(i, len(pairs))) for i in range(count)]
    ends = [f" {turn + 1}" if turn else "" for turn, _ in rounds]
    departments = [pairs[place][0] + end for (_, place), end in zip(rounds, ends, strict=True)]
    return [pairs[place][1] + end for (_, place), end in zip(rounds, ends, strict=True)], departments


def make_catalogue(settings: Marketplace, rng: np.random.Generator) -> Catalogue:
    """Draw the assortment.

    Every category has an item from before the log, so that there is always something to choose.
    """
    n, c = settings.n_items, settings.n_categories
    extra = rng.choice(c, n - c, p=rng.dirichlet(np.full(c, 5.0)))
    category = np.sort(np.concatenate([np.arange(c), extra]))
    first = np.searchsorted(category, np.arange(c))
    ranks = _shuffled_ranks(category, first, rng)
    weight = np.power(ranks + 1.0, -settings.zipf_exponent).astype(np.float64)
    weight /= np.bincount(category, weight)[category]
    introduced = np.where(rng.random(n) < settings.new_item_share, rng.uniform(0, settings.days, n), -1.0)
    introduced[first] = -1.0
    median = np.exp(rng.normal(np.log(20), 0.8, c))
    promoted, discount = _promotions(settings, introduced, rng)
    names, departments = category_names(c)
    return Catalogue(
        categories=names,
        departments=departments,
        item_id=rng.permutation(n) + 1,
        category=category,
        style=rng.integers(len(STYLES), size=n),
        brand=rng.integers(len(BRANDS), size=n),
        price=np.maximum(np.round(median[category] * np.exp(rng.normal(0, 0.4, n)), 2), 0.5),
        weight=weight,
        introduced=introduced,
        quality=rng.normal(3.9, 0.5, n),
        any_time=_cumulated(weight, category) + category,
        by_period=_by_period(settings, category, weight, introduced, promoted),
        promoted=promoted,
        discount=discount,
    )


def _shuffled_ranks(category: Ints, first: Ints, rng: np.random.Generator) -> Ints:
    order = np.lexsort((rng.random(len(category)), category))
    ranks = np.empty(len(category), dtype=np.int64)
    ranks[order] = np.arange(len(category)) - first[category]
    return ranks


def _cumulated(weight: Floats, category: Ints) -> Floats:
    """Cumulated weights within each category, the last that counts exactly one."""
    first = np.searchsorted(category, np.arange(category[-1] + 1))
    sums = np.add.reduceat(weight, first)
    total = np.concatenate([[0.0], np.cumsum(weight)])
    share = (total[1:] - total[first][category]) / sums[category]
    # items behind the last one with a weight must not be reached, whatever the rounding
    last = np.maximum.reduceat(np.where(weight > 0, np.arange(len(weight)), -1), first)
    return np.where(np.arange(len(weight)) >= last[category], 1.0, np.minimum(share, 1.0))


def _promotions(settings: Marketplace, introduced: Floats, rng: np.random.Generator) -> tuple[Ints, Floats]:
    keys = []
    for period in range(n_periods(settings)):
        there = introduced < period * settings.promotion_days
        chosen = (rng.random(len(introduced)) < settings.promoted_share) & there
        keys.append(period * len(introduced) + np.flatnonzero(chosen))
    promoted = np.concatenate(keys)
    return promoted, np.round(rng.uniform(*settings.promotion_discount, len(promoted)), 2)


def n_periods(settings: Marketplace) -> int:
    """Number of periods of promotions in the log; the last may be cut short."""
    return -(-settings.days // settings.promotion_days)


def period_weights(
    settings: Marketplace, weight: Floats, introduced: Floats, promoted: Ints, period: int
) -> tuple[Floats, Floats]:
    """Weights of all items in a period: of those introduced until its end, without and with the uplift."""
    there = weight * (introduced < (period + 1) * settings.promotion_days)
    low, high = np.searchsorted(promoted, np.array([period, period + 1]) * len(weight))
    lifted = there.copy()
    lifted[promoted[low:high] - period * len(weight)] *= settings.promotion_uplift
    return there, lifted


def _by_period(
    settings: Marketplace, category: Ints, weight: Floats, introduced: Floats, promoted: Ints
) -> Floats:
    table = np.empty((n_periods(settings), len(weight)))
    for period in range(len(table)):
        _, lifted = period_weights(settings, weight, introduced, promoted, period)
        table[period] = _cumulated(lifted, category) + category + period * settings.n_categories
    return table.ravel()


def draw(cumulated: Floats, rows: Ints, chance: Floats) -> Ints:
    """Place in a flat table of cumulated shares, each row of which ends at its number plus one.

    Parameters
    ----------
    cumulated : ndarray of float
        Row after row, the number of the row plus shares that grow to one.
    rows : ndarray of int
        Row to draw from.
    chance : ndarray of float in [0, 1)

    Examples
    --------
    >>> draw(np.array([0.5, 1.0, 1.25, 2.0]), np.array([0, 1, 1]), np.array([0.6, 0.2, 0.3]))
    array([1, 2, 3])
    """
    return np.searchsorted(cumulated, rows + np.minimum(chance, 1 - 1e-9), side="right")


def choose_items(
    settings: Marketplace,
    catalogue: Catalogue,
    rng: np.random.Generator,
    *,
    user_id: Ints,
    category: Ints,
    day: Floats,
    repeat_share: Floats,
) -> Ints:
    """Inner numbers of the items that users look at.

    With the probability `repeat_share` one of the user's favourites in the category, which are drawn by
    popularity once and for all; otherwise, or where that favourite is not yet there, any item that is, by
    popularity and promotion.

    Parameters
    ----------
    user_id, category, day, repeat_share : ndarray, one a view
    """
    period = (day // settings.promotion_days).astype(np.int64)
    rows = period * settings.n_categories + category
    chosen = draw(catalogue.by_period, rows, rng.random(len(rows))) - period * settings.n_items
    while len(early := np.flatnonzero(catalogue.introduced[chosen] > day)):
        again = draw(catalogue.by_period, rows[early], rng.random(len(early)))
        chosen[early] = again - period[early] * settings.n_items
    again = np.flatnonzero(rng.random(len(rows)) < repeat_share)
    which = rng.integers(settings.favourites, size=len(again))
    chance = steady_chance(settings, user_id[again], category[again], which)
    favourite = draw(catalogue.any_time, category[again], chance)
    there = catalogue.introduced[favourite] <= day[again]
    chosen[again[there]] = favourite[there]
    return chosen


def steady_chance(settings: Marketplace, user_id: Ints, category: Ints, which: Ints) -> Floats:
    """The same number in [0, 1) for the same arguments (the finaliser of SplitMix64, Steele et al. 2014)."""
    place = (user_id * settings.n_categories + category) * settings.favourites + which
    mixed = place.astype(np.uint64) + np.uint64(
        (settings.seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64
    )
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def items_table(catalogue: Catalogue) -> pd.DataFrame:
    """The items as a shop would list them, in the order of their ids."""
    category = np.array(catalogue.categories)[catalogue.category]
    style, brand = np.array(STYLES)[catalogue.style], np.array(BRANDS)[catalogue.brand]
    subcategory = np.char.add(np.char.add(style, " "), category)
    table = pd.DataFrame(
        {
            "item_id": catalogue.item_id,
            "category": category,
            "department": np.array(catalogue.departments)[catalogue.category],
            "subcategory": subcategory,
            "title": np.char.add(np.char.add(brand, " "), subcategory),
            "price": catalogue.price,
            "brand": brand,
        }
    )
    table["title"] += " " + table["item_id"].astype(str)
    return table.sort_values("item_id", ignore_index=True)


def queries(catalogue: Catalogue) -> list[str]:
    """All texts that users search for: of each category its name, with each style, with each brand."""
    forms = ["{}", *(f"{style} {{}}" for style in STYLES), *(f"{brand} {{}}" for brand in BRANDS)]
    return [form.format(name) for name in catalogue.categories for form in forms]


def query_codes(catalogue: Catalogue, item: Ints, rng: np.random.Generator) -> Ints:
    """Places in `queries` of what is typed by somebody who looks for `item`: half of them the category alone,
    three in ten its style, two in ten its brand."""
    kind = rng.random(len(item))
    form = np.where(kind < 0.8, 1 + catalogue.style[item], 1 + len(STYLES) + catalogue.brand[item])
    return catalogue.category[item] * FORMS + np.where(kind < 0.5, 0, form)
