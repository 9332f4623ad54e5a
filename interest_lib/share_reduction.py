"""What it costs and saves learned forecasts of shares to read fewer numbers: components, selected columns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from joblib import delayed
from sklearn.inspection import permutation_importance
from sklearn.metrics import mean_poisson_deviance

from interest_lib.forecasts import scored
from interest_lib.history import Floats
from interest_lib.metrics import bootstrap_mean, compare
from interest_lib.migration import forecast_errors
from interest_lib.moves import Move
from interest_lib.processes import all_done
from interest_lib.schema import InputError
from interest_lib.share_models import KINDS, ShareRegression
from interest_lib.share_rows import Lesson, ShareRows, ShareRowStore, lesson

INPUTS: Final = ("all", "components", "selected")

LEARNED_ROWS: Final = 50_000  # of a selection, for time's sake, as the next two
JUDGED_ROWS: Final = 50_000
SHUFFLED_ROWS: Final = 5_000
SIZES: Final = (5, 10, 20, 40)
KEPT: Final = 0.95  # part of what all columns gain that a selection has to gain


def important_share_columns(moves: Sequence[Move], store: ShareRowStore, random_state: int) -> pd.Series:
    """How much worse next shares are foretold when a column is shuffled.

    Boosted trees learn on one random half of the users; every column is shuffled in rows of the other half.

    Parameters
    ----------
    moves : sequence of Move
        Earlier moves, whose future is known.
    store : ShareRowStore
    random_state : int
        Seed of the split, the trees and the shuffles.

    Returns
    -------
    pandas.Series of float, indexed by column, largest first
        Rise of the mean Poisson deviance; around zero or below, the column is of no use.

    Notes
    -----
    Breiman (2001). Of two columns that say the same, either can stand in for the other and both look useless.
    """
    return _importance(*_halves(lesson(moves, store), random_state), random_state)


def selected_share_columns(
    moves: Sequence[Move], store: ShareRowStore, random_state: int, sizes: Sequence[int] = SIZES
) -> pd.DataFrame:
    """How many of the most important columns are enough, and which.

    Parameters
    ----------
    moves, store, random_state
        As for `important_share_columns`.
    sizes : sequence of int
        Numbers of columns to try; more than there are is all of them.

    Returns
    -------
    pandas.DataFrame, indexed by number of columns
        ``deviance`` of boosted trees on them, which learn on one half of the users and are judged on the
        other, as for the importance; with 0 columns, of the base forecast. ``columns``: which. ``chosen``:
        true for the smallest number that gains at least 95 % of what the best one gains over the base.
    """
    learned, judged = _halves(lesson(moves, store), random_state)
    ranked = _importance(learned, judged, random_state)
    rows = [{"n": 0, "deviance": _deviance(judged, np.ones(len(judged.ratio))), "columns": []}]
    for size in sorted({min(size, len(ranked)) for size in sizes}):
        columns = list(ranked.index[:size])
        model = ShareRegression("boosting", columns, random_state=random_state).fit_rows(learned)
        read = judged.names.get_indexer(pd.Index(columns)).astype(np.int64)
        told = model.model_.predict(judged.inputs[:, read])
        rows.append({"n": size, "deviance": _deviance(judged, told), "columns": columns})
    table = pd.DataFrame(rows).set_index("n")
    gain = table["deviance"].iloc[0] - table["deviance"].iloc[1:]
    enough = gain >= KEPT * gain.max() if gain.max() > 0 else gain == gain.max()
    return table.assign(chosen=table.index == enough.idxmax())


def compare_share_inputs(
    moves: Sequence[Move],
    judge: Move,
    store: ShareRowStore,
    selected: Sequence[str],
    n_components: int = 50,
    max_rows: int | None = None,
    kinds: Sequence[str] = KINDS,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    random_state: int = 0,
    n_resamples: int = 1000,
    n_jobs: int = 1,
) -> pd.DataFrame:
    """Error and cost of every kind of model on all columns, on principal components and on a selection.

    Parameters
    ----------
    moves : sequence of Move
        What is learned from.
    judge : Move
        A later one, by which the forecasts are judged.
    store : ShareRowStore
    selected : sequence of str
        Columns to keep, from `selected_share_columns` of moves before the judge.
    n_components : int
        Principal components; no more than there are columns.
    max_rows : int or None
        All learn from the same rows, so many drawn at random; None takes all.
    kinds : sequence of str
        Of `share_models.KINDS`.
    settings : mapping of str to mapping, or None
        Changes to the settings of a kind.
    random_state : int
        Seed of the draws, of the models and of the resampling.
    n_resamples : int
        Resamples of users for the intervals.
    n_jobs : int
        Number of processes.

    Returns
    -------
    pandas.DataFrame, indexed by kind and input: ``all``, ``components``, ``selected``
        ``sse1000``, its 95 % interval ``low`` and ``high``, and ``perplexity``. ``above``, ``above_low``,
        ``above_high``: squared error over that of all columns, less one, the same users paired; ``p_holm`` as
        from `metrics.compare`. ``columns``: numbers that the model reads of a row; ``columns_made``: those
        that have to be worked out for them, and components need them all. ``seconds`` of a processor to learn
        and to forecast, and ``cost``, seconds over those of all columns, change from run to run.

    Raises
    ------
    InputError
        A future is not known.
    """
    given, rows = lesson(moves, store).drawn(max_rows, random_state), store.rows(judge)
    n_kept = min(n_components, len(given.names))
    read: dict[str, dict[str, Any]] = {
        "all": {},
        "components": {"n_components": n_kept},
        "selected": {"columns": selected},
    }
    cells = pd.MultiIndex.from_product([kinds, INPUTS], names=["kind", "input"])
    models = (
        ShareRegression(kind, settings=(settings or {}).get(kind), random_state=random_state, **read[name])
        for kind, name in cells
    )
    done = all_done((delayed(_timed)(model, given, rows) for model in models), n_jobs)
    table = pd.DataFrame([scored(forecast, judge) for forecast, _ in done], index=cells)
    made = {"all": len(given.names), "components": len(given.names), "selected": len(selected)}
    table["columns_made"] = cells.get_level_values("input").map(made)
    table["columns"] = cells.get_level_values("input").map({**made, "components": n_kept})
    table["seconds"] = [seconds for _, seconds in done]
    table["cost"] = table["seconds"] / table.groupby("kind", sort=False)["seconds"].transform("first")
    losses = {cell: _losses(forecast, judge) for cell, (forecast, _) in zip(cells, done, strict=True)}
    return table.join(_compared(losses, random_state, n_resamples))


def _timed(model: ShareRegression, given: Lesson, rows: ShareRows) -> tuple[Floats, float]:
    start = time.process_time()
    forecast = model.fit_rows(given).predict_rows(rows)
    return forecast, time.process_time() - start


def _losses(forecast: Floats, judge: Move) -> Floats:
    """Squared error x 1000 of every user."""
    if judge.future is None:
        raise InputError(f"What came after {judge.label} is not known: give a move with a future.")
    return 1000 * forecast_errors(forecast, judge.future)["squared_error"].to_numpy(np.float64)


def _compared(losses: Mapping[tuple[str, str], Floats], seed: int, n_resamples: int) -> pd.DataFrame:
    levels = {cell: bootstrap_mean(of_users, seed, n_resamples) for cell, of_users in losses.items()}
    ends = {cell: {"low": level.low, "high": level.high} for cell, level in levels.items()}
    table = pd.DataFrame(ends).T.rename_axis(index=["kind", "input"])
    flat = pd.DataFrame({" ".join(cell): of_users for cell, of_users in losses.items()})
    fewer = [cell for cell in losses if cell[1] != "all"]
    pairs = [(" ".join(cell), f"{cell[0]} all") for cell in fewer]
    gains = compare(flat, pairs, seed, n_resamples)[["value", "low", "high", "p_holm"]]
    gains.columns = pd.Index(["above", "above_low", "above_high", "p_holm"])
    return table.join(gains.set_axis(pd.MultiIndex.from_tuples(fewer, names=table.index.names)))


def _halves(given: Lesson, seed: int) -> tuple[Lesson, Lesson]:
    """The rows of one random half of the users, and those of the other."""
    learns = (np.random.default_rng(seed).random(int(given.user.max()) + 1) < 0.5)[given.user]
    if learns.all() or not learns.any():
        raise InputError("There are too few users to select columns by: give a larger log.")
    learned, judged = (given.of_rows(np.flatnonzero(rows)) for rows in (learns, ~learns))
    return learned.drawn(LEARNED_ROWS, seed), judged.drawn(JUDGED_ROWS, seed)


def _importance(learned: Lesson, judged: Lesson, seed: int) -> pd.Series:
    model = ShareRegression("boosting", random_state=seed).fit_rows(learned).model_
    some = judged.drawn(SHUFFLED_ROWS, seed)
    found = permutation_importance(
        model,
        some.inputs,
        some.ratio,
        scoring="neg_mean_poisson_deviance",
        n_repeats=2,
        random_state=seed,
        sample_weight=some.weight,
    )
    rise = pd.Series(found.importances_mean, index=judged.names, name="deviance_rise")
    return rise.sort_values(ascending=False, kind="stable")


def _deviance(judged: Lesson, told: Floats) -> float:
    return float(mean_poisson_deviance(judged.ratio, told, sample_weight=judged.weight))
