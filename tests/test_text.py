"""Item texts: terms, neighbours, and lists by content."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from interest_lib import text
from interest_lib.decay import decayed_counts
from interest_lib.history import History, history_before
from interest_lib.schema import InputError

TITLES = ["GREEN TEA 20 CT", "black tea 40 ct", "Toilet paper", "Kitchen paper 2 CT"]


def test_texts_join_what_is_there() -> None:
    items = pd.DataFrame({"item_id": [3, 1], "title": ["Green  TEA", None], "category": [None, "MUGS"]})
    texts = text.item_texts(items)
    assert texts.to_dict() == {3: "green tea", 1: "mugs"}
    assert text.item_texts(items.drop(columns="category")).to_dict() == {3: "green tea", 1: ""}
    with pytest.raises(InputError, match="No item has a category or a title: map a column"):
        text.item_texts(items[["item_id"]])


def test_terms_leave_out_sizes_and_copies_do_not_make_a_term_common() -> None:
    vectors, terms = text.term_vectors(TITLES, min_texts=1)
    assert {"green", "tea", "paper"} < set(terms) and not any(any(c.isdigit() for c in t) for t in terms)
    np.testing.assert_allclose(np.linalg.norm(vectors.toarray(), axis=1), 1.0)
    again, _ = text.term_vectors([*TITLES, *TITLES[:1] * 50], min_texts=1)
    np.testing.assert_allclose(again[:4].toarray(), vectors.toarray())
    np.testing.assert_allclose(again[10].toarray(), vectors[0].toarray())


def test_terms_must_be_in_enough_texts() -> None:
    _, terms = text.term_vectors(TITLES, min_texts=2)
    assert list(terms) == ["ct", "paper", "tea"]
    with pytest.raises(InputError, match="No term is in 9 texts"):
        text.term_vectors(TITLES, min_texts=9)


@pytest.mark.parametrize("wrap", [sp.csr_matrix, sp.csr_matrix.toarray])
def test_nearest_are_sorted_and_leave_out_the_item_itself(wrap: type) -> None:
    vectors = wrap(text.term_vectors(TITLES, min_texts=1)[0])
    ids = pd.Index(["green", "black", "toilet", "kitchen"])
    found = text.nearest_items(vectors, ids, "green", n=9)
    assert found["item_id"].tolist()[0] == "black" and "green" not in found["item_id"].tolist()
    assert len(found) == 3 and (np.diff(found["similarity"]) <= 0).all()
    with pytest.raises(InputError, match="no item 'white' among the 4"):
        text.nearest_items(vectors, ids, "white")


def test_an_interest_is_the_mean_of_its_items() -> None:
    points = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    interests = pd.Index(["paper", "soap", "tea"])
    found = text.interest_vectors(points, pd.Series(["tea", None, "paper"]), interests)
    assert found.tolist() == [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    assert text.interest_vectors(sp.csr_matrix(points), pd.Series(["tea"] * 3), interests)[2, 1] > 0.8


def shop() -> History:
    """User 1 drinks tea, user 2 buys paper; of two other teas the black one is popular."""
    log = pd.DataFrame(
        {
            "user_id": [1, 2, 3, 4, 3],
            "item_id": ["green", "toilet", "black", "black", "white"],
            "timestamp": pd.to_datetime(["2017-01-01"] * 4 + ["2016-01-01"]),
        }
    )
    return history_before(log, pd.Timestamp("2017-01-05"), min_users_per_item=1)


def test_content_lists_match_the_interest_and_leave_out_what_was_had() -> None:
    history = shop()
    on_tea = {"green": [1.0, 0.0], "black": [0.8, 0.6], "white": [0.8, 0.6], "toilet": [0.0, 1.0]}
    vectors = np.array([on_tea[item] for item in history.item_ids])
    everything = np.ones(len(vectors), dtype=bool)
    interest = decayed_counts(history)
    lists = text.content_lists(history, interest, vectors, pd.Index([1, 9]), everything, k=3)
    mine = lists[lists["user_id"] == 1]
    assert mine["item_id"].tolist() == ["black", "white", "toilet"]  # equal cosines go to the popular one
    np.testing.assert_allclose(mine["score"], [0.8, 0.8, 0.0], atol=1e-12)
    assert lists[lists["user_id"] == 9]["item_id"].tolist() == list(history.item_ids[:3])
    few = text.content_lists(history, interest, vectors, pd.Index([1]), history.item_ids == "white", k=3)
    assert few["item_id"].tolist() == ["white"]


def test_popularity_can_outweigh_content() -> None:
    history = shop()
    vectors = np.array(
        [[1.0, 0.0] if item in {"green", "white"} else [0.0, 1.0] for item in history.item_ids]
    )
    arguments = (history, decayed_counts(history), vectors, pd.Index([1]), np.ones(4, dtype=bool))
    first = [text.content_lists(*arguments, popularity_weight=w)["item_id"][0] for w in (0.0, 10.0)]
    assert first == ["white", "black"]
