"""Users of two groups as the network reads them in training: what they met, cut and hidden, as bags."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from interest_lib.group_network import EVIDENCE
from interest_lib.history import Bools, Floats, Ints

_Single = npt.NDArray[np.float32]


class Meetings(NamedTuple):
    """What some users met, one entry a meeting.

    Attributes
    ----------
    rows : scipy.sparse.csr_matrix of float, shape (n_users, n_items)
        The users' rows of `Learners.met`.
    user : ndarray of int
        Place of the user of every entry among those who were asked for.
    """

    rows: sp.csr_matrix
    user: Ints

    @property
    def place(self) -> _Single:
        """Place of the item of every entry in the order in which the user met them, from 1 on."""
        return np.asarray(self.rows.data)

    def of_cells(self, cells: _Single) -> _Single:
        """The value of every entry in a dense array, shape (n_users, n_items)."""
        return cells.ravel().take(self.user * cells.shape[1] + self.rows.indices)

    def dense(self, values: _Single) -> Tensor:
        """A value for every entry in its cell and zero in the others, shape (n_users, n_items)."""
        # torch's own memory is aligned: products of other arrays may differ in their last digits
        found = torch.zeros(self.rows.shape)
        entries = (values, self.rows.indices, self.rows.indptr)
        sp.csr_matrix(entries, shape=self.rows.shape).toarray(out=found.numpy())
        return found


@dataclass(frozen=True)
class Learners:
    """Users who are learned from.

    Dense rows are made of few users at a time, and all that is done to them before is done to the meetings.

    Attributes
    ----------
    met : scipy.sparse.csr_matrix of float, shape (n_users, n_items)
        Places of the items met, as in `groups.GroupTask`.
    attributes : scipy.sparse.csr_matrix, shape (n_users, n_attributes)
    group : ndarray of int, shape (n_users,)
        1 for users of the target.
    share : ndarray of float, shape (n_users,)
        How often each is drawn.

    Examples
    --------
    >>> met = sp.csr_matrix(np.array([[1.0, 0.0, 2.0]], dtype=np.float32))
    >>> users = np.array([0])
    >>> learners = Learners(met, sp.csr_matrix((1, 0)), np.array([1]), np.array([1.0]))
    >>> found = learners.meetings(users)
    >>> learners.bags(users, found, found.place < 2).round(decimals=2)
    tensor([[0.3000, 0.0000, 0.0000]])
    """

    met: sp.csr_matrix
    attributes: sp.csr_matrix
    group: Ints
    share: Floats

    @cached_property
    def last(self) -> _Single:
        """Place of the item met last, shape (n_users, 1)."""
        return np.asarray(self.met.max(axis=1).toarray(), dtype=np.float32)

    def meetings(self, users: Ints) -> Meetings:
        """What some users met."""
        rows = self.met[users]
        return Meetings(rows, np.repeat(np.arange(len(users)), np.diff(rows.indptr)))

    def bags(self, users: Ints, met: Meetings, seen: Bools) -> Tensor:
        """Bags of the items that are seen beside attributes, for `GroupNetwork.encode`."""
        n_seen = np.bincount(met.user, weights=seen, minlength=len(users)).astype(np.float32)
        length = torch.ones(len(users)) / torch.sqrt(torch.from_numpy(n_seen) + EVIDENCE)
        bags = met.dense(length.numpy()[met.user] * seen)
        if not self.attributes.shape[1]:
            return bags
        known = torch.from_numpy(self.attributes[users].toarray().astype(np.float32))
        return torch.cat([bags, known], dim=1)
