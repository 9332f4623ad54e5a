"""How interest fades: what is left of it at a moment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from interest_lib.curves import weight_left
from interest_lib.history import Floats, History, ages_in, codes
from interest_lib.metrics import Interval, bootstrap_mean
from interest_lib.ranking import rows_or_empty
from interest_lib.schema import InputError


def decayed_counts(
    history: History,
    half_life_days: float | None = None,
    half_life_baskets: float | None = None,
    curve: str = "exponential",
) -> sp.csr_matrix:
    """Interest of every user in every item: each event counts what is left of its weight at the origin.

    Parameters
    ----------
    history : History
        Events before the origin.
    half_life_days, half_life_baskets : float or None
        Half-life of an event's weight, in days or in baskets of the user; None for both counts every
        event fully.
    curve : str
        Family of the decay curve, see `curves.weight_left`.

    Returns
    -------
    scipy.sparse.csr_matrix of float, shape (n_users, n_items)
        Not negative: what was returned leaves no interest behind.

    Raises
    ------
    InputError
        Two half-lives, or one in a unit that the log does not have.

    Notes
    -----
    Sums run in the order of time, so two items that were always bought together tie exactly and the
    tie is broken by the rule, not by the rounding of floats.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "a"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-31"])})
    >>> h = history_before(log, pd.Timestamp("2017-01-31 00:00:01"), min_users_per_item=1)
    >>> decayed_counts(h).toarray(), decayed_counts(h, half_life_days=30).toarray().round(3)
    (array([[2.]]), array([[1.5]]))
    """
    weights = history.weights * _left(history, half_life_days, half_life_baskets, curve)
    width = history.shape[1]
    # not scipy's own summing of duplicates: its sort is unstable, so it adds up in any order
    cells, cell_of_event = np.unique(history.rows * width + history.cols, return_inverse=True)
    sums = np.maximum(np.bincount(cell_of_event, weights=weights, minlength=len(cells)), 0.0)
    counts = sp.csr_matrix((sums, np.divmod(cells, width)), shape=history.shape)
    counts.eliminate_zeros()
    return counts


def _left(
    history: History, half_life_days: float | None, half_life_baskets: float | None, curve: str
) -> Floats:
    """What is left of every event, in the one unit that was asked for."""
    if half_life_days is not None and half_life_baskets is not None:
        raise InputError(
            f"half_life_days is {half_life_days:g} and half_life_baskets is {half_life_baskets:g}; "
            "an event fades in one unit, so give one of them."
        )
    unit, given = ("baskets", half_life_baskets) if half_life_days is None else ("days", half_life_days)
    if given is None:
        return np.ones(len(history.rows))
    return weight_left(ages_in(history, unit, "half_life"), given, curve)


def interest_shares(interest: sp.csr_matrix) -> sp.csr_matrix:
    """The normalised interest ``P(t)``: rows that add up to one; a user without interest stays empty.

    Parameters
    ----------
    interest : scipy.sparse.csr_matrix of float, shape (n_users, n_items)
        Not negative, such as from `decayed_counts`.

    Examples
    --------
    >>> interest_shares(sp.csr_matrix([[1.0, 3.0], [0.0, 0.0]])).toarray()
    array([[0.25, 0.75],
           [0.  , 0.  ]])
    """
    return sp.csr_matrix(normalize(interest, norm="l1"))


def threshold_rule(
    interest: sp.csr_matrix, history: History, targets: pd.DataFrame, thresholds: Floats
) -> pd.DataFrame:
    """Recommend everything whose share of the user's interest passes a threshold: what that brings.

    The rule of the articles, ``R(t) = {i : P_i(t) >= theta}``: a list has no fixed length, so that someone
    with one strong interest gets one item.

    Parameters
    ----------
    interest : scipy.sparse.csr_matrix of float, shape (n_users, n_items)
        Rows and columns of `history`.
    history : History
    targets : pandas.DataFrame
        ``user_id``, ``item_id``: what the users turned to, inside the vocabulary.
    thresholds : ndarray of float
        Values of theta, in (0, 1].

    Returns
    -------
    pandas.DataFrame
        One row per threshold (the index): means over the users with targets of ``precision`` (0 for an empty
        list), ``recall`` and ``f1`` of each user's list, and its ``length``.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 1, 1], "item_id": ["a", "a", "a", "b"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 4)})
    >>> h = history_before(log, pd.Timestamp("2017-02-01"), min_users_per_item=1)
    >>> truth = pd.DataFrame({"user_id": [1], "item_id": ["a"]})
    >>> threshold_rule(decayed_counts(h), h, truth, np.array([0.2, 0.5])).values.round(2).tolist()
    [[0.5, 1.0, 0.67, 2.0], [1.0, 1.0, 1.0, 1.0]]
    """
    rows, cols = codes(history.user_ids, targets["user_id"]), codes(history.item_ids, targets["item_id"])
    known = rows >= 0
    wanted = sp.csr_matrix((np.ones(known.sum()), (rows[known], cols[known])), shape=history.shape)
    n_wanted = targets.groupby("user_id").size()
    judged = history.user_ids.get_indexer(n_wanted.index)
    shares = interest_shares(rows_or_empty(interest, judged))
    hit = shares.multiply(rows_or_empty(wanted, judged)).tocsr()  # shares of what came true
    owner, owner_hit = (np.repeat(np.arange(len(judged)), np.diff(part.indptr)) for part in (shares, hit))
    table = {}
    for threshold in thresholds:
        length = np.bincount(owner[shares.data >= threshold], minlength=len(judged))
        hits = np.bincount(owner_hit[hit.data >= threshold], minlength=len(judged))
        table[threshold] = {
            "precision": np.mean(hits / np.maximum(length, 1)),
            "recall": np.mean(hits / n_wanted.to_numpy()),
            "f1": np.mean(2 * hits / (length + n_wanted.to_numpy())),
            "length": np.mean(length),
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("threshold")


def shuffled_in_time(events: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The same baskets of every user in a random order: a log on which nothing can fade.

    Every basket gets the time (or the number) of another basket of the same user, so how often a user comes
    and what is in a basket stay as they are, and what says that recent baskets tell more is gone.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``basket_id``, and ``timestamp`` or ``basket_number``. A basket's events share the time
        of its first one afterwards.
    seed : int
        Draws the order.

    Returns
    -------
    pandas.DataFrame
        The same rows, sorted by time (or number), then user, basket and item.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 1], "item_id": ["a", "b", "c"], "basket_id": [1, 1, 2],
    ...                     "basket_number": [1, 1, 2]})
    >>> shuffled_in_time(log, seed=0).basket_number.tolist()
    [1, 2, 2]
    """
    when = "timestamp" if "timestamp" in events else "basket_number"
    both = [name for name in ("timestamp", "basket_number") if name in events]
    first = events.groupby(["user_id", "basket_id"], as_index=False)[both].min()
    user = first.groupby("user_id", sort=False).ngroup().to_numpy()
    drawn = np.lexsort((np.random.default_rng(seed).random(len(first)), user))
    first[both] = first[both].iloc[drawn].set_axis(first.index)
    moved = events.drop(columns=both).merge(first, on=["user_id", "basket_id"])
    return moved.sort_values([when, "user_id", "basket_id", "item_id"], kind="stable", ignore_index=True)


