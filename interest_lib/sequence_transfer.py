"""Sequence networks between groups, and simple rivals: is it worth knowing the order of items?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from interest_lib.groups import GroupTask, ndcg
from interest_lib.history import Floats, Ints
from interest_lib.item_sequences import ItemSequences, sequences_of
from interest_lib.sequence_encoders import SequenceNetwork
from interest_lib.sequence_training import Lessons, next_scores, train, trained_on
from interest_lib.weighted_ease import ridge_inverse

Scorer = Callable[[Ints], Floats]

RIDGES = (200.0, 1000.0)
HALF_LIVES: tuple[float, ...] = (np.inf, 20.0)  # in items met since


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
    blank = _untrained(task, task.source, content, kind, tried[0], seed)
    taught = [trained_on(blank, sequences_of(task.met, task.source), how, seed) for how in tried]
    scorers = [_scorer(task, each, how.length) for each, how in zip(taught, tried, strict=True)]
    columns = {}
    columns["source_only"], liked = _best(task, scorers)
    source, how = taught[int(np.argmax(liked))], tried[int(np.argmax(liked))]
    columns["source_only_shuffled"] = _judged(task, _scorer(task, source, how.length, seed))
    trials = [("source_only", each.n_updates, value) for each, value in zip(tried, liked, strict=True)]
    gentle = replace(how, learning_rate=how.learning_rate / 3)
    for size in sizes:
        some = sequences_of(task.met, task.target[:size])
        start = _untrained(task, task.target[:size], content, kind, how, seed)
        for method, network, lessons in (("fine_tuned", source, gentle), ("target_only", start, how)):
            name = f"{method}.{size if size < len(task.target) else 'all'}"
            lengths = [0, *updates] if network is source else list(updates)
            fitted = [
                trained_on(network, some, replace(lessons, n_updates=n), seed) if n else network
                for n in lengths
            ]
            columns[name], liked = _best(task, [_scorer(task, each, how.length) for each in fitted])
            trials += [(name, n, value) for n, value in zip(lengths, liked, strict=True)]
    table = pd.DataFrame(trials, columns=["method", "updates", "ndcg"])
    return Carried(pd.DataFrame(columns), table, source, how)


def simple_rivals(
    task: GroupTask, n_target: int, seed: int = 0, reach: int = 20
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What needs no network, from the source group and the first target users together.

    Parameters
    ----------
    task : GroupTask
    n_target : int
        Target users to learn from.
    seed : int
        Of the places at which `followers_ridge` cuts histories.
    reach : int
        As in `sequence_training.Lessons`.

    Returns
    -------
    scores : pandas.DataFrame
        NDCG@10 of test users: ``popularity``; ``ease``, which knows who met what; and ``followers``, a ridge
        regression of what comes next on what came before, which knows the order. Four settings each (ridge,
        and how fast given items fade) were tried on validation users.
    trials : pandas.DataFrame
        ``method``, ``setting``, ``ndcg`` of validation users.
    """
    users = np.concatenate([task.source, task.target[:n_target]])
    met = sp.csr_matrix(task.met[users].astype(bool).astype(np.float64))
    popularity = np.asarray(met.sum(axis=0)).ravel()
    columns = {"popularity": _judged(task, lambda rows: np.tile(popularity, (len(rows), 1)))}
    sequences, gram = sequences_of(task.met, users), (met.T @ met).toarray()
    scorers: dict[str, dict[str, Scorer]] = {"ease": {}, "followers": {}}
    for ridge in RIDGES:
        inverse = ridge_inverse(gram, ridge)
        ease = -inverse / np.diag(inverse)
        np.fill_diagonal(ease, 0.0)
        for half_life in HALF_LIVES:
            setting = f"ridge {ridge:g}, half-life {half_life:g}"
            scorers["ease"][setting] = _linear(task, ease, half_life)
            weights = followers_ridge(sequences, ridge / 10, half_life, reach, seed=seed)
            scorers["followers"][setting] = _linear(task, weights, half_life)
    trials = []
    for name, of_setting in scorers.items():
        columns[name], tried = _best(task, list(of_setting.values()))
        trials += [(name, setting, value) for setting, value in zip(of_setting, tried, strict=True)]
    return pd.DataFrame(columns), pd.DataFrame(trials, columns=["method", "setting", "ndcg"])


