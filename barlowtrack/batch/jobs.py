"""What the jobs of a recording want of a machine: memory and time, said to a scheduler before they start.

From what the stages are known to take (barlowtrack/needs.py), generously: a scheduler kills what takes more than was said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from barlowtrack.config import Config
from barlowtrack.data import Recording
from barlowtrack.needs import stage_needs

LEAST_MINUTES = 15
SAFELY = 3.0  # other machines are slower, other recordings hold more nuclei
SAFE_MB = 2.0
LEAST_MB = 4000.0  # libraries that talk to a GPU may take half of it

RULES = {
    "prepare": ("prepare",),
    "segment": ("segment",),
    "learn": ("crop", "train"),
    "embed": ("embed",),
    "identify": ("identify",),
    "measure": ("measure",),
    "finish": ("amend", "track", "trace", "report"),
}
"""Stages of each rule of the workflow; of a recording that is not cut into pieces, a job does several rules."""


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
    stages = stage_needs(recording.shape, config)
    found = {}
    for rule, names in RULES.items():
        if not set(names) <= set(stages):  # nothing is to be prepared
            continue
        seconds = sum(stages[name].seconds for name in names)
        mem_mb = max(LEAST_MB, SAFE_MB * max(stages[name].mem_mb for name in names))
        found[rule] = Needs(math.ceil(mem_mb), max(LEAST_MINUTES, math.ceil(SAFELY * seconds / 60)))
    return found
