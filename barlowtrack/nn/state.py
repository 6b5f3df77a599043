"""Where training stands: everything needed to go on as if it had never stopped."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from barlowtrack.errors import InputError
from barlowtrack.nn.checkpoint import pack, unpack
from barlowtrack.nn.encoder import Encoder, EncoderSpec, build

VERSION = 3


@dataclass(frozen=True)
class Epoch:
    """One row of the history of a training.

    Attributes:
        epoch: 0 is the start: measured, not trained.
        loss: Of the objective; mean over the training volumes.
        feature_term: Of Barlow Twins, before its weight, whatever the objective; likewise.
        object_term: Likewise.
        held_out_agreement: Share of held-out nuclei whose two views are each other's nearest in their volume.
        effective_rank: How many directions the embedding of the held-out nuclei uses, at most D.
        round_trips: Share of held-out nuclei that are found again by way of two other volumes; NaN where there are too few volumes.
    """

    epoch: int
    loss: float
    feature_term: float
    object_term: float
    held_out_agreement: float
    effective_rank: float
    round_trips: float = math.nan


HISTORY_COLUMNS = tuple(field.name for field in dataclasses.fields(Epoch))


@dataclass(frozen=True)
class TrainState:
    """Training after an epoch.

    Attributes:
        epoch: Epochs done.
        spec: Of the encoder.
        weights: All that learns or helps to ("learner.", of it the encoder "learner.encoder."), the optimiser ("adam."), the best
            encoder ("best.") and what self-training believes ("believed"), on the CPU.
        history: One row an epoch, row 0 the start.
        made_from: Settings, seed and fingerprint of the crops; a checkpoint of another training is refused.
        best: The epoch whose encoder is to be used, kept beside ("best."); the last one where nothing could be told.
    """

    epoch: int
    spec: EncoderSpec
    weights: Mapping[str, Tensor]
    history: tuple[Epoch, ...]
    made_from: Mapping[str, Any]
    best: int

    def part(self, name: str) -> dict[str, Tensor]:
        """Returns the weights of "learner", "learner.encoder", "best" or "adam" by their own names."""
        return {key.removeprefix(f"{name}."): value for key, value in self.weights.items() if key.startswith(f"{name}.")}

    def encoder(self) -> Encoder:
        """Returns the best encoder so far, in evaluation mode, on the CPU."""
        return build(Encoder(self.spec, self.best), self.part("best"), "training state").eval()

    def to_bytes(self) -> bytes:
        """Returns a safetensors file; equal states give equal bytes."""
        facts = {
            "epoch": self.epoch,
            "spec": dataclasses.asdict(self.spec),
            "history": [dataclasses.astuple(row) for row in self.history],
            "made_from": dict(self.made_from),
            "best": self.best,
        }
        return pack("training state", VERSION, self.weights, facts)

    @classmethod
    def from_bytes(cls, data: bytes) -> TrainState:
        """Rebuilds a state.

        Raises:
            InputError: not a training state of ours, or damaged.
        """
        weights, facts = unpack("training state", VERSION, data)
        try:
            history = tuple(Epoch(*row) for row in facts["history"])
            state = cls(
                int(facts["epoch"]), EncoderSpec.from_facts(facts["spec"]), weights, history, facts["made_from"], int(facts["best"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"training state: expected epoch, spec, history and origin, got {sorted(facts)} ({error})") from None
        state.encoder()  # refuses weights that do not fit the spec
        return state
