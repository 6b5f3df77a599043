import dataclasses
import threading

import numpy as np
import pytest

from barlowtrack.config import ComputeConfig, TraceConfig
from barlowtrack.data import UNKNOWN, Detections, Labels, Recording, Traces, Tracks
from barlowtrack.errors import InputError
from barlowtrack.stages.trace import trace

ONE, FOUR = ComputeConfig(workers=1), ComputeConfig(workers=4)
SIZE_UM = (2.0, 0.5, 0.5)
SHAPE = (8, 40, 60)
CENTRES_UM = np.array([[8.0, 5.0, 6.0], [8.0, 14.0, 15.0], [6.0, 10.0, 24.0]])


class Arrays:
    """A recording or its labels in memory; notes how many volumes are being read."""

    def __init__(self, volumes: np.ndarray):
        self.volumes, self.lock, self.reads = volumes, threading.Lock(), []

    def read(self, t: int) -> np.ndarray:
        with self.lock:
            self.reads.append(t)
        return self.volumes[t]


def worm(n_volumes: int = 5, activity: np.ndarray | None = None, n_channels: int = 2, background=(20.0, 7.0)):
    """Three balls whose labels change from volume to volume, red 100 and green 100 x activity above an uneven background."""
    activity = np.ones((3, n_volumes)) if activity is None else activity
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(SHAPE, SIZE_UM, strict=True)], indexing="ij"), axis=-1)
    balls = np.linalg.norm(grid - CENTRES_UM[:, None, None, None], axis=-1) < 2.5  # (3, Z, Y, X)
    volumes, labels = np.zeros((n_volumes, 2, *SHAPE)), np.zeros((n_volumes, *SHAPE), np.uint16)
    names = [np.random.default_rng(t).permutation(3) + 1 for t in range(n_volumes)]
    for t in range(n_volumes):
        volumes[t] = np.array(background)[:, None, None, None] * (1 + t) + 0.0 * grid[..., 0]
        for k in range(3):
            labels[t][balls[k]] = names[t][k]
            volumes[t, :, balls[k]] += [100.0, 100.0 * activity[k, t]]
    volumes = volumes[:, :n_channels]
    signal = 1 if n_channels > 1 else None
    recording = Recording(
        "worm", Arrays(volumes), volumes.shape, volumes.dtype, SIZE_UM, 4.0, ("red", "green")[:n_channels], 0, signal, "print"
    )
    rows = [(t, names[t][k], k) for t in range(n_volumes) for k in range(3)]
    t, label, neuron = np.array(sorted(rows)).T
    ones = np.ones(len(t))
    detections = Detections(n_volumes, t, label, CENTRES_UM[neuron], ones, ones, ones, ones, ones, ones, ones)
    return recording, Labels(Arrays(labels), labels.shape), detections, Tracks(neuron, 0.9 * ones, 3)


def same(a: Traces, b: Traces) -> None:
    for name in Traces.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_brightness_is_read_above_the_background_in_every_volume_and_channel():
    activity = np.linspace(0.5, 2.0, 15).reshape(3, 5)
    traces = trace(*worm(activity=activity), config=TraceConfig(), compute=ONE)
    np.testing.assert_allclose(traces.red, 100.0)  # the background grows from volume to volume: it goes off in each
    np.testing.assert_allclose(traces.green, 100 * activity, rtol=1e-6)
    np.testing.assert_allclose(traces.ratio, activity, rtol=1e-6)
    r0 = np.percentile(activity, 20, axis=1, keepdims=True)
    np.testing.assert_allclose(traces.dr_over_r0, activity / r0 - 1, atol=1e-6)
    np.testing.assert_allclose(traces.probability, 0.9)
    np.testing.assert_allclose(traces.time_s, np.arange(5) / 4.0)


def test_each_channel_is_read_by_its_role():
    activity = np.random.default_rng(0).uniform(0.5, 3, (3, 5))
    recording, labels, detections, tracks = worm(activity=activity)
    names = {"channel_names": ("green", "red"), "reference": 1, "signal": 0}
    flipped = dataclasses.replace(recording, source=Arrays(recording.source.volumes[:, ::-1]), **names)
    rest = labels, detections, tracks
    as_it_was = trace(recording, *rest, config=TraceConfig(), compute=ONE)
    same(trace(flipped, *rest, config=TraceConfig(), compute=ONE), as_it_was)
    np.testing.assert_allclose(as_it_was.green / as_it_was.red, activity, rtol=1e-5)


