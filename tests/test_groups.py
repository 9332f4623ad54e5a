"""Two groups of users: who is held out, what of them is seen, and what is scored."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.groups import GroupTask, group_task, halves, ndcg, with_validation
from interest_lib.schema import InputError

N_USERS, N_TEST, N_VALIDATION = 60, 8, 5


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Ten events of each user, some with an item met before, in the order of time."""
    rng = np.random.default_rng(3)
    hours = pd.to_timedelta(rng.permutation(10 * N_USERS), unit="h")
    events = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(N_USERS), 10),
            "item_id": rng.integers(0, 30, 10 * N_USERS),
            "timestamp": pd.Timestamp("2024-01-01") + hours,
        }
    )
    return events.sort_values("timestamp", ignore_index=True)


@pytest.fixture(scope="module")
def is_source() -> pd.Series:
    return pd.Series(np.arange(N_USERS) < 35)


@pytest.fixture(scope="module")
def task(log: pd.DataFrame, is_source: pd.Series) -> GroupTask:
    return group_task(log, is_source, N_TEST, N_VALIDATION, seed=1)


def test_everybody_has_one_place(task: GroupTask) -> None:
    parts = np.concatenate([task.source, task.target, task.validation, task.test])
    assert sorted(parts) == list(range(N_USERS))
    assert (len(task.source), len(task.validation), len(task.test)) == (35, N_VALIDATION, N_TEST)


def test_the_first_items_are_given_and_the_last_ones_wanted(log: pd.DataFrame, task: GroupTask) -> None:
    for row in task.test:
        order = log.loc[log["user_id"] == task.user_ids[row], "item_id"].drop_duplicates().tolist()
        n_given = int(0.8 * len(order))
        given, wanted = set(order[:n_given]), set(order[n_given:])
        assert set(task.item_ids[task.met[row].indices]) == given & set(task.item_ids)
        assert set(task.item_ids[task.wanted[row].indices]) == wanted & set(task.item_ids)
        placed = dict(zip(task.item_ids[task.met[row].indices], task.met[row].data, strict=True))
        assert [placed[item] for item in order[:n_given]] == list(range(1, n_given + 1))


def test_nothing_is_wanted_of_those_who_are_learned_from(task: GroupTask) -> None:
    assert task.wanted[np.concatenate([task.source, task.target])].nnz == 0


def test_what_held_out_users_come_to_cannot_get_in(
    log: pd.DataFrame, is_source: pd.Series, task: GroupTask
) -> None:
    rows, cols = task.wanted[task.test].nonzero()
    wanted = pd.DataFrame({"user_id": task.user_ids[task.test][rows], "item_id": task.item_ids[cols]})
    later = log.merge(wanted, how="left", indicator=True)["_merge"].to_numpy() == "both"
    spoilt = log.assign(item_id=np.where(later, 999 + log["item_id"], log["item_id"]))
    again = group_task(spoilt, is_source, N_TEST, N_VALIDATION, seed=1)
    assert (again.met != task.met).nnz == 0
    assert list(again.item_ids) == list(task.item_ids)


def test_same_seed_same_task_and_another_seed_another_draw(log: pd.DataFrame, is_source: pd.Series) -> None:
    tasks = [group_task(log, is_source, N_TEST, N_VALIDATION, seed=seed) for seed in (1, 1, 2)]
    assert list(tasks[0].target) == list(tasks[1].target)
    assert set(tasks[0].test) != set(tasks[2].test)


def test_validation_users_join_with_all_they_met(task: GroupTask) -> None:
    full = with_validation(task)
    assert list(full.target) == [*task.target, *task.validation]
    both = task.met[task.validation] + task.wanted[task.validation]
    assert (full.met[task.validation] != both).nnz == 0
    assert full.wanted[task.validation].nnz == 0
    assert (full.wanted[task.test] != task.wanted[task.test]).nnz == 0


def test_ndcg_is_one_for_the_truth_and_met_items_are_left_out(task: GroupTask) -> None:
    truth = task.wanted[task.test].toarray().astype(float)
    met_first = (truth > 0) + 5.0 * (task.met[task.test].toarray() > 0)
    np.testing.assert_allclose(ndcg(task, task.test, met_first), 1.0)
    assert ndcg(task, task.test, -met_first).mean() < 0.5


def test_groups_that_are_too_small_are_named(log: pd.DataFrame, is_source: pd.Series) -> None:
    with pytest.raises(InputError, match="the target group 25, of whom 25 met five items or more: 20"):
        group_task(log, is_source, n_test=20, n_validation=5)


def test_halves_are_cut_in_natural_order() -> None:
    bands = pd.Series(["Under 15K"] * 2 + ["15-24K"] * 3 + ["100-124K"] * 2 + ["25-34K"] * 4)
    assert halves(bands).groupby(bands).first().to_dict() == {
        "Under 15K": False,
        "15-24K": False,
        "25-34K": True,
        "100-124K": True,
    }
    with pytest.raises(InputError, match="only one value"):
        halves(pd.Series(["a", "a"], name="shop"))
