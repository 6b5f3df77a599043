"""embed: describe every nucleus by a vector."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator

import numpy as np

from barlowtrack.config import ComputeConfig, EmbedConfig
from barlowtrack.data import Detections, FloatArray, Progress, Recording, silent
from barlowtrack.errors import InputError
from barlowtrack.nn.crops import read_crops_ahead
from barlowtrack.nn.device import pick_device
from barlowtrack.nn.encoder import Encoder
from barlowtrack.nn.forward import embed_crops

log = logging.getLogger(__name__)


def embed(
    recording: Recording,
    detections: Detections,
    encoder: Encoder,
    *,
    config: EmbedConfig,
    compute: ComputeConfig,
    start: int = 0,
    stop: int | None = None,
    progress: Progress = silent,
) -> Iterator[FloatArray]:
    """Embeds all detections, volume by volume, while the next volumes are read and cropped.

    A forward pass holds crops of one volume only: a row then comes out the same, bit for bit, wherever an interrupted run went on.

    Args:
        recording: Read lazily, a few volumes ahead.
        detections: Of this recording.
        encoder: Knows the size and grid of its crops.
        config: Crops a forward pass.
        compute: Device, threads and memory budget.
        start: Volumes already done; they are not made again.
        stop: The volume before which to end; the recording's end where not given.
        progress: Told after every volume.

    Yields:
        (n_t, D) float32, unit length, for every volume from start to stop; (0, D) where a volume has no detection.

    Raises:
        InputError: the two disagree on the number of volumes, or voxels or weights are not finite.
    """
    if detections.n_volumes != recording.n_volumes:
        raise InputError(f"embed: expected detections of {recording.n_volumes} volumes, got {detections.n_volumes}")
    device = pick_device(compute)
    encoder = copy.deepcopy(encoder).to(device).eval()  # the caller's stays where it is
    spec = encoder.spec
    volumes = range(start, recording.n_volumes if stop is None else stop)
    for batch in read_crops_ahead(recording, detections, volumes, spec.size_um, spec.window, compute):
        vectors = np.zeros((len(batch.row), spec.embedding_dim), dtype=np.float32)
        for first in range(0, len(vectors), config.batch):
            rows = slice(first, first + config.batch)
            vectors[rows] = embed_crops(encoder, batch.values[rows], device)
        if not np.isfinite(vectors).all():
            raise InputError(f"embed: volume {batch.t}: expected finite embeddings, got NaN; the encoder's weights are unusable")
        yield vectors
        progress(batch.t + 1, recording.n_volumes)
