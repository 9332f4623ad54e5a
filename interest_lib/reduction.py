"""What it costs and saves to describe users by fewer numbers: principal components and selected columns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from interest_lib.features import bought_next, feature_table
from interest_lib.history import Ints
from interest_lib.migration import shares
from interest_lib.mining import interest_counts
from interest_lib.schema import InputError

Inputs = npt.NDArray[np.float32]

N_TREES: Final = 100
_PROFILE = "profile: "


@dataclass(frozen=True)
class ReturnTask:
    """Whether a user buys an interest in the next weeks, at one moment.

    Attributes
    ----------
    inputs : ndarray of float32, shape (n_rows, n_columns)
        One row per user and interest: its own features, then the profile of the user over all interests.
    bought : ndarray of int, shape (n_rows,)
        1 where it is bought in the horizon.
    names : pandas.Index
        Names of the columns; those of the profile begin with ``profile:``.
    users : pandas.Index, length n_rows
        User of each row.
    """

    inputs: Inputs
    bought: Ints
    names: pd.Index
    users: pd.Index


def return_task(
    events: pd.DataFrame,
    at: pd.Timestamp,
    interests: pd.Index,
    users: pd.DataFrame | None = None,
    horizon_days: int = 28,
) -> ReturnTask:
    """Wide inputs at a moment: the feature table, and beside it what share of the user's events went where.

    Principal components are of use where columns are many and overlap, which the features of one interest
    are not; so the whole profile of the user stands in every row (square roots of shares, which keep rare
    interests from drowning).

    Parameters
    ----------
    events, at, users
        As for `features.feature_table`.
    interests : pandas.Index
        Columns of the profile; its name is the column of the events that names the interest.
    horizon_days : int
        Days after the moment in which a purchase counts.

    Returns
    -------
    ReturnTask
    """
    by = str(interests.name)
    table = feature_table(events, at, users, by)
    counts, user_ids, known = interest_counts(events[events["timestamp"] < at], by)
    place = known.get_indexer(interests)
    profile = np.zeros((len(user_ids), len(interests)), dtype=np.float32)
    profile[:, place >= 0] = np.sqrt(shares(counts.toarray()))[:, place[place >= 0]]
    owners = table.index.get_level_values(0)
    inputs = np.hstack([table.to_numpy(np.float32), profile[user_ids.get_indexer(owners)]])
    names = pd.Index([*table.columns, *(_PROFILE + interests.astype(str))])
    return ReturnTask(inputs, bought_next(table, events, at, horizon_days), names, owners)


def important_columns(task: ReturnTask, seed: int, n_rows: int = 20_000, n_repeats: int = 3) -> pd.Series:
    """How much worse the prediction of the next weeks gets when a column is shuffled.

    A model learns on one random half of the rows; every column is shuffled in up to `n_rows` of the other.

    Parameters
    ----------
    task : ReturnTask
    seed : int
        Seed of the split, the trees and the shuffles.
    n_rows : int
        Rows to shuffle in, for time's sake.
    n_repeats : int
        Shuffles of each column; the mean is returned.

    Returns
    -------
    pandas.Series of float, indexed by column, largest first
        Rise of the log loss in nats; around zero or below, the column is of no use.

    Notes
    -----
    Breiman (2001). Of two columns that say the same, either can stand in for the other and both look useless.
    """
    _check_both_happen(task)
    order = np.random.default_rng(seed).permutation(len(task.bought))
    half = len(order) // 2
    learn, judge = order[:half], order[half : half + n_rows]
    model = _trees(seed).fit(_without_empty(task.inputs[learn]), task.bought[learn])
    found = permutation_importance(
        model,
        task.inputs[judge],
        task.bought[judge],
        scoring="neg_log_loss",
        n_repeats=n_repeats,
        random_state=seed,
    )
    rise = pd.Series(found.importances_mean, index=task.names, name="log_loss_rise")
    return rise.sort_values(ascending=False, kind="stable")


def compare_inputs(
    earlier: ReturnTask, later: ReturnTask, selected: Sequence[str], n_components: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accuracy and cost of the same model on all columns, on principal components, and on selected columns.

    Parameters
    ----------
    earlier, later : ReturnTask
        The model learns at the earlier moment and is judged at the later one; the earlier horizon has to
        end before the later moment.
    selected : sequence of str
        Columns to keep, from `important_columns` of the earlier task.
    n_components : int
        Principal components of the standardised columns; missing values count as the mean.
    seed : int
        Seed of the trees and of the decomposition.

    Returns
    -------
    table : pandas.DataFrame, indexed by input: ``all``, ``components``, ``selected``
        ``columns``, ``log_loss`` (nats), ``auc``, ``seconds`` (reduction, fit and prediction together) and
        ``cost`` (seconds over those of all columns). The last two change from run to run.
    losses : pandas.DataFrame
        Mean log loss of each user (one row each) under each input (one column each).

    Raises
    ------
    InputError
        When there are fewer columns than components, or nobody or everybody buys.
    """
    _check_both_happen(earlier)
    _check_both_happen(later)
    if len(earlier.names) < n_components:
        n_columns = len(earlier.names)
        raise InputError(f"There are {n_columns} columns: give a smaller n_components than {n_components}.")
    kept = earlier.names.get_indexer(pd.Index(selected))
    reduce = (SimpleImputer(), StandardScaler(), PCA(n_components, svd_solver="covariance_eigh"))
    models = {
        "all": (_trees(seed), np.arange(len(earlier.names))),
        "components": (make_pipeline(*reduce, _trees(seed)), np.arange(len(earlier.names))),
        "selected": (_trees(seed), kept),
    }
    rows, losses = {}, {}
    for name, (model, columns) in models.items():
        start = time.perf_counter()
        model.fit(_without_empty(earlier.inputs[:, columns]), earlier.bought)
        chance = model.predict_proba(later.inputs[:, columns])[:, 1]
        rows[name] = {
            "columns": n_components if name == "components" else len(columns),
            "log_loss": log_loss(later.bought, chance),
            "auc": roc_auc_score(later.bought, chance),
            "seconds": time.perf_counter() - start,
        }
        surprise = -np.log(np.clip(np.where(later.bought == 1, chance, 1 - chance), 1e-15, 1))
        losses[name] = pd.Series(surprise).groupby(later.users.to_numpy()).mean()
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.assign(cost=table["seconds"] / table["seconds"].iloc[0]), pd.DataFrame(losses)


def _trees(seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=N_TREES, random_state=seed)


def _check_both_happen(task: ReturnTask) -> None:
    if task.bought.min() == task.bought.max():
        raise InputError(
            f"{'Every' if task.bought.any() else 'No'} user buys what they had before in the next weeks, so "
            "there is nothing to tell apart: give more users, or another moment."
        )


def _without_empty(inputs: Inputs) -> Inputs:
    """Zeros in columns without any value, from which trees could make no bins."""
    return np.where(np.isnan(inputs).all(axis=0), np.float32(0), inputs)
