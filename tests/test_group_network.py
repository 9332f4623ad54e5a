"""Networks for two groups: what each mode learns from, what reversal hides, files, and the planted proofs."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from interest_lib.group_learners import Learners
from interest_lib.group_market import campaign_log, moved_log, planted_groups
from interest_lib.group_network import GroupNetwork, network_scorer
from interest_lib.group_proof import blindness, head_scores, proof
from interest_lib.group_training import MODES, Training, fit_network, network_methods
from interest_lib.groups import GroupTask, group_task
from interest_lib.schema import InputError
from interest_lib.weights import load_network, save_network

QUICK = Training(n_steps=20, tune_steps=10, batch_size=50)


@cache
def small_task() -> GroupTask:
    return group_task(*planted_groups(n_users=200, n_items=80), n_test=20, n_validation=10)


def scores(
    task: GroupTask, mode: str, n_target: int = 20, how: Training = QUICK, seed: int = 1
) -> np.ndarray:
    return network_scorer(fit_network(task, n_target, mode, how, seed), task)(task.test)


@pytest.mark.parametrize("mode", MODES)
def test_same_seed_same_scores_another_seed_others(mode: str) -> None:
    task = small_task()
    assert (scores(task, mode) == scores(task, mode)).all()
    assert not np.allclose(scores(task, mode), scores(task, mode, seed=2))


def without(task: GroupTask, rows: np.ndarray, first: int = 0) -> GroupTask:
    """The task with nothing but the first items of some users."""
    met = task.met.tolil(copy=True)
    kept = task.met[rows].toarray()
    met[rows] = np.where(kept <= first, kept, 0)
    return replace(task, met=met.tocsr())


def test_target_only_does_not_read_the_source_nor_source_only_the_target() -> None:
    task = small_task()
    assert (scores(without(task, task.source), "network_target") == scores(task, "network_target")).all()
    assert (scores(without(task, task.target), "network_source") == scores(task, "network_source")).all()
    assert not np.allclose(
        scores(without(task, task.source), "network_pooled"), scores(task, "network_pooled")
    )


def test_target_users_beyond_the_sample_are_not_learned_from() -> None:
    task = small_task()
    others = without(task, task.target[20:])
    for mode in ("network_pooled", "multitask", "fine_tuned", "adversarial"):
        assert (scores(others, mode) == scores(task, mode)).all()


def test_what_held_out_users_want_is_never_read() -> None:
    task = small_task()
    blank = replace(task, wanted=sp.csr_matrix(task.wanted.shape, dtype=task.wanted.dtype))
    for mode in MODES:
        assert (scores(blank, mode) == scores(task, mode)).all()


def test_without_reversal_the_adversarial_encoder_reads_no_target_user() -> None:
    """Only the reversed gradient carries anything of the target's inputs into the scores."""
    task = small_task()
    fewer = without(task, task.target, first=1)
    unnoticed, told = replace(QUICK, reversal=0.0), replace(QUICK, reversal=1.0)
    assert (scores(fewer, "adversarial", how=unnoticed) == scores(task, "adversarial", how=unnoticed)).all()
    assert not np.allclose(scores(fewer, "adversarial", how=told), scores(task, "adversarial", how=told))


def test_unlabelled_target_users_lend_only_what_they_met_first() -> None:
    """Later than 65 % of a history nothing is input of the discriminator, so it may be missing."""
    task = small_task()
    n_met = np.diff(task.met.indptr)
    row = np.repeat(np.arange(len(n_met)), n_met)
    late = (task.met.data > np.floor(0.65 * n_met[row]).clip(1)) & (task.met.data < n_met[row])
    late &= np.isin(row, task.target)
    assert late.sum() > 50
    how = replace(QUICK, reversal=1.0)
    moved = sp.csr_matrix((task.met.data[~late], (row[~late], task.met.indices[~late])), shape=task.met.shape)
    assert (
        scores(replace(task, met=moved), "adversarial", how=how) == scores(task, "adversarial", how=how)
    ).all()


def test_a_heavy_penalty_leaves_one_head() -> None:
    task = small_task()
    free = fit_network(task, 20, "multitask", replace(QUICK, deviation=0.0), 1)
    bound = fit_network(task, 20, "multitask", replace(QUICK, deviation=1e3), 1)
    assert free.own is not None and bound.own is not None
    assert bound.own.weight.abs().max() < 0.1 * free.own.weight.abs().max()


def test_attributes_are_read() -> None:
    task = small_task()
    known = sp.csr_matrix(np.random.default_rng(0).integers(0, 2, (len(task.user_ids), 3)).astype(float))
    network = fit_network(task, 20, "network_pooled", QUICK, 1, known)
    assert network.settings["n_attributes"] == 3
    one = network_scorer(network, task, known)(task.test)
    assert not np.allclose(one, network_scorer(network, task, sp.csr_matrix(known.shape))(task.test))


def test_a_saved_network_gives_the_same_scores(tmp_path) -> None:
    task = small_task()
    network = fit_network(task, 20, "multitask", QUICK, 1)
    save_network(tmp_path / "multitask.safetensors", network, network.settings)
    again = load_network(tmp_path / "multitask.safetensors", GroupNetwork)
    assert (network_scorer(network, task)(task.test) == network_scorer(again, task)(task.test)).all()


