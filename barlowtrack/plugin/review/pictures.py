"""Small pictures of nuclei, read from the recording when they are wanted and kept while they may be wanted again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from barlowtrack.api import Run
from barlowtrack.data import Detections, FloatArray, Recording
from barlowtrack.errors import BarlowtrackError
from barlowtrack.plugin.solution import Solution

MOST = 600
"""Pictures that are kept, of about 9 kB each."""


class Pictures:
    """Pictures of one solution's nuclei; may be asked from any thread.

    Args:
        recording: It must be the one in which the nuclei were found.
        detections: The nuclei.
    """

    def __init__(self, recording: Recording, detections: Detections) -> None:
        self._recording, self._detections = recording, detections
        self._kept: OrderedDict[int, FloatArray] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, solution: Solution) -> Pictures:
        """Opens the recording of a run.

        Raises:
            BarlowtrackError: it is not at hand, or changed since.
        """
        return cls(Run(solution.path).recording, solution.detections)

    def kept(self, row: int) -> FloatArray | None:
        """Returns the picture of a nucleus if it is at hand; reads nothing."""
        with self._lock:
            if row in self._kept:
                self._kept.move_to_end(row)
            return self._kept.get(row)

    def read(self, rows: Iterable[int]) -> None:
        """Reads the pictures that are not at hand; takes a volume of the recording each, so never in the thread of the window."""
        from barlowtrack.showing.thumbnails import thumbnails

        wanted = [row for row in dict.fromkeys(rows) if self.kept(row) is None]
        if not wanted:
            return
        found = thumbnails(self._recording, self._detections, np.array(wanted, np.int64))
        with self._lock:
            self._kept.update(found)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)


def opened(solution: Solution) -> Pictures | str:
    """Returns the pictures of a run, or why there are none, in words."""
    try:
        return Pictures.of(solution)
    except (BarlowtrackError, OSError) as error:
        return f"No pictures: {error}"
