"""track: decide which nuclei are the same neuron, over the whole recording at once.

Every volume is compared with one atlas of neurons, never with its neighbour in time: no error is handed on, and the order of
the volumes does not matter.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import UNKNOWN, Detections, Embeddings, FloatArray, IntArray, Progress, Tracks, VolumeLooks, silent
from barlowtrack.errors import ConfigError, InputError
from barlowtrack.identity import solve
from barlowtrack.identity.identify import identify, side_by_side
from barlowtrack.identity.nucleus import measures

log = logging.getLogger(__name__)


def track(
    detections: Detections,
    volumes: VolumeLooks,
    embeddings: Embeddings,
    *,
    config: TrackConfig,
    compute: ComputeConfig,
    seed: int,
    progress: Progress = silent,
) -> Tracks:
    """Give every detection a neuron id and a probability.

    Args:
        detections: N detections, sorted by volume; positions in um.
        volumes: How each of the T volumes looks; nothing is learned from junk, though its detections are identified as well.
        embeddings: (N, D) float32, unit length, row i describes detection i.
        config: What to go by, and how sure to be.
        compute: Threads, and the memory that bounds how many volumes are worked on side by side; neither changes the result.
            Detections and embeddings are whole in memory.
        seed: Of the choice of volumes that are tried as a first atlas.
        progress: Told after every volume.

    Returns:
        N ids (-1 = unknown) and N probabilities in [0, 1], see Tracks; no neuron twice in a volume, ids ordered by mean position.

    Raises:
        InputError: if they disagree on N or T.
        ConfigError: if neither position nor appearance may be used.

    Reference:
        docs/explanation: registration by annealed EM to a shape model learned from the recording; Kuhn 1955 for the assignment.
    """
    if len(embeddings) != len(detections):
        raise InputError(f"track: expected one embedding a detection ({len(detections)}), got {len(embeddings)}")
    if len(volumes) != detections.n_volumes:
        raise InputError(f"track: expected the looks of {detections.n_volumes} volumes, got {len(volumes)}")
    if not (config.position or config.appearance):
        raise ConfigError("[track] position and appearance are both false: nothing is left to tell neurons apart by")
    if len(detections) == 0:
        return Tracks(np.zeros(0, np.int32), np.zeros(0, np.float32), 0)
    seen = solve.volumes_of(detections, embeddings.vectors if config.appearance else None)
    junk = volumes.is_junk
    teachers = [volume for volume in seen if not junk[detections.t[volume.rows[0]]]] or seen
    workers = side_by_side(seen, compute)
    # One thread a volume: more would only fight over the cores, and make sums depend on their number.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        found = identify(
            seen, pool, teachers=teachers, position=config.position, measured=measures(detections), seed=seed, progress=progress
        )
    return _named(detections, found.neuron, found.probability, config.min_probability)


def _named(detections: Detections, neuron: IntArray, probability: FloatArray, min_probability: float) -> Tracks:
    """Makes doubtful assignments unknown and numbers the neurons that are left by mean position."""
    doubtful = (neuron >= 0) & (probability < min_probability)
    # How likely it is that nobody is right, now that nobody is what we say.
    probability = np.where(doubtful, 1 - probability, probability)
    neuron = np.where(doubtful, UNKNOWN, neuron)
    known = neuron >= 0
    names, index = np.unique(neuron[known], return_inverse=True)
    count = np.bincount(index, minlength=len(names))
    position = detections.position_um[known].astype(np.float64)
    mean = np.stack([np.bincount(index, axis, minlength=len(names)) for axis in position.T], axis=1) / np.maximum(count, 1)[:, None]
    rank = np.empty(len(names), int)
    rank[np.lexsort(mean.T)] = np.arange(len(names))
    named = np.full(len(neuron), UNKNOWN, np.int32)
    named[known] = rank[index]
    return Tracks(named, probability.astype(np.float32), len(names))
