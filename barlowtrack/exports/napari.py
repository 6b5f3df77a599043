"""Files that napari opens without our plugin: masks and images as zarr, points and tracks as CSV, a script that puts them together."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from zarr.codecs import ZstdCodec

from barlowtrack.data import UNKNOWN
from barlowtrack.exports.content import Content
from barlowtrack.exports.formats import Options
from barlowtrack.exports.readme import readme
from barlowtrack.exports.tables import write_csv
from barlowtrack.io.activity import traces_to_frame

SCRIPT = "open_in_napari.py"
_COLOURS = ("red", "green", "blue", "gray")


def write(content: Content, path: Path, options: Options) -> None:
    """Writes the folder; one volume is in memory at a time.

    Args:
        content: What to export.
        path: Of the folder, which is not there.
        options: Its progress hears of every volume.
    """
    path.mkdir()
    n = content.tracks.neuron
    value = {"neurons.zarr": np.where(n == UNKNOWN, 0, n + 1), "nuclei.zarr": content.detections.label}
    shape = (content.n_volumes, *content.shape[2:])
    masks = {name: _array(path / name, shape, np.uint16 if int(of.max(initial=0)) < 2**16 else np.uint32) for name, of in value.items()}
    images = []
    if content.recording is not None:
        for channel, name in enumerate(content.channel_names):
            array = _array(path / f"channel-{channel}.zarr", shape, content.recording.read(0).dtype)
            images.append((array, channel, name))
    limits = {channel: (0.0, 1.0) for _, channel, _ in images}
    for t in range(content.n_volumes):
        for name, of in value.items():
            masks[name][t] = content.masks(t, of, masks[name].dtype.type)
        if content.recording is not None:
            volume = content.recording.read(t)
            for array, channel, _ in images:
                array[t] = volume[channel]
                limits[channel] = _limits(volume[channel]) if t == 0 else limits[channel]
        options.progress(t + 1, content.n_volumes)
    _write_tables(content, path)
    said = {
        "name": content.name,
        "voxel_size_um": list(content.voxel_size_um),
        "images": [
            {"file": f"channel-{c}.zarr", "name": name, "colormap": _colour(content, c), "limits": limits[c]} for _, c, name in images
        ],
        "labels": [
            {"file": "neurons.zarr", "name": "neurons", "visible": True},
            {"file": "nuclei.zarr", "name": "all nuclei", "visible": False},
        ],
    }
    (path / "layers.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    (path / SCRIPT).write_text(resources.files("barlowtrack.exports").joinpath("napari_script.txt").read_text("utf-8"), encoding="utf-8")
    (path / "README.md").write_text(readme(content, "napari", _FILES | _image_files(content)), encoding="utf-8")


_FILES = {
    SCRIPT: "opens all of it: `napari open_in_napari.py`",
    "neurons.zarr": "masks (t z y x): number of the neuron + 1; 0 where there is none",
    "nuclei.zarr": "masks: label of the nucleus, also of those that are no known neuron",
    "points.csv": "a point a nucleus; drop it on napari; axes are t, z, y, x in voxels",
    "tracks.csv": "the neurons, sorted, as a tracks layer takes them",
    "traces.csv": "activity, a row for every neuron in every volume",
    "layers.json": "voxel size and colours, for the script",
}


def _image_files(content: Content) -> dict[str, str]:
    named = content.channel_names if content.recording is not None else ()
    return {f"channel-{c}.zarr": f"images (t z y x) of channel {c}" for c in range(len(named))}


def _write_tables(content: Content, path: Path) -> None:
    found, tracks, place = content.detections, content.tracks, content.position_vox
    known = tracks.neuron != UNKNOWN
    axes = {f"axis-{i + 1}": place[:, i] for i in range(3)}
    texts = {
        "neuron": [str(k) if k >= 0 else "" for k in tracks.neuron],
        "name": [content.names[k] if k >= 0 else "" for k in tracks.neuron],
        "called": [content.called[k] if k >= 0 else "" for k in tracks.neuron],
    }
    points = {"index": np.arange(len(found)), "axis-0": found.t, **axes, "label": found.label, **texts, "probability": tracks.probability}
    write_csv(pd.DataFrame(points).astype(dict.fromkeys(texts, "str")), path / "points.csv")
    order = np.flatnonzero(known)
    order = order[np.lexsort([found.t[order], tracks.neuron[order]])]
    rows = {
        "track": tracks.neuron,
        "t": found.t,
        **{f"{axis}_vox": place[:, i] for i, axis in enumerate("zyx")},
        "probability": tracks.probability,
    }
    write_csv(pd.DataFrame({name: values[order] for name, values in rows.items()}), path / "tracks.csv")
    write_csv(traces_to_frame(content.traces, content.names), path / "traces.csv")


def _array(path: Path, shape: tuple[int, ...], dtype: Any) -> zarr.Array[Any]:
    return zarr.create_array(
        str(path), shape=shape, chunks=(1, *shape[1:]), dtype=dtype, compressors=[ZstdCodec(level=3)], dimension_names=["t", "z", "y", "x"]
    )


def _limits(volume: Any) -> tuple[float, float]:
    low, high = (float(value) for value in np.percentile(volume, (1, 99.8)))
    return low, max(high, low + 1)


def _colour(content: Content, channel: int) -> str:
    if channel == content.reference:
        return _COLOURS[0]
    return _COLOURS[1] if channel == content.signal else _COLOURS[2 + channel % 2]
