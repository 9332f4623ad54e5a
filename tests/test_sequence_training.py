"""Sequence networks: what they may see, what they learn, and that they come back as they were."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from interest_lib.item_sequences import AUGMENTATIONS, ItemSequences, sequences_of
from interest_lib.schema import InputError
from interest_lib.sequence_encoders import ENCODERS, SequenceNetwork, blank_network
from interest_lib.sequence_training import Lessons, next_scores, train, trained_on
from interest_lib.weights import load_network, save_network

N_ITEMS = 12
SHORT = Lessons(n_updates=5, batch_size=16, length=6, reach=2, asked=3)


def rounds(n_users: int = 60) -> ItemSequences:
    """Everybody goes through the items in a circle, from anywhere: the order tells all, the set nothing."""
    start = np.random.default_rng(0).integers(0, N_ITEMS, n_users)
    met = np.zeros((n_users, N_ITEMS), dtype=int)
    for place in range(7):
        met[np.arange(n_users), (start + place) % N_ITEMS] = place + 1
    return sequences_of(sp.csr_matrix(met))


def fresh(kind: str, **settings: object) -> SequenceNetwork:
    known = np.ones(N_ITEMS, dtype=bool)
    return SequenceNetwork(kind, np.eye(N_ITEMS), known, length=6, n_hidden=16, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_order_is_learned_and_without_it_the_answer_is_lost(kind: str) -> None:
    network, sequences = fresh(kind, dropout=0.0), rounds()
    how = Lessons(n_updates=250, learning_rate=0.02, batch_size=32, length=6, reach=1, asked=3)
    train(network, sequences, how, seed=0)
    last = sequences.codes[sequences.start[1:] - 1]
    follows = last % N_ITEMS  # the code of an item is its column plus one
    right = (next_scores(network, sequences, 6).argmax(axis=1) == follows).mean()
    mixed = (next_scores(network, sequences, 6, shuffle_seed=1).argmax(axis=1) == follows).mean()
    assert right > 0.9 and mixed < 0.8


@pytest.mark.parametrize("kind", ["cnn", "lstm"])
def test_what_foretells_the_next_item_sees_nothing_that_comes_later(kind: str) -> None:
    network = fresh(kind).eval()
    one, other = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2, 9, 10]])
    with torch.no_grad():
        first, second = network(one), network(other)
    assert torch.equal(first[:, :2], second[:, :2]) and not torch.allclose(first[:, 2], second[:, 2])


def test_the_transformer_looks_both_ways_but_not_at_padding() -> None:
    network = fresh("transformer").eval()
    with torch.no_grad():
        states = network(torch.tensor([[0, 0, 1, 13], [0, 0, 1, 2]]))
        alone = network(torch.tensor([[1, 13]]))
    assert not torch.allclose(states[0, 2], states[1, 2])
    torch.testing.assert_close(states[0, 2:], alone[0])


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("augment", [(), *((name,) for name in AUGMENTATIONS)])
def test_same_seed_same_bytes_and_another_seed_others(kind: str, augment: tuple[str, ...]) -> None:
    how = Lessons(n_updates=3, batch_size=16, length=6, reach=2, asked=3, augment=augment)
    scores = [next_scores(trained_on(fresh(kind), rounds(), how, seed), rounds(), 6) for seed in (0, 0, 1)]
    assert (scores[0] == scores[1]).all() and not np.allclose(scores[0], scores[2])


def test_each_augmentation_changes_what_is_learned() -> None:
    learned = {}
    for augment in [(), *((name,) for name in AUGMENTATIONS)]:
        how = Lessons(n_updates=3, batch_size=16, length=6, reach=2, asked=3, augment=augment)
        learned[augment] = next_scores(trained_on(fresh("lstm"), rounds(), how, 0), rounds(), 6).tobytes()
    assert len(set(learned.values())) == 4


def test_going_on_leaves_the_first_network_alone_and_saves_updates() -> None:
    network, sequences = fresh("lstm", dropout=0.0), rounds()
    how = Lessons(n_updates=150, learning_rate=0.02, batch_size=32, length=6, reach=1, asked=3)
    losses = train(network, sequences, how, seed=0)
    before = next_scores(network, sequences, 6)
    pupil = trained_on(network, sequences, SHORT, seed=1)
    assert (next_scores(network, sequences, 6) == before).all()
    assert not np.allclose(next_scores(pupil, sequences, 6), before)
    short = Lessons(n_updates=5, learning_rate=0.001, batch_size=32, length=6, reach=1, asked=3)
    assert train(network, sequences, short, seed=1)[0] < 0.5 * losses[0]


def test_an_unknown_item_has_its_content_only_and_is_never_a_rival_in_training() -> None:
    known = np.arange(N_ITEMS) != 11
    network = SequenceNetwork("lstm", np.eye(N_ITEMS), known, length=6, n_hidden=16)
    log_shares = network.log_shares(torch.randn(4, 16))
    assert torch.isneginf(log_shares[:, 11]).all()
    torch.testing.assert_close(log_shares.exp().sum(dim=1), torch.ones(4))
    before = network.items.own[11].clone()  # type: ignore[index]
    vector = network.items()[12]
    torch.testing.assert_close(vector, network.items.project(network.items.content[11]))  # type: ignore[misc,operator,index]
    with torch.no_grad():
        network.items.own[11] += 5  # type: ignore[index]
    assert torch.equal(network.items()[12], vector) and not torch.equal(network.items.own[11], before)  # type: ignore[index]


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_stored_network_gives_the_same_scores(kind: str, tmp_path: Path) -> None:
    known = np.arange(N_ITEMS) != 3
    network = SequenceNetwork(kind, np.eye(N_ITEMS), known, length=6, n_hidden=16)
    save_network(tmp_path / "network.safetensors", network, network.settings)
    back = load_network(tmp_path / "network.safetensors", blank_network)
    assert (next_scores(back, rounds(), 6) == next_scores(network, rounds(), 6)).all()
    assert torch.isneginf(back.log_shares(torch.randn(1, 16))[0, 3])


def test_an_untrained_network_ranks_by_popularity() -> None:
    met = np.random.default_rng(1).permutation(N_ITEMS).astype(float) ** 2
    scores = next_scores(fresh("cnn", met=met), rounds(), 6)
    assert (scores.argmax(axis=1) == met.argmax()).mean() > 0.9


def test_what_cannot_be_done_is_told() -> None:
    with pytest.raises(InputError, match="did you mean lstm"):
        fresh("lsmt")
    with pytest.raises(InputError, match="neither content"):
        SequenceNetwork("cnn", np.empty((3, 0)), np.ones(3, bool), own=False)
    with pytest.raises(InputError, match="did you mean crop"):
        train(fresh("cnn"), rounds(), Lessons(augment=("corp",)), seed=0)
    with pytest.raises(InputError, match="No user met two items"):
        train(fresh("cnn"), sequences_of(sp.csr_matrix(np.eye(3, N_ITEMS, dtype=int))), SHORT, seed=0)


@pytest.mark.parametrize("kind", ENCODERS)
def test_states_where_asked_are_those_of_everywhere(kind: str) -> None:
    network = SequenceNetwork(kind, np.eye(9), np.ones(9, bool), length=7, n_hidden=8, seed=1).eval()
    codes = torch.from_numpy(np.random.default_rng(0).integers(1, 10, (4, 7)))
    codes[1, :5] = 0
    row, place = torch.tensor([3, 0, 3, 1, 3, 0]), torch.tensor([6, 2, 0, 5, 1, 6])  # row 2 is not asked
    with torch.no_grad():
        torch.testing.assert_close(network(codes, (row, place)), network(codes)[row, place])


@pytest.mark.parametrize("kind", ENCODERS)
def test_nobody_gets_no_scores(kind: str) -> None:
    network = SequenceNetwork(kind, np.eye(9), np.ones(9, bool), length=7, n_hidden=8)
    nobody = ItemSequences(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64), 9)
    assert next_scores(network, nobody, 7).shape == (0, 9)
