"""Where networks for two groups have to win: logs in which just what they are made for is planted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from sklearn.metrics import balanced_accuracy_score

from interest_lib.group_labels import shuffled_labels
from interest_lib.group_market import GIVEN, campaign_log, moved_log
from interest_lib.group_network import GroupNetwork, network_scorer
from interest_lib.group_training import Training, fit_network, network_methods
from interest_lib.group_transfer import Method
from interest_lib.groups import GroupTask, group_task, ndcg
from interest_lib.history import Floats, Ints
from interest_lib.rate_network import one_thread
from interest_lib.reversal import discriminator, group_loss

_MOST_TESTED: Final = 1000  # users scored at once; the marketplaces have some hundred items


@dataclass(frozen=True)
class Blindness:
    """What reversal does to a network for two groups, on held-out users; first without it, then with it.

    Attributes
    ----------
    told_apart : (float, float)
        Balanced accuracy of a fresh discriminator on the finished representation; 0.5 is chance.
    rival : (float, float)
        The same of the discriminator that was trained along.
    interest_loss : (float, float)
        Mean negative log-likelihood of what held-out source users met later.
    ndcg : pandas.DataFrame
        NDCG@10 of the target's test users: columns ``source``, ``adversarial``.
    """

    told_apart: tuple[float, float]
    rival: tuple[float, float]
    interest_loss: tuple[float, float]
    ndcg: pd.DataFrame


def blindness(
    events: pd.DataFrame,
    is_source: pd.Series,
    reversal: float = 1.0,
    n_steps: int = 500,
    seed: int = 0,
    shuffled: bool = False,
) -> Blindness:
    """Train on the source's labels and the target's inputs, with and without the reversed gradient.

    Both trainings are the same in everything else, and neither sees what target users met later.

    Parameters
    ----------
    events, is_source
        As of `group_market.campaign_log`.
    reversal : float
    n_steps : int
    seed : int
        Of the held-out users and of the networks.
    shuffled : bool
        Deal the group labels out anew, a log without groups.
    """
    task, others = _task(events, is_source, seed, shuffled)
    networks = [
        fit_network(task, len(task.target), "adversarial", Training(n_steps, reversal=weight), seed)
        for weight in (0.0, reversal)
    ]
    fresh, own = zip(*(_told_apart(network, task, others, seed) for network in networks), strict=True)
    losses = [_source_loss(network, task, others) for network in networks]
    scored = [ndcg(task, task.test, network_scorer(network, task)(task.test)) for network in networks]
    table = pd.DataFrame({"source": scored[0], "adversarial": scored[1]})
    return Blindness((fresh[0], fresh[1]), (own[0], own[1]), (losses[0], losses[1]), table)


def head_scores(
    events: pd.DataFrame,
    is_source: pd.Series,
    n_steps: int = 600,
    seed: int = 0,
    shuffled: bool = False,
) -> pd.DataFrame:
    """NDCG@10 of the target's test users by the networks that see labels of both groups.

    Settings are chosen on validation users, among three for each.

    Parameters
    ----------
    events, is_source
        As of `group_market.moved_log`.
    n_steps : int
        The longest training.
    seed : int
    shuffled : bool
        Deal the group labels out anew, a log without groups.

    Returns
    -------
    pandas.DataFrame
        A row a user; columns ``network_pooled``, ``network_weighted``, ``multitask``.
    """
    task, _ = _task(events, is_source, seed, shuffled)
    names = ("network_pooled", "network_weighted", "multitask")
    every = network_methods(task, n_steps)
    table: pd.DataFrame = pd.concat([_tuned(task, every[name], seed).rename(name) for name in names], axis=1)
    return table


def proof(
    kind: str, n_users: int = 2000, n_steps: int = 600, seed: int = 0, shuffled: bool = False
) -> Blindness | pd.DataFrame:
    """One log and what networks find in it, as one piece of work.

    Parameters
    ----------
    kind : str
        ``heads`` for `head_scores` of a `group_market.moved_log`, which takes longer, or ``blind`` for
        `blindness` of a `group_market.campaign_log`.
    n_users : int
        Size of the log.
    n_steps, seed, shuffled
        As there; the seed also draws the log.
    """
    if kind == "heads":
        return head_scores(*moved_log(n_users, seed=seed), n_steps, seed, shuffled)
    return blindness(*campaign_log(n_users, seed=seed), n_steps=n_steps, seed=seed, shuffled=shuffled)


def _tuned(task: GroupTask, method: Method, seed: int) -> pd.Series:
    """Scores of test users under the setting that validation users like best, without fitting it again."""
    scorers = [method.fit(task, len(task.target), setting, seed) for setting in method.settings]
    liked = [float(ndcg(task, task.validation, score(task.validation)).mean()) for score in scorers]
    return ndcg(task, task.test, scorers[int(np.argmax(liked))](task.test))


def _task(events: pd.DataFrame, is_source: pd.Series, seed: int, shuffled: bool) -> tuple[GroupTask, Ints]:
    """The task, and source users whom nothing is learned from: as many as test users."""
    labels = shuffled_labels(is_source, seed) if shuffled else is_source
    n_test = min(_MOST_TESTED, int((~labels).sum()) // 4)
    task = group_task(events, labels, n_test, n_test // 2, given_share=GIVEN, seed=seed)
    order = np.random.default_rng([seed, 3]).permutation(task.source)
    return replace(task, source=np.sort(order[n_test:])), np.sort(order[:n_test])


def _first_part(task: GroupTask, rows: Ints) -> sp.csr_matrix:
    """What users met first, as much as is given of held-out ones."""
    met = sp.csr_matrix(task.met[rows], copy=True)
    n_given = np.maximum(np.floor(GIVEN * np.diff(met.indptr)), 1)
    met.data = (met.data <= np.repeat(n_given, np.diff(met.indptr))).astype(np.float32)
    return met


def _hidden(network: GroupNetwork, bags: sp.csr_matrix) -> torch.Tensor:
    with torch.no_grad():
        return network.represent(torch.from_numpy(bags.toarray().astype(np.float32)))


def _told_apart(network: GroupNetwork, task: GroupTask, others: Ints, seed: int) -> tuple[float, float]:
    """Balanced accuracy, on held-out users, of a fresh discriminator and of the network's own."""
    with one_thread():
        torch.manual_seed(seed)
        known = (_first_part(task, rows) for rows in (task.source, task.target))
        learned = torch.cat([_hidden(network, bags) for bags in known])
        given = (task.met[task.test] > 0).astype(np.float32)
        judged = torch.cat([_hidden(network, bags) for bags in (_first_part(task, others), given)])
        of_learned = np.repeat([0, 1], [len(task.source), len(task.target)])
        of_judged = np.repeat([0, 1], [len(others), len(task.test)])
        mean, spread = learned.mean(dim=0), learned.std(dim=0) + 1e-9
        fresh = discriminator(learned.shape[1])
        optimiser = torch.optim.AdamW(fresh.parameters(), lr=1e-2, weight_decay=1e-3)
        for _ in range(300):
            optimiser.zero_grad()
            group_loss(fresh((learned - mean) / spread), of_learned).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            says = (fresh((judged - mean) / spread)[:, 0] > 0, network.discriminator(judged)[:, 0] > 0)
    found = [float(balanced_accuracy_score(of_judged, each.numpy())) for each in says]
    return found[0], found[1]


def _source_loss(network: GroupNetwork, task: GroupTask, rows: Ints) -> float:
    """Mean negative log-likelihood of the second half of what held-out source users met."""
    first = _first_part(task, rows)
    later: Floats = ((task.met[rows] > 0).toarray() & ~(first.toarray() > 0)).astype(np.float64)
    with one_thread(), torch.no_grad():
        logits = network(torch.from_numpy(first.toarray()), torch.zeros(len(rows)))
        log_shares = torch.log_softmax(logits.double(), dim=1).numpy()
    return float(-(later * log_shares).sum() / later.sum())