def test_the_background_is_that_of_the_nucleus_own_surroundings():
    recording, labels, detections, tracks = worm(n_volumes=2)
    ramp = np.linspace(0, 300, SHAPE[2])
    recording.source.volumes[:, 0] += ramp
    steep = trace(recording, labels, detections, tracks, config=TraceConfig(background_percentile=50), compute=ONE)
    np.testing.assert_allclose(steep.red, 100.0, atol=4)  # the ramp differs by 180 between the outer two


def test_other_nuclei_are_no_background():
    recording, labels, detections, tracks = worm(n_volumes=2)
    bright = (labels.source.volumes > 0) & (labels.source.volumes != detections.label[0])
    wide = TraceConfig(shell_um=12.0, background_percentile=100)  # the brightest voxel of a shell that reaches the others
    dull = trace(recording, labels, detections, tracks, config=wide, compute=ONE)
    recording.source.volumes[0, 0][bright[0]] += 5000
    neuron = tracks.neuron[0]
    assert trace(recording, labels, detections, tracks, config=wide, compute=ONE).red[neuron, 0] == dull.red[neuron, 0]
    np.testing.assert_allclose(dull.red, 100.0)


def test_a_neuron_is_read_from_the_label_of_its_row_not_from_where_it_lies():
    activity = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    recording, labels, detections, tracks = worm(3, activity)
    elsewhere = detections.position_um[::-1] * 0.3
    columns = {name: getattr(detections, name) for name in Detections.__dataclass_fields__}
    moved = Detections(**columns | {"position_um": elsewhere})
    same(
        trace(recording, labels, moved, tracks, config=TraceConfig(), compute=ONE),
        trace(recording, labels, detections, tracks, config=TraceConfig(), compute=ONE),
    )


def test_first_and_last_volume_are_read():
    recording, labels, detections, tracks = worm(n_volumes=4)
    seen: list[tuple[int, int]] = []
    traces = trace(recording, labels, detections, tracks, config=TraceConfig(), compute=ONE, progress=lambda *step: seen.append(step))
    assert np.isfinite(traces.red[:, [0, -1]]).all()
    assert sorted(recording.source.reads) == [0, 1, 2, 3]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_number_of_workers_changes_nothing():
    case = worm(n_volumes=12, activity=np.random.default_rng(0).random((3, 12)))
    same(trace(*case, config=TraceConfig(), compute=ONE), trace(*case, config=TraceConfig(), compute=FOUR))


def test_no_more_volumes_are_in_memory_than_fit():
    recording, *rest = worm(n_volumes=8)
    threads: set[str] = set()
    barrier = threading.Event()

    class Slow(Arrays):
        def read(self, t: int) -> np.ndarray:
            threads.add(threading.current_thread().name)
            barrier.wait(0.01)
            return super().read(t)

    columns = {name: getattr(recording, name) for name in Recording.__dataclass_fields__}
    slow = Recording(**columns | {"source": Slow(recording.source.volumes)})
    trace(slow, *rest, config=TraceConfig(), compute=ComputeConfig(workers=4, memory_gb=1e-6))
    assert len(threads) == 1
    threads.clear()
    trace(slow, *rest, config=TraceConfig(), compute=FOUR)
    assert 1 < len(threads) <= 4


def test_absent_unknown_and_doubtful_neurons_are_nan():
    recording, labels, detections, tracks = worm(n_volumes=3)
    neuron, probability = tracks.neuron.copy(), tracks.probability.copy()
    neuron[0] = UNKNOWN
    probability[-1] = 0.3
    doubtful = Tracks(neuron, probability, 4)
    traces = trace(recording, labels, detections, doubtful, config=TraceConfig(min_probability=0.5), compute=ONE)
    for values in (traces.red, traces.green, traces.ratio, traces.dr_over_r0, traces.probability):
        assert np.isnan(values[tracks.neuron[0], 0])
        assert np.isnan(values[tracks.neuron[-1], 2])
        assert np.isnan(values[3]).all()  # an id that nobody carries
        assert np.count_nonzero(np.isfinite(values)) == 7
    kept = trace(recording, labels, detections, doubtful, config=TraceConfig(), compute=ONE)
    assert kept.probability[tracks.neuron[-1], 2] == np.float32(0.3)


def test_without_a_signal_channel_only_red_is_read():
    traces = trace(*worm(n_channels=1), config=TraceConfig(), compute=ONE)
    assert np.isfinite(traces.red).all()
    assert np.isnan([traces.green, traces.ratio, traces.dr_over_r0]).all()


