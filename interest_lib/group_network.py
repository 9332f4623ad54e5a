"""One network for two groups of users: items met become a representation, and that what they meet next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from interest_lib.groups import GroupTask
from interest_lib.history import Floats, Ints
from interest_lib.rate_network import one_thread
from interest_lib.reversal import discriminator

EVIDENCE: Final = 10.0
"""Items after which a bag has half of its full length, squared."""


class GroupNetwork(nn.Module):
    """Scores of all items from a bag of items met and the user's attributes.

    Parameters
    ----------
    n_items, n_attributes : int
        Columns; attributes enter by embeddings, each the row of a value.
    n_hidden : int
        Length of the representation.
    heads : bool
        Whether the target group has a head of its own, which adds to the shared one.

    Notes
    -----
    Multinomial likelihood over the items as in Liang et al. (2018), Variational Autoencoders for
    Collaborative Filtering; the two heads as in Evgeniou and Pontil (2004), Regularized Multi-task Learning.

    Examples
    --------
    >>> GroupNetwork(3, 0, 4, heads=True)(torch.ones(5, 3), torch.ones(5)).shape
    torch.Size([5, 3])
    """

    def __init__(self, n_items: int, n_attributes: int, n_hidden: int, heads: bool) -> None:
        super().__init__()
        self.settings = {
            "n_items": n_items,
            "n_attributes": n_attributes,
            "n_hidden": n_hidden,
            "heads": heads,
        }
        self.n_items = n_items
        self.encoder = nn.Linear(n_items + n_attributes, n_hidden)
        self.head = nn.Linear(n_hidden, n_items)
        self.own = nn.Linear(n_hidden, n_items) if heads else None
        if self.own is not None:
            nn.init.zeros_(self.own.weight)
            nn.init.zeros_(self.own.bias)
        self.discriminator = discriminator(n_hidden)

    def represent(self, known: Tensor) -> Tensor:
        """The representation, shape (n_users, n_hidden), of items met beside attributes."""
        bag = known[:, : self.n_items]
        bag = bag / torch.sqrt(bag.sum(dim=1, keepdim=True) + EVIDENCE)
        return self.encode(torch.cat([bag, known[:, self.n_items :]], dim=1))

    def encode(self, known: Tensor) -> Tensor:
        """`represent` for a bag that has its length already: one over the root of its items + `EVIDENCE`."""
        return torch.tanh(self.encoder(known))

    def forward(self, known: Tensor, of_target: Tensor) -> Tensor:
        """Logits of the items, shape (n_users, n_items); `of_target` is 1 for users of the target group."""
        return self.foretell(self.represent(known), of_target)

    def foretell(self, hidden: Tensor, of_target: Tensor) -> Tensor:
        """Logits of the items from the representation."""
        logits: Tensor = self.head(hidden)
        return logits if self.own is None else logits + of_target[:, None] * self.own(hidden)

    def strayed(self) -> Tensor:
        """Sum of squares of what the own head adds."""
        if self.own is None:
            return torch.zeros(())
        return (self.own.weight**2).sum() + 0.01 * (self.own.bias**2).sum()


def network_scorer(
    network: GroupNetwork, task: GroupTask, attributes: sp.csr_matrix | None = None
) -> Callable[[Ints], Floats]:
    """Scores of target users from what the task gives of them: rows to an array (n_rows, n_items)."""

    def score(rows: Ints) -> Floats:
        seen = (task.met[rows] > 0).astype(np.float32)
        both = seen if attributes is None else sp.csr_matrix(sp.hstack([seen, attributes[rows]]))
        with one_thread(), torch.no_grad():
            known = torch.from_numpy(both.toarray().astype(np.float32))
            return network(known, torch.ones(len(rows))).double().numpy()

    return score
