"""Modes of deformation of thousands of neurons, without the covariance between any two of them.

A covariance that is a product of thin factors has the modes of the factors' Gram matrix, which is as small as they are thin.

Reference:
    Williams & Seeger 2001, "Using the Nystroem method to speed up kernel machines"; Sirovich 1987 for modes from the Gram matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Float = NDArray[np.floating[Any]]

LARGE_ATLAS = 400
"""Neurons from which on modes are found by factors; below it the whole covariance is faster."""
LANDMARKS = 128
SHARED_WIDTH = 6.0
SHARED_RIDGE = 0.1


def landmarks(points: Float, most: int = LANDMARKS) -> NDArray[np.int64]:
    """Returns rows of up to so many points (n, 3), far from each other: each one farthest from those before.

    Reference:
        Gonzalez 1985, "Clustering to minimize the maximum intercluster distance".
    """
    chosen = [int(((points - points.mean(0)) ** 2).sum(1).argmin())]
    apart = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < min(most, len(points)) and apart.max() > 0:
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, ((points - points[chosen[-1]]) ** 2).sum(1))
    return np.array(chosen)


def kernel_factor(points: Float, width: float) -> Float:
    """Returns a factor (n, r) whose product with itself is the Gaussian kernel of the points (n, 3); exact for up to LANDMARKS."""
    few = points[landmarks(points)]
    values, vectors = np.linalg.eigh(_gaussian(few, few, width))
    good = values > 1e-10 * values.max()
    return np.asarray(_gaussian(points, few, width) @ (vectors[:, good] / np.sqrt(values[good])))


def modes_of_factors(deviation: Float, smooth: Float, most: int) -> tuple[Float, Float]:
    """Returns the variances (m,) and modes (m, K, 3) of a covariance, largest first, m <= most.

    Args:
        deviation: (T, K, 3) seen deviations; their products are one part of the covariance.
        smooth: (K, r) factor of the other part, which is alike and independent along every axis.
        most: Modes that are wanted.
    """
    t, k, _ = deviation.shape
    r = smooth.shape[1]
    flat = deviation.reshape(t, 3 * k)
    gram = np.zeros((t + 3 * r, t + 3 * r))
    gram[:t, :t] = flat @ flat.T
    inner = smooth.T @ smooth
    for axis in range(3):
        part = slice(t + axis * r, t + (axis + 1) * r)
        gram[part, part] = inner
        gram[:t, part] = deviation[:, :, axis] @ smooth
        gram[part, :t] = gram[:t, part].T
    values, vectors = np.linalg.eigh(gram)
    order = np.argsort(-values)[:most]
    order = order[values[order] > 1e-12 * max(values.max(), 1e-30)]
    values, vectors = values[order], vectors[:, order] / np.sqrt(values[order])
    modes = (vectors[:t].T @ flat).reshape(-1, k, 3)
    for axis in range(3):
        modes[:, :, axis] += vectors[t + axis * r : t + (axis + 1) * r].T @ smooth.T
    return values, modes


def believed(deviation: Float, mean: Float) -> Float:
    """Returns deviations (T, K, 3) less what so few volumes cannot know: what neighbours do not share counts for T / (T + 3K) of itself.

    The errors of detections and of wrong matches add up to directions that look like large deformations, one a volume; a shape that
    learned them would fit every volume that it was learned from as it is, mistakes and all, and confirm them. What neighbours share is
    seen again in each of them; the rest has as many directions as the atlas has coordinates, 3K, and T volumes to tell them.
    """
    t, k, _ = deviation.shape
    factor = np.concatenate([kernel_factor(mean, SHARED_WIDTH), np.ones((k, 1))], axis=1)  # (K, r)
    ridge = SHARED_RIDGE * np.eye(factor.shape[1])
    coefficients = np.linalg.solve(factor.T @ factor + ridge, np.einsum("kr,tki->rti", factor, deviation).reshape(len(ridge), -1))
    shared = np.moveaxis((factor @ coefficients).reshape(k, t, 3), 0, 1)
    return np.asarray(shared + np.sqrt(t / (t + 3 * k)) * (deviation - shared))


def _gaussian(a: Float, b: Float, width: float) -> Float:
    return np.asarray(np.exp(-0.5 * cdist(a, b, "sqeuclidean") / width**2))
