"""measure: read the light of every nucleus, and of the places where neurons should be that were not found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import numpy as np

from barlowtrack.config import ComputeConfig, MeasureConfig
from barlowtrack.data import Detections, Identities, Labels, Light, MeasuredVolume, Places, Progress, Recording, silent
from barlowtrack.detect.reading import Reader
from barlowtrack.errors import InputError
from barlowtrack.faults import side_by_side


def measure(
    recording: Recording,
    labels: Labels,
    detections: Detections,
    identities: Identities,
    *,
    config: MeasureConfig,
    compute: ComputeConfig,
    start: int = 0,
    stop: int | None = None,
    progress: Progress = silent,
) -> Iterator[MeasuredVolume]:
    """Reads light, volume by volume; nothing that people correct later changes it.

    A nucleus is the voxels that carry the label of its detection's row; nothing is looked up by distance. A place is a ball where the
    atlas, laid over the volume, has an entry: as large as that entry's nuclei usually are, without the voxels of any nucleus. It is read
    where at least half of the ball is free of them, also of an entry that was found elsewhere: a person may say that this was another.
    One volume a worker is in memory at a time.

    Args:
        recording: T volumes.
        labels: Their instance labels.
        detections: N nuclei.
        identities: Where each entry of the atlas should lie, and which detections it is.
        config: Shell, percentile, number of brightest voxels, end of the camera.
        compute: Number of threads and memory; neither changes the result.
        start: First volume: where a run that was cut off goes on.
        stop: The volume before which to end; the recording's end where not given.
        progress: Told after every volume.

    Yields:
        The light of each volume; green is NaN where there is no signal channel.

    Raises:
        InputError: if the inputs are not of one recording: another number of rows or volumes, another shape, a label without voxels.
    """
    _check(recording, labels, detections, identities)
    read = partial(_read, recording, labels, detections, Reader(recording, detections, identities, config))
    workers = _workers(recording, compute)
    volumes = range(start, recording.n_volumes if stop is None else stop)
    with ThreadPoolExecutor(workers) as pool, closing(side_by_side(pool, read, volumes, 2 * workers)) as done:
        for found in done:
            yield found
            progress(found.t + 1, recording.n_volumes)


def _check(recording: Recording, labels: Labels, detections: Detections, identities: Identities) -> None:
    if len(identities) != len(detections):
        raise InputError(f"measure: expected an identity for each of {len(detections)} detections, got {len(identities)}")
    shape = (recording.n_volumes, *recording.volume_shape)
    if labels.shape != shape:
        raise InputError(f"measure: expected labels of shape {shape} (T Z Y X), got {labels.shape}")
    for what, got in (("detections", detections.n_volumes), ("identities", len(identities.absent))):
        if got != recording.n_volumes:
            raise InputError(f"measure: expected {what} of {recording.n_volumes} volumes, got {got}")


def _workers(recording: Recording, compute: ComputeConfig) -> int:
    """Returns how many volumes are worked on side by side: as many as there are threads, and as fit the memory."""
    wanted = compute.workers or min(len(os.sched_getaffinity(0)), 8)
    per_volume = 2 * np.prod(recording.shape[1:]) * recording.dtype.itemsize + np.prod(recording.volume_shape) * 8
    return max(1, min(wanted, int(compute.memory_gb * 1e9 / per_volume)))


def _read(recording: Recording, labels: Labels, detections: Detections, reader: Reader, t: int) -> MeasuredVolume:
    wanted = detections.label[detections.rows_of(t)]
    if not len(wanted):
        return MeasuredVolume(t, Light.dark(0), Places.concatenate([]))
    return reader.read(t, recording.read(t), labels.read(t), wanted)
