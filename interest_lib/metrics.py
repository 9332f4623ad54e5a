"""How good a ranked list is, and how sure we are of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import ttest_1samp

from interest_lib.history import Floats, Ints, codes
from interest_lib.schema import InputError
from interest_lib.split import Fold


@dataclass(frozen=True)
class Interval:
    """A mean over users with its bootstrap interval.

    Examples
    --------
    >>> str(Interval(0.41, 0.40, 0.42, 1977))
    '0.4100 [0.4000, 0.4200]'
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def hits(
    recommendations: pd.DataFrame, targets: pd.DataFrame, user_ids: pd.Index, k: int
) -> tuple[Ints, Ints]:
    """Position in `user_ids`, those with targets, and rank of every hit: a recommended item that is a target.

    Examples
    --------
    >>> lists = pd.DataFrame({"user_id": [7, 7], "item_id": ["a", "b"], "rank": [1, 2]})
    >>> hits(lists, pd.DataFrame({"user_id": [7], "item_id": ["b"]}), pd.Index([7]), k=2)
    (array([0]), array([2]))
    """
    users = _numbered(recommendations["user_id"], targets["user_id"])
    items = _numbered(recommendations["item_id"], targets["item_id"])
    width = 1 + max(side.max(initial=0) for side in items)
    keys, target_keys = (user * width + item for user, item in zip(users, items, strict=True))
    target_keys = np.sort(target_keys)
    # lists are mostly in the order of users, so that a search stays close to where the last one ended
    place = np.minimum(np.searchsorted(target_keys, keys), len(target_keys) - 1)
    rank = recommendations["rank"].to_numpy()
    hit = np.flatnonzero((target_keys[place] == keys) & (rank <= k))
    return codes(user_ids, recommendations["user_id"].iloc[hit]), rank[hit]


def _numbered(left: pd.Series, right: pd.Series) -> tuple[Ints, Ints]:
    """The values of two columns as numbers of at most 31 bits, equal where the values are."""
    columns = [side.to_numpy() for side in (left, right)]
    if all(c.dtype.kind == "i" and c.min(initial=0) >= 0 and c.max(initial=0) < 2**31 for c in columns):
        return columns[0].astype(np.int64), columns[1].astype(np.int64)
    known = pd.Index(right.unique())
    return codes(known, left) + 1, codes(known, right) + 1  # 0 is on the left only


def targets_per_user(targets: pd.DataFrame) -> pd.Series:
    """Number of targets of each user, sorted by id; the users of `targets` are the users that are scored.

    Raises
    ------
    InputError
        When there is no target at all.

    Examples
    --------
    >>> targets_per_user(pd.DataFrame({"user_id": [2, 1, 2], "item_id": ["a", "a", "b"]})).to_dict()
    {1: 1, 2: 2}
    """
    if targets.empty:
        raise InputError("There are no targets to score against: choose an origin with events after it.")
    return targets.groupby("user_id", sort=True).size()


def ndcg_at_k(recommendations: pd.DataFrame, targets: pd.DataFrame, k: int = 10) -> pd.Series:
    """Normalised discounted cumulative gain of every user's list, binary relevance.

    The gain of a hit at rank r is ``1 / log2(r + 1)``; the ideal list holds ``min(k, n_targets)`` hits.

    Parameters
    ----------
    recommendations : pandas.DataFrame
        ``user_id``, ``item_id``, ``rank`` (1 is best), no item twice for a user.
    targets : pandas.DataFrame
        Distinct ``user_id``, ``item_id``. A user without a recommendation scores 0; a user without a
        target is not scored.
    k : int
        Length of the list.

    Returns
    -------
    pandas.Series of float in [0, 1], indexed by user_id, sorted

    Raises
    ------
    InputError
        When there is no target at all.

    Notes
    -----
    Jarvelin and Kekalainen (2002). Other definitions divide by the ideal over all targets even where
    they are more than `k`, which caps the score below one.

    Examples
    --------
    >>> lists = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "rank": [1, 2, 1]})
    >>> truth = pd.DataFrame({"user_id": [1, 2], "item_id": ["b", "c"]})
    >>> ndcg_at_k(lists, truth, k=2).round(3).tolist()
    [0.631, 0.0]
    """
    n_targets = targets_per_user(targets)
    user_code, rank = hits(recommendations, targets, n_targets.index, k)
    gain = np.bincount(user_code, weights=1 / np.log2(rank + 1.0), minlength=len(n_targets))
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    return pd.Series(gain / ideal[np.minimum(n_targets, k) - 1], index=n_targets.index, name=f"ndcg{k}")


