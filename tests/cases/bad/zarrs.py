"""OME-Zarr and plain zarr."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from tests.cases.bad.case import SIZED, VOXELS, Command, bad, fine

AXES = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}] + [
    {"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"
]
SCALE = [{"type": "scale", "scale": [1, 1, 1.5, 0.4, 0.4]}]
IMAGE = {"multiscales": [{"version": "0.4", "axes": AXES, "datasets": [{"path": "0", "coordinateTransformations": SCALE}]}]}
NAMES = {"omero": {"channels": [{"label": "red"}, {"label": "green"}]}}


def image(path: Path, zarr_format: int = 2, voxels: np.ndarray = VOXELS, **options: Any) -> Path:
    """Writes an OME-Zarr, a volume a chunk."""
    said: dict[str, Any] = IMAGE | NAMES if zarr_format == 2 else {"ome": {"version": "0.5", **IMAGE, **NAMES}}
    group = zarr.create_group(store=str(path), zarr_format=zarr_format, attributes=said)  # type: ignore[arg-type]
    options = {"chunks": (1, *voxels.shape[1:]), "compressors": None} | options
    array = group.create_array("0", shape=voxels.shape, dtype=voxels.dtype, fill_value=0, **options)
    array[:] = voxels
    return path


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes a file of metadata."""
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))


@bad("worm.zarr", "something else")
def zarr_json_of_no_bytes(folder: Path) -> Command:
    (folder / "worm.zarr").mkdir()
    (folder / "worm.zarr" / "zarr.json").write_bytes(b"")
    return "run", folder / "worm.zarr", "--quiet"


@bad("worm.zarr", "something else")
def zarr_json_nested_without_end(folder: Path) -> Command:
    (folder / "worm.zarr").mkdir()
    (folder / "worm.zarr" / "zarr.json").write_text("[" * 100_000)
    return "run", folder / "worm.zarr", "--quiet"


@bad("worm.zarr", "something else")
def zarr_json_that_is_a_number(folder: Path) -> Command:
    (folder / "worm.zarr").mkdir()
    (folder / "worm.zarr" / "zarr.json").write_text("7")
    return "run", folder / "worm.zarr", "--quiet"


@bad("worm.zarr", "multiscales")
def zarr_group_without_an_image(folder: Path) -> Command:
    zarr.create_group(store=str(folder / "worm.zarr"))
    return "run", folder / "worm.zarr", "--quiet"


@bad("worm.zarr", "inside the folder", "../../secret")
def zarr_image_that_points_out_of_its_folder(folder: Path) -> Command:
    image(folder / "secret")
    image(folder / "a" / "worm.zarr")
    changed(folder / "a" / "worm.zarr" / ".zattrs", lambda said: said["multiscales"][0]["datasets"][0].update(path="../../secret/0"))
    return "run", folder / "a" / "worm.zarr", "--quiet"


@bad("worm.zarr")
def zarr_image_whose_levels_are_a_text(folder: Path) -> Command:
    changed(image(folder / "worm.zarr") / ".zattrs", lambda said: said.update(multiscales=["finest first"]))
    return "run", folder / "worm.zarr", "--quiet"


@bad("worm.zarr")
def zarr_image_whose_scale_is_a_text(folder: Path) -> Command:
    def change(said: dict[str, Any]) -> None:
        said["multiscales"][0]["datasets"][0]["coordinateTransformations"] = [{"type": "scale", "scale": list("large")}]

    changed(image(folder / "worm.zarr") / ".zattrs", change)
    return "run", folder / "worm.zarr", "--quiet"


@bad("worm.zarr", "no voxel size along z")
def zarr_image_of_negative_scale(folder: Path) -> Command:
    def change(said: dict[str, Any]) -> None:
        said["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"][2] = -1.5

    changed(image(folder / "worm.zarr") / ".zattrs", change)
    return "run", folder / "worm.zarr", "--quiet"


@bad("worm.zarr", "no voxel size")
def zarr_image_without_units(folder: Path) -> Command:
    changed(image(folder / "worm.zarr") / ".zattrs", lambda said: [axis.pop("unit", None) for axis in said["multiscales"][0]["axes"]])
    return "run", folder / "worm.zarr", "--quiet"


@bad("volume 3", "worm.zarr", "not one chunk")
def zarr_volume_whose_chunks_are_missing(folder: Path) -> Command:
    (image(folder / "worm.zarr") / "0" / "3.0.0.0.0").unlink()
    return "check", folder / "worm.zarr"


@bad("volume 3", "worm.zarr", "a chunk cannot be read")
def zarr_chunk_cut_off(folder: Path) -> Command:
    chunk = image(folder / "worm.zarr") / "0" / "3.0.0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-7])
    return "check", folder / "worm.zarr"


@bad("worm.zarr", "homemade")
def zarr_2_of_a_codec_nobody_has(folder: Path) -> Command:
    changed(image(folder / "worm.zarr") / "0" / ".zarray", lambda said: said.update(compressor={"id": "homemade", "level": 3}))
    return "run", folder / "worm.zarr", "--quiet"


@bad("worm.zarr", "homemade")
def zarr_3_of_a_codec_nobody_has(folder: Path) -> Command:
    changed(image(folder / "worm.zarr", 3) / "0" / "zarr.json", lambda said: said["codecs"].append({"name": "homemade"}))
    return "run", folder / "worm.zarr", "--quiet"


