"""Rivals of sequence networks that need no network, and how both are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.groups import GroupTask, ndcg
from interest_lib.history import Floats, Ints
from interest_lib.item_sequences import ItemSequences, sequences_of
from interest_lib.weighted_ease import ridge_inverse

Scorer = Callable[[Ints], Floats]

RIDGES = (200.0, 1000.0, 3000.0)
HALF_LIVES: tuple[float, ...] = (np.inf, 10.0)  # in items met since


def judged(task: GroupTask, score: Scorer, rows: Ints | None = None) -> pd.Series:
    """NDCG@10 of the test users, or of others who are held out."""
    rows = task.test if rows is None else rows
    return ndcg(task, rows, score(rows).astype(np.float64))


def best_of(task: GroupTask, scorers: Sequence[Scorer]) -> tuple[pd.Series, list[float]]:
    """The test scores of what is best on validation users, and the validation scores."""
    tried = [float(judged(task, score, task.validation).mean()) for score in scorers]
    return judged(task, scorers[int(np.argmax(tried))]), tried


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
        regression of what comes next on what came before, which knows the order. Six settings each (ridge,
        and how fast given items fade) were tried on validation users.
    trials : pandas.DataFrame
        ``method``, ``setting``, ``ndcg`` of validation users.
    """
    users = np.concatenate([task.source, task.target[:n_target]])
    met = sp.csr_matrix(task.met[users].astype(bool).astype(np.float64))
    popularity = np.asarray(met.sum(axis=0)).ravel()
    columns = {"popularity": judged(task, lambda rows: np.tile(popularity, (len(rows), 1)))}
    sequences, gram = sequences_of(task.met, users), (met.T @ met).toarray()
    scorers: dict[str, dict[str, Scorer]] = {"ease": {}, "followers": {}}
    followed = {half_life: _followed(sequences, half_life, reach, seed=seed) for half_life in HALF_LIVES}
    for ridge in RIDGES:
        inverse = ridge_inverse(gram, ridge)
        ease = -inverse / np.diag(inverse)
        np.fill_diagonal(ease, 0.0)
        for half_life, (before, together) in followed.items():
            setting = f"ridge {ridge:g}, half-life {half_life:g}"
            scorers["ease"][setting] = _linear(task, ease, half_life)
            weights = ridge_inverse(before, ridge / 10) @ together
            scorers["followers"][setting] = _linear(task, weights, half_life)
    trials = []
    for name, of_setting in scorers.items():
        columns[name], tried = best_of(task, list(of_setting.values()))
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
    before, together = _followed(sequences, half_life, reach, n_cuts, seed)
    return ridge_inverse(before, ridge) @ together


def _followed(
    sequences: ItemSequences, half_life: float, reach: int, n_cuts: int = 8, seed: int = 0
) -> tuple[Floats, Floats]:
    """How often items came before a place with each other, and with those after it: what a ridge needs."""
    able = np.flatnonzero(sequences.length >= 2)
    users = np.repeat(able, n_cuts)
    cut = np.random.default_rng(seed).integers(1, sequences.length[users])
    before = _stretch(sequences, users, np.zeros_like(cut), cut, half_life)
    after = _stretch(sequences, users, cut, np.minimum(cut + reach, sequences.length[users]), np.inf)
    return (before.T @ before).toarray(), (before.T @ after).toarray()


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
