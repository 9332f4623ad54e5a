"""A shared encoder with heads, a reversed gradient, and networks in files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from interest_lib import weights
from interest_lib.interest_network import (
    Fitting,
    InterestNetwork,
    UserRows,
    fit,
    foretold,
    represented,
    told_apart,
)
from interest_lib.reversal import group_loss, reversed_gradient
from interest_lib.schema import InputError

FITTING = Fitting(n_epochs=40, patience=0, batch_size=64, learning_rate=1e-2, judged_task="next")


def made_rows(n: int, seed: int, shift: float = 0.0) -> UserRows:
    """Two tastes: who buys of the first three interests goes on with class 0, the others with class 1."""
    rng = np.random.default_rng(seed)
    taste = rng.integers(0, 2, n)
    group = rng.integers(0, 2, n)
    bag = np.zeros((n, 8))
    bag[np.arange(n), 3 * taste + rng.integers(0, 3, n)] = 2.0
    bag[:, 6] = group * shift
    return UserRows(
        sp.csr_matrix(bag),
        sp.csr_matrix((n, 0)),
        {"next": sp.csr_matrix(np.eye(2)[taste])},
        group.astype(np.int64),
    )


def made_network(rows: UserRows, seed: int = 0) -> InterestNetwork:
    torch.manual_seed(seed)
    n_classes = {task: label.shape[1] for task, label in rows.labels.items()}
    return InterestNetwork(
        rows.interests.shape[1], rows.attributes.shape[1], n_classes, n_hidden=8, dropout=0.1
    )


def fitted(how: Fitting, shift: float = 4.0) -> tuple[InterestNetwork, UserRows, UserRows]:
    rows, judge = made_rows(400, 1, shift), made_rows(300, 2, shift)
    network = made_network(rows)
    fit(network, rows, judge, how, seed=3)
    return network, rows, judge


def test_it_learns_what_follows_and_tells_it_of_others() -> None:
    network, _, judge = fitted(FITTING)
    says = foretold(network, judge, "next")
    np.testing.assert_allclose(says.sum(axis=1), 1.0)
    assert (says.argmax(axis=1) == judge.labels["next"].toarray().argmax(axis=1)).mean() > 0.95


def test_the_reversed_gradient_misleads_its_discriminator_and_keeps_the_interest() -> None:
    losses = []
    for reversal in (0.0, 3.0):
        network, _, judge = fitted(replace(FITTING, learning_rate=2e-3, n_epochs=15, reversal=reversal))
        assert judge.group is not None
        with torch.no_grad():
            hidden = torch.from_numpy(represented(network, judge)).float()
            losses.append(float(group_loss(network.discriminator(hidden), judge.group)))
        right = foretold(network, judge, "next").argmax(axis=1) == judge.labels["next"].toarray().argmax(
            axis=1
        )
        assert right.mean() > 0.9
    assert losses[1] > losses[0] + 0.2


def test_a_fresh_discriminator_tells_groups_apart_where_they_differ_only() -> None:
    network, rows, judge = fitted(replace(FITTING, n_epochs=3))
    assert told_apart(network, rows, judge, seed=5) > 0.95
    same, other = made_rows(400, 1, 0.0), made_rows(300, 2, 0.0)
    assert 0.35 < told_apart(made_network(same), same, other, seed=5) < 0.65


def test_without_reversal_the_groups_do_not_change_what_is_learned() -> None:
    rows, judge = made_rows(200, 1, 4.0), made_rows(100, 2, 4.0)
    says = []
    for group in (rows.group, None):
        network = made_network(rows)
        fit(network, replace(rows, group=group), judge, replace(FITTING, n_epochs=3), seed=3)
        says.append(represented(network, judge))
    np.testing.assert_allclose(says[0], says[1], rtol=1e-5, atol=1e-6)


def test_the_gradient_is_turned_round() -> None:
    hidden = torch.tensor([1.0, 2.0], requires_grad=True)
    (reversed_gradient(hidden, 3.0) ** 2).sum().backward()
    assert hidden.grad is not None
    np.testing.assert_allclose(hidden.grad, [-6.0, -12.0])


def test_groups_of_different_size_count_the_same_and_neither_is_left_out() -> None:
    logits = torch.tensor([[2.0], [-1.0], [-1.0], [-1.0], [50.0]])
    loss = float(group_loss(logits, np.array([1, 0, 0, 0, -1])))
    expected = 0.5 * np.log1p(np.exp(-2.0)) + 0.5 * np.log1p(np.exp(-1.0))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert float(group_loss(logits, np.array([1, 1, 1, 1, -1]))) == 0.0


def test_a_row_without_a_label_teaches_its_task_nothing() -> None:
    rows, judge = made_rows(100, 1), made_rows(50, 2)
    lost = rows.labels["next"].toarray()
    lost[::2] = 0.0
    rows = replace(rows, labels={"next": sp.csr_matrix(lost)}, group=None)
    networks = []
    for interests in (
        rows.interests,
        sp.csr_matrix(rows.interests.toarray() * (np.arange(100) % 2)[:, None]),
    ):
        network = made_network(rows)
        fit(network, replace(rows, interests=interests), judge, replace(FITTING, n_epochs=2), seed=3)
        networks.append(represented(network, judge))
    np.testing.assert_allclose(networks[0], networks[1], rtol=1e-5, atol=1e-6)


def test_training_is_the_same_every_time_and_stops_at_its_best() -> None:
    rows, judge = made_rows(200, 1), made_rows(100, 2)
    runs = []
    for _ in range(2):
        network = made_network(rows)
        losses = fit(network, rows, judge, replace(FITTING, n_epochs=30, patience=2), seed=3)
        says = foretold(network, judge, "next")
        truth = judge.labels["next"].toarray()
        assert -np.log((says * truth).sum(axis=1)).mean() == pytest.approx(min(losses), rel=1e-4)
        runs.append(says)
        torch.rand(1)  # random numbers of others do not matter
    np.testing.assert_array_equal(runs[0], runs[1])


def test_heads_start_with_how_common_their_classes_are() -> None:
    rows = made_rows(100, 1)
    network = made_network(rows)
    network.start_heads(rows)
    common = rows.labels["next"].toarray().sum(axis=0) + 0.5
    np.testing.assert_allclose(
        torch.softmax(network.heads["next"].bias, 0).detach().numpy(), common / common.sum(), rtol=1e-5
    )


def test_a_stored_network_foretells_the_same(tmp_path: Path) -> None:
    network, _, judge = fitted(replace(FITTING, n_epochs=2))
    path = tmp_path / "network.safetensors"
    weights.save_network(path, network, network.settings)
    assert b"pickle" not in path.read_bytes()
    again = weights.load_network(path, InterestNetwork)
    assert again.settings == network.settings and not again.training
    np.testing.assert_array_equal(foretold(again, judge, "next"), foretold(network, judge, "next"))


def test_what_is_no_network_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    with pytest.raises(InputError, match="does not exist"):
        weights.load_network(path, InterestNetwork)
    path.write_bytes(b"\x80\x04 something else")
    with pytest.raises(InputError, match="does not hold"):
        weights.load_network(path, InterestNetwork)
    weights.save_network(path, torch.nn.Linear(2, 3), {"in_features": 2, "out_features": 4})
    with pytest.raises(InputError, match="size mismatch"):
        weights.load_network(path, torch.nn.Linear)
