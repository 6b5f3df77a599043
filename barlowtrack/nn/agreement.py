"""How good an embedding is without knowing who is who."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from barlowtrack.errors import InputError


def mutual_neighbours(z1: Tensor, z2: Tensor) -> Tensor:
    """Returns (N,) bool: row i of z1 and row i of z2, unit vectors, are each other's nearest within the volume."""
    similarity = z1 @ z2.T  # (N, N)
    own = torch.arange(len(z1), device=z1.device)
    return (similarity.argmax(dim=1) == own) & (similarity.argmax(dim=0) == own)


def round_trips(vectors: Sequence[Tensor]) -> float:
    """Returns how often the way from a nucleus to its nearest in a second volume, from there in a third and back ends where it began.

    It asks what training has not shown, and needs no labels: whether looks agree between postures.

    Args:
        vectors: (n, D) unit vectors of each volume, in order of time; every volume is once first, second and third.

    Returns:
        A share in [0, 1]; NaN for fewer than three volumes with nuclei.
    """
    filled = [z.float() for z in vectors if len(z)]
    if len(filled) < 3:
        return math.nan
    step = max(1, len(filled) // 3)  # far apart in time
    closed = []
    for i, first in enumerate(filled):
        second, third = filled[(i + step) % len(filled)], filled[(i + 2 * step) % len(filled)]
        there = (first @ second.T).argmax(dim=1)
        onward = (second @ third.T).argmax(dim=1)[there]
        back = (third @ first.T).argmax(dim=1)[onward]
        closed.append(back == torch.arange(len(first), device=back.device))
    return float(torch.cat(closed).double().mean())


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
