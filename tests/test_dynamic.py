"""The network that sets rates: what it may see, what it finds, and that it vanishes when switched off."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from return_samples import fading_log

from interest_lib import dynamic
from interest_lib.decay import decayed_counts
from interest_lib.dynamic import DynamicDecay
from interest_lib.history import history_before, history_but_baskets
from interest_lib.rate_network import RateNetwork, mixture_half_life
from interest_lib.recommend import PersonalFrequency
from interest_lib.schema import InputError
from interest_lib.split import fold_at
from interest_lib.windows import category_codes, training_windows, window_before

ORIGIN = pd.Timestamp("2017-08-09")


@pytest.fixture(scope="module")
def log() -> tuple[pd.DataFrame, pd.Series]:
    return fading_log(0)


@pytest.fixture(scope="module")
def model(log: tuple[pd.DataFrame, pd.Series]) -> DynamicDecay:
    # a small log has few batches, so it takes more passes
    return DynamicDecay(log[1], clock=False, n_epochs=5).fit(history_before(log[0], ORIGIN, 1))


@pytest.mark.parametrize("half_life", [None, 30.0])
def test_without_rates_and_weights_it_is_the_plain_count(
    log: tuple[pd.DataFrame, pd.Series], half_life: float | None
) -> None:
    history = history_before(log[0], ORIGIN, 1)
    off = DynamicDecay(log[1], rates=False, weights=False, half_life_days=half_life).fit(history)
    assert (off.interest_ != decayed_counts(history, half_life)).nnz == 0
    plain = PersonalFrequency(half_life).fit(history).recommend(range(300), k=10)
    pd.testing.assert_frame_equal(off.recommend(range(300), k=10), plain)


def test_no_decay_and_user_scales_alone_keep_the_undecayed_order(
    log: tuple[pd.DataFrame, pd.Series],
) -> None:
    """What is left of the network when rates are forced to none and pairs have no weight cannot rank."""
    history = history_before(log[0], ORIGIN, 1)
    network = RateNetwork([True] * 3, [True, False, False], 2, 1, weight_by_category=False, level=-1.0)
    counts = decayed_counts(history).tocoo()
    own = counts.row == 4
    n = int(own.sum())
    features = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    features[:, 0] = 0.7  # of the user, so the same for all pairs
    sums = torch.from_numpy(counts.data[own].astype(np.float32))[:, None]
    with torch.no_grad():
        network.weight[-1].weight.normal_()
        interest = network(features, torch.arange(n) % 2, sums)[0].exp()
    np.testing.assert_allclose(interest / interest[0], sums[:, 0] / sums[0, 0], rtol=1e-5)


def test_what_comes_after_the_origin_changes_nothing(log: tuple[pd.DataFrame, pd.Series]) -> None:
    events, category = log
    after = events["timestamp"] >= ORIGIN
    spoilt = events.copy()
    spoilt.loc[after, "item_id"] = np.random.default_rng(1).permutation(spoilt.loc[after, "item_id"])
    spoilt.loc[after, "user_id"] = np.random.default_rng(2).permutation(spoilt.loc[after, "user_id"])
    assert after.sum() > 500
    found = [
        DynamicDecay(category, n_epochs=1, n_origins=2).fit(fold_at(log_, ORIGIN, 28).history).pairs_
        for log_ in (events, spoilt)
    ]
    pd.testing.assert_frame_equal(found[0], found[1], check_exact=True)


def test_same_seed_same_bytes_and_torch_is_left_as_it_was(log: tuple[pd.DataFrame, pd.Series]) -> None:
    history = history_before(log[0], ORIGIN, 1)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, second, other = (
        DynamicDecay(log[1], n_epochs=1, n_origins=2, random_state=seed).fit(history).pairs_
        for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert not first["interest"].equals(other["interest"])
    assert torch.equal(state, torch.get_rng_state()) and threads == torch.get_num_threads()
    assert not torch.are_deterministic_algorithms_enabled()


def test_rates_follow_the_category(log: tuple[pd.DataFrame, pd.Series], model: DynamicDecay) -> None:
    item = model.history_.item_ids[model.pairs_["col"]]
    median = model.pairs_["half_life"].groupby(log[1].loc[item].to_numpy()).median()
    assert median["fast"] < 40 and median["slow"] > 2 * median["fast"]  # truly 6, with a background, and 120


def test_interest_is_the_rate_of_coming_back(
    log: tuple[pd.DataFrame, pd.Series], model: DynamicDecay
) -> None:
    """Among active users, as many pairs come back in the hidden horizon as was foretold."""
    later = window_before(history_before(log[0], ORIGIN + pd.Timedelta(days=28), 1), 1)
    assert len(later.cells) == len(model.pairs_) and later.returned is not None
    foretold = -np.expm1(-model.pairs_["interest"].to_numpy())
    assert foretold[later.active].sum() == pytest.approx(later.returned.sum(), rel=0.15)
    # where more was foretold, more came back: both categories have the same order of rates otherwise
    high = foretold > np.quantile(foretold, 0.9)
    cells = model.history_.shape[1] * model.pairs_["row"] + model.pairs_["col"]
    back = np.isin(named(model.history_, cells), named(later_history(log[0]), later.cells[later.returned]))
    assert back[high].mean() > 2 * back[~high].mean()


def later_history(events: pd.DataFrame):
    return history_before(events, ORIGIN + pd.Timedelta(days=28), 1)


def named(history, cells) -> np.ndarray:
    rows, cols = np.divmod(np.asarray(cells), history.shape[1])
    return history.user_ids[rows].to_numpy() * 1000 + history.item_ids[cols].to_numpy()


def test_a_weight_does_not_read_the_clock() -> None:
    network = RateNetwork([True, True], [True, False], 1, 3, weight_by_category=True, level=0.0)
    with torch.no_grad():
        network.weight[-1].weight.normal_()
        network.rate[-1].weight.normal_()
        features = torch.tensor([[1.0, 0.0], [1.0, 5.0]])
        _, weight, shares = network(features, torch.zeros(2, dtype=torch.int64), torch.ones(2, 3))
    assert weight[0] == weight[1] and not torch.equal(shares[0], shares[1])


def test_the_half_life_of_a_mixture_is_where_half_is_left() -> None:
    parts = [7.0, 60.0, math.inf]
    shares = np.random.default_rng(0).dirichlet([1, 1, 0.5], 200)
    found = mixture_half_life(shares, parts)
    ends = np.isfinite(found)
    left = (shares[ends] * np.exp2(-found[ends, None] / np.array(parts))).sum(axis=1)
    np.testing.assert_allclose(left, 0.5, rtol=1e-8)
    assert (shares[~ends, 2] >= 0.5).all() and 0 < ends.sum() < 200


def test_a_log_without_times_is_counted_in_baskets(log: tuple[pd.DataFrame, pd.Series]) -> None:
    history = history_but_baskets(log[0].drop(columns="timestamp"), 1, 1)
    with pytest.raises(InputError, match="no ages in days; give horizon_baskets"):
        DynamicDecay(log[1]).fit(history)
    model = DynamicDecay(log[1], horizon_days=None, horizon_baskets=1, n_epochs=1).fit(history)
    assert np.isfinite(model.pairs_[["interest", "weight"]]).all(axis=None)
    assert len(model.recommend([0, 1], k=5)) == 10


def test_unknown_users_get_the_popular_items(model: DynamicDecay) -> None:
    lists = model.recommend(["nobody"], k=3)
    assert lists["item_id"].tolist() == list(model.history_.item_ids[:3])


def test_a_history_too_short_to_learn_from_is_named(log: tuple[pd.DataFrame, pd.Series]) -> None:
    short = history_before(log[0], pd.Timestamp("2017-01-20"), 1)
    with pytest.raises(InputError, match="nobody came back"):
        DynamicDecay(log[1]).fit(short)


def test_what_was_returned_leaves_no_interest(log: tuple[pd.DataFrame, pd.Series]) -> None:
    events = log[0].assign(event="purchase", weight=1.0)
    last = events[events["timestamp"] < ORIGIN].tail(1)
    user, item = last["user_id"].iloc[0], last["item_id"].iloc[0]
    own = events[(events["user_id"] == user) & (events["item_id"] == item) & (events["timestamp"] < ORIGIN)]
    back = own.assign(event="return", weight=-1.0)
    history = history_before(pd.concat([events, back]).sort_values("timestamp", kind="stable"), ORIGIN, 1)
    model = DynamicDecay(log[1], n_epochs=1, n_origins=1).fit(history)
    row, col = history.user_ids.get_loc(user), history.item_ids.get_loc(item)
    assert model.interest_[row, col] == 0 and model.interest_[row].nnz > 0


def test_weights_can_be_learned_where_nothing_fades(log: tuple[pd.DataFrame, pd.Series]) -> None:
    history = history_before(log[0], ORIGIN, 1)
    weights_alone = DynamicDecay(log[1], rates=False, n_epochs=1, n_origins=1).fit(history)
    assert np.isinf(weights_alone.pairs_["half_life"]).all()
    assert weights_alone.pairs_["weight"].nunique() > 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 1e-4),
        ("weight_decay", 10.0),
        ("batch_size", 32),
        ("n_hidden", 8),
        ("n_embedding", 2),
    ],
)
def test_every_setting_of_the_network_counts(
    log: tuple[pd.DataFrame, pd.Series], name: str, value: float
) -> None:
    history = history_before(log[0], ORIGIN, 1)
    plain, other = (
        DynamicDecay(log[1], n_epochs=1, n_origins=1, **settings).fit(history).pairs_["interest"]
        for settings in ({}, {name: value})
    )
    assert not plain.equals(other) and np.isfinite(other).all()


@pytest.mark.parametrize("name", ["n_epochs", "batch_size", "n_hidden", "n_embedding"])
def test_a_setting_that_cannot_be_is_named(log: tuple[pd.DataFrame, pd.Series], name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is 0: give"):
        DynamicDecay(log[1], **{name: 0}).fit(history_before(log[0], ORIGIN, 1))


def test_every_moment_has_its_own_place_in_memory(log: tuple[pd.DataFrame, pd.Series]) -> None:
    history = history_before(log[0], ORIGIN, 1)
    categories, _ = category_codes(history, log[1])
    windows = [*training_windows(history, 2, 28.0, None), window_before(history, 0)]
    model = DynamicDecay(log[1])
    every, moments, names = model._pairs(windows, len(history.user_ids), categories)
    assert every.features.shape == (moments[-1].stop, len(names)) and torch.isfinite(every.features).all()
    for window, moment in zip(windows, moments, strict=True):
        active = slice(None) if window.active is None else window.active  # who stayed away is left out
        sums = window.sums(dynamic.DAYS)[active].astype(np.float32)
        np.testing.assert_array_equal(every.sums[moment].numpy(), sums)
        expected = categories[window.cells[active] % len(categories)]
        np.testing.assert_array_equal(every.categories[moment].numpy(), expected)
        returned = np.zeros(len(sums)) if window.returned is None else window.returned[active]
        np.testing.assert_array_equal(every.returned[moment].numpy(), returned)
