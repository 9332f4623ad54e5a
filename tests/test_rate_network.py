"""The network's machinery: blocks, their scale, training in batches, and torch left as it was found."""

import numpy as np
import pytest
import torch

from interest_lib import rate_network
from interest_lib.rate_network import (
    Block,
    RateNetwork,
    Training,
    mixture_half_life,
    one_thread,
    predict,
    standardise,
    train,
)


def made(n: int, seed: int = 0) -> Block:
    """Pairs whose first feature, and whose second category, say who comes back."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(n, 3, generator=draw)
    categories = torch.randint(0, 2, (n,), generator=draw)
    chance = torch.sigmoid(2 * features[:, 0] + 2 * categories - 2)
    return Block(features, categories, torch.ones(n, 2), (torch.rand(n, generator=draw) < chance).float())


def network(n_hidden: int = 16, n_embedding: int = 4) -> RateNetwork:
    torch.manual_seed(0)
    return RateNetwork([True] * 3, [True] * 3, 2, 2, True, -1.0, n_hidden, n_embedding)


def test_a_part_of_a_block_is_no_copy() -> None:
    block = made(10)
    part = block[4:8]
    part.features.zero_()
    assert (block.features[4:8] == 0).all() and len(part.returned) == 4
    assert torch.equal(block[torch.tensor([9, 0])].sums, block.sums[[9, 0]])


def test_features_are_in_units_of_the_moments_of_training() -> None:
    blocks = [made(2000, 0), made(500, 1), made(100, 2)]
    for block, scale in zip(blocks, (1.0, 3.0, 100.0), strict=True):
        block.features.mul_(scale).add_(7.0)
    spread = [float(block.features[:, 0].std()) for block in blocks]
    mean = [float(block.features[:, 0].mean()) for block in blocks]
    standardise(blocks)
    unit, zero = (
        np.mean(spread[:2]),
        np.mean(mean[:2]),
    )  # every moment counts the same, the last one not at all
    assert float(blocks[2].features[:, 0].std()) == pytest.approx(spread[2] / unit, rel=1e-4)
    assert float(blocks[2].features[:, 0].mean()) == pytest.approx((mean[2] - zero) / unit, rel=1e-4)


def test_training_finds_who_comes_back_and_the_judge_sees_it() -> None:
    with one_thread():
        learner = network()
        losses = train(learner, made(4000), 5, 0, made(2000, 1), Training(learning_rate=1e-2))
        log_interest, _, _ = predict(learner, made(2000, 2))
    hidden = made(2000, 2)
    assert losses[-1] < losses[0] < 0.7  # 0.69 is what a coin says
    foretold = -np.expm1(-np.exp(log_interest))
    back = hidden.returned.numpy() > 0
    assert foretold[back].mean() > foretold[~back].mean() + 0.2


def test_without_a_judge_nothing_is_judged() -> None:
    with one_thread():
        assert train(network(), made(200), 1, 0, None, Training()) == []


@pytest.mark.parametrize(
    "how", [Training(learning_rate=1e-4), Training(weight_decay=10.0), Training(batch_size=64)], ids=str
)
def test_every_setting_of_training_counts(how: Training) -> None:
    outcomes = []
    for settings in (Training(), how, how):
        with one_thread():
            learner = network()
            train(learner, made(8000), 1, 0, None, settings)
            outcomes.append(predict(learner, made(50, 1))[0])
    assert not np.array_equal(outcomes[0], outcomes[1])
    np.testing.assert_array_equal(outcomes[1], outcomes[2])


def test_strong_weight_decay_shrinks_the_network() -> None:
    size = []
    for weight_decay in (0.0, 30.0):
        with one_thread():
            learner = network()
            train(learner, made(8000), 3, 0, None, Training(weight_decay=weight_decay))
        size.append(float(learner.weight[0].weight.detach().norm()))
    assert size[1] < 0.7 * size[0]


def test_how_many_pairs_are_worked_on_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = np.random.default_rng(0).dirichlet([1, 1], 100)
    found = []
    for at_a_time in (8192, 7):
        monkeypatch.setattr(rate_network, "PART_PAIRS", at_a_time)
        with one_thread():
            learner = network()
            losses = train(learner, made(500), 1, 0, made(100, 1), Training())
            found.append([*predict(learner, made(100, 1)), losses, mixture_half_life(shares, [7.0, np.inf])])
    for whole, in_parts in zip(*found, strict=True):
        np.testing.assert_allclose(whole, in_parts, rtol=1e-5)


def test_the_size_of_the_network_is_as_asked() -> None:
    small = network(n_hidden=6, n_embedding=2)
    assert small.embedding.weight.shape == (2, 2)
    assert [layer.out_features for layer in small.rate if hasattr(layer, "out_features")] == [6, 3, 2]


def test_torch_is_left_as_it_was_found_even_after_a_fault() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    try:
        torch.set_num_threads(2)
        with pytest.raises(ZeroDivisionError), one_thread():
            assert torch.get_num_threads() == 1 and torch.are_deterministic_algorithms_enabled()
            torch.rand(3)
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert not torch.are_deterministic_algorithms_enabled() and torch.equal(state, torch.get_rng_state())


def test_one_half_life_has_nothing_to_share_out() -> None:
    """Its share is one whatever the layers of the rate say, and nothing is learned by them."""
    torch.manual_seed(0)
    learner = RateNetwork([True] * 3, [True] * 3, 2, 1, True, -1.0, 16, 4)
    block = made(50)
    alone = Block(block.features, block.categories, block.sums[:, :1], block.returned)
    before = predict(learner, alone)
    with torch.no_grad():
        for parameter in learner.rate.parameters():
            parameter.fill_(torch.nan)
    for found, expected in zip(predict(learner, alone), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (before[2] == 1).all()
