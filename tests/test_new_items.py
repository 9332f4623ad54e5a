"""New items: nobody met them, nothing tells how many will, and content finds who will."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from interest_lib.groups import GroupTask, group_task
from interest_lib.new_item_ways import (
    by_category,
    by_lightfm,
    by_network,
    by_regression,
    by_text,
    new_item_scores,
)
from interest_lib.new_items import NewItems, hide_items, new_item_ndcg
from interest_lib.schema import InputError
from interest_lib.sequence_training import Lessons

N_ITEMS, N_KINDS = 60, 3


def task() -> GroupTask:
    """Everybody likes one of three kinds of item (item modulo 3) and meets little else."""
    rng = np.random.default_rng(0)
    likes = rng.integers(0, N_KINDS, 240)
    kind = np.arange(N_ITEMS) % N_KINDS
    log = [
        pd.DataFrame(
            {
                "user_id": user,
                "item_id": rng.permutation(np.repeat(np.arange(N_ITEMS), 1 + 30 * (kind == like))),
            }
        )
        .drop_duplicates()
        .head(12)
        for user, like in enumerate(likes)
    ]
    return group_task(pd.concat(log), pd.Series(np.arange(240) < 120), n_test=60, n_validation=30)


def content(which: GroupTask) -> tuple[np.ndarray, np.ndarray]:
    kind = which.item_ids.to_numpy() % N_KINDS
    noise = np.random.default_rng(1).normal(scale=0.2, size=(len(kind), 5))
    return kind, np.column_stack([np.eye(N_KINDS)[kind], noise])


def test_nobody_has_met_a_hidden_item_and_all_who_will_are_judged() -> None:
    whole = task()
    new = hide_items(whole, whole.test, share=0.2, seed=3)
    assert len(new.hidden) == 12 and new.known.sum() == 48
    assert new.task.met[:, new.hidden].nnz == 0 and new.task.wanted[:, new.hidden].nnz == 0
    assert (new.task.met[:, new.known] != whole.met[:, new.known]).nnz == 0
    both = (whole.met + whole.wanted)[new.rows][:, new.hidden].astype(bool)
    assert (both != new.wanted).nnz == 0 and new.wanted.getnnz(axis=1).min() > 0
    assert set(new.rows) <= set(whole.test)
    assert hide_items(whole, whole.test, 0.2, seed=3).hidden.tolist() == new.hidden.tolist()


def test_ties_do_not_go_by_the_popularity_that_nobody_can_know() -> None:
    whole = task()
    new = hide_items(whole, whole.test, share=0.5)
    assert (np.diff(new.hidden) < 0).any(), "columns are in the order of popularity"


def chance(new: NewItems) -> float:
    rng = np.random.default_rng(0)
    return float(np.mean([new_item_ndcg(new, rng.random(new.wanted.shape), 3).mean() for _ in range(20)]))


def test_every_way_finds_who_likes_the_kind() -> None:
    whole = task()
    new = hide_items(whole, whole.test, share=0.25)
    kind, vectors = content(whole)
    how = Lessons(n_updates=150, learning_rate=0.02, batch_size=32, length=10, reach=5)
    scores = {
        "category": by_category(new, kind),
        "text": by_text(new, vectors),
        "regression": by_regression(new, vectors, kind, n_factors=4, ridge=1.0),
        "lightfm": by_lightfm(new, sp.csr_matrix(np.eye(N_KINDS)[kind]), n_factors=8, n_epochs=20),
        "network": by_network(new, vectors, how, seed=0),
    }
    least = 1.4 * chance(new)
    for name, values in scores.items():
        assert values.shape == new.wanted.shape
        assert new_item_ndcg(new, values, 3).mean() > least, name


def test_what_will_be_met_of_the_hidden_items_changes_no_score() -> None:
    whole = task()
    new = hide_items(whole, whole.test, share=0.25)
    kind, vectors = content(whole)
    shuffled = whole.met.tolil()
    shuffled[:, new.hidden] = 0
    blind = hide_items(whole, whole.test, share=0.25)
    blind = NewItems(
        GroupTask(**{**vars(blind.task), "met": sp.csr_matrix(shuffled)}), new.hidden, new.rows, new.wanted
    )
    how = Lessons(n_updates=3, batch_size=16, length=10, reach=5)
    for way in (
        lambda n: by_regression(n, vectors, kind, n_factors=4),
        lambda n: by_lightfm(n, sp.csr_matrix(np.eye(N_KINDS)[kind]), 4, 2),
        lambda n: by_network(n, vectors, how, 0),
    ):
        np.testing.assert_array_equal(way(new), way(blind))


def test_nobody_to_judge_by_is_told() -> None:
    whole = task()
    with pytest.raises(InputError, match="hide a larger share"):
        hide_items(whole, whole.test[:0])


def test_all_ways_in_one_table_and_the_same_every_time() -> None:
    whole = task()
    kind, vectors = content(whole)
    how = Lessons(n_updates=3, batch_size=16, length=10, reach=5)
    table, again = (new_item_scores(whole, whole.test, vectors, kind, how, seed=1, k=3) for _ in range(2))
    assert list(table) == ["random", "category", "text", "regression", "lightfm", "transformer"]
    assert table.equals(again) and table["text"].mean() > table["random"].mean() + 0.1
