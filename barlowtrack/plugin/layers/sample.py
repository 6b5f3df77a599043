"""A recording to try things with: a synthetic worm, which needs no download and no disk."""

from __future__ import annotations

from barlowtrack.plugin.layers.axes import LayerData
from barlowtrack.plugin.layers.dots import truth_layer
from barlowtrack.plugin.layers.images import image_layers
from barlowtrack.synthetic import preset, simulate

N_VOLUMES, N_NEURONS, SHAPE, SEED = 60, 60, (20, 128, 224), 7


def sample_layers() -> list[LayerData]:
    """Returns two channels, whose volumes are drawn when they are looked at, and the true points with their names."""
    made = simulate(preset("easy", n_volumes=N_VOLUMES, n_neurons=N_NEURONS, volume_shape=SHAPE), seed=SEED)
    return [*image_layers(made.recording), truth_layer(made.truth, made.recording.voxel_size_um, None)]
