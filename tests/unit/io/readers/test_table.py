"""The table of readers: what it recognises, what it says where a package is missing, and that the docs are made of it."""

import sys
import tomllib
from pathlib import Path

import h5py
import pytest

from barlowtrack.errors import InputError
from barlowtrack.io import open_recording, recording_name
from barlowtrack.io.readers import READERS, is_recording, reader_of
from barlowtrack.io.readers.opened import needed

from .opening import SIZED, VOXELS, agrees, refused

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("a.nd2", "ND2"),
        ("a.nwb", "NWB"),
        ("A.H5", "HDF5"),
        ("a.ome.tif", "TIFF"),
        ("a.czi", "through bioio"),
        ("a.txt", None),
        ("h5", None),
    ],
)
def test_files_by_their_names(tmp_path: Path, name: str, reader: str | None) -> None:
    (tmp_path / name).write_bytes(b"")
    assert is_recording(tmp_path / name) == (reader is not None)
    if reader is not None:
        assert reader_of(tmp_path / name).name == reader
        assert "\n" not in refused(tmp_path / name)


def test_folders_by_what_they_hold(tmp_path: Path) -> None:
    held = {
        "x/zarr.json": 0,
        "y/.zarray": 0,
        "n/NDTiff.index": 1,
        "t/v1.tif": 2,
        "c/a_Ch0/1.tif": 2,
        "c/a_Ch1/1.tif": 2,
        "d/worm1/1.tif": None,
    }
    for name in held:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "n/NDTiffStack.tif").write_bytes(b"")
    for name, row in held.items():
        folder = tmp_path / name.partition("/")[0]
        assert is_recording(folder) == (row is not None)
        if row is not None:
            assert reader_of(folder) is READERS[row]
        else:
            with pytest.raises(InputError, match="got worm1"):
                reader_of(folder)


@pytest.mark.parametrize("name", ["worm.zip", "worm.tar.gz"])
def test_archives_stay_packed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    assert "got an archive, which is not unpacked here" in refused(tmp_path / name)


def test_a_file_of_matlab_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "worm.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"] = VOXELS[:, 0]  # what MATLAB calls images(x, y, z, t)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + path.read_bytes()[512:])
    assert "got a file of MATLAB; one saved with -v7.3 is HDF5: name it .h5, and give --dataset NAME" in refused(path)
    path.rename(tmp_path / "worm.h5")
    agrees(tmp_path / "worm.h5", SIZED.model_copy(update={"dataset": ("images",), "axes": "TZYX"}), VOXELS[:, :1])


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix, package in (("nd2", "nd2"), ("czi", "bioio")):
        monkeypatch.setitem(sys.modules, package, None)
        (tmp_path / f"worm.{suffix}").write_bytes(b"")
        assert f'pip install "barlowtrack[{package}]"' in refused(tmp_path / f"worm.{suffix}")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert 'pip install "barlowtrack[remote]"' in refused("https://server.org/worm.zarr")
    with pytest.raises(InputError, match=r"barlowtrack\[nd2\]"):
        needed("nd2", "worm", "nd2")


def test_every_extra_of_the_table_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {reader.extra for reader in READERS if reader.extra} | {"remote"} <= set(extras)
    assert f"barlowtrack[{','.join(sorted({'bioio', 'nd2', 'remote'}))}]" in extras["readers"]


def test_a_dataset_where_there_is_one_image(tmp_path: Path) -> None:
    (tmp_path / "worm.tif").write_bytes(b"")
    assert "holds one image" in refused(tmp_path / "worm.tif", SIZED.model_copy(update={"dataset": ("a",)}))


def test_names_of_recordings_lose_what_the_table_knows() -> None:
    named = {"a.ome.zarr": "a", "b.nd2": "b", "c.h5": "c", "d.OME.TIF": "d", "e.v2": "e.v2", "https://x.org/f.zarr": "f"}
    assert {name: recording_name(name) for name in named} == named


@pytest.mark.parametrize("name", ["worm 1 (Käfer)", "线虫"])
def test_names_with_spaces_and_umlauts(tmp_path: Path, name: str) -> None:
    import h5py

    path = tmp_path / name / f"{name}.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["data"] = [[[[1, 2], [3, 4]]]]
    assert open_recording(path, SIZED.model_copy(update={"axes": "TZYX"})).name == name
