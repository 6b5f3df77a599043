"""Where the training of a star-convex network stands: everything needed to go on as if it had never stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from barlowtrack.errors import InputError
from barlowtrack.nn.checkpoint import pack, unpack

KIND, VERSION = "segmentation training", 1


@dataclass(frozen=True)
class Round:
    """One row of the history.

    Attributes:
        epoch: 0 is the random start: measured, not trained.
        loss: Mean over the round's steps; of the held-out patches for round 0.
        prob_loss: Cross entropy of the probability.
        dist_loss: Error of the distances, voxels.
        held_out_loss: The loss on held-out patches, always the same ones.
        held_out_iou: Intersection over union of held-out true nuclei with what was found, mean; 0 for one that was missed.
        held_out_f1: F1 of held-out nuclei at an intersection over union of 0.5.
    """

    epoch: int
    loss: float
    prob_loss: float
    dist_loss: float
    held_out_loss: float
    held_out_iou: float
    held_out_f1: float


COLUMNS = tuple(field.name for field in dataclasses.fields(Round))


@dataclass(frozen=True)
class SegmentationState:
    """Training after a round.

    Attributes:
        epoch: Rounds done.
        weights: Of the network ("net."), of the best network so far ("best.") and of the optimiser ("adam."), on the CPU.
        history: One row a round, row 0 the random start.
        made_from: Settings and fingerprint of the pairs; a state of another training is refused.
    """

    epoch: int
    weights: Mapping[str, Tensor]
    history: tuple[Round, ...]
    made_from: Mapping[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """Returns the weights of "net", "best" or "adam" by their own names."""
        return {key.removeprefix(f"{name}."): value for key, value in self.weights.items() if key.startswith(f"{name}.")}

    @property
    def best(self) -> Round:
        """The round whose weights are kept: the first with the smallest held-out loss, as StarDist chooses."""
        return min(self.history, key=lambda row: row.held_out_loss)

    def to_bytes(self) -> bytes:
        """Returns a safetensors file; equal states give equal bytes."""
        facts = {"epoch": self.epoch, "history": [dataclasses.astuple(row) for row in self.history], "made_from": dict(self.made_from)}
        return pack(KIND, VERSION, self.weights, facts)

    @classmethod
    def from_bytes(cls, data: bytes) -> SegmentationState:
        """Rebuilds a state.

        Raises:
            InputError: not a training state of ours, or damaged.
        """
        weights, facts = unpack(KIND, VERSION, data)
        try:
            return cls(int(facts["epoch"]), weights, tuple(Round(*row) for row in facts["history"]), facts["made_from"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{KIND}: expected epoch, history and origin, got {sorted(facts)} ({error})") from None
