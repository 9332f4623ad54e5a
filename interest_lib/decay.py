"""How interest fades: decay curves and the interest that is left at a moment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.schema import InputError
from interest_lib.split import SECONDS_PER_DAY, Floats, History


def exponential_weight(age_days: Floats, half_life_days: float | None) -> Floats:
    """What is left of an event's weight after `age_days`: ``0.5 ** (age_days / half_life_days)``.

    The articles write ``exp(-rate * t)``; the half-life is ``log(2) / rate`` and reads in days.

    Parameters
    ----------
    age_days : ndarray of float
        Age of each event in days, not negative.
    half_life_days : float or None
        Days after which half of the weight is left; None means that nothing fades.

    Returns
    -------
    ndarray of float, same shape, in (0, 1]

    Raises
    ------
    InputError
        When the half-life is not a positive number.

    Examples
    --------
    >>> exponential_weight(np.array([0.0, 90.0, 180.0]), half_life_days=90)
    array([1.  , 0.5 , 0.25])
    """
    if half_life_days is None:
        return np.ones_like(age_days, dtype=np.float64)
    if not half_life_days > 0:
        raise InputError(
            f"half_life_days is {half_life_days}: give a positive number of days, or None for no decay."
        )
    return np.exp2(-age_days / half_life_days)


def decayed_counts(history: History, half_life_days: float | None = None) -> sp.csr_matrix:
    """Interest of every user in every item: each event counts what is left of it at the origin.

    Parameters
    ----------
    history : History
        Events before the origin.
    half_life_days : float or None
        Half-life of an event's weight; None counts every event fully.

    Returns
    -------
    scipy.sparse.csr_matrix of float, shape (n_users, n_items)

    Notes
    -----
    Sums run in the order of time, so two items that were always bought together tie exactly and the
    tie is broken by the rule, not by the rounding of floats.

    Examples
    --------
    >>> from interest_lib.split import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "a"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-31"])})
    >>> h = history_before(log, pd.Timestamp("2017-01-31 00:00:01"), min_users_per_item=1)
    >>> decayed_counts(h).toarray(), decayed_counts(h, half_life_days=30).toarray().round(3)
    (array([[2.]]), array([[1.5]]))
    """
    weights = exponential_weight(history.age_days, half_life_days)
    width = history.shape[1]
    # not scipy's own summing of duplicates: its sort is unstable, so it adds up in any order
    cells, cell_of_event = np.unique(history.rows * width + history.cols, return_inverse=True)
    sums = np.bincount(cell_of_event, weights=weights, minlength=len(cells))
    return sp.csr_matrix((sums, np.divmod(cells, width)), shape=history.shape)


def interest_shares(
    events: pd.DataFrame,
    at: pd.Timestamp,
    half_life_days: float | None,
    by: str = "category",
) -> pd.DataFrame:
    """The normalised interest ``P(t)``: each user's decayed weight per interest, adding up to one.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``timestamp`` and the column `by`; events from `at` on are not looked at.
    at : pandas.Timestamp
        The moment ``t``.
    half_life_days : float or None
        Half-life of an event's weight.
    by : str
        Column that names the interest of an event.

    Returns
    -------
    pandas.DataFrame
        ``user_id``, `by`, ``weight`` (``I(t)``) and ``share`` (``P(t)``); a user's largest share comes first.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 1], "category": ["tea", "tea", "milk"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-11", "2017-01-11"])})
    >>> shares = interest_shares(log, pd.Timestamp("2017-01-11 00:00:01"), half_life_days=10)
    >>> shares["share"].round(2).tolist()
    [0.6, 0.4]
    """
    known = events[events["timestamp"] < at]
    age_days = ((at - known["timestamp"]).dt.total_seconds() / SECONDS_PER_DAY).to_numpy(np.float64)
    weighted = known[["user_id", by]].assign(weight=exponential_weight(age_days, half_life_days))
    interest = weighted.groupby(["user_id", by], sort=True)["weight"].sum().reset_index()
    interest["share"] = interest["weight"] / interest.groupby("user_id")["weight"].transform("sum")
    interest = interest.sort_values(["user_id", "share", by], ascending=[True, False, True])
    return interest.reset_index(drop=True)
