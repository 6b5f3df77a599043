"""From volumes to names: learn the atlas, lay it over every volume, say how sure that is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.config import ComputeConfig
from barlowtrack.data import Progress, silent
from barlowtrack.identity import solve
from barlowtrack.identity.claims import Claims, claims_of, together
from barlowtrack.identity.confidence import Calibration, calibrate
from barlowtrack.identity.large import WIDE, coarse_sample
from barlowtrack.identity.nucleus import nuclei
from barlowtrack.identity.opinions import FEWEST_TEACHERS, second_opinions
from barlowtrack.identity.pairs import is_large
from barlowtrack.identity.registration import N_ANGLES, laid_back
from barlowtrack.identity.solve import Atlas
from barlowtrack.identity.volumes import Volume

Float = NDArray[np.floating[Any]]
Int = NDArray[np.int64]

STRETCH = 64
BYTES_A_PAIR = N_ANGLES * 4 * 4
"""Of a neuron and a detection: in four arrays of single precision at a time, for every turn that is tried."""


@dataclass(frozen=True)
class Identified:
    """Who N detections are, as far as the recording tells by itself.

    Attributes:
        neuron: (N,) from 0, or UNKNOWN.
        probability: (N,) that this is right: of an id, that the detection is that neuron; of UNKNOWN, that it is none of the atlas.
        candidates: (N, 3) neurons it may be, the likeliest first; UNKNOWN pads.
        candidate_probability: (N, 3) likewise; what is left of 1 is that it is none of the atlas, or yet another.
        absent_volume: (m,) position, in the list of volumes given, of each volume that lacks a neuron.
        absent_neuron: (m,) the neuron.
        absent_probability: (m,) that it truly has no detection there.
        place: (V, K, 3) where each volume given has the K neurons of the atlas, in the units and about the middle of its points; NaN
            where the atlas knows no places.
        atlas: What the volumes were compared with.
        calibration: Turns claims of the atlas about further volumes into probabilities.
    """

    neuron: Int
    probability: Float
    candidates: Int
    candidate_probability: Float
    absent_volume: Int
    absent_neuron: Int
    absent_probability: Float
    place: Float
    atlas: Atlas
    calibration: Calibration


def identify(
    volumes: list[Volume],
    pool: ThreadPoolExecutor,
    *,
    teachers: list[Volume] | None = None,
    position: bool = True,
    measured: Float | None = None,
    seed: int,
    progress: Progress = silent,
) -> Identified:
    """Says who every detection of the volumes is.

    Args:
        volumes: At least one; their rows are 0 to N - 1, each once.
        pool: Works on volumes side by side; how many does not change the result.
        teachers: Volumes that the atlas is learned from; all where not given.
        position: Whether to use positions; looks are used where the volumes have features.
        measured: (N, 2) of each detection, see nucleus.measures; None where nothing tells nuclei from other things.
        seed: Of the choice of volumes that are tried as a first atlas.
        progress: Told after every volume, and after every pass of learning.
    """
    n = sum(len(volume.rows) for volume in volumes)
    teachers = teachers or volumes
    n_atlases = 3 if len(teachers) >= FEWEST_TEACHERS else 1
    done, total = 0, len(volumes) + n_atlases * (solve.ROUNDS + 1) + 1
    progress(done, total)

    def tick() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    build = solve.build if position else solve.build_by_looks
    atlas = build(teachers, np.random.default_rng(seed), pool.map, tick)
    parts = []
    place = np.full((len(volumes), atlas.n_neurons, 3), np.nan, np.float32)
    for i, (claims, laid) in enumerate(_in_order(pool, partial(_seen, atlas), volumes)):
        place[i] = laid
        parts.append(replace(claims, volume=claims.volume + i, absent_volume=claims.absent_volume + i))
        tick()
    claims = together(parts)
    opinions = second_opinions(volumes, teachers, build, seed=seed, run=pool.map, tick=tick)
    calibration, votes, cells = calibrate(claims, opinions, atlas.n_neurons, len(volumes))
    if measured is not None:
        calibration = replace(calibration, worth=calibration.worth * nuclei(measured[claims.rows], claims.neuron, atlas.n_neurons))
    probability = calibration.probability(claims, votes)
    candidates, chance = calibration.candidates(claims, probability)
    tick()
    order = np.empty(n, np.intp)
    order[claims.rows] = np.arange(n)
    return Identified(
        *(claims.neuron[order], probability[order], candidates[order], chance[order]),
        *(claims.absent_volume, claims.absent_neuron, calibration.absence(claims, cells)),
        *(place, atlas, calibration),
    )


def _seen(atlas: Atlas, volume: Volume) -> tuple[Claims, Float]:
    """What the atlas says of the detections of a volume, and where its neurons (K, 3) lie there."""
    sighting = solve.sight(volume, atlas)
    nowhere = np.full((atlas.n_neurons, 3), np.nan)
    return claims_of(sighting), nowhere if atlas.shape is None else laid_back(sighting.alignment, volume.points)


def side_by_side(volumes: Sequence[Volume], compute: ComputeConfig) -> int:
    """Returns how many of at least one volume are worked on side by side: as many as there are threads, and as fit the memory."""
    wanted = compute.workers or min(len(os.sched_getaffinity(0)), 8)
    # The atlas has about as many neurons as the fullest volume has detections.
    fullest = max(len(volume.rows) for volume in volumes)
    pairs = fullest * WIDE + coarse_sample(fullest) ** 2 if is_large(fullest, fullest) else fullest**2
    per_volume = BYTES_A_PAIR * pairs
    return max(1, min(wanted, int(compute.memory_gb * 1e9 / per_volume)))


def _in_order(pool: ThreadPoolExecutor, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Maps over items a stretch at a time, so that results that nobody has taken yet do not pile up."""
    for start in range(0, len(items), STRETCH):
        yield from pool.map(work, items[start : start + STRETCH])
