"""Reading again what a disk behind a network did not give at once."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from barlowtrack.data import VolumeSource, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.faults import PASSING, disk_error

log = logging.getLogger(__name__)

PAUSES_S = (0.5, 2.0, 8.0)
"""Between one try and the next: a server that restarts takes longer, and is worth a person's look."""


@dataclass(frozen=True)
class PatientSource:
    """Volumes of another source; where its disk says that it is busy, or away for a moment, it is asked again."""

    source: VolumeSource

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X).

        Raises:
            InputError: it cannot be read, not even after a while.
        """
        for pause_s in PAUSES_S:
            try:
                return self.source.read(t)
            except (InputError, OSError) as error:
                busy = disk_error(error, PASSING)
                if busy is None:
                    raise
                log.warning("volume %d: %s; trying again in %g s", t, busy.strerror or error, pause_s)
            time.sleep(pause_s)
        return self.source.read(t)
