"""What the score of a recommendation is made of: parts that add up to it, each with the events behind it."""

from __future__ import annotations

from functools import singledispatch
from typing import Final

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from interest_lib.decay import decayed_counts
from interest_lib.ease import EASE
from interest_lib.factorisation import ALS
from interest_lib.history import Floats, Ints
from interest_lib.item_neighbours import ItemNeighbours
from interest_lib.recommend import InterestRecommender, NearestUsers, RecentPopularity
from interest_lib.schema import InputError

OWN: Final = "bought before"
OTHERS: Final = "users like you"
TOGETHER: Final = "goes with what you bought"
POPULAR: Final = "popular"
REST: Final = "other"
"""Kinds of reasons."""

NOBODY: Final = -1
"""Row or column of a part that no events of one user stand behind."""

BATCH_FACTOR_USERS: Final = 16  # a matrix of factors x factors exists for so many users at a time


@singledispatch
def score_parts(model: object, rows: Ints, cols: Ints) -> pd.DataFrame:
    """What the scores of some pairs of user and item are made of.

    Parameters
    ----------
    model : ScoringRecommender
        A fitted one of a kind that this module knows.
    rows, cols : ndarray of int, shape (n_pairs,)
        Codes of users (known ones) and items in the model's history.

    Returns
    -------
    pandas.DataFrame
        One row per part that is not zero: ``pair`` (position in `rows`), ``reason`` (kind), ``amount``,
        ``row`` and ``col`` (whose events on which item stand behind it, -1 where it is nobody's alone), and
        ``weight``: what the evidence was multiplied by to give the amount. Amounts of a pair add up to its
        score.

    Raises
    ------
    InputError
        A model of this kind cannot tell its reasons.

    Notes
    -----
    Models that add up are taken apart term by term. Alternating least squares is taken apart as in Hu, Koren
    and Volinsky (2008), section 5; what its last sweep left unsolved is a part of its own.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> from interest_lib.recommend import PersonalFrequency
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "a"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-31"])})
    >>> h = history_before(log, pd.Timestamp("2017-02-01"), min_users_per_item=1)
    >>> score_parts(PersonalFrequency().fit(h), np.array([0]), np.array([0])).to_dict("records")
    [{'pair': 0, 'reason': 'bought before', 'amount': 2.0, 'row': 0, 'col': 0, 'weight': 1.0}]
    """
    raise InputError(
        f"{type(model).__name__} cannot tell its reasons in words: explain a model of counts, of neighbours, "
        "of migrated interest, of content, EASE or ALS."
    )


@score_parts.register
def _of_popularity(model: RecentPopularity, rows: Ints, cols: Ints) -> pd.DataFrame:
    nobody = np.full(len(rows), NOBODY)
    return parts_table(np.arange(len(rows)), POPULAR, model.history_.popularity[cols], nobody, cols, 1.0)


@score_parts.register
def _of_own_interest(model: InterestRecommender, rows: Ints, cols: Ints) -> pd.DataFrame:
    return _own_part(model.interest_, rows, cols, 1.0)


@score_parts.register
def _of_neighbours(model: NearestUsers, rows: Ints, cols: Ints) -> pd.DataFrame:
    shares = lent_shares(model, rows)
    lent = sp.coo_matrix(shares.multiply(sp.csr_matrix(model.interest_[:, cols].T)))
    weight = cells_of(shares, lent.row, lent.col)
    borrowed = parts_table(lent.row, OTHERS, lent.data, lent.col, cols[lent.row], weight)
    return pd.concat([_own_part(model.interest_, rows, cols, model.own_weight), borrowed], ignore_index=True)


def lent_shares(model: NearestUsers, rows: Ints) -> sp.csr_matrix:
    """What the interest of each other user is multiplied by."""
    nearest = model.neighbours_[rows].maximum(0.0)
    return sp.csr_matrix((1 - model.own_weight) * normalize(nearest, norm="l1"))


@score_parts.register
def _of_ease(model: EASE, rows: Ints, cols: Ints) -> pd.DataFrame:
    place = np.full(len(model.history_.item_ids), NOBODY)
    place[model.columns_] = np.arange(len(model.columns_))
    inside = np.flatnonzero(place[cols] >= 0)  # the other items score zero
    given = sp.coo_matrix(model.input_[rows[inside]])
    weight = model.weights_[given.col, place[cols[inside]][given.row]]
    pair, source = inside[given.row], model.columns_[given.col]
    return item_table(pair, cols, given.data * weight, rows[pair], source, weight)