class _Evil:
    """Makes a folder where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def evil(path: Path) -> bytes:
    """Returns a pickle that makes a folder when it is opened."""
    return pickle.dumps(_Evil(path))


@bad("worm.zarr", "pickle")
def zarr_whose_filter_unpickles(folder: Path) -> Command:
    path = image(folder / "worm.zarr")
    changed(path / "0" / ".zarray", lambda said: said.update(filters=[{"id": "pickle"}]))
    for chunk in (path / "0").glob("*.*.*.*.*"):
        chunk.write_bytes(evil(folder / "unpickled"))
    return "check", path


@bad("worm.zarr", "pickle")
def zarr_whose_compressor_unpickles(folder: Path) -> Command:
    path = image(folder / "worm.zarr")
    changed(path / "0" / ".zarray", lambda said: said.update(compressor={"id": "pickle"}))
    for chunk in (path / "0").glob("*.*.*.*.*"):
        chunk.write_bytes(evil(folder / "unpickled"))
    return "check", path


@bad("worm.zarr")
def zarr_of_objects(folder: Path) -> Command:
    path = image(folder / "worm.zarr")
    changed(path / "0" / ".zarray", lambda said: said.update(dtype="|O", filters=[{"id": "pickle"}], fill_value=None))
    for chunk in (path / "0").glob("*.*.*.*.*"):
        chunk.write_bytes(evil(folder / "unpickled"))
    return "check", path


@bad("worm.zarr", "GB")
def zarr_that_declares_a_volume_of_10_to_15_voxels(folder: Path) -> Command:
    path = image(folder / "worm.zarr")
    changed(path / "0" / ".zarray", lambda said: said.update(shape=[6, 2, 1000, 1_000_000, 1_000_000]))
    return "check", path


@bad("worm.zarr", "GB are free")
def zarr_that_declares_10_to_12_volumes(folder: Path) -> Command:
    path = image(folder / "worm.zarr")
    changed(path / "0" / ".zarray", lambda said: said["shape"].__setitem__(0, 10**12))
    return "check", path


@bad("worm.zarr", "GB")
def zarr_of_a_chunk_of_10_to_15_voxels(folder: Path) -> Command:
    path = image(folder / "worm.zarr")
    changed(path / "0" / ".zarray", lambda said: said.update(chunks=[1, 1, 1000, 1_000_000, 1_000_000]))
    return "check", path


@bad("worm.zarr")
def zarr_of_negative_shape(folder: Path) -> Command:
    changed(image(folder / "worm.zarr") / "0" / ".zarray", lambda said: said["shape"].__setitem__(0, -6))
    return "check", folder / "worm.zarr"


@bad("worm.zarr", "expected voxels", "(0, 2, 4, 32, 40)")
def zarr_of_no_volumes(folder: Path) -> Command:
    changed(image(folder / "worm.zarr") / "0" / ".zarray", lambda said: said["shape"].__setitem__(0, 0))
    return "run", folder / "worm.zarr", "--quiet"


@bad("worm.zarr", "complex128")
def zarr_of_complex_numbers(folder: Path) -> Command:
    return "run", image(folder / "worm.zarr", voxels=VOXELS.astype(complex)), "--quiet"


@bad("axes", "TCZ")
def zarr_of_which_nobody_says_the_axes(folder: Path) -> Command:
    zarr.create_array(store=str(folder / "worm.zarr"), data=VOXELS)
    return "run", folder / "worm.zarr", "--axes", "TCZ", *SIZED, "--quiet"


@fine
def big_endian_zarr_2(folder: Path) -> tuple[Path, Command, np.ndarray]:
    image(folder / "worm.zarr", voxels=VOXELS.astype(">u2"))
    assert json.loads((folder / "worm.zarr" / "0" / ".zarray").read_text())["dtype"] == ">u2"
    return folder / "worm.zarr", (), VOXELS


@fine
def zarr_in_fortran_order(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return image(folder / "worm.zarr", order="F"), (), VOXELS


@fine
def zarr_with_a_part_never_written(folder: Path) -> tuple[Path, Command, np.ndarray]:
    path = image(folder / "worm.zarr", chunks=(1, 1, 1, *VOXELS.shape[3:]))
    (path / "0" / "3.1.0.0.0").unlink()
    right = VOXELS.copy()
    right[3, 1, 0] = 0
    return path, (), right


@fine
def zarr_measured_in_nanometres(folder: Path) -> tuple[Path, Command, np.ndarray]:
    def change(said: dict[str, Any]) -> None:
        said["multiscales"][0]["datasets"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [1, 1, 1500, 400, 400]}]
        for axis in said["multiscales"][0]["axes"][2:]:
            axis["unit"] = "nanometer"

    changed(image(folder / "worm.zarr") / ".zattrs", change)
    return folder / "worm.zarr", (), VOXELS


@fine
def zarr_with_a_chunk_half_copied_beside(folder: Path) -> tuple[Path, Command, np.ndarray]:
    path = image(folder / "worm.zarr")
    shutil.copy(path / "0" / "3.0.0.0.0", path / "0" / "3.0.0.0.0.partial")
    return path, (), VOXELS
