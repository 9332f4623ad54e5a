"""What ranked lists are like apart from being right: variety, fit to interests, popularity."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from interest_lib.exposure import coverage, exposure, gini, novelty, popularity, profile_popularity
from interest_lib.history import Floats, History, Ints, codes
from interest_lib.ranking import rows_or_empty
from interest_lib.schema import InputError


def diversity(recommendations: pd.DataFrame, categories: pd.Series, k: int = 10) -> pd.Series:
    """Intra-list diversity by category: share of the pairs in a list that are of different categories.

    Parameters
    ----------
    recommendations : pandas.DataFrame
        ``user_id``, ``item_id``, ``rank``.
    categories : pandas.Series
        Category of each item, indexed by item_id; items without one count as one category.
    k : int

    Returns
    -------
    pandas.Series of float in [0, 1], indexed by user_id
        0 for a list of one item.

    Notes
    -----
    Ziegler et al. (2005), Improving recommendation lists through topic diversification. RecTools has it as
    ``IntraListDiversity`` with the Hamming distance of the category.

    Examples
    --------
    >>> lists = pd.DataFrame({"user_id": 1, "item_id": ["a", "b", "c"], "rank": [1, 2, 3]})
    >>> diversity(lists, pd.Series(["tea", "tea", "milk"], index=["a", "b", "c"])).round(3).to_dict()
    {1: 0.667}
    """
    listed, user_ids = _listed_categories(recommendations, categories, k)
    n = np.asarray(listed.sum(axis=1)).ravel()
    alike = np.asarray(listed.multiply(listed).sum(axis=1)).ravel() - n
    share = np.where(n > 1, 1 - alike / np.maximum(n * (n - 1), 1), 0.0)
    return pd.Series(share, index=user_ids, name="diversity")


def vector_diversity(
    recommendations: pd.DataFrame, vectors: Floats, item_ids: pd.Index, k: int = 10
) -> pd.Series:
    """Intra-list diversity by vectors: mean cosine distance of the pairs in a list.

    Parameters
    ----------
    recommendations : pandas.DataFrame
        ``user_id``, ``item_id``, ``rank``.
    vectors : ndarray of float, shape (n_items, n_dimensions)
        Such as factors or embeddings of texts. An item without one is at distance 1 from all others.
    item_ids : pandas.Index, length n_items
    k : int

    Returns
    -------
    pandas.Series of float in [0, 2], indexed by user_id
        0 for a list of one item.

    Examples
    --------
    >>> lists = pd.DataFrame({"user_id": 1, "item_id": ["a", "b", "c"], "rank": [1, 2, 3]})
    >>> vectors = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> vector_diversity(lists, vectors, pd.Index(["a", "b", "c"])).round(3).to_dict()
    {1: 0.667}
    """
    top = recommendations[recommendations["rank"] <= k]
    found, user_ids = pd.factorize(top["user_id"], sort=True)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1.0)
    cols = codes(item_ids, top["item_id"])
    has_one = (cols >= 0) & (length[cols, 0] > 0)
    shape = (len(user_ids), len(item_ids))
    listed = sp.csr_matrix((np.ones(int(has_one.sum())), (found[has_one], cols[has_one])), shape=shape)
    # of unit vectors the squared length of the sum holds every pair twice and every item once
    together = ((listed @ unit) ** 2).sum(axis=1) - np.bincount(found[has_one], minlength=len(user_ids))
    n = np.bincount(found, minlength=len(user_ids))
    distance = np.where(n > 1, 1 - together / np.maximum(n * (n - 1), 1), 0.0)
    return pd.Series(distance, index=pd.Index(user_ids, name="user_id"), name="vector_diversity")


def miscalibration(
    recommendations: pd.DataFrame,
    history: History,
    categories: pd.Series,
    k: int = 10,
    interest: sp.csr_matrix | None = None,
    alpha: float = 0.01,
) -> pd.Series:
    """How far the categories of a list are from the user's interests: Kullback-Leibler divergence in nats.

    ``sum over categories of p * log(p / ((1 - alpha) * q + alpha * p))`` with the shares p in what the user
    turned to and q in the list.

    Parameters
    ----------
    recommendations : pandas.DataFrame
        ``user_id``, ``item_id``, ``rank``.
    history : History
    categories : pandas.Series
        Category of each item, indexed by item_id; items without one count as one category.
    k : int
    interest : scipy.sparse.csr_matrix, shape (n_users, n_items), optional
        What each user turned to, such as from `decay.decayed_counts`; else every goal event counts the same.
    alpha : float in (0, 1)
        Keeps it finite where a list leaves a category out.

    Returns
    -------
    pandas.Series of float, indexed by user_id
        0 is perfect, ``-log(alpha)`` the worst; missing for a user without interest.

    Raises
    ------
    InputError
        When alpha is not between 0 and 1.

    Notes
    -----
    Steck (2018), Calibrated recommendations.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 2)})
    >>> known = history_before(log, pd.Timestamp("2017-01-02"), min_users_per_item=1)
    >>> kinds = pd.Series(["tea", "milk"], index=["a", "b"])
    >>> both = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"], "rank": [1, 2]})
    >>> [float(miscalibration(both, known, kinds, k)[1].round(2)) for k in (2, 1)]
    [0.0, 1.96]
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}: give a number between 0 and 1, such as 0.01.")
    listed, user_ids = _listed_categories(recommendations, categories, k)
    own = _own_categories(history, categories, interest)
    rows = codes(history.user_ids, pd.Series(user_ids))
    p = rows_or_empty(normalize(own, "l1"), rows).tocoo()
    q = np.asarray(normalize(listed, "l1")[p.row, p.col]).ravel()
    terms = p.data * np.log(p.data / ((1 - alpha) * q + alpha * p.data))
    divergence = np.bincount(p.row, terms, minlength=len(user_ids))
    divergence[np.bincount(p.row, minlength=len(user_ids)) == 0] = np.nan
    return pd.Series(divergence, index=user_ids, name="miscalibration")


