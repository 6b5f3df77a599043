"""How large nuclei look, before anything is known of them: tells a voxel size that is wrong.

The half width at half height of the brightest peaks, on the side where they fall off sooner, so that neighbours do not count. It is
found in voxels, so that the voxel size that is asked about has no say in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from barlowtrack.findings import Finding

MOST_PEAKS = 40
FEWEST_PEAKS = 8
"""Of all volumes; of fewer nothing is said."""
FAINTEST = 0.2
"""Of the height of the brightest peak."""
OVER_NOISE = 8.0
"""Standard deviations that a peak stands above what lies around, at least."""
SMOOTH_VOX = (0.0, 1.0, 1.0)
LONGEST, FLATTEST = 4.0, 0.4
"""Width along z in widths in the plane: microscopes make nuclei up to three times as long as wide, and not flat."""
WIDTHS_IN_RADII = (0.8, 1.8)
"""Width in the plane at half height, in the smallest and the largest radius of nuclei: the median lies between."""
THICKNESS_UM = (5.0, 300.0)
"""Of a stack that holds the head of a worm."""

Float = NDArray[np.float64]


def peak_widths_vox(red: NDArray[np.float32]) -> Float:
    """Returns (n, 3) full widths at half height along z, y, x, in voxels, of the brightest peaks; inf where one does not fall off.

    Args:
        red: (Z, Y, X) reference channel.
    """
    smooth = ndimage.gaussian_filter(red, SMOOTH_VOX)
    floor = float(np.median(smooth))
    noise = 1.4826 * float(np.median(np.abs(smooth - floor)))
    peaks = np.argwhere((smooth == ndimage.maximum_filter(smooth, (3, 9, 9))) & (smooth > floor + OVER_NOISE * noise))
    height = smooth[tuple(peaks.T)] - floor
    order = np.argsort(-height, kind="stable")[:MOST_PEAKS]
    peaks = peaks[order][height[order] > FAINTEST * height.max(initial=0)]
    widths = np.array([[_width(smooth, peak, axis, floor) for axis in range(3)] for peak in peaks.tolist()]).reshape(-1, 3)
    blur: Float = 2.355 * np.array(SMOOTH_VOX)
    return np.asarray(np.sqrt(np.maximum(widths**2 - blur**2, 0)))


def _width(smooth: NDArray[np.float32], peak: list[int], axis: int, floor: float) -> float:
    """Returns twice the way to half height, to the nearer side."""
    place: list[int | slice] = [*peak]
    place[axis] = slice(None)
    line = smooth[tuple(place)].astype(np.float64)
    half = (line[peak[axis]] + floor) / 2
    ways = [np.inf]
    for arm in (line[peak[axis] :], line[peak[axis] :: -1]):
        below = np.flatnonzero(arm < half)
        if len(below):
            k = below[0]
            ways.append(k - 1 + (arm[k - 1] - half) / (arm[k - 1] - arm[k]))
    return 2 * float(min(ways))


def middle_width_vox(widths: Float) -> tuple[float, float]:
    """Returns the median width along z and in the plane; NaN where too few peaks tell it.

    Args:
        widths: (n, 3) of all volumes; see peak_widths_vox.
    """
    if len(widths) < FEWEST_PEAKS:
        return np.nan, np.nan
    z, y, x = np.median(widths, axis=0).tolist()
    plane = float(np.sqrt(y * x))
    return (z, plane) if np.isfinite([z, plane]).all() and z > 0 and plane > 0 else (np.nan, np.nan)


def judge_size(
    width_vox: tuple[float, float], voxel_size_um: tuple[float, float, float], radius_um: tuple[float, float], n_planes: int
) -> Iterator[Finding]:
    """Says where nuclei, or the stack, would have a size that none has: then a voxel size is wrong.

    Args:
        width_vox: Of the median nucleus, along z and in the plane; see middle_width_vox.
        voxel_size_um: z, y, x, as the recording says.
        radius_um: Smallest and largest radius of nuclei.
        n_planes: Of a volume.
    """
    z_um = voxel_size_um[0]
    long_um, wide_um = width_vox[0] * z_um, width_vox[1] * float(np.sqrt(voxel_size_um[1] * voxel_size_um[2]))
    least_um, most_um = (factor * radius for factor, radius in zip(WIDTHS_IN_RADII, radius_um, strict=True))
    if n_planes > 1 and not FLATTEST <= long_um / wide_um <= LONGEST and np.isfinite(wide_um):
        said = f"nuclei look {long_um:.2g} um long along z and {wide_um:.2g} um wide in the plane (at half of their height)"
        yield Finding("warn", said, f"is the distance of planes {z_um:g} um? give --voxel-size Z Y X")
    if wide_um < least_um or wide_um > most_um:
        said = f"nuclei look {wide_um:.2g} um wide in the plane (at half of their height), usually {least_um:.2g} to {most_um:.2g} um"
        yield Finding("warn", said, "is the voxel size right, in um? give --voxel-size Z Y X; or [segment] radius_um, if they are so")
    thick_um = n_planes * z_um
    if n_planes > 1 and not THICKNESS_UM[0] <= thick_um <= THICKNESS_UM[1]:
        said = f"the stack is {thick_um:.3g} um thick ({n_planes} planes, {z_um:g} um apart)"
        yield Finding("warn", said, "is the distance of planes right, in um? give --voxel-size Z Y X")
