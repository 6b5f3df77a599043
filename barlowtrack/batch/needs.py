"""What the jobs of a recording want of a machine: memory and time, said to a scheduler before they start.

Times are generous, for a scheduler kills what takes longer than was said. They are rough: guessed from what stages took on two cores with
small recordings, not measured rule by rule, and three times as long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from barlowtrack.config import Config
from barlowtrack.data import Recording

USUAL_NUCLEI = 150
"""In a volume, where nothing is known yet."""

MODEL_MB = 2000
"""What the libraries and a model take beside the memory of the settings."""

LEAST_MINUTES = 15

# seconds on two cores
SEGMENT_PER_VOXEL = 1.2e-6
EMBED_PER_NUCLEUS = 1.5e-3
MEASURE_PER_VOXEL = 2.5e-8
LEARN, LEARN_PER_NUCLEUS = 600.0, 2e-3
IDENTIFY_PER_NUCLEUS = 6e-4
FINISH, FINISH_PER_NUCLEUS = 120.0, 1e-3

SAFELY = 3.0


@dataclass(frozen=True)
class Needs:
    """What one job wants.

    Attributes:
        mem_mb: Memory.
        minutes: Most time, for all volumes of the recording.
    """

    mem_mb: int
    minutes: int


def needs_of(recording: Recording, config: Config) -> dict[str, Needs]:
    """Returns by rule of the workflow what its job wants, were it to do the whole recording."""
    voxels = float(np.prod(recording.volume_shape)) * recording.n_volumes
    nuclei = float(USUAL_NUCLEI * recording.n_volumes)
    learned = float(USUAL_NUCLEI * min(config.crop.training_volumes, recording.n_volumes))
    volume_mb = float(np.prod(recording.shape[1:])) * recording.dtype.itemsize / 1e6
    budget = config.compute.memory_gb * 1000 + MODEL_MB + 4 * volume_mb
    tables = MODEL_MB + 1000 + nuclei * 20e-3  # 20 kB a nucleus: embeddings, candidates, light, and what the report draws of them
    seconds = {
        "segment": (SEGMENT_PER_VOXEL * voxels, budget),
        "learn": (LEARN + LEARN_PER_NUCLEUS * learned * (config.train.epochs or 5), max(budget, tables)),
        "embed": (EMBED_PER_NUCLEUS * nuclei, budget),
        "identify": (IDENTIFY_PER_NUCLEUS * nuclei + 60, max(budget, tables)),
        "measure": (MEASURE_PER_VOXEL * voxels, budget),
        "finish": (FINISH + FINISH_PER_NUCLEUS * nuclei, max(budget, tables)),
    }
    return {rule: Needs(math.ceil(mb), max(LEAST_MINUTES, math.ceil(SAFELY * time / 60))) for rule, (time, mb) in seconds.items()}
