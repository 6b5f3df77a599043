"""What a run will take, before it is begun: time and memory of each stage, told from the size of the recording alone.

Measured, not guessed: `benchmarks/bench_needs.py` prints the constants. It ran synthetic worms of three sizes (8 to 16 volumes of 0.1, 0.3
and 1.6 million voxels; 20, 60 and 120 neurons; with the encoder that comes along, and trained from random weights) with one worker on a
core of an AMD EPYC, beside other work. Seconds are CPU seconds of such a core; other machines differ two- or threefold, and a GPU, on which
nothing was measured, makes `segment`, `train` and `embed` faster. Runs of 100 volumes of 1.6 million voxels that were kept (`--runs`; by
the wall clock, on a machine that was busy or not) took 0.6 to 1.3 times what is told for segment, crop and embed, 1.3 to 3.3 times that of
identify, 0.3 to 3 times that of the report, and up to 1.6 times the memory.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from barlowtrack.config import Config

USUAL_NUCLEI = 150
"""In a volume, where nothing is known yet."""
TABLES_MB_PER_NUCLEUS = 2e-3
"""Of `bench_memory.py`: 36 MB more for 18,000 nuclei more, 100 to 400 volumes."""


MOST_WORKERS = 8
"""At once, where the settings leave it open."""
WHOLE = ("identify", "measure", "amend", "track", "trace", "report")
"""Stages that hold tables of all nuclei."""


@dataclass(frozen=True)
class StageNeeds:
    """What a stage takes.

    Attributes:
        seconds: Of one core.
        mem_mb: Most memory of the process, libraries included.
    """

    seconds: float
    mem_mb: float


# CPU seconds of a stage in any case, and for each of what quantities() says
SECONDS: dict[str, tuple[float, ...]] = {
    "prepare": (1.4, 1.8e-7),  # with all steps but sharpening; of two recordings, not fitted
    "segment": (3.1, 4.3e-3, 3.1e-7),
    "crop": (0.09, 1.7e-3, 2.8e-8),
    "train": (2.3, 0.0, 3.1e-3),
    "embed": (0.08, 5.8e-4, 2.1e-9),
    "identify": (1.6, 1.7e-3),
    "measure": (0.12, 2.7e-4, 4e-8),  # the last of those runs of 100 volumes: the small ones did not tell it
    "amend": (0.01,),
    "track": (0.05, 3.5e-6),
    "trace": (0.21, 0.0),
    "report": (4.0, 2.0e-3),
}
# MB of the process at the end of a stage in any case, and for each voxel of a volume that a worker has at hand
MEMORY: dict[str, tuple[float, float]] = {
    "prepare": (250.0, 1.0e-4),
    "segment": (511.0, 1.3e-4),
    "crop": (578.0, 2.1e-4),
    "train": (711.0, 1.0e-4),
    "embed": (729.0, 1.6e-4),
    "identify": (718.0, 1.6e-4),
    "measure": (718.0, 1.6e-4),
    "amend": (718.0, 1.6e-4),
    "track": (718.0, 1.6e-4),
    "trace": (723.0, 1.6e-4),
    "report": (789.0, 1.4e-4),
}


def quantities(shape: tuple[int, ...], n_nuclei: float, config: Config) -> dict[str, tuple[float, ...]]:
    """Returns, by stage that has something to do, what its time grows with.

    Args:
        shape: Of the recording, T C Z Y X.
        n_nuclei: In all volumes.
        config: Settings of the run.
    """
    voxels = float(math.prod(shape[2:])) * shape[0]
    share = min(config.crop.training_volumes, shape[0]) / shape[0]
    larger = math.prod(config.crop.grid) / math.prod(type(config.crop)().grid)
    cropped = n_nuclei * share * larger
    preparing: dict[str, tuple[float, ...]] = {"prepare": (voxels,)} if config.prepare.asked else {}
    return {
        **preparing,
        "segment": (n_nuclei, voxels),
        "crop": (cropped, voxels * share),
        "train": (cropped, cropped * config.train.n_epochs),
        "embed": (n_nuclei * larger, voxels),
        "identify": (n_nuclei,),
        "measure": (n_nuclei, voxels),
        "amend": (),
        "track": (n_nuclei,),
        "trace": (n_nuclei,),
        "report": (n_nuclei,),
    }


def stage_needs(shape: tuple[int, ...], config: Config, n_nuclei: float | None = None) -> dict[str, StageNeeds]:
    """Returns, by stage that has something to do, what it will take.

    Args:
        shape: Of the recording, T C Z Y X.
        config: Settings of the run.
        n_nuclei: In all volumes; USUAL_NUCLEI a volume where it is not known.
    """
    nuclei = float(USUAL_NUCLEI * shape[0]) if n_nuclei is None else float(n_nuclei)
    workers = config.compute.workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    needs = {}
    for stage, facts in quantities(shape, nuclei, config).items():
        fixed, *each = SECONDS[stage]
        seconds = fixed + sum(constant * fact for constant, fact in zip(each, facts, strict=True))
        base, per_voxel = MEMORY[stage]
        tables = TABLES_MB_PER_NUCLEUS * nuclei if stage in WHOLE else 0.0
        one = per_voxel * math.prod(shape[2:])  # is worked on in any case
        held = min(one * workers, max(one, 1000 * config.compute.memory_gb))
        needs[stage] = StageNeeds(seconds, base + held + tables)
    return needs
