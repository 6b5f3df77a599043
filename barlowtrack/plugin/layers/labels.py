"""The nuclei of a run as labels, in the colours of their neurons."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from barlowtrack.data import FloatArray, Labels
from barlowtrack.plugin.layers.arrays import UNKNOWN_VALUE, NeuronArray, value_of
from barlowtrack.plugin.layers.axes import GREY, LayerData, grid
from barlowtrack.plugin.layers.volumes import Volumes
from barlowtrack.plugin.roles import Role, metadata_of
from barlowtrack.plugin.solution import Solution
from barlowtrack.showing.colours import colours_of

log = logging.getLogger(__name__)

_CYCLES = tuple(n for n in range(255, UNKNOWN_VALUE + 1) if UNKNOWN_VALUE % n == 0)


def labels_layer(
    labels: Labels,
    voxel_size_um: tuple[float, float, float],
    run: Path,
    location: Path | None,
    *,
    budget_mb: float = 256.0,
    complain: Callable[[str], object] = log.warning,
) -> LayerData:
    """Returns the nuclei as labels: all grey until a solution is shown (NeuronArray.show, colours_of_values)."""
    volumes = Volumes(labels.read, labels.shape[0], labels.shape[1:], np.dtype(np.uint32), budget_mb=budget_mb, complain=complain)
    keywords = {
        "name": "nuclei",
        "metadata": metadata_of(Role.LABELS, run, location),
        "colormap": colours_of_values(0),
        "opacity": 0.8,
        "blending": "translucent_no_depth",
        "multiscale": False,
        **grid(voxel_size_um),
    }
    return NeuronArray(volumes), keywords, "labels"


def colours_of_values(n_neurons: int) -> FloatArray:
    """Returns the colours of the voxel values of NeuronArray as a cycle, the colour of nobody first: (n + 1, 4).

    napari takes a table of single colours too, but compiles code for it, for seconds, whenever it starts. A cycle whose length n divides
    UNKNOWN_VALUE ends on it, so that neurons come first and what is unknown last.
    """
    n = next(n for n in _CYCLES if n > n_neurons) if n_neurons < _CYCLES[-1] else _CYCLES[-1]
    colours = np.tile((*GREY, 1.0), (n + 1, 1))
    colours[0] = 0.0
    known = min(n_neurons, n - 1)
    colours[1 : known + 1, :3] = colours_of(np.arange(known))
    return colours


def features_of_values(solution: Solution) -> pd.DataFrame:
    """Returns what napari says of a nucleus under the mouse: a row a voxel value."""
    known = solution.neurons["neuron"].to_numpy()
    names = [solution.names.text(int(neuron)) for neuron in known]
    values = [0, *(value_of(int(neuron)) for neuron in known), UNKNOWN_VALUE]
    return pd.DataFrame({"index": values, "neuron": ["none", *names, "unknown"]})
