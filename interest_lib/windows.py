"""Moments inside a history: what was known then, and who came back for what in the horizon after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interest_lib.curves import weight_left
from interest_lib.history import Bools, Floats, History, Ints, ages_in
from interest_lib.schema import InputError


@dataclass(frozen=True)
class Window:
    """What was known at one moment inside a history, and who came back for what in the horizon after it.

    Attributes
    ----------
    rows, cols, weights, ages : ndarray, shape (n_events,)
        The events before the moment; ages are counted back from it.
    cells : ndarray of int, shape (n_pairs,)
        Distinct pairs of these events as ``row * n_items + col``, sorted.
    cell_of_event : ndarray of int, shape (n_events,)
        Place in `cells` of each event.
    returned : ndarray of bool, shape (n_pairs,), or None
        Whether a goal event of the pair falls into the horizon; None at the end of the history.
    active : ndarray of bool, shape (n_pairs,), or None
        Whether the user has any goal event in the horizon. Who stayed away tells nothing about rates.
    """

    rows: Ints
    cols: Ints
    weights: Floats
    ages: Floats
    cells: Ints
    cell_of_event: Ints
    returned: Bools | None
    active: Bools | None

    def decayed(self, half_life: float | Floats) -> Floats:
        """Decayed sum of every pair, with one half-life or one for each event; infinity counts it fully."""
        left = self.weights * weight_left(self.ages, half_life)
        # sums run in the order of time, as those of `decay.decayed_counts` do
        return np.maximum(np.bincount(self.cell_of_event, weights=left, minlength=len(self.cells)), 0.0)

    def sums(self, half_lives: Sequence[float]) -> Floats:
        """The same for several half-lives, a column for each."""
        sums = np.empty((len(self.cells), len(half_lives)))
        for j, half_life in enumerate(half_lives):
            sums[:, j] = self.decayed(half_life)
        return sums


def window_before(
    history: History,
    n_back: int = 0,
    horizon_days: float | None = 28.0,
    horizon_baskets: float | None = None,
) -> Window:
    """What was known `n_back` horizons before the end of a history; nothing after that end is needed.

    Parameters
    ----------
    history : History
        Events before the origin.
    n_back : int
        0 is the origin itself, whose returns are not known.
    horizon_days, horizon_baskets : float or None
        Length of a horizon, in one of the two units.

    Returns
    -------
    Window

    Raises
    ------
    InputError
        Two horizons or none, or one in a unit that the log does not have.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": 1, "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-02", "2017-02-20"])})
    >>> window = window_before(history_before(log, pd.Timestamp("2017-03-01"), 1), n_back=1)
    >>> window.ages, window.returned
    (array([31., 30.]), array([ True, False]))
    """
    ages, horizon, unit = _clock(history, horizon_days, horizon_baskets)
    passed = ages + (unit == "baskets")  # the last basket has the age 0, but lies before the end
    known = passed > n_back * horizon
    width = history.shape[1]
    rows, cols = history.rows[known], history.cols[known]
    cells, cell_of_event = np.unique(rows * width + cols, return_inverse=True)
    returned = active = None
    if n_back:
        target = history.is_goal & (passed > (n_back - 1) * horizon) & ~known
        returned = np.isin(cells, history.rows[target] * width + history.cols[target])
        active = np.isin(cells // width, history.rows[target])
    moment = n_back * horizon
    return Window(
        rows, cols, history.weights[known], ages[known] - moment, cells, cell_of_event, returned, active
    )


def _clock(
    history: History, horizon_days: float | None, horizon_baskets: float | None
) -> tuple[Floats, float, str]:
    """Ages, the horizon and their unit."""
    if (horizon_days is None) == (horizon_baskets is None):
        raise InputError("A horizon has one unit: give either horizon_days or horizon_baskets.")
    unit, horizon = ("baskets", horizon_baskets) if horizon_days is None else ("days", horizon_days)
    ages = ages_in(history, unit, "horizon")
    if horizon is None or not horizon > 0:
        raise InputError(f"The horizon is {horizon} {unit}: give a positive number.")
    return ages, horizon, unit


def training_windows(
    history: History, n_origins: int, horizon_days: float | None, horizon_baskets: float | None
) -> list[Window]:
    """The newest `n_origins` moments inside a history with somebody who came back, newest first.

    Raises
    ------
    InputError
        When there is no such moment.
    """
    windows = [window_before(history, n, horizon_days, horizon_baskets) for n in range(1, n_origins + 1)]
    told = [w for w in windows if w.returned is not None and w.returned.any()]
    if not told:
        raise InputError(
            f"Before {history.label} nobody came back to anything within a horizon, so no rate can be "
            "learned: give a longer log, or a fixed half-life."
        )
    return told


def category_codes(history: History, item_category: pd.Series) -> tuple[Ints, pd.Index]:
    """Category of every item of the vocabulary as a code; items without one share the category ``""``.

    Parameters
    ----------
    history : History
    item_category : pandas.Series
        Category by item id.

    Raises
    ------
    InputError
        When no item has a category.
    """
    names = item_category.reindex(history.item_ids)
    if names.isna().all():
        raise InputError("No item of the log has a category: give a Series of categories indexed by item_id.")
    codes, categories = pd.factorize(names.astype("object").fillna(""), sort=True)
    return codes.astype(np.int64), pd.Index(categories, name="category")
