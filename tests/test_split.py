"""Rolling origins, coded histories and targets."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.history import history_before
from interest_lib.schema import InputError
from interest_lib.split import fold_at, folds, quarters, rolling_origins, sample_users


def log(rows: list[tuple[object, object, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    return table.assign(timestamp=pd.to_datetime(table["timestamp"])).sort_values(
        "timestamp", ignore_index=True
    )


def test_origins_are_a_horizon_apart_and_leave_out_the_unfinished_last_day() -> None:
    events = log([(1, "a", "2017-01-01 11:53"), (1, "a", "2018-01-01 04:01")])
    origins = rolling_origins(events, horizon_days=28, n_origins=4)
    assert [f"{o:%m-%d}" for o in origins] == ["12-04", "11-06", "10-09", "09-11"]


def test_only_origins_with_a_horizon_of_history_come_back() -> None:
    events = log([(1, "a", "2017-01-01"), (1, "a", "2017-04-01")])
    assert len(rolling_origins(events, horizon_days=28, n_origins=9)) == 2
    with pytest.raises(InputError, match="too short for one horizon of 60 days"):
        rolling_origins(events, horizon_days=60, n_origins=1)


def test_vocabulary_counts_distinct_users_before_the_origin_only() -> None:
    events = log(
        [
            (1, "twice by one", "2017-01-01"),
            (1, "twice by one", "2017-01-02"),
            (1, "by two", "2017-01-01"),
            (2, "by two", "2017-01-03"),
            (2, "late", "2017-01-01"),
            (1, "late", "2017-01-09"),
        ]
    )
    history = history_before(events, pd.Timestamp("2017-01-05"), min_users_per_item=2)
    assert list(history.item_ids) == ["by two"]
    assert history.last_seen == "2017-01-03 00:00:00"
    with pytest.raises(InputError, match="No item has 3 or more users before 2017-01-05"):
        history_before(events, pd.Timestamp("2017-01-05"), min_users_per_item=3)


def test_items_stand_in_tie_order_recent_users_first_then_id() -> None:
    events = log(
        [(u, "old hit", "2017-01-01") for u in range(9)]
        + [(u, "b", "2017-03-01") for u in range(2)]
        + [(u, "a", "2017-03-01") for u in range(2)]
        + [(0, "one user often", "2017-03-01"), (0, "one user often", "2017-03-02")]
    )
    history = history_before(events, pd.Timestamp("2017-03-10"), min_users_per_item=1)
    assert list(history.item_ids) == ["a", "b", "one user often", "old hit"]
    assert history.popularity.tolist() == [2, 2, 1, 0]


def test_fold_drops_and_counts_targets_outside_the_vocabulary_and_marks_novel_ones() -> None:
    events = log(
        [
            (1, "a", "2017-01-01"),
            (2, "a", "2017-01-01"),
            (1, "b", "2017-01-02"),
            (2, "b", "2017-01-02"),
            (1, "a", "2017-01-06"),
            (1, "a", "2017-01-07"),
            (1, "new", "2017-01-07"),
            (3, "b", "2017-01-07"),
            (2, "a", "2017-01-30"),
        ]
    )
    fold = fold_at(events, pd.Timestamp("2017-01-05"), horizon_days=7, min_users_per_item=2)
    assert fold.targets.to_numpy().tolist() == [[1, "a", False], [3, "b", True]]
    assert fold.n_targets_dropped == 1
    assert list(fold.user_ids) == [1, 3]


def test_age_is_in_fractional_days() -> None:
    history = history_before(
        log([(1, "a", "2017-01-01 12:00")]), pd.Timestamp("2017-01-02"), min_users_per_item=1
    )
    assert history.age_days.tolist() == [0.5]


def test_the_last_quarter_takes_the_rest() -> None:
    days = pd.Series(pd.date_range("2017-01-01", periods=365))
    assert np.bincount(quarters(days)).tolist() == [91, 91, 91, 92]


def test_sample_is_seeded_sorted_and_without_repetition() -> None:
    drawn = sample_users(range(1000), 100, seed=3)
    assert drawn.is_monotonic_increasing and drawn.is_unique and len(drawn) == 100
    assert drawn.equals(sample_users(range(999, -1, -1), 100, seed=3))
    assert not drawn.equals(sample_users(range(1000), 100, seed=4))


def two_kinds() -> pd.DataFrame:
    events = log(
        [
            (1, "a", "2017-01-01"),
            (1, "b", "2017-01-02"),
            (2, "a", "2017-01-02"),
            (1, "a", "2017-01-06"),
            (2, "a", "2017-01-06"),
            (2, "b", "2017-01-07"),
        ]
    )
    return events.assign(event=["view", "purchase", "purchase", "purchase", "view", "purchase"])


def test_purchases_are_foretold_and_what_was_only_viewed_is_novel() -> None:
    fold = fold_at(two_kinds(), pd.Timestamp("2017-01-05"), horizon_days=7, min_users_per_item=1)
    assert fold.targets.to_numpy().tolist() == [[1, "a", True], [2, "b", True]]
    assert fold.history.is_goal.tolist() == [False, True, True]
    assert dict(zip(fold.history.item_ids, fold.history.popularity, strict=True)) == {"a": 1, "b": 1}


def test_weights_come_from_the_log_and_are_one_without() -> None:
    weighted = two_kinds().assign(weight=[0.1, 1, 1, 1, 0.1, 1])
    fold = fold_at(weighted, pd.Timestamp("2017-01-05"), min_users_per_item=1)
    assert fold.history.weights.tolist() == [0.1, 1, 1]
    plain = fold_at(two_kinds(), pd.Timestamp("2017-01-05"), min_users_per_item=1)
    assert plain.history.weights.tolist() == [1, 1, 1]


@pytest.fixture
def ordered() -> pd.DataFrame:
    """Baskets of three users without times: 3, 2 and 1 of them."""
    rows = [(1, "a", 1), (1, "b", 1), (2, "a", 1), (3, "b", 1), (1, "a", 2), (2, "b", 2), (1, "c", 3)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "basket_number"])


def test_without_times_the_last_basket_is_the_test_and_the_one_before_it_chooses(
    ordered: pd.DataFrame,
) -> None:
    test, earlier = folds(ordered, n_folds=4, min_users_per_item=1)
    assert (test.label, earlier.label) == ("last_basket", "last_basket_but_1")
    # "c" is in no known basket, and user 3 has no history beside the target
    assert test.targets.to_numpy().tolist() == [[2, "b", True], [3, "b", True]]
    assert test.n_targets_dropped == 1
    assert earlier.targets.to_numpy().tolist() == [[1, "a", False], [2, "a", True]]
    assert len(earlier.history.rows) == 2 and test.history.age_baskets.tolist() == [1, 1, 0, 0]
    assert test.history.age_days is None


def test_a_log_in_which_nobody_comes_back_has_no_folds(ordered: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="No user has two baskets"):
        folds(ordered[ordered["basket_number"] == 1])


def test_changing_the_last_basket_changes_nothing_that_is_known(ordered: pd.DataFrame) -> None:
    last = ordered.groupby("user_id")["basket_number"].transform("max") == ordered["basket_number"]
    changed = ordered.assign(item_id=ordered["item_id"].where(~last, "zzz"))
    before, after = (folds(log, n_folds=1, min_users_per_item=1)[0].history for log in (ordered, changed))
    assert before.item_ids.equals(after.item_ids) and (before.cols == after.cols).all()