def test_every_mode_has_as_many_trials() -> None:
    assert {len(method.settings) for method in network_methods(small_task()).values()} == {3}
    methods = network_methods(small_task())
    assert [name for name, method in methods.items() if not method.needs_target] == ["network_source"]


def test_the_source_is_learned_from_once_and_nothing_else_is_carried_over() -> None:
    """Whatever was fitted before, and the same as without anything kept."""
    task = small_task()
    kept: dict = {}
    for n_target in (20, 40):
        for mode in ("fine_tuned", "network_source"):
            shared = fit_network(task, n_target, mode, QUICK, 1, starts=kept)
            alone = fit_network(task, n_target, mode, QUICK, 1)
            for one, other in zip(shared.parameters(), alone.parameters(), strict=True):
                assert bool((one == other).all())
    assert len(kept) == 1
    assert not np.allclose(scores(task, "fine_tuned"), scores(task, "fine_tuned", n_target=40))


def test_methods_of_a_task_do_not_lend_its_source_to_another() -> None:
    task = small_task()
    fit = network_methods(task, n_steps=8)["network_source"].fit
    other = replace(task, source=task.source[:20])
    here, there = (fit(part, 0, QUICK, 1)(task.test) for part in (task, other))
    assert not np.allclose(here, there)
    np.testing.assert_array_equal(there, scores(other, "network_source"))


def test_bags_are_those_that_the_network_makes_itself() -> None:
    task = small_task()
    met = sp.csr_matrix(task.met, dtype=np.float32)
    learners = Learners(met, sp.csr_matrix((len(task.user_ids), 0)), np.zeros(1), np.ones(1))
    users = np.array([3, 0, 3, 7])
    found = learners.meetings(users)
    seen = found.place <= 4
    network = fit_network(task, 20, "network_pooled", QUICK, 1)
    first = met[users].toarray()
    raw = torch.from_numpy(((first > 0) & (first <= 4)).astype(np.float32))
    hidden = network.encode(learners.bags(users, found, seen))
    np.testing.assert_allclose(hidden.detach(), network.represent(raw).detach(), atol=1e-6)
    np.testing.assert_array_equal(found.of_cells(first), found.place)


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(InputError, match="choose one of"):
        fit_network(small_task(), 20, "pooled", QUICK, 0)
    with pytest.raises(InputError, match="n_target above 0"):
        fit_network(small_task(), 0, "network_target", QUICK, 0)


def test_campaigns_are_apart_and_moves_leave_beginnings_alone() -> None:
    events, is_source = campaign_log(n_users=100, n_items=200, n_campaign=8, per_user=3)
    first = events[events["timestamp"] == events["timestamp"].min()]
    shown = [set(first.loc[first["user_id"].map(is_source) == who, "item_id"]) for who in (True, False)]
    assert not shown[0] & shown[1] and (first.groupby("user_id").size() == 3).all()
    plain, moved = (moved_log(n_users=100, n_items=200, moved_share=share)[0] for share in (0.0, 1.0))
    of_source = plain["user_id"].map(is_source)
    assert (
        plain[of_source]
        .reset_index(drop=True)
        .equals(moved[moved["user_id"].map(is_source)].reset_index(drop=True))
    )
    target = [log[~log["user_id"].map(is_source)] for log in (plain, moved)]
    begun = [log[log.groupby("user_id").cumcount() < 1].reset_index(drop=True) for log in target]
    assert begun[0]["item_id"].equals(begun[1]["item_id"])
    assert (
        target[0]
        .groupby("user_id")["item_id"]
        .agg(set)
        .ne(target[1].groupby("user_id")["item_id"].agg(set))
        .mean()
        > 0.9
    )


def test_reversal_hides_the_group_and_keeps_the_interest() -> None:
    found = blindness(*campaign_log(n_users=1200, n_items=300, seed=5), n_steps=300, seed=5)
    assert found.told_apart[0] > 0.85 and found.told_apart[1] < 0.75
    assert found.rival[1] < 0.65
    assert found.interest_loss[1] < 1.03 * found.interest_loss[0]


def test_with_shuffled_labels_there_is_nothing_to_hide_or_to_gain() -> None:
    found = blindness(*campaign_log(n_users=800, n_items=200, seed=5), n_steps=100, seed=5, shuffled=True)
    assert abs(found.told_apart[0] - 0.5) < 0.1


def test_heads_of_their_own_learn_where_the_target_group_goes() -> None:
    table = head_scores(*moved_log(n_users=1200, n_items=200, moved_share=1.0, seed=5), n_steps=300, seed=5)
    assert list(table) == ["network_pooled", "network_weighted", "multitask"]
    assert table["multitask"].mean() > table["network_pooled"].mean()


def test_a_proof_is_its_log_and_what_is_found_in_it() -> None:
    table = proof("heads", 400, 8, seed=3)
    assert table.equals(head_scores(*moved_log(400, seed=3), n_steps=8, seed=3))
    found, same = proof("blind", 400, 8, seed=3), blindness(*campaign_log(400, seed=3), n_steps=8, seed=3)
    assert found.ndcg.equals(same.ndcg) and found.told_apart == same.told_apart
