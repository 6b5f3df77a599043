"""Faults of the microscope are found where they were made, and not where there are none."""

import numpy as np
import pytest
from scipy.ndimage import shift

from barlowtrack.config import Config, RecordingConfig, load
from barlowtrack.errors import InputError
from barlowtrack.io import open_recording
from barlowtrack.preparing.advice import advise
from barlowtrack.preparing.alignment import NO_CHANGE, displacement, lie_of_camera, projection
from barlowtrack.preparing.camera import dark_level, sample_planes, stuck_pixels
from barlowtrack.preparing.drift import Field, smoothed
from barlowtrack.preparing.jitter import measure_jitter, roughness, settled
from barlowtrack.synthetic import faults_config, preset, simulate

SMALL = {"n_volumes": 8, "n_neurons": 70, "volume_shape": (16, 128, 224), "missed_planes": 0.0}


def film(name="mid", seed=4, shape=SMALL, **faults):
    return simulate(preset(name, **shape), seed=seed, faults=faults_config(**faults) if faults else None)


def jumps_of(recording):
    found = [measure_jitter(recording.read(t)) for t in range(recording.n_volumes)]
    places, sure = zip(*found, strict=True)
    return settled(places, sure), roughness(places, sure)


def left_over(made, found):
    """Root mean square of what is left of the jumps, over planes that show a nucleus."""
    left = []
    for t in range(made.config.n_volumes):
        depth = made.truth.position_um[made.truth.t == t, 0] / made.config.voxel_size_um[0]
        shows = np.unique(np.clip(np.rint(depth), 0, made.config.volume_shape[0] - 1).astype(int))
        off = found[t, shows] - made.faults.jitter(t)[shows]
        left.append(off - off.mean(axis=0))
    return float(np.sqrt(np.mean(np.concatenate(left) ** 2)))


@pytest.mark.parametrize(("size", "seed"), [(1.0, 4), (2.0, 5)])
def test_jitter_is_undone_to_less_than_a_third_of_a_voxel(size, seed):
    made = film(seed=seed, shape={"n_volumes": 4, "missed_planes": 0.0}, jitter_vox=size)
    found, rough = jumps_of(made.recording)
    assert left_over(made, np.zeros_like(found)) > 0.8 * size
    assert left_over(made, found) < 0.3
    assert 0.6 * size < rough < 1.6 * size  # of so few volumes


