"""A recording as image layers, one a channel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from barlowtrack.data import Recording, VoxelArray
from barlowtrack.plugin.layers.arrays import ChannelArray
from barlowtrack.plugin.layers.axes import LayerData, grid
from barlowtrack.plugin.layers.volumes import Volumes
from barlowtrack.plugin.roles import KEY, Role, metadata_of

log = logging.getLogger(__name__)

REFERENCE, SIGNAL = "magenta", "green"
"""Told apart by most who are colour-blind, and white where both shine."""
OTHERS = ("cyan", "yellow", "gray")
DARKEST, BRIGHTEST = 60.0, 99.95
"""Percentiles of the voxels that are shown black and full: most of a volume is dark, and its nuclei are a few per cent."""
GAMMA = 0.7
_LOOKS = 3


def image_layers(
    recording: Recording,
    run: Path | None = None,
    location: Path | None = None,
    *,
    budget_mb: float = 512.0,
    complain: Callable[[str], object] = log.warning,
) -> list[LayerData]:
    """Returns a layer a channel; reads a few volumes for the contrast.

    Args:
        recording: What is shown; a volume that is read serves all its channels.
        run: Its run folder.
        location: Where it lies.
        budget_mb: Megabytes of volumes kept in memory.
        complain: Hears of a volume that cannot be read.
    """
    volumes = Volumes(recording.read, recording.n_volumes, recording.shape[1:], recording.dtype, budget_mb=budget_mb, complain=complain)
    times = np.unique(np.linspace(0, recording.n_volumes - 1, _LOOKS).round().astype(int))[::-1]  # the first is wanted next
    seen = [volumes.get(int(t)) for t in times]
    colours = iter(OTHERS)
    layers: list[LayerData] = []
    for c, name in enumerate(recording.channel_names):
        low, high, most = contrast([volume[c] for volume in seen])
        colour = {recording.reference: REFERENCE, recording.signal: SIGNAL}.get(c) or next(colours, "gray")
        if recording.shape[1] == 1:
            colour = "gray"
        metadata = metadata_of(Role.IMAGE, run, location)
        metadata[KEY]["contrast_range"] = (min(low, 0.0), most)
        metadata[KEY]["reference"] = c == recording.reference
        keywords = {
            "name": name,
            "metadata": metadata,
            "colormap": colour,
            "blending": "additive" if c else "translucent_no_depth",
            "contrast_limits": (low, high),
            "gamma": GAMMA,
            "multiscale": False,
            "rgb": False,
            **grid(recording.voxel_size_um),
        }
        layers.append((ChannelArray(volumes, c), keywords, "image"))
    return layers


def contrast(volumes: list[VoxelArray]) -> tuple[float, float, float]:
    """Returns what is shown black, what in full colour, and where the contrast slider should end.

    Args:
        volumes: A few, of one channel: (Z, Y, X) each.
    """
    voxels = np.concatenate([volume[:, ::2, ::2].ravel() for volume in volumes]).astype(np.float32)
    voxels = voxels[np.isfinite(voxels)]
    if not len(voxels):
        return 0.0, 1.0, 1.0
    low, high, most = (float(value) for value in (*np.percentile(voxels, (DARKEST, BRIGHTEST)), voxels.max()))
    high = high if high > low else max(most, low + 1.0)
    return low, high, max(most, high)
