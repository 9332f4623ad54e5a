"""Protocol P5, the next basket: folds, metrics, and settings of one half of the users judged on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from interest_lib.basket_models import TIFUKNN, UPCF
from interest_lib.history import baskets_after, history_but_baskets
from interest_lib.metrics import ndcg_at_k, recall_at_k
from interest_lib.paced_frequency import PacedFrequency
from interest_lib.recommend import NearestUsers, PersonalFrequency, Recommender
from interest_lib.schema import InputError
from interest_lib.split import Fold

HALVES: Final = ("first", "second")
HALVES_SEED: Final = 2017  # draws the halves that `TUNED` is about
Settings = Mapping[str, Any]
MODELS: Final[Mapping[str, Callable[..., Recommender]]] = {
    "tifuknn": TIFUKNN,
    "upcf": UPCF,
    "paced_frequency": PacedFrequency,
    "nearest_users": NearestUsers,
    "personal_frequency": PersonalFrequency,
}
"""Recommenders of the next basket that have settings."""

TUNED: Final[Mapping[str, Mapping[str, Settings]]] = {
    "tifuknn": {
        "first": {
            "n_groups": 6,
            "within_decay_rate": 0.728,
            "group_decay_rate": 0.931,
            "n_neighbours": 154,
            "alpha": 0.0573,
        },
        "second": {
            "n_groups": 6,
            "within_decay_rate": 0.728,
            "group_decay_rate": 0.931,
            "n_neighbours": 154,
            "alpha": 0.0573,
        },
    },
    "upcf": {
        "first": {"recency": 55, "locality": 1.63, "alpha": 0.527, "n_neighbours": 162},
        "second": {"recency": 55, "locality": 1.63, "alpha": 0.527, "n_neighbours": 162},
    },
    "paced_frequency": {
        "first": {
            "fade_per_basket": 0.95,
            "propensity_baskets": 100.0,
            "propensity_power": 0.5,
            "pace_baskets": 50.0,
            "neighbour_weight": 0.8,
            "n_neighbours": 300,
            "follower_weight": 0.1,
            "popularity_weight": 0.2,
        },
        "second": {
            "fade_per_basket": 0.9,
            "propensity_baskets": 264.0,
            "propensity_power": 0.613,
            "pace_baskets": 13.4,
            "neighbour_weight": 1.1,
            "n_neighbours": 768,
            "follower_weight": 0.00522,
            "popularity_weight": 0.0541,
        },
    },
    "nearest_users": {
        "first": {"half_life_baskets": 4.71, "n_neighbours": 586, "own_weight": 0.109},
        "second": {"half_life_baskets": 16.3, "n_neighbours": 391, "own_weight": 0.153},
    },
    "personal_frequency": {
        "first": {"half_life_baskets": 7.4, "curve": "exponential"},
        "second": {"half_life_baskets": 513.0, "curve": "power"},
    },
}
"""Settings that were best for each of `HALVES` of the users of Ta-Feng, drawn with `HALVES_SEED`.

