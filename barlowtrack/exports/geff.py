"""A GEFF graph: a node a nucleus, an edge to where the same neuron is seen next; and the masks beside it.

Reference:
    https://liveimagetrackingtools.org/geff/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import UNKNOWN
from barlowtrack.exports.content import COLUMNS, Content, corrections_table
from barlowtrack.exports.formats import Options
from barlowtrack.exports.readme import readme
from barlowtrack.exports.stretches import followed
from barlowtrack.io.labels import create_labels, write_labels

TRACKS, LABELS = "tracks.geff", "labels.zarr"
_MEASURES = ("volume_um3", "red_mean", "red_peak", "green_mean", "green_peak", "quality")


def write(content: Content, path: Path, options: Options) -> None:
    """Writes a folder of two zarrs, tracks and labels; one volume of masks is in memory at a time.

    The graph is zarr 2, as GEFF's own default: texts of zarr 3 have no settled form there yet.

    Args:
        content: What to export.
        path: Of the folder, which is not there.
        options: Its progress hears of every volume.
    """
    from geff.core_io._base_write import write_arrays

    path.mkdir()
    before = followed(content.detections, content.tracks)
    later = np.flatnonzero(before >= 0)
    edges = np.stack([before[later], later], axis=1).astype(np.uint64)
    gap = (content.detections.t[later] - content.detections.t[before[later]]).astype(np.int32)
    ids = np.arange(len(content.detections), dtype=np.uint64)
    metadata = _metadata(content)
    write_arrays(path / TRACKS, ids, _properties(content), edges, {"volumes": {"values": gap, "missing": None}}, metadata)
    dtype: Literal["uint16", "uint32"] = "uint16" if int(content.detections.label.max(initial=0)) < 2**16 else "uint32"
    image = create_labels(path / LABELS, (content.n_volumes, *content.shape[2:]), content.voxel_size_um, content.rate_hz, dtype=dtype)
    for t in range(content.n_volumes):
        write_labels(image, t, content.labels.read(t).astype(np.int64))
        options.progress(t + 1, content.n_volumes)
    files = {TRACKS: "the graph", LABELS: "masks (t z y x); a node's voxels have its label in the volume of its t"}
    (path / "README.md").write_text(readme(content, "geff", files), encoding="utf-8")


def _properties(content: Content) -> dict[str, Any]:
    """What is known of every node: values, and which are missing."""
    found, neuron = content.detections, content.tracks.neuron
    unknown = neuron == UNKNOWN
    alone = content.n_neurons + np.cumsum(unknown) - 1
    columns: dict[str, NDArray[Any]] = {
        "t": found.t.astype(np.int64),
        **{axis: found.position_um[:, i].astype(np.float64) for i, axis in enumerate("zyx")},
        "label": found.label.astype(np.int64),
        "track": np.where(unknown, alone, neuron).astype(np.int64),
        "probability": content.tracks.probability,
        "name": np.array([*content.names, ""], np.str_)[neuron],
        **{name: getattr(found, name) for name in _MEASURES},
        **{name: content.recorded_um[:, i] for i, name in enumerate(_recorded(content))},
    }
    properties = {name: {"values": values, "missing": None} for name, values in columns.items()}
    return properties | {"neuron": {"values": np.where(unknown, 0, neuron).astype(np.int64), "missing": unknown}}


def _recorded(content: Content) -> tuple[str, ...]:
    """Properties that say where the recording on the disk has a nucleus, where it differs."""
    return tuple(f"recorded_{axis}_um" for axis in "zyx") if content.preparation.displaces else ()


def _metadata(content: Content) -> Any:
    from geff_spec import Axis, GeffMetadata, PropMetadata, RelatedObject

    dtypes = {name: str(value["values"].dtype) for name, value in _properties(content).items()}
    said = {
        "t": ("volume", COLUMNS["detections"]["t"][1]),
        **{axis: COLUMNS["detections"][f"{axis}_um"] for axis in "zyx"},
        "track": ("", "The neuron; a nucleus of none has a number of its own."),
        **{name: COLUMNS["detections"][name] for name in ("label", "neuron", "name", "probability", *_MEASURES, *_recorded(content))},
    }
    nodes = {
        name: PropMetadata(identifier=name, dtype="str" if name == "name" else dtypes[name], unit=unit or None, description=meaning)
        for name, (unit, meaning) in said.items()
    }
    gap = PropMetadata(identifier="volumes", dtype="int32", unit="volume", description="How many volumes later; 1 where there is no gap.")
    sizes = dict(zip("zyx", content.voxel_size_um, strict=True))
    space = [Axis(name=axis, type="space", unit="micrometer", scale=None) for axis in sizes]
    corrections = corrections_table(content.corrections)
    return GeffMetadata(
        directed=True,
        axes=[Axis(name="t", type="time", unit="frame"), *space],
        node_props_metadata=nodes,
        edge_props_metadata={"volumes": gap},
        track_node_props={"tracklet": "track", "lineage": "track"},
        related_objects=[RelatedObject(type="labels", path=f"../{LABELS}", node_prop="label")],
        extra={
            "barlowtrack": dict(content.about),
            "settings": content.settings,
            "pictures": content.where or "Places and masks are those of the recording on the disk.",
            "voxel_size_um": sizes,
            "rate_hz": content.rate_hz,
            "neurons": {str(k): name for k, name in enumerate(content.names) if name},
            "corrections": corrections.astype(object).where(corrections.notna(), None).to_dict("records"),
        },
    )
