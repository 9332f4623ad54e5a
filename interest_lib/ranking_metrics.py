"""All accuracy metrics of ranked lists from one pass over their hits, each with the definition it has."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from interest_lib.history import Bools, Floats, Ints, codes
from interest_lib.metrics import hits, targets_per_user
from interest_lib.schema import InputError

IDEALS: Final = ("reachable", "targets", "k")
"""How many hits the ideal list has: ``min(k, n_targets)``, ``n_targets`` or ``k``."""


def accuracy_table(
    recommendations: pd.DataFrame,
    targets: pd.DataFrame,
    k: int = 10,
    n_items: int | None = None,
    ideal: str = "reachable",
) -> pd.DataFrame:
    """Every accuracy metric of every user's list, binary relevance.

    Parameters
    ----------
    recommendations : pandas.DataFrame
        ``user_id``, ``item_id``, ``rank`` (1 is best), no item twice for a user.
    targets : pandas.DataFrame
        Distinct ``user_id``, ``item_id``. A user without a recommendation scores 0; a user without a
        target is not scored.
    k : int
        Length of the list.
    n_items : int, optional
        Size of the catalogue; with it there is a column ``accuracy``.
    ideal : {"reachable", "targets", "k"}
        What NDCG and average precision are measured against: a list with ``min(k, n_targets)`` hits, with
        ``n_targets`` (though it may hold fewer), or with `k` (though there may be fewer).

    Returns
    -------
    pandas.DataFrame, indexed by user_id, sorted; all columns in [0, 1]
        - ``precision``: hits / `k`; an empty place is a miss.
        - ``recall``: hits / targets.
        - ``f1``: harmonic mean of the two, 2 hits / (`k` + targets).
        - ``hit_rate``: 1 with at least one hit, else 0.
        - ``ndcg``: sum of 1 / log2(rank + 1) over the hits / the same sum of the ideal list.
        - ``map``: average precision, the sum over the hits of the precision down to their rank / number of
          hits of the ideal list. The mean of the column is MAP.
        - ``mrr``: 1 / rank of the first hit within `k`, 0 without a hit. The mean of the column is MRR.
        - ``accuracy``: share of the catalogue's items that are rightly shown or rightly not shown,
          ``1 - (shown without a hit + targets not shown) / n_items``.

    Raises
    ------
    InputError
        When there is no target at all, or the ideal is not known.

    Notes
    -----
    Manning, Raghavan and Schuetze (2008), Introduction to Information Retrieval, chapter 8. The defaults of
    others: scikit-learn and ranx have the NDCG of ``reachable`` and RecTools that of ``k``
    (``divide_by_achievable=False``); ranx and RecTools have the MAP of ``targets``.

    Examples
    --------
    >>> lists = pd.DataFrame({"user_id": 1, "item_id": ["a", "b", "c"], "rank": [1, 2, 3]})
    >>> truth = pd.DataFrame({"user_id": 1, "item_id": ["b", "d"]})
    >>> accuracy_table(lists, truth, k=3, n_items=10).round(2).loc[1].to_dict()
    {'precision': 0.33, 'recall': 0.5, 'f1': 0.4, 'hit_rate': 1.0, 'ndcg': 0.39, 'map': 0.25, 'mrr': 0.5,
     'accuracy': 0.7}
    """
    per_user = targets_per_user(targets)
    n_targets = per_user.to_numpy()
    user_code, rank = hits(recommendations, targets, per_user.index, k)
    best_first = np.lexsort((rank, user_code))
    user_code, rank = user_code[best_first], rank[best_first]
    n_hits = np.bincount(user_code, minlength=len(n_targets))
    n_ideal = _ideal_hits(n_targets, k, ideal)
    gain, precision_sum, first = _sums_over_hits(user_code, rank, n_hits)
    columns = {
        "precision": n_hits / k,
        "recall": n_hits / n_targets,
        "f1": 2 * n_hits / (k + n_targets),
        "hit_rate": (n_hits > 0).astype(np.float64),
        "ndcg": gain / np.cumsum(1 / np.log2(np.arange(2, n_ideal.max() + 2)))[n_ideal - 1],
        "map": precision_sum / n_ideal,
        "mrr": first,
    }
    if n_items is not None:
        shown = _list_lengths(recommendations, per_user.index, k)
        columns["accuracy"] = 1 - (shown + n_targets - 2 * n_hits) / n_items
    return pd.DataFrame(columns, index=per_user.index)


def _ideal_hits(n_targets: Ints, k: int, ideal: str) -> Ints:
    """Number of hits of the list that scores one, for every user."""
    if ideal not in IDEALS:
        raise InputError(f"ideal is '{ideal}': give one of {', '.join(IDEALS)}.")
    if ideal == "targets":
        return n_targets
    return np.minimum(n_targets, k) if ideal == "reachable" else np.full_like(n_targets, k)


def _sums_over_hits(user_code: Ints, rank: Ints, n_hits: Ints) -> tuple[Floats, Floats, Floats]:
    """Of every user: discounted gain, sum of the precisions at the hits, reciprocal rank of the first.

    The hits are ordered by user and rank, so the position within a user is the number of hits up to there.
    """
    n_users = len(n_hits)
    starts = np.cumsum(n_hits) - n_hits
    so_far = np.arange(len(rank)) - starts[user_code] + 1
    gain, precision_sum = (
        np.bincount(user_code, weights=weights, minlength=n_users).astype(np.float64)
        for weights in (1 / np.log2(rank + 1.0), so_far / rank)
    )
    first = np.zeros(n_users)
    first[user_code[so_far == 1]] = 1 / rank[so_far == 1]
    return gain, precision_sum, first


def _list_lengths(recommendations: pd.DataFrame, user_ids: pd.Index, k: int) -> Ints:
    """Number of items down to rank `k` in every user's list."""
    rows = codes(user_ids, recommendations["user_id"])
    shown = rows[(rows >= 0) & (recommendations["rank"].to_numpy() <= k)]
    return np.bincount(shown, minlength=len(user_ids))


