"""OME-Zarr 0.4 (zarr 2) and 0.5 (zarr 3): reads the finest level of an image, and writes one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from barlowtrack.config import RecordingConfig
from barlowtrack.data import Progress, Recording, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.metadata import AXES, FileMetadata, length_um, settle_axes, time_s

MAX_CHUNK_BYTES = 32 * 2**20
_SAMPLED_CHUNKS = 64
_METADATA_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray")

Files = list[tuple[str, Path, bool]]


@dataclass(frozen=True)
class ZarrSource:
    """Volumes of a zarr array; axes: a letter of TCZYX each."""

    where: str
    array: zarr.Array[Any]
    axes: str

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X).

        Raises:
            InputError: a chunk that cannot be read.
        """
        try:
            values = np.asarray(self.array[tuple(t if axis == "T" else slice(None) for axis in self.axes)])
        except Exception as error:  # each codec has its own
            raise InputError(f"volume {t}: {self.where}: a chunk cannot be read: {_first_line(error)}") from None
        left = self.axes.replace("T", "")
        values = values.transpose([left.index(axis) for axis in "CZYX" if axis in left])
        values = values.reshape([self.array.shape[self.axes.index(axis)] if axis in self.axes else 1 for axis in "CZYX"])
        return np.ascontiguousarray(values, self.array.dtype.newbyteorder("="))


def open_zarr(path: Path, config: RecordingConfig) -> tuple[FileMetadata, ZarrSource, tuple[int, int, int, int, int], Path]:
    """Opens the finest level of an OME-Zarr image, or a plain zarr array whose axes the settings give.

    Returns:
        Its metadata, its volumes, its shape T C Z Y X, and the folder of its array.

    Raises:
        InputError: no zarr, no image, or of a type that is none.
    """
    try:
        metadata, array, folder = _find(path, _node(path))
    except InputError:
        raise
    except Exception as error:  # zarr and its codecs raise many kinds
        raise InputError(f"{path}: expected an OME-Zarr, got something else: {_first_line(error)}") from None
    if array.dtype.kind not in "uif":
        raise InputError(f"{path}: expected whole or floating numbers, got {array.dtype}")
    axes, shape = settle_axes(metadata, config)
    if len(axes) != array.ndim:
        raise InputError(f"{path}: expected {array.ndim} axes for shape {array.shape}, got [recording] axes {axes}")
    size = dict(zip(axes, shape, strict=True))
    t, c, z, y, x = (size.get(axis, 1) for axis in AXES)
    return metadata, ZarrSource(str(path), array, axes), (t, c, z, y, x), folder


