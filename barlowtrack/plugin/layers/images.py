"""A recording as image layers, one a channel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from barlowtrack.data import Recording, VoxelArray
from barlowtrack.plugin.layers.arrays import ChannelArray
from barlowtrack.plugin.layers.axes import LayerData, grid
from barlowtrack.plugin.layers.volumes import Volumes
from barlowtrack.plugin.roles import KEY, Role, metadata_of

log = logging.getLogger(__name__)

REFERENCE, SIGNAL = "magenta", "green"
"""Told apart by most who are colour-blind, and white where both shine."""
OTHERS = ("cyan", "yellow", "gray")
BRIGHTEST = 99.95
"""Percentile of the voxels that is shown full where no nuclei are known: they are a few per cent of a volume."""
DARKEST_SD = 2.5
"""So many standard deviations of the noise above the background begins what is not shown black: else all of it is seen in 3-D."""
FULL_REFERENCE, FULL_OTHERS = 75.0, 90.0
"""Percentile of the nuclei that are shown full, by the light of their inside: all of them shine in the reference, some in the signal."""
LIGHT = ("red_mean", "red_peak", "green_mean", "green_peak")
"""Columns of the table of nuclei that say how they shine."""
GAMMA = 0.7
_LOOKS = 3


def image_layers(
    recording: Recording,
    run: Path | None = None,
    location: Path | None = None,
    *,
    light: pd.DataFrame | None = None,
    budget_mb: float = 512.0,
    complain: Callable[[str], object] = log.warning,
) -> list[LayerData]:
    """Returns a layer a channel; reads a few volumes for the contrast.

    Args:
        recording: What is shown; a volume that is read serves all its channels.
        run: Its run folder.
        location: Where it lies.
        light: Columns LIGHT of the nuclei that were found in it, which set the contrast.
        budget_mb: Megabytes of volumes kept in memory.
        complain: Hears of a volume that cannot be read.
    """
    volumes = Volumes(recording.read, recording.n_volumes, recording.shape[1:], recording.dtype, budget_mb=budget_mb, complain=complain)
    times = np.unique(np.linspace(0, recording.n_volumes - 1, _LOOKS).round().astype(int))[::-1]  # the first is wanted next
    seen = [volumes.get(int(t)) for t in times]
    colours = iter(OTHERS)
    layers: list[LayerData] = []
    for c, name in enumerate(recording.channel_names):
        low, high, most = contrast([volume[c] for volume in seen], _inside(recording, light, c))
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
            "projection_mode": "none",  # the plane itself: else napari shows the mean of all planes in which points are shown
            **grid(recording.voxel_size_um),
        }
        layers.append((ChannelArray(volumes, c), keywords, "image"))
    return layers


def contrast(volumes: list[VoxelArray], light: float | None = None) -> tuple[float, float, float]:
    """Returns what is shown black, what in full colour, and where the contrast slider should end.

    Args:
        volumes: A few, of one channel: (Z, Y, X) each.
        light: What is to be shown in full colour, where it is known.
    """
    voxels = np.concatenate([volume[:, ::2, ::2].ravel() for volume in volumes]).astype(np.float32)
    voxels = voxels[np.isfinite(voxels)]
    if not len(voxels):
        return 0.0, 1.0, 1.0
    middle, high, most = (float(value) for value in (*np.percentile(voxels, (50.0, BRIGHTEST)), voxels.max()))
    low = middle + DARKEST_SD * 1.4826 * float(np.median(np.abs(voxels - middle)))
    high = light if light is not None and light > low else high
    high = high if high > low else max(most, low + 1.0)
    return low, high, max(most, high)


def _inside(recording: Recording, light: pd.DataFrame | None, channel: int) -> float | None:
    """Returns the light inside bright nuclei: halfway between mean and maximum."""
    if light is None or not set(LIGHT) <= set(light) or channel not in (recording.reference, recording.signal):
        return None
    colour, share = ("red", FULL_REFERENCE) if channel == recording.reference else ("green", FULL_OTHERS)
    inside = (light[f"{colour}_mean"].to_numpy(float) + light[f"{colour}_peak"].to_numpy(float)) / 2
    inside = inside[np.isfinite(inside)]
    return float(np.percentile(inside, share)) if len(inside) else None
