"""Protocol P5: what is foretold, how it is scored, and that no half judges what it chose."""

import math
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from interest_lib import next_basket
from interest_lib.history import History
from interest_lib.metrics import ndcg_at_k, recall_at_k
from interest_lib.recommend import PersonalFrequency, RecentPopularity
from interest_lib.schema import InputError


@pytest.fixture(scope="module")
def log(shop: pd.DataFrame) -> pd.DataFrame:
    number = shop.groupby("user_id")["timestamp"].rank("dense").astype(int)
    events = shop[["user_id", "item_id"]].assign(basket_number=number)
    return events.sort_values(["basket_number", "user_id", "item_id"], ignore_index=True)


def test_the_last_basket_is_the_target_and_every_item_counts(log: pd.DataFrame) -> None:
    rare = log.copy()
    rare.loc[rare.index[-1], "item_id"] = 777  # only in the very last basket
    fold = next_basket.last_basket_fold(rare)
    last = rare.groupby("user_id")["basket_number"].transform("max") == rare["basket_number"]
    wanted = rare.loc[last, ["user_id", "item_id"]].drop_duplicates()
    assert len(fold.targets) == len(wanted) == len(fold.targets.merge(wanted))
    assert 777 in set(fold.targets["item_id"]) and 777 not in fold.history.item_ids
    assert len(fold.history.rows) == (~last).sum()
    known = rare.loc[~last, ["user_id", "item_id"]].drop_duplicates()
    assert len(fold.targets.merge(known)) == (~fold.targets["novel"]).sum()


def test_the_basket_before_is_foretold_without_the_last_one(log: pd.DataFrame) -> None:
    fold = next_basket.last_basket_fold(log, 2)
    last = log.groupby("user_id")["basket_number"].transform("max") == log["basket_number"]
    changed = log.assign(item_id=log["item_id"].where(~last, 999))
    other = next_basket.last_basket_fold(changed, 2)
    pd.testing.assert_frame_equal(fold.targets, other.targets)
    pd.testing.assert_index_equal(fold.history.item_ids, other.history.item_ids)
    np.testing.assert_array_equal(fold.history.cols, other.history.cols)


def test_a_log_without_enough_baskets_is_refused(log: pd.DataFrame) -> None:
    for n_hidden in (0, 99):
        with pytest.raises(InputError, match="more baskets"):
            next_basket.last_basket_fold(log, n_hidden)


def test_the_ideal_holds_all_targets() -> None:
    lists = pd.DataFrame({"user_id": 1, "item_id": list("abc"), "rank": [1, 2, 3]})
    truth = pd.DataFrame({"user_id": 1, "item_id": list("acxyz")})
    gain = 1 + 1 / math.log2(4)
    ideal = sum(1 / math.log2(place + 1) for place in range(1, 6))
    assert next_basket.ndcg_of_all_targets(lists, truth, 3)[1] == pytest.approx(gain / ideal, abs=1e-12)
    assert ndcg_at_k(lists, truth, 3)[1] > gain / ideal
    # with no more targets than places the two definitions agree
    few = truth.iloc[:2]
    assert next_basket.ndcg_of_all_targets(lists, few, 3)[1] == pytest.approx(ndcg_at_k(lists, few, 3)[1])


def test_halves_share_nobody_and_miss_nobody() -> None:
    users = pd.Index(range(101))
    parts = next_basket.halves(users, seed=4)
    assert sorted([*parts["first"], *parts["second"]]) == list(users)
    assert abs(len(parts["first"]) - len(parts["second"])) == 1
    assert not parts["first"].equals(next_basket.halves(users, seed=5)["first"])


class Spy(RecentPopularity):
    """Remembers with which setting it scored whom."""

    asked: ClassVar[list[tuple[str, list[int], History]]] = []

    def __init__(self, chosen_on: str = "nothing") -> None:
        self.chosen_on = chosen_on

    def recommend(self, user_ids: object, k: int = 10, exclude_seen: bool = False) -> pd.DataFrame:
        self.asked.append((self.chosen_on, list(user_ids), self.history_))  # type: ignore[call-overload]
        return super().recommend(user_ids, k, exclude_seen)  # type: ignore[arg-type]


def test_no_half_is_scored_with_what_it_chose(log: pd.DataFrame) -> None:
    fold = next_basket.last_basket_fold(log)
    tuned = {"spy": {half: {"chosen_on": half} for half in next_basket.HALVES}}
    table = next_basket.scored_both_ways(fold, {"spy": Spy, "own": PersonalFrequency}, tuned, seed=6)
    parts = next_basket.halves(fold.user_ids, 6)
    assert [(chosen, users) for chosen, users, _ in Spy.asked] == [
        ("second", list(parts["first"])),
        ("first", list(parts["second"])),
    ]
    assert all(history is fold.history for _, _, history in Spy.asked)  # fitted on everybody
    whole = PersonalFrequency().fit(fold.history).recommend(fold.user_ids)
    wanted = recall_at_k(whole, fold.targets)
    found = table["recall", "own"].droplevel("half").sort_index()
    pd.testing.assert_series_equal(found, wanted, check_names=False)
    assert set(table.columns) == {(m, n) for m in ("recall", "ndcg") for n in ("spy", "own")}
