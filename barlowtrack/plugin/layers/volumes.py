"""Volumes read when they are looked at: kept as long as there is room, and the next ones fetched while somebody looks at this one."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from barlowtrack.data import VoxelArray
from barlowtrack.errors import BarlowtrackError

log = logging.getLogger(__name__)

AHEAD = 4
"""Volumes fetched before they are asked for."""
_FAR = 32  # a jump over more volumes than this says nothing of where somebody goes next


class Volumes:
    """Volumes of one recording or label image, from several threads; never more of them than the budget allows.

    A volume is read once however many layers show it, and once however many threads ask for it at the same time. The thread that
    fetches the next volumes lives only while there are some to fetch, so there is nothing to close.

    Args:
        read: Reads volume t.
        n_volumes: T.
        shape: Of a volume.
        dtype: Of a voxel.
        budget_mb: Megabytes kept, with those that are being read; one volume is kept whatever it weighs.
        complain: Hears, once, of the first volume that cannot be read; those show as zeros.
    """

    def __init__(
        self,
        read: Callable[[int], VoxelArray],
        n_volumes: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        budget_mb: float = 512.0,
        complain: Callable[[str], object] = log.warning,
    ) -> None:
        self.n_volumes, self.shape, self.dtype = n_volumes, shape, dtype
        self._read, self._complain = read, complain
        volume_bytes = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        self._room = max(1, int(budget_mb * 2**20) // volume_bytes)
        self._ahead = min(AHEAD, (self._room - 1) // 2)  # what was just seen must not go for what may be seen
        self._held: OrderedDict[int, VoxelArray] = OrderedDict()
        self._reading: set[int] = set()
        self._wanted: list[int] = []
        self._changed = threading.Condition()
        self._fetcher: threading.Thread | None = None
        self._last, self._age = -1, 0
        self._complained = False

    @property
    def held(self) -> tuple[int, ...]:
        """Volumes in memory, the one unused for longest first."""
        with self._changed:
            return tuple(self._held)

    def get(self, t: int) -> VoxelArray:
        """Returns volume t, not to be written to; zeros where it cannot be read."""
        with self._changed:
            self._steer(t)
            while t not in self._held and (t in self._reading or not self._may_read()):
                self._changed.wait()
            if t in self._held:
                self._held.move_to_end(t)
                return self._held[t]
            age = self._begin(t)
        return self._finish(t, age)

    def forget(self) -> None:
        """Drops what is kept: the volumes have changed on disk, or nobody shows them any more."""
        with self._changed:
            self._age += 1
            self._held.clear()
            self._wanted.clear()
            self._complained = False

    def _may_read(self) -> bool:
        return len(self._reading) < self._room

    def _begin(self, t: int) -> int:
        """Makes room for volume t, which this thread is going to read."""
        self._reading.add(t)
        while self._held and len(self._held) + len(self._reading) > self._room:
            self._held.popitem(last=False)
        return self._age

    def _finish(self, t: int, age: int) -> VoxelArray:
        volume = None
        try:
            volume = self._read_or_complain(t)
            volume.setflags(write=False)
        finally:
            with self._changed:
                self._reading.discard(t)
                if volume is not None and age == self._age:
                    self._held[t] = volume
                self._changed.notify_all()
        return volume

    def _read_or_complain(self, t: int) -> VoxelArray:
        try:
            return self._read(t)
        except (BarlowtrackError, OSError) as error:
            with self._changed:
                first, self._complained = not self._complained, True
            if first:
                self._complain(f"{error}. It is shown black, as are others that cannot be read.")
            return np.zeros(self.shape, self.dtype)

    def _steer(self, t: int) -> None:
        """Decides which volumes to fetch next: those that follow in the direction in which somebody goes."""
        step, self._last = t - self._last, t
        if not step or not self._ahead:
            return
        towards = -1 if -_FAR <= step < 0 else 1
        self._wanted = [t + towards * i for i in range(1, self._ahead + 1) if 0 <= t + towards * i < self.n_volumes]
        if self._fetcher is None and any(u not in self._held for u in self._wanted):
            self._fetcher = threading.Thread(target=_fetch, args=(weakref.ref(self),), name="barlowtrack volumes", daemon=True)
            self._fetcher.start()

    def _fetch_one(self) -> bool:
        """Reads the next wanted volume; says whether there was one."""
        with self._changed:
            t = next((u for u in self._wanted if u not in self._held and u not in self._reading), None)
            if t is None or not self._may_read():
                self._fetcher = None
                return False
            age = self._begin(t)
        self._finish(t, age)
        return True


def _fetch(of: weakref.ref[Volumes]) -> None:
    """Runs in a thread of its own; lets go of the volumes between two reads, so that they can be freed."""
    while True:
        volumes = of()
        if volumes is None or not volumes._fetch_one():
            return
        del volumes
