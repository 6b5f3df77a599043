"""What a detector says of one volume, and the choice among it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from barlowtrack.data import FloatArray, IntArray


class Found(NamedTuple):
    """K nuclei of a volume.

    Attributes:
        labels: (Z, Y, X) int32, 1 to K; 0 is background.
        score: (K,) how sure each is: a probability, or contrast; only its order and the bounds matter.
        quality: (K,) contrast in units of the volume's noise.
        probability: (K,) that it is a nucleus; NaN where the detector gives none.
        bounds: Least score that was looked for, the usual least score, and the score from which nothing is dropped for the sake of an
            expected number.
    """

    labels: IntArray
    score: FloatArray
    quality: FloatArray
    probability: FloatArray
    bounds: tuple[float, float, float]


def choose(found: Found, expected: int | None, most: int | None) -> Found:
    """Keeps the surest nuclei.

    Args:
        found: All that were found.
        expected: About how many there are: the least score moves within found.bounds to come as close as it can. None: the usual one.
        most: Never more than this; None: as many as there are.

    Returns:
        Labels renumbered 1 to K in the old order.
    """
    least, usual, sure = found.bounds
    n_usual, n_least, n_sure = ((found.score >= bound).sum() for bound in (usual, least, sure))
    n = int(n_usual if expected is None else np.clip(expected, n_sure, n_least))
    n = n if most is None else min(n, most)
    kept = np.zeros(len(found.score), bool)
    kept[np.argsort(-found.score, kind="stable")[:n]] = True
    return keep(found, kept)


def with_middle_in(found: Found, box: tuple[slice, slice, slice]) -> Found:
    """Keeps the nuclei whose middle voxel lies in a box."""
    n = len(found.score)
    if not n or all(part.indices(size) == (0, size, 1) for part, size in zip(box, found.labels.shape, strict=True)):
        return found
    middle = np.rint(ndimage.center_of_mass(found.labels > 0, found.labels, np.arange(1, n + 1)))  # (K, 3)
    low, high = ([getattr(part, end) for part in box] for end in ("start", "stop"))
    return keep(found, np.all((middle >= low) & (middle < high), axis=1))


def keep(found: Found, kept: NDArray[np.bool_]) -> Found:
    """Returns those nuclei alone, (K,) of bool, renumbered in the old order."""
    if kept.all():
        return found
    parts = (found.score[kept], found.quality[kept], found.probability[kept])
    return Found(renumber(found.labels, kept), *parts, found.bounds)


def renumber(labels: IntArray, kept: NDArray[np.bool_]) -> IntArray:
    """Drops labels that are not kept, (K,) of bool, and numbers the rest 1, 2, ... in the old order."""
    names = np.zeros(len(kept) + 1, np.int32)
    names[1:][kept] = np.arange(1, int(kept.sum()) + 1)
    renamed: IntArray = names[labels]
    return renamed
