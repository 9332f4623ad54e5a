"""Learned forecasts of shares: regressions that correct a simple forecast, on all or on fewer columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVR
from sklearn.tree import DecisionTreeRegressor

from interest_lib.history import Floats, Ints
from interest_lib.migration import shares
from interest_lib.moves import Move
from interest_lib.schema import InputError, nearest
from interest_lib.share_rows import SHARE_FEATURES, Inputs, ShareRowStore

KINDS: Final = ("ridge", "tree", "svm", "mlp", "boosting")
"""Linear regression with a penalty, decision tree, support vector machine, neural network, boosted trees."""

INPUTS: Final = ("all", "components", "selected")

LEAST_BASE: Final = (
    5e-4  # smaller base shares are corrected too, but teach nothing: their ratios are all noise
)
MOST_PURCHASES: Final = 300  # a user's say grows with the root of the purchases, up to so many
RATIO: Final = (0.1, 10.0)  # what a correction can do to the base
JUDGED_ROWS: Final = 20_000
SVM_ROWS: Final = 30_000  # more take minutes and foretell no better


@dataclass(frozen=True)
class _Lesson:
    """Rows to learn from: next share over the base, how much each counts, and whose it is."""

    inputs: Inputs
    ratio: Floats
    weight: Floats
    user: Ints


class ShareRegression(BaseEstimator):
    """Next share of an interest over its base share, by a regression on `SHARE_FEATURES`.

    The forecast is the base times the regression's answer, rows scaled to add up to one. Where nothing is
    learned the answer is one, so the model contains the base.

    Parameters
    ----------
    kind : str
        One of `KINDS`. The network and the boosted trees minimise the Poisson deviance, the others squares.
    inputs : str
        One of `INPUTS`: all columns, principal components of the standardised ones, or the columns that
        permutation importance selects on the moves that are learned from.
    n_components : int
        Principal components; no more than there are columns.
    n_selected : int
        Columns kept by the selection.
    settings : mapping of str to value, or None
        Changes to the settings of the kind's scikit-learn model.
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
    A row's weight is its base times the root of the user's purchases in the period: the variance of a ratio
    falls with both. Inputs but those of boosting are logarithms, standardised, and cut at five standard
    deviations. The kernel of the support vector machine is approximated (Nystroem; Williams and Seeger 2001).

    Examples
    --------
    >>> ShareRegression("tree", settings={"max_leaf_nodes": 16}).get_params()["kind"]
    'tree'
    """

    def __init__(
        self,
        kind: str = "boosting",
        inputs: str = "all",
        n_components: int = 50,
        n_selected: int = 10,
        settings: Mapping[str, Any] | None = None,
        max_rows: int | None = None,
        store: ShareRowStore | None = None,
        random_state: int = 0,
    ) -> None:
        self.kind = kind
        self.inputs = inputs
        self.n_components = n_components
        self.n_selected = n_selected
        self.settings = settings
        self.max_rows = max_rows
        self.store = store
        self.random_state = random_state

    def fit(self, moves: Sequence[Move]) -> Self:
        """Learn from moves whose future is known.

        Raises
        ------
        InputError
            An unknown kind or input, or moves that teach nothing.
        """
        _check("kind", self.kind, KINDS)
        _check("inputs", self.inputs, INPUTS)
        self._store = ShareRowStore() if self.store is None else self.store
        limits = [n for n in (self.max_rows, SVM_ROWS if self.kind == "svm" else None) if n is not None]
        lesson = _lesson(moves, self._store, min(limits, default=None), self.random_state)
        names = pd.Index(SHARE_FEATURES)
        if self.inputs == "selected":
            names = _importance(lesson, self.random_state).index[: self.n_selected]
        self.columns_ = names
        read = pd.Index(SHARE_FEATURES).get_indexer(names)
        self.model_ = self._pipeline(len(names))
        weights = {f"{self.model_.steps[-1][0]}__sample_weight": lesson.weight}
        with warnings.catch_warnings():
            # the network stops early on purpose
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model_.fit(lesson.inputs[:, read], lesson.ratio, **weights)
        return self

    def predict(self, move: Move) -> Floats:
        """Next shares, shape (n_users, n_interests); `move.future` is not read."""
        rows = self._store.rows(move)
        read = pd.Index(SHARE_FEATURES).get_indexer(self.columns_)
        ratio = np.clip(self.model_.predict(rows.inputs[:, read]), *RATIO)
        return shares(np.maximum(rows.base, 1e-9) * ratio.reshape(rows.base.shape))

    def _pipeline(self, n_columns: int) -> Pipeline:
        steps = _model(self.kind, self.random_state)
        steps[-1].set_params(**(self.settings or {}))
        if self.inputs == "components":
            steps = [PCA(min(self.n_components, n_columns), svd_solver="covariance_eigh"), *steps]
        if self.inputs == "components" or self.kind != "boosting":
            steps = [FunctionTransformer(_logs), StandardScaler(), FunctionTransformer(_cut), *steps]
        return make_pipeline(*steps)


def important_share_columns(
    moves: Sequence[Move], store: ShareRowStore, random_state: int, max_rows: int | None = None
) -> pd.Series:
    """How much worse next shares are foretold when a column is shuffled.

    Boosted trees learn on one random half of the users; every column is shuffled in rows of the other half.

    Parameters
    ----------
    moves : sequence of Move
        Earlier moves, whose future is known.
    store : ShareRowStore
    random_state : int
        Seed of the split, the trees and the shuffles.
    max_rows : int or None
        Rows to learn from.

    Returns
    -------
    pandas.Series of float, indexed by column, largest first
        Rise of the mean Poisson deviance; around zero or below, the column is of no use.

    Notes
    -----
    Breiman (2001). Of two columns that say the same, either can stand in for the other and both look useless.
    """
    return _importance(_lesson(moves, store, max_rows, random_state), random_state)


def _importance(lesson: _Lesson, random_state: int) -> pd.Series:
    rng = np.random.default_rng(random_state)
    learns = (rng.random(int(lesson.user.max()) + 1) < 0.5)[lesson.user]
    judged = np.flatnonzero(~learns)
    judged = np.sort(rng.permutation(judged)[:JUDGED_ROWS])
    if not learns.any() or not len(judged):
        raise InputError("There are too few users to select columns by: give inputs='all' or a larger log.")
    model = _model("boosting", random_state)[0]
    model.fit(lesson.inputs[learns], lesson.ratio[learns], sample_weight=lesson.weight[learns])
    found = permutation_importance(
        model,
        lesson.inputs[judged],
        lesson.ratio[judged],
        scoring="neg_mean_poisson_deviance",
        n_repeats=2,
        random_state=random_state,
        sample_weight=lesson.weight[judged],
    )
    rise = pd.Series(found.importances_mean, index=list(SHARE_FEATURES), name="deviance_rise")
    return rise.sort_values(ascending=False, kind="stable")


def _lesson(moves: Sequence[Move], store: ShareRowStore, max_rows: int | None, random_state: int) -> _Lesson:
    """Rows of all moves together; users are numbered anew in every move."""
    parts, n_users = [], 0
    for move in moves:
        rows, purchases = store.rows(move), _purchases(move)
        weight = np.sqrt(np.minimum(purchases, MOST_PURCHASES)) * rows.base
        user = np.broadcast_to(n_users + np.arange(len(weight), dtype=np.int64)[:, None], weight.shape)
        ratio = move.next_shares / np.maximum(rows.base, LEAST_BASE)
        teaches = ((rows.base > LEAST_BASE) & (purchases > 0)).ravel()
        parts.append((rows.inputs[teaches], *(a.ravel()[teaches] for a in (ratio, weight, user))))
        n_users += len(weight)
    if not sum(len(part[1]) for part in parts):
        raise InputError("No move has a user who bought something after it: give moves with a known future.")
    inputs, ratio, weight, user = (np.concatenate(column) for column in zip(*parts, strict=True))
    if max_rows is not None and max_rows < len(ratio):
        drawn = np.sort(np.random.default_rng(random_state).permutation(len(ratio))[:max_rows])
        inputs, ratio, weight, user = inputs[drawn], ratio[drawn], weight[drawn], user[drawn]
    return _Lesson(inputs, ratio, weight / weight.mean(), user)


def _purchases(move: Move) -> Floats:
    if move.future is None:
        raise InputError(f"What came after {move.label} is not known: learn from moves with a future.")
    return np.asarray(move.future.sum(axis=1, keepdims=True), np.float64)


def _model(kind: str, random_state: int) -> list[Any]:
    """Steps of the scikit-learn model of a kind; the last one takes the settings."""
    if kind == "ridge":
        return [Ridge(alpha=100.0)]
    if kind == "tree":
        return [DecisionTreeRegressor(max_leaf_nodes=128, min_samples_leaf=500, random_state=random_state)]
    if kind == "svm":
        machine = LinearSVR(
            C=0.3, epsilon=0.5, loss="squared_epsilon_insensitive", dual=False, random_state=random_state
        )
        return [Nystroem(gamma=0.01, n_components=150, random_state=random_state), machine]
    if kind == "mlp":
        network = MLPRegressor("poisson", (64, 32), alpha=3.0, random_state=random_state)
        return [network.set_params(batch_size=2048, max_iter=12, learning_rate_init=2e-3)]
    trees = HistGradientBoostingRegressor(loss="poisson", early_stopping=False, random_state=random_state)
    trees.set_params(learning_rate=0.1, max_iter=60, min_samples_leaf=200, l2_regularization=10.0)
    return [trees.set_params(max_features=0.5)]


def _logs(inputs: Inputs) -> Inputs:
    """Ratios and counts on a scale where twice as much is a step everywhere."""
    return np.log(np.maximum(inputs, 0) + np.float32(0.02))


def _cut(inputs: Inputs) -> Inputs:
    return np.clip(inputs, -5, 5).astype(np.float32)


def _check(name: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise InputError(f"{name} {given!r} is unknown; {nearest(given, known)}")
