"""Small runs to compare: neurons that stay where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from barlowtrack.comparing import Side
from barlowtrack.data import Detections, Traces, Tracks

T, K = 10, 6


def side(name: str = "run", ids: list[int] | None = None, **changes) -> Side:
    """K neurons 4 um apart, each in every one of T volumes; ids: number that each has."""
    t, who = (a.ravel() for a in np.meshgrid(np.arange(T), np.arange(K), indexing="ij"))
    one = np.ones(len(t))
    position = np.stack([0 * one, 4.0 * who, 0.1 * t], axis=1)
    detections = Detections(T, t, who + 1, position, one, one, one, one, one, one, one)
    ids = np.arange(K) if ids is None else np.array(ids)
    tracks = Tracks(ids[who], 0.9 * one, int(ids.max()) + 1)
    return replace(Side(name, detections, tracks, ("",) * tracks.n_neurons, traces_of(tracks, t, who)), **changes)


def traces_of(tracks: Tracks, t: np.ndarray, who: np.ndarray) -> Traces:
    """A wave a nucleus, of its own frequency, read under the number that the nucleus has."""
    values = np.full((tracks.n_neurons, T), np.nan)
    known = tracks.neuron >= 0
    values[tracks.neuron[known], t[known]] = np.sin((1 + who[known]) * t[known] / 3)
    probability = np.where(np.isfinite(values), 0.9, np.nan)
    return Traces.of_seen(np.arange(T) / 2, 1 + 0 * values, 2 + values, 2 + values, values, probability)


def exchanged(one: Side, first: int, last: int, a: int, b: int, **changes) -> Side:
    """The same run with two nuclei taken for each other from one volume to another, and traces that follow."""
    t, who, neuron = one.detections.t, one.detections.label - 1, one.tracks.neuron.copy()
    then = (t >= first) & (t <= last)
    swap = {a: b, b: a}
    neuron[then] = [swap.get(k, k) for k in neuron[then].tolist()]
    tracks = replace(one.tracks, neuron=neuron)
    return replace(one, tracks=tracks, traces=traces_of(tracks, t, who), **changes)


def given_up(one: Side, rows: np.ndarray, **changes) -> Side:
    """The same run with nobody in some of its rows."""
    tracks = replace(one.tracks, neuron=np.where(rows, -1, one.tracks.neuron))
    return replace(one, tracks=tracks, traces=traces_of(tracks, one.detections.t, one.detections.label - 1), **changes)
