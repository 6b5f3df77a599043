"""Follow an animal while it is being recorded: every volume against what an earlier recording, or its first minutes, taught."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from barlowtrack.data import UNKNOWN, Candidates, FloatArray, IntArray
from barlowtrack.errors import InputError
from barlowtrack.identity.heed import added_up, once
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.live import Seen, see
from barlowtrack.known import Known, open_known

log = logging.getLogger(__name__)

ENOUGH_TO_MEASURE = 10
ANOTHER_UNIT = 3.0
"""Neighbours so many times farther apart, or nearer, than in the recording: rather another unit than another posture."""


@dataclass(frozen=True)
class SeenVolume:
    """Who the n detections of one volume are, in the neuron ids of the recording that was learned from.

    Attributes:
        neuron: (n,) id, or UNKNOWN; none twice.
        probability: (n,) in [0, 1], see Tracks.
        candidates: Who else each may be.
        absent: (K,) probability that a neuron is not among the detections; NaN where it was assigned, and where the atlas does not know it.
    """

    neuron: IntArray
    probability: FloatArray
    candidates: Candidates
    absent: FloatArray


class Tracker:
    """Identifies one volume after the other against an atlas that stays as it is: in any order, none knows of another.

    Args:
        known: What was learned, or that with the ids of its recording.
        min_probability: Assignments below this probability become unknown.

    Raises:
        InputError: min_probability is none.
    """

    def __init__(self, known: Known | Learned, *, min_probability: float = 0.0) -> None:
        if not 0 <= min_probability <= 1:
            raise InputError(f"Tracker: min_probability: expected 0 to 1, got {min_probability}")
        self.known = Known.plain(known) if isinstance(known, Learned) else known
        self.min_probability = min_probability
        self._warned = False

    @classmethod
    def load(cls, path: Path | str, *, min_probability: float = 0.0) -> Tracker:
        """Opens what a run folder, a folder of tracked points or an atlas file holds.

        Args:
            path: Of it; of an atlas file alone, the entries are the ids.
            min_probability: Assignments below this probability become unknown.

        Raises:
            StorageError, InputError: nothing of the kind is there, or it is damaged.
        """
        return cls(open_known(path), min_probability=min_probability)

    def update(self, position_um: FloatArray, vectors: FloatArray | None = None) -> SeenVolume:
        """Says who the detections of a volume are.

        Args:
            position_um: (n, 3) z, y, x, anywhere and at any in-plane angle; n may be 0. In the unit of the points, where the atlas was
                learned from points.
            vectors: (n, D) embeddings by the encoder of the run; without them, positions alone count.

        Raises:
            InputError: arrays of another shape, or numbers that are none or too large to compute with.
        """
        seen = see(self.known.learned, position_um, vectors)
        self._doubt_unit(np.asarray(position_um, np.float64))
        ids = self.known.ids
        candidates = added_up(ids[seen.candidates], seen.candidate_probability)
        neuron, probability = ids[seen.neuron], seen.probability.copy()
        nobody = (seen.neuron >= 0) & (neuron < 0)  # entries that the recording never used, or that people say are no neuron
        probability[nobody] = np.clip(1 - candidates.probability[nobody].sum(1), 0, 1)
        neuron, probability = once(np.zeros(len(neuron), np.int64), neuron, probability)
        absent = self._absences(seen)
        absent[neuron[neuron >= 0]] = np.nan
        doubtful = (neuron >= 0) & (probability < self.min_probability)
        absent[neuron[doubtful]] = 1 - probability[doubtful]
        probability[doubtful], neuron[doubtful] = 1 - probability[doubtful], UNKNOWN
        return SeenVolume(neuron, probability, candidates, absent)

    def _doubt_unit(self, position_um: FloatArray) -> None:
        """Warns once where positions seem to come in another unit than those of the atlas: all would be unknown, and nobody knew why."""
        if self._warned or len(position_um) < ENOUGH_TO_MEASURE:
            return
        here = float(np.median(np.asarray(cKDTree(position_um).query(position_um, k=2)[0])[:, 1]))
        usual = self.known.learned.preparation.unit_um
        if not usual / ANOTHER_UNIT < here < usual * ANOTHER_UNIT:
            log.warning("Tracker: neighbours lie %.3g apart, %.3g where the atlas was learned: expected positions in its unit", here, usual)
            self._warned = True

    def _absences(self, seen: Seen) -> FloatArray:
        """(K,) how surely each neuron is absent: of several entries that are one, as the likeliest to be there; NaN where of none."""
        least = np.full(self.known.n_neurons, np.inf)
        known = self.known.neuron >= 0
        np.minimum.at(least, self.known.neuron[known], np.nan_to_num(seen.absent[known], nan=np.inf))
        return np.where(np.isfinite(least), least, np.nan)
