"""A shop that shows recommendations: who clicks what, and what is viewed then."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interest_lib.feedback import Shop, open_shop, react, with_clicks
from interest_lib.feedback_appeal import appeal, favourites
from interest_lib.feedback_scores import true_ndcg
from interest_lib.marketplace_settings import Marketplace
from interest_lib.schema import InputError

SETTINGS = Marketplace(n_users=150, n_items=400, events_per_user=200)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return open_shop(SETTINGS)


def fortnight(shop: Shop) -> np.ndarray:
    return np.flatnonzero(shop.visits["day"].between(300, 313).to_numpy())


def one_list(shop: Shop, items: np.ndarray) -> pd.DataFrame:
    """The same items, by inner number, for everybody."""
    n_users = SETTINGS.n_users
    return pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(1, n_users + 1), len(items)),
            "item_id": np.tile(shop.world.catalogue.item_id[items], n_users),
            "rank": np.tile(np.arange(1, len(items) + 1), n_users),
        }
    )


def test_views_are_of_the_category_of_their_visit(shop: Shop) -> None:
    category = shop.world.catalogue.category[shop.views["item"]]
    assert (category == shop.visits["category"].to_numpy()[shop.views["visit"]]).all()
    assert (shop.inner(shop.views["item_id"]) == shop.views["item"]).all()
    per_visit = len(shop.views) / len(shop.visits)
    assert per_visit == pytest.approx(SETTINGS.views_per_visit, rel=0.05)


def test_appeal_is_the_planted_chance_to_be_viewed(shop: Shop) -> None:
    """Of two items of a category, that with twice the appeal is viewed twice as often."""
    late = shop.views[shop.views["timestamp"] > shop.moment(200)]
    world = shop.world
    user_id, item = late["user_id"].to_numpy(), late["item"].to_numpy()
    shifted = item + 1
    same = (shifted < SETTINGS.n_items) & (world.catalogue.introduced[item] < 0)
    shifted = np.minimum(shifted, SETTINGS.n_items - 1)
    same &= (world.catalogue.category[shifted] == world.catalogue.category[item]) & (
        world.catalogue.introduced[shifted] < 0
    )
    day = np.full(same.sum(), 300)
    here, beside = (appeal(world, user_id[same], which[same], day) for which in (item, shifted))
    # viewed items are drawn by appeal, so the mean of other / own is one if appeal is proportional to chance
    assert (beside / here).mean() == pytest.approx(1.0, abs=0.06)
    assert here.max() <= 1.0


def test_a_favourite_appeals_more_and_what_is_not_there_does_not(shop: Shop) -> None:
    world = shop.world
    category = np.full(100, int(np.argmax(world.repeat_share)))
    user_id = np.arange(1, 101)
    own = favourites(world, user_id, category, 0)
    others = np.roll(own, 1)
    there = world.catalogue.introduced[own] < 0
    mine = appeal(world, user_id, own, np.full(100, 391))
    theirs = appeal(world, user_id, others, np.full(100, 391))
    assert mine.mean() > 2 * theirs.mean()
    early = appeal(world, user_id, own, np.zeros(100, int))
    assert (early[there] > 0).all()
    assert (early[~there] == 0).all()


def test_clicks_come_with_the_planted_chance(shop: Shop) -> None:
    items = np.flatnonzero(shop.world.catalogue.introduced < 0)[::13][:10]
    clicks, expected = [], []
    for seed in range(30):
        found = react(shop, fortnight(shop), one_list(shop, items), seed)
        clicks.append(found["clicked"].sum())
        expected.append((found["appeal"] / np.log2(found["rank"] + 1)).sum())
    assert np.mean(clicks) == pytest.approx(np.mean(expected), abs=4 * np.std(clicks) / np.sqrt(30))
    about = shop.visits["category"].to_numpy()[found["visit"]]
    assert (about == shop.world.catalogue.category[found["item"]]).all()


def test_luck_is_common_to_all_arms(shop: Shop) -> None:
    items = np.flatnonzero(shop.world.catalogue.introduced < 0)[:40:4]
    some = react(shop, fortnight(shop), one_list(shop, items[:5]), 7)
    more = react(shop, fortnight(shop), one_list(shop, items), 7)
    pd.testing.assert_frame_equal(some, more[more["rank"] <= 5].reset_index(drop=True))
    other = react(shop, fortnight(shop), one_list(shop, items), 8)
    assert (other["clicked"] != more["clicked"]).any()


def test_the_first_place_is_clicked_most(shop: Shop) -> None:
    items = np.flatnonzero(shop.world.catalogue.introduced < 0)[:10]
    n_clicks = []
    for order in (items, items[::-1]):
        found = [react(shop, np.arange(len(shop.visits)), one_list(shop, order), seed) for seed in range(10)]
        n_clicks.append(sum((one["clicked"] & (one["item"] == items[0])).sum() for one in found))
    straight, turned = n_clicks
    assert turned / straight == pytest.approx(1 / np.log2(11), abs=0.08)


def test_a_click_takes_the_time_of_an_own_view(shop: Shop) -> None:
    visits = fortnight(shop)
    clicked = react(shop, visits, one_list(shop, np.arange(0, 400, 40)), 1).query("clicked")
    assert len(clicked) > 10
    without, with_ = with_clicks(shop, visits, clicked.iloc[:0]), with_clicks(shop, visits, clicked)
    own = shop.views[shop.views["visit"].isin(visits)]
    assert len(without) == len(own)
    surplus = (clicked.groupby("visit").size() - own.groupby("visit").size()).clip(lower=0).sum()
    assert len(with_) == len(own) + surplus
    added = with_.merge(clicked[["user_id", "item"]].drop_duplicates())
    assert len(added) >= len(clicked)
    assert with_["timestamp"].is_monotonic_increasing


def test_the_best_list_scores_one_and_a_turned_one_less() -> None:
    shop = open_shop(replace(SETTINGS, new_item_share=0.0))
    visits = fortnight(shop)
    met = shop.visits.loc[visits]
    rows = []
    for user_id, part in met.groupby("user_id"):  # the plainest way to the best list: score everything
        everything = np.arange(SETTINGS.n_items)
        n = part["category"].value_counts().reindex(range(40), fill_value=0).to_numpy()
        day = np.full(SETTINGS.n_items, met["day"].min())
        gain = appeal(shop.world, np.full(SETTINGS.n_items, user_id), everything, day)
        best = np.argsort(-gain * n[shop.world.catalogue.category], kind="stable")[:10]
        rows += [(user_id, shop.world.catalogue.item_id[item], rank) for rank, item in enumerate(best, 1)]
    best_lists = pd.DataFrame(rows, columns=["user_id", "item_id", "rank"])
    best_score = true_ndcg(shop, visits, react(shop, visits, best_lists, 0))
    assert best_score.index.equals(pd.Index(np.sort(met["user_id"].unique())))
    assert best_score.min() == pytest.approx(1.0)
    turned = best_lists.assign(rank=11 - best_lists["rank"])
    assert (true_ndcg(shop, visits, react(shop, visits, turned, 0)) < 0.95).all()


def test_items_from_elsewhere_are_refused(shop: Shop) -> None:
    with pytest.raises(InputError, match="not in the shop"):
        react(shop, fortnight(shop), pd.DataFrame({"user_id": [1], "item_id": [401], "rank": [1]}), 0)