@pytest.mark.parametrize(("jump", "volume_shape"), [(1.5, (12, 96, 160)), (17, (12, 168, 168))])
def test_a_jump_is_measured_in_full(jump, volume_shape):
    """Of all planes on one side, too, of which only one pair of neighbours tells; farther where the picture is larger."""
    volume = film(shape={"volume_shape": volume_shape}).recording.read(0)
    before, sure = measure_jitter(volume)
    upper = np.flatnonzero(sure)[sure.sum() // 2 :]
    volume[:, upper] = shift(volume[:, upper], (0, 0, 0, jump), mode="nearest")
    after, _ = measure_jitter(volume)
    moved = after - before
    assert np.median(moved[upper, 1]) - np.median(moved[np.setdiff1d(np.flatnonzero(sure), upper), 1]) == pytest.approx(jump, rel=0.1)
    np.testing.assert_allclose(moved[sure, 0], 0, atol=0.2)


def test_where_nothing_jumps_no_plane_is_moved():
    found, rough = jumps_of(film().recording)
    assert rough < 0.15
    assert not found.any()


@pytest.mark.real_data
def test_no_plane_of_real_volumes_that_do_not_jump_is_moved(real_worm):
    recording = open_recording(real_worm / "recording", RecordingConfig(voxel_size_um=(1.5, 0.35, 0.35)))
    measured = [measure_jitter(recording.read(t))[0] for t in range(recording.n_volumes)]
    assert np.sqrt(np.mean(np.square(measured))) > 1  # the worm lies aslant
    found, _ = jumps_of(recording)
    assert not found.any()
    assert not [advice for advice in advise(recording, Config()) if "jump" in advice.what]


def test_planes_without_nuclei_tell_nothing():
    dark = np.random.default_rng(0).poisson(100, (2, 10, 64, 64)).astype(np.uint16)
    places, sure = measure_jitter(dark)
    assert not sure.any()
    assert not places.any()
    assert not settled([places], [sure]).any()


def test_one_plane_is_no_volume_to_put_right():
    places, sure = measure_jitter(film().recording.read(0)[:, :1])
    assert places.shape == (1, 2)
    assert not sure.any()


def test_stuck_pixels_are_found_and_nuclei_are_not():
    made = film(hot_pixels=1e-3)
    for channel, planes in enumerate(sample_planes(made.recording)):
        found = {tuple(at) for at in stuck_pixels(planes)}
        true = {tuple(at) for at in np.argwhere(made.faults.hot[channel])}
        assert len(true) > 15
        assert len(found & true) >= 0.95 * len(true)
        assert len(found - true) <= 2


def test_a_dead_pixel_is_stuck_too():
    planes = np.random.default_rng(0).poisson(100, (40, 64, 64)).astype(np.uint16)
    planes[:, 20, 30] = 3
    assert stuck_pixels(planes).tolist() == [[20, 30]]


def test_the_dark_level_is_found_beside_a_worm():
    made = film(offset=(10, 70))
    levels = [dark_level(channel) for channel in sample_planes(made.recording)]
    np.testing.assert_allclose(levels, (114, 174), atol=1.5)


def test_the_lie_of_the_second_camera_is_found():
    made = film(shift_vox=(5, -4), turn_deg=2.0, scale=1.02)
    pairs = [tuple(projection(channel) for channel in made.recording.read(t)) for t in range(8)]
    matrix, distance = lie_of_camera(pairs)
    assert displacement(made.faults.matrix, (128, 224)) > 5
    assert displacement(matrix - made.faults.matrix + NO_CHANGE, (128, 224)) < 0.3
    assert distance < 0.5


def test_two_cameras_with_nothing_in_common_are_refused():
    rng = np.random.default_rng(0)
    pairs = [tuple(projection(rng.poisson(100, (4, 128, 224)).astype(np.uint16)) for _ in range(2))]
    with pytest.raises(InputError, match="alignment_matrix"):
        lie_of_camera(pairs)


def test_drift_of_a_worm_that_lies_still_is_found():
    made = simulate(
        preset("still", n_volumes=40, n_neurons=60, volume_shape=(16, 128, 224)), seed=2, faults=faults_config(drift_vox=(0.05, 0.4, -0.3))
    )
    field = Field(made.recording.read(20)[0])
    found = smoothed(np.array([field.shift(made.recording.read(t)[0]) for t in range(40)]))
    true = np.array([made.faults.drift(t) - made.faults.drift(20) for t in range(40)])
    assert np.abs(found - true)[:, 1:].max() < 0.8
    assert np.abs(found - true)[:, 0].max() <= 1
    assert (found[:, 0] == np.round(found[:, 0])).all()


def test_a_volume_that_shows_nothing_takes_the_drift_of_its_neighbours():
    shifts = np.arange(30.0)[:, None] * [0.1, 1, 1]
    shifts[10:13] = np.nan
    drift = smoothed(shifts)
    np.testing.assert_allclose(drift[5:25, 1], np.arange(5.0, 25), atol=0.01)


def test_check_says_what_is_needed_and_only_that():
    assert not list(advise(film(shape=SMALL | {"n_volumes": 20}).recording, Config()))
    bad = film(jitter_vox=1.5, hot_pixels=1e-3, shift_vox=(3, 2)).recording
    said = list(advise(bad, Config()))
    assert [advice.fix for advice in said] == [f"--set prepare.{step}=true" for step in ("hot_pixels", "jitter", "alignment")]
    asked = load(None, [f"prepare.{step}=true" for step in ("hot_pixels", "jitter", "alignment")])
    assert not list(advise(bad, asked))
    offset = list(advise(bad, load(None, ["trace.background=false"])))
    assert sum("no light" in advice.what for advice in offset) == 2
