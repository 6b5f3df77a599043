"""Labelled volumes to learn from: images and labels side by side, on the model's voxels."""

import numpy as np
import pytest
import tifffile

from barlowtrack.config import RecordingConfig
from barlowtrack.errors import InputError
from barlowtrack.io.pairs import open_pairs
from barlowtrack.nn.brightness import LINEAR, Brightness
from barlowtrack.nn.resample import resample, resample_labels

SIZE = (1.5, 0.5, 0.5)
GIVEN = RecordingConfig(voxel_size_um=SIZE, axes="ZYX")


def write(folder, name, volume):
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / name, volume, photometric="minisblack")


@pytest.fixture
def folders(tmp_path):
    """Three pairs of different sizes; the third is seen at another gain."""
    rng = np.random.default_rng(0)
    for k, shape in enumerate([(6, 20, 24), (5, 18, 30), (6, 20, 24)]):
        write(tmp_path / "images", f"{k}.tif", rng.integers(0, 1000 * (k + 1), shape).astype(np.uint16))
        write(tmp_path / "labels", f"{k}.tif", rng.integers(0, 300, shape).astype(np.int16) - 1)
    return tmp_path


def opened(folders, size=SIZE, brightness=LINEAR, memory_gb=1.0, config=GIVEN):
    return open_pairs(folders / "images", folders / "labels", voxel_size_um=size, brightness=brightness, memory_gb=memory_gb, config=config)


@pytest.mark.parametrize("to_um", [SIZE, (1.2, 0.4, 0.4), (3.0, 1.0, 1.0), None])
def test_both_are_brought_to_the_models_voxels(folders, to_um):
    pairs, brightness = opened(folders, to_um, Brightness(5, 95)), Brightness(5, 95)
    assert len(pairs) == 3
    for k in (2, 0, 1):
        pair, size = pairs.read(k), to_um or SIZE
        image, labels = (tifffile.imread(folders / name / f"{k}.tif") for name in ("images", "labels"))
        assert pair.image.shape == pair.labels.shape
        np.testing.assert_allclose(pair.image, brightness.scale(resample(image, SIZE, size)), rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(pair.labels, resample_labels(labels, SIZE, size))


def test_the_curve_is_left_to_training(folders):
    np.testing.assert_array_equal(opened(folders, brightness=Brightness(curve=20.0)).read(0).image, opened(folders).read(0).image)


def test_image_and_labels_agree_in_shape_on_the_recordings_own_voxels(tmp_path):
    """15 voxels of 0.35 um once were 14, of labels alone."""
    size = (1.5, 0.35, 0.35)
    write(tmp_path / "images", "a.tif", np.random.default_rng(0).integers(0, 99, (6, 15, 27)).astype(np.uint16))
    write(tmp_path / "labels", "a.tif", np.zeros((6, 15, 27), np.uint8))
    pair = opened(tmp_path, size, config=RecordingConfig(voxel_size_um=size, axes="ZYX")).read(0)
    assert pair.image.shape == pair.labels.shape == (6, 15, 27)


@pytest.mark.parametrize(("unknown", "dtype"), [(-1, np.int16), (-40000, np.int32), (-1.0, np.float32)])
def test_negative_labels_are_unknown_and_large_ones_survive(tmp_path, unknown, dtype):
    labels = np.zeros((6, 20, 24), dtype)
    labels[2, :4], labels[3] = 32000, unknown
    write(tmp_path / "images", "a.tif", np.arange(labels.size).reshape(labels.shape).astype(np.uint16))
    write(tmp_path / "labels", "a.tif", labels)
    read = opened(tmp_path).read(0).labels
    assert np.all(read[3] < 0)
    np.testing.assert_array_equal(np.maximum(read, 0), np.maximum(labels, 0))


def test_labels_above_32767_survive(tmp_path):
    labels = np.full((6, 20, 24), 65535, np.uint16)
    write(tmp_path / "images", "a.tif", np.arange(labels.size).reshape(labels.shape).astype(np.uint16))
    write(tmp_path / "labels", "a.tif", labels)
    np.testing.assert_array_equal(opened(tmp_path).read(0).labels, labels)


@pytest.mark.parametrize("value", [70000, 1e12])
def test_labels_beyond_counting_are_refused(tmp_path, value):
    write(tmp_path / "images", "a.tif", np.arange(6 * 20 * 24).reshape(6, 20, 24).astype(np.uint16))
    write(tmp_path / "labels", "a.tif", np.full((6, 20, 24), value, np.float64))
    with pytest.raises(InputError, match="whole numbers up to 65535"):
        opened(tmp_path).read(0)


@pytest.mark.parametrize(("memory_gb", "kept"), [(1.0, 3), (15e-6, 1), (1e-9, 0)])
def test_pairs_are_kept_while_they_fit_and_are_the_same_when_they_do_not(folders, memory_gb, kept):
    pairs, plenty = opened(folders, memory_gb=memory_gb), opened(folders)
    for _ in range(2):
        for k in range(3):
            np.testing.assert_array_equal(pairs.read(k).image, plenty.read(k).image)
    assert sum(pairs.read(k) is pairs.read(k) for k in range(3)) == kept


def test_a_stack_is_as_many_pairs_as_it_has_volumes(tmp_path):
    images, labels = np.random.default_rng(0).integers(0, 99, (2, 3, 4, 16, 16)).astype(np.uint16)
    write(tmp_path, "images.tif", images)
    write(tmp_path, "labels.tif", labels)
    config = RecordingConfig(voxel_size_um=SIZE, axes="TZYX")
    pairs = open_pairs(tmp_path / "images.tif", tmp_path / "labels.tif", voxel_size_um=None, brightness=LINEAR, memory_gb=1, config=config)
    assert len(pairs) == 3
    np.testing.assert_array_equal(pairs.read(2).labels, labels[2])


def test_names_belong_together_not_places(folders):
    (folders / "labels" / "0.tif").rename(folders / "labels" / "9.tif")
    with pytest.raises(InputError, match=r"a label image of the same name for every image, got none for 0\.tif"):
        opened(folders)
