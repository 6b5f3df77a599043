"""Many recordings: which there are, what is left to do for each, who does it (Snakemake), and how it went. A step is a verb of the CLI."""

from barlowtrack.batch.drive import run_batch
from barlowtrack.batch.found import Found, find_recordings
from barlowtrack.batch.outcome import Outcome, outcomes
from barlowtrack.batch.worklist import Work, make_worklist

__all__ = ["Found", "Outcome", "Work", "find_recordings", "make_worklist", "outcomes", "run_batch"]
