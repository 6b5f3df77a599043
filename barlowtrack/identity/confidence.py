"""How sure to be of an assignment, learned without truth: disturb some volumes, solve them again, see which assignments hold.

Reference:
    Yu & Kumbier 2020 (stability as a measure of trust); Platt 1999 (logistic calibration).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.identity.appearance import fit_logistic
from barlowtrack.identity.solve import Atlas, Map, sight
from barlowtrack.identity.volumes import Volume

Float = NDArray[np.floating[Any]]

TRIED_VOLUMES = 64
DROPPED = 0.15
JITTER = 0.15


def evidence(posterior: Float, neuron: NDArray[np.int64], n_neurons: int, n_volumes: int) -> Float:
    """Returns (n, 4) for assigned detections: log odds of the posterior, of the neuron's mean posterior and occupancy, and 1.

    Args:
        posterior: (n,) of the assigned neuron.
        neuron: (n,) from 0.
        n_neurons: K.
        n_volumes: Volumes with detections.
    """
    count = np.bincount(neuron, minlength=n_neurons)
    mean = np.bincount(neuron, posterior, minlength=n_neurons) / np.maximum(count, 1)
    return np.stack([_log_odds(posterior), _log_odds(mean)[neuron], _log_odds(count / n_volumes)[neuron], np.ones(len(neuron))], axis=1)


def disturb(volume: Volume, rng: np.random.Generator) -> tuple[Volume, NDArray[np.int64]]:
    """Drops and moves detections; returns the disturbed volume and which of its detections are left."""
    left = np.flatnonzero(rng.random(len(volume.rows)) >= DROPPED)
    if len(left) == 0:
        left = np.arange(len(volume.rows))
    points = volume.points[left] + rng.normal(0, JITTER, (len(left), 3))
    features = None if volume.features is None else volume.features[left]
    return Volume(volume.rows[left], points - points.mean(0), features), left


def stability(volumes: list[Volume], neuron: NDArray[np.int64], atlas: Atlas, seed: int, run: Map) -> tuple[Any, Any]:
    """Solves disturbed volumes again.

    Args:
        volumes: All of them; TRIED_VOLUMES are disturbed.
        neuron: (N,) what the undisturbed ones said.
        atlas: As used for them.
        seed: Of the disturbance.
        run: Maps a function over volumes.

    Returns:
        (M,) rows of the assigned detections that were left, and (M,) whether they met the same neuron again.
    """
    tried = np.unique(np.linspace(0, len(volumes) - 1, min(TRIED_VOLUMES, len(volumes))).astype(int))

    def again(i: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        disturbed, _ = disturb(volumes[i], np.random.default_rng([seed, i]))
        who = sight(disturbed, atlas).neuron
        known = neuron[disturbed.rows] >= 0
        return disturbed.rows[known], (who == neuron[disturbed.rows])[known]

    results = list(run(again, tried))
    return np.concatenate([r for r, _ in results]), np.concatenate([h for _, h in results])


def probabilities(evidence_of_all: Float, evidence_of_tried: Float, held: NDArray[np.bool_], neuron: NDArray[np.int64]) -> Float:
    """Turns evidence (N, 4) about neurons (N,) into probabilities (N,), by what became of the tried assignments (M, 4), (M,).

    An assignment may hold and be wrong all the same, where the neuron itself is a doubtful one: so that of the neuron is a factor.
    """
    if len(held) == 0:
        return np.zeros(len(evidence_of_all))
    beta = fit_logistic(evidence_of_tried, held, np.full(len(held), 1 / len(held)))
    probability = 1 / (1 + np.exp(-np.clip(evidence_of_all @ beta, -30, 30)))
    count = np.maximum(np.bincount(neuron), 1)
    return np.asarray(probability * (np.bincount(neuron, probability) / count)[neuron])


def _log_odds(share: Float) -> Float:
    share = np.clip(share, 1e-3, 1 - 1e-3)
    return np.log(share / (1 - share))
