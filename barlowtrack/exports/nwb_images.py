"""Masks and images of an NWB file, written a volume at a time: (T, X, Y, Z) and (T, X, Y, Z, C), as the community's files have them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import UNKNOWN, Progress, Recording
from barlowtrack.errors import InputError
from barlowtrack.exports.content import Content
from barlowtrack.exports.nwb_extension import extension
from barlowtrack.io.readers.nwb import RATE_UNKNOWN

MAX_CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Masks:
    """The series of masks.

    Attributes:
        neurons: 0 where there is no known neuron, else its number + 1.
        nuclei: Label of every nucleus.
    """

    neurons: Any
    nuclei: Any


def refuse_images(content: Content) -> None:
    """Refuses images that are no whole numbers from 0, which the layout wants, nor were ones before they were prepared.

    Raises:
        InputError: they are others.
    """
    if content.recording is not None and _camera(content.recording).kind != "u":
        got, prepared = content.recording.dtype, content.preparation.deconvolution is not None
        why = "were sharpened and are" if prepared else "are"
        raise InputError(f"export --to nwb: its images are unsigned whole numbers, those of this recording {why} {got}; leave out --images")


def _camera(recording: Recording) -> np.dtype[Any]:
    """What the camera wrote; of prepared pictures too, unless they were sharpened: those have no scale of the camera's."""
    return np.dtype(recording.recorded_dtype or recording.dtype)


def add_images(file: Any, content: Content, volume: Any, device: Any, progress: Progress) -> Masks:
    """Adds the images, if they were asked for, to the acquisition, and returns the masks, which the activity goes with."""
    n, steps = content.n_volumes, content.n_volumes * (2 + (content.recording is not None))
    shape = (n, *content.shape[2:][::-1])

    def counted(source: Callable[[int], NDArray[Any]], before: int) -> Iterator[NDArray[Any]]:
        for t in range(n):
            yield source(t)
            progress(before + t + 1, steps)

    def series(name: str, source: Callable[[int], NDArray[Any]], before: int, dtype: Any, **said: Any) -> Any:
        whole = (*shape, content.shape[1]) if said["unit"] == "camera units" else shape
        return extension("MultiChannelVolumeSeries")(
            name=name,
            data=_streamed(counted(source, before), whole, dtype),
            dimension=np.array(shape[1:], np.int32),
            imaging_volume=volume,
            device=device,
            **clock(content),
            **said,
        )

    neuron = content.tracks.neuron
    value = np.where(neuron == UNKNOWN, 0, neuron + 1)
    if content.recording is not None:
        read = content.recording.read
        dtype = np.promote_types(_camera(content.recording), np.uint16)
        # an offset that was taken off is added again, so that nothing lies below 0; the series' own offset says so
        lift = max((*(math.ceil(level) for level in content.recording.taken_off), 0))
        largest = np.iinfo(dtype).max
        fractions = content.recording.dtype.kind == "f"

        def whole(t: int) -> NDArray[Any]:
            volume = read(t).transpose(3, 2, 1, 0)
            return np.clip(np.rint(volume + np.float32(lift)), 0, largest).astype(dtype) if fractions else volume.astype(dtype)

        channels = ", ".join(f"{i}: {name}" for i, name in enumerate(content.channel_names))
        file.add_acquisition(
            series(
                "CalciumImageSeries",
                whole,
                2 * n,
                dtype,
                unit="camera units",
                offset=float(-lift),
                description=f"Images (T, X, Y, Z, C); channels {channels}."
                + (" Prepared pictures, rounded to whole camera units; add the offset of this series." if fractions else ""),
            )
        )
    of_neurons: Any = np.uint16 if content.n_neurons < 2**16 - 1 else np.uint32
    of_labels: Any = np.uint16 if int(content.detections.label.max(initial=0)) < 2**16 else np.uint32
    return Masks(
        series(
            "CalciumSeriesSegmentation",
            lambda t: content.masks(t, value, of_neurons).transpose(2, 1, 0),
            0,
            of_neurons,
            unit="neuron + 1",
            description="Masks (T, X, Y, Z) of identified neurons: 0 is background, k + 1 the neuron of row k of NeuronSegmentation.",
        ),
        series(
            "CalciumSeriesSegmentationUntracked",
            lambda t: content.masks(t, content.detections.label, of_labels).transpose(2, 1, 0),
            n,
            of_labels,
            unit="label",
            description="Masks (T, X, Y, Z) of all nuclei: 0 is background, else the label in Detections, another one in every volume.",
        ),
    )


def clock(content: Content) -> dict[str, Any]:
    """Returns when volumes were taken: rate where it is known, else their numbers as time stamps, and a comment that says so."""
    if content.rate_hz is not None:
        return {"rate": float(content.rate_hz), "starting_time": 0.0}
    return {"timestamps": np.arange(content.n_volumes, dtype=np.float64), "comments": RATE_UNKNOWN}


def _streamed(volumes: Iterator[NDArray[Any]], shape: tuple[int, ...], dtype: Any) -> Any:
    from hdmf.backends.hdf5.h5_utils import H5DataIO
    from hdmf.data_utils import DataChunkIterator

    chunk = [1, *shape[1:4], *(1 for _ in shape[4:])]
    while np.prod(chunk) * np.dtype(dtype).itemsize > MAX_CHUNK_BYTES and chunk[3] > 1:
        chunk[3] = -(-chunk[3] // 2)
    data = DataChunkIterator(data=volumes, maxshape=shape, dtype=np.dtype(dtype), buffer_size=1)
    return H5DataIO(data=data, chunks=tuple(chunk), compression="gzip", compression_opts=4, shuffle=True)
