"""Ways to use two groups of users with item-to-item regressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from interest_lib.group_transfer import ALONE, SOURCE, Method, Scorer
from interest_lib.groups import GroupTask
from interest_lib.history import Floats, Ints
from interest_lib.weighted_ease import SourceModel, remembered, target_model

_LONGEST_LIST: Final = 100
_KEPT: Final = 9  # ways to weigh the histories of some users

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
        Items met by most users; the others are recommended last, where nothing else is left.
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
        users = _met(task, task.source, self.n_items)
        self.gram = (users.T @ users).toarray()
        self.sources: dict[float, SourceModel] = {}
        self.last: tuple[Any, Callable[[sp.csr_matrix], Floats]] | None = None
        # the same object for the same users: models know by it what they have multiplied before
        self.targets: list[tuple[tuple[object, ...], sp.csr_matrix]] = []
        self.given: list[tuple[tuple[object, ...], sp.csr_matrix]] = []

    def fitter(self, name: str) -> Callable[[GroupTask, int, Any, int], Scorer]:
        def fit(task: GroupTask, n_target: int, setting: Any, seed: int) -> Scorer:
            ridge, amount, half_life = setting
            target = self._target(task, n_target)
            key = (name, id(target), ridge, amount)  # a half-life is for scoring only
            if self.last is None or self.last[0] != key:
                self.last = (key, self._model(name, target, ridge, amount))
            model = self.last[1]

            def scores(rows: Ints) -> Floats:
                given = self._given(task, rows, half_life)
                return _padded(model(given), given, len(task.item_ids))

            return scores

        return fit

    def _model(
        self, name: str, target: sp.csr_matrix, ridge: float, amount: float | None
    ) -> Callable[[sp.csr_matrix], Floats]:
        if name == ALONE:
            return target_model(target, ridge)
        if ridge not in self.sources:
            self.sources[ridge] = SourceModel(self.gram, ridge)
        source = self.sources[ridge]
        if name == SOURCE:
            return source.scores
        if name == "fine_tuned":
            return source.fine_tuned(target, amount or ridge)
        return source.pooled(target, 1.0 if amount is None else amount)

    def _target(self, task: GroupTask, n_target: int) -> sp.csr_matrix:
        rows = task.target[:n_target]
        key = (task.met, rows.tobytes())
        return remembered(self.targets, key, 1, lambda: _met(task, rows, self.n_items))

    def _given(self, task: GroupTask, rows: Ints, half_life: float | None) -> sp.csr_matrix:
        key = (task.met, rows.tobytes(), half_life)

        def weighted() -> sp.csr_matrix:
            return sp.csr_matrix(_weighted(task, rows, half_life)[:, : self.n_items])

        return remembered(self.given, key, _KEPT, weighted)


def _met(task: GroupTask, rows: Ints, n_items: int) -> sp.csr_matrix:
    users = sp.csr_matrix(task.met[rows][:, :n_items], dtype=np.float64)
    users.data[:] = 1.0
    return users


def _weighted(task: GroupTask, rows: Ints, half_life: float | None) -> sp.csr_matrix:
    """Histories whose items count less the more were met after them."""
    given = sp.csr_matrix(task.met[rows], dtype=np.float64)
    if half_life is None:
        given.data[:] = 1.0
    else:
        latest = np.maximum.reduceat(np.append(given.data, 0.0), given.indptr[:-1])
        given.data = 0.5 ** ((np.repeat(latest, np.diff(given.indptr)) - given.data) / half_life)
    return given


def _padded(found: Floats, given: sp.csr_matrix, n_items: int) -> Floats:
    """Scores with columns for the other items, which come last, where a list might run out of items.

    Otherwise they could not get into a list, and ranking them would take longer than all the rest.
    """
    n_rows, n_scored = found.shape
    if int(given.getnnz(axis=1).max(initial=0)) <= n_scored - _LONGEST_LIST:
        return found
    last = np.full((n_rows, n_items - n_scored), found.min() - 1.0)
    return np.hstack([found, last])