def is_hit(recommendations: pd.DataFrame, targets: pd.DataFrame) -> Bools:
    """Whether each recommended item is a target of its user, row by row.

    Examples
    --------
    >>> lists = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "b"]})
    >>> is_hit(lists, pd.DataFrame({"user_id": [1], "item_id": ["b"]})).tolist()
    [False, True, False]
    """
    keys = pd.MultiIndex.from_frame(recommendations[["user_id", "item_id"]])
    return np.asarray(keys.isin(pd.MultiIndex.from_frame(targets[["user_id", "item_id"]])), dtype=bool)


def squared_errors(predicted: pd.DataFrame, targets: pd.DataFrame) -> pd.DataFrame:
    """Error of predicted purchase probabilities: what was said about each pair against what happened.

    Parameters
    ----------
    predicted : pandas.DataFrame
        ``user_id``, ``item_id``, ``probability`` in [0, 1] that the item is among the user's targets.
    targets : pandas.DataFrame
        ``user_id``, ``item_id`` of what happened; a pair that is not in it counts as 0.

    Returns
    -------
    pandas.DataFrame, indexed by user_id, sorted
        ``mse``: mean over the user's pairs of ``(probability - happened) ** 2``, the Brier score; ``rmse``,
        its square root; ``n``, the number of pairs. The MSE of all pairs, as scikit-learn has it, is the
        mean of ``mse`` weighted by ``n``.

    Notes
    -----
    Brier (1950), Verification of forecasts expressed in terms of probability.

    Examples
    --------
    >>> said = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"], "probability": [0.5, 0.1]})
    >>> squared_errors(said, pd.DataFrame({"user_id": [1], "item_id": ["a"]})).round(2).loc[1].to_dict()
    {'mse': 0.13, 'rmse': 0.36, 'n': 2.0}
    """
    error = (predicted["probability"] - is_hit(predicted, targets)) ** 2
    table = error.groupby(predicted["user_id"], sort=True).agg(["mean", "size"])
    table.columns = ["mse", "n"]
    table.insert(1, "rmse", np.sqrt(table["mse"]))
    return table
