"""Label images: round trip, same bytes again, and what is not done is not taken for empty."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from barlowtrack.errors import InputError
from barlowtrack.io import labels as labels_module
from barlowtrack.io.labels import create_labels, open_labels, write_labels

SHAPE = (3, 4, 20, 24)
SIZE = (1.5, 0.3, 0.4)


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, SHAPE[1:], dtype=np.int32)


def digest(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_written_volume_comes_back(tmp_path: Path) -> None:
    image = create_labels(tmp_path / "labels.zarr", SHAPE, SIZE, 5.0)
    for t in (2, 0, 1):
        write_labels(image, t, volume(t))
    labels = open_labels(tmp_path / "labels.zarr")
    assert labels.shape == SHAPE
    for t in range(3):
        read = labels.read(t)
        assert read.dtype == np.uint16
        np.testing.assert_array_equal(read, volume(t))


def test_same_bytes_however_often_written(tmp_path: Path) -> None:
    for name, order in (("a", (0, 1, 2)), ("b", (2, 2, 1, 0, 1))):
        folder = tmp_path / name / "labels.zarr"
        for t in order:
            write_labels(create_labels(folder, SHAPE, SIZE, None), t, volume(t))
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_an_empty_volume_is_done_and_a_missing_one_is_not(tmp_path: Path) -> None:
    image = create_labels(tmp_path / "labels.zarr", SHAPE, SIZE, 5.0)
    write_labels(tmp_path / "labels.zarr", 1, np.zeros(SHAPE[1:], np.int64))
    assert [image.is_written(t) for t in range(3)] == [False, True, False]
    assert not open_labels(tmp_path / "labels.zarr").read(1).any()
    with pytest.raises(InputError, match="volume 2"):
        open_labels(tmp_path / "labels.zarr").read(2)


def test_a_large_volume_is_cut_into_blocks_of_planes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels_module, "MAX_CHUNK_BYTES", 3 * 20 * 24 * 4)
    image = create_labels(tmp_path / "labels.zarr", SHAPE, SIZE, 5.0, dtype="uint32")
    assert image.array.chunks == (1, 3, 20, 24)
    write_labels(image, 0, volume(0) * 1000)
    np.testing.assert_array_equal(open_labels(tmp_path / "labels.zarr").read(0), volume(0) * 1000)
    (tmp_path / "labels.zarr/0/c/0/1/0/0").unlink()
    assert not image.is_written(0)


def test_a_large_volume_holds_more_nuclei_than_16_bits_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels_module, "LARGE_VOXELS", np.prod(SHAPE[1:]) - 1)
    many = volume(0) + 70_000
    write_labels(create_labels(tmp_path / "labels.zarr", SHAPE, SIZE, None), 0, many)
    np.testing.assert_array_equal(open_labels(tmp_path / "labels.zarr").read(0), many)


def test_damage_is_named(tmp_path: Path) -> None:
    write_labels(create_labels(tmp_path / "labels.zarr", SHAPE, SIZE, 5.0), 0, volume(0))
    chunk = tmp_path / "labels.zarr/0/c/0/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:40])
    with pytest.raises(InputError, match="volume 0"):
        open_labels(tmp_path / "labels.zarr").read(0)


def test_what_a_kill_leaves_behind_is_cleared_away(tmp_path: Path) -> None:
    write_labels(create_labels(tmp_path / "a/labels.zarr", SHAPE, SIZE, 5.0), 0, volume(0))
    write_labels(create_labels(tmp_path / "b/labels.zarr", SHAPE, SIZE, 5.0), 0, volume(0))
    (tmp_path / "b/labels.zarr/0/c/0/0/0/0.abc.partial").write_bytes(b"half")
    create_labels(tmp_path / "b/labels.zarr", SHAPE, SIZE, 5.0)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    (tmp_path / "c/labels.zarr").mkdir(parents=True)  # killed before the array was there
    (tmp_path / "c/labels.zarr/zarr.json").write_bytes((tmp_path / "a/labels.zarr/zarr.json").read_bytes())
    write_labels(create_labels(tmp_path / "c/labels.zarr", SHAPE, SIZE, 5.0), 0, volume(0))
    assert digest(tmp_path / "a") == digest(tmp_path / "c")


def test_a_strangers_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "labels.zarr").mkdir()
    (tmp_path / "labels.zarr/thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="free place"):
        create_labels(tmp_path / "labels.zarr", SHAPE, SIZE, 5.0)
    assert (tmp_path / "labels.zarr/thesis.txt").exists()


@pytest.mark.parametrize(
    ("t", "wrong", "said"),
    [(0, np.zeros((4, 20, 23), int), "shape"), (3, np.zeros(SHAPE[1:], int), "0 to 2"), (0, np.full(SHAPE[1:], 65536), "65535")],
)
def test_wrong_labels_are_refused(tmp_path: Path, t: int, wrong: np.ndarray, said: str) -> None:
    image = create_labels(tmp_path / "labels.zarr", SHAPE, SIZE, 5.0)
    with pytest.raises(InputError, match=said):
        write_labels(image, t, wrong)
    assert not any(image.is_written(i) for i in range(3))


def test_no_labels_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label image"):
        open_labels(tmp_path / "nothing.zarr")
    create_labels(tmp_path / "labels.zarr", SHAPE, SIZE, 5.0)
    with pytest.raises(InputError, match="uint32"):
        create_labels(tmp_path / "labels.zarr", SHAPE, SIZE, 5.0, dtype="uint32")


def test_metadata_is_a_valid_label_image(tmp_path: Path) -> None:
    import zarr
    from ome_zarr_models.v05.image_label import ImageLabel

    create_labels(tmp_path / "labels.zarr", SHAPE, SIZE, 5.0)
    image = ImageLabel.from_zarr(zarr.open_group(tmp_path / "labels.zarr", mode="r"))
    multiscale = image.attributes.ome.multiscales[0]
    assert multiscale.datasets[0].coordinateTransformations[0].scale == [0.2, 1.5, 0.3, 0.4]
    assert [axis.unit for axis in multiscale.axes] == ["second", "micrometer", "micrometer", "micrometer"]
