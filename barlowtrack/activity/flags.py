"""What to think of when a value of a trace looks strange."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import Flag, FloatArray, IntArray, Light, Swaps

CROWDED_FROM = 0.5
"""Share of the shell that other nuclei fill. From one half on, more light comes from neighbours than from what lies between them."""
SATURATED_FROM = 0.0
"""A share of saturated voxels above this is flagged: a single one already cuts the top off the light."""
DIM_BELOW = 3.0
"""Light must stand this many spreads above what is around it: less happens by chance in every 700th reading."""
DOUBTFUL_BELOW = 0.5
"""Below this probability the value is more likely another neuron's."""
SETTLED = 1.0
"""So sure is only what people say: where both of a pair are, they are not swapped."""


def excess(light: Light) -> FloatArray:
    """Returns by how much each of N readings stands out from what is around it, beyond what chance does: (2, N), NaN where unknown.

    The mean over the voxels, above the median of the shell, less DIM_BELOW spreads of a mean of as many voxels of the shell. Not above the
    background: of a percentile below the median even a place where nothing shines stands out.
    """
    noise = light.shell_spread / np.sqrt(np.maximum(light.voxels, 1))
    return np.asarray(light.mean - light.shell - DIM_BELOW * noise, np.float64)


def flag_light(light: Light) -> IntArray:
    """Returns what the light itself says against each of its N readings: EDGE, SATURATED, CROWDED, DIM.

    Args:
        light: Of N nuclei or places; one of which red is unknown is dim, too.

    Returns:
        (N,) uint8 Flags.
    """
    stands_out = excess(light)[0] > 0  # False for NaN
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
        within = slice(int(first), int(last) + 1)
        swapped[pair, within] |= ~(probability[pair, within] == SETTLED).all(axis=0)
    has = np.isfinite(probability)
    return _bits(probability.shape, {Flag.DOUBTFUL: probability < DOUBTFUL_BELOW, Flag.SWAPPED: swapped & has})


def _bits(shape: int | tuple[int, ...], holds: dict[Flag, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]) -> IntArray:
    flags = np.zeros(shape, np.uint8)
    for flag, where in holds.items():
        flags |= np.where(where, np.uint8(flag), np.uint8(0))
    return flags