def list_table(
    recommendations: pd.DataFrame,
    history: History,
    categories: pd.Series | None = None,
    k: int = 10,
    interest: sp.csr_matrix | None = None,
) -> pd.DataFrame:
    """All of the above that is said of one user's list: a row per user, a column per measure.

    Parameters
    ----------
    recommendations, history, categories, k, interest
        As in `miscalibration`; without categories there is no diversity and no calibration to measure.

    Returns
    -------
    pandas.DataFrame, indexed by user_id
        ``novelty``, ``popularity``, ``profile_popularity`` and, with categories, ``diversity`` and
        ``miscalibration``.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 2, 2], "item_id": ["a", "a", "b"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 3)})
    >>> known = history_before(log, pd.Timestamp("2017-01-02"), min_users_per_item=1)
    >>> list_table(pd.DataFrame({"user_id": [1], "item_id": ["b"], "rank": [1]}), known).loc[1].to_dict()
    {'novelty': 1.0, 'popularity': 1.0, 'profile_popularity': 2.0}
    """
    columns = [novelty(recommendations, history, k), popularity(recommendations, history, k)]
    columns.append(profile_popularity(history).reindex(columns[0].index))
    if categories is not None:
        columns.append(diversity(recommendations, categories, k))
        columns.append(miscalibration(recommendations, history, categories, k, interest))
    return pd.concat(columns, axis=1)


def quality_by_model(
    lists: pd.DataFrame,
    history: History,
    categories: pd.Series | None = None,
    k: int = 10,
    interest: sp.csr_matrix | None = None,
) -> pd.DataFrame:
    """What the lists of each model are like: a row per slice and model.

    Parameters
    ----------
    lists : pandas.DataFrame
        ``slice``, ``model``, ``user_id``, ``item_id``, ``rank``, such as from `recommend.recommend_all`.
    history, categories, k, interest
        As in `list_table`.

    Returns
    -------
    pandas.DataFrame, indexed by slice and model
        ``coverage`` and ``gini`` of the exposure over the history's items; the means over users of
        `list_table`; ``popularity_lift``, by how much what is shown is more popular than what the same users
        had (0.5: by half); ``n`` users.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 2, 2], "item_id": ["a", "a", "b"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 3)})
    >>> known = history_before(log, pd.Timestamp("2017-01-02"), min_users_per_item=1)
    >>> shown = pd.DataFrame({"slice": "all", "model": "m", "user_id": [1], "item_id": ["b"], "rank": [1]})
    >>> quality_by_model(shown, known).loc[("all", "m"), ["coverage", "gini", "popularity_lift"]].tolist()
    [0.5, 0.5, -0.5]
    """
    rows = {}
    for key, group in lists.groupby(["slice", "model"], sort=False):
        shown = exposure(group, history.item_ids, k)
        per_user = list_table(group, history, categories, k, interest)
        row = {"coverage": coverage(shown), "gini": gini(shown), **per_user.mean()}
        row["popularity_lift"] = row["popularity"] / row.pop("profile_popularity") - 1
        rows[key] = row | {"n": len(per_user)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["slice", "model"])


def _category_codes(categories: pd.Series, item_ids: pd.Series | pd.Index) -> tuple[Ints, int]:
    """Number of the category of each item, and how many there are; the last is for items without one."""
    names = pd.Index(categories.dropna().unique())
    found = codes(names, categories.reindex(pd.Index(item_ids)))
    return np.where(found >= 0, found, len(names)), len(names) + 1


def _listed_categories(
    recommendations: pd.DataFrame, categories: pd.Series, k: int
) -> tuple[sp.csr_matrix, pd.Index]:
    """How many items of each category are in each user's list."""
    top = recommendations[recommendations["rank"] <= k]
    rows, user_ids = pd.factorize(top["user_id"], sort=True)
    kinds, n_kinds = _category_codes(categories, top["item_id"])
    counts = sp.csr_matrix((np.ones(len(rows)), (rows, kinds)), shape=(len(user_ids), n_kinds))
    return counts, pd.Index(user_ids, name="user_id")


def _own_categories(history: History, categories: pd.Series, interest: sp.csr_matrix | None) -> sp.csr_matrix:
    """What each user turned to, by category."""
    kinds, n_kinds = _category_codes(categories, history.item_ids)
    shape = (len(history.user_ids), n_kinds)
    if interest is None:
        cells = (history.rows[history.is_goal], kinds[history.cols[history.is_goal]])
        return sp.csr_matrix((np.ones(len(cells[0])), cells), shape=shape)
    had = interest.tocoo()
    return sp.csr_matrix((had.data, (had.row, kinds[had.col])), shape=shape)