def followers_ridge(
    sequences: ItemSequences, ridge: float, half_life: float, reach: int = 20, n_cuts: int = 8, seed: int = 0
) -> Floats:
    """Ridge regression of the items that follow a place in the history on those before it.

    The simplest thing that knows the order: linear and in closed form.

    Parameters
    ----------
    sequences : ItemSequences
    ridge : float
        L2 penalty.
    half_life : float
        Items after which one that was met counts half.
    reach : int
        How many of the following items are foretold.
    n_cuts : int
        Places drawn from every history.
    seed : int

    Returns
    -------
    ndarray of float, shape (n_items, n_items)
        Rows: items met; columns: items to come.

    Examples
    --------
    >>> sequences = sequences_of(sp.csr_matrix([[1, 2, 3], [1, 2, 3]]))
    >>> weights = followers_ridge(sequences, ridge=0.1, half_life=0.1, reach=1)
    >>> weights.argmax(axis=1)[:2].tolist()
    [1, 2]
    """
    able = np.flatnonzero(sequences.length >= 2)
    users = np.repeat(able, n_cuts)
    cut = np.random.default_rng(seed).integers(1, sequences.length[users])
    before = _stretch(sequences, users, np.zeros_like(cut), cut, half_life)
    after = _stretch(sequences, users, cut, np.minimum(cut + reach, sequences.length[users]), np.inf)
    return ridge_inverse((before.T @ before).toarray(), ridge) @ (before.T @ after).toarray()


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
    return {name: _judged(task, _scorer(task, model, how.length)) for name, model in models.items()}


def pretrained_scores(
    task: GroupTask, content: npt.NDArray[np.floating], kind: str, how: Lessons, seed: int
) -> pd.Series:
    """NDCG@10 of test users, by a network that has learned from the source group alone."""
    network = _untrained(task, task.source, content, kind, how, seed)
    train(network, sequences_of(task.met, task.source), how, seed)
    return _judged(task, _scorer(task, network, how.length))


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


def _linear(task: GroupTask, weights: Floats, half_life: float) -> Scorer:
    def score(rows: Ints) -> Floats:
        given = sequences_of(task.met, rows)
        users = np.arange(len(rows))
        return _stretch(given, users, np.zeros_like(given.length), given.length, half_life) @ weights

    return score


def _stretch(
    sequences: ItemSequences, users: Ints, begin: Ints, end: Ints, half_life: float
) -> sp.csr_matrix:
    """Items from `begin` to before `end` of every user; the last one counts one, those before it less."""
    n = end - begin
    row = np.repeat(np.arange(len(users)), n)
    age = np.repeat(np.cumsum(n), n) - 1 - np.arange(len(row))
    codes = sequences.codes[np.repeat(sequences.start[users] + end, n) - 1 - age]
    return sp.csr_matrix((0.5 ** (age / half_life), (row, codes - 1)), shape=(len(users), sequences.n_items))


def _judged(task: GroupTask, score: Scorer, rows: Ints | None = None) -> pd.Series:
    rows = task.test if rows is None else rows
    return ndcg(task, rows, score(rows).astype(np.float64))


def _best(task: GroupTask, scorers: Sequence[Scorer]) -> tuple[pd.Series, list[float]]:
    """The test scores of what is best on validation users, and the validation scores."""
    tried = [float(_judged(task, score, task.validation).mean()) for score in scorers]
    return _judged(task, scorers[int(np.argmax(tried))]), tried


def _first_half(met: sp.csr_matrix) -> sp.csr_matrix:
    """What every user met first; the odd one counts as old."""
    n = np.diff(met.indptr)
    rank = np.empty(met.nnz, dtype=np.int64)
    row = np.repeat(np.arange(len(n)), n)
    order = np.lexsort((met.data, row))
    rank[order] = np.arange(met.nnz) - met.indptr[row[order]]
    old = rank < np.repeat((n + 1) // 2, n)
    return sp.csr_matrix((met.data[old], (row[old], met.indices[old])), shape=met.shape)
