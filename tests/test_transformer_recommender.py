"""Sequence networks as recommenders: what they read, and that order tells them something."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.history import History, history_before
from interest_lib.transformer_recommender import SequenceRecommender, _of_users, purchase_sequences

ORIGIN = pd.Timestamp("2017-07-01")


@pytest.fixture(scope="module")
def history() -> History:
    """Every user walks round a ring of 12 items, one a day, from a place of their own; some items twice."""
    user, day = np.meshgrid(np.arange(60), np.arange(40), indexing="ij")
    log = pd.DataFrame({"user_id": user.ravel(), "item_id": ((user + day) % 12).ravel()})
    log["timestamp"] = ORIGIN - pd.to_timedelta(40 - day.ravel(), "D") + pd.to_timedelta(user.ravel(), "min")
    return history_before(log.sort_values("timestamp", ignore_index=True), ORIGIN)


@pytest.mark.parametrize("kind", ["transformer", "lstm", "cnn"])
def test_the_next_item_of_a_walk_is_foretold(kind: str, history: History) -> None:
    model = SequenceRecommender(
        kind, n_hidden=24, length=6, reach=1, n_updates=250, batch_size=32, learning_rate=0.01, dropout=0.0
    )
    lists = model.fit(history).recommend(history.user_ids, k=1)
    assert (lists["item_id"] == (lists["user_id"] + 40) % 12).mean() > 0.9
    assert model.losses_[-1] < 0.5 * model.losses_[0]


def test_sequences_hold_the_purchases_in_order_with_repeats(history: History) -> None:
    columns = np.array([0, 3, 5])
    sequences = purchase_sequences(history, columns)
    for row in (0, 7):
        own = history.cols[history.rows == row]
        expected = [int(np.searchsorted(columns, c)) + 1 for c in own if c in columns]
        assert sequences.codes[sequences.start[row] : sequences.start[row + 1]].tolist() == expected
    some = _of_users(sequences, np.array([7, 0]))
    assert some.codes[: some.start[1]].tolist() == expected and some.length.sum() == len(some.codes)


def test_views_are_not_read_and_items_outside_score_below(history: History) -> None:
    is_goal = history.cols != 4
    viewed = History(**{**vars(history), "is_goal": is_goal})
    sequences = purchase_sequences(viewed, np.arange(12))
    assert 5 not in sequences.codes and len(sequences.codes) == is_goal.sum()
    model = SequenceRecommender(n_items=8, n_hidden=8, length=6, n_updates=3, batch_size=8).fit(history)
    lists = model.recommend(history.user_ids[:4], k=12)
    assert (lists.groupby("user_id")["score"].apply(lambda s: (s > 0).sum()) == 8).all()


def test_two_fits_give_the_same_and_another_seed_another(history: History) -> None:
    settings = {"n_hidden": 8, "length": 6, "n_updates": 5, "batch_size": 8}
    one, two, other = (
        SequenceRecommender(**settings, random_state=seed).fit(history).recommend(history.user_ids)["score"]
        for seed in (1, 1, 2)
    )
    pd.testing.assert_series_equal(one, two)
    assert not np.allclose(one, other)
