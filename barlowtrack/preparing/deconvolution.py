"""Who may sharpen volumes: Richardson and Lucy, or a function that the user has installed under the entry point of this name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

import numpy as np

from barlowtrack.data import Deconvolution, FloatArray
from barlowtrack.errors import InputError

GROUP = "barlowtrack.deconvolution"
OURS = "richardson-lucy"
REACH = 3.0
"""The point spread is cut off at so many standard deviations."""

Sharpen = Callable[[FloatArray, FloatArray, int], FloatArray]
"""From a volume (Z, Y, X) float32 of one channel, its point spread (z, y, x) of sum 1 and a number of iterations to a volume of the same
shape; must be safe to call from several threads, and give the same for the same."""


def made_by(name: str) -> str:
    """Returns package and version of the function of that name; it is not imported.

    Raises:
        InputError: nothing of that name is installed.
    """
    if name == OURS:
        return f"scikit-image {metadata.version('scikit-image')}"
    return _said(_found(name))


def find(how: Deconvolution) -> Sharpen:
    """Returns the function.

    Raises:
        InputError: nothing of that name is installed, or another version of it.
    """
    if how.name == OURS:
        return richardson_lucy
    entry = _found(how.name)
    if _said(entry) != how.made_by:
        raise InputError(f"prepare: deconvolution {how.name}: expected {how.made_by}, got {_said(entry)}; run 'barlowtrack prepare' again")
    function: Sharpen = entry.load()
    return function


def point_spread(psf_um: tuple[float, float], voxel_size_um: tuple[float, float, float]) -> FloatArray:
    """Returns (z, y, x) a Gaussian point spread of sum 1, odd along every axis."""
    spread = np.array([psf_um[0], psf_um[1], psf_um[1]]) / voxel_size_um
    lines = []
    for sigma in spread:
        reach = int(np.ceil(REACH * sigma))
        lines.append(np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2))
    psf = lines[0][:, None, None] * lines[1][:, None] * lines[2]
    return np.asarray(psf / psf.sum(), np.float32)


def richardson_lucy(volume: FloatArray, psf: FloatArray, iterations: int) -> FloatArray:
    """Sharpens a volume; light below 0 is taken for 0, for the method knows no other.

    Reference:
        Richardson 1972, J Opt Soc Am 62:55; Lucy 1974, Astron J 79:745; as scikit-image has it.
    """
    from skimage.restoration import richardson_lucy as sharpen

    light = np.maximum(volume, 0)
    top = float(light.max(initial=0))
    if top <= 0:
        return light
    around = [(n // 2, n // 2) for n in psf.shape]  # or the edges would take the light of what lies beyond for their own
    padded = np.pad(light / top, around, mode="edge")
    sharp = sharpen(padded, psf, num_iter=iterations, clip=False, filter_epsilon=1e-6)  # type: ignore[no-untyped-call]
    inside = tuple(slice(before, before + n) for (before, _), n in zip(around, volume.shape, strict=True))
    return np.asarray(sharp[inside] * top, np.float32)


def _found(name: str) -> metadata.EntryPoint:
    entries = list(metadata.entry_points(group=GROUP, name=name))
    if not entries:
        known = ", ".join(sorted({OURS, *(entry.name for entry in metadata.entry_points(group=GROUP))}))
        raise InputError(f"[prepare] deconvolution: nothing installed is called {name}; known are {known}")
    if len({entry.value for entry in entries}) > 1:
        raise InputError(f"[prepare] deconvolution: {len(entries)} packages offer {name}; uninstall all but one")
    return entries[0]


def _said(entry: metadata.EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value
