"""What some objectives hang behind the projector; dropped after training.

Published heads normalise over the batch. Ours normalise over features (LayerNorm), like the projector and for its reason: a batch is
one volume of some 20 to 200 objects, and what they have in common is information. BYOL is known to learn without batch statistics
(Richemond et al. 2020, "BYOL works even without batch statistics"); SimSiam learns worse without them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from barlowtrack.nn.objectives.pairs import unit


class Predictor(nn.Module):
    """Two layers that guess one view's projection from the other's."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, z: Tensor) -> Tensor:
        predicted: Tensor = self.layers(z)  # (N, P)
        return predicted


class Prototypes(nn.Module):
    """Cosines of projections with learned unit vectors."""

    def __init__(self, width: int, n_prototypes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_prototypes, width))

    def forward(self, z: Tensor) -> Tensor:
        return functional.linear(unit(z), unit(self.weight))  # (N, K)
