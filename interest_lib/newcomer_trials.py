"""The counting methods for new users side by side: as many trials for each, in several processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
from joblib import delayed

from interest_lib import borrowing
from interest_lib.basket_habits import BasketPrior, basket_prior
from interest_lib.fading import fading_transfer
from interest_lib.newcomers import Scorer, newcomer_ndcg
from interest_lib.processes import all_done
from interest_lib.transfer import NewUserTask

SETTINGS: Final[Mapping[str, Sequence[tuple[float, ...]]]] = {
    "popularity": [()],
    "recent": [(7,), (14,), (28,), (56,), (91,), (182,)],
    "own": [()],
    "prior": [(1,), (1.5,), (2,), (3,), (4,), (5,)],
    "demographic": [(2, 30), (2, 100), (3, 30), (3, 100), (4, 30), (4, 100)],
    "similar": [(0.1,), (0.2,), (0.3,), (0.4,), (0.5,), (0.6,)],
    "nearest": [(0.2, 50), (0.2, 100), (0.3, 50), (0.3, 100), (0.4, 50), (0.4, 100)],
    "fading": [(0.5, 20), (0.5, 30), (0.5, 45), (1, 20), (1, 30), (1, 45)],
}
"""Trials of every method: as many for each that has something to choose, see the functions' parameters."""

Job = tuple[str, int, tuple[float, ...]]  # method, baskets given, setting


def scorer_of(
    task: NewUserTask,
    method: str,
    n_baskets: int,
    setting: tuple[float, ...],
    prior: BasketPrior | None = None,
) -> Scorer:
    """The method by its name; ``borrowed`` is ``fading`` without the own baskets as evidence."""
    if method == "popularity":
        return borrowing.popularity(task)
    if method in ("fading", "borrowed"):
        weight, common = setting
        prior = basket_prior(task) if prior is None else prior
        return fading_transfer(task, prior, n_baskets, weight, common, own=method == "fading")
    if method == "nearest":
        return borrowing.borrow_from_similar(task, n_baskets, setting[0], int(setting[1]))
    functions: dict[str, Any] = {
        "own": borrowing.own_history,
        "recent": borrowing.recent_popularity,
        "prior": borrowing.popularity_prior,
        "demographic": borrowing.demographic_prior,
        "similar": borrowing.borrow_from_similar,
    }
    return functions[method](task, n_baskets, *setting)


def judged(tasks: Mapping[str, NewUserTask], jobs: Sequence[Job], k: int = 10, n_jobs: int = 2) -> pd.Series:
    """NDCG@k of every held-out user of every task under every job.

    Parameters
    ----------
    tasks : mapping of str to NewUserTask
    jobs : sequence of (method, baskets given, setting)
    k : int
        Length of the lists.
    n_jobs : int
        Processes.

    Returns
    -------
    pandas.Series of float
        Indexed by ``draw`` (the task), ``baskets``, ``method``, ``setting`` (as text) and ``user_id``.
    """
    # a task is large: it goes to a process once, or to each of them once where there are few
    n_parts = n_jobs if len(tasks) < 2 * n_jobs else 1
    work = [(name, jobs[part::n_parts]) for name in tasks for part in range(n_parts)]
    done = all_done((delayed(_ndcg)(tasks[name], share, k) for name, share in work), n_jobs)
    found = {
        (name, n, method, str(setting)): values
        for (name, share), results in zip(work, done, strict=True)
        for (method, n, setting), values in zip(share, results, strict=True)
    }
    order = [(name, n, method, str(setting)) for name in tasks for method, n, setting in jobs]
    names = ["draw", "baskets", "method", "setting"]
    return pd.concat([found[key] for key in order], keys=order, names=names)


def _ndcg(task: NewUserTask, jobs: Sequence[Job], k: int) -> list[pd.Series]:
    prior = basket_prior(task)
    return [newcomer_ndcg(task, n, scorer_of(task, method, n, s, prior), k) for method, n, s in jobs]


def chosen(trials: pd.Series) -> dict[str, tuple[float, ...]]:
    """The best setting of every method, by the mean over users and numbers of baskets given.

    Parameters
    ----------
    trials : pandas.Series
        From `judged`, of the tuning draw with all `SETTINGS`.

    Returns
    -------
    dict of str to tuple
        ``borrowed`` has the setting of ``fading``, of which it is a part.
    """
    mean = trials.groupby(["method", "setting"], sort=False).mean()
    best = {m: max(SETTINGS[m], key=lambda s: mean[m, str(s)]) for m in SETTINGS if m in mean.index}
    return best | ({"borrowed": best["fading"]} if "fading" in best else {})
