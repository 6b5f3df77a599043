"""One training on the crops of many recordings.

A batch is one volume of one recording: only there it is sure that all objects are different. The same neuron is in every animal, so that
no loss may push nuclei of two recordings apart, and nothing is asked of two recordings at once.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from barlowtrack.config import ComputeConfig, TrainConfig
from barlowtrack.data import CropBatch, Crops, Detections, IntArray
from barlowtrack.embedding.of_many import refuse_settings
from barlowtrack.embedding.sample import spread
from barlowtrack.embedding.training import ROTATION_DEG, Training, measured_turn
from barlowtrack.errors import InputError
from barlowtrack.nn.agreement import round_trips
from barlowtrack.nn.encoder import Encoder
from barlowtrack.nn.resume import split

log = logging.getLogger(__name__)

_WATCHED_IN_ALL = 20
_FEWEST_A_RECORDING = 3  # for round trips


@dataclass(frozen=True)
class Part:
    """What a recording gives to a training on many.

    Attributes:
        name: For messages.
        key: Of its crops: same key, same crops.
        crops: Read a volume at a time.
        detections: Reads them; they are in memory only while the turn of views is measured.
    """

    name: str
    key: str
    crops: Crops
    detections: Callable[[], Detections]


class TrainingTogether(Training):
    """A training on all volumes of all recordings, an epoch in one order over all of them.

    Args:
        parts: Recordings, in any order: what comes out depends on their crops alone.
        start: Encoder to start from; None in mode "scratch".
        config: As for one recording.
        compute: Device.
        seed: Of weights, order and augmentation.

    Raises:
        InputError: crops of different boxes, or settings that ask something of two recordings at once.
    """

    def __init__(self, parts: Sequence[Part], start: Encoder | None, config: TrainConfig, compute: ComputeConfig, seed: int) -> None:
        _refuse(parts, config)
        self.parts = sorted(parts, key=lambda part: part.key)
        self.first = np.concatenate([[0], np.cumsum([len(part.crops) for part in self.parts])])
        one = self.parts[0].crops
        super().__init__(Crops(_Joined(self), one.window, one.size_um), _NOBODY, start, config, compute, seed)

    def place(self, index: int) -> tuple[int, int]:
        """Returns of which part a volume is, and which of its volumes."""
        part = int(np.searchsorted(self.first, index, side="right")) - 1
        return part, index - int(self.first[part])

    def divide(self) -> tuple[IntArray, IntArray]:
        used, watched = [], []
        a_recording = max(_FEWEST_A_RECORDING, _WATCHED_IN_ALL // len(self.parts))
        for part, first in zip(self.parts, self.first, strict=False):
            n = len(part.crops)
            mine, held = split(n, self.config.held_out) if n > 1 else (np.arange(1), np.arange(1))
            used.append(first + mine)
            watched.append(first + held[spread(len(held), a_recording)])
        return np.concatenate(used), np.concatenate(watched)

    def fingerprint(self, start: Encoder | None) -> str:
        digest = hashlib.sha256(repr([part.key for part in self.parts]).encode())
        if start is not None:
            digest.update(start.to_bytes())
        return digest.hexdigest()

    def rotation_deg(self) -> float:
        """Returns how far views turn: as far as in the recording where surroundings turn most."""
        if self.config.rotation_deg is not None:
            return self.config.rotation_deg
        found = []
        for i, part in enumerate(self.parts):
            used = self.used[(self.used >= self.first[i]) & (self.used < self.first[i + 1])] - self.first[i]
            detections = part.detections()
            shown = np.isin(detections.t, [part.crops.read(int(index)).t for index in used])
            turn = measured_turn(detections.subset(np.flatnonzero(shown)), self.seed)
            if turn is not None:
                found.append(turn)
        turn = max(found, default=ROTATION_DEG)
        log.info("views turn by up to %.0f degrees either way", turn)
        return turn

    def trips(self, watched: list[Tensor]) -> float:
        """Returns how many round trips close, each within a recording; recordings count alike."""
        closed = []
        for i, part in enumerate(self.parts):
            mine = [vectors for index, vectors in zip(self.watched, watched, strict=True) if self.place(int(index))[0] == i]
            if len(mine) < _FEWEST_A_RECORDING:  # as for one recording: the trained ones have to serve as well
                mine = [self.embed(part.crops.read(int(index))).cpu() for index in spread(len(part.crops), _FEWEST_A_RECORDING)]
            share = round_trips(mine)
            if not math.isnan(share):
                closed.append(share)
        return math.fsum(closed) / len(closed) if closed else math.nan


class _Joined:
    """The volumes of all recordings, one recording after the other."""

    def __init__(self, training: TrainingTogether) -> None:
        self.training = training

    def __len__(self) -> int:
        return int(self.training.first[-1])

    def read(self, index: int) -> CropBatch:
        part, volume = self.training.place(index)
        return self.training.parts[part].crops.read(volume)


def _refuse(parts: Sequence[Part], config: TrainConfig) -> None:
    refuse_settings(config)
    if not parts:
        raise InputError("train-encoder: expected recordings with crops, got none")
    one = parts[0]
    for part in parts:
        if not len(part.crops):
            raise InputError(f"{part.name}: expected crops of at least one volume with two nuclei, got none")
        if (part.crops.window, part.crops.size_um) != (one.crops.window, one.crops.size_um):
            raise InputError(f"{part.name}: its crops are of another size than those of {one.name}; give both one [crop] grid and size_um")


_NONE = np.zeros(0)
_NOBODY = Detections(0, _NONE.astype(np.intp), _NONE.astype(np.intp), np.zeros((0, 3)), _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE)
"""Rows of several recordings are not one table."""
