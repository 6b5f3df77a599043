"""How good an embedding is without knowing who is who."""

from __future__ import annotations

import torch
from torch import Tensor

from barlowtrack.errors import InputError


def mutual_neighbours(z1: Tensor, z2: Tensor) -> Tensor:
    """Returns (N,) bool: row i of z1 and row i of z2, unit vectors, are each other's nearest within the volume."""
    similarity = z1 @ z2.T  # (N, N)
    own = torch.arange(len(z1), device=z1.device)
    return (similarity.argmax(dim=1) == own) & (similarity.argmax(dim=0) == own)


def effective_rank(z: Tensor) -> float:
    """Returns how many directions (N, D) really uses: exp of the entropy of its normalised singular values about the mean.

    0 where all rows are equal.

    Raises:
        InputError: numbers that are not finite.

    Reference:
        Roy & Vetterli 2007, "The effective rank".
    """
    if not bool(torch.isfinite(z).all()):
        raise InputError("embedding: expected finite numbers, got NaN or infinity; try a smaller train.learning_rate")
    centred = (z - z.mean(dim=0)).double().cpu()
    values = torch.linalg.svdvals(centred)
    if len(z) == 0 or float(values.sum()) <= 1e-6 * len(z) ** 0.5:
        return 0.0
    share = values / values.sum()
    return float(torch.exp(torch.special.entr(share).sum()))
