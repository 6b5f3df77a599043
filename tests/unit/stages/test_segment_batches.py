"""Volumes in batches, as on a GPU: the same nuclei as one by one, wherever a run begins and whatever a volume is like."""

import os
import signal
import threading
import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from barlowtrack.config import ComputeConfig, SegmentConfig
from barlowtrack.errors import InputError
from barlowtrack.io.segmenter import open_segmenter
from barlowtrack.stages import segment as stage
from barlowtrack.stages.segment import Plan, bytes_a_volume, plan_of, segment
from barlowtrack.synthetic import preset, simulate

N = 7
CONFIG, MODEL = SegmentConfig(), open_segmenter(SegmentConfig())
CPU = ComputeConfig(device="cpu", workers=2)


class InMemory:
    def __init__(self, volumes):
        self.volumes, self.reads = volumes, []

    def read(self, t):
        self.reads.append(t)
        return self.volumes[t]


@pytest.fixture(scope="module")
def volumes():
    film = simulate(preset("easy", n_volumes=N, n_neurons=15, volume_shape=(8, 64, 80)), seed=2).recording
    return film, [film.read(t).astype(np.float32) for t in range(N)]


@pytest.fixture
def film(volumes):
    recording, arrays = volumes
    return replace(recording, dtype=np.dtype(np.float32), source=InMemory([a.copy() for a in arrays]))


@pytest.fixture(scope="module")
def one_by_one(volumes):
    recording, arrays = volumes
    return list(segment(replace(recording, source=InMemory(arrays)), MODEL, config=CONFIG, compute=CPU))


@pytest.fixture
def in_batches(monkeypatch):
    def of(batch, in_flight=2):
        monkeypatch.setattr(stage, "plan_of", lambda *_: Plan(batch, 2, in_flight))

    return of


def assert_same(found, expected):
    assert [one.t for one in found] == [one.t for one in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.detections.t, other.detections.t)
        np.testing.assert_allclose(one.detections.probability, other.detections.probability, atol=1e-5)
        np.testing.assert_allclose(one.detections.position_um, other.detections.position_um, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 3, 10])
@pytest.mark.parametrize("start", [0, 4, 6, 7])
def test_batches_find_what_is_found_one_by_one(batch, start, film, one_by_one, in_batches):
    in_batches(batch)
    said = []
    found = list(segment(film, MODEL, config=CONFIG, compute=CPU, start=start, progress=lambda *at: said.append(at)))
    assert_same(found, one_by_one[start:])
    assert said == [(t + 1, N) for t in range(start, N)]
    assert all(len(one.detections) > 10 for one in found)


@pytest.mark.parametrize("start", [0, 1, 2, 3, 5])
def test_a_run_that_goes_on_makes_the_batches_it_would_have_made(start, film, in_batches, monkeypatch):
    in_batches(3)
    together = []
    monkeypatch.setattr(
        stage,
        "finder",
        lambda *_: lambda reds: together.append(len(reds)) or [stage.find_blobs(r, film.voxel_size_um, CONFIG) for r in reds],
    )
    list(segment(film, None, config=CONFIG, compute=ComputeConfig(workers=1), start=start))
    assert sorted(together) == sorted({0: [3, 3, 1], 1: [2, 3, 1], 2: [1, 3, 1], 3: [3, 1], 5: [1, 1]}[start])


def test_a_bad_volume_in_a_batch_is_named_after_the_good_ones(film, one_by_one, in_batches):
    in_batches(3)
    film.source.volumes[4][0, 0, 0, 0] = np.nan
    results, found = segment(film, MODEL, config=CONFIG, compute=CPU), []
    with pytest.raises(InputError, match="volume 4: expected finite numbers"):
        found.extend(results)
    assert_same(found, one_by_one[:4])


def test_a_volume_of_nothing_takes_no_others_nuclei(film, one_by_one, in_batches):
    in_batches(3)
    film.source.volumes[1][:] = 7
    film.source.volumes[6][:] = 7
    found = list(segment(film, MODEL, config=CONFIG, compute=CPU))
    assert [t for t in range(N) if not len(found[t].detections)] == [1, 6]
    rest = [t for t in range(N) if t not in (1, 6)]
    assert_same([found[t] for t in rest], [one_by_one[t] for t in rest])


def test_a_batch_that_nobody_takes_is_not_followed_by_all_others(film, in_batches):
    in_batches(2, in_flight=2)
    results = segment(film, MODEL, config=CONFIG, compute=CPU)
    next(results)
    results.close()
    assert sorted(film.source.reads) == [0, 1, 2, 3]


def test_on_a_cpu_volumes_go_one_by_one_within_the_memory(film):
    assert plan_of(film, MODEL, CONFIG, CPU) == Plan(1, 2, 3)
    assert plan_of(film, MODEL, CONFIG, ComputeConfig(device="cpu", workers=2, memory_gb=1e-6)).in_flight == 1


@pytest.mark.parametrize(
    ("n_volumes", "workers", "memory_gb", "together"),
    [(1000, 4, 4.0, True), (1000, 4, 0.1, True), (20, 4, 4.0, True), (3, 8, 4.0, False), (1000, 1, 1e-6, False)],
)
def test_on_a_gpu_every_worker_has_a_batch_within_the_memory(n_volumes, workers, memory_gb, together, film, monkeypatch):
    monkeypatch.setattr(stage, "pick_device", lambda _: torch.device("cuda"))
    recording = replace(film, shape=(n_volumes, *film.shape[1:]))
    compute = ComputeConfig(workers=workers, memory_gb=memory_gb)
    plan = plan_of(recording, MODEL, CONFIG, compute)
    assert (plan.batch > 1) == together
    assert plan.in_flight >= 1
    held = plan.batch * plan.in_flight * stage.bytes_a_volume(recording, MODEL, CONFIG)
    assert held <= memory_gb * 1e9 or plan.batch == plan.in_flight == 1
    if plan.batch > 1:
        assert plan.in_flight > workers
        assert plan.batch * workers <= n_volumes
    assert plan_of(recording, None, SegmentConfig(method="log"), compute).batch == 1


def test_ctrl_c_interrupts_and_leaves_no_wrong_volume(film, one_by_one):
    """StarDist's compiled functions catch it and return early; what they say then is no answer."""
    found, results = [], segment(film, MODEL, config=CONFIG, compute=CPU)

    def take():
        for one in results:
            found.append(one)
            if one.t == 1:
                threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        take()
    results.close()
    assert 2 <= len(found) < N
    assert_same(found, one_by_one[: len(found)])


@dataclass(frozen=True)
class Fresh:
    """Volumes that are in nobody's memory until they are read."""

    volume: np.ndarray

    def read(self, t):
        return self.volume + np.uint16(t)


def test_memory_in_use_stays_within_what_the_settings_allow(film):
    volume = np.tile(film.read(0).astype(np.uint16), (1, 2, 2, 2))
    recording = replace(film, shape=(8, *volume.shape), dtype=volume.dtype, source=Fresh(volume))
    config = SegmentConfig(method="log")
    one = bytes_a_volume(recording, None, config)

    def peak(volumes):
        compute = ComputeConfig(device="cpu", workers=4, memory_gb=volumes * one / 1e9)
        tracemalloc.start()
        for _ in segment(recording, None, config=config, compute=compute):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)  # what is made once
    few, many = peak(1.5), peak(5.5)
    assert few < 1.5 * one
    assert 1.5 * few < many < 5.5 * one
