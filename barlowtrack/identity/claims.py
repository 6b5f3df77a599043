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
        candidates: (n, N_CANDIDATES) neurons by falling posterior; UNKNOWN pads.
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
    mass = np.asarray(sighting.alignment.posterior, np.float64)  # (K, n)
    k, n = mass.shape if mass.size else (len(mass), len(sighting.rows))
    mass = mass.reshape(k, n)
    shown = min(N_CANDIDATES, k)
    candidates = np.full((n, N_CANDIDATES), UNKNOWN)
    posterior = np.zeros((n, N_CANDIDATES))
    if shown:
        best = np.argsort(-mass, axis=0, kind="stable")[:shown]  # (C, n)
        posterior[:, :shown] = np.take_along_axis(mass, best, 0).T
        candidates[:, :shown] = np.where(posterior[:, :shown] > 0, best.T, UNKNOWN)
    known = sighting.neuron >= 0
    own = np.zeros(n)
    own[known] = mass[sighting.neuron[known], np.flatnonzero(known)]
    absent = np.setdiff1d(np.arange(k), sighting.neuron[known])
    missing = np.clip(1 - mass[absent].sum(1), 0, 1)
    where = np.full(n, volume)
    total = np.clip(mass.sum(0), 0, 1)
    return Claims(where, sighting.rows, sighting.neuron, own, total, candidates, posterior, np.full(len(absent), volume), absent, missing)


def together(parts: Sequence[Claims]) -> Claims:
    """Joins the claims of several volumes."""
    return Claims(*(np.concatenate([getattr(part, name) for part in parts]) for name in Claims.__dataclass_fields__))
