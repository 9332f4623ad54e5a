"""Neighbours of items: the weights are those of the definitions, and nothing grows with users times items."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from interest_lib import basket_models, item_neighbours, recommend
from interest_lib.decay import decayed_counts
from interest_lib.history import History, history_before, history_but_baskets
from interest_lib.schema import InputError

ORIGIN = pd.Timestamp("2017-06-01")


@pytest.fixture(scope="module")
def history(shop: pd.DataFrame) -> History:
    return history_before(shop, ORIGIN)


def counts(history: History, half_life_days: float | None = None) -> np.ndarray:
    return decayed_counts(history, half_life_days).toarray()


def test_cosine_of_binary_counts(history: History) -> None:
    had = (counts(history) > 0).astype(float)
    length = np.sqrt(had.sum(axis=0))
    similarity = had.T @ had / np.outer(length, length)
    model = item_neighbours.ItemNeighbours("cosine", n_neighbours=60, binary=True).fit(history)
    np.testing.assert_allclose(model.similarity_.toarray(), similarity, atol=1e-12)
    np.testing.assert_allclose(model._scores(np.arange(5)), (had @ similarity)[:5], atol=1e-9)


def test_bm25_saturates_counts_and_corrects_for_users_with_many_items(history: History) -> None:
    table = counts(history, 30.0)
    idf = np.log(80) - np.log1p((table > 0).sum(axis=1, keepdims=True))
    share = table.sum(axis=0) / table.sum(axis=0).mean()
    k1, b = 1.5, 0.6
    weighted = table * (k1 + 1) / (k1 * (1 - b + b * share) + table) * idf
    model = item_neighbours.ItemNeighbours("bm25", 60, half_life_days=30.0, k1=k1, b=b).fit(history)
    found = model.similarity_.toarray()
    plain = item_neighbours.bm25_weight(decayed_counts(history, 30.0).T, k1, b).T.toarray()
    np.testing.assert_allclose(found, plain.T @ plain, rtol=1e-6)
    assert not np.allclose(found, table.T @ table)
    assert np.corrcoef(plain.ravel(), weighted.ravel())[0, 1] > 0.5


def test_an_item_keeps_its_nearest_only(history: History) -> None:
    whole = item_neighbours.ItemNeighbours(n_neighbours=60).fit(history).similarity_.toarray()
    few = item_neighbours.ItemNeighbours(n_neighbours=7).fit(history).similarity_
    assert (np.diff(few.indptr) == 7).all()
    kept = np.sort(few.data.reshape(-1, 7), axis=1)
    np.testing.assert_allclose(kept, np.sort(whole, axis=1)[:, -7:], atol=1e-12)


def test_sar_is_faded_affinity_times_jaccard(history: History) -> None:
    had = (counts(history) > 0).astype(float)
    both = had.T @ had
    jaccard = both / (np.diag(both)[:, None] + np.diag(both) - both)
    model = item_neighbours.SAR(half_life_days=30.0).fit(history)
    np.testing.assert_allclose(model._scores(np.arange(80)), counts(history, 30.0) @ jaccard, rtol=1e-5)
    few = item_neighbours.SAR(half_life_days=30.0, n_items=20).fit(history)
    assert ((few._scores(np.arange(80)) > 0).sum(axis=0) > 0).sum() == 20


def test_fading_is_passed_on_and_an_endless_half_life_changes_nothing(history: History) -> None:
    rows = np.arange(80)
    for make in (item_neighbours.ItemNeighbours, item_neighbours.SAR):
        endless, fast = (make(half_life_days=h).fit(history)._scores(rows) for h in (1e12, 10.0))
        assert not np.allclose(endless, fast)
    plain = item_neighbours.ItemNeighbours().fit(history)._scores(rows)
    endless = item_neighbours.ItemNeighbours(half_life_days=1e12).fit(history)._scores(rows)
    np.testing.assert_allclose(plain, endless, rtol=1e-5)


def test_sar_that_does_not_fade_counts_an_item_once(history: History) -> None:
    had = (counts(history) > 0).astype(float)
    both = had.T @ had
    jaccard = both / (np.diag(both)[:, None] + np.diag(both) - both)
    np.testing.assert_allclose(
        item_neighbours.SAR().fit(history)._scores(np.arange(80)), had @ jaccard, rtol=1e-5
    )


def test_an_unknown_weighting_is_refused(history: History) -> None:
    with pytest.raises(InputError, match="did you mean cosine"):
        item_neighbours.ItemNeighbours("cosin").fit(history)


def many(n_users: int, n_items: int = 4000) -> History:
    """Four baskets of five items for every user."""
    rng = np.random.default_rng(1)
    events = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(n_users), 20),
            "item_id": rng.integers(0, n_items, 20 * n_users),
            "basket_number": np.tile(np.repeat(np.arange(1, 5), 5), n_users),
        }
    )
    events = events.sort_values("basket_number", kind="stable", ignore_index=True)
    return history_but_baskets(events, n_hidden=0, min_users_per_item=1)


@pytest.mark.parametrize(
    "model",
    [
        basket_models.TIFUKNN(n_neighbours=20),
        basket_models.UPCF(n_neighbours=20),
        item_neighbours.ItemNeighbours(n_neighbours=20),
        recommend.NearestUsers(n_neighbours=20),
        recommend.PersonalFrequency(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_memory_grows_with_events_and_not_with_users_times_items(model: recommend.Recommender) -> None:
    """Dense scores of 3,000 more users would take 96 MB."""
    peaks = []
    for n_users in (3000, 6000):
        history = many(n_users)
        tracemalloc.start()
        model.fit(history).recommend(history.user_ids[:600])
        for start in range(0, n_users, 3000):
            model.recommend(history.user_ids[start : start + 300])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 48e6
