"""How a trace is drawn: what is sure as a line, what is less so as less of a line. Pure functions of arrays."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from barlowtrack.data import BoolArray, Flag, FloatArray, IntArray, Source, Traces

KINDS = {
    "ratio": "ratio",
    "dr_over_r0": "dR/R0",
    "df_over_f0": "dF/F0",
    "red": "red",
    "green": "green",
}
"""What of Traces can be plotted, and what a box calls it."""

FLAGS = {
    Flag.SWAPPED: ("perhaps another's light", (0.88, 0.25, 0.80)),
    Flag.SATURATED: ("saturated", (0.90, 0.20, 0.20)),
    Flag.EDGE: ("at the edge of the volume", (0.20, 0.60, 0.95)),
    Flag.DIM: ("dim: mostly noise", (0.65, 0.50, 0.30)),
    Flag.CROWDED: ("crowded: neighbours leak in", (0.55, 0.55, 0.55)),
}
"""Flags, the gravest first: what they mean and their colour. That a value is doubtful is seen from its shade."""

DOUBT = (0.95, 0.55, 0.10)
"""Colour of the shade behind values that may be another neuron's."""
DARKEST = 0.45
"""How much of that colour covers the ground where a value is surely wrong."""


class Stroke(IntEnum):
    """How a value is drawn; what is known less of has the larger number."""

    SURE = 0
    """Seen, and more likely this neuron than not: a line."""
    UNSURE = 1
    """Seen, but more likely another: pale."""
    BRIDGED = 2
    """Not seen: drawn between what was seen before and after: dashes."""
    EXPECTED = 3
    """Not seen: light of the place where it should be: dots."""
    NONE = 4
    """No value."""


def strokes(traces: Traces, neuron: int, values: FloatArray) -> IntArray:
    """Returns (T,) how each of a neuron's values (T,) is drawn: a Stroke."""
    source, doubtful = traces.source[neuron], (traces.flags[neuron] & Flag.DOUBTFUL) != 0
    stroke = np.full(len(values), Stroke.NONE, np.int64)
    stroke[source == Source.SEEN] = Stroke.SURE
    stroke[(source == Source.SEEN) & doubtful] = Stroke.UNSURE
    stroke[source == Source.INTERPOLATED] = Stroke.BRIDGED
    stroke[source == Source.PREDICTED] = Stroke.EXPECTED
    stroke[~np.isfinite(values)] = Stroke.NONE
    return stroke


def pieces(stroke: IntArray, kind: Stroke) -> IntArray:
    """Returns the points of all pieces of line of one kind, one after the other: indices, -1 between two pieces.

    A piece between two values is drawn as the one of which less is known.
    """
    between = np.maximum(stroke[:-1], stroke[1:])
    at = np.flatnonzero(between == kind)
    if not len(at):
        return np.zeros(0, np.int64)
    last = np.diff(at, append=at[-1] + 2) != 1  # of its run: its end is a point, too, and a break follows
    ends = np.cumsum(np.where(last, 3, 1))
    points = np.full(ends[-1], -1, np.int64)
    points[ends - np.where(last, 3, 1)] = at
    points[ends[last] - 2] = at[last] + 1
    return points


def alone(stroke: IntArray) -> IntArray:
    """Returns the indices of values without a value before or after them, which no line would show."""
    has = stroke != Stroke.NONE
    padded = np.concatenate([[False], has, [False]])
    return np.flatnonzero(has & ~padded[:-2] & ~padded[2:])


def limits(values: FloatArray, sure: BoolArray) -> tuple[float, float]:
    """Returns the lowest and highest value to be shown: all that is sure, with a margin; of all where nothing is."""
    shown = values[sure & np.isfinite(values)]
    if not len(shown):
        shown = values[np.isfinite(values)]
    if not len(shown):
        return 0.0, 1.0
    low, high = float(shown.min()), float(shown.max())
    margin = 0.08 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - margin, high + margin


def shade(probability: FloatArray) -> FloatArray:
    """Returns (n, T, 4) the ground behind traces (n, T): the less sure, the more of DOUBT; nothing where there is no value."""
    ground = np.empty((*probability.shape, 4), np.float32)
    ground[..., :3] = DOUBT
    ground[..., 3] = DARKEST * (1 - np.clip(np.nan_to_num(probability, nan=1.0), 0, 1))
    return ground


def flag_strip(flags: IntArray) -> FloatArray:
    """Returns (n, T, 4) the colours of the gravest flags (n, T); nothing where none holds."""
    strip = np.zeros((*flags.shape, 4), np.float32)
    for flag, (_, colour) in reversed(FLAGS.items()):
        strip[(flags & flag) != 0] = (*colour, 1.0)
    return strip


def flags_among(flags: IntArray) -> list[Flag]:
    """Returns those of FLAGS that hold anywhere."""
    held = int(np.bitwise_or.reduce(np.asarray(flags, np.int64), axis=None)) if np.size(flags) else 0
    return [flag for flag in FLAGS if held & flag]


def times(traces: Traces) -> tuple[FloatArray, str]:
    """Returns (T,) where volumes lie on the axis of time, and what it is called: seconds, or volumes where the rate is unknown."""
    if np.isfinite(traces.time_s).all():
        return np.asarray(traces.time_s, np.float64), "time (s)"
    return np.arange(len(traces.time_s), dtype=np.float64), "volume"


def in_words(traces: Traces, kind: str, neuron: int, t: int) -> str:
    """Returns what a trace says in one volume: "1.23, seen, 99 % sure; crowded"."""
    value = float(getattr(traces, kind)[neuron, t])
    if not np.isfinite(value):
        return "no value"
    how = {
        Source.SEEN: "seen",
        Source.PREDICTED: "not seen: light where it should be",
        Source.INTERPOLATED: "not seen: between the values before and after",
    }.get(Source(int(traces.source[neuron, t])), "")
    probability = float(traces.probability[neuron, t])
    said = [f"{value:.4g}", *([how] if how else []), *([_sure(probability)] if np.isfinite(probability) else [])]
    said += [FLAGS[flag][0] for flag in flags_among(traces.flags[neuron, t])]
    return ", ".join(said)


def _sure(probability: float) -> str:
    return "more than 99% sure" if probability > 0.99 else f"{probability:.0%} sure"
