"""All axes of interest behind one interface, compared by how well they foretell the next weeks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize

from interest_lib import migration, mining
from interest_lib.curves import weight_left
from interest_lib.history import SECONDS_PER_DAY, Floats, Ints, codes
from interest_lib.schema import InputError

Axis = Callable[[sp.csr_matrix, float], Floats]
"""From all users' decayed counts and a size (groups, rank, sharpness) to shares of the interests by user."""

DIRECTIONS: Final = 10  # latent directions in which `group_shares` seeks groups, as notebook 02 does
STRENGTHS: Final = (10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
POPULATION_SHARES: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SHRINKAGE: Final = 20.0  # pseudo-purchases of the population in what an axis says of one user
HALF_LIVES: Final = (45.0, 90.0, 180.0, 360.0)


@dataclass(frozen=True)
class AxisTask:
    """What every user bought before a moment, and the purchases after it that are to be foretold.

    A purchase is a user, a basket and an interest, once, however many items and units it had.

    Attributes
    ----------
    label : str
        The day of the moment.
    user_ids, interests : pandas.Index
        Users with a purchase, sorted, and the interests that were asked for.
    rows, cols : ndarray of int, shape (n_purchases,)
        User and interest of every purchase before the moment.
    age_days : ndarray of float, shape (n_purchases,)
        Days from each of them to the moment.
    future : ndarray of float, shape (n_users, n_interests)
        Purchases in the horizon after the moment.
    n_dropped : int
        Purchases after the moment that are not in `future`, as nobody had their interest before.
    """

    label: str
    user_ids: pd.Index
    interests: pd.Index
    rows: Ints
    cols: Ints
    age_days: Floats
    future: Floats
    n_dropped: int

    def counts(self, half_life_days: float | None) -> sp.csr_matrix:
        """What is left of the purchases of every user in every interest, shape (n_users, n_interests)."""
        left = weight_left(self.age_days, half_life_days)
        shape = self.future.shape
        # not scipy's own summing of duplicates, which adds up in any order
        sums = np.bincount(self.rows * shape[1] + self.cols, weights=left, minlength=shape[0] * shape[1])
        return sp.csr_matrix(sums.reshape(shape))


def axis_task(
    events: pd.DataFrame, origin: pd.Timestamp, interests: pd.Index, horizon_days: int = 28
) -> AxisTask:
    """Cut the log at `origin`.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id``, ``basket_id``, ``timestamp`` and a column of the interests' name; other interests are
        left out.
    origin : pandas.Timestamp
        The moment of prediction.
    interests : pandas.Index
        What can be foretold, such as the categories of the items table.
    horizon_days : int
        Days after it whose purchases are foretold.

    Returns
    -------
    AxisTask

    Raises
    ------
    InputError
        When there is no purchase before or none after the moment.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 1, 2], "basket_id": [1, 1, 2, 3], "category": ["tea"] * 4,
    ...                     "timestamp": pd.to_datetime(["2017-01-01"] * 2 + ["2017-01-05", "2017-01-02"])})
    >>> task = axis_task(log, pd.Timestamp("2017-01-03"), pd.Index(["tea"], name="category"))
    >>> task.counts(None).toarray().tolist(), task.future.tolist()
    ([[1.0], [1.0]], [[1.0], [0.0]])
    """
    by, end = str(interests.name), origin + pd.Timedelta(days=horizon_days)
    known = events.loc[events["timestamp"] < end, ["user_id", "basket_id", by, "timestamp"]]
    known = known[known[by].isin(interests)].drop_duplicates(["user_id", "basket_id", by])
    is_past = known["timestamp"] < origin
    past, ahead = known[is_past], known[~is_past]
    kept = ahead[ahead[by].isin(past[by].unique())]
    if kept.empty:
        raise InputError(f"No {by} is bought both before and after {origin:%Y-%m-%d}: choose another origin.")
    user_ids = pd.Index(np.sort(known["user_id"].unique()), name="user_id")
    future = np.zeros((len(user_ids), len(interests)))
    np.add.at(future, (codes(user_ids, kept["user_id"]), codes(interests, kept[by])), 1.0)
    return AxisTask(
        label=f"{origin:%Y-%m-%d}",
        user_ids=user_ids,
        interests=interests,
        rows=codes(user_ids, past["user_id"]),
        cols=codes(interests, past[by]),
        age_days=((origin - past["timestamp"]).dt.total_seconds() / SECONDS_PER_DAY).to_numpy(np.float64),
        future=future,
        n_dropped=len(ahead) - len(kept),
    )


def taxonomy_shares(counts: sp.csr_matrix, size: float = 0.0) -> Floats:
    """The user's own shares of the shop's categories, shrunk by `SHRINKAGE`; `size` means nothing here.

    Examples
    --------
    >>> taxonomy_shares(sp.csr_matrix([[20.0, 0.0], [0.0, 20.0]]))
    array([[0.75, 0.25],
           [0.25, 0.75]])
    """
    return _shrunk(counts.toarray(), counts)


def group_shares(counts: sp.csr_matrix, size: float, random_state: int = 0) -> Floats:
    """The shares of the user's K-Means group, of which there are `size`."""
    points = mining.interest_directions(mining.tfidf(counts), DIRECTIONS, random_state)
    labels = mining.group_users(points, int(size), random_state)
    cells = (labels, np.arange(len(labels)))
    member = sp.csr_matrix((np.ones(len(labels)), cells), shape=(int(size), len(labels)))
    return migration.shares((member @ counts).toarray())[labels]


def latent_shares(counts: sp.csr_matrix, size: float, random_state: int = 0) -> Floats:
    """What `size` latent axes keep of the user's counts: truncated SVD of their logarithms, rebuilt.

    Logarithms, because one more purchase says less after many; negative reconstructions count as zero, and
    the rest is shrunk by `SHRINKAGE`: what is rebuilt from two purchases is mostly noise.
    """
    rank = min(int(size), min(counts.shape) - 1)
    logs = sp.csr_matrix(counts.log1p())
    model = TruncatedSVD(rank, random_state=random_state)
    rebuilt = model.inverse_transform(model.fit_transform(logs))
    return _shrunk(np.expm1(np.maximum(rebuilt, 0.0)), counts)


def text_shares(counts: sp.csr_matrix, size: float, vectors: Floats) -> Floats:
    """Categories whose text lies in the direction of what the user buys.

    A category's share is the population's, multiplied by ``exp(size * match)``. The match is the product of
    the category's direction with the mean direction of what the user buys (shrunk by `SHRINKAGE`), both
    measured from the population's mean.

    Parameters
    ----------
    counts : scipy.sparse.csr_matrix, shape (n_users, n_interests)
    size : float
        How sharp the axis is: 0 gives everybody the population's shares.
    vectors : ndarray of float, shape (n_interests, n_dimensions)
        A vector for each interest, from `text.interest_vectors`.
    """
    population = _population(counts)
    directions = normalize(vectors - population @ vectors)
    match = _shrunk(counts.toarray(), counts) @ directions @ directions.T
    return migration.shares(population * np.exp(size * (match - match.max(axis=1, keepdims=True))))


def foretell(
    axis: Axis,
    task: AxisTask,
    half_life_days: float | None,
    size: float,
    strength: float,
    population_share: float,
) -> Floats:
    """Shares of the next weeks' purchases: own decayed counts beside what the axis says of the user.

    The posterior mean under a Dirichlet prior of `strength` pseudo-purchases, of which `population_share` is
    spread like everybody's purchases and the rest as the axis says. What nobody bought before has probability
    zero; `migration.forecast_errors` lifts it to its floor.

    Parameters
    ----------
    axis : callable
        One of the axes of this module, other arguments bound by `functools.partial`.
    task : AxisTask
    half_life_days : float or None
        Half-life of a purchase; None counts every purchase fully.
    size : float
        Size of the axis.
    strength : float
        Pseudo-purchases; infinity leaves only what the axis and the population say.
    population_share : float in [0, 1]

    Returns
    -------
    ndarray of float, shape (n_users, n_interests), rows adding up to one

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 2, 2], "basket_id": [1, 2, 3], "category": ["milk", "tea", "milk"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-02", "2017-01-05"])})
    >>> task = axis_task(log, pd.Timestamp("2017-01-03"), pd.Index(["milk", "tea"], name="category"))
    >>> foretell(taxonomy_shares, task, None, size=0, strength=2, population_share=0.5).round(2)
    array([[0.67, 0.33],
           [0.33, 0.67]])
    """
    counts = task.counts(half_life_days)
    return _with_prior(counts, axis(counts, size), strength, population_share)


def tune_axis(
    axis: Axis,
    sizes: Sequence[float],
    tasks: Sequence[AxisTask],
    n_trials: int,
    seed: int,
    strengths: Sequence[float] = STRENGTHS,
) -> pd.DataFrame:
    """Settings of `foretell` tried on earlier moments, best first: every axis gets as many trials.

    Parameters
    ----------
    axis : callable
        As for `foretell`.
    sizes : sequence of float
        Sizes of the axis to draw from; the other settings come from `HALF_LIVES`, `strengths` and
        `POPULATION_SHARES`.
    tasks : sequence of AxisTask
        Moments before the one that judges.
    n_trials : int
        How many combinations are drawn, without replacement.
    seed : int
        Seed of the draw.
    strengths : sequence of float
        ``(math.inf,)`` tunes an axis that has to speak without the user's own counts.

    Returns
    -------
    pandas.DataFrame
        ``half_life_days``, ``size``, ``strength``, ``population_share`` and ``perplexity`` over the purchases
        of all tasks; among equals the one that was drawn first.
    """
    grid = list(product(HALF_LIVES, sizes, strengths, POPULATION_SHARES))
    drawn = np.random.default_rng(seed).permutation(len(grid))[:n_trials]
    trials = [grid[place] for place in drawn]
    loss = np.zeros(len(trials))
    # what an axis says depends on the first two settings alone, so it is worked out once for each pair
    for pair in sorted({trial[:2] for trial in trials}):
        for task in tasks:
            counts = task.counts(pair[0])
            through_axis = axis(counts, pair[1])
            for n, trial in enumerate(trials):
                if trial[:2] == pair:
                    predicted = _with_prior(counts, through_axis, *trial[2:])
                    loss[n] += migration.forecast_errors(predicted, task.future)["log_loss"].sum()
    table = pd.DataFrame(trials, columns=["half_life_days", "size", "strength", "population_share"])
    table["perplexity"] = np.exp(loss / sum(task.future.sum() for task in tasks))
    return table.sort_values("perplexity", kind="stable", ignore_index=True)


def _with_prior(
    counts: sp.csr_matrix, through_axis: Floats, strength: float, population_share: float
) -> Floats:
    population = _population(counts)
    unknown = np.asarray(counts.sum(axis=1)) == 0  # no axis says anything of a user without a past
    said = np.where(unknown, population, through_axis)
    prior = (1 - population_share) * said + population_share * population
    return prior if np.isinf(strength) else migration.shares(counts.toarray() + strength * prior)


def _population(counts: sp.csr_matrix) -> Floats:
    return migration.shares(np.asarray(counts.sum(axis=0)))


def _shrunk(weights: Floats, counts: sp.csr_matrix) -> Floats:
    return migration.shares(weights + SHRINKAGE * _population(counts))
