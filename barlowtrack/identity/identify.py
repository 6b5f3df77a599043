"""From volumes to names: learn the atlas, lay it over every volume, say how sure that is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.config import ComputeConfig
from barlowtrack.data import UNKNOWN, Progress, silent
from barlowtrack.identity import solve
from barlowtrack.identity.confidence import evidence, probabilities, stability
from barlowtrack.identity.large import WIDE, coarse_sample
from barlowtrack.identity.pairs import is_large
from barlowtrack.identity.registration import N_ANGLES
from barlowtrack.identity.solve import Volume

STRETCH = 64
BYTES_A_PAIR = N_ANGLES * 4 * 4
"""Of a neuron and a detection: in four arrays of single precision at a time, for every turn that is tried."""


def identify(
    volumes: list[Volume],
    pool: ThreadPoolExecutor,
    *,
    teachers: list[Volume] | None = None,
    position: bool = True,
    seed: int,
    progress: Progress = silent,
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Says who every detection of the volumes is.

    Args:
        volumes: At least one; their rows are 0 to n - 1, each once.
        pool: Works on volumes side by side; how many does not change the result.
        teachers: Volumes that the atlas is learned from; all where not given.
        position: Whether to use positions; looks are used where the volumes have features.
        seed: Of the choice of volumes that are tried as a first atlas.
        progress: Told after every volume, and after every pass of learning.

    Returns:
        (n,) neuron from 0, or UNKNOWN; (n,) probability in [0, 1], see Tracks; number of neurons.
    """
    n = sum(len(volume.rows) for volume in volumes)
    done, total = 0, len(volumes) + solve.ROUNDS + 2
    progress(done, total)

    def tick() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    build = solve.build if position else solve.build_by_looks
    atlas = build(teachers or volumes, np.random.default_rng(seed), pool.map, tick)
    neuron, posterior = np.full(n, UNKNOWN), np.zeros(n)
    for sighting in _in_order(pool, lambda volume: solve.sight(volume, atlas), volumes):
        neuron[sighting.rows], posterior[sighting.rows] = sighting.neuron, sighting.posterior
        tick()
    known = neuron >= 0
    believed = np.zeros((n, 4))
    believed[known] = evidence(posterior[known], neuron[known], atlas.n_neurons, len(volumes))
    rows, held = stability(volumes, neuron, atlas, seed, pool.map)
    probability = 1 - posterior
    if known.any():
        probability[known] = probabilities(believed[known], believed[rows], held, neuron[known])
    tick()
    return neuron, np.clip(probability, 0, 1), atlas.n_neurons


def side_by_side(volumes: Sequence[Volume], compute: ComputeConfig) -> int:
    """Returns how many of at least one volume are worked on side by side: as many as there are threads, and as fit the memory."""
    wanted = compute.workers or min(os.cpu_count() or 1, 8)
    # The atlas has about as many neurons as the fullest volume has detections.
    fullest = max(len(volume.rows) for volume in volumes)
    pairs = fullest * WIDE + coarse_sample(fullest) ** 2 if is_large(fullest, fullest) else fullest**2
    per_volume = BYTES_A_PAIR * pairs
    return max(1, min(wanted, int(compute.memory_gb * 1e9 / per_volume)))


def _in_order(pool: ThreadPoolExecutor, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Maps over items a stretch at a time, so that results that nobody has taken yet do not pile up."""
    for start in range(0, len(items), STRETCH):
        yield from pool.map(work, items[start : start + STRETCH])
