"""What MoCo remembers from step to step."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Queue(nn.Module):
    """The newest rows, first in, first out; empty at the start.

    Rows and count are buffers, and so part of the training's state: a killed run goes on to the same bytes.

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

    def push(self, newest: Tensor) -> None:
        """Puts (M, D) rows in front; what is beyond the size falls out."""
        size = len(self.rows)
        self.rows.copy_(torch.cat([newest, self.rows])[:size])
        self.count.add_(len(newest)).clamp_(max=size)
