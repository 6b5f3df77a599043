"""Everything that learns, or helps to, as one module: its state is all that a training must keep beside its optimiser."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from barlowtrack.nn.device import half_precision
from barlowtrack.nn.encoder import Encoder, Projector
from barlowtrack.nn.objectives.barlow import Terms
from barlowtrack.nn.objectives.table import Objective, Seen
from barlowtrack.nn.queue import Queue


def momentum_at(share: float, start: float, end: float) -> float:
    """Returns the teacher's momentum after a share of the training, from start to end as a cosine.

    Reference:
        Grill et al. 2020 (BYOL), section 3.2.
    """
    return end - (end - start) * (math.cos(math.pi * share) + 1) / 2


class Branch(nn.Module):
    """Crops to projections and what the head makes of them."""

    def __init__(self, encoder: Encoder, projector: Projector, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self.head = head

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        with half_precision(crops.device):
            z = self.projector(self.encoder.represent(crops))  # (N, P)
        z = z.float()
        return z, self.head(z)  # the head in full precision: temperatures magnify rounding


class Learner(Branch):
    """A network, the objective it is taught by, and what that needs: head, teacher, queue.

    Nothing in it normalises over the batch: a batch is one volume of 20 to 200 objects, and what they have in common is information.

    Attributes:
        teacher: A running mean of the network, without gradient; None where the objective has none.
        queue: Targets of steps before; None where the objective has none.
    """

    def __init__(
        self,
        encoder: Encoder,
        projector: Projector,
        objective: Objective,
        barlow: Callable[[Tensor, Tensor], Terms],
        temperature: float | None = None,
    ) -> None:
        """Takes a network and draws the rest.

        Args:
            encoder: Kept after training.
            projector: Behind it.
            objective: A row of the table.
            barlow: Terms of Barlow Twins of two views, for the objectives made of them, and told beside any other.
            temperature: Of the objective; None: as published.
        """
        super().__init__(encoder, projector, objective.head(projector.width))
        self.objective = objective
        self.barlow = barlow
        self.temperature = objective.temperature if temperature is None else temperature
        self.queue = Queue(objective.queue, projector.width) if objective.queue else None
        self.teacher: Branch | None = None
        if objective.momentum is not None:
            taught = self.head if objective.teaches_head else nn.Identity()
            self.teacher = Branch(*copy.deepcopy((encoder, projector, taught))).requires_grad_(False)
        self._fresh: Tensor | None = None

    def taught(self) -> list[nn.Parameter]:
        """Returns the parameters that the optimiser is to change."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def loss(self, view1: Tensor, view2: Tensor) -> Terms:
        """Returns the loss of two views of the same N objects, and beside it the terms of Barlow Twins, whatever the objective.

        Args:
            view1: (N, Z, Y, X) crops of one volume.
            view2: (N, Z, Y, X) row by row the same objects, of the same volume or another.
        """
        views = torch.cat([view1, view2])
        z, p = self(views)  # (2N, P), (2N, .)
        with torch.no_grad():
            targets = z.detach() if self.teacher is None else self.teacher(views)[1]
        z1, z2 = z.chunk(2)
        p1, p2 = p.chunk(2)
        t1, t2 = targets.chunk(2)
        terms = self.barlow(z1, z2)
        if self.training:
            self._fresh = targets
        held = targets[:0] if self.queue is None else self.queue.held()
        seen = Seen((z1, z2), (p1, p2), (t1, t2), terms, held, self.temperature)
        return terms._replace(loss=self.objective.loss(seen))

    @torch.no_grad()
    def after_step(self, step: int, n_steps: int) -> None:
        """Lets teacher and queue follow once the optimiser has moved.

        Args:
            step: Steps of the whole training done before this one.
            n_steps: Of the whole training.
        """
        if self.teacher is not None and self.objective.momentum is not None:
            momentum = momentum_at(step / n_steps, *self.objective.momentum)
            own = dict(self.named_parameters())
            for name, parameter in self.teacher.named_parameters():
                parameter.mul_(momentum).add_(own[name], alpha=1 - momentum)
        if self.queue is not None and self._fresh is not None:
            self.queue.push(self._fresh)
        self._fresh = None
