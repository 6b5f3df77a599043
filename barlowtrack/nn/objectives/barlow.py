"""Barlow Twins with the cross-object term: pure functions of two tensors.

Reference:
    Zbontar et al. 2021, "Barlow Twins", for the feature term; Fieseler et al. 2025, "BarlowTrack", for its transpose over objects.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from barlowtrack.nn.objectives.pairs import expect_pairs


class Terms(NamedTuple):
    """The loss and its two parts, each before its weight."""

    loss: Tensor
    feature: Tensor
    object: Tensor


def standardise(z: Tensor, dim: int) -> Tensor:
    """Returns z with mean 0 and variance 1 along dim; what is constant along dim becomes 0, with finite gradients.

    Constant means: varying by no more than rounding. The test is relative, so that scaling z changes nothing.
    """
    centred = z - z.mean(dim=dim, keepdim=True)
    variance = centred.square().mean(dim=dim, keepdim=True)
    rounding = 8 * torch.finfo(z.dtype).eps * z.detach().abs().amax(dim=dim, keepdim=True)
    varies = variance.detach() > rounding.square()
    return centred * varies / torch.where(varies, variance, 1.0).sqrt()


def feature_correlation(z1: Tensor, z2: Tensor) -> Tensor:
    """Returns (D, D): how features of two views (N, D) correlate over the objects."""
    return standardise(z1, 0).T @ standardise(z2, 0) / len(z1)


def object_correlation(z1: Tensor, z2: Tensor) -> Tensor:
    """Returns (N, N): how objects of two views (N, D) correlate over the features."""
    return standardise(z1, 1) @ standardise(z2, 1).T / z1.shape[1]


def diagonal_and_rest(correlation: Tensor) -> tuple[Tensor, Tensor]:
    """Returns sum_i (1 - C_ii)^2 and sum_{i != j} C_ij^2."""
    diagonal = correlation.diagonal()
    rest = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum(), rest.clamp(min=0)


def barlow_terms(
    z1: Tensor, z2: Tensor, *, alpha: float, lambda_off_diagonal: float, lambda_object: float | None = None, per_object: bool = False
) -> Terms:
    """Returns (1 - alpha) * feature term + alpha * object term, as published unless per_object is set.

    Each term is [sum_i (1 - C_ii)^2 + lambda * sum_{i != j} C_ij^2] / numel(C). So the fewer the objects beside the D features, the more
    the object term weighs against the feature term (docs/decisions/0009-objective-balance.md); per_object divides it by N, not N^2.

    Args:
        z1: (N, D) first view of all objects of one volume.
        z2: (N, D) second view, row by row the same objects.
        alpha: Weight of the object term in [0, 1]; 0 is plain Barlow Twins.
        lambda_off_diagonal: Weight of the off-diagonal correlations.
        lambda_object: The same in the object term only; None: lambda_off_diagonal.
        per_object: Divide the object term by N instead of N^2.

    Returns:
        Loss and terms, scalars. Finite for a single object and for constant features too.
    """
    expect_pairs(z1, z2)
    n, d = z1.shape
    on, off = diagonal_and_rest(feature_correlation(z1, z2))
    feature = (on + lambda_off_diagonal * off) / d**2
    on, off = diagonal_and_rest(object_correlation(z1, z2))
    object_ = (on + (lambda_off_diagonal if lambda_object is None else lambda_object) * off) / (n if per_object else n**2)
    return Terms((1 - alpha) * feature + alpha * object_, feature, object_)
