"""Recommenders that count baskets: the published semantics, worked out by hand for every user."""

import numpy as np
import pandas as pd
import pytest

from interest_lib import basket_models, recommend
from interest_lib.history import History, history_before, history_but_baskets
from interest_lib.ranking import ranked_lists
from interest_lib.schema import InputError

N_ITEMS = 30


@pytest.fixture(scope="module")
def baskets() -> dict[int, list[list[int]]]:
    """Between 1 and 12 baskets of 50 users."""
    rng = np.random.default_rng(3)
    return {
        user: [
            sorted(int(item) for item in rng.choice(N_ITEMS, 4, replace=False))
            for _ in range(rng.integers(1, 13))
        ]
        for user in range(50)
    }


@pytest.fixture(scope="module")
def log(baskets: dict[int, list[list[int]]]) -> pd.DataFrame:
    rows = [
        (user, item, number + 1)
        for user, own in baskets.items()
        for number, basket in enumerate(own)
        for item in basket
    ]
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "basket_number"])
    return events.sort_values(["basket_number", "user_id", "item_id"], ignore_index=True)


@pytest.fixture(scope="module")
def history(log: pd.DataFrame) -> History:
    return history_but_baskets(log, n_hidden=0, min_users_per_item=1)


def by_item(history: History, dense: np.ndarray) -> np.ndarray:
    """Columns in the order of item ids, as the slow versions have them."""
    table = np.zeros((len(dense), N_ITEMS))
    table[:, history.item_ids.to_numpy(int)] = dense
    return table


def slow_vector(own: list[list[int]], n_groups: int, within: float, group: float) -> np.ndarray:
    """TIFU-KNN's vector of a user, one basket after the other."""
    n_groups = min(n_groups, len(own))
    small, n_large = divmod(len(own), n_groups)
    sizes = [small] * (n_groups - n_large) + [small + 1] * n_large
    vector, start = np.zeros(N_ITEMS), 0
    for place, size in enumerate(sizes):
        mean = np.zeros(N_ITEMS)
        for inside, basket in enumerate(own[start : start + size]):
            mean[basket] += within ** (size - 1 - inside) / size
        vector += group ** (n_groups - 1 - place) * mean / n_groups
        start += size
    return vector


def test_tifuknn_is_what_the_paper_says(baskets: dict[int, list[list[int]]], history: History) -> None:
    model = basket_models.TIFUKNN(3, 0.8, 0.6, n_neighbours=5, alpha=0.7).fit(history)
    vectors = np.stack([slow_vector(own, 3, 0.8, 0.6) for own in baskets.values()])
    np.testing.assert_allclose(by_item(history, model.vectors_.toarray()), vectors, atol=1e-12)
    distance = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    near = np.argsort(distance, axis=1, kind="stable")[:, :5]
    wanted = 0.7 * vectors + 0.3 * vectors[near].mean(axis=1)
    found = by_item(history, model._scores(np.arange(50)))
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_upcf_is_what_the_paper_says(baskets: dict[int, list[list[int]]], history: History) -> None:
    model = basket_models.UPCF(recency=2, locality=3, alpha=0.3, n_neighbours=50).fit(history)
    shares = np.zeros((50, N_ITEMS))
    had = np.zeros((50, N_ITEMS))
    for user, own in baskets.items():
        for basket in own[-2:]:
            shares[user, basket] += 1 / len(own[-2:])
        for basket in own:
            had[user, basket] = 1.0
    size = had.sum(axis=1)
    similarity = had @ had.T / (size[:, None] ** 0.3 * size[None] ** 0.7)
    np.fill_diagonal(similarity, 1.0)
    found = by_item(history, model._scores(np.arange(50)))
    np.testing.assert_allclose(found, similarity**3 @ shares, atol=1e-12)


def test_counts_of_baskets_are_personal_frequency_filled_up_by_popularity(
    log: pd.DataFrame, history: History
) -> None:
    own = basket_models.GPTopFreq().fit(history).recommend(history.user_ids)
    pd.testing.assert_frame_equal(own, recommend.PersonalFrequency().fit(history).recommend(history.user_ids))
    # an item twice in a basket is in one basket
    log_twice = pd.concat([log, log]).sort_values("basket_number", kind="stable", ignore_index=True)
    twice = history_but_baskets(log_twice, n_hidden=0, min_users_per_item=1)
    pd.testing.assert_frame_equal(own, basket_models.GPTopFreq().fit(twice).recommend(history.user_ids))


def test_every_known_basket_counts(log: pd.DataFrame) -> None:
    """A public comparison drops the newest and the oldest basket of its best baseline."""
    marked = log.assign(item_id=log["user_id"] * 100 + log["basket_number"])  # no item in two baskets
    history = history_but_baskets(marked, n_hidden=0, min_users_per_item=1)
    for model in (basket_models.TIFUKNN(n_neighbours=5), basket_models.UPCF(recency=99, n_neighbours=5)):
        scores = model.fit(history)._scores(np.arange(50))
        assert (scores[history.rows, history.cols] > 0).all()


def test_a_log_with_times_and_no_numbered_baskets_has_baskets(shop: pd.DataFrame) -> None:
    origin = pd.Timestamp("2017-06-01")
    timed = history_before(shop, origin)
    number = shop.groupby("user_id")["timestamp"].rank("dense").astype(int)
    numbered = history_before(shop.assign(basket_number=number), origin)
    users = timed.user_ids[:20]
    for model in (
        basket_models.GPTopFreq(),
        basket_models.TIFUKNN(n_neighbours=5),
        basket_models.UPCF(n_neighbours=5),
    ):
        by_time = model.fit(timed).recommend(users, exclude_seen=True)
        pd.testing.assert_frame_equal(by_time, model.fit(numbered).recommend(users, exclude_seen=True))


def test_what_was_only_looked_at_counts_by_its_weight_and_at_most_once(log: pd.DataFrame) -> None:
    looked = log.assign(weight=0.25)
    five = pd.concat([looked] * 5).sort_values("basket_number", kind="stable", ignore_index=True)
    for events, told in ((looked, 0.25), (five, 1.0)):
        cells = basket_models.basket_cells(history_but_baskets(events, 0, min_users_per_item=1))
        assert (cells.told == told).all()


def test_somebody_unknown_gets_what_is_popular(history: History) -> None:
    for model in (basket_models.TIFUKNN(n_neighbours=5), basket_models.UPCF(n_neighbours=5)):
        lists = model.fit(history).recommend([999])
        popular = ranked_lists(pd.Index([999]), np.zeros((1, N_ITEMS)), history.item_ids)
        assert lists["item_id"].tolist() == popular["item_id"].tolist()


def test_no_groups_and_no_neighbours_are_refused(history: History) -> None:
    with pytest.raises(InputError, match="1 or more"):
        basket_models.TIFUKNN(n_groups=0).fit(history)
    with pytest.raises(InputError, match="1 or more"):
        basket_models.UPCF(n_neighbours=0).fit(history)
