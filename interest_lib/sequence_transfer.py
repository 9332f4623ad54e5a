"""Sequence networks between groups: pre-trained on one, fine-tuned on the other, updated as events come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from interest_lib.groups import GroupTask
from interest_lib.history import Ints
from interest_lib.item_sequences import sequences_of
from interest_lib.sequence_encoders import SequenceNetwork
from interest_lib.sequence_rivals import Scorer, best_of, judged
from interest_lib.sequence_training import Lessons, next_scores, train, trained_on


@dataclass(frozen=True)
class Carried:
    """What a sequence network, pre-trained on the source group, is worth to the target group.

    Attributes
    ----------
    scores : pandas.DataFrame
        A column per way to train, a row per test user: NDCG@10.
    trials : pandas.DataFrame
        ``method``, ``updates``, ``ndcg`` on validation users.
    network : SequenceNetwork
        After pre-training.
    lessons : Lessons
        Those of the pre-training.
    """

    scores: pd.DataFrame
    trials: pd.DataFrame
    network: SequenceNetwork
    lessons: Lessons


def carried_over(
    task: GroupTask,
    content: npt.NDArray[np.floating],
    kind: str,
    tried: Sequence[Lessons],
    sizes: Sequence[int],
    updates: Sequence[int],
    seed: int = 0,
) -> Carried:
    """Pre-train on the source group, fine-tune on some of the target group; or learn from these alone.

    Parameters
    ----------
    task : GroupTask
    content : ndarray of float, shape (n_items, n_content)
    kind : str
        From `sequence_encoders.ENCODERS`.
    tried : sequence of Lessons
        Of the pre-training; those that validation users like best are kept. Fine-tuning takes a third of
        their learning rate.
    sizes : sequence of int
        Target users to learn from; a size beyond their number means all of them.
    updates : sequence of int
        Lengths of fine-tuning (beside none), and of training on the target alone, that are tried on
        validation users.
    seed : int

    Returns
    -------
    Carried
        Columns ``source_only``, ``source_only_shuffled`` (items given in random order when scored),
        ``fine_tuned.<size>``, ``target_only.<size>``.
    """
    columns = {}
    source, how, columns["source_only"], liked = pretrained(task, content, kind, tried, seed)
    columns["source_only_shuffled"] = judged(task, _scorer(task, source, how.length, seed))
    trials = [("source_only", each.n_updates, value) for each, value in zip(tried, liked, strict=True)]
    gentle = replace(how, learning_rate=how.learning_rate / 3)
    for size in sizes:
        some = task.target[:size]
        start = _untrained(task, some, content, kind, how, seed)
        for method, network, lessons in (("fine_tuned", source, gentle), ("target_only", start, how)):
            name = f"{method}.{size if size < len(task.target) else 'all'}"
            lengths = [0, *updates] if network is source else list(updates)
            columns[name], liked = fitted(task, network, some, lessons, lengths, seed)
            trials += [(name, n, value) for n, value in zip(lengths, liked, strict=True)]
    table = pd.DataFrame(trials, columns=["method", "updates", "ndcg"])
    return Carried(pd.DataFrame(columns), table, source, how)


def pretrained(
    task: GroupTask, content: npt.NDArray[np.floating], kind: str, tried: Sequence[Lessons], seed: int
) -> tuple[SequenceNetwork, Lessons, pd.Series, list[float]]:
    """A network that has learned from the source group, in the way that validation users like best.

    Returns
    -------
    network, lessons
        The best of those that were tried.
    scores : pandas.Series
        Its NDCG@10 of test users.
    liked : list of float
        Mean NDCG@10 of validation users for each of those that were tried.
    """
    blank = _untrained(task, task.source, content, kind, tried[0], seed)
    taught = [trained_on(blank, sequences_of(task.met, task.source), how, seed) for how in tried]
    scorers = [_scorer(task, each, how.length) for each, how in zip(taught, tried, strict=True)]
    scores, liked = best_of(task, scorers)
    best = int(np.argmax(liked))
    return taught[best], tried[best], scores, liked


def fitted(
    task: GroupTask, network: SequenceNetwork, rows: Ints, how: Lessons, lengths: Sequence[int], seed: int
) -> tuple[pd.Series, list[float]]:
    """Go on from a network with some users, for the number of updates that validation users like best.

    Returns
    -------
    scores : pandas.Series
        NDCG@10 of test users by the best of them.
    liked : list of float
        Mean NDCG@10 of validation users for each length; at 0 the network stays as it is.
    """
    some = sequences_of(task.met, rows)
    networks = [trained_on(network, some, replace(how, n_updates=n), seed) if n else network for n in lengths]
    return best_of(task, [_scorer(task, each, how.length) for each in networks])


def continued_update(
    task: GroupTask,
    content: npt.NDArray[np.floating],
    kind: str,
    how: Lessons,
    n_continued: int,
    seed: int,
) -> dict[str, pd.Series]:
    """New events come in: go on from the model there is, learn everything anew, or leave it alone.

    Parameters
    ----------
    task : GroupTask
        Target users teach; the first half of what each met is old, the rest is new.
    content, kind
        As for `carried_over`.
    how : Lessons
        Of learning from nothing.
    n_continued : int
        Updates of going on with the model that knows the old half.
    seed : int

    Returns
    -------
    dict of str to pandas.Series
        NDCG@10 of test users: ``left_alone``, ``continued``, ``retrained``.
    """
    both = sequences_of(task.met, task.target)
    old = replace(task, met=_first_half(task.met))
    start = _untrained(old, task.target, content, kind, how, seed)
    alone = trained_on(start, sequences_of(old.met, task.target), how, seed)
    anew = _untrained(task, task.target, content, kind, how, seed)
    gentle = replace(how, n_updates=n_continued, learning_rate=how.learning_rate / 3)
    models = {
        "left_alone": alone,
        "continued": trained_on(alone, both, gentle, seed + 1),
        "retrained": trained_on(anew, both, how, seed),
    }
    return {name: judged(task, _scorer(task, model, how.length)) for name, model in models.items()}


def pretrained_scores(
    task: GroupTask, content: npt.NDArray[np.floating], kind: str, how: Lessons, seed: int
) -> pd.Series:
    """NDCG@10 of test users, by a network that has learned from the source group alone."""
    network = _untrained(task, task.source, content, kind, how, seed)
    train(network, sequences_of(task.met, task.source), how, seed)
    return judged(task, _scorer(task, network, how.length))


def _untrained(
    task: GroupTask, rows: Ints, content: npt.NDArray[np.floating], kind: str, how: Lessons, seed: int
) -> SequenceNetwork:
    """A network that knows no more than how many of the users met each item."""
    known, met = np.ones(len(content), dtype=bool), task.met[rows].getnnz(axis=0).astype(np.float64)
    return SequenceNetwork(kind, content, known, how.length, met=met, seed=seed)


def _scorer(
    task: GroupTask, network: SequenceNetwork, length: int, shuffle_seed: int | None = None
) -> Scorer:
    return lambda rows: next_scores(network, sequences_of(task.met, rows), length, shuffle_seed)


def _first_half(met: sp.csr_matrix) -> sp.csr_matrix:
    """What every user met first; the odd one counts as old."""
    n = np.diff(met.indptr)
    rank = np.empty(met.nnz, dtype=np.int64)
    row = np.repeat(np.arange(len(n)), n)
    order = np.lexsort((met.data, row))
    rank[order] = np.arange(met.nnz) - met.indptr[row[order]]
    old = rank < np.repeat((n + 1) // 2, n)
    return sp.csr_matrix((met.data[old], (row[old], met.indices[old])), shape=met.shape)
