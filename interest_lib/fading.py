"""A transfer to new users that fades by itself: others' habits are the prior, own baskets the evidence."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.basket_habits import LARGEST_CHANCE, SMALLEST_CHANCE, BasketPrior, own_baskets
from interest_lib.borrowing import borrowed_interest
from interest_lib.history import Floats, Ints
from interest_lib.newcomers import Scorer
from interest_lib.transfer import NewUserTask

TRUST: Final = 0.5  # weight of a category's own log strength against the one common to all


def transfer_strength(fitted_baskets: Floats, common_baskets: float, trust: float = TRUST) -> Floats:
    """Strength that a transfer uses: each category's own, drawn to one common strength.

    The likelihood knows neither neighbours nor that a habit may be new; how strong a prior has to be for a
    good list is therefore partly a setting.

    Parameters
    ----------
    fitted_baskets : ndarray of float
        Strength of every category, from `basket_prior`.
    common_baskets : float
        The common strength, in baskets; `inf` leaves the own ones without a say.
    trust : float in [0, 1]
        Weight of the category's own strength, on the scale of logarithms.

    Examples
    --------
    >>> transfer_strength(np.array([5.0, 80.0]), 20.0).round(1).tolist()
    [10.0, 40.0]
    """
    return np.exp(trust * np.log(fitted_baskets) + (1 - trust) * np.log(common_baskets))


def borrowed_share(strength_baskets: Floats | float, n_baskets: Floats | int) -> Floats:
    """Weight of what is borrowed once `n_baskets` are known: ``s / (s + n)``.

    Examples
    --------
    >>> borrowed_share(np.array([5.0, 20.0]), 5)
    array([0.5, 0.8])
    """
    return np.asarray(strength_baskets / (strength_baskets + np.asarray(n_baskets, np.float64)))


def _matched_mean(habits: sp.csr_matrix, category: Ints, strength: Floats) -> Floats:
    """Chance per basket under which as many users have each item as really do, shape (n_items,).

    Users who have an item, not baskets that hold it: a few users with the same thing in every basket say
    little about the next user.
    """
    n_baskets = habits[:, -1].toarray().ravel()
    number, n_users = np.unique(n_baskets.astype(np.int64), return_counts=True)
    means = np.geomspace(SMALLEST_CHANCE, LARGEST_CHANCE, 100)
    expected, none = np.zeros((len(means), len(strength))), np.ones((len(means), len(strength)))
    for later in range(int(number.max(initial=0))):
        none *= 1 - means[:, None] / (1 + later / strength)
        expected += float(n_users[number == later + 1].sum()) * (1 - none)
    found = np.bincount(habits.indices, minlength=habits.shape[1])[:-1].astype(np.float64)
    matched = np.empty(len(found))
    for one in range(len(strength)):
        inside = category == one
        matched[inside] = np.interp(found[inside], expected[:, one], means)
    return matched


def category_strengths(task: NewUserTask, prior: BasketPrior, common_baskets: float) -> pd.DataFrame:
    """Transfer weight of every category, the most bought first.

    Returns
    -------
    pandas.DataFrame
        Indexed by category: ``strength_baskets`` as used, ``fitted_baskets`` as the likelihood has it, and
        ``items_per_basket`` of an average source user.
    """
    per_basket = np.bincount(task.item_category, prior.mean, len(task.categories))
    columns = {
        "strength_baskets": transfer_strength(prior.strength_baskets, common_baskets),
        "fitted_baskets": prior.strength_baskets,
        "items_per_basket": per_basket,
    }
    table = pd.DataFrame(columns, index=task.categories.rename("category"))
    return table[per_basket > 0].sort_values("items_per_basket", ascending=False, kind="stable")


def chance_of_any(mean: Floats, strength_baskets: Floats, had: Floats, n_baskets: int, ahead: int) -> Floats:
    """Chance that an item is in at least one of the next baskets, after `had` of `n_baskets` held it.

    Parameters
    ----------
    mean : ndarray of float, shape (..., n_items)
        Chance per basket beforehand.
    strength_baskets : ndarray of float, shape (n_items,)
        What that is worth in baskets; with `inf` the own ones have no say.
    had : ndarray of float, shape (..., n_items)
        Own baskets with the item.
    n_baskets, ahead : int
        Own baskets known, baskets ahead.

    Returns
    -------
    ndarray of float in [0, 1]

    Notes
    -----
    The posterior is Beta(a, b) with ``a = s m + had`` and ``a + b = s + n``; the chance of none in h baskets
    is the product of ``(b + r) / (a + b + r)`` over r < h.

    Examples
    --------
    >>> chance_of_any(np.array([0.5, 0.5]), np.array([2.0, np.inf]), np.array([1.0, 1.0]), 1, 1).round(3)
    array([0.667, 0.5  ])
    """
    own_part = had / (strength_baskets + n_baskets)
    share = mean * (1 - n_baskets / (strength_baskets + n_baskets)) + own_part  # a / (a + b)
    none, factor = np.ones_like(share), np.empty_like(share)
    for later in range(ahead):
        # (b + r) / (a + b + r) = 1 - share * (a + b) / (a + b + r); in place, as this is what takes the time
        np.multiply(share, later / (strength_baskets + n_baskets + later) - 1, out=factor)
        factor += 1
        none *= factor
    return 1 - none


def fading_transfer(
    task: NewUserTask,
    prior: BasketPrior,
    n_baskets: int,
    neighbour_weight: float = 0.5,
    common_baskets: float = 30.0,
    n_neighbours: int = 100,
    own: bool = True,
) -> Scorer:
    """The chance that a newcomer has an item in the target baskets, others' habits as the prior.

    What is borrowed weighs ``s / (s + n)`` after n own baskets, with the strength s of each category: it
    fades by itself, later where users differ less. The mean of the prior is the average user's, and leans
    to the nearest users' the more own baskets there are to find them by. The average is such that as many
    users are expected to have an item as do: with no basket known the list is popularity's, nearly.

    Parameters
    ----------
    task : NewUserTask
    prior : BasketPrior
        From `basket_prior`.
    n_baskets : int
        First baskets that are known.
    neighbour_weight : float in [0, 1]
        Weight of the nearest users in the prior when much is known; n baskets get ``n / (n + 1)`` of it.
    common_baskets : float
        Strength common to all categories, see `transfer_strength`.
    n_neighbours : int
        How many nearest users, by cosine of purchase counts.
    own : bool
        False gives what is borrowed, alone: the own baskets find the neighbours, but are no evidence.
    """
    n_evidence = n_baskets if own else 0
    had = own_baskets(task, n_evidence)
    ahead = task.target_baskets[1] - task.target_baskets[0] + 1
    by_category = transfer_strength(prior.strength_baskets, common_baskets)
    strength = by_category[task.item_category]
    leaning = neighbour_weight * n_baskets / (n_baskets + 1.0)
    borrow = borrowed_interest(task, n_baskets, prior.habits, n_neighbours)
    average = _matched_mean(prior.habits, task.item_category, by_category)

    def score(rows: Ints) -> Floats:
        mean = np.tile(average, (len(rows), 1))
        if leaning > 0:
            near = borrow(rows)  # their baskets with each item, and in the last column how many they have
            found = near[:, -1] > 0
            habits = np.minimum(near[found, :-1] / near[found, -1:], LARGEST_CHANCE)
            mean[found] += leaning * (habits - mean[found])
        return chance_of_any(mean, strength, had[rows].toarray(), n_evidence, ahead)

    return score