def choose_half_life(
    scores: pd.DataFrame, seed: int, n_resamples: int = 1000, level: float = 0.95
) -> tuple[float, Interval]:
    """The half-life that predicts best on earlier periods, or none at all where that is not sure.

    Parameters
    ----------
    scores : pandas.DataFrame
        One column per candidate half-life, among them `inf` (nothing fades); one row per period and user, the
        last level of the index is the user.
    seed, n_resamples
        As in `metrics.bootstrap_mean`.
    level : float
        Coverage of all intervals together: each is wider by the number of candidates (Bonferroni).

    Returns
    -------
    half_life : float
        The best candidate; `inf` where its gain over no decay may be chance.
    gain : Interval
        What the best candidate gains over no decay, users resampled.

    Examples
    --------
    >>> scores = pd.DataFrame({30.0: [0.3, 0.5] * 50, np.inf: [0.2, 0.5] * 50}, index=range(100))
    >>> half_life, gain = choose_half_life(scores, seed=1)
    >>> half_life, round(gain.value, 2)
    (30.0, 0.05)
    """
    fading = scores.drop(columns=np.inf)
    best = float(fading.columns[int(fading.mean().to_numpy().argmax())])
    difference = (fading[best] - scores[np.inf]).groupby(level=-1).mean()
    gain = bootstrap_mean(difference, seed, n_resamples, level=1 - (1 - level) / fading.shape[1])
    return (best if gain.low > 0 else np.inf), gain