def write_zarr(recording: Recording, path: Path, name: str, version: Literal["0.4", "0.5"], progress: Progress) -> None:
    """Writes a recording as an OME-Zarr image of one level, a volume and channel a chunk; see write_recording."""
    zarr_format: Literal[2, 3] = 2 if version == "0.4" else 3
    _, _, depth, height, width = recording.shape
    planes = min(depth, max(1, MAX_CHUNK_BYTES // (height * width * recording.dtype.itemsize)))
    image = _ngff(recording, name)
    attributes: dict[str, Any] = {"ome": {"version": "0.5", **image}} if version == "0.5" else image
    if version == "0.4":
        attributes["multiscales"][0]["version"] = "0.4"
    group = zarr.create_group(store=str(path), zarr_format=zarr_format, attributes=attributes)
    array = group.create_array(
        "0",
        shape=recording.shape,
        chunks=(1, 1, planes, height, width),
        dtype=recording.dtype,
        compressors=[ZstdCodec(level=3) if zarr_format == 3 else {"id": "zstd", "level": 3}],
        fill_value=0,
        chunk_key_encoding={"name": "default" if zarr_format == 3 else "v2", "separator": "/"},
        dimension_names=["t", "c", "z", "y", "x"] if zarr_format == 3 else None,
        config={"write_empty_chunks": True},
    )
    for t in range(recording.n_volumes):
        array[t] = recording.read(t)
        progress(t + 1, recording.n_volumes)


def _node(path: Path) -> Any:
    bare = (path / ".zarray").is_file()
    if not bare and (path / "zarr.json").is_file():
        bare = json.loads((path / "zarr.json").read_text(encoding="utf-8")).get("node_type") == "array"
    # consolidated metadata is a second copy, which may be older than the first
    return zarr.open_array(store=str(path), mode="r") if bare else zarr.open_group(store=str(path), mode="r", use_consolidated=False)


def _find(path: Path, node: Any) -> tuple[FileMetadata, zarr.Array[Any], Path]:
    """Returns metadata, array and the folder of the array."""
    if isinstance(node, zarr.Array):
        names = getattr(node.metadata, "dimension_names", None) or ()
        axes = "".join(str(name).upper() for name in names)
        known = len(axes) == node.ndim and set(axes) <= set(AXES)
        return _bare(path, node, axes if known else None), node, path
    remarks: tuple[str, ...] = ()
    attributes = _attributes(node)
    if "multiscales" not in attributes and "0" in node and isinstance(node["0"], zarr.Group):  # as bioformats2raw nests images
        node, path = node["0"], path / "0"
        attributes, remarks = _attributes(node), ("the file may hold several images; the first is used",)
    if not attributes.get("multiscales"):
        raise InputError(f"{path}: expected an OME-Zarr image (multiscales), got a zarr group without one")
    multiscale = attributes["multiscales"][0]
    dataset = multiscale["datasets"][0]
    inside = PurePosixPath(dataset["path"])
    if inside.is_absolute() or ".." in inside.parts:
        raise InputError(f"{path}: expected an array inside the folder, got {inside}")
    array = node[str(inside)]
    if not isinstance(array, zarr.Array):
        raise InputError(f"{path}: expected an array at {inside}, got a group")
    return _described(path, array, multiscale, dataset, attributes, remarks), array, path / inside


def _bare(path: Path, array: zarr.Array[Any], axes: str | None) -> FileMetadata:
    return FileMetadata(str(path), axes, array.shape, array.dtype.newbyteorder("="))


def _described(
    path: Path,
    array: zarr.Array[Any],
    multiscale: Mapping[str, Any],
    dataset: Mapping[str, Any],
    attributes: Mapping[str, Any],
    remarks: Any,
) -> FileMetadata:
    axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in multiscale.get("axes", [])]
    letters = "".join(str(axis["name"]).upper() for axis in axes)
    scale = np.ones(len(axes))
    for step in [*dataset.get("coordinateTransformations", []), *multiscale.get("coordinateTransformations", [])]:
        if step.get("type") == "scale" and len(step.get("scale", [])) == len(axes):
            scale = scale * np.asarray(step["scale"], float)
    size_um, step_s = {}, None
    for axis, letter, size in zip(axes, letters, scale, strict=True):
        length = length_um(size, axis.get("unit"))  # a size without a unit is none
        if letter in "ZYX" and length:
            size_um[letter.lower()] = length
        if letter == "T":
            step_s = time_s(size, axis.get("unit"))
    names = tuple(str(channel.get("label") or "") for channel in attributes.get("omero", {}).get("channels", []))
    known = len(letters) == array.ndim and set(letters) <= set(AXES) and len(set(letters)) == len(letters)
    return FileMetadata(
        str(path),
        letters if known else None,
        array.shape,
        array.dtype.newbyteorder("="),
        size_um,
        1 / step_s if step_s else None,
        names if names and all(names) else None,
        remarks,
    )


def _attributes(group: Any) -> dict[str, Any]:
    attributes = dict(group.attrs)
    return dict(attributes["ome"]) if isinstance(attributes.get("ome"), Mapping) else attributes


def zarr_files(root: Path, folder: Path) -> Files:
    """Lists what makes the fingerprint: metadata and evenly sampled chunks whole, of the other chunks name and size.

    Args:
        root: Of the image.
        folder: Of its array.
    """
    listed: Files = []
    for place, prefix in dict.fromkeys([(root, "image"), (folder.parent, "image"), (folder, "array")]):
        listed += [(f"{prefix}/{name}", place / name, True) for name in _METADATA_FILES if (place / name).is_file()]
    chunks = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        chunks += [Path(parent) / name for name in sorted(names) if name not in _METADATA_FILES and not name.endswith(".partial")]
    every = max(1, len(chunks) // _SAMPLED_CHUNKS)
    listed += [(chunk.relative_to(folder).as_posix(), chunk, i % every == 0) for i, chunk in enumerate(chunks)]
    return listed


def _ngff(recording: Recording, name: str) -> dict[str, Any]:
    time = {"name": "t", "type": "time"} | ({"unit": "second"} if recording.rate_hz else {})
    space = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    scale = [1 / recording.rate_hz if recording.rate_hz else 1.0, 1.0, *recording.voxel_size_um]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    brightest = float(np.iinfo(recording.dtype).max) if recording.dtype.kind in "ui" else 1.0
    window = {"min": 0.0, "max": brightest, "start": 0.0, "end": brightest}
    colours = {recording.reference: "FF0000", recording.signal: "00FF00"}
    channels = [
        {"label": label, "color": colours.get(c, "FFFFFF"), "active": True, "window": window}
        for c, label in enumerate(recording.channel_names)
    ]
    axes = [time, {"name": "c", "type": "channel"}, *space]
    return {"multiscales": [{"name": name, "axes": axes, "datasets": datasets}], "omero": {"channels": channels}}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
