"""What to think of when a value of a trace looks strange."""

from __future__ import annotations

import numpy as np

from barlowtrack.activity.robust import spreads
from barlowtrack.data import Flag, FloatArray, IntArray, Light, Swaps

CROWDED_FROM = 0.5
"""Share of the shell that other nuclei fill. From one half on, more light comes from neighbours than from what lies between them."""
SATURATED_FROM = 0.0
"""A share of saturated voxels above this is flagged: a single one already cuts the top off the light."""
DIM_BELOW = 3.0
"""Red light must stand this many spreads of a background's readings above its background: less happens by chance in every 700th reading."""
DOUBTFUL_BELOW = 0.5
"""Below this probability the value is more likely another neuron's."""


def background_noise(background: FloatArray) -> float:
    """Returns by how much one reading of a background differs by chance from the next.

    Args:
        background: (..., T) of one channel, the same nuclei along T; NaN where there is none.

    Returns:
        Spread of a reading, from the median absolute difference of readings one volume apart, over the square root of two; 0 where no two
        follow each other.
    """
    spread = float(spreads(np.diff(background, axis=-1).ravel()))
    return spread / np.sqrt(2.0) if np.isfinite(spread) else 0.0


def flag_light(light: Light, red: FloatArray, noise: float) -> IntArray:
    """Returns what the light itself says against each of its N readings: EDGE, SATURATED, CROWDED, DIM.

    Args:
        light: Of N nuclei or places.
        red: (N,) the red reading that is used, background subtracted; NaN where there is none, which is dim, too.
        noise: Spread of one reading of a red background, see background_noise.

    Returns:
        (N,) uint8 Flags.
    """
    stands_out = red > DIM_BELOW * noise  # False for NaN
    return _bits(
        len(light),
        {
            Flag.EDGE: light.edge,
            Flag.SATURATED: light.saturated > SATURATED_FROM,
            Flag.CROWDED: light.crowding >= CROWDED_FROM,
            Flag.DIM: ~stands_out,
        },
    )


def flag_identity(probability: FloatArray, swaps: Swaps) -> IntArray:
    """Returns what is known against the identity of each value: DOUBTFUL, SWAPPED; nothing where there is no value.

    Args:
        probability: (K, T) that a value is the neuron's; NaN where there is none.
        swaps: Stretches in which two neurons seem to be taken for each other.

    Returns:
        (K, T) uint8 Flags.
    """
    swapped = np.zeros(probability.shape, bool)
    for first, last, pair in zip(swaps.first, swaps.last, swaps.neuron, strict=True):
        swapped[pair, first : last + 1] = True
    has = np.isfinite(probability)
    return _bits(probability.shape, {Flag.DOUBTFUL: probability < DOUBTFUL_BELOW, Flag.SWAPPED: swapped & has})


def _bits(shape: int | tuple[int, ...], holds: dict[Flag, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]) -> IntArray:
    flags = np.zeros(shape, np.uint8)
    for flag, where in holds.items():
        flags |= np.where(where, np.uint8(flag), np.uint8(0))
    return flags
