"""NWB: series of images and of volumes, and the volumes of many channels of ndx-multichannel-volume; HDF5, read without pynwb."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from barlowtrack.config import RecordingConfig
from barlowtrack.errors import InputError
from barlowtrack.io.clock import rate_of
from barlowtrack.io.metadata import FileMetadata, length_um
from barlowtrack.io.readers.hdf5 import arranged, dataset, opened, refuse_unlike
from barlowtrack.io.readers.opened import Opened, first_line, listed
from barlowtrack.io.together import refuse_apart

_AXES = {3: "TXY", 4: "TXYZ", 5: "TXYZC"}
"""Of a series, as the schema has them: frame, x, y, z; ndx-multichannel-volume adds channels."""
_ONE_VOLUME = {3: "XYZ", 4: "XYZC"}


@dataclass(frozen=True)
class _Series:
    """An image in the file: its path, its group, and the axes of its data."""

    path: str
    group: h5py.Group
    axes: str


def open_nwb(path: Path, config: RecordingConfig) -> Opened:
    """Opens the series of volumes that the settings name, or the only one there is; several named are a channel each.

    Raises:
        InputError: no NWB of HDF5, no series, or several, of which nobody says one.
    """
    try:
        with opened(path) as file:
            chosen = _chosen(path, list(_all(file)), config.dataset)
            names = tuple(f"{one.path}/data" for one in chosen)
            arrays = [dataset(path, file, name) for name in names]
            refuse_unlike(path, arrays)
            metadata = _metadata(path, chosen, arrays, config)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be opened as NWB: {first_line(error)}; NWB in zarr is opened as a folder") from None
    except Exception as error:  # h5py raises many kinds on what is damaged
        raise InputError(f"{path}: expected NWB, got something else: {first_line(error)}") from None
    return arranged(path, metadata, [names], config)


def _all(file: h5py.File) -> Iterator[_Series]:
    """Yields what could be a recording, wherever in the file."""
    found: list[_Series] = []

    def look(name: str, item: object) -> None:
        kind = _text(item.attrs.get("neurodata_type", "")) if isinstance(item, h5py.Group) else ""
        data = item.get("data") if kind else None  # type: ignore[attr-defined]
        if not isinstance(data, h5py.Dataset):
            return
        if kind.endswith(("ImageSeries", "PhotonSeries", "VolumeSeries")) and data.ndim in _AXES:
            found.append(_Series(name, item, _AXES[data.ndim]))
        elif kind == "MultiChannelVolume" and data.ndim in _ONE_VOLUME:
            found.append(_Series(name, item, _ONE_VOLUME[data.ndim]))

    file.visititems(look)
    yield from found


def _chosen(path: Path, found: list[_Series], wanted: Sequence[str] | None) -> list[_Series]:
    there = listed([f"{one.path} {one.group['data'].shape}" for one in found])
    if wanted:
        return [_named(path, found, name, there) for name in wanted]
    raw = [one for one in found if one.path.startswith("acquisition/")] or found  # others are made of them: masks, registered copies
    several = [one for one in raw if "Z" in one.axes and "T" in one.axes] or raw
    if len(several) == 1:
        return several
    if not several:
        raise InputError(f"{path}: expected an ImageSeries or MultiChannelVolumeSeries that holds its data, got none")
    raise InputError(f"{path}: expected one series of volumes, got {there}; say which as --dataset NAME, one for all, or one a channel")


def _named(path: Path, found: list[_Series], name: str, there: str) -> _Series:
    plain = name.strip("/").removesuffix("/data")
    matching = [one for one in found if one.path == plain] or [one for one in found if one.path.rpartition("/")[2] == plain]
    if len(matching) != 1:
        raise InputError(f"{path}: expected a series of volumes named {name}, got {there or 'none'}")
    return matching[0]


def _metadata(path: Path, chosen: Sequence[_Series], arrays: Sequence[h5py.Dataset], config: RecordingConfig) -> FileMetadata:
    first, array = chosen[0], arrays[0]
    if array.size == 0:
        raise InputError(f"{path}: {first.path}: expected voxels, got none; the images lie in other files, which are not opened")
    turned = f"axes {', '.join(first.axes)} as NWB has them; writers differ: if the picture is turned, give [recording] axes"
    names = tuple(one.path.rpartition("/")[2] for one in chosen) if len(chosen) > 1 else _channel_names(first.group, array, first.axes)
    size_um, of_size = _sizes(first.group)
    rate_hz, of_rate = _rate(f"{path}: {first.path}/timestamps", first.group, config)
    clocks = {one.path: _times_s(one.group, len(data)) for one, data in zip(chosen, arrays, strict=True)} if config.rate_hz is None else {}
    apart = refuse_apart(str(path), {name: times for name, times in clocks.items() if times is not None})
    for one in chosen[1:]:
        apart += tuple(f"{one.path}: {odd}" for odd in _rate(f"{path}: {one.path}/timestamps", one.group, config)[1] if odd not in of_rate)
    remarks = (turned, *of_size, *of_rate, *apart, *_not_applied(chosen))
    return FileMetadata(str(path), first.axes, array.shape, array.dtype.newbyteorder("="), size_um, rate_hz, names, remarks)


def _sizes(group: h5py.Group) -> tuple[dict[str, float], tuple[str, ...]]:
    """Returns the voxel size of the plane or volume that the series was imaged in, and what is odd: grid_spacing is x, y, z."""
    for name in ("imaging_volume", "imaging_plane", "ImagingVolume"):
        plane = group.get(name)
        spacing = plane.get("grid_spacing") if isinstance(plane, h5py.Group) else None
        if isinstance(spacing, h5py.Dataset):
            return spacing_um(spacing)
    return {}, ()


def spacing_um(spacing: h5py.Dataset) -> tuple[dict[str, float], tuple[str, ...]]:
    """Returns the distances of voxels by axis in um, and what to say of the unit, which writers often leave at "meters".

    Args:
        spacing: grid_spacing, x, y, z.
    """
    said = _text(spacing.attrs.get("unit", "meters")).lower()
    unit, values = _UNITS.get(said, said), np.ravel(spacing[()]).astype(float)
    largest = float(values.max(initial=0.0))
    meant = unit
    if unit == "m" and largest >= _TOO_LARGE_M:
        meant = "um"
    elif unit == "um" and 0 < largest < _TOO_SMALL_UM:
        meant = "m"
    sizes = {axis: length_um(value, meant) for axis, value in zip("xyz", values, strict=False)}
    odd = f"grid_spacing is said to be in {said}, which {largest:g} cannot be; taken as {'um' if meant == 'um' else 'metres'}"
    return {axis: size for axis, size in sizes.items() if size}, ((odd,) if meant != unit else ())


_UNITS = {"meters": "m", "metres": "m", "micrometers": "um", "micrometres": "um", "microns": "um", "millimeters": "mm", "nanometers": "nm"}
_TOO_LARGE_M = 1e-3
_TOO_SMALL_UM = 1e-3


def _rate(where: str, group: h5py.Group, config: RecordingConfig) -> tuple[float | None, tuple[str, ...]]:
    """Returns volumes a second, and what is odd about the times."""
    if RATE_UNKNOWN in _text(group.attrs.get("comments", "")):
        return None, ()
    start, times = group.get("starting_time"), group.get("timestamps")
    if isinstance(start, h5py.Dataset) and "rate" in start.attrs:
        rate = float(start.attrs["rate"])
        return (rate if np.isfinite(rate) and rate > 0 else None), ()
    if isinstance(times, h5py.Dataset) and len(times) > 1 and config.rate_hz is None:
        return rate_of(where, np.ravel(times[()]).astype(np.float64))
    return None, ()


def _times_s(group: h5py.Group, n_volumes: int) -> NDArray[np.float64] | None:
    """Returns when each volume was recorded; None where that is not known."""
    start, times = group.get("starting_time"), group.get("timestamps")
    if RATE_UNKNOWN in _text(group.attrs.get("comments", "")):
        return None
    if isinstance(start, h5py.Dataset) and float(start.attrs.get("rate", 0)) > 0:
        return np.asarray(float(start[()]) + np.arange(n_volumes) / float(start.attrs["rate"]))
    return np.ravel(times[()]).astype(np.float64) if isinstance(times, h5py.Dataset) else None


def _not_applied(chosen: Sequence[_Series]) -> tuple[str, ...]:
    """Says what would make physical numbers of those that are stored, which stay whole numbers so: traces have no unit."""
    said = []
    for one in chosen:
        attributes = one.group["data"].attrs
        factor, offset = (float(attributes.get(name, usual)) for name, usual in (("conversion", 1.0), ("offset", 0.0)))
        if factor != 1 or offset != 0:
            said.append(
                f"{one.path}: taken as stored, without its conversion {factor:g} and offset {offset:g}; "
                "ratios of light above the background are the same with them"
            )
    return tuple(said)


RATE_UNKNOWN = "barlowtrack: rate unknown, timestamps count volumes"
"""In the comments of a series whose timestamps are no seconds; our exports write it."""


def _channel_names(group: h5py.Group, array: h5py.Dataset, axes: str) -> tuple[str, ...] | None:
    """Returns the channels in their order; the groups that describe them are sorted by name, which says nothing of it."""
    volume = group.get("imaging_volume")
    order = volume.get("order_optical_channels") if isinstance(volume, h5py.Group) else None
    said = order.get("channels") if isinstance(order, h5py.Group) else None
    if "C" not in axes or not isinstance(said, h5py.Dataset):
        return None
    names = tuple(_text(name) for name in np.ravel(said[()]))
    return names if len(names) == array.shape[axes.index("C")] and all(names) else None


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
