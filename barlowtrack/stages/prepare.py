"""prepare: put the pictures right where the settings ask for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial

import numpy as np

from barlowtrack.config import ComputeConfig, PrepareConfig
from barlowtrack.data import Deconvolution, FloatArray, IntArray, Preparation, Progress, Recording, Shifts, VoxelArray, silent
from barlowtrack.errors import InputError
from barlowtrack.nn.device import in_order, n_workers
from barlowtrack.preparing.alignment import lie_of_camera, projection
from barlowtrack.preparing.camera import dark_level, sample_planes, sampled_times, stuck_pixels
from barlowtrack.preparing.drift import Field, smoothed
from barlowtrack.preparing.jitter import measure_jitter, settled
from barlowtrack.preparing.view import PreparedVolumes

log = logging.getLogger(__name__)

BYTES_A_VOXEL = 48  # what measuring a volume holds at its peak, a voxel of one channel


def prepare(
    recording: Recording,
    deconvolver: str,
    *,
    config: PrepareConfig,
    compute: ComputeConfig,
    checkpoint: Sequence[Shifts] | None = None,
    progress: Progress = silent,
) -> Iterator[Shifts | Preparation]:
    """Measures what is wrong with the pictures; nothing of the recording is copied or changed.

    What the cameras do is measured on planes spread over the recording. Only jitter and drift look at every volume.

    Args:
        recording: As it lies on the disk.
        deconvolver: Package and version of the function that sharpens; "none" where none does.
        config: What is asked for.
        compute: Threads, and the memory that bounds how many volumes are in flight.
        checkpoint: What was measured before a run was cut off: volumes from the first on.
        progress: Told after every volume.

    Yields:
        Shifts of every volume, where jitter or drift is asked for; then the Preparation.

    Raises:
        InputError: a volume that cannot be read, planes or channels that are not there, or cameras with nothing in common.
    """
    camera = _of_the_cameras(recording, config, deconvolver)
    shifts = list(checkpoint or ())
    if config.jitter or config.drift:
        clean = PreparedVolumes(recording, Preparation(shape=camera.shape, hot=camera.hot))
        field = Field(clean.clean(recording.n_volumes // 2)[recording.reference]) if config.drift else None
        work = partial(_measured, clean, config.jitter, field)
        workers = _workers(recording, compute)
        with closing(in_order(work, range(len(shifts), recording.n_volumes), workers, workers + 1)) as measured:
            for found in measured:
                shifts.append(found)
                yield found
                progress(found.t + 1, recording.n_volumes)
    yield Preparation(
        shape=camera.shape,
        offset=camera.offset,
        dark=camera.dark,
        hot=camera.hot,
        jitter=settled([found.planes for found in shifts], [found.sure for found in shifts]) if config.jitter else None,
        drift=smoothed(np.array([found.field for found in shifts])) if config.drift else None,
        matrix=_alignment(recording, camera, config),
        planes=config.planes,
        mirror="" if config.mirror == "none" else config.mirror,
        interpolation=config.interpolation,
        deconvolution=camera.deconvolution,
    )


def _of_the_cameras(recording: Recording, config: PrepareConfig, deconvolver: str) -> Preparation:
    """Returns what needs no look at every volume."""
    n_channels, n_planes = recording.shape[1:3]
    if config.planes is not None and config.planes[1] > n_planes:
        raise InputError(f"[prepare] planes: expected some of 0 to {n_planes}, got {config.planes[0]} to {config.planes[1]}")
    if config.offset is not None and len(config.offset) != n_channels:
        raise InputError(f"[prepare] offset: expected {n_channels} numbers, one a channel, got {len(config.offset)}")
    if recording.signal is None and (config.alignment or config.alignment_matrix is not None):
        raise InputError(f"[prepare] alignment: {recording.name} has one channel; there is nothing to lay over it")
    moves = config.jitter or config.drift or config.alignment or config.alignment_matrix is not None
    offset = None if config.offset is None else np.array(config.offset)
    hot, dark = None, None
    if config.hot_pixels or moves or (config.background and offset is None):
        planes = sample_planes(recording)
        dark = np.array([dark_level(channel) for channel in planes])
        if config.hot_pixels:
            hot = _stuck(planes)
        if config.background and offset is None:
            offset = dark
    sharpen = Deconvolution(config.deconvolution, deconvolver, config.psf_um, config.iterations) if config.deconvolution else None
    return Preparation(shape=recording.shape[1:], offset=offset, dark=dark, hot=hot, deconvolution=sharpen)


def _stuck(planes: VoxelArray) -> IntArray:
    """Returns (H, 3) channel, y, x of stuck pixels."""
    found = [stuck_pixels(channel) for channel in planes]
    return np.concatenate([np.c_[np.full(len(pixels), channel), pixels] for channel, pixels in enumerate(found)]).astype(np.int64)


def _measured(clean: PreparedVolumes, jitter: bool, field: Field | None, t: int) -> Shifts:
    recording, volume = clean.recording, clean.clean(t)
    if volume.dtype.kind == "f" and not np.isfinite(volume).all():
        raise InputError(f"{recording.name}: volume {t}: holds NaN or infinity; replace them before")
    channels = [recording.reference] + ([] if recording.signal is None else [recording.signal])
    nothing = np.zeros((volume.shape[1], 2)), np.zeros(volume.shape[1], bool)
    planes, sure = measure_jitter([volume[channel] for channel in channels]) if jitter else nothing
    return Shifts(t, planes, sure, np.zeros(3) if field is None else field.shift(volume[recording.reference]))


def _alignment(recording: Recording, camera: Preparation, config: PrepareConfig) -> FloatArray | None:
    if config.alignment_matrix is not None:
        return np.array(config.alignment_matrix).reshape(2, 3)
    if not config.alignment or recording.signal is None:
        return None
    clean = PreparedVolumes(recording, Preparation(shape=camera.shape, hot=camera.hot))
    pairs = []
    for t in sampled_times(recording.n_volumes):
        volume = clean.clean(t)
        pairs.append((projection(volume[recording.reference]), projection(volume[recording.signal])))
    matrix, distance = lie_of_camera(pairs)
    log.info("prepare: the cameras fit to %.2f voxels", distance)
    return matrix


def _workers(recording: Recording, compute: ComputeConfig) -> int:
    """Returns how many volumes are measured side by side: as many as there are threads, and as fit the memory."""
    per_volume = BYTES_A_VOXEL * float(np.prod(recording.shape[1:]))
    return max(1, min(n_workers(compute), int(compute.memory_gb * 1e9 / per_volume)))
