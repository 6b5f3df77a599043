"""Identities from NWB files, in the layouts that whole-brain recordings of worms are published in. Read as HDF5: needs no pynwb.

Looked for in this order: the table Detections of our own export; centroids over time, a SpatialSeries a neuron (wbfm); a segmentation
with ID_labels for every time point (FOCO and others), called ..._tpoint_12 or so.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from barlowtrack.data.corrections import cleaned
from barlowtrack.errors import InputError
from barlowtrack.imports.identified import Identified, Space, kept, numbered, reading
from barlowtrack.io.readers.nwb import spacing_um
from barlowtrack.io.tables import RECORDED

_TIME_POINT = re.compile(r"(?:^|_)(?:t|tpoint|timepoint|frame|vol|volume)_?(\d+)$", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:neuron|roi)_?(\d+)$", re.IGNORECASE)


def knows(path: Path) -> bool:
    """Says whether it is HDF5 with NWB's mark."""
    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as opened:
        return "nwb_version" in opened.attrs


def read(path: Path, space: Space) -> Identified:
    """Reads it; see above.

    Raises:
        InputError: there are no neurons over time in it.
    """
    with reading(path, "NWB"), h5py.File(path, "r") as opened:
        groups = _groups(opened)
        ours = next((g for g in groups.get("DynamicTable", []) if {"t", "neuron", "probability", "z_um", "y_um", "x_um"} <= set(g)), None)
        if ours is not None:
            return _from_detections(ours, path, itself=space.is_of(path))
        size_um, told = _voxel_size(groups, space, path)
        for position in groups.get("Position", []):
            if "untracked" not in position.name.lower() and len(position):
                return _from_centroids(position, size_um, told, path)
        tables = [*groups.get("PlaneSegmentation", []), *groups.get("VolumeSegmentation", [])]
        points = {int(found[1]): g for g in tables if (found := _TIME_POINT.search(g.name.rsplit("/", 1)[-1])) and "voxel_mask" in g}
        if points:
            return _from_time_points(points, size_um, told, path)
    raise InputError(
        f"{path}: expected neurons over time (a table Detections, centroids, or a segmentation a time point), got none;"
        " a single still image names neurons of no volume of a recording"
    )


def _groups(opened: h5py.File) -> dict[str, list[h5py.Group]]:
    """All groups by their type, where data were processed and how they were imaged."""
    found: dict[str, list[h5py.Group]] = {}

    def look(_: str, item: Any) -> None:
        kind = item.attrs.get("neurodata_type") if isinstance(item, h5py.Group) else None
        if kind is not None:
            found.setdefault(_text(kind), []).append(item)

    for place in ("processing", "general/optophysiology"):
        if place in opened:
            opened[place].visititems(look)
    return found


def _voxel_size(groups: dict[str, list[h5py.Group]], space: Space, path: Path) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """z, y, x in um, and what is assumed: of the recording, else as the file says."""
    if space.voxel_size_um is not None:
        return space.size_um(path), ()
    volumes = [g for kind in ("ImagingVolume", "ImagingPlane") for g in groups.get(kind, []) if "grid_spacing" in g]
    volumes.sort(key=lambda group: "calc" not in group.name.lower())
    for group in volumes:
        size_um, odd = spacing_um(group["grid_spacing"])
        if len(size_um) == len("zyx"):
            return np.array([size_um[axis] for axis in "zyx"]), odd
    return space.size_um(path), ()


def _from_detections(table: h5py.Group, path: Path, *, itself: bool) -> Identified:
    """Reads our own export; itself: the run is of its images, which show nuclei where they lie in the pictures that were prepared."""
    neuron = np.asarray(table["neuron"][()], np.int64)
    known = neuron >= 0
    moved = set(RECORDED) <= set(table)
    columns = RECORDED if moved and not itself else ("z_um", "y_um", "x_um")
    told = ("the run is of the images in this file: places are taken as they lie in these",) if moved and itself else ()
    place = np.stack([np.asarray(table[column][()], np.float64) for column in columns], axis=1)
    names: dict[int, str] = {}
    if "neuron_name" in table:
        texts = [_text(one) for one in table["neuron_name"][()]]
        names = {int(k): text for k, text in zip(neuron[known], np.array(texts, object)[known], strict=True) if text}
    return kept(np.asarray(table["t"][()], np.int64)[known], neuron[known], place[known], names, told, path)


def _from_centroids(position: h5py.Group, size_um: NDArray[np.float64], told: tuple[str, ...], path: Path) -> Identified:
    series = {name: item for name, item in position.items() if isinstance(item, h5py.Group) and "data" in item}
    names: dict[int, str] = {}
    numbers = [_NUMBERED.search(name) for name in series]
    if all(numbers):
        ids = [int(found[1]) for found in numbers if found]
    else:
        coded, names = numbered(list(series))
        ids = coded.tolist()
    t, neuron, places = [], [], []
    for k, item in zip(ids, series.values(), strict=True):
        data = np.asarray(item["data"][()], np.float64)  # (T, 3) x, y, z
        unit = _text(item["data"].attrs.get("unit", "pixels")).lower()
        in_um = {"micrometers": 1.0, "um": 1.0, "millimeters": 1e3}.get(unit)
        places.append(data[:, 2::-1] * (size_um if in_um is None else in_um))
        t.append(np.arange(len(data)))
        neuron.append(np.full(len(data), k))
    return kept(np.concatenate(t), np.concatenate(neuron), np.concatenate(places), names, told, path)


def _from_time_points(points: dict[int, h5py.Group], size_um: NDArray[np.float64], told: tuple[str, ...], path: Path) -> Identified:
    t, called, places = [], [], []
    lengths = {len(group["id"]) for group in points.values()}
    for when, group in sorted(points.items()):
        labels = _labels(group)
        for row, place in enumerate(_centres(group)):
            name = labels[row] if row < len(labels) and labels[row] not in ("", "nan") else ""
            if name or len(lengths) == 1:  # rows stay what they are where every table has as many
                t.append(when)
                called.append(name or f"row {row}")
                places.append(place)
    if not t:
        raise InputError(f"{path}: expected ID_labels that name neurons, got none")
    number, names = numbered(called)
    named = {k: name for k, name in names.items() if not name.startswith("row ")}
    return kept(np.array(t, np.int64), number, np.array(places) * size_um, named, told, path)


def _labels(group: h5py.Group) -> list[str]:
    """Names of the rows: texts, or letters that belong to a row by an index."""
    if "ID_labels" not in group:
        return []
    texts = [_text(one) for one in group["ID_labels"][()]]
    if "ID_labels_index" not in group:
        return [cleaned(text) for text in texts]
    ends = [0, *np.asarray(group["ID_labels_index"][()]).astype(int).tolist()]
    return [cleaned("".join(texts[a:b])) for a, b in pairwise(ends)]


def _centres(group: h5py.Group) -> list[NDArray[np.float64]]:
    """z, y, x of every row in voxels: the weighted middle of its mask; NaN where it has none."""
    mask = group["voxel_mask"][()]
    ends = [0, *np.asarray(group["voxel_mask_index"][()]).astype(int).tolist()]
    centres = []
    for a, b in pairwise(ends):
        weight = mask["weight"][a:b].astype(np.float64)
        if weight.sum() > 0:
            centres.append(np.array([np.average(mask[axis][a:b], weights=weight) for axis in "zyx"]))
        else:
            centres.append(np.full(3, np.nan))
    return centres


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