def test_without_a_rate_there_is_no_time():
    recording, *rest = worm()
    still = Recording(**{name: getattr(recording, name) for name in Recording.__dataclass_fields__} | {"rate_hz": None})
    assert np.isnan(trace(still, *rest, config=TraceConfig(), compute=ONE).time_s).all()


def test_red_that_is_not_above_its_background_gives_no_ratio():
    recording, labels, detections, tracks = worm(n_volumes=3)
    recording.source.volumes[1, 0][labels.source.volumes[1] > 0] = 10.0  # darker than around it
    recording.source.volumes[2, 0] = 50.0  # exactly as dark
    traces = trace(recording, labels, detections, tracks, config=TraceConfig(), compute=ONE)
    assert (traces.red[:, 1] < 0).all()
    assert (traces.red[:, 2] == 0).all()
    assert np.isnan(traces.ratio[:, 1:]).all()
    assert np.isfinite(traces.ratio[:, 0]).all()
    assert not np.isinf(traces.dr_over_r0).any()


def test_brighter_recordings_scale_traces_but_not_ratios():
    recording, labels, detections, tracks = worm(activity=np.random.default_rng(1).random((3, 5)) + 0.5)
    before = trace(recording, labels, detections, tracks, config=TraceConfig(), compute=ONE)
    recording.source.volumes *= 3.0
    after = trace(recording, labels, detections, tracks, config=TraceConfig(), compute=ONE)
    np.testing.assert_allclose(after.red, 3 * before.red, rtol=1e-5)
    np.testing.assert_allclose(after.dr_over_r0, before.dr_over_r0, atol=1e-5)


def test_a_shell_of_nothing_falls_back_to_the_volume():
    traces = trace(*worm(n_volumes=1), config=TraceConfig(shell_um=0.01), compute=ONE)
    np.testing.assert_allclose(traces.red, 100.0)
    recording, labels, detections, tracks = worm(n_volumes=1)
    labels.source.volumes[labels.source.volumes == 0] = 9  # nuclei fill the volume: nobody knows the background
    assert np.isnan(trace(recording, labels, detections, tracks, config=TraceConfig(), compute=ONE).red).all()


@pytest.mark.parametrize("n_volumes", [1, 3])
def test_no_neuron_and_no_detection(n_volumes: int):
    recording, labels, detections, tracks = worm(n_volumes)
    unknown = Tracks(np.full(len(tracks), UNKNOWN), tracks.probability, 0)
    assert trace(recording, labels, detections, unknown, config=TraceConfig(), compute=ONE).red.shape == (0, n_volumes)
    assert recording.source.reads == []  # nothing to read, nothing read
    nobody = Tracks(np.zeros(0, int), np.zeros(0), 2)
    empty = trace(recording, labels, Detections.empty(n_volumes), nobody, config=TraceConfig(), compute=ONE)
    assert np.isnan(empty.red).all()
    assert empty.red.shape == (2, n_volumes)


def test_integer_voxels_do_not_overflow():
    recording, labels, detections, tracks = worm(n_volumes=2)
    columns = {name: getattr(recording, name) for name in Recording.__dataclass_fields__}
    for dtype in (np.uint8, np.uint16):
        whole = Recording(**columns | {"source": Arrays(recording.source.volumes.astype(dtype)), "dtype": np.dtype(dtype)})
        dark = trace(whole, labels, detections, tracks, config=TraceConfig(background_percentile=100), compute=ONE)
        np.testing.assert_allclose(dark.red, 100.0)


def test_inputs_of_different_runs_are_refused():
    recording, labels, detections, tracks = worm(n_volumes=2)
    everything = {"config": TraceConfig(), "compute": ONE}
    with pytest.raises(InputError, match="identity for each of 6 detections, got 1"):
        trace(recording, labels, detections, Tracks(np.zeros(1, int), np.ones(1), 1), **everything)
    with pytest.raises(InputError, match="labels of shape"):
        trace(recording, Labels(labels.source, (3, *SHAPE)), detections, tracks, **everything)
    columns = {name: getattr(detections, name) for name in Detections.__dataclass_fields__}
    longer = Detections(**columns | {"n_volumes": 3})
    with pytest.raises(InputError, match="detections of 2 volumes, got 3"):
        trace(recording, labels, longer, tracks, **everything)
    with pytest.raises(InputError, match="volume 0: expected every neuron once"):
        trace(recording, labels, detections, Tracks(np.zeros(6, int), np.ones(6), 1), **everything)
    labels.source.volumes[1][labels.source.volumes[1] == 3] = 0
    with pytest.raises(InputError, match="volume 1: label 3 of the detections has no voxels"):
        trace(recording, labels, detections, tracks, **everything)
