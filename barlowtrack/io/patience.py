"""Reading again what a disk behind a network did not give at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from barlowtrack.data import VolumeSource, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.faults import PASSING, disk_error
from barlowtrack.io.location import scrubbed

_Answer = TypeVar("_Answer")

log = logging.getLogger(__name__)

PAUSES_S = (0.5, 2.0, 8.0)
"""Between one try and the next: a server that restarts takes longer, and is worth a person's look."""


def patiently(read: Callable[[], _Answer], what: str) -> _Answer:
    """Returns what read does; where its disk says that it is busy, or away for a moment, it is called again.

    Args:
        read: May be called several times.
        what: Of what it reads, for the log.

    Raises:
        InputError, OSError: it cannot be read, not even after a while.
    """
    for pause_s in PAUSES_S:
        try:
            return read()
        except (InputError, OSError) as error:
            busy = disk_error(error, PASSING)
            if busy is None:
                raise
            log.warning("%s: %s; trying again in %g s", what, busy.strerror or scrubbed(str(error)), pause_s)
        time.sleep(pause_s)
    return read()


@dataclass(frozen=True)
class PatientSource:
    """Volumes of another source, read patiently."""

    source: VolumeSource

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X).

        Raises:
            InputError: it cannot be read, not even after a while.
        """
        return patiently(lambda: self.source.read(t), f"volume {t}")
