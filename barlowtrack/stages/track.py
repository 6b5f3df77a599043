"""track: decide which nuclei are the same neuron, and how surely."""

from __future__ import annotations

import numpy as np

from barlowtrack.config import TrackConfig
from barlowtrack.data import UNKNOWN, Candidates, Detections, FloatArray, Identities, IntArray, Neurons, Tracked, Tracks
from barlowtrack.errors import InputError


def track(detections: Detections, identities: Identities, *, config: TrackConfig) -> Tracked:
    """Give every detection a neuron id and a probability.

    Args:
        detections: N detections, sorted by volume; positions in um.
        identities: What the atlas says of each.
        config: How sure to be.

    Returns:
        N ids (-1 = unknown) and N probabilities in [0, 1], see Tracks; no neuron twice in a volume, ids ordered by mean position.

    Raises:
        InputError: if the two disagree on N or T.
    """
    if len(identities) != len(detections) or len(identities.absent) != detections.n_volumes:
        expected = f"{len(detections)} detections in {detections.n_volumes} volumes"
        raise InputError(f"track: expected identities of {expected}, got {len(identities)} in {len(identities.absent)}")
    neuron, probability, absent = _without_doubtful(detections, identities, config.min_probability)
    entry = _by_position(detections, neuron)
    return _named(Identities(neuron, probability, identities.candidates, absent), entry)


def _without_doubtful(detections: Detections, identities: Identities, min_probability: float) -> tuple[IntArray, FloatArray, FloatArray]:
    """Makes doubtful assignments unknown: (N,) entries, (N,) probabilities, (T, K) how surely each entry is absent."""
    neuron, probability, absent = identities.neuron, identities.probability, identities.absent
    doubtful = np.flatnonzero((neuron >= 0) & (probability < min_probability))
    absent = absent.copy()
    # How likely it is that nobody is right, now that nobody is what we say.
    absent[detections.t[doubtful], neuron[doubtful]] = 1 - probability[doubtful]
    probability, neuron = probability.copy(), neuron.copy()
    probability[doubtful], neuron[doubtful] = 1 - probability[doubtful], UNKNOWN
    return neuron, probability, absent


def _by_position(detections: Detections, neuron: IntArray) -> IntArray:
    """The K entries that were ever assigned, ordered by mean position."""
    known = neuron >= 0
    entries, index = np.unique(neuron[known], return_inverse=True)
    count = np.bincount(index, minlength=len(entries))
    position = detections.position_um[known].astype(np.float64)
    mean = np.stack([np.bincount(index, axis, minlength=len(entries)) for axis in position.T], axis=1) / np.maximum(count, 1)[:, None]
    return entries[np.lexsort(mean.T)]


def _named(identities: Identities, entry: IntArray) -> Tracked:
    """Numbers the neurons that are left: neuron i is entry[i] of the atlas."""
    name = np.full(identities.n_neurons + 1, UNKNOWN, np.int32)
    name[entry] = np.arange(len(entry))  # the last one stays: UNKNOWN is nobody
    tracks = Tracks(name[identities.neuron], identities.probability.astype(np.float32), len(entry))
    candidates = _closed_up(name[identities.candidates.neuron], identities.candidates.probability)
    return Tracked(tracks, candidates, Neurons(entry.astype(np.int32), ("",) * len(entry), identities.absent[:, entry]))


def _closed_up(neuron: IntArray, probability: FloatArray) -> Candidates:
    """Puts candidates that are nobody any more behind the others."""
    probability = np.where(neuron >= 0, probability, 0)
    order = np.argsort(neuron < 0, axis=1, kind="stable")
    return Candidates(np.take_along_axis(neuron, order, 1), np.take_along_axis(probability, order, 1))
