"""measure: whose light is read, from where, and on what it may depend."""

import dataclasses
import threading

import numpy as np
import pytest

from barlowtrack.config import ComputeConfig, MeasureConfig
from barlowtrack.data import UNKNOWN, Candidates, Detections, Identities, Labels, Light, Places, Recording
from barlowtrack.detect.reading import camera_end, typical_radius_um
from barlowtrack.errors import InputError
from barlowtrack.stages.measure import measure

ONE, FOUR = ComputeConfig(workers=1), ComputeConfig(workers=4)
SIZE_UM = (2.0, 0.5, 0.5)
SHAPE = (8, 40, 60)
CENTRES_UM = np.array([[8.0, 5.0, 6.0], [8.0, 14.0, 15.0], [6.0, 10.0, 24.0]])
EMPTY_UM = np.array([8.0, 15.0, 5.0])
RADIUS_UM = 2.5


class Arrays:
    """A recording or its labels in memory; notes what is read."""

    def __init__(self, volumes: np.ndarray):
        self.volumes, self.lock, self.reads = volumes, threading.Lock(), []

    def read(self, t: int) -> np.ndarray:
        with self.lock:
            self.reads.append(t)
        return self.volumes[t]


def worm(n_volumes: int = 5, n_channels: int = 2):
    """Three balls whose labels change from volume to volume, red 100 and green 150 above a background; a fourth entry is never found."""
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(SHAPE, SIZE_UM, strict=True)], indexing="ij"), axis=-1)
    balls = np.linalg.norm(grid - CENTRES_UM[:, None, None, None], axis=-1) < RADIUS_UM  # (3, Z, Y, X)
    volumes, labels = np.zeros((n_volumes, 2, *SHAPE)), np.zeros((n_volumes, *SHAPE), np.uint16)
    names = [np.random.default_rng(t).permutation(3) + 1 for t in range(n_volumes)]
    for t in range(n_volumes):
        volumes[t] = np.array([20.0, 7.0])[:, None, None, None] * (1 + t)
        for k in range(3):
            labels[t][balls[k]] = names[t][k]
            volumes[t, :, balls[k]] += [100.0, 150.0]
    volumes = volumes[:, :n_channels]
    signal = 1 if n_channels > 1 else None
    recording = Recording(
        "worm", Arrays(volumes), volumes.shape, volumes.dtype, SIZE_UM, 4.0, ("red", "green")[:n_channels], 0, signal, "print"
    )
    rows = [(t, names[t][k], k) for t in range(n_volumes) for k in range(3)]
    t, label, entry = np.array(sorted(rows)).T
    ones = np.ones(len(t))
    size = 4 / 3 * np.pi * RADIUS_UM**3 * ones
    detections = Detections(n_volumes, t, label, CENTRES_UM[entry], size, ones, 100 * ones, ones, ones, ones, ones)
    return recording, Labels(Arrays(labels), labels.shape), detections, identities(entry, n_volumes)


def identities(entry: np.ndarray, n_volumes: int) -> Identities:
    place_um = np.tile(np.concatenate([CENTRES_UM, EMPTY_UM[None]]), (n_volumes, 1, 1))
    none = Candidates(np.full((len(entry), 1), UNKNOWN), np.zeros((len(entry), 1)))
    return Identities(entry, 0.9 * np.ones(len(entry)), none, np.full((n_volumes, 4), 0.5), place_um)


def read(*inputs, config: MeasureConfig | None = None, compute: ComputeConfig = ONE, **more) -> tuple[Light, Places]:
    parts = list(measure(*inputs, config=config or MeasureConfig(), compute=compute, **more))
    return Light.concatenate([part.light for part in parts]), Places.concatenate([part.places for part in parts])


