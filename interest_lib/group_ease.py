"""Ways to use two groups of users with item-to-item regressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from interest_lib.group_transfer import ALONE, SOURCE, Method, Scorer
from interest_lib.groups import GroupTask
from interest_lib.history import Floats, Ints
from interest_lib.weighted_ease import SourceModel

_HALF_LIVES: Final = (None, 20.0, 5.0)
_RIDGES: Final = (30.0, 100.0, 300.0, 1000.0, 3000.0)
# pairs of a ridge and, for a model of both groups, the weight of a source user or the ridge of fine-tuning
_SINGLE: Final = tuple((ridge, None) for ridge in _RIDGES)
_WEIGHTED: Final = ((300.0, 0.3), (1000.0, 0.3), (1000.0, 0.1), (3000.0, 0.1), (3000.0, 0.03))
_TUNED: Final = ((100.0, 100.0), (300.0, 100.0), (300.0, 300.0), (1000.0, 300.0), (1000.0, 1000.0))


def ease_methods(
    task: GroupTask, n_items: int = 2000, half_lives: Sequence[float | None] = _HALF_LIVES
) -> dict[str, Method]:
    """Five ways to use the two groups with item-to-item regressions, all with the same number of settings.

    ``target_only``, ``source_only``, ``pooled`` (every user counts alike), ``weighted`` (a source user counts
    less) and ``fine_tuned`` (the source's model is where the target's starts from).

    Parameters
    ----------
    task : GroupTask
        Its source is learned from once; fit the methods on this task, or the same one `with_validation`.
    n_items : int
        Items met by most users; the others are recommended last.
    half_lives : sequence of float or None
        Candidates: when scores are made, a given item's weight halves with so many items met after it.

    Returns
    -------
    dict of str to Method
        A setting is (ridge, weight or ridge of the fine-tuning or None, half-life in items).

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.groups import group_task
    >>> log = pd.DataFrame({"user_id": np.repeat(range(8), 5), "item_id": np.tile(list("abcde"), 8)})
    >>> task = group_task(log, pd.Series(np.arange(8) < 4), n_test=2, n_validation=1)
    >>> methods = ease_methods(task)
    >>> {name: len(method.settings) for name, method in methods.items()}
    {'target_only': 15, 'source_only': 15, 'pooled': 15, 'weighted': 15, 'fine_tuned': 15}
    >>> methods["pooled"].fit(task, 1, (30.0, None, None), 0)(task.test).shape
    (2, 5)
    """
    models = _Models(task, n_items)
    pairs = {ALONE: _SINGLE, SOURCE: _SINGLE, "pooled": _SINGLE, "weighted": _WEIGHTED, "fine_tuned": _TUNED}
    return {
        name: Method(
            fit=models.fitter(name),
            settings=tuple((*pair, half_life) for pair in tried for half_life in half_lives),
            needs_target=name != SOURCE,
        )
        for name, tried in pairs.items()
    }


class _Models:
    """Regressions of one task: the Gram matrix and the inverses of the source are made once."""

    def __init__(self, task: GroupTask, n_items: int) -> None:
        self.n_items = min(n_items, len(task.item_ids))
        users = self._met(task, task.source)
        self.gram = (users.T @ users).toarray()
        self.sources: dict[float, SourceModel] = {}
        self.last: tuple[Any, Callable[[sp.csr_matrix], Floats]] | None = None

    def fitter(self, name: str) -> Callable[[GroupTask, int, Any, int], Scorer]:
        def fit(task: GroupTask, n_target: int, setting: Any, seed: int) -> Scorer:
            ridge, amount, half_life = setting
            target = self._met(task, task.target[:n_target])
            key = (name, target.shape, target.nnz, ridge, amount)  # a half-life is for scoring only
            if self.last is None or self.last[0] != key:
                self.last = (key, self._model(name, target, ridge, amount))
            return _scorer(self.last[1], task, self.n_items, half_life)

        return fit

    def _model(
        self, name: str, target: sp.csr_matrix, ridge: float, amount: float | None
    ) -> Callable[[sp.csr_matrix], Floats]:
        if name == ALONE:
            return _Alone(self.n_items, ridge).pooled(target, 1.0)
        if ridge not in self.sources:
            self.sources[ridge] = SourceModel(self.gram, ridge)
        source = self.sources[ridge]
        if name == SOURCE:
            return source.scores
        if name == "fine_tuned":
            return source.fine_tuned(target, amount or ridge)
        return source.pooled(target, 1.0 if amount is None else amount)

    def _met(self, task: GroupTask, rows: Ints) -> sp.csr_matrix:
        users = sp.csr_matrix(task.met[rows][:, : self.n_items], dtype=np.float64)
        users.data[:] = 1.0
        return users


class _Alone(SourceModel):
    """No source: its inverse is known."""

    def __init__(self, n_items: int, ridge: float) -> None:
        self.gram, self.ridge = np.zeros((n_items, n_items)), ridge
        self.inverse = np.eye(n_items) / ridge


def _scorer(
    model: Callable[[sp.csr_matrix], Floats], task: GroupTask, n_items: int, half_life: float | None
) -> Scorer:
    def scores(rows: Ints) -> Floats:
        given = sp.csr_matrix(task.met[rows], dtype=np.float64)
        if half_life is None:
            given.data[:] = 1.0
        else:
            latest = np.maximum.reduceat(np.append(given.data, 0.0), given.indptr[:-1])
            given.data = 0.5 ** ((np.repeat(latest, np.diff(given.indptr)) - given.data) / half_life)
        found = model(sp.csr_matrix(given[:, :n_items]))
        full = np.full((len(rows), len(task.item_ids)), found.min() - 1.0)
        full[:, :n_items] = found
        return full

    return scores
