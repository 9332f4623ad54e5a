"""Where interest goes next: purchases and shares per period, and the errors of a forecast of shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from interest_lib.history import Floats, Ints, codes
from interest_lib.schema import InputError

MIN_PROBABILITY = 1e-6  # a forecast of zero would make the perplexity infinite


def period_counts(
    events: pd.DataFrame, period: Ints, min_per_period: int | Sequence[int], by: str = "category"
) -> tuple[Floats, pd.Index, pd.Index]:
    """Baskets with each interest, per period and user, for the users active enough in every period.

    A purchase counts once per period, user, interest and basket, however many units it had.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``basket_id`` and the column `by`; rows without an interest are left out.
    period : ndarray of int, shape (n_events,)
        Period of each event, 0 is the first.
    min_per_period : int or sequence of int
        Purchases a user needs in each period (one number for all, or one per period).
    by : str
        Column that names the interest of an event.

    Returns
    -------
    counts : ndarray of float, shape (n_periods, n_users, n_interests)
    user_ids, interests : pandas.Index

    Raises
    ------
    InputError
        When nobody is active enough.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 1], "basket_id": [1, 1, 2], "category": ["tea", "tea", "milk"]})
    >>> counts, users, interests = period_counts(log, np.array([0, 0, 1]), min_per_period=1)
    >>> counts.tolist(), list(interests)
    ([[[0.0, 1.0]], [[1.0, 0.0]]], ['milk', 'tea'])
    """
    known = purchases(events, period, by)
    n_periods = int(period.max()) + 1
    user_ids = active_users(known, np.broadcast_to(min_per_period, n_periods).tolist())
    if user_ids.empty:
        raise InputError(
            f"No user has the {min_per_period} purchases asked for in each of {n_periods} periods: "
            "give a longer log, longer periods or a smaller minimum."
        )
    interests = pd.Index(np.sort(known[by].unique()), name=by)
    known = known[known["user_id"].isin(user_ids)]
    counts = np.zeros((n_periods, len(user_ids), len(interests)))
    np.add.at(counts, (known["period"], codes(user_ids, known["user_id"]), codes(interests, known[by])), 1.0)
    return counts, user_ids, interests


def purchases(events: pd.DataFrame, period: Ints, by: str = "category") -> pd.DataFrame:
    """Purchases, each once per period, user, interest and basket; parameters as for `period_counts`.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1], "basket_id": [1, 1], "category": ["tea", "tea"]})
    >>> purchases(log, np.array([0, 0])).values.tolist()
    [[1, 1, 'tea', 0]]
    """
    known = events[["user_id", "basket_id", by]].assign(period=period)
    return known[known[by].notna()].drop_duplicates()


def active_users(known: pd.DataFrame, min_per_period: Sequence[int]) -> pd.Index:
    """Users with that many purchases in each period, sorted.

    Examples
    --------
    >>> known = pd.DataFrame({"user_id": [1, 1, 2], "period": [0, 1, 0]})
    >>> active_users(known, [1, 1]).tolist()
    [1]
    """
    activity = known.groupby(["user_id", "period"]).size().unstack(fill_value=0)
    activity = activity.reindex(columns=range(len(min_per_period)), fill_value=0)
    return pd.Index(activity.index[(activity >= min_per_period).all(axis=1)], name="user_id")


def shares(weights: Floats) -> Floats:
    """Rows scaled to add up to one over the last axis; an empty row stays empty.

    Examples
    --------
    >>> shares(np.array([[1.0, 3.0], [0.0, 0.0]]))
    array([[0.25, 0.75],
           [0.  , 0.  ]])
    """
    total = weights.sum(axis=-1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def forecast_errors(predicted: Floats, future_counts: Floats) -> pd.DataFrame:
    """How far each user's forecast is from the shares of the next period.

    Parameters
    ----------
    predicted : ndarray of float, shape (n_users, n_interests)
        Forecast shares.
    future_counts : ndarray of float, same shape
        Purchases of the next period.

    Returns
    -------
    pandas.DataFrame, one row per user
        ``top1`` (1 when the leading interest is right; ties go to the first), ``ndcg10`` (of the ten
        interests foretold first, next shares being the gains), ``squared_error`` (summed over interests),
        ``log_loss`` (nats, summed over purchases) and ``purchases``.

    Notes
    -----
    The squared error is the Brier score of a purchase up to a number that is the same for every forecast.

    Examples
    --------
    >>> forecast_errors(np.array([[0.5, 0.5]]), np.array([[3.0, 1.0]])).round(3).iloc[0].tolist()
    [1.0, 1.0, 0.125, 2.773, 4.0]
    """
    actual = shares(future_counts)
    return pd.DataFrame(
        {
            "top1": (predicted.argmax(axis=1) == actual.argmax(axis=1)).astype(float),
            "ndcg10": _ndcg(predicted, actual),
            "squared_error": ((predicted - actual) ** 2).sum(axis=1),
            "log_loss": -(future_counts * np.log(np.maximum(predicted, MIN_PROBABILITY))).sum(axis=1),
            "purchases": future_counts.sum(axis=1),
        }
    )


def _ndcg(predicted: Floats, actual: Floats, k: int = 10) -> Floats:
    """Ties go to the first interest; zero for a user without purchases."""
    first = np.argsort(-predicted, axis=1, kind="stable")[:, :k]
    discount = 1 / np.log2(np.arange(first.shape[1]) + 2)
    found = np.take_along_axis(actual, first, axis=1) @ discount
    ideal = -np.sort(-actual, axis=1)[:, :k] @ discount
    return np.divide(found, ideal, out=np.zeros_like(found), where=ideal > 0)


def perplexity(errors: pd.DataFrame) -> float:
    """``exp(total log loss / total purchases)`` of `forecast_errors`: the number of equally likely guesses.

    Examples
    --------
    >>> round(perplexity(forecast_errors(np.array([[0.5, 0.5]]), np.array([[3.0, 1.0]]))), 6)
    2.0
    """
    return float(np.exp(errors["log_loss"].sum() / errors["purchases"].sum()))
