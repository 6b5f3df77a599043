"""The colour of a neuron: the same in the report, in films and in napari."""

from __future__ import annotations

import colorsys

import numpy as np

from barlowtrack.data import FloatArray, IntArray


def colour_of(neuron: int) -> tuple[float, float, float]:
    """Returns the neuron's colour, the same in every figure; neighbours in number lie far apart in hue."""
    hue = (0.08 + neuron * 0.618033988749895) % 1
    saturation, value = ((0.75, 0.95), (0.55, 0.85), (0.95, 0.75))[neuron % 3]
    return colorsys.hsv_to_rgb(hue, saturation, value)


def ink_of(neuron: int) -> tuple[float, float, float]:
    """Returns the neuron's colour darkened until a thin line of it can be read on white."""
    red, green, blue = colour_of(neuron)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    shade = min(1.0, 0.45 / light)
    return red * shade, green * shade, blue * shade


def colours_of(neurons: IntArray) -> FloatArray:
    """Returns their colours: (n, 3)."""
    return np.array([colour_of(int(neuron)) for neuron in neurons], np.float64).reshape(-1, 3)


def glow_of(neuron: int) -> tuple[float, float, float]:
    """Returns the neuron's colour lightened until a thin line of it can be read on black."""
    colour = colour_of(neuron)
    light = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
    share = max(0.0, (0.45 - light) / (1 - light))
    red, green, blue = (part + share * (1 - part) for part in colour)
    return red, green, blue
