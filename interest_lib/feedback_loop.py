"""Recommend, observe, update, for several rounds: a model that learns on against one left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import pandas as pd
from joblib import delayed
from sklearn.base import clone

from interest_lib.feedback import Shop, open_shop, react, with_clicks
from interest_lib.feedback_scores import by_user, concentration
from interest_lib.history import Floats, Ints, history_before
from interest_lib.marketplace_settings import Marketplace
from interest_lib.processes import all_done
from interest_lib.recommend import Recommender
from interest_lib.schema import InputError

ARMS: Final = ("refreshed", "left_alone", "exploring", "organic")
"""What happens to the model, round after round, see `feedback_rounds`."""

N_CANDIDATES: Final = 20  # items of a category among which a place to explore chooses


@dataclass(frozen=True)
class Feedback:
    """What happened in the rounds.

    Attributes
    ----------
    users : pandas.DataFrame
        One row per ``arm``, ``round`` (from 0), ``user_id`` who came: ``known`` (had been there before
        round 0), ``visits``, ``clicks``, ``hit`` (share of the visits with a click) and ``ndcg`` (against the
        best list by planted interest, `feedback_scores.true_ndcg`).
    shop : pandas.DataFrame
        One row per ``arm`` and ``round``: ``gini`` of the views over all items there, ``gini_shown`` of the
        places in lists, ``coverage`` (share of the items that are in a list), ``diversity`` (share of pairs
        of places of a list in different categories) and ``click_share`` (of the views that come from lists).
    """

    users: pd.DataFrame
    shop: pd.DataFrame


@dataclass
class _Arm:
    """The views that an arm has seen so far, its lists, and what became of items that it showed."""

    views: pd.DataFrame
    lists: pd.DataFrame
    shown: Floats
    clicked: Floats


def feedback_rounds(
    settings: Marketplace,
    model: Recommender,
    n_rounds: int = 10,
    round_days: int = 14,
    arms: Sequence[str] = ARMS,
    n_explored: int = 2,
    k: int = 10,
    min_users_per_item: int = 2,
) -> Feedback:
    """Show recommendations in a synthetic shop, take in the reactions, and begin again.

    In every visit a user sees the list of the round; what is clicked takes the time of own views
    (`feedback.react`, `feedback.with_clicks`). All arms meet the same visits and the same luck:

    - ``refreshed``: the model is fitted at the start of each round on everything viewed in this arm so far;
    - ``left_alone``: the lists of round 0 are shown for ever;
    - ``exploring``: as refreshed, but the last places show, of the categories that the user comes for,
      items of which little is known: those with the best draw from their Beta posterior of being clicked;
    - ``organic``: as refreshed, but nobody sees the lists: what would have been clicked is only counted.

    Parameters
    ----------
    settings : Marketplace
        The shop; the rounds are the last of its days.
    model : Recommender
        Unfitted.
    n_rounds, round_days : int
    arms : sequence of str
        Out of `ARMS`.
    n_explored : int
        Places of a list that the exploring arm gives away.
    k : int
        Length of the lists.
    min_users_per_item : int
        As in `history.history_before`.

    Returns
    -------
    Feedback

    Raises
    ------
    InputError
        The log is shorter than the rounds, an arm is unknown, or there are not so many places to explore.

    Notes
    -----
    Chapelle and Li (2011), An Empirical Evaluation of Thompson Sampling, for the draws; Chaney, Stewart and
    Engelhardt (2018), How Algorithmic Confounding in Recommendation Systems Increases Homogeneity, for the
    organic arm.

    Examples
    --------
    >>> from interest_lib.recommend import PersonalFrequency
    >>> small = Marketplace(n_users=30, n_items=100, events_per_user=60)
    >>> found = feedback_rounds(small, PersonalFrequency(30.0), n_rounds=2, arms=["refreshed", "left_alone"])
    >>> found.shop[["arm", "round"]].values.tolist()
    [['refreshed', 0], ['left_alone', 0], ['refreshed', 1], ['left_alone', 1]]
    """
    _check(settings, n_rounds, round_days, arms, n_explored, k)
    shop = open_shop(settings)
    first = settings.days - n_rounds * round_days
    before = shop.views[shop.views["timestamp"] < shop.moment(first)]
    known = before["user_id"].unique()
    nothing = np.zeros(settings.n_items)
    state = {arm: _Arm(before, pd.DataFrame(), nothing.copy(), nothing.copy()) for arm in arms}
    users, shops = [], []
    for number in range(n_rounds):
        start = first + number * round_days
        here = shop.visits["day"].between(start, start + round_days - 1).to_numpy()
        visits = np.flatnonzero(here)
        for arm, now in state.items():
            if number == 0 or arm != "left_alone":
                now.lists = _lists(shop, now.views, model, start, k, min_users_per_item)
            if arm == "exploring":
                rng = np.random.default_rng([settings.seed, number])
                now.lists = _explored(shop, now, start, n_explored, k, rng)
            of_users, of_shop = _round(shop, now, visits, start, k, influence=arm != "organic")
            users.append(of_users.assign(arm=arm, round=number, known=of_users["user_id"].isin(known)))
            shops.append({"arm": arm, "round": number, **of_shop})
    return Feedback(pd.concat(users, ignore_index=True), pd.DataFrame(shops))


def feedback_logs(
    settings: Sequence[Marketplace], model: Recommender, n_jobs: int = 2, **options: object
) -> Feedback:
    """`feedback_rounds` in several shops; the tables have a column ``log``, the seed of the shop.

    Parameters
    ----------
    settings : sequence of Marketplace
        Shops of different seeds.
    model : Recommender
    n_jobs : int
        Shops worked on at the same time.
    **options
        Of `feedback_rounds`.
    """
    tasks = (delayed(feedback_rounds)(shop, model, **options) for shop in settings)
    found = all_done(tasks, n_jobs)
    pairs = list(zip(settings, found, strict=True))
    return Feedback(
        pd.concat([part.users.assign(log=shop.seed) for shop, part in pairs], ignore_index=True),
        pd.concat([part.shop.assign(log=shop.seed) for shop, part in pairs], ignore_index=True),
    )


def _lists(
    shop: Shop, views: pd.DataFrame, model: Recommender, start: int, k: int, min_users_per_item: int
) -> pd.DataFrame:
    """What the model recommends to everybody, once it has seen the views before the start of a round."""
    history = history_before(views, shop.moment(start), min_users_per_item)
    users = shop.world.users["user_id"].to_numpy()
    return cast(Recommender, clone(model)).fit(history).recommend(users, k=k)


def _round(
    shop: Shop, now: _Arm, visits: Ints, start: int, k: int, influence: bool
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Show the lists in the visits; the arm has seen what came of it afterwards."""
    reactions = react(shop, visits, now.lists, shop.world.settings.seed)
    clicks = reactions[reactions["clicked"]]
    viewed = with_clicks(shop, visits, clicks if influence else clicks.iloc[:0])
    now.views = pd.concat([now.views, viewed], ignore_index=True)
    n_items = len(now.shown)
    now.shown += np.bincount(reactions["item"], minlength=n_items)
    now.clicked += np.bincount(clicks["item"], minlength=n_items)
    of_shop = concentration(shop, viewed, now.lists, start)
    of_shop["click_share"] = len(clicks) / len(viewed) if influence else 0.0
    return by_user(shop, visits, reactions, k), of_shop


