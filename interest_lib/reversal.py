"""Two groups of users made indistinguishable: a discriminator behind a gradient that is turned round."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from interest_lib.history import Ints

_STEEP: Final = 10.0  # how fast the weight of the discriminator grows, from the paper


class _Reversal(torch.autograd.Function):
    """Hands its input on, and the gradient back with the opposite sign."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, weight: float) -> Tensor:
        context.weight = weight
        return hidden.view_as(hidden)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.weight * gradients[0], None


def reversed_gradient(hidden: Tensor, weight: float) -> Tensor:
    """The same values; what is learned through them is unlearned before them, `weight` times as fast.

    Parameters
    ----------
    hidden : Tensor of float
    weight : float
        0 stops the gradient: what stands behind learns, what stands before does not notice.

    References
    ----------
    Ganin et al. (2016), Domain-Adversarial Training of Neural Networks.

    Examples
    --------
    >>> hidden = torch.ones(2, requires_grad=True)
    >>> reversed_gradient(hidden, 0.5).sum().backward()
    >>> hidden.grad
    tensor([-0.5000, -0.5000])
    """
    found: Tensor = _Reversal.apply(hidden, weight)  # type: ignore[no-untyped-call]
    return found


def discriminator(n_hidden: int) -> nn.Sequential:
    """A small network that tells two groups apart: one logit for the second."""
    return nn.Sequential(nn.Linear(n_hidden, 32), nn.ReLU(), nn.Linear(32, 1))


def ramp(progress: float) -> float:
    """Weight of the reversed gradient while training goes on, from 0 to 1 (Ganin et al. 2016).

    Examples
    --------
    >>> [round(ramp(progress), 3) for progress in (0.0, 0.1, 0.5, 1.0)]
    [0.0, 0.462, 0.987, 1.0]
    """
    return float(2.0 / (1.0 + np.exp(-_STEEP * progress)) - 1.0)


def group_loss(logits: Tensor, group: Ints) -> Tensor:
    """Cross-entropy of the discriminator, both groups counting the same; rows of neither are left out."""
    kept = torch.from_numpy(group >= 0)
    truth = torch.from_numpy(group).float()[kept]
    share = truth.mean()
    if not 0 < float(share) < 1:
        return logits.sum() * 0.0
    weights = torch.where(truth > 0, 0.5 / share, 0.5 / (1 - share))
    return nn.functional.binary_cross_entropy_with_logits(logits[kept, 0], truth, weights)
