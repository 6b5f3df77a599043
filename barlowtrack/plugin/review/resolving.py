"""Solve a run again with what was said since, and say what that changed; nothing here knows of windows."""

from __future__ import annotations

from dataclasses import dataclass

from barlowtrack.api import prepare
from barlowtrack.data import Progress
from barlowtrack.errors import StorageError
from barlowtrack.pipeline import Listener, PlannedStage
from barlowtrack.plugin.changes import changes
from barlowtrack.plugin.solution import Solution
from barlowtrack.plugin.stops import Stop
from barlowtrack.storage import RunFolder, read_corrections

WHOLE_RUN = ("segment", "train")
"""Stages that no answer makes stale: where they are, the recording or the settings changed, and hours may be wanted."""

MOST_ATTEMPTS = 5


class Heard(Listener):
    """How far it is: written by the thread that solves, read by the window.

    Attributes:
        stage: At work; "" before the first.
        done: Parts of it that are done.
        total: Parts of it; 0 where nobody knows.
    """

    def __init__(self) -> None:
        self.stage, self.done, self.total = "", 0, 0

    def started(self, item: PlannedStage) -> Progress:
        self.stage, self.done, self.total = item.stage.name, 0, 0

        def progress(done: int, total: int) -> None:
            self.done, self.total = done, total

        return progress


@dataclass(frozen=True)
class Resolved:
    """What came of it.

    Attributes:
        solution: The new one.
        changes: What it says otherwise than the old one.
    """

    solution: Solution
    changes: tuple[Stop, ...]


def resolve(old: Solution, heard: Heard) -> Resolved:
    """Brings tracks and traces up to date; takes seconds to minutes, so never in the thread of the window.

    Args:
        old: What is shown now.
        heard: Is told how far it is.

    Raises:
        StorageError: somebody else is at work in the folder, more than answers changed, or nuclei were divided or
            added and the recording is not at hand.
        InputError: the recording cannot be opened, or the answers cannot stand.
    """
    job = prepare(old.path)
    hours = [item.stage.name for item in job.plan() if item.state != "cached" and item.stage.name in WHOLE_RUN]
    if hours:
        raise StorageError(
            f"more than answers changed in this run ({' and '.join(hours)} would run again, which may take hours); "
            f"bring it up to date first, in the panel Run or by: barlowtrack run {old.path}"
        )
    for attempt in range(MOST_ATTEMPTS):
        before = read_corrections(old.path).digest
        try:
            job.run(upto="trace", listener=heard)
            break
        except StorageError:  # as where an answer came in the moment before it was read: that answer counts, too
            if read_corrections(old.path).digest == before or attempt == MOST_ATTEMPTS - 1:
                raise
    new = Solution.read(old.path)
    return Resolved(new, changes(old, new))


def waiting(solution: Solution) -> bool:
    """Says whether something was said that the tracks do not heed yet."""
    track = RunFolder(solution.path).record("track")
    return track is not None and track.inputs.get("corrections", "none") != read_corrections(solution.path).digest
