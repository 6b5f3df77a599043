"""What the losses of two views share: row i of both is the same object, and only directions count where a loss is one of cosines."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_LEAST_NORM = 1e-6  # of a row; a row of zeros stays zero, and its gradient moderate


def expect_pairs(z1: Tensor, z2: Tensor) -> None:
    """Refuses what are not two views (N, D) of the same N >= 1 objects."""
    if z1.ndim != 2 or z1.shape != z2.shape or not len(z1):
        raise ValueError(f"views: expected two tensors of one shape (N, D) with N >= 1, got {tuple(z1.shape)} and {tuple(z2.shape)}")


def unit(z: Tensor) -> Tensor:
    """Returns rows of length 1."""
    return functional.normalize(z, dim=1, eps=_LEAST_NORM)
