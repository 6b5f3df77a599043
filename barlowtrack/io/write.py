"""Writes a recording so that other programs read it: OME-TIFF a volume, one BigTIFF, or OME-Zarr; a volume at a time.

The same recording gives the same bytes (no dates, no random ids), and nothing half-made carries the final name.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from barlowtrack.data import Progress, Recording, VoxelArray, silent
from barlowtrack.errors import InputError

log = logging.getLogger(__name__)

Layout = Literal["ome-tiff", "bigtiff", "ome-zarr-0.4", "ome-zarr-0.5"]

_OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_PIXEL_TYPES = {np.dtype(name): name for name in ("uint8", "uint16", "uint32", "int8", "int16", "int32")} | {
    np.dtype(np.float32): "float",
    np.dtype(np.float64): "double",
}


def write_recording(recording: Recording, path: Path, *, layout: Layout, progress: Progress = silent) -> None:
    """Writes a recording, streaming; never more than a volume in memory.

    Args:
        recording: What to write; sizes, rate and channel names go into the metadata.
        path: A folder for ome-tiff (volume_0000.ome.tif ...) and ome-zarr, a file for bigtiff; must not exist yet.
        layout: ome-tiff: a file a volume; bigtiff: one file with a T axis, deflated; ome-zarr-0.4 and -0.5: zarr 2 and 3, Zstandard.
        progress: Told after every volume.

    Raises:
        InputError: the place is taken or cannot be written, or the layout has no such type of voxel.
    """
    if os.path.lexists(path):
        raise InputError(f"{path}: expected a free place to write to, got one that is taken")
    if layout in ("ome-tiff", "bigtiff") and recording.dtype not in _PIXEL_TYPES:
        raise InputError(f"{path}: OME-TIFF expects voxels of {', '.join(_PIXEL_TYPES.values())}, got {recording.dtype}")
    partial = path.with_name(f".{path.name}.partial")
    try:
        _take_away(partial)  # left by a killed run
        if layout == "ome-tiff":
            _write_folder(recording, partial, progress)
        elif layout == "bigtiff":
            _write_stack(recording, partial, progress)
        else:
            from barlowtrack.io.ngff import write_zarr  # zarr takes a third of a second to import

            write_zarr(recording, partial, path.name, "0.4" if layout.endswith("0.4") else "0.5", progress)
        partial.rename(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            _take_away(partial)  # what a full disk has cut off is of no use to anybody
    log.info("wrote %d volumes to %s", recording.n_volumes, path)


def _take_away(partial: Path) -> None:
    shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)


def _write_folder(recording: Recording, folder: Path, progress: Progress) -> None:
    folder.mkdir()
    digits = max(4, len(str(recording.n_volumes - 1)))
    xml = _ome_xml(recording, n_volumes=1)
    for t in range(recording.n_volumes):
        with tifffile.TiffWriter(folder / f"volume_{t:0{digits}d}.ome.tif") as writer:
            _write_volume(writer, recording.read(t), xml)
        progress(t + 1, recording.n_volumes)


def _write_stack(recording: Recording, path: Path, progress: Progress) -> None:
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for t in range(recording.n_volumes):
            _write_volume(writer, recording.read(t), _ome_xml(recording, recording.n_volumes) if t == 0 else None)
            progress(t + 1, recording.n_volumes)


def _write_volume(writer: Any, volume: VoxelArray, xml: bytes | None) -> None:
    little = volume.astype(volume.dtype.newbyteorder("<"), copy=False)
    writer.write(
        _deflated(little),  # by zlib itself, so that the bytes do not depend on which codecs are installed
        shape=volume.shape,
        dtype=volume.dtype,
        photometric="minisblack",
        compression="adobe_deflate",
        rowsperstrip=volume.shape[-2],
        description=xml,
        metadata=None,
        software=False,
    )


def _deflated(volume: VoxelArray) -> Iterator[bytes]:
    for channel in volume:
        for plane in channel:
            yield zlib.compress(np.ascontiguousarray(plane).tobytes(), 4)  # level 6 takes seven times longer for the same size


def _ome_xml(recording: Recording, n_volumes: int) -> bytes:
    """Returns the metadata as OME-XML; its axes from slow to fast are T C Z Y X, which OME writes from fast to slow."""
    _, n_channels, depth, height, width = recording.shape
    root = ET.Element("OME", {"xmlns": _OME, "Creator": "barlowtrack"})
    image = ET.SubElement(root, "Image", {"ID": "Image:0", "Name": recording.name})
    sizes = {"SizeX": width, "SizeY": height, "SizeZ": depth, "SizeC": n_channels, "SizeT": n_volumes}
    said = {"ID": "Pixels:0", "DimensionOrder": "XYZCT", "Type": _PIXEL_TYPES[recording.dtype], "BigEndian": "false"}
    said |= {name: str(size) for name, size in sizes.items()}
    for axis, size in zip("ZYX", recording.voxel_size_um, strict=True):
        said |= {f"PhysicalSize{axis}": repr(float(size)), f"PhysicalSize{axis}Unit": "µm"}
    if recording.rate_hz is not None:
        said |= {"TimeIncrement": repr(1 / recording.rate_hz), "TimeIncrementUnit": "s"}
    pixels = ET.SubElement(image, "Pixels", said)
    for c, name in enumerate(recording.channel_names):
        ET.SubElement(pixels, "Channel", {"ID": f"Channel:0:{c}", "Name": name, "SamplesPerPixel": "1"})
    ET.SubElement(pixels, "TiffData", {"IFD": "0", "PlaneCount": str(n_volumes * n_channels * depth)})
    return b'<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(root, encoding="unicode").encode()
