"""Equal budgets for the forecasts of notebook 04: settings tried on the third quarter, before the test.

    python benchmarks/tune_moves.py [--trials 20] [--jobs 2] [--seed 2017] [--folder FOLDER]

See README.md beside this file.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import joblib
import numpy as np
import optuna
import pandas as pd
import tuning
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from threadpoolctl import threadpool_limits

from interest_lib import datasets, engine, history, migration, prepare, rungs, split
from interest_lib.forecasts import Forecaster, ShrunkShares, scored
from interest_lib.layout import notebook_parameters
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError
from interest_lib.share_models import KINDS, kind_settings
from interest_lib.share_rows import BASE, SHARE_FEATURES, ShareRowStore

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
NOTEBOOK = notebook_parameters(HERE.parent / "notebooks" / "04_interest_migration.ipynb")
PERIOD_DAYS, MONTH_DAYS = NOTEBOOK["period_days"].default, NOTEBOOK["month_days"].default
MIN_PER_QUARTER, MIN_PER_MONTH = NOTEBOOK["min_per_quarter"].default, NOTEBOOK["min_per_month"].default
TEST_DAY = 3 * PERIOD_DAYS  # 273: here the test begins
MONTH_DAY = 2 * PERIOD_DAYS - MONTH_DAYS  # 154: the month from here on ends where what decides begins
MONTH = "month."  # before the names of scores that are only logged

# Two rungs of the simple ladder; the others, and their rule for stopping early, are made by `rungs.learner`.
SIMPLE: dict[str, Callable[..., Forecaster]] = {
    "dirichlet": partial(ShrunkShares, decay_per_period=0.7, strength=80.0, period_days=PERIOD_DAYS),  # P2's
    "neighbours": partial(ShrunkShares, **BASE.get_params()),
}


def one_of(*values: Any) -> CategoricalDistribution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Optuna could not store tuples; the csv log can
        return CategoricalDistribution(values)


def magnitude(low: float, high: float) -> FloatDistribution:
    return FloatDistribution(low, high, log=True)


def count(low: int, high: int) -> IntDistribution:
    return IntDistribution(low, high, log=True)


CHAIN: dict[str, BaseDistribution] = {
    "half_life_days": magnitude(30, 720),
    "strength": magnitude(1, 1e6),
    "stay": FloatDistribution(0, 0.98),
}
STATE: dict[str, BaseDistribution] = {
    "half_lives_days": one_of((30.0,), (120.0,), (30.0, 120.0), (14.0, 60.0, 240.0)),
    "own_penalty": magnitude(0.1, 1000),
    "learning_rate": magnitude(1e-3, 1e-2),
    "batch_size": one_of(64, 128, 256),
}
HEAD: dict[str, BaseDistribution] = {"rank": one_of(2, 4, 8, 16, 32), "penalty": magnitude(0.1, 100)}
SPACES: dict[str, dict[str, BaseDistribution]] = {
    "dirichlet": {"decay_per_period": FloatDistribution(0, 1), "strength": magnitude(5, 640)},
    "neighbours": {
        "half_life_days": magnitude(30, 720),
        "strength": magnitude(5, 640),
        "n_neighbours": count(25, 800),
        "neighbour_share": FloatDistribution(0, 1),
    },
    "markov_raw": CHAIN,
    "markov": CHAIN | {"shrinkage": magnitude(1, 320)},
    "loglinear": STATE,
    "softmax": STATE | HEAD | {"gate": one_of(False, True)},
    "lstm": HEAD
    | {
        "n_last": IntDistribution(20, 120),
        "n_hidden": one_of(16, 32, 48, 64),
        "next_visit": FloatDistribution(0, 1),
        "own_penalty": magnitude(0.1, 1000),
        "learning_rate": magnitude(2e-3, 1e-2),
    },
    "ridge": {"alpha": magnitude(0.1, 1e5)},
    "tree": {
        "max_leaf_nodes": count(8, 512),
        "min_samples_leaf": count(50, 5000),
        "max_features": one_of(None, 0.6, 0.3),
    },
    "svm": {
        "C": magnitude(0.003, 3),
        "epsilon": FloatDistribution(0, 1),
        "gamma": magnitude(3e-4, 3e-2),
    },
    "mlp": {
        "hidden_layer_sizes": one_of((16,), (32,), (64,), (32, 16), (64, 32)),
        "alpha": magnitude(0.03, 100),
        "learning_rate_init": magnitude(5e-4, 5e-3),
        "batch_size": one_of(2048, 4096, 8192),
        "max_iter": count(4, 16),
    },
    "boosting": {
        "learning_rate": magnitude(0.03, 0.3),
        "max_iter": count(20, 120),
        "max_leaf_nodes": count(7, 63),
        "min_samples_leaf": count(50, 2000),
        "l2_regularization": magnitude(0.1, 1000),
        "max_features": FloatDistribution(0.1, 1),
    },
}


def model(contender: str, seed: int, store: ShareRowStore, settings: tuning.Row) -> Forecaster:
    if contender in SIMPLE:
        return SIMPLE[contender](**settings)
    return rungs.learner(contender, settings, store, seed)


def untuned(contender: str) -> tuning.Row:
    """Where the trials begin: the defaults of the class, or of the scikit-learn model of a kind."""
    if contender in KINDS:
        taken = kind_settings(contender, len(SHARE_FEATURES))
    else:
        taken = model(contender, 0, ShareRowStore(BASE), {}).get_params()
    return {name: taken[name] for name in SPACES[contender]}


SEARCH = tuning.Search(SPACES, {name: untuned(name) for name in SPACES}, judged_by="sse1000", maximise=False)


@dataclass(frozen=True)
class Task:
    """Moves to learn from, a move to foretell without what came after it, and the same with it."""

    learn: list[Move]
    asked: Move
    judge: Move


def load() -> pd.DataFrame:
    """Purchases of Complete Journey as notebook 04 reads them; cleaning works row by row."""
    log = prepare.clean(datasets.load(engine.connect()))
    items = log.items[~log.items["department"].isin(NOTEBOOK["exclude_departments"].default)]
    return log.events.assign(weight=1.0).merge(items[["item_id", "category", "department"]], on="item_id")


def bought(events: pd.DataFrame) -> pd.DataFrame:
    return events[history.is_goal(events)].dropna(subset=["category"])


def households(events: pd.DataFrame) -> pd.Index:
    """Those of P2, who have to have purchases in every quarter, the last one included."""
    buying = bought(events)
    quarter = split.quarters(buying["timestamp"], PERIOD_DAYS, n_periods=4)
    return migration.period_counts(buying, quarter, MIN_PER_QUARTER)[1]


def earlier_tasks(events: pd.DataFrame) -> dict[str, Task]:
    """By the prefix of its scores: what decides, and a month that ends before the quarter that decides."""
    # Whom P2 asks about hangs on the last quarter, too. That is all that is taken from there: the log is cut
    # before the test, and everything else is made of what is left, the interests included.
    users, first = households(events), bought(events)["timestamp"].min()
    test = first + pd.Timedelta(days=TEST_DAY)
    known = events[events["timestamp"].between(first, test, "left") & events["user_id"].isin(users)]
    assert known["timestamp"].max() < test
    interests = pd.Index(np.sort(known["category"].dropna().unique()))

    def at(day: int, days: int) -> Move:
        assert day + days <= TEST_DAY
        return move_at(known, first + pd.Timedelta(days=day), days, users, interests)

    def task(learn: Move, judge: Move) -> Task:
        return Task([learn], replace(judge, future=None), judge)

    learn, judge = (
        month.of_users(np.flatnonzero(month.future.sum(axis=1) >= MIN_PER_MONTH))
        for month in (at(MONTH_DAY - MONTH_DAYS, MONTH_DAYS), at(MONTH_DAY, MONTH_DAYS))
    )
    quarter = task(at(PERIOD_DAYS, PERIOD_DAYS), at(2 * PERIOD_DAYS, PERIOD_DAYS))
    return {"": quarter, MONTH: task(learn, judge)}


@cache
def _loaded(path: Path) -> tuple[dict[str, Task], ShareRowStore]:
    """Once in a process: the tasks, and the rows of their moves."""
    tasks, store = joblib.load(path), ShareRowStore(BASE)
    for task in tasks.values():
        for move in (*task.learn, task.asked):
            store.rows(move)
    return tasks, store


def tried(path: Path, contender: str, seed: int, settings: tuning.Row) -> tuple[str, tuning.Row]:
    """The scores of a contender in every task."""
    found = {}
    with threadpool_limits(1):
        tasks, store = _loaded(path)
        for prefix, task in tasks.items():
            forecast = model(contender, seed, store, settings).fit(task.learn).predict(task.asked)
            found |= {f"{prefix}{name}": round(v, 6) for name, v in scored(forecast, task.judge).items()}
    return contender, found


def tune(events: pd.DataFrame, n_trials: int, seed: int, path: Path, n_jobs: int = 1) -> list[tuning.Row]:
    """Trials of all contenders, the same number of each; any number of processes gives the same log."""
    with TemporaryDirectory() as folder:
        tasks = Path(folder) / "tasks.joblib"
        joblib.dump(earlier_tasks(events), tasks)

        def judge(turn: tuning.Turn) -> Iterator[tuple[str, tuning.Row]]:
            trials = [joblib.delayed(tried)(tasks, name, seed, settings) for name, settings in turn.items()]
            # the last ones take longest, and come first
            yield from joblib.Parallel(n_jobs, batch_size=1, return_as="generator_unordered")(trials[::-1])

        return tuning.take_turns(SEARCH, judge, n_trials, seed, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, help="of each contender, with earlier starts")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, default=2017, help="of the search and of the models")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where tune_moves.csv is kept")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given.folder.mkdir(parents=True, exist_ok=True)
    try:
        rows = tune(load(), given.trials, given.seed, given.folder / "tune_moves.csv", given.jobs)
        tuning.summary(SEARCH, rows)
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    import tune_moves  # by its name other processes find it, and keep what `_loaded` has made

    sys.exit(tune_moves.main())
