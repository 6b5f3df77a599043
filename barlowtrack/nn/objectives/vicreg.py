"""VICReg: two views agree, every feature varies, and no two features say the same.

Reference:
    Bardes, Ponce & LeCun 2022, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", Algorithm 1.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from barlowtrack.nn.objectives.pairs import expect_pairs

_EPSILON = 1e-4  # under the root, so that a constant feature has a finite gradient


def vicreg(z1: Tensor, z2: Tensor, *, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> Tensor:
    """Returns invariance * s + variance * v + covariance * c, weights as published.

    s is the mean square difference over all N D numbers (as in Algorithm 1, whose weights these are; the text of the paper sums over
    features), v the mean over features and views of what their standard deviation lacks to 1 (Algorithm 1: half the sum of both
    views), c the sum of squared off-diagonal covariances of both views, divided by D. Of one object there is no variance: it counts
    as 0.

    Args:
        z1: (N, D) first view.
        z2: (N, D) second view, row by row the same objects.
        invariance: Weight of s.
        variance: Weight of v.
        covariance: Weight of c.
    """
    expect_pairs(z1, z2)
    lacking = (_lacking_spread(z1) + _lacking_spread(z2)) / 2
    return invariance * functional.mse_loss(z1, z2) + variance * lacking + covariance * (_redundancy(z1) + _redundancy(z2))


def _lacking_spread(z: Tensor) -> Tensor:
    centred = z - z.mean(dim=0)
    spread = (centred.square().sum(dim=0) / max(len(z) - 1, 1) + _EPSILON).sqrt()  # (D,)
    return functional.relu(1 - spread).mean()


def _redundancy(z: Tensor) -> Tensor:
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / max(len(z) - 1, 1)  # (D, D)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]
