"""A recording seen through its preparation."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from barlowtrack.config import load
from barlowtrack.data import Deconvolution, Preparation, Truth
from barlowtrack.detect.reading import camera_end
from barlowtrack.errors import InputError
from barlowtrack.preparing.deconvolution import OURS, find, made_by, point_spread
from barlowtrack.preparing.truth import prepared_truth
from barlowtrack.preparing.view import prepared, seen_through
from barlowtrack.stages.prepare import prepare
from barlowtrack.synthetic import faults_config, preset, simulate

SMALL = {"n_volumes": 5, "n_neurons": 20, "volume_shape": (12, 72, 112)}
SIZE = (1.5, 0.35, 0.35)


@pytest.fixture(scope="module")
def film():
    return simulate(preset("easy", **SMALL), seed=3, faults=faults_config(jitter_vox=1.5, offset=(40, 90))).recording


def made(film, **how):
    return Preparation(shape=film.shape[1:], **how)


def test_nothing_asked_for_is_the_recording_itself(film):
    assert prepared(film, Preparation()) is film


def test_the_offset_is_taken_off_both_channels_of_every_volume_and_nothing_is_clipped(film):
    offset = np.array([144.0, 194.0])
    seen = prepared(film, made(film, offset=offset))
    assert seen.dtype == np.float32
    for t in range(film.n_volumes):
        raw, volume = film.read(t), seen.read(t)
        for channel in (0, 1):
            np.testing.assert_array_equal(volume[channel], raw[channel].astype(np.float32) - offset[channel])
            assert (volume[channel] < 0).any()  # noise below the offset
    assert seen.recorded_dtype == np.uint16
    assert seen.taken_off == (144.0, 194.0)


def test_the_cameras_end_is_still_known_where_the_offset_is_off(film):
    def ends(recording, red, green):
        peaks = type("Peaks", (), {"red_peak": np.array([5.0, red]), "green_peak": np.array([7.0, green])})()
        return camera_end(recording, peaks)

    np.testing.assert_array_equal(ends(film, 4095, 9), (4095, 65535))  # a camera of 12 bits, and one of which nothing is known
    off = prepared(film, made(film, offset=np.array([100.0, 104.0])))
    np.testing.assert_allclose(ends(off, 3995, 9), (3995, 65431), atol=0.5)
    assert ends(off, 3995, 9)[0] <= 3995  # what is at the end counts, whatever interpolation rounds


def test_the_measured_offset_is_that_of_both_cameras(film):
    config = load(None, ["prepare.background=true"])
    [found] = prepare(film, "none", config=config.prepare, compute=config.compute)
    np.testing.assert_allclose(found.offset, (144, 194), atol=2)  # camera 100, ours 40 and 90, stray light 4
    seen = prepared(film, found)
    for t in range(film.n_volumes):
        np.testing.assert_allclose(np.median(seen.read(t), axis=(1, 2, 3)), 0, atol=4)


def test_jumps_by_whole_voxels_are_taken_back_exactly_in_both_channels(film):
    jitter = np.random.default_rng(0).integers(-3, 4, (film.n_volumes, 12, 2)).astype(float)
    seen = prepared(film, made(film, jitter=jitter, dark=np.array([7.0, 9.0]))).read(2)
    raw = film.read(2)
    for channel in (0, 1):
        for z, (y, x) in enumerate(jitter[2].astype(int)):
            inside = np.roll(raw[channel, z], (-y, -x), (0, 1))[4:-4, 4:-4]
            np.testing.assert_allclose(seen[channel, z, 4:-4, 4:-4], inside, atol=1e-3)
            if y > 0:  # what was never recorded shows what a dark voxel does
                assert (seen[channel, z, -y:] == (7, 9)[channel]).all()


def test_only_the_signal_is_read_on_the_other_camera(film):
    matrix = np.array([[1.0, 0, 2], [0, 1, -3]])
    seen, raw = prepared(film, made(film, matrix=matrix)).read(1), film.read(1)
    np.testing.assert_array_equal(seen[0], raw[0])
    np.testing.assert_allclose(seen[1, :, :-2, 3:], raw[1, :, 2:, :-3], atol=1e-2)


def test_mirror_planes_and_stuck_pixels_keep_the_type(film):
    hot = np.array([[0, 10, 20], [1, 0, 0], [1, 0, 1]])
    seen = prepared(film, made(film, hot=hot, planes=(2, 9), mirror="x"))
    assert seen.dtype == np.uint16
    assert seen.shape == (5, 2, 7, 72, 112)
    raw, volume = film.read(3), seen.read(3)
    around = np.delete(raw[0, 5, 9:12, 19:22].ravel(), 4)
    assert volume[0, 3, 10, 111 - 20] == np.rint(np.median(around))
    corner = [raw[1, 5, 1, 0], raw[1, 5, 1, 1]]  # the pixel beside it is stuck too
    assert volume[1, 3, 0, 111] == np.rint(np.median(corner))
    raw[:, :, 10, 20] = volume[:, 0, 0, 0, None] * 0 + raw[:, :, 10, 20]
    np.testing.assert_array_equal(volume[0, :, 20:], raw[0, 2:9, 20:, ::-1])


def test_volumes_are_the_same_from_any_thread(film):
    jitter = np.random.default_rng(1).normal(size=(film.n_volumes, 12, 2))
    seen = prepared(film, made(film, jitter=jitter, offset=np.array([1.0, 2.0]), hot=np.array([[0, 5, 5]])))
    with ThreadPoolExecutor(4) as pool:
        volumes = list(pool.map(seen.read, range(film.n_volumes)))
    for t, volume in enumerate(volumes):
        np.testing.assert_array_equal(volume, prepared(film, seen_through(seen).preparation).read(t))


@pytest.mark.parametrize("mirror", ["", "z", "y", "x"])
def test_places_go_to_the_prepared_pictures_and_back(mirror):
    rng = np.random.default_rng(2)
    how = Preparation(
        shape=(2, 12, 72, 112), jitter=rng.normal(size=(4, 12, 2)), drift=np.c_[rng.integers(-2, 3, 4), rng.normal(size=(4, 2))],
        planes=(1, 11), mirror=mirror,
    )  # fmt: skip
    t, where = rng.integers(0, 4, 50), rng.uniform(0, 20, (50, 3))
    there = how.prepared_um(t, where, SIZE)
    assert np.abs(there - where).max() > 1
    np.testing.assert_allclose(how.recorded_um(t, there, SIZE), where, atol=1e-9)


def test_a_spot_is_where_its_place_says(film):
    """The map of places and the map of voxels are one."""
    rng = np.random.default_rng(3)
    spot = np.zeros((2, 12, 72, 112), np.float32)
    spot[:, 6, 30, 50] = 1000
    one = replace(film, source=type("One", (), {"read": lambda self, t: spot.copy()})(), dtype=np.dtype(np.float32))
    jitter = np.round(rng.normal(size=(film.n_volumes, 12, 2)) * 2)
    drift = np.tile([2.0, 3.0, -4.0], (film.n_volumes, 1))
    for mirror in ("", "z", "y", "x"):
        how = made(film, jitter=jitter, drift=drift, planes=(1, 10), mirror=mirror)
        found = np.argwhere(prepared(one, how).read(1)[0] > 500)
        said = how.prepared_um(np.array([1]), np.array([[6.0, 30, 50]]) * SIZE, SIZE) / SIZE
        np.testing.assert_allclose(found, said, atol=1e-6)


def test_truth_outside_the_prepared_pictures_is_left_out():
    how = Preparation(shape=(2, 12, 72, 112), planes=(4, 12))
    truth = Truth(np.array([0, 0, 9]), np.array([1, 2, 1]), np.array([[3.0, 5, 5], [9.0, 5, 5], [3.0, 5, 5]]), np.ones(3))
    seen = prepared_truth(truth, how, 5, SIZE)
    assert seen.neuron.tolist() == [2, 1]  # volume 9 is none of the recording's: nothing is known of it
    np.testing.assert_allclose(seen.position_um, [[3.0, 5, 5], [3.0, 5, 5]])
    assert len(seen.activity) == 2


def test_a_preparation_of_another_recording_is_refused(film):
    with pytest.raises(InputError, match="another shape"):
        prepared(film, Preparation(shape=(2, 13, 72, 112), mirror="x"))
    with pytest.raises(InputError, match="another shape"):
        prepared(film, made(film, drift=np.zeros((4, 3))))


def test_richardson_lucy_makes_spots_smaller_and_keeps_their_light():
    how = Deconvolution(OURS, made_by(OURS), (0.8, 0.5), 10)
    psf = point_spread(how.psf_um, (0.8, 0.25, 0.25))
    assert psf.sum() == pytest.approx(1, abs=1e-5)
    volume = np.zeros((15, 40, 40), np.float32)
    volume[5:10, 14:27, 14:27] = 1000 * psf[1:-1, :, :][:5, :13, :13] if psf.shape == (7, 13, 13) else 0
    assert volume.any()
    volume[0, 0, 0] = -5
    sharp = find(how)(volume, psf, how.iterations)
    assert sharp.shape == volume.shape
    assert (sharp >= 0).all()
    assert sharp.max() > 2 * volume.max()
    assert sharp.sum() == pytest.approx(volume[volume > 0].sum(), rel=0.05)


def test_deconvolution_goes_through_the_recording_volume_by_volume(film):
    config = load(None, ["prepare.deconvolution=richardson-lucy", "prepare.iterations=2", "prepare.background=true"])
    [found] = prepare(film, made_by(OURS), config=config.prepare, compute=config.compute)
    seen = prepared(film, found)
    assert seen.recorded_dtype is None  # its light is no measure of the camera's end
    assert seen.read(0).max() > 1.03 * (film.read(0).max() - 144)


def test_what_is_not_installed_is_refused_by_name(film):
    with pytest.raises(InputError, match="nothing installed is called mine; known are richardson-lucy"):
        made_by("mine")
    with pytest.raises(InputError, match="mine"):
        prepared(film, made(film, deconvolution=Deconvolution("mine", "mine 1.0", (1, 1), 1)))


def test_two_preparations_are_alike_where_they_put_things_alike():
    jitter = np.zeros((2, 4, 2))
    shape = (2, 4, 8, 8)
    alike = [Preparation(), Preparation(shape, offset=np.ones(2)), Preparation(shape, planes=(0, 3))]
    others = [
        Preparation(shape, mirror="x"),
        Preparation(shape, mirror="y"),
        Preparation(shape, mirror="z"),
        Preparation(shape, mirror="z", planes=(0, 3)),
        Preparation(shape, planes=(1, 4)),
        Preparation(shape, jitter=jitter),
        Preparation(shape, jitter=jitter + 1),
        Preparation(shape, drift=np.ones((2, 3))),
    ]
    assert all(one.places_as(other) for one in alike for other in alike)
    assert all(one.places_as(other) == (i == k) for i, one in enumerate(others) for k, other in enumerate(others))
    assert not any(one.places_as(other) or other.places_as(one) for one in alike for other in others)
    assert Preparation(shape, jitter=jitter).places_as(Preparation(shape, jitter=jitter.copy(), offset=np.ones(2)))