def _explored(
    shop: Shop, now: _Arm, start: int, n_explored: int, k: int, rng: np.random.Generator
) -> pd.DataFrame:
    """The lists with their last places given to items that may be better than is known."""
    kept = now.lists[now.lists["rank"] <= k - n_explored]
    user_id = np.repeat(shop.world.users["user_id"].to_numpy(), n_explored)
    place = np.tile(np.arange(k - n_explored + 1, k + 1), len(user_id) // n_explored)
    category = _categories_of(shop, now.views, user_id, rng)
    item = _tried(shop, now, category, start, rng)
    found = pd.DataFrame({"user_id": user_id, "item_id": shop.world.catalogue.item_id[item], "rank": place})
    both = pd.concat([kept, found.assign(score=0.0)]).sort_values(["user_id", "rank"], kind="stable")
    # what is in the list already is not shown twice: its second place stays empty
    return both.drop_duplicates(["user_id", "item_id"], ignore_index=True)


def _categories_of(shop: Shop, views: pd.DataFrame, user_id: Ints, rng: np.random.Generator) -> Ints:
    """A category for each user: that of one of the last 20 views; any one for who has not viewed anything."""
    last = views.groupby("user_id").tail(20)
    last = last.iloc[np.argsort(last["user_id"].to_numpy(), kind="stable")]
    owner = last["user_id"].to_numpy()
    low, high = np.searchsorted(owner, user_id), np.searchsorted(owner, user_id, side="right")
    drawn = low + np.floor(rng.random(len(user_id)) * (high - low)).astype(np.int64)
    item = last["item"].to_numpy()[np.minimum(drawn, len(last) - 1)]
    anything = rng.integers(shop.world.settings.n_categories, size=len(user_id))
    return np.where(high > low, shop.world.catalogue.category[item], anything)


def _tried(shop: Shop, now: _Arm, category: Ints, start: int, rng: np.random.Generator) -> Ints:
    """Of some items of each category the one with the best draw of its chance to be clicked (Thompson)."""
    catalogue = shop.world.catalogue
    low = np.searchsorted(catalogue.category, category)
    size = np.searchsorted(catalogue.category, category, side="right") - low
    drawn = rng.random((len(category), N_CANDIDATES)) * size[:, None]
    candidates = low[:, None] + np.floor(drawn).astype(np.int64)
    missed = now.shown[candidates] - now.clicked[candidates]
    belief = rng.beta(1 + now.clicked[candidates], 1 + missed)
    belief[catalogue.introduced[candidates] > start] = -1.0
    best = belief.argmax(axis=1)
    item: Ints = np.take_along_axis(candidates, best[:, None], axis=1)[:, 0]
    # every category has an item from before the log, but it may not be among the drawn ones
    missing = belief.max(axis=1) < 0
    return np.where(missing, low, item)


def _check(
    settings: Marketplace, n_rounds: int, round_days: int, arms: Sequence[str], n_explored: int, k: int
) -> None:
    if n_rounds < 1 or n_rounds * round_days >= settings.days:
        raise InputError(
            f"{n_rounds} rounds of {round_days} days do not fit into a log of {settings.days} days with "
            "something before them: give fewer rounds or a longer log."
        )
    if unknown := set(arms) - set(ARMS):
        raise InputError(f"Arm '{sorted(unknown)[0]}' is unknown: choose from {', '.join(ARMS)}.")
    if not 0 < n_explored < k:
        raise InputError(f"n_explored is {n_explored} of {k} places: give a number between them.")