def recall_at_k(recommendations: pd.DataFrame, targets: pd.DataFrame, k: int = 10) -> pd.Series:
    """Share of each user's targets that is among the first `k` recommendations.

    Examples
    --------
    >>> lists = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"], "rank": [1, 2]})
    >>> truth = pd.DataFrame({"user_id": [1, 1], "item_id": ["b", "c"]})
    >>> recall_at_k(lists, truth).tolist()
    [0.5]
    """
    n_targets = targets_per_user(targets)
    user_code, _ = hits(recommendations, targets, n_targets.index, k)
    n_hits = np.bincount(user_code, minlength=len(n_targets))
    return pd.Series(n_hits / n_targets, index=n_targets.index, name=f"recall{k}")


def precision_at_k(recommendations: pd.DataFrame, targets: pd.DataFrame, k: int = 10) -> pd.Series:
    """Share of the `k` places of each user's list that hold a target; an empty place is a miss.

    Examples
    --------
    >>> lists = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"], "rank": [1, 2]})
    >>> truth = pd.DataFrame({"user_id": [1, 1], "item_id": ["b", "c"]})
    >>> precision_at_k(lists, truth, k=2).tolist()
    [0.5]
    """
    n_targets = targets_per_user(targets)
    user_code, _ = hits(recommendations, targets, n_targets.index, k)
    n_hits = np.bincount(user_code, minlength=len(n_targets))
    return pd.Series(n_hits / k, index=n_targets.index, name=f"precision{k}")


