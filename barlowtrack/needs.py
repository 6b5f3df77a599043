"""What a run will take, before it is begun: time and memory of each stage, told from the size of the recording alone.

Measured, not guessed: the constants are those that `benchmarks/bench_needs.py` prints, which runs synthetic worms of four sizes (16 to 60
XX Other machines differ two- or threefold; a GPU makes `segment`, `train` and `embed` faster than is told here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from barlowtrack.config import Config

USUAL_NUCLEI = 150
"""In a volume, where nothing is known yet."""
TABLES_MB_PER_NUCLEUS = 2e-3
"""Of `bench_memory.py`: 36 MB more for 18,000 nuclei more, 100 to 400 volumes."""


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


# seconds of a stage in any case, and for each of what quantities() says
SECONDS: dict[str, tuple[float, ...]] = {
    "segment": (2.5, 1.6e-6),
    "crop": (0.3, 1.5e-3, 1e-8),
    "train": (2.0, 1e-3, 2e-2),
    "embed": (0.2, 1e-3, 1e-8),
    "identify": (1.0, 4e-3),
    "measure": (0.1, 1e-4, 5e-8),
    "amend": (0.1,),
    "track": (0.1, 1e-5),
    "trace": (0.2, 1e-4),
    "report": (5.0, 1e-4),
}
# MB of a stage in any case, and for each voxel of a volume
MEMORY: dict[str, tuple[float, float]] = dict.fromkeys(SECONDS, (600.0, 0.0005))


def quantities(shape: tuple[int, ...], n_nuclei: float, config: Config) -> dict[str, tuple[float, ...]]:
    """Returns, by stage, what its time grows with.

    Args:
        shape: Of the recording, T C Z Y X.
        n_nuclei: In all volumes.
        config: Settings of the run.
    """
    voxels = float(math.prod(shape[2:])) * shape[0]
    share = min(config.crop.training_volumes, shape[0]) / shape[0]
    larger = math.prod(config.crop.grid) / math.prod(type(config.crop)().grid)
    cropped = n_nuclei * share * larger
    return {
        "segment": (voxels,),
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
    """Returns, by stage, what it will take.

    Args:
        shape: Of the recording, T C Z Y X.
        config: Settings of the run.
        n_nuclei: In all volumes; USUAL_NUCLEI a volume where it is not known.
    """
    nuclei = float(USUAL_NUCLEI * shape[0]) if n_nuclei is None else float(n_nuclei)
    volume = float(math.prod(shape[2:]))
    needs = {}
    for stage, facts in quantities(shape, nuclei, config).items():
        fixed, *each = SECONDS[stage]
        seconds = fixed + sum(constant * fact for constant, fact in zip(each, facts, strict=True))
        base, per_voxel = MEMORY[stage]
        tables = TABLES_MB_PER_NUCLEUS * nuclei if stage in WHOLE else 0.0
        needs[stage] = StageNeeds(seconds, base + per_voxel * volume + tables)
    return needs
