"""Item-to-item ridge regression (EASE) of two groups of users, one of them with a weight or as a prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from interest_lib.history import Floats
from interest_lib.schema import InputError

_T = TypeVar("_T")

_KEPT: Final = 12  # products of a model: target users, and some ways to weigh the histories of held-out ones


def ridge_inverse(gram: Floats, ridge: float) -> Floats:
    """``(gram + ridge * I)^-1`` by Cholesky, in double precision.

    Parameters
    ----------
    gram : ndarray of float, shape (n_items, n_items)
        ``X'X``; stays as it is.
    ridge : float
        L2 penalty, above 0.

    Raises
    ------
    InputError
        When the matrix cannot be inverted.

    Examples
    --------
    >>> ridge_inverse(np.diag([1.0, 3.0]), ridge=1.0)
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    matrix = np.array(gram, order="F")
    matrix[np.diag_indices_from(matrix)] += ridge
    try:
        factor = scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        raise InputError(
            f"A ridge regression cannot be solved with ridge {ridge:g}: give a larger ridge."
        ) from None
    inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    # above the diagonal the factor is zero, and stays so
    whole = np.add(inverse, inverse.T, order="C")
    whole[np.diag_indices_from(whole)] = np.diag(inverse)
    return np.asarray(whole)


def remembered(
    found: list[tuple[tuple[object, ...], _T]], key: tuple[object, ...], n_kept: int, make: Callable[[], _T]
) -> _T:
    """What was made for the same object (the first of the key) and an equal rest of it, or made now.

    Parameters
    ----------
    found : list of (key, value)
        What is remembered, the latest used first; changed in place.
    key : tuple
        Begins with a large object, such as a matrix, of which the identity counts.
    n_kept : int
        Values that are remembered.
    make : callable

    Examples
    --------
    >>> found, users = [], np.eye(2)
    >>> [remembered(found, (users, n), 2, lambda: n + 1) for n in (1, 2, 1, 3)], [key[1] for key, _ in found]
    ([2, 3, 2, 4], [3, 1])
    """
    place = next((i for i, (k, _) in enumerate(found) if k[0] is key[0] and k[1:] == key[1:]), None)
    value = make() if place is None else found.pop(place)[1]
    found[:] = [(key, value), *found[: n_kept - 1]]
    return value


class SourceModel:
    """EASE of the source users, from which models of both groups follow without another large inversion.

    Parameters
    ----------
    gram : ndarray of float, shape (n_items, n_items)
        ``X'X`` of the source users.
    ridge : float
        L2 penalty at a source user's weight of 1.

    Notes
    -----
    EASE (Steck 2019) has ``B = I - P / diag(P)`` with ``P = (X'X + ridge * I)^-1``: histories `given` score
    ``given - given P / diag(P)``. With source users of weight `w` and target users `T`, ``P`` becomes
    ``(w X'X + T'T + w ridge I)^-1``. By Woodbury's identity that needs, beside the source's own ``P``, an
    inversion as large as there are target users; where these are more than items, it is inverted outright.

    Examples
    --------
    >>> source, target = sp.csr_matrix([[1.0, 1.0], [1.0, 0.0]]), sp.csr_matrix([[0.0, 1.0]])
    >>> model = SourceModel((source.T @ source).toarray(), ridge=1.0)
    >>> both = (0.5 * source.T @ source + target.T @ target).toarray()
    >>> P = ridge_inverse(both, 0.5)
    >>> given = sp.csr_matrix([[1.0, 0.0]])
    >>> np.allclose(model.pooled(target, weight=0.5)(given), given.toarray() - given @ P / np.diag(P))
    True
    """

    def __init__(self, gram: Floats, ridge: float) -> None:
        self.gram, self.ridge = gram, ridge
        self.inverse = ridge_inverse(gram, ridge)
        self._products: list[tuple[tuple[object, ...], Floats]] = []

    def projected(self, users: sp.csr_matrix) -> Floats:
        """`users` times the inverse; kept for the last few matrices, which many models are asked about.

        It is the same array every time: do not change it.
        """
        return remembered(self._products, (users,), _KEPT, lambda: np.asarray(users @ self.inverse))

    def scores(self, given: sp.csr_matrix) -> Floats:
        """Scores of the source's own model, shape (n_given, n_items)."""
        return _ease_scores(given, self.projected(given), np.diag(self.inverse))

    def pooled(self, target: sp.csr_matrix, weight: float) -> Callable[[sp.csr_matrix], Floats]:
        """A model of both groups, in which a source user weighs `weight` and a target user 1.

        Minimises ``weight (|S - S B|^2 + ridge |B|^2) + |T - T B|^2`` over ``B`` with an empty diagonal, `S`
        and `T` being the users of source and target.

        Parameters
        ----------
        target : scipy.sparse.csr_matrix of float, shape (n_target, n_items)
        weight : float
            Above 0; 1 is plain pooling.

        Returns
        -------
        callable
            Histories, shape (n_given, n_items), to their scores.
        """
        if target.shape[0] > target.shape[1]:
            return _inverted(weight * self.gram + (target.T @ target).toarray(), weight * self.ridge)
        return _updated(target, self.projected(target), weight, self.projected, np.diag(self.inverse))

    def fine_tuned(self, target: sp.csr_matrix, ridge: float) -> Callable[[sp.csr_matrix], Floats]:
        """A model of the target that is drawn towards the source's one instead of towards zero.

        Minimises ``|T - T B|^2 + ridge |B - B_source|^2`` over ``B`` with an empty diagonal: what
        pre-training left is the mean of the prior, and a large `ridge` stays there.

        Parameters
        ----------
        target : scipy.sparse.csr_matrix of float, shape (n_target, n_items)
        ridge : float
            Above 0.

        Returns
        -------
        callable
            Histories, shape (n_given, n_items), to their scores.

        Notes
        -----
        With ``E = T - T B_source`` and ``K = T T' + ridge I`` the solution is ``B_source + T' K^-1 E - Q c``,
        where ``Q = (T'T + ridge I)^-1 = (I - T' K^-1 T) / ridge`` and ``c`` empties the diagonal.
        """
        if target.shape[0] > target.shape[1]:
            return self._fine_tuned_by_items((target.T @ target).toarray(), ridge)
        missed = self.projected(target) / np.diag(self.inverse)
        inner = _symmetric((target @ target.T).toarray())
        inner[np.diag_indices_from(inner)] += ridge
        factor = _factor(inner)
        toward = scipy.linalg.cho_solve(factor, missed, check_finite=False)
        own = scipy.linalg.cho_solve(factor, target.toarray(), check_finite=False)
        emptied = _column_sums(target, toward) / ((1 - _column_sums(target, own)) / ridge)

        def scores(given: sp.csr_matrix) -> Floats:
            shared = (given @ target.T).toarray()
            left = (given.toarray() - shared @ own) / ridge
            return np.asarray(self.scores(given) + shared @ toward - left * emptied)

        return scores

    def _fine_tuned_by_items(self, gram: Floats, ridge: float) -> Callable[[sp.csr_matrix], Floats]:
        """`fine_tuned` from the target's Gram matrix, which is smaller where users are many."""
        left = ridge_inverse(gram, ridge)
        moved = left @ (gram @ self.inverse / np.diag(self.inverse))  # gram (I - B_source)
        moved -= left * (np.diag(moved) / np.diag(left))
        return lambda given: np.asarray(self.scores(given) + given @ moved)


