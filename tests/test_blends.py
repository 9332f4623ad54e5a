"""Blends: both scales worked out by hand, the tie rule, and what must not be shown."""

import pandas as pd
import pytest

from interest_lib import recommend
from interest_lib.blends import Blend
from interest_lib.history import History, history_before
from interest_lib.schema import InputError

ORIGIN = pd.Timestamp("2017-06-01")
MODELS = {"own": recommend.PersonalFrequency(30.0), "popular": recommend.RecentPopularity()}


@pytest.fixture(scope="module")
def history(shop: pd.DataFrame) -> History:
    return history_before(shop, ORIGIN)


@pytest.mark.parametrize("by", ["scores", "ranks"])
def test_votes_are_added_up(history: History, by: str) -> None:
    weights = {"own": 0.7, "popular": 0.3}
    wanted: dict[int, float] = {}
    for name, model in MODELS.items():
        own = model.fit(history).recommend([3], 60)
        vote = own["score"] / own["score"].max() if by == "scores" else 1 / (60 + own["rank"])
        for item, value in zip(own["item_id"], vote, strict=True):
            wanted[item] = wanted.get(item, 0.0) + weights[name] * value
    ranked = pd.Series(wanted).loc[lambda all_items: all_items.sort_values(ascending=False).index][:10]
    found = Blend(MODELS, weights, by, depth=60).fit(history).recommend([3]).set_index("item_id")["score"]
    pd.testing.assert_series_equal(found.sort_index(), ranked.sort_index(), check_names=False)
    assert found.is_monotonic_decreasing


def test_one_model_alone_keeps_its_list_and_so_does_a_weight_of_zero(history: History) -> None:
    alone = MODELS["own"].fit(history).recommend(history.user_ids)[["user_id", "item_id", "rank"]]
    for blend in (
        Blend({"own": MODELS["own"]}),
        Blend({"own": MODELS["own"]}, by="ranks"),
        Blend(MODELS, {"own": 1.0, "popular": 0.0}),
    ):
        found = blend.fit(history).recommend(history.user_ids)
        pd.testing.assert_frame_equal(found[["user_id", "item_id", "rank"]], alone)


def test_lists_are_complete_and_new_where_that_is_asked(history: History, shop: pd.DataFrame) -> None:
    known = shop[shop["timestamp"] < ORIGIN][["user_id", "item_id"]].drop_duplicates()
    lists = Blend(MODELS, by="ranks").fit(history).recommend([*history.user_ids, 999], 5, exclude_seen=True)
    assert (lists.groupby("user_id").size() == 5).all() and lists["user_id"].nunique() == 81
    assert lists.merge(known).empty
    assert lists["user_id"].drop_duplicates().tolist() == [*history.user_ids, 999]


def test_wrong_weights_and_ways_are_refused(history: History) -> None:
    with pytest.raises(InputError, match="a weight for every model"):
        Blend(MODELS, {"own": 1.0}).fit(history)
    with pytest.raises(InputError, match="did you mean ranks"):
        Blend(MODELS, by="rank").fit(history)
