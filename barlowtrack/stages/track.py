"""track: decide which nuclei are the same neuron, and how surely, as the atlas says and people correct it."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from barlowtrack.config import TrackConfig
from barlowtrack.data import UNKNOWN, Corrections, Detections, Embeddings, FloatArray, Identities, IntArray, Neurons, Tracked, Tracks
from barlowtrack.errors import InputError
from barlowtrack.identity.estimate import keep_at_most
from barlowtrack.identity.heed import heed
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.rulings import rule


def track(
    detections: Detections,
    embeddings: Embeddings,
    atlas: Learned,
    identities: Identities,
    corrections: Corrections,
    *,
    config: TrackConfig,
) -> Tracked:
    """Give every detection a neuron id and a probability.

    Only volumes in which a person says something else than the atlas are compared with it again; it stays as it was learned.

    Args:
        detections: N detections, sorted by volume; positions in um.
        embeddings: (N, D) float32, row i describes detection i.
        atlas: What was learned from them.
        identities: What it says of each.
        corrections: What people say; certain.
        config: How sure to be.

    Returns:
        N ids (-1 = unknown) and N probabilities in [0, 1], see Tracks; no neuron twice in a volume. Ids are ordered by mean position as
        the atlas has it, and stay when corrections come, or config changes; neurons that people add come last.

    Raises:
        InputError: if the tables disagree on N or T; if a correction speaks of what is not there, or two of them clash.
    """
    if len(identities) != len(detections) or len(identities.absent) != detections.n_volumes:
        expected = f"{len(detections)} detections in {detections.n_volumes} volumes"
        raise InputError(f"track: expected identities of {expected}, got {len(identities)} in {len(identities.absent)}")
    if len(embeddings) != len(detections):
        raise InputError(f"track: expected one embedding a detection ({len(detections)}), got {len(embeddings)}")
    rulings = rule(corrections, detections, identities)
    with threadpool_limits(1, user_api="blas"):
        heard = heed(rulings, detections, embeddings.vectors, atlas, identities)
    neuron, probability, absent = _without_doubtful(detections, heard, _least(heard, config))
    tracks = Tracks(neuron.astype(np.int32), probability.astype(np.float32), len(rulings.entry))
    return Tracked(tracks, heard.candidates, Neurons(rulings.entry, rulings.name, absent))


def _least(identities: Identities, config: TrackConfig) -> float:
    """The probability below which an assignment is not wanted."""
    if config.max_error is None:
        return config.min_probability
    return max(config.min_probability, keep_at_most(identities.neuron, identities.probability, config.max_error)[1])


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
