"""From volumes to names: learn the atlas, lay it over every volume, say how sure that is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.config import ComputeConfig
from barlowtrack.data import UNKNOWN, Progress, silent
from barlowtrack.identity import solve
from barlowtrack.identity.confidence import evidence, probabilities, stability
from barlowtrack.identity.registration import N_ANGLES
from barlowtrack.identity.solve import Atlas
from barlowtrack.identity.volumes import Volume

STRETCH = 64
N_CANDIDATES = 3
BYTES_A_PAIR = N_ANGLES * 4 * 4
"""Of a neuron and a detection: in four arrays of single precision at a time, for every turn that is tried."""


@dataclass(frozen=True)
class Identified:
    """Who every detection is, K entries of the atlas.

    Attributes:
        neuron: (n,) entry from 0, or UNKNOWN.
        probability: (n,) in [0, 1], see data.Tracks.
        candidates: (n, N_CANDIDATES) likeliest entries, UNKNOWN where there are fewer; the one assigned comes first.
        candidate_probability: (n, N_CANDIDATES) of each.
        absent: (V, K) probability that an entry is not among the detections of a volume, in the order of the volumes given; NaN where
            it was assigned.
        atlas: What was laid over the volumes.
    """

    neuron: NDArray[np.int64]
    probability: NDArray[np.float64]
    candidates: NDArray[np.int64]
    candidate_probability: NDArray[np.float64]
    absent: NDArray[np.float64]
    atlas: Atlas


def identify(
    volumes: list[Volume],
    pool: ThreadPoolExecutor,
    *,
    teachers: list[Volume] | None = None,
    position: bool = True,
    seed: int,
    progress: Progress = silent,
) -> Identified:
    """Says who every detection of the volumes is.

    Args:
        volumes: At least one; their rows are 0 to n - 1, each once.
        pool: Works on volumes side by side; how many does not change the result.
        teachers: Volumes that the atlas is learned from; all where not given.
        position: Whether to use positions; looks are used where the volumes have features.
        seed: Of the choice of volumes that are tried as a first atlas.
        progress: Told after every volume, and after every pass of learning.
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
    candidates, shares = np.full((n, N_CANDIDATES), UNKNOWN), np.zeros((n, N_CANDIDATES))
    absent = np.full((len(volumes), atlas.n_neurons), np.nan)
    for i, sighting in enumerate(_in_order(pool, lambda volume: solve.sight(volume, atlas), volumes)):
        neuron[sighting.rows], posterior[sighting.rows] = sighting.neuron, sighting.posterior
        candidates[sighting.rows], shares[sighting.rows] = likeliest(sighting.alignment.posterior, sighting.neuron)
        missing = np.setdiff1d(np.arange(atlas.n_neurons), sighting.neuron)
        absent[i, missing] = np.clip(1 - sighting.alignment.posterior[missing].sum(1), 0, 1)
        tick()
    known = neuron >= 0
    believed = np.zeros((n, 4))
    believed[known] = evidence(posterior[known], neuron[known], atlas.n_neurons, len(volumes))
    rows, held = stability(volumes, neuron, atlas, seed, pool.map)
    probability = 1 - posterior
    if known.any():
        probability[known] = probabilities(believed[known], believed[rows], held, neuron[known])
    tick()
    probability = np.clip(probability, 0, 1)
    # The shares of a posterior are sharper than they are right: those of the others fill what the calibrated one leaves.
    shares[known, 0] = 0
    left = np.where(known, 1 - probability, 1)
    shares *= np.minimum(left / np.maximum(shares.sum(1), 1e-12), 1)[:, None]
    shares[known, 0] = probability[known]
    return Identified(neuron, probability, candidates, shares, absent, atlas)


def likeliest(posterior: NDArray[Any], neuron: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The N_CANDIDATES entries of largest posterior (K, n) of each detection, the assigned one first: (n, N_CANDIDATES) each."""
    k, n = posterior.shape
    worth = posterior.T.astype(np.float64)  # (n, K)
    known = np.flatnonzero(neuron >= 0)
    worth[known, neuron[known]] += 2
    found = min(N_CANDIDATES, k)
    order = np.argsort(-worth, axis=1, kind="stable")[:, :found]
    share = np.take_along_axis(posterior.T, order, axis=1)
    candidates, shares = np.full((n, N_CANDIDATES), UNKNOWN), np.zeros((n, N_CANDIDATES))
    candidates[:, :found], shares[:, :found] = np.where(share > 0, order, UNKNOWN), share
    return candidates, shares


def side_by_side(volumes: Sequence[Volume], compute: ComputeConfig) -> int:
    """Returns how many of at least one volume are worked on side by side: as many as there are threads, and as fit the memory."""
    wanted = compute.workers or min(os.cpu_count() or 1, 8)
    # The atlas has about as many neurons as the fullest volume has detections.
    per_volume = BYTES_A_PAIR * max(len(volume.rows) for volume in volumes) ** 2
    return max(1, min(wanted, int(compute.memory_gb * 1e9 / per_volume)))


def _in_order(pool: ThreadPoolExecutor, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Maps over items a stretch at a time, so that results that nobody has taken yet do not pile up."""
    for start in range(0, len(items), STRETCH):
        yield from pool.map(work, items[start : start + STRETCH])
