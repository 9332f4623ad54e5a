"""What users of a synthetic shop would take of what they are shown, as planted."""

from __future__ import annotations

import numpy as np

from interest_lib.history import Floats, Ints
from interest_lib.marketplace_catalogue import draw, steady_chance
from interest_lib.marketplace_truth import World


def appeal(world: World, user_id: Ints, item: Ints, day: Ints) -> Floats:
    """How readily a user who is after an item's category takes this item, between 0 and 1.

    The chance that the user's next view in the category is this item, as planted, over the highest chance
    that an item of the category can have. 0 for an item that is not there yet.

    Parameters
    ----------
    world : World
    user_id, item, day : ndarray of int, shape (n,)
        Users, inner numbers of items, whole days.

    Examples
    --------
    >>> from interest_lib.marketplace_settings import Marketplace
    >>> from interest_lib.marketplace_truth import make_world
    >>> world = make_world(Marketplace(n_users=20, n_items=100, repeat_share=(0.0, 0.0)))
    >>> best = np.argmax(world.catalogue.weight * (world.catalogue.introduced < 0))
    >>> bool(appeal(world, np.array([1]), np.array([best]), np.array([0]))[0] > 0)
    True
    """
    settings, catalogue = world.settings, world.catalogue
    category = catalogue.category[item]
    repeats = world.repeat_share[category]
    times = np.zeros(len(item))
    for which in range(settings.favourites):
        times += favourites(world, user_id, category, which) == item
    chance = repeats * times / settings.favourites + (1 - repeats) * catalogue.weight[item]
    highest = np.zeros(settings.n_categories)
    np.maximum.at(highest, catalogue.category, catalogue.weight)
    most = repeats / settings.favourites + (1 - repeats) * highest[category]
    return np.where(catalogue.introduced[item] <= day, np.minimum(chance / most, 1.0), 0.0)


def favourites(world: World, user_id: Ints, category: Ints, which: int) -> Ints:
    """One of the planted favourite items of users in categories, as inner numbers."""
    chance = steady_chance(world.settings, user_id, category, np.full(len(user_id), which))
    return draw(world.catalogue.any_time, category, chance)
