"""trace: read the activity of every neuron from its own voxels, in every volume it was found in."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from scipy import ndimage

from barlowtrack.config import ComputeConfig, TraceConfig
from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Labels, Progress, Recording, Traces, Tracks, VoxelArray, silent
from barlowtrack.errors import InputError

log = logging.getLogger(__name__)

FEWEST_SHELL_VOXELS = 10
"""A background from fewer voxels is noise; then that of the whole volume stands in."""


def trace(
    recording: Recording,
    labels: Labels,
    detections: Detections,
    tracks: Tracks,
    *,
    config: TraceConfig,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> Traces:
    """Reads red, green and their ratio of every neuron.

    A neuron's voxels are those that carry the label of its detection's row; nothing is looked up by distance. From the mean
    over them, separately in each channel and volume, the background goes off: a percentile of the shell around this nucleus,
    without the voxels of any other. One volume a worker is in memory at a time.

    Args:
        recording: T volumes.
        labels: Their instance labels.
        detections: N nuclei.
        tracks: Whose they are; those below config.min_probability are left out.
        config: Shell, percentiles, least probability.
        compute: Number of threads and memory; neither changes the result.
        progress: Told after every volume.

    Returns:
        (K, T) traces, float32, camera units; NaN where a neuron is absent, where there is no signal channel (green, ratio,
        dR/R0), and where red is not above its background (ratio, dR/R0).

    Raises:
        InputError: if the inputs are not of one recording: another number of rows or volumes, another shape, a label without
            voxels, or a neuron twice in one volume.
    """
    _check(recording, labels, detections, tracks)
    n_volumes = recording.n_volumes
    use = (tracks.neuron != UNKNOWN) & (tracks.probability >= config.min_probability)
    rows = [np.flatnonzero(use[part]) + part.start for part in map(detections.rows_of, range(n_volumes))]
    red, green, probability = (np.full((tracks.n_neurons, n_volumes), np.nan, np.float32) for _ in range(3))
    read = partial(_read_volume, recording, labels, detections, config)
    with ThreadPoolExecutor(_workers(recording, compute)) as pool:
        for t, brightness in enumerate(pool.map(read, range(n_volumes), rows)):
            neuron = tracks.neuron[rows[t]]
            if len(np.unique(neuron)) < len(neuron):
                raise InputError(f"trace: volume {t}: expected every neuron once, got one twice")
            red[neuron, t], green[neuron, t] = brightness
            probability[neuron, t] = tracks.probability[rows[t]]
            progress(t + 1, n_volumes)
    ratio, dr_over_r0 = _ratios(red, green, config.r0_percentile)
    rate = recording.rate_hz
    time_s = np.full(n_volumes, np.nan) if rate is None else np.arange(n_volumes) / rate
    return Traces.of_seen(time_s=time_s, red=red, green=green, ratio=ratio, dr_over_r0=dr_over_r0, probability=probability)


def _check(recording: Recording, labels: Labels, detections: Detections, tracks: Tracks) -> None:
    if len(tracks) != len(detections):
        raise InputError(f"trace: expected an identity for each of {len(detections)} detections, got {len(tracks)}")
    shape = (recording.n_volumes, *recording.volume_shape)
    if labels.shape != shape:
        raise InputError(f"trace: expected labels of shape {shape} (T Z Y X), got {labels.shape}")
    if detections.n_volumes != recording.n_volumes:
        raise InputError(f"trace: expected detections of {recording.n_volumes} volumes, got {detections.n_volumes}")


def _workers(recording: Recording, compute: ComputeConfig) -> int:
    """Returns how many volumes are worked on side by side: as many as there are threads, and as fit the memory."""
    wanted = compute.workers or min(os.cpu_count() or 1, 8)
    per_volume = np.prod(recording.shape[1:]) * recording.dtype.itemsize + np.prod(recording.volume_shape) * 8
    return max(1, min(wanted, int(compute.memory_gb * 1e9 / per_volume)))


def _read_volume(recording: Recording, labels: Labels, detections: Detections, config: TraceConfig, t: int, rows: IntArray) -> FloatArray:
    """Returns the brightness of each row's nucleus above its background: (2, n) red and green; green NaN where there is none."""
    brightness = np.full((2, len(rows)), np.nan)
    if not len(rows):
        return brightness
    label_image = labels.read(t).astype(np.int32, copy=False)
    channels = [recording.reference] + ([] if recording.signal is None else [recording.signal])
    volume = recording.read(t)[channels]  # (1 or 2, Z, Y, X)
    boxes = ndimage.find_objects(label_image)
    elsewhere: FloatArray | None = None
    for column, label in enumerate(detections.label[rows]):
        box = boxes[label - 1] if label <= len(boxes) else None
        if box is None:
            raise InputError(f"trace: volume {t}: label {label} of the detections has no voxels; labels and detections are of two runs")
        box = _grown(box, config.shell_um, recording)
        inside, shell = _nucleus_and_shell(label_image[box], int(label), config.shell_um, recording.voxel_size_um)
        near = volume[:, *box]
        if np.count_nonzero(shell) >= FEWEST_SHELL_VOXELS:
            background = np.percentile(near[:, shell], config.background_percentile, axis=1)
        else:
            if elsewhere is None:
                elsewhere = _background_of_volume(volume, label_image, config.background_percentile)
            background = elsewhere
        brightness[: len(channels), column] = near[:, inside].mean(axis=1, dtype=np.float64) - background
    return brightness


def _grown(box: tuple[slice, ...], by_um: float, recording: Recording) -> tuple[slice, ...]:
    """Returns the box, wider on every side by a length, cut off at the edges of the volume."""
    reach = [int(by_um / size) for size in recording.voxel_size_um]
    return tuple(
        slice(max(0, side.start - margin), min(length, side.stop + margin))
        for side, margin, length in zip(box, reach, recording.volume_shape, strict=True)
    )


def _nucleus_and_shell(
    labels: VoxelArray, label: int, shell_um: float, voxel_size_um: tuple[float, float, float]
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    inside = labels == label
    distance_um = ndimage.distance_transform_edt(~inside, sampling=voxel_size_um)
    return inside, (distance_um <= shell_um) & (labels == 0)


def _background_of_volume(volume: VoxelArray, label_image: VoxelArray, percentile: float) -> FloatArray:
    """Returns the background of each channel over every voxel outside nuclei: (C,); NaN where nuclei fill the volume."""
    outside = volume[:, label_image == 0]
    return np.percentile(outside, percentile, axis=1) if outside.size else np.full(len(volume), np.nan)


def _ratios(red: FloatArray, green: FloatArray, r0_percentile: float) -> tuple[FloatArray, FloatArray]:
    """Returns green / red and its change relative to R0, both (K, T); NaN, never infinite, where red or R0 is not positive."""
    ratio = np.full(red.shape, np.nan, np.float32)
    np.divide(green, red, out=ratio, where=red > 0)
    change = np.full(red.shape, np.nan, np.float32)
    for neuron, values in enumerate(ratio):
        finite = values[np.isfinite(values)]
        r0 = float(np.percentile(finite, r0_percentile)) if len(finite) else 0.0
        if r0 > 0:
            change[neuron] = (values - r0) / r0
    return ratio, change
