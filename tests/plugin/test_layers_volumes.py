import gc
import threading
import time
import weakref

import numpy as np
import pytest

from barlowtrack.errors import InputError
from barlowtrack.plugin.layers.arrays import ChannelArray
from barlowtrack.plugin.layers.volumes import AHEAD, Shelf, Volumes

SHAPE = (2, 3, 4, 5)  # C Z Y X
MB = np.prod(SHAPE) * 2 / 2**20


class Disk:
    """Volumes whose every voxel is t, and who asked for them."""

    def __init__(self, n=50, bad=()):
        self.n, self.bad, self.asked, self.most, self._now = n, set(bad), [], 0, 0
        self._lock = threading.Lock()

    def read(self, t):
        with self._lock:
            self.asked.append(t)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            if t in self.bad:
                raise InputError(f"volume {t}: cut off")
            return np.full(SHAPE, t, np.uint16) + np.arange(2, dtype=np.uint16)[:, None, None, None] * 1000
        finally:
            with self._lock:
                self._now -= 1

    def volumes(self, hold=20, **more):
        return Volumes(self.read, self.n, SHAPE, np.dtype(np.uint16), budget_mb=hold * MB * 1.001, **more)


def settle(volumes):
    """Waits until nothing is fetched any more."""
    end = time.monotonic() + 10
    while volumes._fetcher is not None:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_slices_are_those_of_the_array_that_it_stands_for():
    disk = Disk(n=6)
    lazy = ChannelArray(disk.volumes(), 1)
    whole = np.stack([disk.read(t)[1] for t in range(6)])
    assert (lazy.shape, lazy.ndim, lazy.dtype, lazy.size, len(lazy)) == (whole.shape, 4, whole.dtype, whole.size, 6)
    keys = [
        3, -1, np.int64(2), (2, 1), (2, slice(None), 1), (slice(1, 4), 0, slice(None), 2), slice(None, None, -2),
        (4, slice(0, 2), slice(1, 3), 0),
        ..., (..., 2), (1, ..., slice(0, 2)), (slice(3, 3),),
    ]  # fmt: skip
    for key in keys:
        np.testing.assert_array_equal(lazy[key], whole[key], err_msg=str(key))
    np.testing.assert_array_equal(np.asarray(lazy), whole)
    with pytest.raises(IndexError):
        lazy[6]


def test_one_read_serves_all_channels_and_what_is_given_away_is_nobodys_cache():
    disk = Disk()
    volumes = disk.volumes(hold=1)  # no room to fetch ahead
    red, green = ChannelArray(volumes, 0), ChannelArray(volumes, 1)
    plane = red[7, 0]
    assert (int(plane[0, 0]), int(green[7, 2, 0, 0])) == (7, 1007)
    assert disk.asked == [7]
    plane[:] = 99
    assert int(red[7, 0, 0, 0]) == 7


@pytest.mark.parametrize(("path", "expected"), [([10, 11], {12, 13, 14, 15}), ([20, 19], {18, 17, 16, 15}), ([48, 49], set())])
def test_the_next_volumes_in_the_direction_of_scrubbing_are_fetched(path, expected):
    disk = Disk()
    volumes = disk.volumes()
    for t in path:
        volumes.get(t)
        settle(volumes)
    assert expected <= set(disk.asked)
    assert len(disk.asked) == len(set(disk.asked)), "nothing is read twice"
    assert len(disk.asked) <= len(path) + 2 * AHEAD


def test_never_more_than_the_budget_and_nothing_twice_at_once_from_many_threads():
    disk = Disk()
    volumes, most, wrong = disk.volumes(hold=7), [], []

    def look(seed):
        for t in np.random.default_rng(seed).integers(0, 50, 150):
            if int(volumes.get(int(t))[0, 0, 0, 0]) != t:
                wrong.append(t)
            with volumes._changed:
                most.append(len(volumes._held) + len(volumes._reading))

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive(), "a deadlock"
    settle(volumes)
    assert not wrong
    assert max(most) <= 7
    assert len(volumes.held) <= 7


