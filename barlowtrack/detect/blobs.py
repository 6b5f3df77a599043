"""Nuclei as blobs: differences of Gaussians over scales, grown by watershed; no model, no training."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage import measure
from skimage.segmentation import watershed

from barlowtrack.config import SegmentConfig
from barlowtrack.data import FloatArray, IntArray
from barlowtrack.detect.found import Found
from barlowtrack.detect.volume import background, grain

MIN_QUALITY = 8.0  # units of noise
SEPARATION = 1.0  # least distance of two nuclei, in radii of the larger
# Two blobs nearer than FUSION radii of the larger are two nuclei only if the finest response dips between them to the share DIP of
# the lower one. Anywhere, two are one if the light between them hardly sags below a straight line (SAG) nor rises far above (RISE):
# so the rim of a saturated nucleus is one, and a third nucleus between two does not make them one.
FUSION, DIP, SAG, RISE = 2.0, 0.65, 0.015, 0.25
EDGE = 0.5  # a nucleus ends where it has fallen to this share of its height


def find_blobs(red: FloatArray, voxel_size_um: tuple[float, float, float], config: SegmentConfig) -> Found:
    """Finds the nuclei of one volume.

    Blobs are maxima, in space and scale, of differences of Gaussians over the smallest to the largest radius; each grows by watershed to
    where it has fallen to half its height above the local background.

    Args:
        red: (Z, Y, X) reference channel, dark planes mended.
        voxel_size_um: z y x.
        config: Radii, scales, least quality and size.

    Returns:
        Labels 1 to n in raster order of the seeds; their score is contrast in units of noise. None for an empty volume.

    Reference:
        Lindeberg 1998 (scale selection); Beucher and Lantuejoul 1979 (watershed).
    """
    size = np.asarray(voxel_size_um, np.float64)
    rounding, alike = grain(red), float(np.ptp(red)) == 0.0
    red = red - background(red, size, config.radius_um[1])
    usual = MIN_QUALITY if config.min_quality is None else config.min_quality
    least = usual / 2 if config.expected is not None else usual
    if alike:  # what rounding leaves of the background would be all there is
        return Found(np.zeros(red.shape, np.int32), np.zeros(0), np.zeros(0), np.zeros(0), (least, usual, 2 * usual))
    smooth, responses, noise, sigma_um = _scale_space(red, rounding, size, config)
    seeds, quality = _seeds(smooth, responses, noise, sigma_um, size, least)
    labels, kept = _grow(smooth, responses[0], seeds, size, config)
    return Found(labels, quality[kept], quality[kept], np.full(len(kept), np.nan), (least, usual, 2 * usual))


def _scale_space(
    red: FloatArray, grain: float, size: FloatArray, config: SegmentConfig
) -> tuple[FloatArray, list[FloatArray], FloatArray, FloatArray]:
    """Returns the volume at the finest scale, the differences of Gaussians, the noise of each, and their scales in um."""
    low, high = config.radius_um
    n_axes = sum(n > 1 for n in red.shape)
    ratio = (high / low) ** (1 / max(config.n_scales - 1, 1)) if high > low and config.n_scales > 1 else np.sqrt(2.0)
    # a ball of radius r answers most to a Laplacian of this scale; a difference of Gaussians lies between its two
    sigma = low / np.sqrt(n_axes or 1) * ratio ** np.arange(config.n_scales + 1) / np.sqrt(ratio)
    levels, before = [red], 0.0
    for s in sigma:
        step = np.sqrt(s**2 - before**2)
        levels.append(_blur(levels[-1], step / size))
        before = s
    responses: list[FloatArray] = [fine - coarse for fine, coarse in pairwise(levels[1:])]
    floors = [grain * _white_gain(a, b, size, red.shape) for a, b in pairwise(sigma)]
    strongest = max(float(np.abs(r).max()) for r in responses)
    noise = [max(1.4826 * float(np.median(np.abs(r[..., ::2]))), f, 1e-6 * strongest) for r, f in zip(responses, floors, strict=True)]
    return levels[1], responses, np.array(noise), sigma[:-1] * np.sqrt(ratio)


def _blur(volume: FloatArray, sigma_vox: FloatArray) -> FloatArray:
    for axis, sigma in enumerate(sigma_vox):
        if volume.shape[axis] > 1:
            volume = ndimage.gaussian_filter1d(volume, float(sigma), axis=axis, mode="nearest", truncate=3.0)
    return volume


def _white_gain(fine_um: float, coarse_um: float, size: FloatArray, shape: tuple[int, ...]) -> float:
    """Returns the standard deviation of a difference of Gaussians of white noise of deviation 1."""
    fine_fine = fine_coarse = coarse_coarse = 1.0
    for voxel, n in zip(size, shape, strict=True):
        if n > 1:
            at = np.arange(-np.ceil(3 * coarse_um / voxel), np.ceil(3 * coarse_um / voxel) + 1) * voxel
            fine, coarse = (np.exp(-(at**2) / (2 * s**2)) for s in (fine_um, coarse_um))
            fine, coarse = fine / fine.sum(), coarse / coarse.sum()
            fine_fine, fine_coarse, coarse_coarse = fine_fine * fine @ fine, fine_coarse * fine @ coarse, coarse_coarse * coarse @ coarse
    return float(np.sqrt(max(fine_fine - 2 * fine_coarse + coarse_coarse, 0.0)))


def _seeds(
    smooth: FloatArray, responses: list[FloatArray], noise: FloatArray, sigma_um: FloatArray, size: FloatArray, least: float
) -> tuple[IntArray, FloatArray]:
    """Returns (n, 3) voxels of blobs in raster order, and their contrast in units of noise."""
    shape = np.array(responses[0].shape)
    found, scales, strengths = [], [], []
    for k, response in enumerate(responses):
        place = np.argwhere(response > max(least, 1e-3) * noise[k])
        strength = response[tuple(place.T)]
        for step in np.ndindex(3, 3, 3):
            beside = np.clip(place + np.array(step) - 1, 0, shape - 1)
            best = strength >= response[tuple(beside.T)]
            place, strength = place[best], strength[best]
        found.append(place)
        scales.append(np.full(len(place), k))
        strengths.append(strength)
    seeds, scale, strength = np.concatenate(found), np.concatenate(scales), np.concatenate(strengths)
    kept = _apart(seeds, strength, sigma_um[scale] * np.sqrt((shape > 1).sum() or 1), (responses[0], smooth), size)
    seeds = seeds[kept]
    seeds = seeds[np.lexsort(seeds.T[::-1])]
    return seeds, np.max([r[tuple(seeds.T)] / n for r, n in zip(responses, noise, strict=True)], axis=0)


def _apart(
    seeds: IntArray, strength: FloatArray, radius_um: FloatArray, fine_and_smooth: tuple[FloatArray, FloatArray], size: FloatArray
) -> IntArray:
    """Returns which blobs to keep: of two that are too near for two nuclei, or have no dip between them, the finer, then stronger one."""
    if len(seeds) < 2:
        return np.arange(len(seeds))
    order = np.lexsort((-strength, radius_um))
    place = seeds[order]
    near = cKDTree(place * size).query_pairs(2 * FUSION * float(radius_um.max()), output_type="ndarray")  # (P, 2)
    near = np.sort(near, axis=1)
    distance = np.linalg.norm((place[near[:, 0]] - place[near[:, 1]]) * size, axis=1)
    larger = radius_um[order][near].max(axis=1)
    share = np.linspace(0, 1, 9)[:, None, None]
    line = place[near[:, 0]] * (1 - share) + place[near[:, 1]] * share  # (9, P, 3)
    fine, light = (ndimage.map_coordinates(v, np.moveaxis(line, -1, 0), order=1, mode="nearest") for v in fine_and_smooth)  # (9, P)
    chord = light[0] * (1 - share[..., 0]) + light[-1] * share[..., 0]
    sag, lower = chord - light, np.minimum(light[0], light[-1])
    one = (fine.min(axis=0) > DIP * np.minimum(fine[0], fine[-1])) | (sag.max(axis=0) < SAG * lower)
    one &= distance < FUSION * larger
    # the rim of a saturated nucleus answers all around: the light between two places on it neither sags nor rises
    one |= (sag.max(axis=0) < SAG * lower) & (sag.min(axis=0) > -RISE * lower)
    near = near[(distance < SEPARATION * larger) | one]
    kept = np.ones(len(order), bool)
    for strong, weak in near[np.lexsort(near.T[::-1])]:
        if kept[strong]:
            kept[weak] = False
    return order[kept]


def _grow(smooth: FloatArray, landscape: FloatArray, seeds: IntArray, size: FloatArray, config: SegmentConfig) -> tuple[IntArray, IntArray]:
    """Returns (Z, Y, X) labels 1 to n, and which seeds they grew from."""
    labels = np.zeros(smooth.shape, np.int32)
    if len(seeds) == 0:
        return labels, np.zeros(0, int)
    labels[tuple(seeds.T)] = np.arange(1, len(seeds) + 1)
    height = smooth[tuple(seeds.T)]
    labels = watershed(  # type: ignore[no-untyped-call]
        -landscape, labels, mask=((landscape > 0) & (smooth > EDGE * height.min())) | (labels > 0)
    )
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside] - 1
    keep = smooth.ravel()[inside] >= EDGE * height[owner]
    labels.ravel()[inside[~keep]] = 0
    # what the cut has separated from its seed belongs to the brim of a brighter neighbour, if to anything
    pieces = measure.label(labels, connectivity=1)  # type: ignore[no-untyped-call]
    with_seed = np.zeros(int(pieces.max()) + 1, bool)
    with_seed[pieces[tuple(seeds.T)]] = True
    keep &= with_seed[pieces.ravel()[inside]]
    labels.ravel()[inside[~keep]] = 0
    voxels = np.bincount(owner[keep], minlength=len(seeds))
    kept = np.flatnonzero(voxels * float(np.prod(size)) >= config.min_volume_um3)
    rename = np.zeros(len(seeds) + 1, np.int32)
    rename[kept + 1] = np.arange(1, len(kept) + 1)
    return rename[labels], kept
