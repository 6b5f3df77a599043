"""Whatever else bioio reads, with the plugin for it: CZI, LIF, IMS and others."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from barlowtrack.config import RecordingConfig
from barlowtrack.data import VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.metadata import AXES, FileMetadata
from barlowtrack.io.readers.opened import Opened, first_line, listed, needed, refuse_dtype, settle_shape

_LONGEST = 160


@dataclass(frozen=True)
class BioioSource:
    """Volumes that bioio reads, one thread at a time: its plugins do not say which of them may be used by several."""

    path: Path
    image: Any
    dtype: np.dtype[Any]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X).

        Raises:
            InputError: it cannot be read.
        """
        try:
            with self.lock, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = self.image.get_image_dask_data("CZYX", T=t).compute(scheduler="synchronous")
        except Exception as error:  # each plugin has its own
            raise InputError(f"volume {t}: {self.path}: cannot be read: {first_line(error)}") from None
        return np.ascontiguousarray(values, self.dtype)


def open_with_bioio(path: Path, config: RecordingConfig) -> Opened:
    """Opens a file through bioio; of several scenes, the one that the settings name.

    Raises:
        InputError: bioio, or its plugin for this format, is not installed; or the file cannot be used.
    """
    bioio = needed("bioio", path, "bioio")
    if config.axes is not None:
        raise InputError(f"{path}: [recording] axes: expected none, as bioio says the axes, got {config.axes}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = bioio.BioImage(path)
            _choose_scene(path, image, config.dataset)
            return _opened(path, image, config)
    except InputError:
        raise
    except Exception as error:  # each plugin has its own
        raise InputError(f"{path}: bioio cannot read it{_why(error)}") from None


def _why(error: Exception) -> str:
    """Returns what to do about it: bioio explains itself on a page."""
    if type(error).__name__ == "UnsupportedFileFormatError":
        return ": the plugin for this format is missing, or the file is damaged: https://bioio-devs.github.io/bioio lists the plugins"
    said = first_line(error)
    return f": {said[:_LONGEST]}{'...' if len(said) > _LONGEST else ''}"


def _choose_scene(path: Path, image: Any, wanted: tuple[str, ...] | None) -> None:
    scenes = [str(scene) for scene in image.scenes]
    if wanted is None and len(scenes) > 1:
        raise InputError(f"{path}: expected one image, got {listed(scenes)}; say which as --dataset NAME, or its number from 0")
    if wanted is None:
        return
    name = wanted[0]
    if len(wanted) > 1 or not (name in scenes or (name.isdecimal() and int(name) < len(scenes))):
        raise InputError(f"{path}: [recording] dataset: expected one of {listed(scenes)}, got {', '.join(wanted)}")
    image.set_scene(name if name in scenes else int(name))


def _opened(path: Path, image: Any, config: RecordingConfig) -> Opened:
    dims = image.dims
    if "S" in dims.order:
        raise InputError(f"{path}: expected grey values, one number a voxel, got a colour picture")
    dtype = np.dtype(image.dtype).newbyteorder("=")
    refuse_dtype(str(path), dtype)
    shape = tuple(int(size) for size in (dims.T, dims.C, dims.Z, dims.Y, dims.X))
    sizes = {axis: getattr(image.physical_pixel_sizes, axis.upper(), None) for axis in "zyx"}
    size_um = {axis: float(size) for axis, size in sizes.items() if size and np.isfinite(size) and size > 0}
    names = tuple(str(name) for name in (image.channel_names or ()))
    told = len(names) == shape[1] and all(names) and not all(name.startswith("Channel:") for name in names)
    metadata = FileMetadata(str(path), AXES, shape, dtype, size_um, _rate(image), names if told else None)
    _, settled = settle_shape(metadata, config)
    files = (
        [("", path, True)]
        if path.is_file()
        else [(one.relative_to(path).as_posix(), one, True) for one in sorted(path.rglob("*")) if one.is_file()]
    )
    return Opened(metadata, BioioSource(path, image, dtype), settled, lambda: files)


def _rate(image: Any) -> float | None:
    step: Any = getattr(image, "time_interval", None)
    seconds = float(step.total_seconds()) if hasattr(step, "total_seconds") else None
    return 1 / seconds if seconds and np.isfinite(seconds) and seconds > 0 else None
