"""Recommending by content: likeness of texts, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.content import ContentInterest
from interest_lib.history import History, history_before
from interest_lib.schema import InputError

TEXTS = pd.Series(
    {
        "assam": "black tea",
        "sencha": "green tea",
        "drill": "cordless drill",
        "saw": "cordless saw",
        "none": "",
    }
)


@pytest.fixture(scope="module")
def history() -> History:
    """User 1 had tea long ago and a drill lately; user 2 had tea; all else fills the vocabulary."""
    rows = [
        (1, "assam", 1),
        (2, "assam", 2),
        (3, "sencha", 3),
        (3, "saw", 3),
        (4, "none", 4),
        (1, "drill", 90),
    ]
    log = pd.DataFrame(rows, columns=["user_id", "item_id", "day"])
    log["timestamp"] = pd.Timestamp("2017-01-01") + pd.to_timedelta(log["day"], "D")
    return history_before(log, pd.Timestamp("2017-04-05"), min_users_per_item=1)


def first_new(model: ContentInterest, history: History, user: int) -> str:
    return str(model.fit(history).recommend([user], k=1, exclude_seen=True)["item_id"].iloc[0])


@pytest.mark.parametrize("encoder", ["terms", "sentences"])
def test_what_is_like_the_own_items_comes_first(encoder: str, history: History) -> None:
    assert first_new(ContentInterest(TEXTS, encoder), history, 2) == "sencha"


def test_what_faded_says_less(history: History) -> None:
    """Tea and drill weigh alike without fading; the drill alone is left with it."""
    scores = ContentInterest(TEXTS, "terms", half_life_days=5.0).fit(history).recommend([1], k=5)
    assert scores["item_id"].tolist()[:2] == ["drill", "saw"]
    assert scores["score"].iloc[0] == pytest.approx(1.0, abs=1e-4)


def test_a_score_is_the_cosine_and_an_item_without_text_has_none(history: History) -> None:
    scores = ContentInterest(TEXTS, "terms").fit(history).recommend([2], k=5).set_index("item_id")["score"]
    model = ContentInterest(TEXTS, "terms").fit(history)
    vectors = model.vectors_.toarray()
    own, other = (vectors[history.item_ids.get_loc(item)] for item in ("assam", "sencha"))
    assert scores["sencha"] == pytest.approx(own @ other) and scores["assam"] == pytest.approx(1.0)
    assert scores["none"] == 0 and scores["drill"] == 0


def test_the_weight_of_popularity_decides_among_those_that_match_alike(history: History) -> None:
    by_text = ContentInterest(TEXTS, "terms").fit(history).recommend([2], k=5).set_index("item_id")["score"]
    model = ContentInterest(TEXTS, "terms", popularity_weight=3.0).fit(history)
    more = model.recommend([2], k=5).set_index("item_id")["score"] - by_text
    expected = 3.0 * np.log1p(pd.Series(history.popularity, history.item_ids))
    np.testing.assert_allclose(more, expected[more.index])
    assert more.max() > 0


def test_texts_of_other_items_are_refused(history: History) -> None:
    with pytest.raises(InputError, match="No item of the history has a text"):
        ContentInterest(TEXTS.add_prefix("other "), "terms").fit(history)
    with pytest.raises(InputError, match="encoder is 'words'"):
        ContentInterest(TEXTS, "words").fit(history)
