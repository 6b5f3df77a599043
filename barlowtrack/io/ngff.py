"""Writes OME-Zarr 0.4 (zarr 2) and 0.5 (zarr 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from barlowtrack.data import Progress, Recording
from barlowtrack.io.disk_store import DiskStore

MAX_CHUNK_BYTES = 32 * 2**20


def write_zarr(recording: Recording, path: Path, name: str, version: Literal["0.4", "0.5"], progress: Progress) -> None:
    """Writes a recording as an OME-Zarr image of one level, a volume and channel a chunk; see write_recording."""
    zarr_format: Literal[2, 3] = 2 if version == "0.4" else 3
    _, _, depth, height, width = recording.shape
    planes = min(depth, max(1, MAX_CHUNK_BYTES // (height * width * recording.dtype.itemsize)))
    image = _ngff(recording, name)
    attributes: dict[str, Any] = {"ome": {"version": "0.5", **image}} if version == "0.5" else image
    if version == "0.4":
        attributes["multiscales"][0]["version"] = "0.4"
    group = zarr.create_group(store=DiskStore(path), zarr_format=zarr_format, attributes=attributes)
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
