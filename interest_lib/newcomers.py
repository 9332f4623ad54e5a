"""Draws of new users for an experiment, how they are judged, smaller sources, and a null."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.history import Floats, Ints
from interest_lib.metrics import ndcg_at_k
from interest_lib.ranking import ranked_lists
from interest_lib.schema import InputError
from interest_lib.transfer import NewUserTask, new_user_task

Scorer = Callable[[Ints], Floats]  # rows of held-out users -> scores of all items, shape (n_rows, n_items)

BATCH_USERS: Final = 32  # dense scores exist for this many users at a time; more would not fit the cache


def new_user_draws(
    events: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    n_held_out: int,
    n_tests: int,
    seed: int,
    target_baskets: tuple[int, int] = (6, 25),
    most_given: int = 10,
    min_users_per_item: int = 5,
) -> dict[str, NewUserTask]:
    """One draw of new users to choose settings on, and several to report.

    The draws are disjoint. The source of a test draw is everybody else; that of the tuning draw has nobody
    from any test draw, so that no setting is chosen with the help of a household that is judged.

    Parameters
    ----------
    events, users, items, target_baskets, min_users_per_item
        As for `new_user_task`.
    n_held_out : int
        Users a draw, fewer where the log is small: at most two thirds of all users are held out. The tuning
        draw has no more than half of the eligible users whom the tests leave: the other half stays in its
        source, which would have no frequent customer otherwise.
    n_tests : int
        How many draws are reported.
    seed : int
        Seed of the draws.
    most_given : int
        Only users with baskets enough for the targets after so many given baskets are drawn.

    Returns
    -------
    dict of str to NewUserTask
        ``tuning``, then ``test 1``, ``test 2`` and so on.

    Raises
    ------
    InputError
        When too few users have enough baskets.
    """
    baskets = events.groupby("user_id")["basket_number"].max()
    needed = max(target_baskets[0], most_given + 1) + target_baskets[1] - target_baskets[0]
    eligible = baskets.index[baskets >= needed].sort_values()
    n_pool = min(len(eligible), 2 * len(baskets) // 3)
    size = min(n_held_out, int(n_pool / (n_tests + 0.5)))
    if size < 1:
        raise InputError(
            f"Only {len(eligible)} users have {needed} baskets: give a longer log, earlier target_baskets or "
            "fewer draws."
        )
    drawn = eligible[np.random.default_rng(seed).permutation(len(eligible))]
    tests = [drawn[number * size : (number + 1) * size] for number in range(n_tests)]
    judged, left = drawn[: n_tests * size], drawn[n_tests * size :]
    tuning = left[: min(size, (len(left) + 1) // 2)]
    settings = (users, items, target_baskets, min_users_per_item)
    draws = {"tuning": new_user_task(events[~events["user_id"].isin(judged)], tuning, *settings)}
    return draws | {f"test {i + 1}": new_user_task(events, test, *settings) for i, test in enumerate(tests)}


def newcomer_ndcg(task: NewUserTask, n_baskets: int, scorer: Scorer, k: int = 10) -> pd.Series:
    """NDCG@k of every held-out user when the first `n_baskets` are given, scored a batch at a time.

    Parameters
    ----------
    task : NewUserTask
    n_baskets : int
        First baskets that `scorer` was made with; the targets come after them.
    scorer : callable
        Rows of held-out users to scores of all items, such as from `borrowing.popularity`.
    k : int
        Length of the lists.

    Returns
    -------
    pandas.Series of float in [0, 1], indexed by user_id, sorted
    """
    rows = np.arange(len(task.user_ids))
    parts = [rows[start : start + BATCH_USERS] for start in range(0, len(rows), BATCH_USERS)]
    lists = [ranked_lists(task.user_ids[part], scorer(part), task.source.item_ids, k) for part in parts]
    return ndcg_at_k(pd.concat(lists, ignore_index=True), task.targets_after(n_baskets), k)


def smaller_source(task: NewUserTask, n_users: int, seed: int) -> NewUserTask:
    """The same new users with fewer source users to borrow from.

    Samples of one seed are nested: the first 25 users are among the first 50. The vocabulary stays, so that
    the targets do; popularity and the tie order are those of the sample.

    Parameters
    ----------
    task : NewUserTask
    n_users : int
        Source users to keep; all of them when there are not more.
    seed : int
        Seed of the order in which source users are taken.

    Returns
    -------
    NewUserTask
    """
    source = task.source
    n_source, n_items = source.shape
    kept = np.sort(np.random.default_rng(seed).permutation(n_source)[:n_users])
    inside = np.isin(source.rows, kept)
    rows, cols = np.searchsorted(kept, source.rows[inside]), source.cols[inside]
    goal_pairs = np.unique((rows * n_items + cols)[source.is_goal[inside]])
    popularity = np.bincount(goal_pairs % n_items, minlength=n_items).astype(np.float64)
    id_rank = np.argsort(np.argsort(source.item_ids))
    order = np.lexsort((id_rank, -popularity))
    users = np.append(kept, np.arange(n_source, task.user_features.shape[0]))
    return replace(
        task,
        source=replace(
            source,
            user_ids=source.user_ids[kept],
            item_ids=source.item_ids[order],
            popularity=popularity[order],
            rows=rows,
            cols=np.argsort(order)[cols],
            weights=source.weights[inside],
            is_goal=source.is_goal[inside],
            age_baskets=None if source.age_baskets is None else source.age_baskets[inside],
        ),
        source_events=task.source_events[inside],
        user_features=task.user_features[users],
        item_features=task.item_features[order],
        item_category=task.item_category[order],
    )


def shuffled_attributes(task: NewUserTask, seed: int) -> NewUserTask:
    """The same task with everybody's attributes given to somebody else: nothing can be learned from them.

    Parameters
    ----------
    task : NewUserTask
    seed : int
        Seed of the permutation.

    Returns
    -------
    NewUserTask
    """
    order = np.random.default_rng(seed).permutation(task.user_features.shape[0])
    return replace(task, user_features=task.user_features[order])
