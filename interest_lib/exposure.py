"""What is shown of a catalogue, and how popular it was: coverage, concentration, novelty, popularity bias."""

from __future__ import annotations

import numpy as np
import pandas as pd

from interest_lib.history import Floats, History, Ints, codes


def exposure(recommendations: pd.DataFrame, item_ids: pd.Index, k: int = 10) -> Ints:
    """How many lists show each item of the catalogue among their first `k`.

    Examples
    --------
    >>> lists = pd.DataFrame({"item_id": ["a", "b", "a"], "rank": [1, 2, 1]})
    >>> exposure(lists, pd.Index(["a", "b", "c"]))
    array([2, 1, 0])
    """
    cols = codes(item_ids, recommendations[recommendations["rank"] <= k]["item_id"])
    return np.bincount(cols[cols >= 0], minlength=len(item_ids))


def coverage(shown: Ints) -> float:
    """Share of the catalogue that is shown to anybody, given the `exposure` of its items.

    Examples
    --------
    >>> coverage(np.array([2, 1, 0, 0]))
    0.5
    """
    return float((shown > 0).mean())


def gini(shown: Ints | Floats) -> float:
    """Gini coefficient of `exposure`: 0 when all items are shown alike, near 1 when one takes all.

    Items that nobody is shown count too. NaN when nothing is shown.

    Examples
    --------
    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    ordered, n = np.sort(shown).astype(np.float64), len(shown)
    total = ordered.sum()
    return float(((2 * np.arange(1, n + 1) - n - 1) @ ordered) / (n * total)) if total else float("nan")


def novelty(recommendations: pd.DataFrame, history: History, k: int = 10) -> pd.Series:
    """Mean self-information of each user's list in bits: ``-log2`` of the share of users who had the item.

    Parameters
    ----------
    recommendations : pandas.DataFrame
        ``user_id``, ``item_id``, ``rank``.
    history : History
        Who had what, by goal events. An item that it does not have counts as one user's.
    k : int

    Returns
    -------
    pandas.Series of float, indexed by user_id

    Notes
    -----
    Zhou et al. (2010), Solving the apparent diversity-accuracy dilemma of recommender systems. RecTools calls
    it ``MeanInvUserFreq``.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 2, 2], "item_id": ["a", "a", "b"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 3)})
    >>> known = history_before(log, pd.Timestamp("2017-01-02"), min_users_per_item=1)
    >>> novelty(pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"], "rank": [1, 2]}), known).to_dict()
    {1: 0.5}
    """
    cells = history.rows[history.is_goal] * len(history.item_ids) + history.cols[history.is_goal]
    cells = pd.unique(cells)  # far faster than np.unique
    n_users = np.bincount(cells % len(history.item_ids), minlength=len(history.item_ids))
    bits = -np.log2(np.maximum(n_users, 1) / len(history.user_ids))
    unknown = np.log2(len(history.user_ids))
    return _mean_of_items(recommendations, history, bits, unknown, k).rename("novelty")


def popularity(recommendations: pd.DataFrame, history: History, k: int = 10) -> pd.Series:
    """Mean number of earlier goal events of the items in each user's list (ARP).

    Returns
    -------
    pandas.Series of float, indexed by user_id

    Notes
    -----
    Yin et al. (2012), Challenging the long tail recommendation. RecTools calls it ``AvgRecPopularity``.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 2, 2], "item_id": ["a", "a", "b"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 3)})
    >>> known = history_before(log, pd.Timestamp("2017-01-02"), min_users_per_item=1)
    >>> popularity(pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"], "rank": [1, 2]}), known).to_dict()
    {1: 1.5}
    """
    return _mean_of_items(recommendations, history, _events_per_item(history), 0.0, k).rename("popularity")


def profile_popularity(history: History) -> pd.Series:
    """Mean number of goal events of the items that each user turned to, every event counted.

    Lists whose `popularity` is higher than that push a user towards what is popular: the relative difference
    of the two means is the popularity lift.

    Returns
    -------
    pandas.Series of float, indexed by user_id; missing for a user without a goal event

    Notes
    -----
    Abdollahpouri et al. (2020), The connection between popularity bias, calibration, and fairness.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 2, 2], "item_id": ["a", "a", "b"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 3)})
    >>> profile_popularity(history_before(log, pd.Timestamp("2017-01-02"), min_users_per_item=1)).to_dict()
    {1: 2.0, 2: 1.5}
    """
    rows, n_users = history.rows[history.is_goal], len(history.user_ids)
    events = _events_per_item(history)[history.cols[history.is_goal]]
    n_events = np.bincount(rows, minlength=n_users)
    mean = np.bincount(rows, events, minlength=n_users) / np.where(n_events, n_events, np.nan)
    return pd.Series(mean, index=history.user_ids, name="profile_popularity")


def _events_per_item(history: History) -> Floats:
    counts = np.bincount(history.cols[history.is_goal], minlength=len(history.item_ids))
    return counts.astype(np.float64)


def _mean_of_items(
    recommendations: pd.DataFrame, history: History, values: Floats, unknown: float, k: int
) -> pd.Series:
    """Mean over each user's list of a value of its items; items outside of the history have another one."""
    top = recommendations[recommendations["rank"] <= k]
    cols = codes(history.item_ids, top["item_id"])
    of_item = pd.Series(np.where(cols >= 0, values[cols], unknown), index=top.index)
    return of_item.groupby(top["user_id"], sort=True).mean()
