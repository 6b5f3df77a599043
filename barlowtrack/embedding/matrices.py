"""The two matrices of the loss, seen on embeddings: the same neurons in two volumes instead of the same crops in two views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from barlowtrack.data import UNKNOWN, FloatArray, IntArray
from barlowtrack.embedding.sample import rows_of, spread
from barlowtrack.nn.objectives.barlow import feature_correlation, object_correlation

_CANDIDATES = 8  # volumes among which two are chosen


@dataclass(frozen=True)
class Pair:
    """Two volumes and what they share.

    Attributes:
        volumes: First and second; the same one twice where no two volumes share two neurons.
        neuron: (n,) ids of both, ascending; UNKNOWN in a volume without identities.
        first: (n,) rows in the first volume.
        second: (n,) rows in the second volume.
    """

    volumes: tuple[int, int]
    neuron: IntArray
    first: IntArray
    second: IntArray


def two_volumes(t: IntArray, neuron: IntArray) -> Pair | None:
    """Chooses, among volumes spread over the recording, the two that share most neurons; of equals those farthest apart.

    Returns:
        The pair; one volume with itself where nothing is shared; None where there is no nucleus.
    """
    some = np.unique(t)
    if not len(some):
        return None
    best: Pair | None = None
    chosen = some[spread(len(some), _CANDIDATES)]
    for i, a in enumerate(chosen):
        for b in chosen[i + 1 :]:
            pair = _shared(t, neuron, int(a), int(b))
            if len(pair.neuron) >= 2 and (best is None or _rank(pair) > _rank(best)):
                best = pair
    if best is not None:
        return best
    fullest = int(chosen[np.argmax([np.count_nonzero(t == volume) for volume in chosen])])
    rows = np.arange(len(t))[rows_of(t, fullest)]
    rows = rows[np.argsort(neuron[rows], kind="stable")]
    return Pair((fullest, fullest), neuron[rows], rows, rows)


def _rank(pair: Pair) -> tuple[int, int]:
    return len(pair.neuron), pair.volumes[1] - pair.volumes[0]


def _shared(t: IntArray, neuron: IntArray, a: int, b: int) -> Pair:
    one, other = rows_of(t, a), rows_of(t, b)
    both, first, second = np.intersect1d(neuron[one], neuron[other], return_indices=True)
    known = both != UNKNOWN
    return Pair((a, b), both[known], one.start + first[known], other.start + second[known])


def object_similarity(first: FloatArray, second: FloatArray) -> FloatArray:
    """Returns (n, n): how objects of two volumes (n, D), row by row the same neurons, correlate over features; best is the identity.

    Reference:
        Fieseler et al. 2025, "BarlowTrack": the transposed term of its loss.
    """
    return _of_tensors(object_correlation, first, second)


def feature_similarity(first: FloatArray, second: FloatArray) -> FloatArray:
    """Returns (D, D): how features of two volumes (n, D), row by row the same neurons, correlate over objects; best is the identity.

    Reference:
        Zbontar et al. 2021, "Barlow Twins".
    """
    return _of_tensors(feature_correlation, first, second)


def _of_tensors(correlation: Callable[[Tensor, Tensor], Tensor], first: FloatArray, second: FloatArray) -> FloatArray:
    if not len(first):
        raise ValueError("expected at least one neuron in both volumes, got none")
    found: FloatArray = correlation(*(torch.from_numpy(np.asarray(part, np.float64)) for part in (first, second))).numpy()
    return found
