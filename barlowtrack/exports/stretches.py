"""Whom a nucleus follows: stretches in which a neuron is found in every volume, and the nucleus before each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, IntArray, Tracks


@dataclass(frozen=True)
class Stretches:
    """S stretches: a neuron, volume after volume without a gap; a nucleus of no neuron is one by itself.

    Attributes:
        of: (N,) stretch of every detection, from 0.
        first: (S,) volume.
        last: (S,) volume, included.
        neuron: (S,) id, or UNKNOWN.
        parent: (S,) stretch in which the same neuron was found before; -1 where there is none.
    """

    of: IntArray
    first: IntArray
    last: IntArray
    neuron: IntArray
    parent: IntArray


def followed(detections: Detections, tracks: Tracks) -> IntArray:
    """Returns (N,) row of the detection that is the same neuron in the nearest volume before; -1 where there is none."""
    before = np.full(len(tracks), -1, np.int64)
    known = np.flatnonzero(tracks.neuron != UNKNOWN)
    order = known[np.lexsort([detections.t[known], tracks.neuron[known]])]
    same = np.flatnonzero(np.diff(tracks.neuron[order]) == 0)
    before[order[same + 1]] = order[same]
    return before


def stretches(detections: Detections, tracks: Tracks) -> Stretches:
    """Cuts tracks where a neuron was not found for a while; numbers run by neuron, then time, those of nobody last."""
    before = followed(detections, tracks)
    has = before >= 0
    begins = ~has
    begins[has] = detections.t[has] - detections.t[before[has]] > 1
    rank = np.where(tracks.neuron == UNKNOWN, tracks.n_neurons, tracks.neuron)
    order = np.lexsort([detections.t, rank])
    of = np.empty(len(tracks), np.int64)
    of[order] = np.cumsum(begins[order]) - 1
    heads = order[begins[order]]
    last = np.zeros(len(heads), np.int64)
    np.maximum.at(last, of, detections.t)
    parent = np.full(len(heads), -1, np.int64)
    later = has[heads]
    parent[later] = of[before[heads[later]]]
    return Stretches(of, detections.t[heads].astype(np.int64), last, tracks.neuron[heads], parent)
