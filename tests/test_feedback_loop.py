"""Rounds of recommending and learning: what the arms have in common, and where they part."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from interest_lib import feedback_loop
from interest_lib.feedback import Shop, open_shop
from interest_lib.feedback_loop import ARMS, Feedback, feedback_logs, feedback_rounds
from interest_lib.feedback_scores import gini, loop_gain, over_logs
from interest_lib.history import History
from interest_lib.marketplace_settings import Marketplace
from interest_lib.recommend import PersonalFrequency, RecentPopularity
from interest_lib.schema import InputError

SETTINGS = Marketplace(n_users=200, n_items=400, events_per_user=200, new_user_share=0.3)


@pytest.fixture(scope="module")
def found() -> Feedback:
    return feedback_rounds(SETTINGS, PersonalFrequency(30.0), n_rounds=5)


def test_all_arms_begin_alike_and_meet_the_same_visits(found: Feedback) -> None:
    first = found.users[found.users["round"] == 0].set_index("user_id")
    same = ["visits", "clicks", "hit", "ndcg"]
    for arm in ("left_alone", "organic"):
        assert first.loc[first.arm == arm, same].equals(first.loc[first.arm == "refreshed", same]), arm
    visits = found.users.pivot(index=["round", "user_id"], columns="arm", values="visits")
    assert visits.notna().all(axis=None)
    assert (visits.nunique(axis=1) == 1).all()
    assert set(found.users["arm"]) == set(ARMS)
    assert found.users["ndcg"].between(0, 1).all()


def test_a_model_that_learns_on_pulls_away_from_one_left_alone(found: Feedback) -> None:
    known = found.users[found.users["known"]]
    gain = loop_gain(known, "refreshed", "left_alone", "ndcg", seed=1)
    assert gain.loc[0, "value"] == 0
    assert gain.loc["all", "low"] > 0
    assert gain.loc[4, "value"] > gain.loc[1, "value"]


def test_who_comes_later_is_not_known(found: Feedback) -> None:
    shop = open_shop(SETTINGS)
    start = shop.moment(SETTINGS.days - 5 * 14)
    before = set(shop.views.loc[shop.views["timestamp"] < start, "user_id"])
    assert set(found.users.loc[found.users["known"], "user_id"]) <= before
    assert not set(found.users.loc[~found.users["known"], "user_id"]) & before
    assert (~found.users["known"]).any()


def test_popularity_for_all_shows_ten_items(found: Feedback) -> None:
    popular = feedback_rounds(SETTINGS, RecentPopularity(), n_rounds=2, arms=["refreshed"]).shop.iloc[0]
    assert popular["coverage"] == approx(10 / (0.8 * 400), rel=0.3)
    assert popular["gini_shown"] > found.shop["gini_shown"].max()
    assert popular["click_share"] > 0


def test_nobody_sees_the_lists_of_the_organic_arm(found: Feedback) -> None:
    organic = found.shop[found.shop["arm"] == "organic"]
    assert (organic["click_share"] == 0).all()
    assert found.users.loc[found.users["arm"] == "organic", "clicks"].sum() > 0
    assert (found.shop.loc[found.shop["arm"] == "refreshed", "click_share"] > 0.02).all()


def test_exploring_shows_more_of_the_shop(found: Feedback) -> None:
    shown = found.shop.pivot(index="round", columns="arm", values="gini_shown")
    assert (shown["exploring"] < shown["refreshed"]).all()


def test_models_see_nothing_of_the_round_they_are_judged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Watching(PersonalFrequency):
        def _learn(self, history: History) -> None:
            seen.append(f"{history.label} {history.last_seen}")
            super()._learn(history)

    feedback_rounds(SETTINGS, Watching(), n_rounds=3, arms=["refreshed", "left_alone"])
    assert len(seen) == 4  # one arm three times, the other once
    assert all(text.split(" ", 1)[1] < text.split(" ", 1)[0] for text in seen)


def test_same_settings_same_rounds(found: Feedback) -> None:
    again = feedback_logs([SETTINGS], PersonalFrequency(30.0), n_jobs=1, n_rounds=5)
    pd.testing.assert_frame_equal(again.users.drop(columns="log"), found.users)
    pd.testing.assert_frame_equal(again.shop.drop(columns="log"), found.shop)
    assert set(again.users["log"]) == {SETTINGS.seed}
    assert over_logs(again.users, "refreshed", "left_alone", "ndcg")[SETTINGS.seed] > 0


def test_what_is_explored_is_of_the_users_categories_and_there() -> None:
    shop: Shop = open_shop(SETTINGS)
    now = feedback_loop._Arm(
        shop.views[shop.views["timestamp"] < shop.moment(200)], pd.DataFrame(), np.zeros(400), np.zeros(400)
    )
    rng = np.random.default_rng(0)
    user_id = np.repeat(np.arange(1, 201), 30)
    category = feedback_loop._categories_of(shop, now.views, user_id, rng)
    last = now.views.groupby("user_id").tail(20)
    had = set(zip(last["user_id"], shop.world.catalogue.category[last["item"]], strict=True))
    newcomers = set(user_id) - set(last["user_id"])
    assert {pair for pair in zip(user_id, category, strict=True) if pair[0] not in newcomers} <= had
    now.shown[::2] = 200.0  # half of the items was shown in vain
    item = feedback_loop._tried(shop, now, category, 200, rng)
    assert (shop.world.catalogue.category[item] == category).all()
    assert (shop.world.catalogue.introduced[item] <= 200).all()
    assert (item % 2 == 1).mean() > 0.9


@pytest.mark.parametrize("counts", [[3, 0, 1, 7, 2], [1, 1], [0, 5]])
def test_gini_is_half_the_mean_difference_over_the_mean(counts: list[int]) -> None:
    x = np.array(counts, float)
    assert gini(x) == approx(np.abs(x[:, None] - x).mean() / (2 * x.mean()))


def test_impossible_rounds_are_refused() -> None:
    model = PersonalFrequency()
    with pytest.raises(InputError, match="do not fit"):
        feedback_rounds(SETTINGS, model, n_rounds=28, round_days=14)
    with pytest.raises(InputError, match="Arm 'psychic' is unknown"):
        feedback_rounds(SETTINGS, model, arms=["psychic"])
    with pytest.raises(InputError, match="n_explored is 10"):
        feedback_rounds(SETTINGS, model, n_explored=10)
    with pytest.raises(InputError, match="Arm 'organic' is not"):
        loop_gain(pd.DataFrame({"arm": ["refreshed"]}), "refreshed", "organic", "hit", 0)
