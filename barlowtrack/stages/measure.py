"""measure: read the light of every nucleus, and of the places where neurons should be that were not found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import numpy as np

from barlowtrack.config import ComputeConfig, MeasureConfig
from barlowtrack.data import (
    Detections,
    FloatArray,
    Identities,
    Labels,
    Light,
    MeasuredVolume,
    Places,
    Progress,
    Recording,
    medians_by,
    silent,
)
from barlowtrack.detect.light import Volume, nuclei_light, places_light
from barlowtrack.errors import InputError

CAMERA_BITS = (8, 10, 12, 14, 16)
"""Of cameras; their voxels are often kept in a wider type."""


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
    end = camera_end(recording, detections) if config.saturated_at is None else np.full(2, config.saturated_at)
    read = partial(_read, recording, labels, detections, identities, typical_radius_um(detections, identities), config, end)
    with (
        ThreadPoolExecutor(_workers(recording, compute)) as pool,
        closing(pool.map(read, range(start, recording.n_volumes if stop is None else stop))) as done,  # type: ignore[type-var]
    ):
        for found in done:
            yield found
            progress(found.t + 1, recording.n_volumes)


def typical_radius_um(detections: Detections, identities: Identities) -> FloatArray:
    """Returns (K,) radius of the ball as large as each entry's nuclei usually are; of one never seen, as nuclei are; NaN without any."""
    radius = np.cbrt(3 / (4 * np.pi) * detections.volume_um3.astype(np.float64))
    typical = medians_by(radius, identities.neuron, identities.n_neurons)
    return np.where(np.isfinite(typical), typical, np.median(radius) if len(radius) else np.nan)


def camera_end(recording: Recording, detections: Detections) -> FloatArray:
    """Returns the value at which the camera is at its end, of red and of green: each channel may have a camera of its own.

    The most that the camera's bits hold if the channel's brightest nucleus is just there, in the lowest or in the highest bits of 16; else
    the most that the voxels' type holds.
    """
    type_end = float(np.iinfo(recording.dtype).max) if np.issubdtype(recording.dtype, np.integer) else np.inf
    ends = {float((2**bits - 1) << shift) for bits in CAMERA_BITS for shift in {0, max(CAMERA_BITS) - bits}}
    found = []
    for peaks in (detections.red_peak, detections.green_peak):
        brightest = float(np.max(peaks, initial=0, where=np.isfinite(peaks)))
        found.append(brightest if brightest in ends else type_end)
    return np.array(found)


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
    wanted = compute.workers or min(os.cpu_count() or 1, 8)
    per_volume = 2 * np.prod(recording.shape[1:]) * recording.dtype.itemsize + np.prod(recording.volume_shape) * 8
    return max(1, min(wanted, int(compute.memory_gb * 1e9 / per_volume)))


def _read(
    recording: Recording,
    labels: Labels,
    detections: Detections,
    identities: Identities,
    radius_um: FloatArray,
    config: MeasureConfig,
    saturated_at: FloatArray,
    t: int,
) -> MeasuredVolume:
    wanted = detections.label[detections.rows_of(t)]
    if not len(wanted):
        return MeasuredVolume(t, Light.dark(0), Places.concatenate([]))
    channels = [recording.reference] + ([] if recording.signal is None else [recording.signal])
    shown = labels.read(t).astype(np.int32, copy=False)
    volume = Volume(recording.read(t)[channels], shown, recording.voxel_size_um, saturated_at[: len(channels)])
    light = nuclei_light(volume, wanted, config)
    lost = np.flatnonzero(light.voxels == 0)
    if len(lost):
        what = f"label {wanted[lost[0]]} of the detections has no voxels"
        raise InputError(f"measure: volume {t}: {what}; labels and detections are of two runs")
    entry, there = places_light(volume, identities.place_um[t], radius_um, config)
    places = Places(np.full(len(entry), t, np.int32), entry.astype(np.int32), identities.place_um[t, entry], there)
    return MeasuredVolume(t, light, places)
