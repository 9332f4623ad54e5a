"""What each group of features, and so each notebook, contributes to the ranker."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from interest_lib.metrics import compare_differences, ndcg_at_k
from interest_lib.ranker import Ranker
from interest_lib.ranker_tables import GROUPS, MADE_OF
from interest_lib.split import Fold

SLICES = ("all", "novel")


def ablation(
    ranker: Ranker,
    fold: Fold,
    groups: Sequence[str] | None = None,
    k: int = 10,
    n_resamples: int = 1000,
) -> pd.DataFrame:
    """NDCG of the ranker without each group of features, and with each group alone.

    What is worked out from a group goes with it, and is never alone.

    Parameters
    ----------
    ranker : Ranker
        Its settings are those of every contender; give it ``tables``, so that features are made once.
    fold : Fold
        An earlier origin: the ablation is no reason to look at the test.
    groups : sequence of str or None
        Of `ranker_tables.GROUPS`; None for all that the log has.
    k : int
        Length of the lists.
    n_resamples : int
        As in `metrics.bootstrap_mean`.

    Returns
    -------
    pandas.DataFrame
        Index ``slice`` ("all", "novel"), ``group``, ``way`` ("without", "alone"): ``ndcg``, and ``value``,
        ``low``, ``high`` of the difference to the ranker with all groups, over the same users, with its 95 %
        interval, ``p`` of the paired t-test and ``p_holm``, corrected over the slice.

    Notes
    -----
    Candidates are those of all models in every row: what is compared is what the trees are told.

    Examples
    --------
    >>> import numpy as np
    >>> from interest_lib.split import fold_at
    >>> rng = np.random.default_rng(0)
    >>> log = pd.DataFrame({"user_id": np.repeat(np.arange(20), 30), "item_id": rng.integers(0, 9, 600),
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> log["timestamp"] += pd.to_timedelta(rng.random(600) * 90, "D")
    >>> fold = fold_at(log.sort_values("timestamp", ignore_index=True), pd.Timestamp("2017-03-02"))
    >>> ablation(Ranker(n_moments=1, tables={}), fold, groups=["decay"], n_resamples=10).shape
    (4, 7)
    """
    complete = _without(ranker, (), fold)
    there = {name.partition(":")[0] for name in complete.table_.names}
    full = _scores(complete, fold, k)
    asked = [group for group in groups or GROUPS if group in there]
    ways = {
        (group, way): (group,) if way == "without" else tuple(other for other in GROUPS if other != group)
        for group in asked
        for way in (("without",) if group in MADE_OF else ("without", "alone"))
    }
    found = {case: _scores(_without(ranker, left_out, fold), fold, k) for case, left_out in ways.items()}
    parts = {}
    for which in SLICES:
        scores = pd.DataFrame(
            {"full": full[which]} | {" ".join(case): part[which] for case, part in found.items()}
        )
        table = compare_differences(
            scores, [(" ".join(case), "full") for case in found], ranker.random_state, n_resamples
        )
        table.insert(0, "ndcg", scores.mean().reindex(table.index.get_level_values("method")).to_numpy())
        table.index = pd.MultiIndex.from_tuples(list(found), names=["group", "way"])
        parts[which] = table
    return pd.concat(parts, names=["slice"])


def _without(ranker: Ranker, groups: tuple[str, ...], fold: Fold) -> Ranker:
    """The same settings and the very same tables, which scikit-learn's `clone` would copy."""
    return Ranker(**{**ranker.get_params(deep=False), "without": groups}).fit(fold.history)


def _scores(fitted: Ranker, fold: Fold, k: int) -> dict[str, pd.Series]:
    """NDCG of every user in both slices."""
    targets = {"all": fold.targets, "novel": fold.targets[fold.targets["novel"]]}
    return {
        which: ndcg_at_k(fitted.recommend(fold.user_ids, k, which == "novel"), targets[which], k)
        for which in SLICES
    }
