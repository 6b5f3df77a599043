"""Volumes read when they are looked at: kept as long as there is room, and the next ones fetched while somebody looks at this one."""

from __future__ import annotations

import itertools
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


class Shelf:
    """Room in memory that several share: where it is full, the volume that nobody has looked at for longest goes, whose ever it is.

    Args:
        budget_mb: Megabytes kept, with those that are being read.
    """

    def __init__(self, budget_mb: float) -> None:
        self.changed = threading.Condition()
        self.clock = itertools.count()
        self._budget = int(budget_mb * 2**20)
        self._sharing: weakref.WeakSet[Volumes] = weakref.WeakSet()

    def join(self, volumes: Volumes) -> None:
        """Lets somebody have room here."""
        with self.changed:
            self._sharing.add(volumes)

    @property
    def held_bytes(self) -> int:
        """How much is on it, with what is being read."""
        with self.changed:
            return sum(volumes.weight for volumes in self._sharing)

    def make_room(self, asking: Volumes) -> None:
        """Gives memory back until what is left is within the budget, or nothing is left that could go. To be called holding `changed`.

        Large volumes of a recording and its labels may be more than the budget: then the one that was shown last of the other one stays,
        or each would take the other's place whenever somebody looks at the next plane.
        """
        sharing = [volumes for volumes in self._sharing if volumes.kept]
        beside = max((volumes for volumes in sharing if volumes is not asking), key=lambda volumes: volumes.last_use, default=None)
        over = sum(volumes.weight for volumes in self._sharing) - self._budget
        while over > 0:
            able = [volumes for volumes in sharing if volumes.kept > (volumes is beside)]
            if not able:
                return
            over -= min(able, key=lambda volumes: volumes.unused_since).drop_oldest()


OF_WINDOW = Shelf(768.0)
"""Shared by all that is opened: a run that is opened beside others, or once more, takes the room of those that nobody looks at."""


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
        shelf: Whose room this takes part of.
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
        shelf: Shelf = OF_WINDOW,
    ) -> None:
        self.n_volumes, self.shape, self.dtype = n_volumes, shape, dtype
        self._read, self._complain = read, complain
        self._volume_bytes = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        self._room = max(1, int(budget_mb * 2**20) // self._volume_bytes)
        self._ahead = min(AHEAD, (self._room - 1) // 2)  # what was just seen must not go for what may be seen
        self._held: OrderedDict[int, VoxelArray] = OrderedDict()
        self._used: dict[int, int] = {}
        self._reading: set[int] = set()
        self._wanted: list[int] = []
        self._shelf, self._changed = shelf, shelf.changed
        self._fetcher: threading.Thread | None = None
        self._last, self._age = -1, 0
        self._complained = False
        shelf.join(self)

    @property
    def weight(self) -> int:
        """Bytes that are kept and being read."""
        return (len(self._held) + len(self._reading)) * self._volume_bytes

    @property
    def kept(self) -> int:
        """How many volumes are kept."""
        return len(self._held)

    @property
    def unused_since(self) -> int:
        """When, on the clock of the shelf, the volume was used that has been unused for longest."""
        return self._used[next(iter(self._held))]

    @property
    def last_use(self) -> int:
        """When, on the clock of the shelf, one that is kept was used last."""
        return self._used[next(reversed(self._held))]

    def drop_oldest(self) -> int:
        """Gives back the volume that has been unused for longest; returns how many bytes that were."""
        t, _ = self._held.popitem(last=False)
        del self._used[t]
        return self._volume_bytes

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
                self._used[t] = next(self._shelf.clock)
                return self._held[t]
            age = self._begin(t)
        return self._finish(t, age)

    def forget(self) -> None:
        """Drops what is kept: the volumes have changed on disk, or nobody shows them any more."""
        with self._changed:
            self._age += 1
            self._held.clear()
            self._used.clear()
            self._wanted.clear()
            self._complained = False

    def _may_read(self) -> bool:
        return len(self._reading) < self._room

    def _begin(self, t: int) -> int:
        """Makes room for volume t, which this thread is going to read."""
        self._reading.add(t)
        while self._held and len(self._held) + len(self._reading) > self._room:
            self.drop_oldest()
        self._shelf.make_room(self)
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
                    self._used[t] = next(self._shelf.clock)
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
