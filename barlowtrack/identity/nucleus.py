"""Whether what is followed as a neuron is one at all: granules glow in every volume, too, but dimly, and the detector doubts them.

A single detection tells little, its mean over the recording much. The curve was measured once, on synthetic recordings whose seeds no
benchmark uses, with the star-convex model that comes along: benchmarks/make_nucleus_curve.py prints it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import Detections

Float = NDArray[np.floating[Any]]

CURVE = (12.0, 1.0, 14.0)
"""Log odds of being a nucleus: times log contrast relative to the recording's neurons, times log odds of the detector, plus."""


def measures(detections: Detections) -> Float:
    """Returns (N, 2): log contrast, and log odds that it is a nucleus as the detector says; NaN where nothing is known."""
    share = np.clip(detections.probability.astype(np.float64), 1e-3, 1 - 1e-3)
    return np.stack([np.log(np.maximum(detections.quality.astype(np.float64), 1e-3)), np.log(share / (1 - share))], axis=1)


def neuron_means(measured: Float, neuron: NDArray[np.int64], n_neurons: int) -> Float:
    """Means over the recording of what tells nuclei from other things.

    Args:
        measured: (N, 2), see measures.
        neuron: (N,) from 0, or UNKNOWN.
        n_neurons: K.

    Returns:
        (K, 3): log contrast relative to the median neuron's, log odds of the detector, and 1; NaN where nothing is known.
    """
    use = neuron >= 0
    count = np.bincount(neuron[use], minlength=n_neurons).astype(float)
    count[count == 0] = np.nan
    mean = np.stack([np.bincount(neuron[use], column[use], minlength=n_neurons) / count for column in measured.T], axis=1)
    known = np.isfinite(mean).all(1)
    if known.any():
        mean[:, 0] -= np.median(mean[known, 0])
    return np.concatenate([mean, np.ones((n_neurons, 1))], axis=1)


def nuclei(measured: Float, neuron: NDArray[np.int64], n_neurons: int) -> Float:
    """Returns (K,) how likely each entry of the atlas is a nucleus; 1 where nothing is known. Arguments as in neuron_means."""
    log_odds = neuron_means(measured, neuron, n_neurons) @ np.array(CURVE)
    return np.where(np.isfinite(log_odds), 1 / (1 + np.exp(-np.clip(np.nan_to_num(log_odds), -30, 30))), 1.0)