@score_parts.register
def _of_item_neighbours(model: ItemNeighbours, rows: Ints, cols: Ints) -> pd.DataFrame:
    similar = sp.csr_matrix(model.similarity_[:, cols].T)
    votes = sp.coo_matrix(model.interest_[rows].multiply(similar))
    weight = cells_of(similar, votes.row, votes.col)
    return item_table(votes.row, cols, votes.data, rows[votes.row], votes.col, weight)


@score_parts.register
def _of_als(model: ALS, rows: Ints, cols: Ints) -> pd.DataFrame:
    confidence = model.alpha * _als_input(model)
    users, place = np.unique(rows, return_inverse=True)
    parts = []
    for start in range(0, len(users), BATCH_FACTOR_USERS):
        batch = users[start : start + BATCH_FACTOR_USERS]
        solve = np.linalg.inv(_normal_equations(model, sp.csr_matrix(confidence[batch])))
        pairs = np.flatnonzero((place >= start) & (place < start + len(batch)))
        given = sp.coo_matrix(confidence[rows[pairs]])
        wanted = np.einsum("pf,pfg->pg", model.item_factors_[cols[pairs]], solve[place[pairs] - start])
        weight = np.einsum("ef,ef->e", wanted[given.row], model.item_factors_[given.col])
        pair = pairs[given.row]
        parts.append(item_table(pair, cols, given.data * weight, rows[pair], given.col, weight))
    table = pd.concat(parts, ignore_index=True)
    score = np.einsum("pf,pf->p", model.user_factors_[rows], model.item_factors_[cols])
    unsolved = score - np.bincount(table["pair"], weights=table["amount"], minlength=len(rows))
    nobody = np.full(len(rows), NOBODY)
    rest = parts_table(np.arange(len(rows)), REST, unsolved, nobody, nobody, 1.0)
    return pd.concat([table, rest], ignore_index=True)


def _als_input(model: ALS) -> sp.csr_matrix:
    counts = decayed_counts(model.history_, model.half_life_days, model.half_life_baskets)
    if model.weights == "ones":
        counts.data[:] = 1.0
    return counts


def _normal_equations(model: ALS, confidence: sp.csr_matrix) -> Floats:
    """``Y'C(u)Y + regularization * I`` of some users; an item that a user never had has confidence one."""
    factors = model.item_factors_
    n_factors = factors.shape[1]
    had = np.unique(confidence.indices)
    outer = (factors[had, :, None] * factors[had, None, :]).reshape(len(had), -1)
    extra = confidence[:, had]
    extra.data = extra.data - 1.0
    everyone = factors.T @ factors + model.regularization * np.eye(n_factors)
    return np.asarray(extra @ outer).reshape(-1, n_factors, n_factors) + everyone


def _own_part(interest: sp.csr_matrix, rows: Ints, cols: Ints, weight: float) -> pd.DataFrame:
    return parts_table(np.arange(len(rows)), OWN, weight * cells_of(interest, rows, cols), rows, cols, weight)


def cells_of(matrix: sp.csr_matrix, rows: Ints, cols: Ints) -> Floats:
    # an empty selection of a sparse matrix has no .A1 of the right length in every release
    return np.asarray(matrix[rows, cols], dtype=np.float64).reshape(-1) if len(rows) else np.zeros(0)


def parts_table(
    pair: Ints, reason: str | np.ndarray, amount: Floats, row: Ints, col: Ints, weight: Floats | float
) -> pd.DataFrame:
    """The table of `score_parts`; parts that are zero are no reason."""
    table = pd.DataFrame(
        {"pair": pair, "reason": reason, "amount": amount, "row": row, "col": col, "weight": weight}
    )
    return table[table["amount"] != 0].reset_index(drop=True)


def item_table(
    pair: Ints, cols: Ints, amount: Floats, row: Ints, source: Ints, weight: Floats
) -> pd.DataFrame:
    """The table of parts that each come from one item: another one, or the recommended item itself."""
    return parts_table(pair, np.where(source == cols[pair], OWN, TOGETHER), amount, row, source, weight)
