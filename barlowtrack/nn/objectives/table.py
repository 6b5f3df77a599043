"""OBJECTIVES: the table that alone knows what each objective of the settings needs beside encoder and projector.

Numbers are as published unless a comment says otherwise; what was published for thousands of classes and millions of images is cut
to a volume of about 100 neurons and some thousand steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from barlowtrack.nn.heads import Predictor, Prototypes
from barlowtrack.nn.memory import Centre, Memory, Queue
from barlowtrack.nn.objectives.barlow import Terms
from barlowtrack.nn.objectives.contrastive import info_nce, nt_xent
from barlowtrack.nn.objectives.distillation import byol, dino, simsiam
from barlowtrack.nn.objectives.swav import swav
from barlowtrack.nn.objectives.vicreg import vicreg

N_PROTOTYPES = 256  # published: 3000 (SwAV), 65536 (DINO)
QUEUE = (
    512  # published: 65536. Every earlier volume shows the same neurons again: longer adds no new ones, at any length 1 key in N is false
)
CENTRE_MOMENTUM = 0.9

Views = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Seen:
    """What a loss may look at: each of two views of N objects.

    Attributes:
        projections: (N, P) each.
        outputs: Of the head; the projections where there is none.
        targets: What the teacher makes of each view, no gradient; without a teacher the projections themselves, detached.
        barlow: The terms of Barlow Twins on the projections.
        memory: What is held from the steps before.
        temperature: Of the settings, or as published.
    """

    projections: Views
    outputs: Views
    targets: Views
    barlow: Terms
    memory: Tensor
    temperature: float


def _no_head(width: int) -> nn.Module:
    return nn.Identity()


def _no_memory(width: int) -> Memory:
    return Memory()


@dataclass(frozen=True)
class Objective:
    """A row of the table.

    Attributes:
        loss: Pure function of what is seen.
        head: Makes what hangs behind the projector, given its width.
        momentum: Of the teacher, a running mean of the network, after a share of the training; None: there is no teacher.
        teaches_head: The teacher has the head, too; else it ends with the projector.
        memory: Makes what is remembered, given the width of the projector.
        temperature: As published, where there is one.
    """

    loss: Callable[[Seen], Tensor]
    head: Callable[[int], nn.Module] = _no_head
    momentum: Callable[[float], float] | None = None
    teaches_head: bool = False
    memory: Callable[[int], Memory] = _no_memory
    temperature: float = 1.0


def rising(share: float) -> float:
    """Returns the teacher's momentum of BYOL and DINO after this share of the training: 0.996 at the start, 1 at the end, as a cosine."""
    return 1 - (1 - 0.996) * (math.cos(math.pi * share) + 1) / 2


def steady(share: float) -> float:
    """Returns the teacher's momentum of MoCo: published 0.999, but a training here has about as many steps as that takes to forget."""
    return 0.99


def _moco(seen: Seen) -> Tensor:
    (q1, q2), (k1, k2) = seen.projections, seen.targets  # both ways round, as no view comes first here
    return (info_nce(q1, k2, seen.memory, seen.temperature) + info_nce(q2, k1, seen.memory, seen.temperature)) / 2


OBJECTIVES: dict[str, Objective] = {
    "barlow-object": Objective(lambda seen: seen.barlow.loss),
    "barlow": Objective(lambda seen: seen.barlow.feature),
    "object": Objective(lambda seen: seen.barlow.object),
    "vicreg": Objective(lambda seen: vicreg(*seen.projections)),
    "simclr": Objective(lambda seen: nt_xent(*seen.projections, seen.temperature), temperature=0.1),
    "moco": Objective(_moco, momentum=steady, memory=lambda width: Queue(QUEUE, width), temperature=0.07),
    "swav": Objective(
        lambda seen: swav(*seen.outputs, seen.temperature), head=lambda width: Prototypes(width, N_PROTOTYPES), temperature=0.1
    ),
    "byol": Objective(
        lambda seen: byol(*seen.outputs, *seen.targets), head=lambda width: Predictor(width, 2 * width), momentum=rising
    ),  # hidden layer wider than the projection, 16-fold as published
    "simsiam": Objective(
        lambda seen: simsiam(*seen.outputs, *seen.targets), head=lambda width: Predictor(width, max(width // 4, 1))
    ),  # a bottleneck of a quarter
    "dino": Objective(
        lambda seen: dino(seen.outputs, seen.targets, seen.memory, temperature=seen.temperature),
        head=lambda width: Prototypes(width, N_PROTOTYPES),
        momentum=rising,
        teaches_head=True,
        memory=lambda width: Centre(N_PROTOTYPES, CENTRE_MOMENTUM),
        temperature=0.1,
    ),
}