def target_model(target: sp.csr_matrix, ridge: float) -> Callable[[sp.csr_matrix], Floats]:
    """EASE of the target users alone: what `SourceModel.pooled` is without any source users.

    Parameters
    ----------
    target : scipy.sparse.csr_matrix of float, shape (n_target, n_items)
    ridge : float
        Above 0.

    Returns
    -------
    callable
        Histories, shape (n_given, n_items), to their scores.

    Examples
    --------
    >>> users = sp.csr_matrix([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    >>> few, many = target_model(users[:2], ridge=1.0), target_model(users, ridge=1.0)
    >>> few(users[:1]).round(2), many(users[:1]).round(2)
    (array([[0.33, 0.5 ]]), array([[0.5 , 0.67]]))
    """
    if target.shape[0] > target.shape[1]:
        return _inverted((target.T @ target).toarray(), ridge)
    return _updated(target, target.toarray() / ridge, 1.0, lambda given: given.toarray() / ridge, 1.0 / ridge)


def _inverted(gram: Floats, ridge: float) -> Callable[[sp.csr_matrix], Floats]:
    inverse = ridge_inverse(gram, ridge)
    return lambda given: _ease_scores(given, given @ inverse, np.diag(inverse))


def _updated(
    target: sp.csr_matrix,
    known: Floats,
    weight: float,
    projected: Callable[[sp.csr_matrix], Floats],
    diagonal: Floats | float,
) -> Callable[[sp.csr_matrix], Floats]:
    """A model with the target users put in by Woodbury's identity; `known` are they, times the inverse."""
    inner = _symmetric(target @ known.T)
    inner[np.diag_indices_from(inner)] += weight
    taken = scipy.linalg.cho_solve(_factor(inner), known, check_finite=False)
    left = diagonal - np.einsum("ij,ij->j", known, taken)
    turned = np.ascontiguousarray(known.T)  # once, and not at every product
    return lambda given: _ease_scores(given, projected(given) - (given @ turned) @ taken, left)


def _ease_scores(given: sp.csr_matrix, projected: Floats, diagonal: Floats) -> Floats:
    return np.asarray(given.toarray() - projected / diagonal)


def _column_sums(sparse: sp.csr_matrix, dense: Floats) -> Floats:
    return np.asarray(sparse.multiply(dense).sum(axis=0)).ravel()


def _factor(matrix: Floats) -> tuple[Floats, bool]:
    factor: tuple[Floats, bool] = scipy.linalg.cho_factor(matrix, lower=True, check_finite=False)
    return factor


def _symmetric(matrix: Floats) -> Floats:
    return np.asarray(matrix + matrix.T) / 2