They were judged by Recall@10 of the last basket of that half alone, and are meant for the other half. A test
compares them with the log of the trials, ``benchmarks/results/tune_baskets.csv``, which ``make tune`` writes.
"""


def last_basket_fold(events: pd.DataFrame, n_hidden: int = 1) -> Fold:
    """Everything before one of the last baskets of every user, and that basket.

    Unlike in `split.folds`, every item counts: nothing is left out of the history or of the targets.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``item_id``, ``basket_number``, sorted by basket number.
    n_hidden : int
        1 for the last basket, 2 for the one before it, and so on. What is chosen on 2 has not seen the last.

    Returns
    -------
    Fold
        Users with at least one basket before the target; items that nobody had before are targets that
        nobody can hit.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "basket_number": [1, 2, 1]})
    >>> last_basket_fold(log).targets.to_dict("list")
    {'user_id': [1], 'item_id': ['b'], 'novel': [True]}
    """
    after = baskets_after(events)
    if n_hidden < 1 or not (after >= n_hidden).any():
        raise InputError(
            f"No user has a basket before the last {n_hidden}: give 1, or a log with more baskets."
        )
    history = history_but_baskets(events, n_hidden, min_users_per_item=1)
    targets = events.loc[after == n_hidden - 1, ["user_id", "item_id"]].drop_duplicates()
    targets = targets[targets["user_id"].isin(history.user_ids)]
    targets = targets.sort_values(["user_id", "item_id"], ignore_index=True)
    had = pd.DataFrame(
        {"user_id": history.user_ids[history.rows], "item_id": history.item_ids[history.cols], "novel": False}
    )
    marked = targets.merge(had.drop_duplicates(), how="left", on=["user_id", "item_id"])
    return Fold(history, targets.assign(novel=marked["novel"].isna()), n_targets_dropped=0)


def ndcg_of_all_targets(recommendations: pd.DataFrame, targets: pd.DataFrame, k: int = 10) -> pd.Series:
    """NDCG@k as protocol P5 has it: the ideal list holds all targets, be they more than `k`.

    Parameters
    ----------
    recommendations, targets, k
        As for `metrics.ndcg_at_k`, which divides by what a list of `k` can reach.

    Returns
    -------
    pandas.Series of float in [0, 1], indexed by user_id, sorted

    Examples
    --------
    >>> lists = pd.DataFrame({"user_id": [1], "item_id": ["a"], "rank": [1]})
    >>> truth = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"]})
    >>> ndcg_of_all_targets(lists, truth, k=1).round(3).tolist(), ndcg_at_k(lists, truth, k=1).tolist()
    ([0.613], [1.0])
    """
    usual = ndcg_at_k(recommendations, targets, k)
    n_targets = targets.groupby("user_id").size().reindex(usual.index).to_numpy(np.int64)
    ideal = np.cumsum(1 / np.log2(np.arange(2, max(int(n_targets.max()), k) + 2)))
    return usual * ideal[np.minimum(n_targets, k) - 1] / ideal[n_targets - 1]


def halves(user_ids: pd.Index, seed: int) -> dict[str, pd.Index]:
    """Users dealt into two halves, each sorted.

    Examples
    --------
    >>> {name: len(half) for name, half in halves(pd.Index(range(5)), seed=0).items()}
    {'first': 2, 'second': 3}
    """
    drawn = np.random.default_rng(seed).permutation(len(user_ids))
    cut = len(user_ids) // 2
    return {
        name: user_ids[np.sort(part)] for name, part in zip(HALVES, (drawn[:cut], drawn[cut:]), strict=True)
    }


def scored(fold: Fold, model: Recommender, user_ids: pd.Index, k: int = 10) -> pd.DataFrame:
    """Recall@k and NDCG@k (see `ndcg_of_all_targets`) of some users, after fitting on everybody's history.

    Returns
    -------
    pandas.DataFrame
        Columns ``recall`` and ``ndcg``, one row per user.
    """
    targets = fold.targets[fold.targets["user_id"].isin(user_ids)]
    lists = model.fit(fold.history).recommend(user_ids, k)
    return pd.DataFrame(
        {"recall": recall_at_k(lists, targets, k), "ndcg": ndcg_of_all_targets(lists, targets, k)}
    )


def scored_both_ways(
    fold: Fold,
    make: Mapping[str, Callable[..., Recommender]],
    tuned: Mapping[str, Mapping[str, Settings]],
    seed: int = HALVES_SEED,
    k: int = 10,
) -> pd.DataFrame:
    """Every user scored with the settings that were best for the other half of the users.

    Parameters
    ----------
    fold : Fold
        From `last_basket_fold`.
    make : mapping of str to callable
        Makes the model of a name from settings.
    tuned : mapping of str to (mapping of str to settings)
        For every name the settings that were best for each of `HALVES`; those of ``first`` are used on the
        second half, and the other way round. An empty mapping stands for nothing to tune.
    seed : int
        Of `halves`: the one that the tuning had.
    k : int
        Length of the lists.

    Returns
    -------
    pandas.DataFrame
        Columns (metric, model) with metric ``recall`` and ``ndcg``; one row per user (``half``, ``user_id``).
    """
    parts = halves(fold.user_ids, seed)
    other = dict(zip(HALVES, HALVES[::-1], strict=True))
    found: dict[str, pd.DataFrame] = {}
    for name, build in make.items():
        settings = tuned.get(name, {})
        found[name] = pd.concat(
            {
                half: scored(fold, build(**settings.get(other[half], {})), users, k)
                for half, users in parts.items()
            },
            names=["half"],
        )
    return pd.concat(found, axis=1, names=["model", "metric"]).swaplevel(axis=1)
