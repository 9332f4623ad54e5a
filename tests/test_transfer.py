"""New users: what may be seen of them, and what is borrowed."""

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
    assert task.first["basket_number"].max() == 5
    later = events[events["user_id"].isin(held_out) & events["basket_number"].between(6, 25)]
    assert len(task.targets) == len(later[["user_id", "item_id"]].drop_duplicates())


def test_no_basket_known_means_nothing_known(task: transfer.NewUserTask) -> None:
    assert task.own_counts(0).nnz == 0
    assert task.own_counts(2).sum() == 20 * 2 * 4
    assert (transfer.borrow_from_nearest(task, 0, 0.3) == 0).all()


def test_what_a_method_sees_does_not_depend_on_later_baskets(
    events: pd.DataFrame, held_out: pd.Index, tables: tuple, task: transfer.NewUserTask
) -> None:
    later = events["user_id"].isin(held_out) & (events["basket_number"] > 2)
    corrupted = events.assign(item_id=events["item_id"].where(~later, 3))
    other = transfer.new_user_task(corrupted, held_out, *tables)
    for scores in (
        lambda t: transfer.popularity_prior(t, 2, 2.0),
        lambda t: transfer.borrow_from_nearest(t, 2, 0.3),
        lambda t: transfer.lightfm_hybrid(t, 2, n_factors=4, n_epochs=2),
    ):
        np.testing.assert_array_equal(scores(task), scores(other))


def test_blend_ends_are_own_history_and_neighbours(task: transfer.NewUserTask) -> None:
    own = task.own_counts(2).toarray()
    np.testing.assert_array_equal(transfer.borrow_from_nearest(task, 2, 0.0), own)
    np.testing.assert_array_equal(transfer.popularity_prior(task, 2, 0.0), own)
    everyone = transfer.borrow_from_nearest(task, 2, 1.0, n_neighbours=1)
    rows = task.source_counts.toarray()
    assert all((rows == borrowed).all(axis=1).any() for borrowed in everyone)


def test_lightfm_without_a_purchase_speaks_from_features_alone(task: transfer.NewUserTask) -> None:
    scores = transfer.lightfm_hybrid(task, 0, n_factors=4, n_epochs=3)
    young = task.user_ids % 2 == 0
    assert (scores[young] == scores[young][0]).all() and (scores[~young] == scores[~young][0]).all()
    assert (scores[young][0] != scores[~young][0]).any()


def test_no_target_is_bad_input(events: pd.DataFrame, held_out: pd.Index, tables: tuple) -> None:
    with pytest.raises(InputError, match="baskets 90 to 99"):
        transfer.new_user_task(events, held_out, *tables, target_baskets=(90, 99))
