"""One volume at a time, against an atlas that was learned before: for a microscope that is still looking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import UNKNOWN
from barlowtrack.errors import InputError
from barlowtrack.identity.claims import N_CANDIDATES, Claims, claims_of
from barlowtrack.identity.confidence import Calibration
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.solve import sight

LARGEST = 1e12
"""Of positions, in neighbour distances, and of embeddings: far beyond, squares of squares are no numbers any more."""
STRANGE, FAMILIAR = 0.5, 0.85
"""Share of what is expected: of a stranger, of which nothing is believed, and from which on the calibration holds as it is."""

Float = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Seen:
    """Who the n detections of one volume are, K entries of the atlas.

    Attributes:
        neuron: (n,) entry, or UNKNOWN; none twice.
        probability: (n,) in [0, 1], see data.Tracks.
        candidates: (n, N_CANDIDATES) likeliest entries, the assigned one first; UNKNOWN fills up.
        candidate_probability: (n, N_CANDIDATES) of each.
        absent: (K,) probability that an entry is not among the detections; NaN where it was assigned.
    """

    neuron: NDArray[np.int64]
    probability: Float
    candidates: NDArray[np.int64]
    candidate_probability: Float
    absent: Float


def see(learned: Learned, position_um: Float, vectors: Float | None = None) -> Seen:
    """Says who the detections of a volume are, as identify does with the same atlas; nothing is learned from it.

    Probabilities of neurons fall where less of the animal is found than in the volumes that the atlas was learned from.

    Args:
        learned: From a recording of the same animal.
        position_um: (n, 3) z, y, x, anywhere and at any in-plane angle; in the unit of the atlas.
        vectors: (n, D) embeddings by the encoder of that recording; without them, positions alone count.

    Raises:
        InputError: arrays of another shape, numbers that are none or too large to compute with, or nothing to go by.
    """
    position_um = _numbers("positions", position_um)
    vectors = None if vectors is None else _numbers("vectors", vectors)
    _check(learned, position_um, vectors)
    n, k, calibration = len(position_um), learned.atlas.n_neurons, learned.calibration
    neuron, probability = np.full(n, UNKNOWN), np.ones(n)
    candidates, shares = np.full((n, N_CANDIDATES), UNKNOWN), np.zeros((n, N_CANDIDATES))
    absent = np.ones(k)
    if n == 0 or k == 0 or calibration is None:
        return Seen(neuron, probability, candidates, shares, absent)
    claims = claims_of(sight(learned.preparation.volume(np.arange(n), position_um, vectors), learned.atlas))
    rows, sure = claims.rows, calibration.probability(claims)
    candidates[rows], shares[rows] = calibration.candidates(claims, sure)
    looks = vectors is not None and learned.atlas.appearance is not None and learned.atlas.appearance.slope > 0
    seen = _recognised(claims, calibration, looks)
    neuron[rows], probability[rows] = claims.neuron, np.where(claims.neuron >= 0, seen * sure, sure)
    shares *= seen
    absent = np.full(k, np.nan)
    absent[claims.absent_neuron] = calibration.absence(claims)
    return Seen(neuron, probability, candidates, shares, absent)


def _recognised(claims: Claims, calibration: Calibration, looks: bool) -> float:
    """How far the volume is one that the calibration speaks of, in [0, 1]: it has only seen volumes of the animal.

    An atlas that bends fits a few points, another animal or a mirror image somehow, and each assignment for itself looks as good as any.
    What tells is how much was found of what the recording's volumes have on average. Looks name a single nucleus, too: with them, no
    more is expected than there are detections.
    """
    expected, typical = float(calibration.posterior @ calibration.occupancy), float(calibration.occupancy.sum())
    if looks:
        expected *= min(1.0, len(claims.rows) / max(typical, 1e-9))
    share = float(claims.posterior.sum()) / max(expected, 1e-9)
    return float(np.clip((share - STRANGE) / (FAMILIAR - STRANGE), 0, 1))


def _numbers(name: str, given: Any) -> Float:
    try:
        array = np.asarray(given)
        array = array.astype(np.float64) if array.dtype == object else array  # numbers that may be missing, out of a table
    except (TypeError, ValueError) as error:  # rows of different lengths, too
        raise InputError(f"{name}: expected rows of numbers, all of one length, got others: {error}") from None
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name}: expected real numbers, got {array.dtype}")
    return array if array.dtype == np.float32 and name != "positions" else array.astype(np.float64)


def _check(learned: Learned, position_um: Float, vectors: Float | None) -> None:
    if position_um.ndim != 2 or position_um.shape[1] != 3:
        raise InputError(f"positions: expected shape (n, 3), got {position_um.shape}")
    _refuse_extremes("positions", position_um, LARGEST * learned.preparation.unit_um)
    mean = learned.preparation.mean
    if vectors is not None and mean is not None:
        if vectors.shape != (len(position_um), len(mean)):
            raise InputError(f"vectors: expected shape ({len(position_um)}, {len(mean)}), as the atlas was learned, got {vectors.shape}")
        _refuse_extremes("vectors", vectors, LARGEST)
    if vectors is None and learned.atlas.shape is None and learned.atlas.appearance is not None:
        raise InputError("vectors: expected some: this atlas was learned from looks alone")


def _refuse_extremes(name: str, array: Float, limit: float) -> None:
    good = (np.abs(array) < limit).all(1)
    if not good.all():
        raise InputError(f"{name}: expected finite numbers below {limit:g}, got others in row {int(np.argmin(good))}")
