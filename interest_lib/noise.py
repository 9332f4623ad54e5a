"""What no forecast of shares can foretell: the noise of the period it is judged by, and a shuffled order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import digamma, gammaln

from interest_lib.decay import shuffled_in_time
from interest_lib.history import SECONDS_PER_DAY, Floats
from interest_lib.migration import purchases, shares
from interest_lib.moves import Move, signs_of


def sampling_noise(baskets: pd.DataFrame, by: str = "category") -> pd.Series:
    """Expected squared error of every user's shares of a period against the shares they are a sample of.

    A forecast that knew the true shares would still be this far from the observed ones. Interests are drawn
    by the basket, not one by one, and two of a basket are never the same, so the multinomial formula does not
    hold. The noise is the spread of the user's baskets about the user's shares::

        sum over baskets of |x_b - m_b s|^2 / (n^2 (1 - m_b / n))

    with `x_b` the interests of a basket (0 or 1), `m_b` their number, `s` the user's shares, and `n` the
    user's purchases in the period.

    Parameters
    ----------
    baskets : pandas.DataFrame
        Purchases of the period: ``user_id``, ``basket_id`` and the column `by`; an interest counts once a
        basket.
    by : str
        Column that names the interest.

    Returns
    -------
    pandas.Series of float, indexed by user_id
        Summed over interests; missing for users of one basket, who tell nothing of their spread.

    Notes
    -----
    The variance of a ratio estimated from clusters, with the correction of MacKinnon and White (1985) that
    is called HC2. On simulated baskets with known shares it comes within 3 per cent of the truth; the
    multinomial formula and the delete-one jackknife are a quarter too high.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "basket_id": [1, 2, 3], "category": ["tea", "milk", "tea"]})
    >>> sampling_noise(log).tolist()
    [0.5, nan]
    """
    bought = purchases(baskets, np.zeros(len(baskets), dtype=np.int64), by)
    in_cell = bought.groupby(["user_id", by])["basket_id"].transform("size").to_numpy(np.float64)
    total = bought.groupby("user_id")["basket_id"].transform("size").to_numpy(np.float64)
    per_purchase = bought.assign(share=in_cell / total, total=total)
    of_basket = per_purchase.groupby(["user_id", "basket_id"]).agg(
        size=("share", "size"), met=("share", "sum"), total=("total", "first")
    )
    cells = per_purchase.drop_duplicates(["user_id", by])
    squares = (cells["share"] ** 2).groupby(cells["user_id"]).sum()
    owner = of_basket.index.get_level_values("user_id")
    size, n = of_basket["size"].to_numpy(np.float64), of_basket["total"].to_numpy(np.float64)
    apart = size - 2 * size * of_basket["met"].to_numpy() + size**2 * squares.reindex(owner).to_numpy()
    several = n > size
    left = np.where(several, 1 - size / n, 1.0)
    return (
        pd.Series(np.where(several, apart / (n**2 * left), np.nan), owner).groupby(level=0).sum(min_count=1)
    )


def perplexity_floor(counts: Floats, forecast: Floats) -> tuple[float, float]:
    """A range that holds the perplexity which the true shares would reach on a period.

    Plugging in the observed shares gives too little, as they fit their own noise; the honest range is wide.

    Parameters
    ----------
    counts : ndarray of float, shape (n_users, n_interests)
        Purchases of the period.
    forecast : ndarray of float, same shape
        The best forecast there is of their shares.

    Returns
    -------
    low, high : float
        *low* corrects the plug-in entropy for its bias (Miller 1955), which with few purchases per interest
        is too little. *high* takes true shares to lie about the forecast as a Dirichlet does whose
        concentration has the largest likelihood, and takes purchases to be independent; as they are
        not (a basket holds an interest once), what is taken for spread of true shares is too little.

    Examples
    --------
    >>> low, high = perplexity_floor(np.array([[50.0, 50.0], [90.0, 10.0]]), np.full((2, 2), 0.5))
    >>> round(low, 2), round(high, 2)
    (1.67, 1.67)
    """
    n = counts.sum(axis=1)
    observed = shares(counts)
    plain = -(observed * np.log(np.where(observed > 0, observed, 1.0))).sum(axis=1)
    miller = plain + np.maximum((counts > 0).sum(axis=1) - 1, 0) / (2 * np.maximum(n, 1))
    entropy = _posterior_entropy(counts, shares(forecast + 1e-9))
    return float(np.exp(n @ miller / n.sum())), float(np.exp(n @ entropy / n.sum()))


def _posterior_entropy(counts: Floats, forecast: Floats) -> Floats:
    """Mean entropy of the true shares of each user, Dirichlet about the forecast, given the purchases."""
    n = counts.sum(axis=1)

    def minus_log_likelihood(log_concentration: float) -> float:
        concentration = np.exp(log_concentration)
        alpha = concentration * forecast
        each = np.where(counts > 0, gammaln(counts + alpha) - gammaln(alpha), 0.0).sum(axis=1)
        return -float((gammaln(concentration) - gammaln(n + concentration) + each).sum())

    best = minimize_scalar(minus_log_likelihood, bounds=(0.0, 12.0), method="bounded")
    alpha = np.exp(best.x) * forecast + counts
    total = alpha.sum(axis=1, keepdims=True)
    expected = digamma(total[:, 0] + 1) - (alpha / total * digamma(alpha + 1)).sum(axis=1)
    return np.asarray(expected, np.float64)


def shuffled_order(move: Move, seed: int) -> Move:
    """The same move, the baskets of every user before it in a random order; what came after stays.

    What a model gains on it over a simple forecast cannot come from the order of events: it is no migration.

    Parameters
    ----------
    move : Move
        Its events have ``user_id``, ``item_id``, ``basket_id`` and ``timestamp``.
    seed : int
        Draws the order.

    Returns
    -------
    Move

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "item_id": 0, "basket_id": range(3),
    ...                     "category": ["tea", "milk", "tea"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-08", "2017-02-08"]),
    ...                     "weight": 1.0})
    >>> move = move_at(log, pd.Timestamp("2017-01-09"), period_days=60)
    >>> shuffled = shuffled_order(move, seed=0)
    >>> move.decayed(last_days=2).tolist(), shuffled.decayed(last_days=2).tolist()
    ([[1.0, 0.0]], [[0.0, 1.0]])
    """
    if move.events.empty:
        return move
    first = move.events.iloc[0]
    events = shuffled_in_time(move.events.drop(columns="age_days"), seed)
    later = (events["timestamp"] - first["timestamp"]).dt.total_seconds() / SECONDS_PER_DAY
    events["age_days"] = first["age_days"] - later
    return replace(move, events=events, signs=signs_of(events))
