"""Whose targets and which targets a slice has."""

import pandas as pd
import pytest

from interest_lib import metrics, slices
from interest_lib.schema import InputError
from interest_lib.split import Fold, fold_at


def fold() -> Fold:
    events = [(1, "a", 1), (1, "b", 1), (1, "a", 2), (2, "a", 1), (3, "c", 2), (3, "c", 3), (3, "c", 4)]
    events += [(1, "a", 6), (1, "c", 6), (2, "b", 7), (4, "a", 7)]
    log = pd.DataFrame(events, columns=["user_id", "item_id", "day"])
    log["timestamp"] = pd.to_datetime("2017-01-01") + pd.to_timedelta(log.pop("day") - 1, unit="D")
    return fold_at(log, pd.Timestamp("2017-01-05"), min_users_per_item=1)


USERS = pd.DataFrame({"user_id": [1, 2, 4, 9], "age": ["young", "old", None, "old"]})


def pairs(found: slices.Slice) -> list[tuple[int, str]]:
    return list(found.targets[["user_id", "item_id"]].itertuples(index=False, name=None))


def test_slices_divide_the_targets() -> None:
    found = slices.target_slices(fold(), cold_events=2, users=USERS, by=["age"])
    assert list(found) == ["all", "novel", "repeat", "warm", "cold", "age=old", "age=young"]
    assert pairs(found["repeat"]) == [(1, "a")]
    assert pairs(found["novel"]) == [(1, "c"), (2, "b"), (4, "a")]
    assert pairs(found["warm"]) == [(1, "a"), (1, "c")]
    assert pairs(found["cold"]) == [(2, "b"), (4, "a")]  # 4 was never seen before
    assert pairs(found["age=old"]) == [(2, "b")]
    assert {name for name, part in found.items() if part.lists == "novel"} == {"novel"}
    warmth = pairs(found["warm"]) + pairs(found["cold"])
    assert sorted(warmth) == pairs(found["all"]) == sorted(pairs(found["novel"]) + pairs(found["repeat"]))


def test_a_slice_without_a_target_is_left_out() -> None:
    found = slices.target_slices(fold(), cold_events=0)
    assert "cold" not in found and "warm" in found


def test_a_column_that_is_not_there_is_bad_input() -> None:
    with pytest.raises(InputError, match="'income'"):
        slices.target_slices(fold(), users=USERS, by=["income"])
    with pytest.raises(InputError, match="'age'"):
        slices.target_slices(fold(), by=["age"])


def test_lists_of_the_right_kind_are_scored_with_their_number_of_users() -> None:
    shown = pd.DataFrame(
        [
            ("m", "all", 1, "a", 1),
            ("m", "all", 2, "a", 1),
            ("m", "novel", 1, "c", 1),
            ("o", "all", 4, "a", 1),
        ],
        columns=["model", "slice", "user_id", "item_id", "rank"],
    )
    found = slices.target_slices(fold(), cold_events=2)
    by_slice = slices.slice_scores(shown, found, k=1, n_items=3).groupby(level=["slice", "model"])
    table = by_slice.mean().assign(n=by_slice.size())
    assert table.loc[("all", "m"), ["hit_rate", "n"]].tolist() == [pytest.approx(1 / 3), 3]
    assert table.loc[("novel", "m"), ["hit_rate", "n"]].tolist() == [pytest.approx(1 / 3), 3]
    assert table.loc[("repeat", "m"), ["hit_rate", "n"]].tolist() == [1, 1]
    assert table.loc[("cold", "o"), ["hit_rate", "n"]].tolist() == [0.5, 2]
    assert ("novel", "o") not in table.index
    per_user = slices.slice_scores(shown, found, k=1)["ndcg"].xs("m", level="model")
    ndcg = metrics.ndcg_by_slice(shown[shown["model"] == "m"], fold(), k=1)
    for which in ("all", "novel"):
        expected = ndcg[which, "m"].dropna()
        assert per_user[which].to_dict() == expected.to_dict()


def test_no_list_for_any_slice_is_bad_input() -> None:
    shown = pd.DataFrame({"model": "m", "slice": "mine", "user_id": [1], "item_id": ["a"], "rank": [1]})
    with pytest.raises(InputError, match="lists of the kind"):
        slices.slice_scores(shown, slices.target_slices(fold()))