def bootstrap_mean(
    values: pd.Series | Floats, seed: int, n_resamples: int = 1000, level: float = 0.95
) -> Interval:
    """Mean over users and its percentile interval from resampling users with replacement.

    Parameters
    ----------
    values : pandas.Series or ndarray of float, shape (n_users,)
        One value per user. To compare two methods give their differences: the interval is then paired.
    seed : int
        Seed of the resampling.
    n_resamples : int
        How many times the users are drawn anew.
    level : float
        Coverage aimed at.

    Returns
    -------
    Interval

    Notes
    -----
    Efron and Tibshirani (1993), chapter 13.

    Examples
    --------
    >>> bootstrap_mean(np.array([0.0, 1.0] * 50), seed=1)
    Interval(value=0.5, low=0.4, high=0.6, n=100)
    """
    sample = np.asarray(values, dtype=np.float64)
    means = np.array([sample[drawn].mean() for drawn in _draws(sample.size, seed, n_resamples)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(sample.mean()), float(low), float(high), int(sample.size))


def mean_intervals(table: pd.DataFrame, seed: int, n_resamples: int = 1000) -> pd.DataFrame:
    """`bootstrap_mean` of every column: a row each, with ``value``, ``low``, ``high`` and ``n``.

    Columns are resampled alike. A missing value is a user that the column is silent about.

    Examples
    --------
    >>> mean_intervals(pd.DataFrame({"gain": [0.0, 1.0] * 50}), seed=1)
          value  low  high      n
    gain    0.5  0.4   0.6  100.0
    """
    found = {name: bootstrap_mean(column.dropna(), seed, n_resamples) for name, column in table.items()}
    return pd.DataFrame({name: vars(interval) for name, interval in found.items()}, dtype=float).T


def relative_gain(
    new: pd.Series | Floats,
    base: pd.Series | Floats,
    seed: int,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """``mean(new) / mean(base) - 1`` over the same users, both means resampled together.

    Parameters
    ----------
    new, base : pandas.Series or ndarray of float, shape (n_users,)
        One value per user, users in the same order.
    seed, n_resamples, level
        As in `bootstrap_mean`.

    Returns
    -------
    Interval
        0.05 is a gain of five per cent.

    Raises
    ------
    InputError
        When the base scores zero for so many users that a resample has nothing else.

    Examples
    --------
    >>> relative_gain(np.array([0.2, 0.4]), np.array([0.1, 0.2]), seed=1)
    Interval(value=1.0, low=1.0, high=1.0, n=2)
    """
    pairs = np.column_stack([new, base]).astype(np.float64)
    means = np.array([pairs[drawn].mean(axis=0) for drawn in _draws(len(pairs), seed, n_resamples)])
    mean_new, mean_base = pairs.mean(axis=0)
    if not (means[:, 1] > 0).all():
        raise InputError(
            "There is nothing to be relative to, as the baseline scores zero for (nearly) every user: give a "
            "larger log, or compare with another baseline."
        )
    low, high = np.quantile(means[:, 0] / means[:, 1] - 1, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(mean_new / mean_base - 1), float(low), float(high), len(pairs))


def gain_or_none(new: pd.Series, base: pd.Series, seed: int = 0, n_resamples: int = 1000) -> Interval | None:
    """`relative_gain`; None where the base scores zero for (nearly) every user, as in tiny logs.

    Examples
    --------
    >>> gain_or_none(pd.Series([0.1, 0.2]), pd.Series([0.0, 0.0])) is None
    True
    """
    try:
        return relative_gain(new, base, seed, n_resamples)
    except InputError:
        return None


def compare(
    scores: pd.DataFrame, pairs: Sequence[tuple[str, str]], seed: int, n_resamples: int = 1000
) -> pd.DataFrame:
    """Gains of methods over others on the same users, with intervals, corrected for how many are compared.

    Parameters
    ----------
    scores : pandas.DataFrame, shape (n_users, n_methods)
        One row per user, one column per method.
    pairs : sequence of (str, str)
        Method and what it is compared with.
    seed, n_resamples
        As in `relative_gain`.

    Returns
    -------
    pandas.DataFrame
        One row per pair (index ``method``, ``over``): ``value``, ``low``, ``high`` of the relative gain and
        its 95 % interval; ``p``, two-sided, of the paired t-test; ``p_holm``, the same so corrected that one
        false alarm among all pairs has a probability of at most ``p_holm``.

    Notes
    -----
    Holm (1979), A simple sequentially rejective multiple test procedure.

    Examples
    --------
    >>> scores = pd.DataFrame({"new": [0.2, 0.5, 0.5], "old": [0.1, 0.2, 0.4], "same": [0.1, 0.2, 0.4]})
    >>> compare(scores, [("new", "old"), ("same", "old")], seed=1)[["value", "p", "p_holm"]].round(2).values
    array([[0.71, 0.13, 0.26],
           [0.  , 1.  , 1.  ]])
    """
    gains = [relative_gain(scores[method], scores[over], seed, n_resamples) for method, over in pairs]
    return _tested(scores, pairs, gains).drop(columns="n")


def compare_differences(
    scores: pd.DataFrame, pairs: Sequence[tuple[str, str]], seed: int, n_resamples: int = 1000
) -> pd.DataFrame:
    """The same as `compare` with plain differences instead of relative gains, so that a base may score zero.

    A user whom one of the two is silent about (a missing value) is left out of that pair.

    Returns
    -------
    pandas.DataFrame
        One row per pair (index ``method``, ``over``): ``value``, ``low``, ``high`` of the mean difference and
        its 95 % interval, ``n`` users, ``p`` and ``p_holm``.

    Examples
    --------
    >>> scores = pd.DataFrame({"new": [0.2, 0.5, 0.5], "old": [0.1, 0.2, 0.4]})
    >>> compare_differences(scores, [("new", "old")], seed=1)[["value", "n", "p"]].round(2).values
    array([[0.17, 3.  , 0.13]])
    """
    differences = [(scores[method] - scores[over]).dropna() for method, over in pairs]
    means = [bootstrap_mean(difference, seed, n_resamples) for difference in differences]
    return _tested(scores, pairs, means)


def _tested(
    scores: pd.DataFrame, pairs: Sequence[tuple[str, str]], effects: Sequence[Interval]
) -> pd.DataFrame:
    """Effects of the pairs beside the p-values of their paired t-tests."""
    table = pd.DataFrame(
        [vars(effect) for effect in effects],
        index=pd.MultiIndex.from_tuples(pairs, names=["method", "over"]),
    )
    differences = ((scores[method] - scores[over]).dropna() for method, over in pairs)
    table["p"] = [float(ttest_1samp(d, 0.0).pvalue) if d.std() > 0 else 1.0 for d in differences]
    return table.assign(p_holm=holm(table["p"].to_numpy()))


def holm(p: Floats) -> Floats:
    """Holm's correction: the smallest p-value counts for all comparisons, the next for one less, and so on.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _draws(n_users: int, seed: int, n_resamples: int) -> Iterator[Ints]:
    """Positions of users drawn with replacement, one array a resample."""
    if n_users == 0:
        raise InputError("There is no user to average over: choose an origin or a slice that has some.")
    rng = np.random.default_rng(seed)
    return (rng.integers(0, n_users, n_users) for _ in range(n_resamples))


def ndcg_by_slice(lists: pd.DataFrame, fold: Fold, k: int = 10) -> pd.DataFrame:
    """NDCG@k of every user under every model, for all targets and for novel ones.

    Parameters
    ----------
    lists : pandas.DataFrame
        ``model``, ``slice`` ("all" or "novel"), ``user_id``, ``item_id``, ``rank``.
    fold : Fold
        Its targets are the truth; in the slice "novel" only what the user never had before counts.
    k : int
        Length of the list.

    Returns
    -------
    pandas.DataFrame
        One column per (slice, model), one row per user; missing where the user has no target in the slice.
    """
    targets = {"all": fold.targets, "novel": fold.targets[fold.targets["novel"]]}
    scores = {
        (which, model): ndcg_at_k(group, targets[str(which)], k)
        for (which, model), group in lists.groupby(["slice", "model"], sort=False)
    }
    return pd.concat(scores, axis=1, names=["slice", "model"])
