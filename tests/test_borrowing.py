"""New users by counting: what each method sees, and the draws and sources they are judged with."""

from dataclasses import replace

import ibis
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from interest_lib import basket_habits, borrowing, fading, newcomers, queries, transfer
from interest_lib.schema import InputError
from interest_lib.split import sample_users

METHODS = {
    "popularity": lambda task, n: borrowing.popularity(task),
    "recent": borrowing.recent_popularity,
    "own": borrowing.own_history,
    "prior": lambda task, n: borrowing.popularity_prior(task, n, 2.0),
    "demographic": borrowing.demographic_prior,
    "similar": lambda task, n: borrowing.borrow_from_similar(task, n, 0.3),
    "nearest": lambda task, n: borrowing.borrow_from_similar(task, n, 0.3, 10),
    "fading": lambda task, n: fading.fading_transfer(
        task, basket_habits.basket_prior(task), n, n_neighbours=10
    ),
}


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
    return users, items.assign(category="c" + (items["item_id"] % 5).astype(str), department=None)


@pytest.fixture(scope="module")
def task(events: pd.DataFrame, held_out: pd.Index, tables: tuple) -> transfer.NewUserTask:
    return transfer.new_user_task(events, held_out, *tables)


def scores(task: transfer.NewUserTask, method: str, n: int) -> np.ndarray:
    return METHODS[method](task, n)(np.arange(len(task.user_ids)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given", [0, 2, 10])
def test_what_a_method_sees_does_not_depend_on_target_baskets(
    events: pd.DataFrame,
    held_out: pd.Index,
    tables: tuple,
    task: transfer.NewUserTask,
    method: str,
    given: int,
) -> None:
    later = events["user_id"].isin(held_out) & (events["basket_number"] >= task.first_target(given))
    corrupted = events.assign(item_id=events["item_id"].where(~later, 3), weight=np.where(later, 9.0, 1.0))
    other = transfer.new_user_task(corrupted, held_out, *tables)
    assert len(other.targets_after(given)) < len(task.targets_after(given))
    np.testing.assert_array_equal(scores(task, method, given), scores(other, method, given))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "recent"])
def test_the_gap_between_what_is_given_and_the_targets_is_not_seen(
    events: pd.DataFrame, held_out: pd.Index, tables: tuple, task: transfer.NewUserTask, method: str
) -> None:
    gap = events["user_id"].isin(held_out) & events["basket_number"].between(3, 5)
    other = transfer.new_user_task(events.assign(item_id=events["item_id"].where(~gap, 3)), held_out, *tables)
    np.testing.assert_array_equal(scores(task, method, 2), scores(other, method, 2))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_works_on_ordered_baskets_without_times_or_attributes(
    events: pd.DataFrame, held_out: pd.Index, tables: tuple, method: str
) -> None:
    users, items = tables
    bare = items[["item_id"]].assign(category=None, department=None)
    task = transfer.new_user_task(events.drop(columns="timestamp"), held_out, users[["user_id"]], bare)
    judged = newcomers.newcomer_ndcg(task, 2, METHODS[method](task, 2))
    assert len(judged) == 20 and (judged > 0).any()


def test_interest_formula_over_all_source_users_written_out() -> None:
    log = pd.DataFrame(
        [
            *[(1, "a", 1), (1, "a", 2), (1, "b", 2), (2, "a", 1), (2, "c", 2), (3, "c", 1)],
            *[(9, "a", 1), (9, "a", 2)],
        ],
        columns=["user_id", "item_id", "basket_number"],
    ).assign(weight=1.0)
    people, things = pd.DataFrame({"user_id": [1, 2, 3, 9]}), pd.DataFrame({"item_id": ["a", "b", "c"]})
    things = things.assign(category=None, department=None)
    task = transfer.new_user_task(log, pd.Index([9]), people, things, (2, 2), min_users_per_item=1)
    found = pd.Series(borrowing.borrow_from_similar(task, 1, 1.0)(np.array([0]))[0], task.source.item_ids)
    first, second = 2 / 5**0.5, 1 / 2**0.5  # cosines of {a} with {a: 2, b: 1} and {a: 1, c: 1}; none with {c}
    total = first + second
    assert found["a"] == pytest.approx((2 * first + second) / total)
    assert found["b"] == pytest.approx(first / total) and found["c"] == pytest.approx(second / total)
    half = pd.Series(borrowing.borrow_from_similar(task, 1, 0.5)(np.array([0]))[0], task.source.item_ids)
    assert half["a"] == pytest.approx(0.5 + found["a"] / 2)


def test_recent_popularity_never_looks_ahead(
    events: pd.DataFrame, held_out: pd.Index, task: transfer.NewUserTask
) -> None:
    day = task.asked_on(0).sort_values().iloc[[10]]
    row = task.user_ids.get_indexer(day.index)
    source_events = task.source_events
    later = (source_events["timestamp"] >= day.iloc[0]).to_numpy()
    assert later.any()
    cols = np.where(later, 0, task.source.cols)  # whatever is bought from that day on is another item
    changed = replace(task, source=replace(task.source, cols=cols))
    before = borrowing.recent_popularity(task, 0)(row)
    np.testing.assert_array_equal(before, borrowing.recent_popularity(changed, 0)(row))
    last = task.user_ids.get_indexer(task.asked_on(0).sort_values().index[[-1]])
    true, other = (borrowing.recent_popularity(version, 0)(last) for version in (task, changed))
    assert (true != other).any()


