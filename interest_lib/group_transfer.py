"""Transfer from one group of users to another: any methods, target groups of growing size."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from interest_lib.groups import BATCH_USERS, GroupTask, group_task, ndcg, with_validation
from interest_lib.history import Floats, Ints
from interest_lib.schema import InputError

Scorer = Callable[[Ints], Floats]
"""Rows of users to their scores, shape (n_rows, n_items); items without a column are not recommended."""

ALONE: Final = "target_only"
SOURCE: Final = "source_only"
CHOSEN: Final = "transfer"
"""In scores: at each size the way to use both groups that did best on validation users."""


@dataclass(frozen=True)
class Method:
    """A way to recommend to the target group.

    Attributes
    ----------
    fit : callable
        ``fit(task, n_target, setting, seed)`` learns from ``task.source``, and from the first `n_target` of
        ``task.target``, and gives a `Scorer`.
    settings : tuple
        What is tried on validation users; every method should have equally many.
    needs_target : bool
        False: `n_target` makes no difference, and the method is fitted once.
    """

    fit: Callable[[GroupTask, int, Any, int], Scorer]
    settings: tuple[Any, ...]
    needs_target: bool = True


def held_out_task(
    events: pd.DataFrame, is_source: pd.Series, seed: int = 0, min_users_per_item: int = 1, largest: int = 500
) -> GroupTask:
    """`groups.group_task` with held-out users in proportion to a small target group.

    Three tenths of the target users who met five items or more are for the test, 15 % for validation, and no
    more than `largest` and half of it.

    Raises
    ------
    InputError
        When fewer than ten would be there for the validation.
    """
    of_target = events[events["user_id"].isin(is_source.index[~is_source])]
    able = int((of_target.groupby("user_id")["item_id"].nunique() >= 5).sum())
    n_test, n_validation = min(largest, able * 3 // 10), min(largest // 2, able * 15 // 100)
    if n_validation < 10:
        raise InputError(
            f"The target group has {able} users who met five items or more, too few to hold some out: "
            "split the users by another attribute."
        )
    return group_task(
        events, is_source, n_test, n_validation, min_users_per_item=min_users_per_item, seed=seed
    )


def most_met(events: pd.DataFrame, is_source: pd.Series, n_items: int) -> pd.DataFrame:
    """Events with the items that most users met; all events where too few users would be left to hold out.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"]})
    >>> len(most_met(log, pd.Series({1: True, 2: False}), n_items=1))
    3
    """
    met = events.drop_duplicates(["user_id", "item_id"])["item_id"].value_counts().sort_index()
    part = events[events["item_id"].isin(met.nlargest(n_items).index)]
    try:
        held_out_task(part, is_source)
    except InputError:
        return events
    return part


class Judged(NamedTuple):
    """What came of one draw.

    Attributes
    ----------
    scores : pandas.DataFrame
        ``size`` ("0" for source only, "25", ..., "all"), ``n_target``, ``method``, ``user_id``, ``ndcg``.
        Method ``transfer`` is at each size the one with the best validation score among those that use both
        groups.
    trials : pandas.DataFrame
        ``size``, ``method``, ``setting``, ``ndcg`` on validation users.
    seconds : dict of str to float
        Processor time by method, of all trials at all sizes together; what methods share counts where it is
        needed first. For `timing.json`, as it differs from run to run.
    """

    scores: pd.DataFrame
    trials: pd.DataFrame
    seconds: dict[str, float]


def draw_scores(
    events: pd.DataFrame,
    is_source: pd.Series,
    make_methods: Callable[[GroupTask], Mapping[str, Method]],
    sizes: Sequence[int],
    seed: int = 0,
    k: int = 10,
    min_users_per_item: int = 1,
) -> Judged:
    """`transfer_scores` on one draw of held-out users, and of target users to learn from.

    Parameters
    ----------
    events, is_source
        As for `groups.group_task`.
    make_methods : callable
        Methods for the task that was drawn, such as `group_ease.ease_methods`.
    sizes, seed, k
        As for `transfer_scores`; the seed also draws.
    min_users_per_item : int
        Vocabulary, as for `groups.group_task`.

    Examples
    --------
    >>> from interest_lib.group_ease import ease_methods
    >>> from interest_lib.group_market import planted_groups
    >>> found = draw_scores(*planted_groups(n_users=200, n_items=80), ease_methods, sizes=[])
    >>> sorted(found.scores["size"].unique()), int(found.trials.groupby("method").size().max())
    (['0', 'all'], 15)
    """
    task = held_out_task(events, is_source, seed, min_users_per_item)
    return transfer_scores(task, make_methods(task), sizes, seed, k)


def transfer_scores(
    task: GroupTask, methods: Mapping[str, Method], sizes: Sequence[int], seed: int = 0, k: int = 10
) -> Judged:
    """Choose settings on validation users, score test users once, for target groups of growing size.

    Parameters
    ----------
    task : GroupTask
    methods : mapping of str to Method
    sizes : sequence of int
        Target users to learn from; all of them are tried in any case, and a size above three quarters of that
        is left out. When settings for all have been chosen, validation users are learned from as well.
    seed : int
        For methods that draw.
    k : int
        Length of the lists.

    Returns
    -------
    Judged
    """
    full = with_validation(task)
    kept = sorted({n for n in sizes if 0 < 4 * n <= 3 * len(task.target)})
    plan = [("0", 0, 0, task)] + [(str(n), n, n, task) for n in kept]
    plan.append(("all", len(task.target), len(full.target), full))
    tables: list[pd.DataFrame] = []
    trials: list[tuple[str, str, str, float]] = []
    seconds = dict.fromkeys(methods, 0.0)
    for size, n_tried, n_target, final in plan:
        chosen: dict[str, tuple[float, pd.Series]] = {}
        for name, method in methods.items():
            if method.needs_target == (size == "0"):
                continue
            begun = time.process_time()
            tried, score = _tried(task, method, n_tried, seed, k)
            if final is not task:
                score = method.fit(final, n_target, method.settings[int(np.argmax(tried))], seed)
            chosen[name] = (max(tried), _ndcg(final, final.test, score, k))
            seconds[name] += time.process_time() - begun
            trials += [(size, name, str(s), v) for s, v in zip(method.settings, tried, strict=True)]
        both = {name: found for name, found in chosen.items() if name not in (ALONE, SOURCE)}
        if both:
            chosen[CHOSEN] = max(both.values(), key=lambda found: found[0])
        tables += [
            values.rename("ndcg").reset_index().assign(size=size, n_target=n_target, method=name)
            for name, (_, values) in chosen.items()
        ]
    columns = ["size", "n_target", "method", "user_id", "ndcg"]
    scores = pd.concat(tables, ignore_index=True)[columns]
    return Judged(scores, pd.DataFrame(trials, columns=["size", "method", "setting", "ndcg"]), seconds)


def _tried(task: GroupTask, method: Method, n_target: int, seed: int, k: int) -> tuple[list[float], Scorer]:
    """The validation score of every setting, and the scorer of the first that is best: fitted once."""
    tried: list[float] = []
    for setting in method.settings:
        score = method.fit(task, n_target, setting, seed)
        value = float(_ndcg(task, task.validation, score, k).mean())
        if not tried or value > max(tried):
            best = score
        tried.append(value)
    return tried, best


def _ndcg(task: GroupTask, rows: Ints, score: Scorer, k: int) -> pd.Series:
    parts = [rows[start : start + BATCH_USERS] for start in range(0, len(rows), BATCH_USERS)]
    return pd.concat([ndcg(task, part, score(part), k) for part in parts])