def same(a: object, b: object) -> None:
    for name in type(a).__dataclass_fields__:
        if name == "light":
            same(a.light, b.light)
        else:
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_every_nucleus_and_every_place_that_none_fills_is_read():
    light, places = read(*worm())
    level = np.repeat(1.0 + np.arange(5), 3)
    for name in ("mean", "soft", "brightest"):
        np.testing.assert_allclose(getattr(light, name), [100 + 20 * level, 150 + 7 * level], rtol=1e-6)
    np.testing.assert_allclose(light.background, [20 * level, 7 * level], rtol=1e-6)
    assert places.t.tolist() == [0, 1, 2, 3, 4]
    assert places.entry.tolist() == [3] * 5  # the others' places are filled by their own nuclei
    np.testing.assert_allclose(places.position_um, np.tile(EMPTY_UM, (5, 1)))
    np.testing.assert_allclose(places.light.mean, places.light.background)


def test_light_that_no_nucleus_has_is_found_at_its_place():
    recording, labels, detections, who = worm(1)
    z, y, x = np.rint(EMPTY_UM / SIZE_UM).astype(int)
    recording.source.volumes[0, :, z, y, x] += 1000
    _, places = read(recording, labels, detections, who, config=MeasureConfig(brightest_voxels=1))
    np.testing.assert_allclose(places.light.brightest[:, 0], [1020, 1007])
    assert places.light.soft[0, 0] > places.light.mean[0, 0] > 20  # it lies in the middle


def test_each_channel_is_read_by_its_role():
    recording, *rest = worm()
    flipped = dataclasses.replace(
        recording, source=Arrays(recording.source.volumes[:, ::-1]), channel_names=("green", "red"), reference=1, signal=0
    )
    for ours, theirs in zip(read(recording, *rest), read(flipped, *rest), strict=True):
        same(ours, theirs)


def test_a_nucleus_is_the_label_of_its_row_wherever_it_is_said_to_lie():
    recording, labels, detections, who = worm()
    moved = dataclasses.replace(detections, position_um=detections.position_um[::-1] * 0.3)
    same(read(recording, labels, moved, who)[0], read(recording, labels, detections, who)[0])


def test_other_nuclei_are_no_background():
    recording, labels, detections, who = worm(2)
    wide = MeasureConfig(shell_um=12.0, background_percentile=100)  # the brightest voxel of a shell that reaches the others
    dull = read(recording, labels, detections, who, config=wide)[0]
    recording.source.volumes[0, 0][(labels.source.volumes[0] > 0) & (labels.source.volumes[0] != detections.label[0])] += 5000
    bright = read(recording, labels, detections, who, config=wide)[0]
    assert bright.background[0, 0] == dull.background[0, 0] == 20
    assert bright.crowding[0] > 0


def test_workers_and_the_volume_a_run_goes_on_at_change_nothing():
    case = worm(9)
    whole = read(*case)
    for ours, theirs in zip(whole, read(*case, compute=FOUR), strict=True):
        same(ours, theirs)
    later = list(measure(*case, config=MeasureConfig(), compute=ONE, start=4))
    assert [part.t for part in later] == [4, 5, 6, 7, 8]
    same(Light.concatenate([part.light for part in later]), whole[0].subset(np.arange(12, 27)))


def test_no_more_volumes_are_in_memory_than_fit():
    recording, *rest = worm(8)
    threads: set[str] = set()

    class Slow(Arrays):
        def read(self, t: int) -> np.ndarray:
            threads.add(threading.current_thread().name)
            threading.Event().wait(0.01)
            return super().read(t)

    slow = dataclasses.replace(recording, source=Slow(recording.source.volumes))
    read(slow, *rest, compute=ComputeConfig(workers=4, memory_gb=1e-6))
    assert len(threads) == 1
    threads.clear()
    read(slow, *rest, compute=FOUR)
    assert 1 < len(threads) <= 4


def test_progress_is_told_after_every_volume():
    seen = []
    read(*worm(3), progress=lambda *step: seen.append(step))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_without_a_signal_channel_only_red_is_read():
    light, places = read(*worm(n_channels=1))
    assert np.isfinite(light.mean[0]).all()
    assert np.isnan(light.mean[1]).all()
    assert np.isnan(places.light.background[1]).all()


