"""Where interest goes next: shares per period, a Markov chain, and the ladder of simple forecasts."""

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
    return _cells(known.assign(weight=1.0), n_periods, user_ids, interests), user_ids, interests


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


def period_evidence(events: pd.DataFrame, period: Ints, user_ids: pd.Index, interests: pd.Index) -> Floats:
    """What is known of each interest, per period and user: `period_counts` with weighted events.

    An interest counts once per period, user and basket, with the weight of its most telling event there.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``basket_id``, ``weight`` (in purchases) and a column of the interests' name.
    period : ndarray of int, shape (n_events,)
        Period of each event, 0 is the first.
    user_ids, interests : pandas.Index
        From `period_counts`; other users and interests are left out.

    Returns
    -------
    ndarray of float, shape (n_periods, n_users, n_interests)

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1], "basket_id": [1, 1], "category": ["tea", "tea"],
    ...                     "weight": [0.1, 1.0]})
    >>> period_evidence(log, np.array([0, 0]), pd.Index([1]), pd.Index(["tea"], name="category")).tolist()
    [[[1.0]]]
    """
    by = str(interests.name)
    known = events[["user_id", "basket_id", by, "weight"]].assign(period=period)
    known = known[known["user_id"].isin(user_ids) & known[by].isin(interests) & (known["weight"] > 0)]
    strongest = known.groupby(["period", "user_id", "basket_id", by], sort=True)["weight"].max()
    return _cells(strongest.reset_index(), int(period.max()) + 1, user_ids, interests)


def _cells(known: pd.DataFrame, n_periods: int, user_ids: pd.Index, interests: pd.Index) -> Floats:
    """Sums of weights by period, user and interest."""
    by = interests.name
    known = known[known["user_id"].isin(user_ids)]
    sums = np.zeros((n_periods, len(user_ids), len(interests)))
    cell = (known["period"], codes(user_ids, known["user_id"]), codes(interests, known[by]))
    np.add.at(sums, cell, known["weight"].to_numpy(np.float64))
    return sums


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


def decayed_periods(counts: Floats, decay_per_period: float) -> Floats:
    """Past periods summed, each older one multiplied by `decay_per_period` once more.

    0 keeps the last period alone (persistence), 1 sums all periods equally (pooled).

    Parameters
    ----------
    counts : ndarray of float, shape (n_periods, n_users, n_interests)
    decay_per_period : float in [0, 1]

    Returns
    -------
    ndarray of float, shape (n_users, n_interests)

    Examples
    --------
    >>> decayed_periods(np.array([[[4.0]], [[2.0]], [[1.0]]]), decay_per_period=0.5)
    array([[3.]])
    """
    weights = np.power(float(decay_per_period), np.arange(len(counts))[::-1])
    return np.asarray(np.tensordot(weights, counts, axes=1))


def shrunk_shares(counts: Floats, decay_per_period: float, strength: float) -> Floats:
    """Decayed shares pulled towards the population by a Dirichlet prior.

    The posterior mean of a user's shares when the prior is Dirichlet with `strength` pseudo-purchases
    spread like the decayed purchases of all users.

    Parameters
    ----------
    counts : ndarray of float, shape (n_periods, n_users, n_interests)
    decay_per_period : float in [0, 1]
    strength : float
        Pseudo-purchases of the prior; 0 gives plain decayed shares.

    Returns
    -------
    ndarray of float, shape (n_users, n_interests), rows adding up to one

    Examples
    --------
    >>> shrunk_shares(np.array([[[3.0, 1.0], [0.0, 4.0]]]), decay_per_period=1.0, strength=4.0)
    array([[0.5625, 0.4375],
           [0.1875, 0.8125]])
    """
    weights = decayed_periods(counts, decay_per_period)
    population = shares(weights.sum(axis=0))
    return shares(weights + strength * population)


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
        ``top1`` (1 when the leading interest is right; ties go to the first), ``squared_error``
        (summed over interests), ``log_loss`` (nats, summed over purchases) and ``purchases``.

    Examples
    --------
    >>> forecast_errors(np.array([[0.5, 0.5]]), np.array([[3.0, 1.0]])).round(3).iloc[0].tolist()
    [1.0, 0.125, 2.773, 4.0]
    """
    actual = shares(future_counts)
    return pd.DataFrame(
        {
            "top1": (predicted.argmax(axis=1) == actual.argmax(axis=1)).astype(float),
            "squared_error": ((predicted - actual) ** 2).sum(axis=1),
            "log_loss": -(future_counts * np.log(np.maximum(predicted, MIN_PROBABILITY))).sum(axis=1),
            "purchases": future_counts.sum(axis=1),
        }
    )


def perplexity(errors: pd.DataFrame) -> float:
    """``exp(total log loss / total purchases)`` of `forecast_errors`: the number of equally likely guesses.

    Examples
    --------
    >>> round(perplexity(forecast_errors(np.array([[0.5, 0.5]]), np.array([[3.0, 1.0]]))), 6)
    2.0
    """
    return float(np.exp(errors["log_loss"].sum() / errors["purchases"].sum()))


def transition_matrix(before: Ints, after: Ints, n_states: int, strength: float = 0.0) -> Floats:
    """Markov chain over leading interests, maximum a posteriori.

    Every row has a Dirichlet prior of `strength` pseudo-moves spread like the overall destinations.

    Parameters
    ----------
    before, after : ndarray of int, shape (n_moves,)
        State of a user in one period and in the next.
    n_states : int
        Number of states.
    strength : float
        Pseudo-moves added to each row; 0 is maximum likelihood, and then a row never left is zero.

    Returns
    -------
    ndarray of float, shape (n_states, n_states)
        Row = from, column = to.

    Examples
    --------
    >>> transition_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), n_states=2)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    moves = np.zeros((n_states, n_states))
    np.add.at(moves, (before, after), 1.0)
    destinations = shares(moves.sum(axis=0))
    return shares(moves + strength * destinations)
