"""Learned forecasts of shares: regressions that correct a simple forecast."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVR
from sklearn.tree import DecisionTreeRegressor

from interest_lib.history import Floats
from interest_lib.migration import shares
from interest_lib.moves import Move
from interest_lib.schema import InputError, nearest
from interest_lib.share_features import LINEAR
from interest_lib.share_rows import Inputs, Lesson, ShareRows, ShareRowStore, lesson

KINDS: Final = ("ridge", "tree", "svm", "mlp", "boosting")
"""Linear regression with a penalty, decision tree, support vector machine, neural network, boosted trees."""

RATIO: Final = (0.1, 10.0)  # what a correction can do to the base
SVM_ROWS: Final = 30_000  # more take minutes and foretell no better


class ShareRegression(BaseEstimator):
    """Next share of an interest over its base share, by a regression on `share_rows.SHARE_FEATURES`.

    The forecast is the base times the regression's answer, rows scaled to add up to one. Where nothing is
    learned the answer is one, so the model contains the base.

    Parameters
    ----------
    kind : str
        One of `KINDS`. The network and the boosted trees minimise the Poisson deviance, the others squares.
    columns : sequence of str or None
        The columns to read; None takes all.
    n_components : int or None
        Read so many principal components of the standardised columns instead, or as many as there are.
    settings : mapping of str to value, or None
        Changes to `kind_settings`.
    max_rows : int or None
        Learn from so many rows, drawn at random; None takes all (of a support vector machine 30,000).
    store : ShareRowStore or None
        Makes the rows, and the base; given to several models, it makes them once.
    random_state : int
        Seed of the draws, of the trees and of the network.

    Attributes
    ----------
    model_ : sklearn.pipeline.Pipeline
    columns_ : pandas.Index
        Columns that are read.

    Notes
    -----
    Inputs but those of boosting are logarithms (of what cannot be negative), standardised, and cut at five
    standard deviations; how rows are weighed is said at `share_rows.lesson`. The kernel of the support vector
    machine is approximated (Nystroem; Williams and Seeger 2001).

    Examples
    --------
    >>> ShareRegression("tree", settings={"max_leaf_nodes": 16}).get_params()["kind"]
    'tree'
    """

    def __init__(
        self,
        kind: str = "boosting",
        columns: Sequence[str] | None = None,
        n_components: int | None = None,
        settings: Mapping[str, Any] | None = None,
        max_rows: int | None = None,
        store: ShareRowStore | None = None,
        random_state: int = 0,
    ) -> None:
        self.kind = kind
        self.columns = columns
        self.n_components = n_components
        self.settings = settings
        self.max_rows = max_rows
        self.store = store
        self.random_state = random_state

    def fit(self, moves: Sequence[Move]) -> Self:
        """Learn from moves whose future is known.

        Raises
        ------
        InputError
            An unknown kind or column, or moves that teach nothing.
        """
        self._store = ShareRowStore() if self.store is None else self.store
        return self.fit_rows(lesson(moves, self._store))

    def fit_rows(self, given: Lesson) -> Self:
        """The same from rows that are there already."""
        _check("kind", [self.kind], KINDS)
        if self.columns is not None:
            _check("column", self.columns, list(given.names))
        self.columns_ = given.names if self.columns is None else pd.Index(self.columns)
        for limit in (self.max_rows, SVM_ROWS if self.kind == "svm" else None):
            given = given.drawn(limit, self.random_state)
        linear = [place for place, name in enumerate(self.columns_) if name in LINEAR]
        self.model_ = self._pipeline(len(self.columns_), linear)
        weights = {f"{self.model_.steps[-1][0]}__sample_weight": given.weight}
        with warnings.catch_warnings():
            # the network stops early on purpose
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model_.fit(_read(given, self.columns_), given.ratio, **weights)
        return self

    def predict(self, move: Move) -> Floats:
        """Next shares, shape (n_users, n_interests); `move.future` is not read."""
        return self.predict_rows(self._store.rows(move))

    def predict_rows(self, rows: ShareRows) -> Floats:
        """The same from rows that are there already."""
        ratio = np.clip(self.model_.predict(_read(rows, self.columns_)), *RATIO)
        return shares(np.maximum(rows.base, 1e-9) * ratio.reshape(rows.base.shape))

    def _pipeline(self, n_columns: int, linear: Sequence[int] = ()) -> Pipeline:
        steps = _model(self.kind, n_columns, self.random_state)
        known = {name: step for step in steps for name in step.get_params()}
        _check("setting", list(self.settings or {}), list(known))
        for name, value in (self.settings or {}).items():
            known[name].set_params(**{name: value})
        if self.n_components is not None:
            steps = [PCA(min(self.n_components, n_columns), svd_solver="covariance_eigh"), *steps]
        if self.n_components is not None or self.kind != "boosting":
            logs = FunctionTransformer(_logs, kw_args={"linear": linear})
            steps = [logs, StandardScaler(), FunctionTransformer(_cut), *steps]
        return make_pipeline(*steps)


def kind_settings(kind: str, n_columns: int) -> dict[str, Any]:
    """Settings of a kind where nothing else is said: the parameters of its scikit-learn models.

    Examples
    --------
    >>> kind_settings("ridge", n_columns=50)["alpha"]
    100.0
    """
    return {name: value for step in _model(kind, n_columns, 0) for name, value in step.get_params().items()}


def _model(kind: str, n_columns: int, random_state: int) -> list[Any]:
    """Steps of the scikit-learn model of a kind."""
    if kind == "ridge":
        return [Ridge(alpha=100.0)]
    if kind == "tree":
        return [DecisionTreeRegressor(max_leaf_nodes=128, min_samples_leaf=500, random_state=random_state)]
    if kind == "svm":
        machine = LinearSVR(
            C=0.3, epsilon=0.5, loss="squared_epsilon_insensitive", dual=False, random_state=random_state
        )
        return [Nystroem(gamma=0.15 / n_columns, n_components=150, random_state=random_state), machine]
    if kind == "mlp":
        network = MLPRegressor("poisson", (64, 32), alpha=3.0, random_state=random_state)
        return [network.set_params(batch_size=2048, max_iter=12, learning_rate_init=2e-3)]
    trees = HistGradientBoostingRegressor(loss="poisson", early_stopping=False, random_state=random_state)
    trees.set_params(learning_rate=0.1, max_iter=60, min_samples_leaf=200, l2_regularization=10.0)
    # the bins of weighted rows are found one by one: 255 of them would take as long as the trees
    return [trees.set_params(max_features=0.5, max_bins=63)]


def _read(rows: Lesson | ShareRows, columns: pd.Index) -> Inputs:
    return rows.inputs if columns.equals(rows.names) else rows.inputs[:, rows.names.get_indexer(columns)]


def _logs(inputs: Inputs, linear: Sequence[int]) -> Inputs:
    """Amounts on a scale where twice as much is a step everywhere; what can be negative as it is."""
    logs = np.log(np.maximum(inputs, 0) + np.float32(0.02))
    logs[:, linear] = inputs[:, linear]
    return logs


def _cut(inputs: Inputs) -> Inputs:
    return np.clip(inputs, -5, 5).astype(np.float32)


def _check(name: str, given: Sequence[str], known: Sequence[str]) -> None:
    for one in given:
        if one not in known:
            raise InputError(f"{name} {one!r} is unknown; {nearest(one, known)}")
