"""Identities from a folder of the Cell Tracking Challenge: masks, and res_track.txt or man_track.txt.

A cell that was lost for a while is several tracks, each the parent of the next; they are one neuron here. Neurons do not divide: where a
track has two daughters, each begins a neuron. Our own export says how the pictures were prepared in which the masks lie: its places are
taken back to where the recording on the disk has them, as those of any other file.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from barlowtrack.data import Preparation
from barlowtrack.errors import InputError
from barlowtrack.imports.identified import Identified, Space, kept, reading
from barlowtrack.io.tables import as_written

_TEXTS = ("res_track.txt", "man_track.txt")
_OURS = {"label", "first", "last", "parent", "neuron", "name"}
"""Columns of the tracks.csv of our export."""
_MASK = re.compile(r"(?:mask|man_track)(\d+)\.tiff?$", re.IGNORECASE)


def knows(path: Path) -> bool:
    """Says whether there is a track text in it, or one folder below."""
    return _text(path) is not None


def read(path: Path, space: Space) -> Identified:
    """Reads centroids of all masks, one volume in memory at a time.

    Raises:
        InputError: no masks, masks of no three axes, or a text that is none.
    """
    text = _text(path)
    if text is None:
        raise InputError(f"{path}: expected {' or '.join(_TEXTS)}, got none")
    size = space.size_um(path)
    masks = {int(found[1]): file for file in sorted(text.parent.iterdir()) if (found := _MASK.search(file.name))}
    if not masks:
        raise InputError(f"{text.parent}: expected masks such as mask000.tif, got none")
    neuron_of, names, told = _neurons(text)
    done = _preparation(text.parent.parent / "preparation.json")
    shape = space.shape if done.shape is None else (done.kept[1] - done.kept[0], *done.shape[2:])
    parts = []
    for when, file in sorted(masks.items()):
        with reading(file, "a mask (z y x) of whole numbers"):
            mask = tifffile.imread(file)
            if mask.dtype.kind not in "iu":
                raise InputError(f"{file}: expected whole numbers, got {mask.dtype}")
            if mask.ndim == 2:
                mask = mask[None]
            if mask.ndim != 3 or (shape is not None and mask.shape != shape):
                raise InputError(f"{file}: expected {shape or 'three axes'} (z y x), got {mask.shape}")
            label, centre = _centroids(mask)
        strange = sorted(set(label.tolist()) - set(neuron_of))
        if strange:
            raise InputError(f"{file}: expected labels that {text.name} names, got {strange[0]}")
        parts.append((np.full(len(label), when), np.array([neuron_of[int(k)] for k in label], np.int64), centre))
    t, neuron, centre = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    named = neuron >= 0
    with reading(text.parent, "masks of the volumes that preparation.json tells of"):
        place = done.recorded_um(t[named], centre[named] * size, (float(size[0]), float(size[1]), float(size[2])))
    return kept(t[named], neuron[named], place, names, told, text)


def _text(path: Path) -> Path | None:
    if path.name in _TEXTS and path.is_file():
        return path
    if not path.is_dir():
        return None
    for folder in (path, path / "01_RES", path / "01_GT" / "TRA", path / "TRA"):
        for name in _TEXTS:
            if (folder / name).is_file():
                return folder / name
    return None


def _preparation(path: Path) -> Preparation:
    """How the pictures were prepared in which the masks lie, as our export says it; nothing is done where it does not."""
    if not path.is_file():
        return Preparation()
    with reading(path, "the preparation.json of an export"):
        said = json.loads(path.read_text(encoding="utf-8"))
        jitter, drift = (None if said[name] is None else np.array(said[name], np.float64) for name in ("jitter_vox", "drift_vox"))
        channels, depth, height, width = (int(size) for size in said["shape_czyx"])
        planes = None if said["planes"] is None else (int(said["planes"][0]), int(said["planes"][1]))
        return Preparation((channels, depth, height, width), jitter=jitter, drift=drift, planes=planes, mirror=str(said["mirror"]))


def _neurons(text: Path) -> tuple[dict[int, int], dict[int, str], tuple[str, ...]]:
    """Track -> neuron, or -1 where it is nobody; names; and what is told: of tracks.csv where our export wrote one, else by parents."""
    table = text.parent.parent / "tracks.csv"
    told: tuple[str, ...] = ()
    if table.is_file():
        with reading(table, "a table"), table.open(newline="", encoding="utf-8-sig") as file:
            header = set(next(csv.reader(file), []))
        if header >= _OURS:
            return *_named(table), ()
        told = (f"{table.name} beside {text.parent.name} is not of our export, and is not read",)
    with reading(text, "four whole numbers a line: track, first volume, last volume, parent"):
        lines = [[int(cell) for cell in line.split()] for line in text.read_text(encoding="ascii").splitlines() if line.strip()]
        parent = {track: above for track, _, _, above in lines}
    children: dict[int, int] = {}
    for above in parent.values():
        children[above] = children.get(above, 0) + 1

    def first(track: int) -> int:
        seen = {track}
        while parent.get(track, 0) in parent and children[parent[track]] == 1 and parent[track] not in seen:
            track = parent[track]
            seen.add(track)
        return track

    return {track: first(track) for track in parent}, {}, told


def _named(table: Path) -> tuple[dict[int, int], dict[int, str]]:
    with reading(table, "the tracks.csv of an export"), table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
        known = {int(row["label"]): int(row["neuron"]) if row["neuron"] else -1 for row in rows}
        return known, {int(row["neuron"]): as_written(row["name"]) for row in rows if row["neuron"] and row["name"]}


def _centroids(mask: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels from 1 on, rising, and (K, 3) centroids z, y, x."""
    where = np.flatnonzero(mask)
    label, of = np.unique(mask.ravel()[where], return_inverse=True)
    count = np.maximum(np.bincount(of, minlength=len(label)), 1)
    axes = np.unravel_index(where, mask.shape)
    centre = np.stack([np.bincount(of, axis, minlength=len(label)) / count for axis in axes], axis=1)
    return label.astype(np.int64), centre
