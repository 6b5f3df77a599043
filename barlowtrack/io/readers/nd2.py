"""Nikon's ND2, read with the package nd2."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from barlowtrack.config import RecordingConfig
from barlowtrack.data import VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.clock import noted_rate
from barlowtrack.io.metadata import AXES, FileMetadata
from barlowtrack.io.readers.opened import Opened, Shape, first_line, needed, refuse_dtype, settle_shape


@dataclass(frozen=True)
class Nd2Source:
    """Volumes of a file, which is opened for every read, so that it needs no closing.

    Attributes:
        path: Of the file.
        frames: (T, Z) numbers of the pictures, each of all channels.
        shape: C, Z, Y, X.
        dtype: Of the voxels.
    """

    path: Path
    frames: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X).

        Raises:
            InputError: the file is cut off or damaged.
        """
        out = np.empty(self.shape, self.dtype)
        n_channels, _, height, width = self.shape
        try:
            with _quiet(), needed("nd2", self.path, "nd2").ND2File(self.path) as file:
                for z, frame in enumerate(self.frames[t]):
                    out[:, z] = np.asarray(file.read_frame(int(frame))).reshape(n_channels, height, width)
        except InputError:
            raise
        except Exception as error:  # nd2 raises many kinds on what is damaged
            raise InputError(f"volume {t}: {self.path}: cannot be read: {first_line(error)}") from None
        return out


def open_nd2(path: Path, config: RecordingConfig) -> Opened:
    """Opens an ND2; of several positions, the one that the settings name.

    Raises:
        InputError: nd2 is not installed, the file is cut off, colour, or holds several positions, of which nobody says one.
    """
    nd2 = needed("nd2", path, "nd2")
    if config.axes is not None:
        raise InputError(f"{path}: [recording] axes: expected none, as ND2 says its own, got {config.axes}")
    try:
        with _quiet(), nd2.ND2File(path) as file:
            return _opened(path, file, config)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or first_line(error)}") from None
    except Exception as error:  # nd2 raises many kinds on what is none
        raise InputError(f"{path}: expected an ND2, got something else, or one that is cut off: {first_line(error)}") from None


def _opened(path: Path, file: Any, config: RecordingConfig) -> Opened:
    if file.is_rgb:
        raise InputError(f"{path}: expected grey values, one number a voxel, got a colour picture")
    refuse_dtype(str(path), np.dtype(file.dtype))
    sizes = dict(file.sizes)
    loops = {axis: size for axis, size in sizes.items() if axis not in ("C", "Y", "X")}
    frames = np.arange(int(np.prod(list(loops.values()), dtype=np.int64))).reshape(list(loops.values()))
    frames = _one_position(path, loops, frames, config.dataset)
    order = [axis for axis in loops if axis != "P"]
    if set(order) - {"T", "Z"}:
        raise InputError(f"{path}: expected the axes T, C, Z, Y, X, got {', '.join(sizes)} of {tuple(sizes.values())}")
    frames = frames.transpose([order.index(axis) for axis in "TZ" if axis in order]).reshape(loops.get("T", 1), loops.get("Z", 1))
    n_recorded = int(file.attributes.sequenceCount or frames.size)
    whole = int((frames < n_recorded).all(axis=1).sum())
    if whole == 0:
        raise InputError(f"{path}: expected {frames.size} pictures, got {n_recorded}: not one whole volume")
    lost = (
        (f"{len(frames) - whole} of {len(frames)} volumes were planned, but not recorded whole; they are left out",)
        if whole < len(frames)
        else ()
    )
    shape: Shape = (whole, int(sizes.get("C", 1)), frames.shape[1], int(sizes["Y"]), int(sizes["X"]))
    dtype = np.dtype(file.dtype).newbyteorder("=")
    names = tuple(str(channel.channel.name) for channel in (file.metadata.channels or ()))
    rate_hz, of_rate = _rate(file, frames[:whole])
    known = names if len(names) == shape[1] and all(names) else None
    metadata = FileMetadata(str(path), AXES, shape, dtype, _sizes(file), rate_hz, known, of_rate)
    settle_shape(metadata, config)
    return Opened(metadata, Nd2Source(path, frames[:whole], shape[1:], dtype), shape, lambda: [("", path, True)], remarks=lost)


def _one_position(path: Path, loops: dict[str, int], frames: Any, wanted: tuple[str, ...] | None) -> Any:
    n_positions = loops.get("P", 1)
    if wanted is None and n_positions > 1:
        raise InputError(f"{path}: expected one position, got {n_positions}; say which as --dataset NUMBER, 0 to {n_positions - 1}")
    number = wanted[0] if wanted else "0"
    if not number.isdecimal() or int(number) >= n_positions or (wanted and len(wanted) > 1):
        raise InputError(f"{path}: [recording] dataset: expected the number of a position, 0 to {n_positions - 1}, got {number}")
    return frames.take(int(number), axis=list(loops).index("P")) if "P" in loops else frames


def _sizes(file: Any) -> dict[str, float]:
    """Returns the voxel size; nd2 says 1 where the file says nothing."""
    channels = file.metadata.channels or ()
    if not channels or not channels[0].volume.axesCalibrated:
        return {}
    volume = channels[0].volume
    known = zip("xyz", volume.axesCalibrated, volume.axesCalibration, strict=True)
    return {axis: float(size) for axis, calibrated, size in known if calibrated and np.isfinite(size) and size > 0}


def _rate(file: Any, frames: Any) -> tuple[float | None, tuple[str, ...]]:
    """Returns volumes a second, by the times that were noted, else by what was planned, and what is odd about the times."""
    periods = [float(getattr(loop.parameters, "periodMs", 0) or 0) for loop in file.experiment if loop.type in ("TimeLoop", "NETimeLoop")]
    planned = next((1000 / period for period in periods if period > 0), None)

    def time_at(t: int) -> float | None:
        try:
            return float(file.frame_metadata(int(frames[t, 0])).channels[0].time.relativeTimeMs) / 1000
        except Exception:  # no times were noted
            return None

    return noted_rate("times of the planes", time_at, len(frames), planned)


_WARNINGS = threading.RLock()


class _quiet:  # noqa: N801 - used as a function
    """Keeps nd2's warnings to itself: what matters of them is looked at. One thread at a time, as the filters belong to all."""

    def __enter__(self) -> None:
        _WARNINGS.acquire()
        self.kept = warnings.catch_warnings()
        self.kept.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *args: object) -> None:
        self.kept.__exit__(None, None, None)
        _WARNINGS.release()
