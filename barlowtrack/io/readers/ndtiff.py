"""NDTiff, as Micro-Manager and pycro-manager write it: a folder of TIFFs and an index of where every plane lies.

The index is read here, so that no package is needed, no file stays open, and several threads may read at once.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from barlowtrack.config import RecordingConfig
from barlowtrack.data import VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.clock import noted_rate
from barlowtrack.io.metadata import FileMetadata
from barlowtrack.io.readers.opened import Opened, first_line, jumps, listed, settle_shape
from barlowtrack.io.regular import refuse_endless

INDEX = "NDTiff.index"
ELAPSED = "ElapsedTime-ms"
_TAIL = struct.Struct("<8I")
_COLOUR = 2
_DTYPES = {0: "u1"} | dict.fromkeys((1, 3, 4, 5, 6), "u2")
_AXES = {"time": "T", "channel": "C", "z": "Z"}


@dataclass(frozen=True)
class _Plane:
    """Where a plane lies: file and first byte; where what was noted of it does."""

    name: str
    start: int
    noted: tuple[int, int]


@dataclass(frozen=True)
class NDTiffSource:
    """Volumes of a folder; planes: by (t, c, z)."""

    folder: Path
    planes: Mapping[tuple[int, int, int], _Plane]
    shape: tuple[int, int, int, int]
    stored: np.dtype[Any]

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X).

        Raises:
            InputError: a plane was never written, or a file is cut off.
        """
        n_channels, n_planes, height, width = self.shape
        nbytes = height * width * self.stored.itemsize
        channels = []
        for c in range(n_channels):
            planes = []
            for z in range(n_planes):
                plane = self.planes.get((t, c, z))
                if plane is None:
                    raise InputError(f"volume {t}: {self.folder / INDEX}: plane {z} of channel {c} was never written")
                data = _bytes(self.folder / plane.name, plane.start, nbytes, f"volume {t}: ")  # refuses what the file is too small for
                planes.append(np.frombuffer(data, self.stored).reshape(height, width))
            channels.append(np.stack(planes))
        return np.stack(channels).astype(self.stored.newbyteorder("="), copy=False)


def open_ndtiff(path: Path, config: RecordingConfig) -> Opened:
    """Opens a folder of NDTiff; of several positions, the one that the settings name.

    Raises:
        InputError: the index is damaged, or there are several positions, of which nobody says one.
    """
    entries = _entries(path / INDEX)
    entries = _one_position(path, entries, config.dataset)
    kinds = {(width, height, kind) for _, _, width, height, kind in entries}
    if len(kinds) != 1:
        raise InputError(f"{path / INDEX}: expected planes of one size and type, got {len(kinds)} kinds")
    [(width, height, kind)] = kinds
    if kind not in _DTYPES:
        raise InputError(f"{path}: expected grey values, got {'a colour picture' if kind == _COLOUR else f'pixels of type {kind}'}")
    levels: dict[str, list[Any]] = {name: sorted({axes.get(name, 0) for axes, *_ in entries}, key=_order) for name in _AXES}
    channels = _channel_order(levels["channel"], entries)
    levels["channel"] = channels
    at = {name: {value: i for i, value in enumerate(values)} for name, values in levels.items()}
    planes: dict[tuple[int, int, int], _Plane] = {}
    for axes, plane, *_ in entries:
        place = (at["time"][axes.get("time", 0)], at["channel"][axes.get("channel", 0)], at["z"][axes.get("z", 0)])
        if place in planes:
            said = ", ".join(f"{name} {value}" for name, value in axes.items())
            raise InputError(f"{path / INDEX}: the plane at {said} was written twice; expected it once")
        planes[place] = plane
    steps = sorted(set(np.diff([z for z in levels["z"] if isinstance(z, int)]).tolist()))
    if len(steps) > 1:
        got = listed([str(z) for z in levels["z"]])
        raise InputError(f"{path / INDEX}: planes are missing: expected z that count up evenly, got {got}")
    shape = (len(levels["time"]), len(channels), len(levels["z"]), height, width)
    stored = np.dtype(_DTYPES[kind]).newbyteorder("<")
    names = tuple(str(name) for name in channels) if any(isinstance(name, str) for name in channels) else None
    size_um, planned_hz = _said(path, planes)
    rate_hz, of_rate = noted_rate(ELAPSED, lambda t: _elapsed_s(path, planes.get((t, 0, 0))), shape[0], planned_hz)
    metadata = FileMetadata(str(path), "TCZYX", shape, stored.newbyteorder("="), size_um, rate_hz, names, of_rate)
    if config.axes is not None:
        raise InputError(f"{path}: [recording] axes: expected none, as NDTiff says its own, got {config.axes}")
    _, settled = settle_shape(metadata, config)
    source = NDTiffSource(path, planes, settled[1:], stored)
    files = [(INDEX, path / INDEX, True), *((name, path / name, True) for name in sorted({plane.name for plane in planes.values()}))]
    n_expected = shape[0] * shape[1] * shape[2]
    gaps = jumps([t for t in levels["time"] if isinstance(t, int)], "the times in the index")
    lacking = (f"{n_expected - len(planes)} of {n_expected} planes were never written",) if len(planes) < n_expected else ()
    return Opened(metadata, source, settled, lambda: files, remarks=(*gaps, *lacking))


