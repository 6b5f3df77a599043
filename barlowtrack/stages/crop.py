"""crop: cut a box around every nucleus of the volumes that training will use."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np

from barlowtrack.config import ComputeConfig, CropConfig
from barlowtrack.data import CropBatch, Detections, IntArray, Progress, Recording, VolumeLooks, silent
from barlowtrack.errors import InputError
from barlowtrack.nn.crops import larger_grid, read_crops_ahead

log = logging.getLogger(__name__)

_FEWEST = 2
"""Nuclei a volume must have: with a single one there is nothing to tell it from."""


def training_volumes(detections: Detections, looks: VolumeLooks, config: CropConfig) -> IntArray:
    """Returns the volumes that training uses: at most config.training_volumes, evenly spread, in order of time.

    Volumes with fewer than two detections are left out before spreading, so that they cost no place; junk too, where anything else is left.
    """
    count = np.bincount(detections.t, minlength=detections.n_volumes)
    usable = np.flatnonzero((count >= _FEWEST) & ~looks.is_junk)
    if not len(usable):
        usable = np.flatnonzero(count >= _FEWEST)
    n = min(config.training_volumes, len(usable))
    middle = (np.arange(n) + 0.5) * len(usable) / max(n, 1)  # the middle of n equal stretches of the recording
    return usable[middle.astype(np.intp)]


def crop(
    recording: Recording,
    detections: Detections,
    volumes: VolumeLooks,
    *,
    config: CropConfig,
    compute: ComputeConfig,
    start: int = 0,
    progress: Progress = silent,
) -> Iterator[CropBatch]:
    """Cuts the crops that training uses, one volume a batch.

    Crops are config.margin times larger than the encoder's window, at the same distance between voxels and about the same centre, so
    that turned and shifted views show what is there and not an empty corner.

    Args:
        recording: Read lazily, a few volumes ahead.
        detections: Of this recording.
        volumes: How each of its volumes looks; junk is not used.
        config: Size, grid and margin of the box, and how many volumes.
        compute: Threads and memory budget.
        start: Batches already done; they are not made again.
        progress: Told after every batch.

    Yields:
        One batch a training volume: (n, Z', Y', X') float16, scaled per volume.

    Raises:
        InputError: the two disagree on the number of volumes, or voxels are not finite.
    """
    if not detections.n_volumes == len(volumes) == recording.n_volumes:
        got = f"{detections.n_volumes} and {len(volumes)}"
        raise InputError(f"crop: expected detections and looks of {recording.n_volumes} volumes, got {got}")
    chosen = training_volumes(detections, volumes, config)
    n_few = detections.n_volumes - int(np.count_nonzero(np.bincount(detections.t, minlength=detections.n_volumes) >= _FEWEST))
    if n_few:
        log.info("%d volumes have fewer than %d detections and are not used for training", n_few, _FEWEST)
    grid = larger_grid(config.grid, config.margin)
    z, y, x = (size * large / small for size, large, small in zip(config.size_um, grid, config.grid, strict=True))
    todo = [int(t) for t in chosen[start:]]
    for done, batch in enumerate(read_crops_ahead(recording, detections, todo, (z, y, x), grid, compute), start + 1):
        yield CropBatch(batch.t, batch.row, batch.values.numpy().astype(np.float16))
        progress(done, len(chosen))
