"""New users: what may be seen of them, and what is foretold."""

import ibis
import numpy as np
import pandas as pd
import pytest

from interest_lib import queries, transfer
from interest_lib.schema import InputError
from interest_lib.split import sample_users


@pytest.fixture(scope="module")
def events(shop: pd.DataFrame) -> pd.DataFrame:
    numbered = queries.baskets(ibis.memtable(shop)).to_pandas()
    return numbered.sort_values(["timestamp", "user_id", "item_id"], ignore_index=True).assign(weight=1.0)


@pytest.fixture(scope="module")
def held_out(events: pd.DataFrame) -> pd.Index:
    return sample_users(events["user_id"].unique(), 20, seed=1)


@pytest.fixture(scope="module")
def tables(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    users = pd.DataFrame({"user_id": np.sort(events["user_id"].unique())})
    users["age"] = np.where(users["user_id"] % 2 == 0, "young", "old")
    items = pd.DataFrame({"item_id": np.sort(events["item_id"].unique())})
    items["category"] = "c" + (items["item_id"] % 5).astype(str)
    return users, items.assign(department=None)


@pytest.fixture(scope="module")
def task(events: pd.DataFrame, held_out: pd.Index, tables: tuple) -> transfer.NewUserTask:
    return transfer.new_user_task(events, held_out, *tables)


def test_held_out_users_are_not_in_the_source_and_targets_are_later_baskets(
    events: pd.DataFrame, held_out: pd.Index, task: transfer.NewUserTask
) -> None:
    assert not task.source.user_ids.isin(held_out).any()
    assert not task.source_events["user_id"].isin(held_out).any()
    assert task.first["basket_number"].max() == 5
    later = events[events["user_id"].isin(held_out) & events["basket_number"].between(6, 25)]
    assert len(task.targets) == len(later[["user_id", "item_id"]].drop_duplicates())


@pytest.mark.parametrize(("given", "window"), [(0, (6, 25)), (5, (6, 25)), (6, (7, 26)), (10, (11, 30))])
def test_targets_start_after_what_is_given_and_keep_their_number(
    events: pd.DataFrame, held_out: pd.Index, task: transfer.NewUserTask, given: int, window: tuple
) -> None:
    wanted = events[events["user_id"].isin(held_out) & events["basket_number"].between(*window)]
    pairs = wanted[["user_id", "item_id"]].drop_duplicates().sort_values(["user_id", "item_id"])
    pd.testing.assert_frame_equal(task.targets_after(given), pairs.reset_index(drop=True))


def test_no_basket_known_means_nothing_known(task: transfer.NewUserTask) -> None:
    assert task.own_counts(0).nnz == 0
    assert task.own_counts(2).sum() == 20 * 2 * 4


def test_day_of_the_question_is_that_of_the_first_target_basket(
    events: pd.DataFrame, task: transfer.NewUserTask
) -> None:
    user = task.user_ids[3]
    eleventh = events[(events["user_id"] == user) & (events["basket_number"] == 11)]["timestamp"].min()
    assert task.asked_on(10)[user] == eleventh.normalize()


def test_source_events_are_the_events_of_the_history_row_for_row(task: transfer.NewUserTask) -> None:
    source = task.source
    assert (source.user_ids[source.rows] == task.source_events["user_id"]).all()
    assert (source.item_ids[source.cols] == task.source_events["item_id"]).all()


def test_items_without_a_category_share_one(events: pd.DataFrame, held_out: pd.Index, tables: tuple) -> None:
    users, items = tables
    some = items.assign(category=items["category"].where(items["item_id"] != 7))
    task = transfer.new_user_task(events, held_out, users, some)
    assert task.categories[task.item_category[task.source.item_ids == 7]] == ["none"]
    plain = transfer.new_user_task(events, held_out, users, items.assign(category=None))
    assert (plain.item_category == 0).all() and len(plain.categories) == 1


def test_no_target_is_bad_input(events: pd.DataFrame, held_out: pd.Index, tables: tuple) -> None:
    with pytest.raises(InputError, match="baskets 90 to 99"):
        transfer.new_user_task(events, held_out, *tables, target_baskets=(90, 99))
