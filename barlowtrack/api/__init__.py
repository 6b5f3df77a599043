"""What a script uses: run a recording, open a run folder. The CLI and the plugin go the same way."""

from barlowtrack.api.job import SUFFIX, Job, prepare
from barlowtrack.api.opened import Run, run

__all__ = ["SUFFIX", "Job", "Run", "prepare", "run"]
