"""What transfer between groups gains: at each size, over plain pooling, and how often it hurts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from interest_lib.group_transfer import ALONE, CHOSEN, SOURCE
from interest_lib.metrics import bootstrap_mean, gain_or_none, relative_gain

_CELL = ["dataset", "split", "size", "seed"]


def by_user(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over draws of every user's score: a row per user, a column per method.

    Parameters
    ----------
    scores : pandas.DataFrame
        ``method``, ``user_id``, ``ndcg``, such as from `group_transfer.transfer_scores`.

    Examples
    --------
    >>> scores = pd.DataFrame({"method": "pooled", "user_id": [1, 1, 2], "ndcg": [0.1, 0.3, 0.5]})
    >>> by_user(scores).round(3)["pooled"].to_dict()
    {1: 0.2, 2: 0.5}
    """
    return scores.pivot_table(index="user_id", columns="method", values="ndcg", aggfunc="mean")


def size_scores(scores: pd.DataFrame, seed: int, n_resamples: int = 1000) -> pd.DataFrame:
    """Mean score with its interval for every size of the target group and every method.

    Parameters
    ----------
    scores : pandas.DataFrame
        ``size``, ``n_target``, ``method``, ``user_id``, ``ndcg`` of one split, of any number of draws.
    seed, n_resamples : int
        As in `metrics.bootstrap_mean`: users are resampled, and a user who was drawn twice counts once.

    Returns
    -------
    pandas.DataFrame
        Index ``n_target``, ``size``, ``method``; ``value``, ``low``, ``high``, ``n``.

    Examples
    --------
    >>> scores = pd.DataFrame({"size": "25", "n_target": 25, "method": "pooled", "user_id": [1, 2],
    ...                        "ndcg": [0.2, 0.2]})
    >>> size_scores(scores, seed=1).values.tolist()
    [[0.2, 0.2, 0.2, 2.0]]
    """
    found = {
        key: vars(bootstrap_mean(part.groupby("user_id")["ndcg"].mean(), seed, n_resamples))
        for key, part in scores.groupby(["n_target", "size", "method"])
    }
    table = pd.DataFrame.from_dict(found, orient="index")
    return table.set_axis(pd.MultiIndex.from_tuples(table.index, names=["n_target", "size", "method"]))


def size_gains(
    scores: pd.DataFrame, over: str = ALONE, method: str = CHOSEN, seed: int = 0, n_resamples: int = 1000
) -> pd.DataFrame:
    """Relative gain of a method over another one, on the same users, for every size of the target group.

    Parameters
    ----------
    scores : pandas.DataFrame
        As in `size_scores`.
    over, method : str
    seed, n_resamples : int

    Returns
    -------
    pandas.DataFrame
        Index ``size``, smallest first; ``n_target``; ``value``, ``low``, ``high``, ``n``: 0.2 is 20 % more.

    Examples
    --------
    >>> scores = pd.DataFrame({"size": "25", "n_target": 25, "method": ["transfer", "target_only"] * 2,
    ...                        "user_id": [1, 1, 2, 2], "ndcg": [0.3, 0.2, 0.3, 0.2]})
    >>> size_gains(scores).round(2).values.tolist()
    [[25.0, 0.5, 0.5, 0.5, 2.0]]
    """
    rows = {}
    for (n_target, size), part in scores.groupby(["n_target", "size"]):
        table = by_user(part)
        if {over, method} <= set(table):
            gain = gain_or_none(table[method], table[over], seed, n_resamples)
            if gain:
                rows[size] = {"n_target": n_target, **vars(gain)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("size")


def crossover(scores: pd.DataFrame, over: str = SOURCE) -> int | None:
    """Smallest number of target users from which learning from them alone is no worse than another method.

    Parameters
    ----------
    scores : pandas.DataFrame
        As in `size_scores`.
    over : str
        ``source_only`` or any method that has the same sizes.

    Returns
    -------
    int or None
        None when it is worse at the largest size.

    Examples
    --------
    >>> scores = pd.DataFrame({"n_target": [0, 25, 50, 100], "user_id": 1, "ndcg": [0.2, 0.1, 0.2, 0.3],
    ...                        "method": ["source_only"] + ["target_only"] * 3})
    >>> crossover(scores)
    50
    """
    means = scores.groupby(["n_target", "method"])["ndcg"].mean().unstack()
    rival = means[over].fillna(means[over].loc[0]) if 0 in means.index else means[over]
    sized = means[ALONE].dropna()
    worse = sized.index[(sized < rival[sized.index]).to_numpy()]
    enough = sized.index if worse.empty else sized.index[sized.index > worse.max()]
    return int(enough.min()) if len(enough) else None


def negative_transfer(scores: pd.DataFrame, seed: int, n_resamples: int = 200) -> pd.DataFrame:
    """How often a method that uses both groups is worse than learning from target users alone.

    Parameters
    ----------
    scores : pandas.DataFrame
        Of any number of runs: ``dataset``, ``split``, ``size``, ``seed``, ``method``, ``user_id``, ``ndcg``.
    seed, n_resamples : int
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        Per method: ``rate``, the share of cells (dataset, split, size, seed) in which it is worse; ``sure``,
        in which the 95 % interval of the difference over users lies below zero; ``cells``.

    Examples
    --------
    >>> scores = pd.DataFrame({"dataset": "shop", "split": "age", "size": "25", "user_id": 1,
    ...                        "method": ["pooled", "target_only"] * 2, "seed": [0, 0, 1, 1],
    ...                        "ndcg": [0.1, 0.2, 0.3, 0.2]})
    >>> negative_transfer(scores, seed=1).loc["pooled"].tolist()
    [0.5, 0.5, 2.0]
    """
    rows = []
    for _, part in scores[scores["size"] != "0"].groupby(_CELL):
        table = by_user(part)
        for method in table.columns.drop(ALONE):
            difference = bootstrap_mean(table[method] - table[ALONE], seed, n_resamples)
            rows.append((method, difference.value < 0, difference.high < 0))
    table = pd.DataFrame(rows, columns=["method", "rate", "sure"])
    grouped = table.groupby("method")
    return grouped[["rate", "sure"]].mean().assign(cells=grouped.size())


def gains_over_pooled(scores: pd.DataFrame, seed: int, n_resamples: int = 1000) -> pd.DataFrame:
    """What knowing who is of which group gains: methods over plain pooling of the same users, all sizes.

    Parameters
    ----------
    scores : pandas.DataFrame
        As in `size_scores`; on shuffled labels there is nothing to know, and the gain has to vanish.
    seed, n_resamples : int

    Returns
    -------
    pandas.DataFrame
        Per method, ``value``, ``low``, ``high``, ``n`` of the relative gain.

    Examples
    --------
    >>> scores = pd.DataFrame({"size": "25", "method": ["pooled", "weighted"] * 2, "user_id": [1, 1, 2, 2],
    ...                        "ndcg": [0.2, 0.2, 0.3, 0.3]})
    >>> gains_over_pooled(scores, seed=1).loc["weighted"].tolist()
    [0.0, 0.0, 0.0, 2.0]
    """
    table = by_user(scores[scores["size"] != "0"])
    methods = table.columns.drop(["pooled", ALONE], errors="ignore")
    found = {name: vars(relative_gain(table[name], table["pooled"], seed, n_resamples)) for name in methods}
    return pd.DataFrame.from_dict(found, orient="index", dtype=np.float64).rename_axis("method")
