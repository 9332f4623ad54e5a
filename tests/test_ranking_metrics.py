"""Metrics of ranked lists by hand; what other libraries say is in test_golden_metrics.py."""

import numpy as np
import pandas as pd
import pytest

from interest_lib import metrics
from interest_lib.ranking_metrics import accuracy_table, is_hit, squared_errors
from interest_lib.schema import InputError


def lists(*items: str, user: int = 1) -> pd.DataFrame:
    return pd.DataFrame({"user_id": user, "item_id": list(items), "rank": np.arange(1, len(items) + 1)})


def truth(*items: str, user: int = 1) -> pd.DataFrame:
    return pd.DataFrame({"user_id": user, "item_id": list(items)})


def log2(number: int) -> float:
    return float(np.log2(number))


def test_every_metric_by_hand() -> None:
    # hits at ranks 2 and 3 of a list of four, three targets, a catalogue of ten
    row = accuracy_table(lists("x", "a", "b", "y"), truth("a", "b", "c"), k=4, n_items=10).loc[1]
    gain = 1 / log2(3) + 1 / log2(4)
    expected = {
        "precision": 2 / 4,
        "recall": 2 / 3,
        "f1": 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3),
        "hit_rate": 1.0,
        "ndcg": gain / (1 + 1 / log2(3) + 1 / log2(4)),
        "map": (1 / 2 + 2 / 3) / 3,
        "mrr": 1 / 2,
        "accuracy": 7 / 10,  # x and y wrongly shown, c wrongly not
    }
    assert row.to_dict() == pytest.approx(expected)


def test_the_ideal_list_can_be_three_things() -> None:
    recommended, targets = lists("a", "x"), truth("a", "b", "c", "d")
    found = {ideal: accuracy_table(recommended, targets, 2, ideal=ideal) for ideal in ("reachable", "k")}
    over_all = accuracy_table(recommended, targets, 2, ideal="targets")
    ideal_of = [1 / log2(n + 1) for n in (1, 2, 3, 4)]
    assert found["reachable"].loc[1, "ndcg"] == pytest.approx(1 / sum(ideal_of[:2]))
    assert over_all.loc[1, "ndcg"] == pytest.approx(1 / sum(ideal_of))
    assert (found["reachable"].loc[1, "map"], over_all.loc[1, "map"]) == (1 / 2, 1 / 4)
    few = accuracy_table(lists("a", "x", "y"), truth("a"), 3, ideal="k")
    assert few.loc[1, "ndcg"] == pytest.approx(1 / sum(ideal_of[:3]))
    assert few.loc[1, "map"] == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="reachable, targets, k"):
        accuracy_table(recommended, targets, 2, ideal="best")


def test_the_order_of_the_rows_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    items = np.array(list("abcdefghijklmnop"))
    recommended = pd.concat([lists(*rng.permutation(items)[:8], user=user) for user in range(30)])
    targets = pd.concat([truth(*rng.permutation(items)[: rng.integers(1, 9)], user=u) for u in range(5, 40)])
    table = accuracy_table(recommended, targets, k=5, n_items=16)
    mixed = accuracy_table(recommended.sample(frac=1, random_state=1), targets.sample(frac=1), 5, 16)
    pd.testing.assert_frame_equal(table, mixed)
    assert list(table.index) == list(range(5, 40))
    assert not table.loc[30:, ["precision", "recall", "f1", "hit_rate", "ndcg", "map", "mrr"]].any(axis=None)
    assert ((table >= 0) & (table <= 1)).all(axis=None)


def test_the_table_agrees_with_the_single_metrics() -> None:
    rng = np.random.default_rng(4)
    items = np.array(list("abcdefghijklmnop"))
    recommended = pd.concat([lists(*rng.permutation(items)[:9], user=user) for user in range(50)])
    targets = pd.concat([truth(*rng.permutation(items)[: rng.integers(1, 9)], user=u) for u in range(50)])
    table = accuracy_table(recommended, targets, k=7)
    for name, single in (
        ("ndcg", metrics.ndcg_at_k),
        ("recall", metrics.recall_at_k),
        ("precision", metrics.precision_at_k),
    ):
        np.testing.assert_allclose(table[name], single(recommended, targets, 7), atol=1e-12)


def test_hits_are_those_of_the_same_user() -> None:
    shown = pd.concat([lists("a", "b", user=1), lists("a", "b", user=2)])
    wanted = pd.concat([truth("a", user=1), truth("b", user=2), truth("c", user=1)])
    assert is_hit(shown, wanted).tolist() == [True, False, False, True]


def test_errors_are_means_over_the_pairs_of_a_user() -> None:
    said = pd.DataFrame({"user_id": [2, 2, 1], "item_id": ["a", "b", "a"], "probability": [0.8, 0.4, 0.3]})
    table = squared_errors(said, truth("a", user=2))
    assert table.index.tolist() == [1, 2]
    assert table["mse"].tolist() == pytest.approx([0.09, (0.04 + 0.16) / 2])
    assert table["n"].tolist() == [1, 2]
