"""Reasons: they add up to the score, name the right evidence, and say in words what happened."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.content import ContentInterest
from interest_lib.ease import EASE
from interest_lib.explain import explain, sentences
from interest_lib.explain_interests import ALIKE, MOVES, STAYS
from interest_lib.explain_parts import NOBODY, OTHERS, OWN, POPULAR, REST, TOGETHER, score_parts
from interest_lib.factorisation import ALS, LightFMWarp
from interest_lib.history import History, history_before, history_but_baskets
from interest_lib.item_neighbours import ItemNeighbours
from interest_lib.migrated import MigratedInterest
from interest_lib.recommend import NearestUsers, PersonalFrequency, RecentPopularity, ScoringRecommender
from interest_lib.schema import InputError

ORIGIN = pd.Timestamp("2017-05-20")
KINDS = pd.Series({item: f"kind {item % 6}" for item in range(58)})  # two items are of no kind
TEXTS = pd.Series({item: f"kind{item % 6} shade{item % 7} item" for item in range(60)})
MODELS: dict[str, ScoringRecommender] = {
    "popular": RecentPopularity(),
    "personal": PersonalFrequency(30.0),
    "neighbours": NearestUsers(30.0, n_neighbours=10, own_weight=0.7),
    "ease": EASE(ridge=10.0, half_life_days=30.0, n_items=40),
    "items": ItemNeighbours("bm25", n_neighbours=20, half_life_days=30.0),
    "stays": MigratedInterest(KINDS, "none", n_moves=2),
    "markov": MigratedInterest(KINDS, "markov", n_moves=2),
    "softmax": MigratedInterest(KINDS, "softmax", n_moves=2, rank=2),
    "content": ContentInterest(TEXTS, "terms", half_life_days=30.0, popularity_weight=0.1),
    "als": ALS(n_factors=8, alpha=3.0, random_state=1),
    "als_decay": ALS(n_factors=8, weights="counts", half_life_days=30.0, random_state=1),
}


@pytest.fixture(scope="module")
def history(shop: pd.DataFrame) -> History:
    return history_before(shop, ORIGIN)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_reasons", [2, None])
def test_amounts_add_up_to_the_score(history: History, name: str, n_reasons: int | None) -> None:
    model = MODELS[name].fit(history)
    users = history.user_ids[:30]
    lists = pd.concat([model.recommend(users, k=5), model.recommend(users, k=5, exclude_seen=True)])
    lists = lists.drop_duplicates(["user_id", "item_id"])
    reasons = explain(model, lists, n_reasons=n_reasons)
    pair = ["user_id", "item_id"]
    total = reasons.groupby(pair)["amount"].sum()
    assert len(total) == len(lists)
    assert np.allclose(total[pd.MultiIndex.from_frame(lists[pair])], lists["score"], rtol=0, atol=1e-9)
    if n_reasons is not None:
        assert reasons.groupby(pair).size().max() <= n_reasons + reasons["reason"].nunique()


def test_a_count_is_told_as_it_was(shop: pd.DataFrame, history: History) -> None:
    model = PersonalFrequency(30.0).fit(history)
    told = explain(model, model.recommend([3], k=1)).iloc[0]
    own = shop[(shop.user_id == 3) & (shop.item_id == told.item_id) & (shop.timestamp < ORIGIN)]
    days = (ORIGIN - own.timestamp.max()).total_seconds() / 86_400
    ago = f"{round(days)} day{'s' if round(days) != 1 else ''} ago"
    assert told.detail == f"bought {len(own)} times, last {ago}; half-life 30 days"
    assert (told.reason, told.source_user, told.source_item) == (OWN, 3, told.item_id)


def test_taste_is_borrowed_from_those_who_have_it(history: History) -> None:
    model = NearestUsers(30.0, n_neighbours=10).fit(history)
    reasons = explain(model, model.recommend(history.user_ids[:10], exclude_seen=True), n_reasons=None)
    assert set(reasons["reason"]) <= {OTHERS, POPULAR}
    lent = reasons[reasons["reason"] == OTHERS]
    rows = history.user_ids.get_indexer(lent["source_user"].astype(int))
    cols = history.item_ids.get_indexer(lent["item_id"])
    interest = np.asarray(model.interest_[rows, cols]).ravel()
    assert np.allclose(lent["weight"] * interest, lent["amount"])
    assert (lent["source_user"] != lent["user_id"]).all()
    assert lent["detail"].str.startswith("user ").all()


def test_ease_names_what_the_user_had(history: History) -> None:
    model = EASE(ridge=10.0, n_items=40).fit(history)
    names = pd.Series({item: f"thing {item}" for item in history.item_ids})
    reasons = explain(model, model.recommend([5], k=3), names, n_reasons=None, verb="viewed")
    had = history.item_ids[np.unique(history.cols[history.rows == history.user_ids.get_loc(5)])]
    assert set(reasons["reason"]) == {TOGETHER}
    assert set(reasons["source_item"]) <= set(had)
    first = reasons.iloc[0]
    assert first.detail.startswith(f"thing {first.source_item} (weight ")
    assert ": viewed " in first.detail


def test_what_als_leaves_unexplained_is_small(history: History) -> None:
    reasons = explain(MODELS["als_decay"].fit(history), MODELS["als_decay"].recommend(history.user_ids[:30]))
    size = reasons["amount"].abs().groupby(reasons["reason"]).sum()
    assert size[REST] < 0.1 * size[TOGETHER] + 0.1 * size[OWN]


def test_the_largest_reasons_stand_alone_and_come_first(history: History) -> None:
    model = MODELS["neighbours"].fit(history)
    lists = model.recommend(history.user_ids[:5], k=4)
    every, few = explain(model, lists, n_reasons=None), explain(model, lists, n_reasons=3)
    for _, group in every.groupby(["user_id", "item_id"], sort=False):
        assert group["amount"].abs().is_monotonic_decreasing
    first = every.groupby(["user_id", "item_id"], sort=False).head(3)
    alone = few[few["weight"].notna()]
    pd.testing.assert_frame_equal(alone.reset_index(drop=True), first.reset_index(drop=True))
    pair = ["user_id", "item_id"]
    assert few.groupby(pair)["n_parts"].sum().equals(every.groupby(pair)["n_parts"].sum())
    assert few[pair].drop_duplicates().values.tolist() == lists[pair].values.tolist()


def test_nobody_and_nothing_known_still_get_a_reason(history: History) -> None:
    model = MODELS["personal"].fit(history)
    lists = pd.concat([model.recommend([-5], k=2), model.recommend([3], k=50)], ignore_index=True)
    reasons = explain(model, lists)
    unknown = reasons[reasons["user_id"] == -5]
    assert unknown["reason"].tolist() == [POPULAR, POPULAR]
    assert (unknown["amount"] == 0).all()
    assert unknown["detail"].iloc[0] == f"of {history.popularity[0]:g} users lately"
    assert set(reasons.loc[reasons["user_id"] == 3, "reason"]) == {OWN, POPULAR}


def test_a_log_without_times_tells_baskets() -> None:
    log = pd.DataFrame({"user_id": [1, 1, 1], "item_id": ["a", "b", "b"], "basket_number": [1, 1, 2]})
    model = PersonalFrequency(half_life_baskets=2.0)
    model.fit(history_but_baskets(log, n_hidden=0, min_users_per_item=1))
    told = explain(model, model.recommend([1])).set_index("item_id")["detail"]
    assert told["a"] == "bought once, last 1 basket ago; half-life 2 baskets"
    assert told["b"] == "bought 2 times, last 0 baskets ago; half-life 2 baskets"


def test_looks_are_not_told_as_purchases() -> None:
    log = pd.DataFrame(
        {
            "user_id": 1,
            "item_id": ["a", "a", "a", "b"],
            "event": ["view", "view", "purchase", "view"],
            "timestamp": pd.to_datetime(["2017-01-01", "2017-01-02", "2017-01-03", "2017-01-05"]),
        }
    )
    model = PersonalFrequency().fit(history_before(log, pd.Timestamp("2017-01-06"), min_users_per_item=1))
    told = explain(model, model.recommend([1])).set_index("item_id")["detail"]
    assert told["a"] == "bought once, last 3 days ago"
    assert told["b"] == "seen once, last 1 day ago"


def test_sentences_tell_the_largest_kinds(history: History) -> None:
    model = MODELS["neighbours"].fit(history)
    lists = model.recommend(history.user_ids[:3], k=2)
    reasons = explain(model, lists)
    text = sentences(reasons)
    assert text.index.tolist() == list(zip(lists["user_id"], lists["item_id"], strict=True))
    pair = reasons[(reasons["user_id"] == lists["user_id"][0]) & (reasons["item_id"] == lists["item_id"][0])]
    share = pair.loc[pair["reason"] == OWN, "amount"].sum() / pair["amount"].sum()
    assert f"Bought before ({100 * share:.0f} %): bought " in text.iloc[0]
    assert (sentences(reasons, n_kinds=1).str.count("%") == 1).all()


def test_what_cannot_be_told_is_said(history: History) -> None:
    model = LightFMWarp(n_factors=4, n_epochs=1).fit(history)
    with pytest.raises(InputError, match="LightFMWarp cannot tell its reasons"):
        explain(model, model.recommend([3]))
    with pytest.raises(InputError, match="Item 999 is not in the vocabulary"):
        explain(MODELS["popular"].fit(history), pd.DataFrame({"user_id": [3], "item_id": [999]}))


def test_parts_of_nobody_have_no_source(history: History) -> None:
    parts = score_parts(MODELS["popular"].fit(history), np.array([0]), np.array([1]))
    assert parts["row"].tolist() == [NOBODY]


def test_migrated_interest_says_where_it_comes_from(history: History) -> None:
    model = MODELS["markov"].fit(history)
    reasons = explain(model, model.recommend([3], k=1), n_reasons=None)
    assert set(reasons["reason"]) == {STAYS, MOVES}
    kind = KINDS[reasons["item_id"].iloc[0]]
    stays = reasons[reasons["reason"] == STAYS].iloc[0]
    assert f"stay with {kind}, of which this is" in stays["detail"]
    moved = reasons.loc[reasons["reason"] == MOVES, "detail"]
    assert sorted(text.split("move from ")[1][:6] for text in moved) == sorted({*KINDS} - {kind})
    still = explain(MODELS["stays"].fit(history), MODELS["stays"].recommend([3], k=1), n_reasons=None)
    assert still["reason"].tolist() == [STAYS]


def test_content_names_what_reads_alike(history: History) -> None:
    model = MODELS["content"].fit(history)
    reasons = explain(model, model.recommend([3], k=1), n_reasons=None)
    assert {ALIKE, POPULAR} <= set(reasons["reason"]) <= {OWN, ALIKE, POPULAR}
    alike = reasons[reasons["reason"] == ALIKE].iloc[0]
    assert alike["detail"].startswith(f"{alike['source_item']} (weight ")
