"""Leading interests of periods, and how well a chain foretells the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.history import Floats, Ints
from interest_lib.markov import MarkovChain
from interest_lib.metrics import bootstrap_mean
from interest_lib.migration import period_counts
from interest_lib.schema import InputError

GUESSES: Final = ("staying", "staying by interest", "longer look", "chain", "chain from the longer look")
"""Guesses at the next leading interest, see `leader_scores`."""

_COMPARED: Final = (
    ("chain", "staying"),
    ("chain", "staying by interest"),
    ("chain", "longer look"),
    ("chain from the longer look", "longer look"),
)


def leading_interests(counts: Floats) -> Ints:
    """Leading interest of every user in every period.

    Ties go to the interest that is more common among all users in all but the last period; the alphabet
    would be noise, and the last period is the one to be foretold.

    Parameters
    ----------
    counts : ndarray of float, shape (n_periods, n_users, n_interests)

    Returns
    -------
    ndarray of int, shape (n_periods, n_users)

    Examples
    --------
    >>> leading_interests(np.array([[[1.0, 1.0], [0.0, 2.0]], [[3.0, 3.0], [1.0, 0.0]]])).tolist()
    [[1, 1], [1, 0]]
    """
    common = np.argsort(-counts[:-1].sum(axis=(0, 1)), kind="stable")
    leading: Ints = common[counts[..., common].argmax(axis=-1)]
    return leading


def leader_scores(counts: Floats) -> pd.DataFrame:
    """How well the leading interest of the last period is foretold from the periods before.

    *staying*: the leader of the period before, or else where moves lead overall. *staying by interest*: the
    same, but some interests are left more readily than others. *longer look*: staying with the leader of all
    earlier periods together. *chain*: the row of the period before. *chain from the longer look*: the row of
    the leader of all earlier periods, learned from moves out of that. Each gives a probability to every
    interest and learns from the same earlier moves. All are chains, the simple ones with infinite strengths,
    so what a chain gains over *staying by interest* is what it knows of where interest goes when it goes.

    Parameters
    ----------
    counts : ndarray of float, shape (n_periods, n_users, n_interests)
        At least three periods; the last is foretold.

    Returns
    -------
    pandas.DataFrame
        One row per user; columns (guess, score) with the scores ``top1`` (1 where the most probable interest
        leads), ``log_likelihood`` (nats, of the one that leads) and ``brier`` (less is better).

    Raises
    ------
    InputError
        Fewer than three periods.

    Examples
    --------
    >>> one, other = [4.0, 1.0], [1.0, 4.0]
    >>> counts = np.array([[one, other], [one, one], [other, one], [one, other]])[:, [0, 1, 1]]
    >>> right = leader_scores(counts).xs("top1", axis=1, level="score").mean()
    >>> right[["staying", "longer look"]].round(2).tolist()
    [0.33, 0.33]
    """
    if len(counts) < 3:
        raise InputError(f"There are {len(counts)} periods: give three or more, the last to be foretold.")
    leading, width = leading_interests(counts), counts.shape[2]
    longer = _leading_so_far(counts)
    learned = {
        "staying": (leading, MarkovChain(np.inf, stay_strength=np.inf)),
        "staying by interest": (leading, MarkovChain(np.inf)),
        "longer look": (longer, MarkovChain(np.inf, stay_strength=np.inf)),
        "chain": (leading, MarkovChain()),
        "chain from the longer look": (longer, MarkovChain()),
    }
    scores = {}
    for guess, (state, chain) in learned.items():
        chain.fit(state[:-2].ravel(), leading[1:-1].ravel(), width)
        scores[guess] = _scores(chain.transition_[state[-2]], leading[-1])
    return pd.concat(scores, axis=1, names=["guess", "score"])


def chain_gains(
    events: pd.DataFrame,
    ends: Sequence[pd.Timestamp],
    period_days: int,
    seed: int,
    n_periods: int = 4,
    min_per_period: int = 5,
    by: str = "category",
    n_resamples: int = 1000,
) -> pd.DataFrame:
    """What a chain gains over staying and over a longer look, several origins together.

    Parameters
    ----------
    events : pandas.DataFrame
        Purchases: ``user_id``, ``basket_id``, ``timestamp`` and the column `by`.
    ends : sequence of pandas.Timestamp
        End of the last period, one for each origin.
    period_days : int
    seed : int
        Of the bootstrap over users, all origins of a user together.
    n_periods : int
        Periods before each end.
    min_per_period : int
        Purchases a user needs in each of them.
    by : str
    n_resamples : int

    Returns
    -------
    pandas.DataFrame
        One row per comparison and score (the index: ``guess``, ``over``, ``score``): ``value``, ``low``,
        ``high`` of the mean gain and its 95 % interval (more is better for every score, also for Brier),
        ``n`` users.

    Examples
    --------
    >>> days = pd.date_range("2017-01-01", periods=12, freq="7D")
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": range(12), "timestamp": days})
    >>> log["category"] = list("abcd" * 3)
    >>> chain_gains(log, [pd.Timestamp("2017-03-26")], 28, 1, n_periods=3, min_per_period=2).shape
    (12, 4)
    """
    found = []
    for end in ends:
        start = end - pd.Timedelta(days=n_periods * period_days)
        recent = events[events["timestamp"].between(start, end, inclusive="left")]
        period = ((recent["timestamp"] - start) // pd.Timedelta(days=period_days)).to_numpy().astype(np.int64)
        counts, user_ids, _ = period_counts(recent, period, min_per_period, by)
        found.append(leader_scores(counts).set_axis(user_ids, axis=0))
    scores = pd.concat(found).groupby(level=0).mean()
    rows = {}
    for guess, over in _COMPARED:
        for score, sign in (("top1", 1), ("log_likelihood", 1), ("brier", -1)):
            gain = sign * (scores[guess, score] - scores[over, score])
            rows[guess, over, score] = vars(bootstrap_mean(gain, seed, n_resamples))
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["guess", "over", "score"])
    return table


def _leading_so_far(counts: Floats) -> Ints:
    """The same as `leading_interests`, in each period of all periods until its end."""
    common = np.argsort(-counts[:-1].sum(axis=(0, 1)), kind="stable")
    leading: Ints = common[counts.cumsum(axis=0)[..., common].argmax(axis=-1)]
    return leading


def _scores(probability: Floats, actual: Ints) -> pd.DataFrame:
    given = probability[np.arange(len(actual)), actual]
    return pd.DataFrame(
        {
            "top1": (probability.argmax(axis=1) == actual).astype(float),
            "log_likelihood": np.log(given),
            "brier": (probability**2).sum(axis=1) - 2 * given + 1,
        }
    ).rename_axis(columns="score")
