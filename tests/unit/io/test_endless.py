"""Pipes and devices where a file is expected: refused, not waited for. Each would hang for ever."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from barlowtrack.config import RecordingConfig, load
from barlowtrack.errors import ConfigError, InputError
from barlowtrack.imports import LAYOUTS, Space, read_identities
from barlowtrack.imports.layouts import Layout
from barlowtrack.io import open_recording
from barlowtrack.io.segmenter import SHIPPED
from barlowtrack.io.stardist_model import read_model_folder
from barlowtrack.io.tables import read_columns
from barlowtrack.storage import read_corrections

SIZED = RecordingConfig(voxel_size_um=(1, 1, 1), reference_channel=0)


def refused(path: Path, config: RecordingConfig = SIZED) -> None:
    with pytest.raises(InputError, match="got a pipe, a socket or a device"):
        open_recording(path, config)


@pytest.mark.parametrize("suffix", ["tif", "h5", "nwb", "nd2", "czi"])
def test_as_a_recording(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"worm.{suffix}")
    refused(tmp_path / f"worm.{suffix}")
    (tmp_path / f"zero.{suffix}").symlink_to("/dev/zero")
    refused(tmp_path / f"zero.{suffix}")


@pytest.mark.parametrize("name", ["v1.tif", "zarr.json", "NDTiff.index"])
def test_in_a_folder(tmp_path: Path, name: str) -> None:
    tifffile.imwrite(tmp_path / "v0.tif", np.ones((2, 8, 9), "u2"), metadata={"axes": "ZYX"})
    os.mkfifo(tmp_path / name)
    refused(tmp_path)


def test_as_a_chunk(tmp_path: Path) -> None:
    array = zarr.create_array(str(tmp_path / "worm.zarr"), data=np.ones((3, 2, 8, 9), "u2"), chunks=(1, 2, 8, 9))
    assert array.shape == (3, 2, 8, 9)
    chunk = next((tmp_path / "worm.zarr" / "c" / "1").rglob("0"))
    while chunk.is_dir():
        chunk = next(chunk.iterdir())
    chunk.unlink()
    os.mkfifo(chunk)
    refused(tmp_path / "worm.zarr", SIZED.model_copy(update={"axes": "TZYX"}))
    recording = open_recording(tmp_path / "worm.zarr", SIZED.model_copy(update={"axes": "TZYX"}), to_look=True)
    with pytest.raises(InputError, match="got a pipe"):
        recording.read(1)


def test_as_a_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "names.csv")
    with pytest.raises(InputError, match="got a pipe"):
        read_columns(tmp_path / "names.csv")


def test_as_a_mask(tmp_path: Path) -> None:
    (tmp_path / "res_track.txt").write_text("1 0 1 0\n")
    tifffile.imwrite(tmp_path / "mask000.tif", np.ones((2, 8, 9), "u2"), metadata={"axes": "ZYX"})
    os.mkfifo(tmp_path / "mask001.tif")
    with pytest.raises(InputError, match=r"mask001\.tif: expected a file, got a pipe"):
        read_identities(tmp_path, Space((1.0, 1.0, 1.0)))


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout.name != "ctc"], ids=lambda layout: layout.name)
def test_as_identities(tmp_path: Path, layout: Layout) -> None:
    place = tmp_path / ("annotations.h5" if layout.name == "zephir" else "it.csv")
    os.mkfifo(place)
    with pytest.raises(InputError, match="got a pipe"):
        layout.read(place, Space((1.0, 1.0, 1.0)))


def test_as_settings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "settings.toml")
    with pytest.raises(ConfigError, match=r"settings\.toml: expected a file, got a pipe"):
        load(tmp_path / "settings.toml")


def test_as_what_people_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "corrections.csv")
    with pytest.raises(InputError, match=r"corrections\.csv: expected a file, got a pipe"):
        read_corrections(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "thresholds.json"])
def test_in_a_model(tmp_path: Path, name: str) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in SHIPPED.iterdir():
        if file.is_file() and file.name != name:
            (model / file.name).symlink_to(file)
    os.mkfifo(model / name)
    with pytest.raises(InputError, match=f"{name}: expected a file, got a pipe"):
        read_model_folder(model)