def test_a_volume_larger_than_the_budget_is_shown_all_the_same():
    volumes = Disk().volumes(hold=0.1)
    assert [int(volumes.get(t)[0, 0, 0, 0]) for t in (3, 4, 3)] == [3, 4, 3]
    assert len(volumes.held) == 1


def test_volumes_that_cannot_be_read_show_black_and_are_said_once():
    disk, said = Disk(bad=(4, 5)), []
    volumes = disk.volumes(complain=said.append)
    assert not volumes.get(4).any()
    assert not volumes.get(5).any()
    assert volumes.get(6).any()
    settle(volumes)
    assert len(said) == 1
    assert said[0].startswith(("volume 4: cut off", "volume 5: cut off"))  # the next ones are read ahead


def test_what_is_forgotten_is_read_again_even_if_it_was_being_read():
    disk = Disk()
    volumes = disk.volumes()
    reading, go_on, read = threading.Event(), threading.Event(), disk.read

    def slow(t):
        reading.set()
        assert go_on.wait(10)
        return read(t)

    volumes._read = slow
    volumes._ahead = 0
    thread = threading.Thread(target=volumes.get, args=(9,))
    thread.start()
    assert reading.wait(10)
    volumes.forget()
    go_on.set()
    thread.join(timeout=10)
    assert volumes.held == ()
    volumes.get(9)
    assert disk.asked == [9, 9]


def test_a_bug_in_a_reader_is_not_hidden_and_blocks_nobody():
    def broken(t):
        raise ZeroDivisionError

    volumes = Volumes(broken, 5, SHAPE, np.dtype(np.uint16), budget_mb=0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            volumes.get(1)


def test_nothing_lives_on_when_nobody_holds_the_volumes():
    volumes = Disk().volumes()
    volumes.get(3)
    volumes.get(4)
    gone = weakref.ref(volumes)
    del volumes
    end = time.monotonic() + 10
    while gone() is not None or any(thread.name == "barlowtrack volumes" for thread in threading.enumerate()):
        gc.collect()
        assert time.monotonic() < end
        time.sleep(0.001)


def test_memory_stays_flat_on_scrubbing():
    import tracemalloc

    shape = (2, 4, 64, 64)
    volumes = Volumes(lambda t: np.full(shape, t, np.uint16), 400, shape, np.dtype(np.uint16), budget_mb=2)
    lazy, kept = ChannelArray(volumes, 0), []
    tracemalloc.start()
    try:
        for t in range(400):
            kept = [lazy[t, 1], lazy[t]]
            if t == 50:
                settled, _ = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) == 2
    assert peak - settled < 1e6  # 350 more volumes would be 23 MB


def test_what_was_opened_before_gives_its_memory_to_what_is_looked_at():
    shelf = Shelf(5 * MB * 1.001)
    first, second, third = (Disk().volumes(hold=2, shelf=shelf) for _ in range(3))  # too little to fetch any ahead
    for volumes in (first, second, third):
        volumes.get(1)
        volumes.get(2)
    assert [volumes.held for volumes in (first, second, third)] == [(2,), (1, 2), (1, 2)]
    first.get(2)
    first.get(3)
    assert [volumes.held for volumes in (first, second, third)] == [(2, 3), (2,), (1, 2)]
    assert shelf.held_bytes == 5 * MB * 2**20
    del second, volumes
    gc.collect()
    assert shelf.held_bytes == 4 * MB * 2**20, "who is gone takes no room"
    first.forget()
    third.get(2)
    assert (first.held, third.held) == ((), (1, 2))


def test_two_that_are_looked_at_do_not_drive_each_other_out():
    shelf, disks = Shelf(1.5 * MB), [Disk(), Disk()]
    image, labels = (disk.volumes(hold=1, shelf=shelf) for disk in disks)
    for _ in range(5):  # planes of one volume
        image.get(3)
        labels.get(3)
    assert [disk.asked for disk in disks] == [[3], [3]]
    image.get(4)
    assert (image.held, labels.held) == ((4,), (3,))
