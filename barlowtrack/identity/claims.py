"""What the atlas claims of one volume: who is who, who else it might be, and who is missing; with the raw posterior of each claim.

Reference:
    docs/explanation: what a probability says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.atlas import Sighting
from barlowtrack.identity.pairs import Pairs

Float = NDArray[np.floating[Any]]
Int = NDArray[np.int64]

N_CANDIDATES = 3


@dataclass(frozen=True)
class Claims:
    """Claims about n detections and m cells "this neuron is absent from that volume"; memory linear in both.

    Attributes:
        volume: (n,) which of the volumes given.
        rows: (n,) where the detections stand in the recording.
        neuron: (n,) from 0, or UNKNOWN.
        posterior: (n,) of that neuron; 0 where it is unknown.
        total: (n,) posterior that the detection is any neuron.
        candidates: (n, N_CANDIDATES) the assigned neuron, then others by falling posterior; UNKNOWN pads.
        candidate_posterior: (n, N_CANDIDATES); 0 pads.
        absent_volume: (m,) volume of a cell.
        absent_neuron: (m,) neuron that no detection of the volume is said to be.
        absent_mass: (m,) posterior that none is.
    """

    volume: Int
    rows: Int
    neuron: Int
    posterior: Float
    total: Float
    candidates: Int
    candidate_posterior: Float
    absent_volume: Int
    absent_neuron: Int
    absent_mass: Float

    @property
    def rival(self) -> Float:
        """(n,) share of its posterior as a neuron that an assigned detection has of other ones; 0 where it is unknown."""
        known = self.neuron >= 0
        return np.where(known, np.clip(1 - self.posterior / np.maximum(self.total, 1e-9), 0, 1), 0.0)


def claims_of(sighting: Sighting, volume: int = 0) -> Claims:
    """Reads the claims out of one sighting.

    Args:
        sighting: Of K neurons and n detections.
        volume: Which of the volumes given it is of.
    """
    mass = sighting.alignment.posterior
    known, n = sighting.neuron >= 0, len(sighting.rows)
    posterior: Float
    if isinstance(mass, Pairs):
        k = mass.shape[0]
        candidates, posterior = mass.best(N_CANDIDATES, sighting.neuron)
        own = np.where(known, mass.trust(sighting.neuron), 0.0)
        of_neuron = np.asarray(np.bincount(mass.neuron, mass.mass, k), np.float64)
        of_detection = np.asarray(np.bincount(mass.detection, mass.mass, n), np.float64)
    else:
        mass = np.asarray(mass, np.float64).reshape(len(mass), n)  # (K, n)
        k = len(mass)
        candidates, posterior = _best(mass, sighting.neuron)
        own = np.zeros(n)
        own[known] = mass[sighting.neuron[known], np.flatnonzero(known)]
        of_neuron, of_detection = mass.sum(1), mass.sum(0)
    absent = np.setdiff1d(np.arange(k), sighting.neuron[known])
    missing = np.clip(1 - of_neuron[absent], 0, 1)
    where = np.full(n, volume)
    total = np.clip(of_detection, 0, 1)
    return Claims(where, sighting.rows, sighting.neuron, own, total, candidates, posterior, np.full(len(absent), volume), absent, missing)


def _best(mass: Float, neuron: Int) -> tuple[Int, Float]:
    """The likeliest neurons (n, N_CANDIDATES) of each detection in a table (K, n), the assigned one (n,) first, and their mass."""
    k, n = mass.shape
    shown = min(N_CANDIDATES, k)
    candidates, posterior = np.full((n, N_CANDIDATES), UNKNOWN), np.zeros((n, N_CANDIDATES))
    if shown:
        known = np.flatnonzero(neuron >= 0)
        rank_by = mass.copy()
        rank_by[neuron[known], known] += 2
        best = np.argsort(-rank_by, axis=0, kind="stable")[:shown]  # (C, n)
        posterior[:, :shown] = np.take_along_axis(mass, best, 0).T
        candidates[:, :shown] = np.where(posterior[:, :shown] > 0, best.T, UNKNOWN)
    return candidates, posterior


def together(parts: Sequence[Claims]) -> Claims:
    """Joins the claims of several volumes."""
    return Claims(*(np.concatenate([getattr(part, name) for part in parts]) for name in Claims.__dataclass_fields__))
