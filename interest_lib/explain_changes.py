"""What is told to happen to scores without some evidence, and the models to see it with."""

from __future__ import annotations

from copy import copy
from functools import singledispatch

import numpy as np
import scipy.sparse as sp

from interest_lib.decay import decayed_counts
from interest_lib.ease import EASE
from interest_lib.explain_parts import NOBODY, cells_of, lent_shares
from interest_lib.history import History, Ints
from interest_lib.item_neighbours import ItemNeighbours
from interest_lib.recommend import InterestRecommender, NearestUsers, ScoringRecommender
from interest_lib.schema import InputError


@singledispatch
def told_changes(model: object, rows: Ints, evidence_rows: Ints, evidence_cols: Ints) -> sp.csr_matrix:
    """By how much users' scores fall without some evidence, as the amounts tell.

    Parameters
    ----------
    model : ScoringRecommender
        A fitted one whose parts have events behind them.
    rows : ndarray of int, shape (n_cases,)
        Whose scores.
    evidence_rows, evidence_cols : ndarray of int, shape (n_cells,)
        Whose events on which item are taken away, all of them at once.

    Returns
    -------
    scipy.sparse.csr_matrix of float, shape (n_cases, n_items)
        The sum of the amounts that this evidence has in the explanation of every item.

    Raises
    ------
    InputError
        The amounts of this kind of model do not tell what happens without the evidence.
    """
    raise InputError(
        f"The amounts of {type(model).__name__} do not tell what happens without evidence: try a model of "
        "counts, of neighbours, or EASE."
    )


@told_changes.register
def _own_changes(
    model: InterestRecommender, rows: Ints, evidence_rows: Ints, evidence_cols: Ints
) -> sp.csr_matrix:
    return sp.csr_matrix(_taken(model.interest_, evidence_rows, evidence_cols)[rows])


@told_changes.register
def _own_and_lent_changes(
    model: NearestUsers, rows: Ints, evidence_rows: Ints, evidence_cols: Ints
) -> sp.csr_matrix:
    taken = _taken(model.interest_, evidence_rows, evidence_cols)
    return sp.csr_matrix(model.own_weight * taken[rows] + lent_shares(model, rows) @ taken)


@told_changes.register
def _similar_items_change(
    model: ItemNeighbours, rows: Ints, evidence_rows: Ints, evidence_cols: Ints
) -> sp.csr_matrix:
    return sp.csr_matrix(_taken(model.interest_, evidence_rows, evidence_cols)[rows] @ model.similarity_)


@told_changes.register
def _all_items_change(model: EASE, rows: Ints, evidence_rows: Ints, evidence_cols: Ints) -> sp.csr_matrix:
    place = np.full(len(model.history_.item_ids), NOBODY)
    place[model.columns_] = np.arange(len(model.columns_))
    inside = place[evidence_cols] >= 0
    taken = _taken(model.input_, evidence_rows[inside], place[evidence_cols[inside]])
    changes = np.zeros((len(rows), len(place)))
    changes[:, model.columns_] = taken[rows] @ model.weights_
    return sp.csr_matrix(changes)


def _taken(matrix: sp.csr_matrix, rows: Ints, cols: Ints) -> sp.csr_matrix:
    """The given cells of a matrix, and nothing else."""
    cells = np.unique(rows * matrix.shape[1] + cols)
    rows, cols = np.divmod(cells, matrix.shape[1])
    return sp.csr_matrix((cells_of(matrix, rows, cols), (rows, cols)), shape=matrix.shape)


@singledispatch
def with_evidence(model: ScoringRecommender, history: History) -> ScoringRecommender:
    """The same model, nothing learned anew, scoring what is left in a history with the same codes.

    Parameters
    ----------
    model : ScoringRecommender
        A fitted one; it is not changed.
    history : History
        Users, items and origin of the model's own, other events.

    Raises
    ------
    InputError
        A model of this kind cannot be kept while its evidence changes.
    """
    raise InputError(f"{type(model).__name__} cannot keep its weights: fit it anew instead.")


@with_evidence.register(InterestRecommender)
def _learned_is_evidence(model: InterestRecommender, history: History) -> ScoringRecommender:
    other = copy(model)
    return other.fit(history)  # it has nothing but the evidence


@with_evidence.register
def _same_neighbours(model: NearestUsers, history: History) -> ScoringRecommender:
    other = copy(model)
    other.history_ = history
    other.interest_ = decayed_counts(history, model.half_life_days, model.half_life_baskets)
    return other


@with_evidence.register
def _same_similarity(model: ItemNeighbours, history: History) -> ScoringRecommender:
    other = copy(model)
    other.history_ = history
    other.interest_ = decayed_counts(history, model.half_life_days, model.half_life_baskets)
    if model.binary:
        other.interest_.data[:] = 1.0
    return other


@with_evidence.register
def _same_weights(model: EASE, history: History) -> ScoringRecommender:
    counts = decayed_counts(history, model.half_life_days, model.half_life_baskets)
    model.weights_  # noqa: B018  (worked out from the old input, if it was solved among users)
    other = copy(model)
    other.history_, other.among_users_ = history, False
    other.input_ = sp.csr_matrix(counts[:, model.columns_].log1p())
    return other
