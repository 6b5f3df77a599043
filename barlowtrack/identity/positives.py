"""Who is who in the training volumes, as far as it is sure: what self-training takes for the same neuron in different volumes.

Reference:
    Yarowsky 1995, "Unsupervised word sense disambiguation", for learning from one's own sure decisions.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from barlowtrack.config import ComputeConfig
from barlowtrack.data import UNKNOWN, Detections, IntArray
from barlowtrack.identity.identify import identify, side_by_side
from barlowtrack.identity.volumes import prepare

SURE = 0.95
"""Least probability of an identity that is taken for true."""
FEWEST_VOLUMES = 10
"""With fewer no shape is learned that could contradict the looks, and the first atlas' mistakes would be taught."""


def sure_identities(
    detections: Detections, used: IntArray, vectors: NDArray[np.floating[Any]] | None, *, seed: int, compute: ComputeConfig
) -> NDArray[np.int64]:
    """Says who the detections of some volumes are, where that is sure.

    Args:
        detections: N detections of the recording.
        used: Volumes to look at.
        vectors: (N, D) embeddings, right in the rows of those volumes; None: to go by position alone.
        seed: Of the tracker.
        compute: Threads, and the memory that bounds them; neither changes the result.

    Returns:
        (N,) neuron from 0; UNKNOWN where it is not sure, in the other volumes, and everywhere where the volumes are too few.
    """
    neuron = np.full(len(detections), UNKNOWN)
    rows = np.flatnonzero(np.isin(detections.t, used))
    times, t = np.unique(detections.t[rows], return_inverse=True)
    if len(times) < FEWEST_VOLUMES:
        return neuron
    alone = replace(detections.subset(rows), n_volumes=len(times), t=t)  # or samples of volumes would mostly find empty ones
    _, volumes = prepare(alone, None if vectors is None else vectors[rows])
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(side_by_side(volumes, compute)) as pool:
        found = identify(volumes, pool, seed=seed)
    neuron[rows] = np.where(found.probability >= SURE, found.neuron, UNKNOWN)
    return neuron
