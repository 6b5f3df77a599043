"""identify: learn which neurons there are, and lay that atlas over every volume.

Every volume is compared with one atlas of neurons, never with its neighbour in time: no error is handed on, and the order of
the volumes does not matter.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import UNKNOWN, Candidates, Detections, Embeddings, Identities, Progress, VolumeLooks, silent
from barlowtrack.errors import ConfigError, InputError
from barlowtrack.identity.claims import N_CANDIDATES
from barlowtrack.identity.identify import identify as identify_volumes
from barlowtrack.identity.identify import side_by_side
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.nucleus import measures
from barlowtrack.identity.solve import Atlas
from barlowtrack.identity.volumes import Preparation, prepare


@dataclass(frozen=True)
class Identification:
    """What identify yields: what it learned, and what follows for every detection."""

    learned: Learned
    identities: Identities


def identify(
    detections: Detections,
    volumes: VolumeLooks,
    embeddings: Embeddings,
    *,
    config: TrackConfig,
    compute: ComputeConfig,
    seed: int,
    progress: Progress = silent,
) -> Identification:
    """Learn an atlas of the recording's neurons, and say which of them every detection is.

    Args:
        detections: N detections, sorted by volume; positions in um.
        volumes: How each of the T volumes looks; nothing is learned from junk, though its detections are identified as well.
        embeddings: (N, D) float32, unit length, row i describes detection i.
        config: What to go by.
        compute: Threads, and the memory that bounds how many volumes are worked on side by side; neither changes the result.
            Detections and embeddings are whole in memory.
        seed: Of the choice of volumes that are tried as a first atlas.
        progress: Told after every volume.

    Returns:
        The atlas, who every detection is by it, no entry twice in a volume, and where every entry should lie.

    Raises:
        InputError: if they disagree on N or T.
        ConfigError: if neither position nor appearance may be used.

    Reference:
        docs/explanation: registration by annealed EM to a shape model learned from the recording; Kuhn 1955 for the assignment.
    """
    if len(embeddings) != len(detections):
        raise InputError(f"identify: expected one embedding a detection ({len(detections)}), got {len(embeddings)}")
    if len(volumes) != detections.n_volumes:
        raise InputError(f"identify: expected the looks of {detections.n_volumes} volumes, got {len(volumes)}")
    if not (config.position or config.appearance):
        raise ConfigError("[track] position and appearance are both false: nothing is left to tell neurons apart by")
    if len(detections) == 0:
        return _nobody(detections.n_volumes)
    preparation, seen = prepare(detections, embeddings.vectors if config.appearance else None)
    junk = volumes.is_junk
    teachers = [volume for volume in seen if not junk[detections.t[volume.rows[0]]]] or seen
    workers = side_by_side(seen, compute)
    # One thread a volume: more would only fight over the cores, and make sums depend on their number.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        found = identify_volumes(
            seen, pool, teachers=teachers, position=config.position, measured=measures(detections), seed=seed, progress=progress
        )
    when = detections.t[[volume.rows[0] for volume in seen]]
    absent = np.ones((detections.n_volumes, found.atlas.n_neurons), np.float32)
    absent[when] = np.nan
    absent[when[found.absent_volume], found.absent_neuron] = found.absent_probability
    candidates = Candidates(found.candidates.astype(np.int32), found.candidate_probability.astype(np.float32))
    place_um = np.full((*absent.shape, 3), np.nan, np.float32)
    for t, volume, place in zip(when, seen, found.place, strict=True):
        place_um[t] = preparation.to_um(place, detections.position_um[volume.rows])
    identities = Identities(found.neuron.astype(np.int32), found.probability.astype(np.float32), candidates, absent, place_um)
    return Identification(Learned(preparation, found.atlas, found.calibration), identities)


def _nobody(n_volumes: int) -> Identification:
    """What is learned where nothing was detected."""
    none = Candidates(np.full((0, N_CANDIDATES), UNKNOWN, np.int32), np.zeros((0, N_CANDIDATES), np.float32))
    nowhere = np.zeros((n_volumes, 0, 3), np.float32)
    identities = Identities(np.zeros(0, np.int32), np.zeros(0, np.float32), none, nowhere[..., 0], nowhere)
    return Identification(Learned(Preparation(1.0), Atlas(None, None, 0)), identities)
