"""OBJECTIVES: the table that alone knows what each objective of the settings needs beside encoder and projector.

Numbers are as published unless a comment says otherwise; what was published for thousands of classes and millions of images is cut
to a volume of about 100 neurons and some thousand steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from barlowtrack.nn.heads import Predictor, Prototypes
from barlowtrack.nn.objectives.barlow import Terms
from barlowtrack.nn.objectives.contrastive import info_nce, nt_xent
from barlowtrack.nn.objectives.distillation import byol, centred, dino, simsiam
from barlowtrack.nn.objectives.swav import swav
from barlowtrack.nn.objectives.vicreg import vicreg

N_PROTOTYPES = 256
"""Published: 3000 (SwAV), 65536 (DINO)."""
EPSILON = 0.005
"""Published: 0.05 (SwAV). Without batch statistics projections are nearly parallel at first: its codes would be all alike, for good."""
QUEUE = 512
"""Published: 65536 (MoCo). Earlier volumes show the same neurons: about one key in N is a false negative, however long the queue."""
STEADY = (0.99, 0.99)
"""Published: 0.999 (MoCo), which takes 1000 steps to forget the random start: about as many as a training has."""
RISING = (0.996, 1.0)
QUICKER = (0.98, 1.0)
"""Published: as RISING (DINO), for a hundred times the steps."""
SHARP = 0.01
"""Temperature of the teacher; published: 0.04 (DINO). For the reason of EPSILON."""

Views = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Seen:
    """What a loss may look at: each of two views of N objects.

    Attributes:
        projections: (N, P) each.
        outputs: Of the head; the projections where there is none.
        targets: What the teacher makes of each view, no gradient; without a teacher the projections themselves, detached.
        barlow: The terms of Barlow Twins on the projections.
        queue: (Q, P) targets of the steps before, where they are kept.
        temperature: Of the settings, or as published.
    """

    projections: Views
    outputs: Views
    targets: Views
    barlow: Terms
    queue: Tensor
    temperature: float


def _no_head(_width: int) -> nn.Module:
    return nn.Identity()


@dataclass(frozen=True)
class Objective:
    """A row of the table.

    Attributes:
        loss: Pure function of what is seen.
        head: Makes what hangs behind the projector, given its width.
        momentum: Of the teacher, a running mean of the network: at the start and at the end of the training; None: there is no teacher.
        teaches_head: The teacher has the head, too; else it ends with the projector.
        queue: How many targets are kept from the steps before.
        temperature: As published, where there is one.
    """

    loss: Callable[[Seen], Tensor]
    head: Callable[[int], nn.Module] = _no_head
    momentum: tuple[float, float] | None = None
    teaches_head: bool = False
    queue: int = 0
    temperature: float = 1.0


def _moco(seen: Seen) -> Tensor:
    (q1, q2), (k1, k2) = seen.projections, seen.targets  # both ways round, as no view comes first here
    return (info_nce(q1, k2, seen.queue, seen.temperature) + info_nce(q2, k1, seen.queue, seen.temperature)) / 2


def _dino(seen: Seen) -> Tensor:
    centre = torch.cat(seen.targets).mean(dim=0, keepdim=True)  # published: a running mean; at first all scores move faster than it follows
    return dino(seen.outputs, seen.targets, centre, temperature=seen.temperature, teacher_temperature=SHARP)


def _prototypes(width: int) -> nn.Module:
    return Prototypes(width, N_PROTOTYPES)


def _predictor(width: int) -> nn.Module:
    return Predictor(width, 2 * width)  # published: 16 widths (BYOL); a quarter (SimSiam), with which it unlearned here


OBJECTIVES: dict[str, Objective] = {
    "barlow-object": Objective(lambda seen: seen.barlow.loss),
    "barlow": Objective(lambda seen: seen.barlow.feature),
    "object": Objective(lambda seen: seen.barlow.object),
    "vicreg": Objective(lambda seen: vicreg(*seen.projections)),
    "simclr": Objective(lambda seen: nt_xent(*seen.projections, seen.temperature), temperature=0.1),
    "moco": Objective(_moco, momentum=STEADY, queue=QUEUE, temperature=0.07),
    "swav": Objective(lambda seen: swav(*seen.outputs, seen.temperature, EPSILON), head=_prototypes, temperature=0.1),
    "byol": Objective(lambda seen: byol(*seen.outputs, *map(centred, seen.targets)), head=_predictor, momentum=RISING),
    "simsiam": Objective(lambda seen: simsiam(*seen.outputs, *map(centred, seen.targets)), head=_predictor),
    "dino": Objective(_dino, head=_prototypes, momentum=QUICKER, teaches_head=True, temperature=0.1),
}
