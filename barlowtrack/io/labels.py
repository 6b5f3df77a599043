"""Instance labels of a recording as a chunked label image (OME-Zarr 0.5): a volume a chunk, so that volumes are written one by one.

A volume that has been written has its chunks, even when it is empty; so a reader knows a dark volume from one that is not done.
Writing a volume again gives the same bytes, and every chunk appears whole or not at all: a killed run redoes the volume.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from barlowtrack.data import IntArray, Labels, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.disk_store import DiskStore

MAX_CHUNK_BYTES = 32 * 2**20
"""A volume larger than this is cut into blocks of planes."""

LARGE_VOXELS = 2**26
"""A volume of more voxels may show more nuclei than 16 bits count: 20 times those of a usual one, a thousand voxels for each of 65535."""

_ARRAY = "0"
_OURS = {"zarr.json", _ARRAY}


@dataclass(frozen=True)
class LabelImage:
    """An open label image; reads and writes volumes, from several threads if need be.

    Attributes:
        path: Its folder.
        array: (T, Z, Y, X) on disk.
    """

    path: Path
    array: zarr.Array[Any]

    def is_written(self, t: int) -> bool:
        """Says whether volume t is on disk, all of it."""
        blocks = -(-self.array.shape[1] // self.array.chunks[1])
        files = (self.folder(t) / str(block) / "0" / "0" for block in range(blocks))
        return all(file.is_file() and file.stat().st_size for file in files)

    def folder(self, t: int) -> Path:
        """Returns where the chunks of volume t lie."""
        return self.path / _ARRAY / "c" / str(t)

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (Z, Y, X).

        Raises:
            InputError: a volume that was never written, or is damaged.
        """
        if not 0 <= t < self.array.shape[0] or not self.is_written(t):
            raise InputError(f"{self.path}: labels of volume {t}: expected on disk, got none; run segment again")
        try:
            return np.asarray(self.array[t])
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{self.path}: labels of volume {t}: cannot be read: {error}") from None


def create_labels(
    path: Path,
    shape: tuple[int, int, int, int],
    voxel_size_um: tuple[float, float, float],
    rate_hz: float | None,
    *,
    dtype: Literal["uint16", "uint32"] | None = None,
) -> LabelImage:
    """Makes an empty label image, ready for write_labels; one of the same shape that is there already keeps its volumes.

    Args:
        path: A folder, such as labels.zarr.
        shape: T, Z, Y, X.
        voxel_size_um: z, y, x.
        rate_hz: Volumes a second, if known.
        dtype: uint16 holds 65535 nuclei a volume; where not given, uint32 for volumes of more than LARGE_VOXELS.

    Raises:
        InputError: something else lies at the path.
    """
    dtype = dtype or ("uint32" if math.prod(shape[1:]) > LARGE_VOXELS else "uint16")
    if (path / _ARRAY / "zarr.json").exists():
        image = _open(path, "r+")
        if image.array.shape != shape or image.array.dtype != np.dtype(dtype):
            raise InputError(f"{path}: expected labels {shape} {dtype}, got {image.array.shape} {image.array.dtype}")
        for half_made in path.rglob("*.partial"):  # what a kill in the middle of a chunk leaves
            half_made.unlink()
        return image
    if path.exists() and (not path.is_dir() or any(child.name not in _OURS and child.suffix != ".partial" for child in path.iterdir())):
        raise InputError(f"{path}: expected a free place for labels, got something that is none")
    plane_bytes = shape[2] * shape[3] * np.dtype(dtype).itemsize
    chunks = (1, min(shape[1], max(1, MAX_CHUNK_BYTES // plane_bytes)), shape[2], shape[3])
    try:
        group = zarr.create_group(
            store=DiskStore(path), zarr_format=3, overwrite=True, attributes={"ome": _ngff(path.stem, voxel_size_um, rate_hz)}
        )
        group.create_array(
            _ARRAY,
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            compressors=[ZstdCodec(level=3)],
            fill_value=0,
            dimension_names=["t", "z", "y", "x"],
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    return _open(path, "r+")


def write_labels(target: LabelImage | Path, t: int, labels: IntArray) -> None:
    """Writes the labels of volume t; again, if they are there already.

    Args:
        target: What create_labels returned, or its path.
        t: Volume.
        labels: (Z, Y, X), 0 is background.

    Raises:
        InputError: another shape, a volume that does not exist, or a label that the image cannot hold.
    """
    image = target if isinstance(target, LabelImage) else _open(target, "r+")
    n_volumes, *volume_shape = image.array.shape
    largest = int(np.iinfo(image.array.dtype).max)
    if not 0 <= t < n_volumes:
        raise InputError(f"{image.path}: volume: expected 0 to {n_volumes - 1}, got {t}")
    if labels.shape != tuple(volume_shape):
        raise InputError(f"{image.path}: labels of volume {t}: expected shape {tuple(volume_shape)} (Z Y X), got {labels.shape}")
    if labels.size and (labels.min() < 0 or labels.max() > largest):
        raise InputError(f"{image.path}: labels of volume {t}: expected 0 to {largest}, got {labels.min()} to {labels.max()}")
    image.array[t] = labels.astype(image.array.dtype, copy=False)


def open_labels(path: Path) -> Labels:
    """Opens a label image for reading, volume by volume.

    Raises:
        InputError: no label image at the path.
    """
    image = _open(path, "r")
    n_volumes, depth, height, width = image.array.shape
    return Labels(image, (n_volumes, depth, height, width))


def _open(path: Path, mode: Literal["r", "r+"]) -> LabelImage:
    try:
        array = zarr.open_array(store=str(path), path=_ARRAY, mode=mode, zarr_format=3)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a label image (OME-Zarr 0.5), got something else: {error}") from None
    if array.ndim != 4 or array.dtype.kind != "u":
        raise InputError(f"{path}: expected labels (T, Z, Y, X), whole numbers, got {array.shape} {array.dtype}")
    return LabelImage(path, array.with_config({"write_empty_chunks": True}))


def _ngff(name: str, voxel_size_um: tuple[float, float, float], rate_hz: float | None) -> dict[str, Any]:
    time = {"name": "t", "type": "time"} | ({"unit": "second"} if rate_hz else {})
    axes = [time, *({"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx")]
    scale = [1 / rate_hz if rate_hz else 1.0, *voxel_size_um]
    datasets = [{"path": _ARRAY, "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    return {"version": "0.5", "multiscales": [{"name": name, "axes": axes, "datasets": datasets}], "image-label": {}}