def _entries(index: Path) -> list[tuple[dict[str, Any], _Plane, int, int, int]]:
    """Returns of every plane: its axes, where it lies, its width, height and kind of pixels."""
    refuse_endless(index)
    try:
        data = index.read_bytes()
    except OSError as error:
        raise InputError(f"{index}: cannot be read: {error.strerror or error}") from None
    found, at = [], 0
    try:
        while at < len(data):
            (n,) = struct.unpack_from("<I", data, at)
            if n == 0:
                break  # room that was kept for planes that did not come
            axes = json.loads(_slice(data, at + 4, n))
            at += 4 + n
            (n,) = struct.unpack_from("<I", data, at)
            name = _slice(data, at + 4, n).decode()
            at += 4 + n
            start, width, height, kind, packed, noted, length, _ = _TAIL.unpack_from(data, at)
            at += _TAIL.size
            if packed or Path(name).name != name or "\0" in name or not isinstance(axes, dict):
                raise ValueError("a plane that is compressed, or lies elsewhere")
            if not all(isinstance(value, int | str) for value in axes.values()):
                raise ValueError(f"expected whole numbers or names for the axes of a plane, got {listed([str(axes)])[:80]}")
            found.append((axes, _Plane(name, start, (noted, length)), width, height, kind))
    except (ValueError, RecursionError, struct.error) as error:
        raise InputError(f"{index}: damaged after {len(found)} planes: {first_line(error)}") from None
    if not found:
        raise InputError(f"{index}: expected planes, got none")
    return found


def _slice(data: bytes, start: int, size: int) -> bytes:
    if start + size > len(data):
        raise ValueError("it is cut off")
    return data[start : start + size]


def _one_position(path: Path, entries: list[Any], wanted: tuple[str, ...] | None) -> list[Any]:
    others = sorted({name for axes, *_ in entries for name in axes if name not in _AXES})
    for name in others:
        values = sorted({axes.get(name, 0) for axes, *_ in entries}, key=_order)
        if len(values) > 1 and not (name == "position" and wanted):
            hint = "; say which as --dataset NUMBER" if name == "position" else ""
            raise InputError(f"{path}: expected the axes time, channel and z, got {len(values)} along {name} too{hint}")
    if not wanted:
        return entries
    chosen = [entry for entry in entries if str(entry[0].get("position", 0)) == wanted[0]]
    if len(wanted) > 1 or not chosen:
        raise InputError(f"{path}: [recording] dataset: expected the number of one position, got {', '.join(wanted)}")
    return chosen


def _channel_order(channels: list[Any], entries: list[Any]) -> list[Any]:
    """Returns channels in the order in which they were recorded, which names, sorted, do not keep."""
    seen = dict.fromkeys(axes.get("channel", 0) for axes, *_ in entries)
    return list(seen) if any(isinstance(name, str) for name in channels) else channels


def _said(path: Path, planes: Mapping[tuple[int, int, int], _Plane]) -> tuple[dict[str, float], float | None]:
    """Returns the voxel size and the rate, from what was noted of the planes and of the whole."""
    first, summary = _noted(path, planes[min(planes)]), _summary(path, planes[min(planes)])
    size_um: dict[str, float] = {}
    pixel = _positive(first.get("PixelSizeUm"), summary.get("PixelSize_um"), summary.get("PixelSizeUm"))
    if pixel:
        size_um |= {"y": pixel, "x": pixel}
    step = _positive(summary.get("z-step_um"), first.get("z-step_um"))
    if not step and (0, 0, 1) in planes:
        after, before = _noted(path, planes[0, 0, 1]).get("ZPositionUm"), first.get("ZPositionUm")
        step = _positive(abs(after - before)) if isinstance(after, int | float) and isinstance(before, int | float) else None
    if step:
        size_um["z"] = step
    between_ms = _positive(summary.get("Interval_ms"))
    return size_um, 1000 / between_ms if between_ms else None


def _elapsed_s(path: Path, plane: _Plane | None) -> float | None:
    """Returns when a plane was recorded, in s, as Micro-Manager notes it."""
    try:
        said = None if plane is None else _noted(path, plane).get(ELAPSED)
    except InputError:  # cut off: whoever reads the volume says so
        return None
    return said / 1000 if isinstance(said, int | float) and np.isfinite(said) else None


def _noted(path: Path, plane: _Plane) -> dict[str, Any]:
    return _object(_bytes(path / plane.name, *plane.noted))


def _summary(path: Path, plane: _Plane) -> dict[str, Any]:
    head = _bytes(path / plane.name, 20, 8)
    return _object(_bytes(path / plane.name, 28, struct.unpack("<I", head[4:])[0]))


def _object(data: bytes) -> dict[str, Any]:
    try:
        said = json.loads(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _bytes(path: Path, start: int, size: int, where: str = "") -> bytes:
    refuse_endless(path)
    try:
        if start + size > path.stat().st_size:
            raise InputError(f"{where}{path}: cut off: expected {start + size} bytes or more, got {path.stat().st_size}")
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)
    except OSError as error:
        raise InputError(f"{where}{path}: cannot be read: {error.strerror or error}") from None


def _positive(*values: Any) -> float | None:
    return next((float(value) for value in values if isinstance(value, int | float) and np.isfinite(value) and value > 0), None)


def _order(value: Any) -> tuple[bool, Any]:
    return isinstance(value, str), value
