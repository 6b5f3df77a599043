"""What some objectives remember from step to step.

All of it is buffers, and so part of the training's state: a killed run goes on to the same bytes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Memory(nn.Module):
    """Remembers nothing."""

    def held(self) -> Tensor:
        """Returns what the loss is to see."""
        return torch.empty(0)

    def update(self, targets: Tensor) -> None:
        """Takes in the targets of a step, (2N, D): both views."""


class Queue(Memory):
    """The newest rows, first in, first out; empty at the start.

    Reference:
        He et al. 2020, "Momentum Contrast". There the queue starts with random rows; ours with none, which draws nothing and tells no
        object from noise.
    """

    rows: Tensor
    count: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, width))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def held(self) -> Tensor:
        """Returns (Q, D), newest first; Q is 0 at the start and at most the size."""
        return self.rows[: int(self.count)]

    def update(self, targets: Tensor) -> None:
        size = len(self.rows)
        self.rows.copy_(torch.cat([targets, self.rows])[:size])
        self.count.add_(len(targets)).clamp_(max=size)


class Centre(Memory):
    """The running mean of the targets; zero at the start.

    Reference:
        Caron et al. 2021 (DINO), equation 4.
    """

    mean: Tensor

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(1, width))

    def held(self) -> Tensor:
        """Returns (1, D)."""
        return self.mean

    def update(self, targets: Tensor) -> None:
        self.mean.mul_(self.momentum).add_(targets.mean(dim=0, keepdim=True), alpha=1 - self.momentum)
