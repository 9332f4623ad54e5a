"""How good recommendations in a synthetic shop were, and what they did to it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from interest_lib.feedback import Shop
from interest_lib.feedback_appeal import appeal, favourites
from interest_lib.history import Floats, Ints
from interest_lib.metrics import bootstrap_mean
from interest_lib.schema import InputError


def true_ndcg(shop: Shop, visits: Ints, reactions: pd.DataFrame, k: int = 10) -> pd.Series:
    """How near lists come to the best ones that could have been shown, by the planted interest.

    The gain of an item is its `feedback_appeal.appeal` summed over the visits that are about its category,
    discounted by the chance that its place is looked at; the best list is known.

    Parameters
    ----------
    shop : Shop
    visits : ndarray of int
        Visits in which the lists were shown.
    reactions : pandas.DataFrame
        From `react`.
    k : int
        Length of the lists.

    Returns
    -------
    pandas.Series of float in [0, 1], indexed by user_id
        The users who came.
    """
    met = shop.visits.loc[visits]
    gain = reactions["appeal"] / np.log2(reactions["rank"] + 1.0)
    reached = gain.groupby(reactions["user_id"]).sum()
    best = _best_lists(shop, met, k)
    discount = 1 / np.log2(best["rank"].to_numpy() + 1.0)
    ideal = (best["gain"] * discount).groupby(best["user_id"]).sum()
    # an item that came in the middle of the period may be worth more than the best list of its start
    return (reached.reindex(ideal.index, fill_value=0.0) / ideal).clip(upper=1.0).rename("ndcg")


def _best_lists(shop: Shop, met: pd.DataFrame, k: int) -> pd.DataFrame:
    """The `k` items of highest gain for every user: favourites and the most popular of the categories met."""
    world, catalogue = shop.world, shop.world.catalogue
    need = met.groupby(["user_id", "category"], as_index=False).agg(n=("day", "size"), day=("day", "min"))
    user_id, category = (need[name].to_numpy(np.int64) for name in ("user_id", "category"))
    own = [favourites(world, user_id, category, which) for which in range(world.settings.favourites)]
    there = np.flatnonzero(catalogue.introduced <= met["day"].min())
    order = there[np.lexsort((-catalogue.weight[there], catalogue.category[there]))]
    of_category = catalogue.category[order]
    first = np.searchsorted(of_category, category)
    place = first[:, None] + np.arange(k)
    inside = place < np.searchsorted(of_category, category, side="right")[:, None]
    popular = np.where(inside, order[np.minimum(place, len(order) - 1)], -1)
    item = np.column_stack([*own, popular])
    row = np.repeat(np.arange(len(need)), item.shape[1])
    table = pd.DataFrame({"row": row, "user_id": user_id[row], "item": item.ravel()})
    table = table[table["item"] >= 0].drop_duplicates(["row", "item"])
    users, items = table["user_id"].to_numpy(), table["item"].to_numpy()
    day = need["day"].to_numpy()[table["row"]]
    table["gain"] = need["n"].to_numpy()[table["row"]] * appeal(world, users, items, day)
    table = table.sort_values(["user_id", "gain"], ascending=[True, False], kind="stable")
    table["rank"] = table.groupby("user_id").cumcount() + 1
    return table[table["rank"] <= k]


def by_user(shop: Shop, visits: Ints, reactions: pd.DataFrame, k: int) -> pd.DataFrame:
    """Visits, clicks, share of visits with a click, and `true_ndcg` of every user who came."""
    came = shop.visits["user_id"].iloc[visits]
    clicked = reactions[reactions["clicked"]]
    hits = clicked.drop_duplicates("visit").groupby("user_id").size()
    table = came.value_counts(sort=False).sort_index().rename("visits").to_frame()
    table["clicks"] = clicked.groupby("user_id").size().reindex(table.index, fill_value=0)
    table["hit"] = hits.reindex(table.index, fill_value=0) / table["visits"]
    table["ndcg"] = true_ndcg(shop, visits, reactions, k)
    return table.reset_index()


def concentration(shop: Shop, viewed: pd.DataFrame, lists: pd.DataFrame, start: int) -> dict[str, float]:
    """How unevenly views and places are spread over the items that are there."""
    catalogue = shop.world.catalogue
    there = catalogue.introduced <= start
    shown = np.bincount(shop.inner(lists["item_id"]), minlength=len(there))
    category = pd.Series(catalogue.category[shop.inner(lists["item_id"])])
    size = category.groupby(lists["user_id"].to_numpy()).size()
    alike = category.groupby([lists["user_id"].to_numpy(), category.to_numpy()]).size()
    pairs, same = (size * (size - 1)).sum(), (alike * (alike - 1)).sum()
    return {
        "gini": gini(np.bincount(viewed["item"], minlength=len(there))[there]),
        "gini_shown": gini(shown[there]),
        "coverage": float((shown[there] > 0).mean()),
        "diversity": float(1 - same / pairs),
    }


def gini(counts: Ints | Floats) -> float:
    """How unevenly something is spread: 0 where all have the same, near 1 where one has everything.

    Parameters
    ----------
    counts : ndarray, shape (n,)
        Not negative, with a positive sum.

    Examples
    --------
    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    ordered = np.sort(np.asarray(counts, dtype=np.float64))
    ranks = np.arange(1, len(ordered) + 1)
    return float(2 * (ranks @ ordered) / (len(ordered) * ordered.sum()) - (len(ordered) + 1) / len(ordered))


