"""How interest fades: what is left of it at a moment."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from interest_lib.curves import weight_left
from interest_lib.history import Floats, History
from interest_lib.schema import InputError


def decayed_counts(
    history: History, half_life_days: float | None = None, half_life_baskets: float | None = None
) -> sp.csr_matrix:
    """Interest of every user in every item: each event counts what is left of its weight at the origin.

    Parameters
    ----------
    history : History
        Events before the origin.
    half_life_days, half_life_baskets : float or None
        Half-life of an event's weight, in days or in baskets of the user; None for both counts every
        event fully.

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
    >>> import pandas as pd
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "a"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-31"])})
    >>> h = history_before(log, pd.Timestamp("2017-01-31 00:00:01"), min_users_per_item=1)
    >>> decayed_counts(h).toarray(), decayed_counts(h, half_life_days=30).toarray().round(3)
    (array([[2.]]), array([[1.5]]))
    """
    weights = history.weights * _left(history, half_life_days, half_life_baskets)
    width = history.shape[1]
    # not scipy's own summing of duplicates: its sort is unstable, so it adds up in any order
    cells, cell_of_event = np.unique(history.rows * width + history.cols, return_inverse=True)
    sums = np.maximum(np.bincount(cell_of_event, weights=weights, minlength=len(cells)), 0.0)
    counts = sp.csr_matrix((sums, np.divmod(cells, width)), shape=history.shape)
    counts.eliminate_zeros()
    return counts


def _left(history: History, half_life_days: float | None, half_life_baskets: float | None) -> Floats:
    """What is left of every event, in the one unit that was asked for."""
    if half_life_days is not None and half_life_baskets is not None:
        raise InputError(
            f"half_life_days is {half_life_days:g} and half_life_baskets is {half_life_baskets:g}; "
            "an event fades in one unit, so give one of them."
        )
    given = half_life_baskets if half_life_days is None else half_life_days
    if given is None:
        return np.ones(len(history.rows))
    unit = "baskets" if half_life_days is None else "days"
    ages = history.age_baskets if half_life_days is None else history.age_days
    if ages is None:
        other = "days" if unit == "baskets" else "baskets"
        raise InputError(
            f"The log has no ages in {unit}; give half_life_{other} instead of half_life_{unit}."
        )
    return weight_left(ages, given)
