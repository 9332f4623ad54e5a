"""What is in the baskets of users of the past, and how far they differ: the prior of a new user's habits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from interest_lib.history import Floats, Ints, codes
from interest_lib.transfer import NewUserTask

STRENGTHS: Final = np.geomspace(0.3, 300.0, 25)  # in baskets, on an even scale of logarithms
MOST_BASKETS: Final = 30  # of a source user: more would let the most frequent speak for all
SMALLEST_CHANCE: Final = 1e-7
LARGEST_CHANCE: Final = 0.95


@dataclass(frozen=True)
class BasketPrior:
    """How likely an item is in a basket, and how far users differ in that, before anything is known of one.

    Attributes
    ----------
    mean : ndarray of float, shape (n_items,)
        Chance that the item is in a basket of an average source user.
    strength_baskets : ndarray of float, shape (n_categories,)
        What is borrowed in a category weighs as much as so many own baskets: large where users are alike.
    habits : scipy.sparse.csr_matrix, shape (n_source_users, n_items + 1)
        In how many of all their baskets source users had each item; the last column is how many there are.
    """

    mean: Floats
    strength_baskets: Floats
    habits: sp.csr_matrix


def basket_prior(task: NewUserTask, most_baskets: int = MOST_BASKETS) -> BasketPrior:
    """Beta priors of every item's chance to be in a basket, fitted on the source users.

    Of a user's `n` baskets `x` hold the item; ``x ~ Binomial(n, p)`` and ``p ~ Beta(s m, s (1 - m))`` over
    users, with the mean m of the item. The strength s is one number a category: it has the marginal
    likelihood of the category's items in all users' first baskets, and a prior that is learned too, namely
    how strengths are spread over all categories.

    Parameters
    ----------
    task : NewUserTask
    most_baskets : int
        First baskets of each source user that count.

    Returns
    -------
    BasketPrior

    Notes
    -----
    Empirical Bayes; Skellam (1948) for the beta-binomial. The spread of strengths is a nonparametric
    maximum likelihood estimate on a grid, Laird (1978).
    """
    had, n_baskets = _source_baskets(task, most_baskets)
    mean = np.asarray(had.sum(axis=0)).ravel() / max(n_baskets.sum(), 1.0)
    mean = np.clip(mean, SMALLEST_CHANCE, LARGEST_CHANCE)
    by_item = _log_likelihood(had, n_baskets, mean)
    n_categories = len(task.categories)
    likelihood = np.stack([np.bincount(task.item_category, row, n_categories) for row in by_item])
    every, n_every = _source_baskets(task, int(task.source_events["basket_number"].max()))
    habits = sp.csr_matrix(sp.hstack([every, n_every[:, None]]))
    return BasketPrior(mean, _drawn_together(likelihood.astype(np.float64)), habits)


def _source_baskets(task: NewUserTask, most_baskets: int) -> tuple[sp.csr_matrix, Floats]:
    """In how many first baskets each source user had each item, and how many first baskets there are."""
    source = task.source
    number = task.source_events["basket_number"].to_numpy(np.int64)
    had = _presence(source.rows, source.cols, number, source.weights, most_baskets, source.shape)
    last = np.zeros(source.shape[0])
    np.maximum.at(last, source.rows, number)
    return had, np.minimum(last, most_baskets)


def own_baskets(task: NewUserTask, n_baskets: int) -> sp.csr_matrix:
    """In how many of their first `n_baskets` each held-out user had each item, (n_held_out, n_items)."""
    own = task.own
    rows, cols = codes(task.user_ids, own["user_id"]), codes(task.source.item_ids, own["item_id"])
    number, weight = own["basket_number"].to_numpy(np.int64), own["weight"].to_numpy(np.float64)
    return _presence(rows, cols, number, weight, n_baskets, (len(task.user_ids), task.source.shape[1]))


def _presence(
    rows: Ints, cols: Ints, number: Ints, weights: Floats, most_baskets: int, shape: tuple[int, int]
) -> sp.csr_matrix:
    """Baskets with the item; one that was only looked at counts by what looking says, at most 1 a basket."""
    kept = number <= most_baskets
    pair = rows[kept] * shape[1] + cols[kept]
    cells, inverse = np.unique(pair * (most_baskets + 1) + number[kept], return_inverse=True)
    told = np.clip(np.bincount(inverse, weights=weights[kept], minlength=len(cells)), 0.0, 1.0)
    pairs, of_pair = np.unique(cells // (most_baskets + 1), return_inverse=True)
    sums = np.bincount(of_pair, weights=told, minlength=len(pairs))
    counts = sp.csr_matrix((sums, np.divmod(pairs, shape[1])), shape=shape)
    counts.eliminate_zeros()
    return counts


def _log_likelihood(had: sp.csr_matrix, n_baskets: Floats, mean: Floats) -> Floats:
    """Log likelihood of every item under every strength, shape (n_strengths, n_items).

    ``log B(a + x, b + n - x) - log B(a, b)`` is a sum of logarithms of ``a + r`` for r < x, of ``b + r`` for
    r < n - x, less that of ``s + r`` for r < n. So it takes only how many users have x > r, or n - x > r.
    """
    n_items = len(mean)
    columns = had.tocoo()
    times, total = np.rint(columns.data).astype(np.int64), n_baskets[columns.row].astype(np.int64)
    found = np.zeros((len(STRENGTHS), n_items))
    for past in range(int(n_baskets.max(initial=0.0))):
        longer = float((n_baskets > past).sum())
        with_item = np.bincount(columns.col[times > past], minlength=n_items)
        used_up = (total > past) & (total - times <= past)
        without = longer - np.bincount(columns.col[used_up], minlength=n_items)
        for row, strength in enumerate(STRENGTHS):
            a = strength * mean
            found[row] += with_item * np.log(a + past) + without * np.log(strength - a + past)
            found[row] -= longer * np.log(strength + past)
    return found


def _drawn_together(likelihood: Floats, n_rounds: int = 30) -> Floats:
    """Posterior mean of every category's log strength, the spread over categories learned from all."""
    relative = np.exp(likelihood - likelihood.max(axis=0))
    spread = np.full(len(STRENGTHS), 1 / len(STRENGTHS))
    for _ in range(n_rounds):
        weight = relative * spread[:, None]
        weight /= weight.sum(axis=0)
        spread = weight.mean(axis=1)
    return np.exp(np.log(STRENGTHS) @ weight)
