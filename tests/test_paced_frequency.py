"""The study's own next basket: every source worked out the slow way, and what switches it off."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from interest_lib.basket_models import GPTopFreq, basket_cells
from interest_lib.history import History, history_before, history_but_baskets
from interest_lib.metrics import recall_at_k
from interest_lib.next_basket import last_basket_fold
from interest_lib.paced_frequency import PacedFrequency, followed_by_itself, followers
from interest_lib.schema import InputError

N_ITEMS = 25
QUIET = {"neighbour_weight": 0.0, "follower_weight": 0.0, "popularity_weight": 0.0}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Users with two favourites each; items below 5 are bought once and never again."""
    rng = np.random.default_rng(8)
    rows = []
    for user in range(60):
        favourites = 5 + rng.choice(N_ITEMS - 5, 2, replace=False)
        once = list(rng.permutation(5))
        for number in range(1, int(rng.integers(3, 9))):
            basket = {*favourites[rng.random(2) < 0.6], int(rng.integers(5, N_ITEMS))}
            basket |= {once.pop()} if once and rng.random() < 0.7 else set()
            rows += [(user, int(item), number) for item in sorted(basket)]
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "basket_number"])
    return events.sort_values(["basket_number", "user_id", "item_id"], ignore_index=True)


@pytest.fixture(scope="module")
def history(log: pd.DataFrame) -> History:
    return history_but_baskets(log, n_hidden=0, min_users_per_item=1)


def baskets_of(log: pd.DataFrame, history: History) -> dict[int, list[set[int]]]:
    """Baskets of every user as sets of columns, the oldest first."""
    coded = log.assign(col=history.item_ids.get_indexer(log["item_id"]))
    return {
        int(user): [set(basket) for _, basket in own.groupby("basket_number")["col"]]
        for user, own in coded.groupby("user_id")
    }


def test_repeats_are_those_of_the_very_next_basket(log: pd.DataFrame, history: History) -> None:
    again, could = np.zeros(N_ITEMS), np.zeros(N_ITEMS)
    for own in baskets_of(log, history).values():
        for basket, following in pairwise(own):
            for item in basket:
                could[item] += 1
                again[item] += item in following
    cells = basket_cells(history)
    repeated, could_be = followed_by_itself(cells)
    assert np.bincount(cells.cols, repeated, N_ITEMS).tolist() == again.tolist()
    assert np.bincount(cells.cols, could_be, N_ITEMS).tolist() == could.tolist()
    mean = again.sum() / could.sum()
    model = PacedFrequency(propensity_baskets=7.0).fit(history)
    np.testing.assert_allclose(model.propensity_, (again + 7 * mean) / (could + 7))


def test_followers_are_those_of_the_very_next_basket(log: pd.DataFrame, history: History) -> None:
    pairs, had = np.zeros((N_ITEMS, N_ITEMS)), np.zeros(N_ITEMS)
    for own in baskets_of(log, history).values():
        for basket, following in pairwise(own):
            for item in basket:
                had[item] += 1
                for other in following - {item}:
                    pairs[item, other] += 1
    found = followers(basket_cells(history), empty_baskets=3.0).toarray()
    np.testing.assert_allclose(found, pairs / (had + 3)[:, None])


def test_scores_are_the_four_sources(log: pd.DataFrame, history: History) -> None:
    model = PacedFrequency(
        fade_per_basket=0.8,
        propensity_power=0.7,
        neighbour_weight=0.5,
        n_neighbours=4,
        follower_weight=0.3,
        follower_fade=0.4,
        popularity_weight=0.2,
    ).fit(history)
    own = baskets_of(log, history)
    shares, newest, counts = (np.zeros((60, N_ITEMS)) for _ in range(3))
    for user, baskets in own.items():
        for age, basket in enumerate(reversed(baskets)):
            counts[user, list(basket)] += 0.8**age
            newest[user, list(basket)] += 0.4**age
        shares[user] = counts[user] / sum(0.8**age for age in range(len(baskets)))
    distance = ((shares[:, None] - shares[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    near = np.argsort(distance, axis=1, kind="stable")[:, :4]
    popularity = np.bincount(history.cols, minlength=N_ITEMS) / sum(len(baskets) for baskets in own.values())
    cells = basket_cells(history)
    repeated, could_be = followed_by_itself(cells)
    item = (model.propensity_ / (repeated.sum() / could_be.sum())) ** 0.7
    wanted = model.pace_[:, None] * counts * item
    wanted += 0.5 * shares[near].mean(axis=1) + 0.2 * popularity
    wanted += 0.3 * newest @ followers(cells, 100.0).toarray()
    np.testing.assert_allclose(model._scores(np.arange(60)), wanted, atol=1e-12)


def test_own_counts_are_what_is_left_when_all_else_is_switched_off(history: History) -> None:
    bare = PacedFrequency(fade_per_basket=1.0, propensity_power=0.0, **QUIET).fit(history)
    wanted = GPTopFreq().fit(history).recommend(history.user_ids)
    columns = ["user_id", "item_id", "rank"]
    pd.testing.assert_frame_equal(bare.recommend(history.user_ids)[columns], wanted[columns])


def test_what_is_never_bought_again_is_not_shown_again(log: pd.DataFrame) -> None:
    fold = last_basket_fold(log)
    shown, recall = {}, {}
    for power in (0.0, 1.0):
        model = PacedFrequency(propensity_baskets=5.0, propensity_power=power, **QUIET).fit(fold.history)
        lists = model.recommend(fold.user_ids, 4)
        shown[power] = (lists["item_id"] < 5).mean()
        recall[power] = recall_at_k(lists, fold.targets, 4).mean()
    assert shown[1.0] < 0.5 * shown[0.0]
    assert recall[1.0] > recall[0.0]


def test_a_log_with_times_does_as_well(shop: pd.DataFrame) -> None:
    history = history_before(shop, pd.Timestamp("2017-06-01"))
    lists = PacedFrequency(n_neighbours=5).fit(history).recommend(history.user_ids, exclude_seen=True)
    assert (lists.groupby("user_id").size() == 10).all()
    assert lists.merge(shop[shop["timestamp"] < "2017-06-01"][["user_id", "item_id"]]).empty


def test_nobody_with_two_baskets_leaves_nothing_to_learn_and_no_error() -> None:
    once = pd.DataFrame({"user_id": [1, 2], "item_id": ["a", "a"], "basket_number": 1})
    history = history_but_baskets(once, n_hidden=0, min_users_per_item=1)
    assert np.isfinite(PacedFrequency(n_neighbours=1).fit(history)._scores(np.arange(2))).all()


def test_senseless_settings_are_refused(history: History) -> None:
    with pytest.raises(InputError, match="fade above 0"):
        PacedFrequency(fade_per_basket=1.5).fit(history)
