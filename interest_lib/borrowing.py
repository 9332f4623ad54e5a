"""What to show a new user, by counting: popularity, own history, people alike, similar and nearest users.

Every method returns a *scorer*: a function from rows of held-out users to dense scores of all items, so that
only a batch of users is ever dense.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from interest_lib.history import Bools, Floats, Ints
from interest_lib.mining import interest_formula
from interest_lib.newcomers import Scorer
from interest_lib.ranking import keep_nearest
from interest_lib.transfer import NewUserTask

SECONDS_PER_DAY = 86_400


def popularity(task: NewUserTask) -> Scorer:
    """What most source users had, the same for everyone."""
    return lambda rows: np.tile(task.source.popularity, (len(rows), 1))


def own_history(task: NewUserTask, n_baskets: int) -> Scorer:
    """The own first baskets alone; ties and places that are left go by popularity."""
    own = task.own_counts(n_baskets)
    return lambda rows: own[rows].toarray()


def popularity_prior(task: NewUserTask, n_baskets: int, strength: float) -> Scorer:
    """Own counts plus `strength` times the share of source users who have the item.

    With one basket the popular items that were not bought yet compete with the own ones; with many
    baskets the own counts outgrow the prior, so what is borrowed fades by itself.

    Parameters
    ----------
    task : NewUserTask
    n_baskets : int
        First baskets that are known.
    strength : float
        Purchases that an item bought by everyone is worth beforehand; 0 is own history alone.
    """
    own = task.own_counts(n_baskets)
    prior = strength * task.source.popularity / len(task.source.user_ids)
    return lambda rows: own[rows].toarray() + prior


def recent_popularity(task: NewUserTask, n_baskets: int, days: float = 28) -> Scorer:
    """What most source users had in the days before the new user comes for the first target basket.

    Newcomers are spread over the log, so each has a list of their own day. Nothing from that day on counts:
    ties go by distinct users of all days before it, then by item id.

    Parameters
    ----------
    task : NewUserTask
    n_baskets : int
        First baskets that are known; of later ones only the day of the first target is used.
    days : float
        Length of the window that ends where that day begins.

    Notes
    -----
    A log without times has no days; its popularity is that of the whole source.
    """
    asked = task.asked_on(n_baskets)
    if asked.empty:
        return popularity(task)
    clock = _Clock(task)
    # who has nothing to be judged by has no such day; any will do
    days_asked, day_of_row = np.unique(asked.fillna(asked.min()).to_numpy(), return_inverse=True)
    ends = days_asked.astype("datetime64[s]").astype(np.int64)

    def score(rows: Ints) -> Floats:
        needed, which = np.unique(day_of_row[rows], return_inverse=True)
        return np.stack([clock.ranks_before(ends[day], days) for day in needed])[which]

    return score


class _Clock:
    """Distinct source users of every item in any window of time."""

    def __init__(self, task: NewUserTask) -> None:
        source = task.source
        goals = np.flatnonzero(source.is_goal)
        times = task.source_events["timestamp"].to_numpy().astype("datetime64[s]").astype(np.int64)[goals]
        order = np.argsort(times, kind="stable")
        self.seconds, self.cols = times[order], source.cols[goals][order]
        self.next, is_first = _again(source.rows[goals][order] * source.shape[1] + self.cols, self.seconds)
        self.first_seconds, self.first_cols = self.seconds[is_first], self.cols[is_first]
        self.by_id = np.argsort(task.source.item_ids)

    def ranks_before(self, end: int, days: float) -> Floats:
        """Higher for what more users had in the window that ends at `end`, then before it, then by id."""
        window = slice(*np.searchsorted(self.seconds, [end - int(days * SECONDS_PER_DAY), end]))
        is_last = self.next[window] >= end  # a user counts once
        n_items = len(self.by_id)
        recent = np.bincount(self.cols[window][is_last], minlength=n_items)
        past = np.bincount(
            self.first_cols[: int(np.searchsorted(self.first_seconds, end))], minlength=n_items
        )
        level = recent * (int(past.max(initial=0)) + 1) + past
        best_first = self.by_id[np.argsort(-level[self.by_id], kind="stable")]
        ranks = np.empty(n_items)
        ranks[best_first] = np.arange(n_items, 0, -1)
        return ranks


def _again(pair: Ints, seconds: Ints) -> tuple[Ints, Bools]:
    """When the same pair comes again, the end of time for the last one; and whether it comes first."""
    order = np.argsort(pair, kind="stable")
    again = pair[order][1:] == pair[order][:-1]
    following, is_first = np.full(len(pair), np.iinfo(np.int64).max), np.ones(len(pair), dtype=np.bool_)
    following[order[:-1][again]] = seconds[order[1:][again]]
    is_first[order[1:][again]] = False
    return following, is_first


def demographic_prior(
    task: NewUserTask, n_baskets: int, strength: float = 3.0, shrink_users: float = 100.0
) -> Scorer:
    """Own counts plus `strength` times the share of source users like the newcomer who have the item.

    A source user counts by the share of the newcomer's known attributes that both have in common, squared;
    the result is shrunk to the share of all source users. Who has told nothing gets exactly that share.

    Parameters
    ----------
    task : NewUserTask
    n_baskets : int
        First baskets that are known.
    strength : float
        Purchases that an item bought by everyone alike is worth beforehand.
    shrink_users : float
        As many average users are added to those alike.
    """
    if not task.user_features.shape[1]:
        return popularity_prior(task, n_baskets, strength)
    own = task.own_counts(n_baskets)
    n_source = len(task.source.user_ids)
    theirs, new = task.user_features[:n_source], task.user_features[n_source:]
    had = sp.csr_matrix(task.source_counts > 0, dtype=np.float64)
    average = np.asarray(had.mean(axis=0)).ravel()

    def score(rows: Ints) -> Floats:
        alike = np.asarray((normalize(new[rows], norm="l1") @ theirs.T).todense()) ** 2
        share = (alike @ had + shrink_users * average) / (alike.sum(axis=1, keepdims=True) + shrink_users)
        return own[rows].toarray() + strength * share

    return score


def borrowed_interest(
    task: NewUserTask, n_baskets: int, interest: sp.csr_matrix, n_neighbours: int | None = None
) -> Scorer:
    """The articles' interest formula: source users' interest, each in proportion to similarity.

    ``w_i = sim(u, v_i) / sum_j sim(u, v_j)`` with the cosine of purchase counts over all source users, or
    over the nearest ones.

    Parameters
    ----------
    task : NewUserTask
    n_baskets : int
        First baskets that are known; who has none is similar to nobody and borrows nothing.
    interest : scipy.sparse.csr_matrix of float, shape (n_source_users, n_items)
        What source users are interested in.
    n_neighbours : int, optional
        So many most similar users only.
    """
    own, theirs = normalize(task.own_counts(n_baskets)), normalize(task.source_counts).T.tocsr()

    def score(rows: Ints) -> Floats:
        similarity = (own[rows] @ theirs).toarray()
        if n_neighbours is not None:
            similarity = keep_nearest(similarity, n_neighbours)
        return interest_formula(similarity, interest)

    return score


def borrow_from_similar(
    task: NewUserTask, n_baskets: int, borrowed_weight: float, n_neighbours: int | None = None
) -> Scorer:
    """What similar source users bought, by the interest formula, blended with the own purchases.

    Parameters
    ----------
    task : NewUserTask
    n_baskets : int
        First baskets that are known.
    borrowed_weight : float in [0, 1]
        Weight of what is borrowed; the own purchases get the rest.
    n_neighbours : int, optional
        So many most similar source users only; all of them by default, as in the articles.
    """
    own = task.own_counts(n_baskets)
    borrow = borrowed_interest(task, n_baskets, task.source_counts, n_neighbours)
    return lambda rows: (1 - borrowed_weight) * own[rows].toarray() + borrowed_weight * borrow(rows)
