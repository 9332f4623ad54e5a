"""Sequence networks and simple rivals between groups, on a log in which the order tells all."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from interest_lib.groups import GroupTask, group_task
from interest_lib.item_sequences import sequences_of
from interest_lib.sequence_rivals import followers_ridge, simple_rivals
from interest_lib.sequence_training import Lessons
from interest_lib.sequence_transfer import (
    _first_half,
    carried_over,
    continued_update,
    pretrained_scores,
)

N_ITEMS = 40


def circle_task() -> GroupTask:
    """Ten items in a circle of forty, from anywhere: what comes next is sure."""
    start = np.random.default_rng(0).integers(0, N_ITEMS, 300)
    items = (start[:, None] + np.arange(10)) % N_ITEMS
    log = pd.DataFrame({"user_id": np.repeat(np.arange(300), 10), "item_id": items.ravel()})
    return group_task(log, pd.Series(np.arange(300) < 160), n_test=50, n_validation=25)


@pytest.fixture(scope="module")
def circle() -> GroupTask:
    return circle_task()


HOW = Lessons(n_updates=150, learning_rate=0.02, batch_size=32, length=8, reach=2, asked=4)
USELESS = replace(HOW, n_updates=1)


def test_the_followers_know_the_order_and_ease_does_not(circle: GroupTask) -> None:
    scores, trials = simple_rivals(circle, 20, reach=2)
    means = scores.mean()
    assert len(scores) == 50 and means["popularity"] < 0.4
    assert means["followers"] > 0.8 and means["followers"] > means["ease"] + 0.05
    assert trials.groupby("method").size().to_dict() == {"ease": 6, "followers": 6}


def test_a_network_carries_the_order_over_and_shuffling_takes_it_away(circle: GroupTask) -> None:
    carried = carried_over(circle, np.eye(N_ITEMS), "cnn", [USELESS, HOW], sizes=(5, 1000), updates=(5, 20))
    means = carried.scores.mean()
    assert carried.lessons == HOW, "validation users choose"
    assert means["source_only"] > 0.8 > means["source_only_shuffled"]
    assert set(means.index[2:]) == {"fine_tuned.5", "target_only.5", "fine_tuned.all", "target_only.all"}
    assert means["fine_tuned.5"] > means["target_only.5"] + 0.2
    assert carried.trials.groupby("method").size().to_dict() == {
        "source_only": 2,
        "fine_tuned.5": 3,
        "fine_tuned.all": 3,
        "target_only.5": 2,
        "target_only.all": 2,
    }


def test_followers_come_after_and_never_before() -> None:
    weights = followers_ridge(sequences_of(sp.csr_matrix([[1, 2, 3]] * 5)), 0.1, half_life=1.0, reach=1)
    assert weights[0, 1] > 0.2 and weights[1, 2] > 0.5 and abs(weights[2]).max() == 0
    assert weights[0, 1] > weights[1, 0] + 0.2


def test_an_update_sees_the_new_half_and_the_model_left_alone_does_not(circle: GroupTask) -> None:
    short = Lessons(n_updates=20, batch_size=16, length=8, reach=2)
    found = continued_update(circle, np.eye(N_ITEMS), "cnn", short, 5, seed=0)
    met = circle.met.copy()
    newer = met.data > 5
    met.data[newer] = 16 - met.data[newer]  # what target users met last, backwards
    held_out = np.isin(np.arange(300), circle.test)[:, None]
    met = sp.csr_matrix(circle.met.multiply(held_out) + met.multiply(~held_out))
    other = continued_update(
        GroupTask(**{**vars(circle), "met": met}), np.eye(N_ITEMS), "cnn", short, 5, seed=0
    )
    assert other["left_alone"].equals(found["left_alone"])
    assert not other["continued"].equals(found["continued"])
    assert not other["retrained"].equals(found["retrained"])


def test_the_old_half_is_what_came_first(circle: GroupTask) -> None:
    half = _first_half(circle.met)
    assert (half.getnnz(axis=1) == (circle.met.getnnz(axis=1) + 1) // 2).all()
    assert half.data.max() == 5, "the first five of ten"


def test_pretraining_knows_the_source_only(circle: GroupTask) -> None:
    other = GroupTask(**{**vars(circle), "target": circle.target[:1]})
    short = Lessons(n_updates=5, batch_size=16, length=8, reach=2)
    one = pretrained_scores(circle, np.eye(N_ITEMS), "lstm", short, 0)
    assert one.equals(pretrained_scores(other, np.eye(N_ITEMS), "lstm", short, 0))
