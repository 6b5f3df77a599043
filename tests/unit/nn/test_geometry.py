"""StarDist's compiled functions called our way: the same answers as its own, whatever signals come, from many threads at once."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from stardist import rays3d
from stardist.geometry import polyhedron_to_label
from stardist.lib.stardist3d import c_non_max_suppression_inds

from barlowtrack.nn import geometry

RAYS = rays3d.Rays_GoldenSpiral(48, anisotropy=(2, 1, 1))
SHAPE = (20, 60, 70)


@pytest.fixture(autouse=True)
def signal_as_it_was():
    """StarDist itself, which these tests ask for comparison, takes SIGINT and keeps it."""
    yield
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))


def crowd(n=60, seed=0, reach=6.0):
    """Polyhedra anywhere in the volume and over its ends, the most probable first; some are equal in probability."""
    rng = np.random.default_rng(seed)
    prob = np.sort(np.round(rng.uniform(0.5, 1, n), 1).astype(np.float32))[::-1]
    points = rng.uniform(0, np.array(SHAPE) - 1, (n, 3))
    return rng.uniform(0.3, reach, (n, len(RAYS))).astype(np.float32), points, prob


def stardist_keeps(dist, points, prob, nms_thresh):
    arrays = dist, points.astype(np.float32), RAYS.vertices.astype(np.float32), RAYS.faces.astype(np.int32), prob
    return c_non_max_suppression_inds(*arrays, 1, 1, 0, np.float32(nms_thresh))


@contextmanager
def interrupted(times, every_s):
    """Sends SIGINT to this process; yields the thread that does, and a list that grows whenever Python's own handler is told."""
    told = []

    def disturb():
        for _ in range(times):
            time.sleep(every_s)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, lambda *_: told.append(1))
    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield thread, told
    finally:
        thread.join()
        time.sleep(0.01)
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("nms_thresh", [0.05, 0.2])
@pytest.mark.parametrize("n", [1, 2, 300])
def test_keeps_what_stardist_keeps(n, nms_thresh):
    dist, points, prob = crowd(n)
    expected = stardist_keeps(dist, points, prob, nms_thresh)
    assert n < 300 or 0 < expected.sum() < n
    np.testing.assert_array_equal(geometry.kept(dist, points, prob, RAYS, nms_thresh), expected)


@pytest.mark.parametrize(("reach", "n"), [(2.0, 60), (6.0, 60), (90.0, 3)], ids=["small", "over the ends", "beyond everything"])
def test_draws_what_stardist_draws(reach, n):
    dist, points, prob = crowd(n, reach=reach)
    prob = prob[np.random.default_rng(1).permutation(n)]  # any order goes
    expected = polyhedron_to_label(dist, points, rays=RAYS, prob=prob, shape=SHAPE, verbose=False)
    labels = geometry.drawn(dist, points, prob, RAYS, SHAPE)
    assert labels.dtype == np.int32
    assert labels.flags.c_contiguous
    assert len(np.unique(labels)) > n / 2
    np.testing.assert_array_equal(labels, expected)


def test_distances_without_bounds_take_no_memory_without_bounds():
    dist, points, prob = crowd(5)
    dist[2] = 1e9
    labels = geometry.drawn(dist, points, prob, RAYS, SHAPE)
    assert labels.shape == SHAPE
    assert (labels > 0).all()


def test_signals_change_no_answer_and_none_is_swallowed():
    dist, points, prob = crowd(200, seed=2)
    kept, drawn = geometry.kept(dist, points, prob, RAYS, 0.1), geometry.drawn(dist, points, prob, RAYS, SHAPE)
    with interrupted(times=12, every_s=0.07) as (disturber, told):
        while disturber.is_alive():
            np.testing.assert_array_equal(geometry.kept(dist, points, prob, RAYS, 0.1), kept)
            np.testing.assert_array_equal(geometry.drawn(dist, points, prob, RAYS, SHAPE), drawn)
    assert len(told) > 3  # two that come close together count as one, as ever


def test_many_threads_ask_at_once_and_the_signal_goes_back_to_its_owner():
    crowds = [crowd(60, seed) for seed in range(6)]
    ask = [lambda c=c: (geometry.kept(*c, RAYS, 0.1), geometry.drawn(*c, RAYS, SHAPE)) for c in crowds]
    expected, owner = [one() for one in ask], geometry._get_handler(signal.SIGINT)
    with ThreadPoolExecutor(4) as pool, interrupted(times=12, every_s=0.07) as (disturber, told):
        while disturber.is_alive():
            for one, other in zip(expected, pool.map(lambda one: one(), ask), strict=True):
                np.testing.assert_array_equal(other[0], one[0])
                np.testing.assert_array_equal(other[1], one[1])
    assert told
    assert geometry._get_handler(signal.SIGINT) == owner


def test_a_signal_that_came_too_late_to_cut_anything_short_is_passed_on():
    dist, points, prob = crowd(1)
    flag = ctypes.c_int.in_dll(geometry._library(), "IS_TERMINATED")
    flag.value = 1  # with one candidate nobody looks
    with pytest.raises(KeyboardInterrupt):
        geometry.kept(dist, points, prob, RAYS, 0.1)
    assert flag.value == 0


def test_ctrl_c_ends_what_drew_with_stardist_itself_before():
    """StarDist's drawing keeps the signal; whose it was nobody knows then, and it must not be swallowed for ever."""
    code = (
        "import os, signal, numpy as np\n"
        "from stardist import rays3d\nfrom stardist.geometry import polyhedron_to_label\nfrom barlowtrack.nn import geometry\n"
        "rays = rays3d.Rays_GoldenSpiral(32)\nballs = np.full((1, 32), 3.0), np.array([[5.0, 5, 5]]), np.ones(1)\n"
        "polyhedron_to_label(*balls[:2], rays=rays, shape=(9, 9, 9), verbose=False)\n"
        "geometry.drawn(*balls, rays, (9, 9, 9))\nos.kill(os.getpid(), signal.SIGINT)\nprint('went on')\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.returncode == -signal.SIGINT, said.stderr
    assert "went on" not in said.stdout


def test_the_interpreter_is_free_meanwhile():
    dist, points, prob = crowd(600, seed=3)
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.perf_counter()
    geometry.kept(dist, points, prob, RAYS, 0.1)
    ended = time.perf_counter()
    done.set()
    thread.join()
    meanwhile = [t for t in ticks if began < t < ended]
    assert ended - began > 0.05, "too short to tell"
    assert len(meanwhile) > 10


def test_uses_as_many_threads_as_torch_in_this_thread():
    before = torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            geometry.kept(*crowd(2), RAYS, 0.1)
            assert geometry._library().omp_get_max_threads() == n
    finally:
        torch.set_num_threads(before)


def test_a_stardist_that_hides_its_functions_is_asked_in_its_own_way(monkeypatch, caplog):
    dist, points, prob = crowd(200, seed=2)
    expected = geometry.kept(dist, points, prob, RAYS, 0.1), geometry.drawn(dist, points, prob, RAYS, SHAPE)
    monkeypatch.setattr(geometry, "_DRAW", "_Z27_COMMON_polyhedron_to_labeli")
    geometry._library.cache_clear()
    try:
        np.testing.assert_array_equal(geometry.kept(dist, points, prob, RAYS, 0.1), expected[0])
        np.testing.assert_array_equal(geometry.drawn(dist, points, prob, RAYS, SHAPE), expected[1])
    finally:
        geometry._library.cache_clear()
    assert [record.getMessage() for record in caplog.records if "hides its functions" in record.getMessage()] == [caplog.messages[0]]