def loop_gain(users: pd.DataFrame, arm: str, over: str, measure: str, seed: int) -> pd.DataFrame:
    """By round, how far one arm of a feedback loop is above another.

    Parameters
    ----------
    users : pandas.DataFrame
        ``arm``, ``round``, ``user_id``, the measure, and ``log`` where there are several, such as the table
        ``users`` of `feedback_loop.Feedback`.
    arm, over : str
        Two arms.
    measure : str
        Column that is compared.
    seed : int
        Of the bootstrap: users are drawn anew, those of all logs together.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``round``: ``value``, ``low``, ``high`` of the mean difference, and ``n``; the row ``all``
        is over the rounds from 1, in which the arms can differ by what they have learned.

    Raises
    ------
    InputError
        One of the arms is not there.

    Examples
    --------
    >>> users = pd.DataFrame({"arm": ["new", "old"] * 4, "round": [0, 0, 1, 1] * 2,
    ...                       "user_id": [1] * 4 + [2] * 4, "hit": [0.1, 0.1, 0.3, 0.1] * 2})
    >>> loop_gain(users, "new", "old", "hit", seed=1)["value"].round(2).to_dict()
    {0: 0.0, 1: 0.2, 'all': 0.2}
    """
    if missing := {arm, over} - set(users["arm"]):
        raise InputError(f"Arm '{sorted(missing)[0]}' is not in the table: run the rounds with it.")
    who = [name for name in ("log", "user_id") if name in users]
    pairs = users.pivot(index=["round", *who], columns="arm", values=measure)
    difference = (pairs[arm] - pairs[over]).rename("difference").reset_index()
    slices: dict[object, pd.DataFrame] = dict(list(difference.groupby("round")))
    slices["all"] = difference[difference["round"] > 0]
    found = {
        name: vars(bootstrap_mean(part.groupby(who)["difference"].mean(), seed))
        for name, part in slices.items()
        if len(part)
    }
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("round")


def over_logs(users: pd.DataFrame, arm: str, over: str, measure: str) -> pd.Series:
    """How far one arm is above another in each log, over the rounds from 1.

    Examples
    --------
    >>> users = pd.DataFrame({"arm": ["new", "old"] * 2, "round": 1, "user_id": 1, "log": [5, 5, 6, 6],
    ...                       "hit": [0.3, 0.1, 0.2, 0.2]})
    >>> over_logs(users, "new", "old", "hit").round(2).to_dict()
    {5: 0.2, 6: 0.0}
    """
    later = users[users["round"] > 0]
    means = later.groupby(["log", "arm"])[measure].mean().unstack()
    return (means[arm] - means[over]).rename(f"{arm} over {over}")