def test_a_recording_in_which_nothing_was_found_is_not_read():
    recording, labels, *_ = worm(3)
    light, places = read(recording, labels, Detections.empty(3), identities(np.zeros(0, int), 3))
    assert len(light) == len(places) == 0
    assert recording.source.reads == []


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integer_voxels_do_not_overflow(dtype: type):
    recording, *rest = worm(2)
    whole = dataclasses.replace(recording, source=Arrays(recording.source.volumes.astype(dtype)), dtype=np.dtype(dtype))
    np.testing.assert_allclose(read(whole, *rest)[0].mean, read(recording, *rest)[0].mean)


def test_the_end_of_the_camera_is_known_by_its_bits():
    recording, labels, detections, who = worm(1)
    np.testing.assert_array_equal(camera_end(recording, detections), np.inf)  # numbers with a fraction have no end
    short = dataclasses.replace(recording, dtype=np.dtype(np.uint16))
    assert camera_end(short, detections).tolist() == [65535, 65535]
    at_the_end = dataclasses.replace(detections, green_peak=np.array([4095.0, 12, 13]))
    assert camera_end(short, at_the_end).tolist() == [65535, 4095]
    unknown = dataclasses.replace(at_the_end, red_peak=np.full(3, np.nan))
    assert camera_end(short, unknown).tolist() == [65535, 4095]
    brighter = dataclasses.replace(at_the_end, red_peak=np.array([16380.0, 16383, 3]))  # each channel has a camera of its own
    assert camera_end(short, brighter).tolist() == [16383, 4095]
    left = dataclasses.replace(detections, red_peak=np.array([65520.0, 12, 13]))  # 12 bits in the highest of 16
    assert camera_end(short, left).tolist() == [65520, 65535]
    dull = read(recording, labels, detections, who, config=MeasureConfig(saturated_at=120.5))[0]
    assert dull.saturated.tolist() == [1, 1, 1]  # green, 157, is at its end
    assert read(recording, labels, detections, who, config=MeasureConfig(saturated_at=158))[0].saturated.tolist() == [0, 0, 0]


def test_a_channel_is_held_against_its_own_camera():
    recording, labels, detections, who = worm(1)
    volumes = np.rint(recording.source.volumes).astype(np.uint16)  # red up to 120, green up to 157
    volumes[:, 0] = np.where(volumes[:, 0] == 120, 255, volumes[:, 0])
    short = dataclasses.replace(recording, source=Arrays(volumes), dtype=volumes.dtype)
    seen = dataclasses.replace(detections, red_peak=np.full(3, 255.0), green_peak=np.full(3, 157.0))
    assert read(short, labels, seen, who)[0].saturated.tolist() == [1, 1, 1]
    bright = dataclasses.replace(seen, green_peak=np.full(3, 157 * 20.0))
    volumes[:, 1] *= 20
    assert read(short, labels, bright, who)[0].saturated.tolist() == [1, 1, 1]


def test_places_are_as_large_as_nuclei_usually_are():
    _, _, detections, who = worm(3)
    size = np.where(who.neuron == 1, 100.0, 10.0)
    size[np.flatnonzero(who.neuron == 1)[0]] = 5000.0  # once it was merged with another
    found = typical_radius_um(dataclasses.replace(detections, volume_um3=size), who)
    np.testing.assert_allclose(4 / 3 * np.pi * found**3, [10, 100, 10, 10], rtol=1e-6)
    assert np.isnan(typical_radius_um(Detections.empty(3), identities(np.zeros(0, int), 3))).all()


def test_inputs_of_different_runs_are_refused():
    recording, labels, detections, who = worm(2)
    with pytest.raises(InputError, match="identity for each of 6 detections, got 1"):
        read(recording, labels, detections, identities(np.zeros(1, int), 2))
    with pytest.raises(InputError, match="identities of 2 volumes, got 3"):
        read(recording, labels, detections, identities(who.neuron, 3))
    with pytest.raises(InputError, match="labels of shape"):
        read(recording, Labels(labels.source, (3, *SHAPE)), detections, who)
    with pytest.raises(InputError, match="detections of 2 volumes, got 3"):
        read(recording, labels, dataclasses.replace(detections, n_volumes=3), who)
    labels.source.volumes[1][labels.source.volumes[1] == 3] = 0
    with pytest.raises(InputError, match="volume 1: label 3 of the detections has no voxels"):
        read(recording, labels, detections, who)