def test_recent_popularity_counts_users_in_the_window(
    events: pd.DataFrame, held_out: pd.Index, task: transfer.NewUserTask
) -> None:
    day = task.asked_on(0).iloc[4]
    since = day - pd.Timedelta(days=14)
    inside = events["timestamp"].between(since, day, inclusive="left")
    window = events[~events["user_id"].isin(held_out) & inside]
    counted = window.groupby("item_id")["user_id"].nunique().reindex(task.source.item_ids, fill_value=0)
    best = task.source.item_ids[np.argsort(-borrowing.recent_popularity(task, 0, 14)(np.array([4]))[0])]
    assert counted[best].is_monotonic_decreasing and counted.iloc[0] != counted[best].iloc[0]


def test_blends_end_in_own_history(task: transfer.NewUserTask) -> None:
    rows = np.arange(20)
    own = task.own_counts(2).toarray()
    for method in (
        borrowing.own_history(task, 2),
        borrowing.popularity_prior(task, 2, 0.0),
        borrowing.demographic_prior(task, 2, 0.0),
        borrowing.borrow_from_similar(task, 2, 0.0),
    ):
        np.testing.assert_array_equal(method(rows), own)
    assert (borrowing.borrow_from_similar(task, 0, 0.3)(rows) == 0).all()


def test_demographic_prior_follows_those_alike_and_falls_back_to_all(task: transfer.NewUserTask) -> None:
    rows = np.arange(20)
    young = task.user_features[80 - 20 :].toarray()[:, 1] > 0
    found = borrowing.demographic_prior(task, 0, 1.0, shrink_users=0.0)(rows)
    n_source = len(task.source.user_ids)
    had = task.source_counts.toarray() > 0
    alike = task.user_features[:n_source].toarray()[:, 1] > 0
    np.testing.assert_allclose(found[young], np.tile(had[alike].mean(axis=0), (young.sum(), 1)))
    nothing_told = replace(task, user_features=sp.csr_matrix(task.user_features.shape))
    fallback = borrowing.demographic_prior(nothing_told, 0, 1.0)(rows)
    np.testing.assert_allclose(fallback, np.tile(had.mean(axis=0), (20, 1)))


def test_draws_are_disjoint_and_the_tuning_source_has_nobody_who_is_judged(
    events: pd.DataFrame, tables: tuple
) -> None:
    draws = newcomers.new_user_draws(events, *tables, n_held_out=15, n_tests=2, seed=3)
    ids = [set(task.user_ids) for task in draws.values()]
    assert list(draws) == ["tuning", "test 1", "test 2"] and len(set.union(*ids)) == sum(map(len, ids))
    assert len(ids[1]) == len(ids[2]) == 15
    assert not set(draws["tuning"].source.user_ids) & (ids[0] | ids[1] | ids[2])
    assert set(draws["test 1"].source.user_ids) == set(range(80)) - ids[1]
    again = newcomers.new_user_draws(events, *tables, n_held_out=15, n_tests=2, seed=3)
    assert all((again[name].user_ids == draws[name].user_ids).all() for name in draws)
    with pytest.raises(InputError, match="101 baskets"):
        newcomers.new_user_draws(events, *tables, n_held_out=15, n_tests=2, seed=3, target_baskets=(82, 101))


def test_batches_do_not_change_the_judgement(
    task: transfer.NewUserTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = newcomers.newcomer_ndcg(task, 2, METHODS["fading"](task, 2))
    monkeypatch.setattr(newcomers, "BATCH_USERS", 3)
    pd.testing.assert_series_equal(whole, newcomers.newcomer_ndcg(task, 2, METHODS["fading"](task, 2)))


def test_smaller_sources_are_nested_and_the_whole_one_changes_nothing(task: transfer.NewUserTask) -> None:
    small, larger = (newcomers.smaller_source(task, n, seed=5) for n in (10, 25))
    assert set(small.source.user_ids) < set(larger.source.user_ids) and len(small.source.user_ids) == 10
    pd.testing.assert_frame_equal(small.targets, task.targets)
    assert small.source_events["user_id"].isin(small.source.user_ids).all()
    assert (small.source.item_ids[small.source.cols] == small.source_events["item_id"]).all()
    assert (np.diff(small.source.popularity) <= 0).all()
    whole = newcomers.smaller_source(task, 10**6, seed=5)
    for method in METHODS:
        np.testing.assert_array_equal(scores(whole, method, 2), scores(task, method, 2))
    assert (small.categories[small.item_category] == "c" + (small.source.item_ids % 5).astype(str)).all()


def test_shuffled_attributes_keep_their_frequencies_and_lose_their_owners(task: transfer.NewUserTask) -> None:
    shuffled = newcomers.shuffled_attributes(task, seed=1)
    assert (shuffled.user_features.sum(axis=0) == task.user_features.sum(axis=0)).all()
    assert (shuffled.user_features != task.user_features).nnz > 0
