"""segment: find the nuclei of every volume."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage import measure
from skimage.segmentation import watershed

from barlowtrack.config import ComputeConfig, SegmentConfig
from barlowtrack.data import Detections, FloatArray, IntArray, Progress, Recording, Segmentation, VoxelArray, silent
from barlowtrack.errors import InputError

log = logging.getLogger(__name__)

BYTES_A_VOXEL = 64  # what the detector holds at its peak, a voxel of one channel
SEPARATION = 1.0  # least distance of two nuclei, in radii of the larger
# Two blobs nearer than FUSION radii of the larger are two nuclei only if the finest response dips between them to the share DIP of
# the lower one. Anywhere, two are one if the light between them hardly sags below a straight line (SAG) nor rises far above (RISE):
# so the rim of a saturated nucleus is one, and a third nucleus between two does not make them one.
FUSION, DIP, SAG, RISE = 2.0, 0.65, 0.015, 0.25
EDGE = 0.5  # a nucleus ends where it has fallen to this share of its height


def segment(
    recording: Recording, *, config: SegmentConfig, compute: ComputeConfig, start: int = 0, progress: Progress = silent
) -> Iterator[Segmentation]:
    """Finds the nuclei of every volume, in order.

    A few volumes are read and worked on side by side; how many changes nothing but the time.

    Args:
        recording: Any number of volumes; they stream.
        config: Of the detector.
        compute: Threads, and the memory that bounds how many volumes are in flight.
        start: First volume: where a run that was cut off goes on.
        progress: Told after every volume.

    Yields:
        One Segmentation a volume.

    Raises:
        InputError: a volume that cannot be read or holds NaN or infinity; names it.
    """
    volume_bytes = int(np.prod(recording.volume_shape)) * (BYTES_A_VOXEL + recording.shape[1] * recording.dtype.itemsize)
    workers = compute.workers or min(os.cpu_count() or 1, 8)
    in_flight = int(np.clip(compute.memory_gb * 1e9 // volume_bytes, 1, workers + 1))

    def work(t: int) -> Segmentation:
        return segment_volume(recording.read(t), t, recording, config)

    ahead: deque[Future[Segmentation]] = deque()
    pool = ThreadPoolExecutor(min(workers, in_flight), thread_name_prefix="segment")
    try:
        for t in range(start, recording.n_volumes):
            ahead.extend(pool.submit(work, later) for later in range(t + len(ahead), min(t + in_flight, recording.n_volumes)))
            found = ahead.popleft().result()
            log.debug("volume %d: %d nuclei", t, len(found.detections))
            yield found
            progress(t + 1, recording.n_volumes)
    finally:
        pool.shutdown(cancel_futures=True)


def segment_volume(volume: VoxelArray, t: int, recording: Recording, config: SegmentConfig) -> Segmentation:
    """Finds the nuclei of one volume.

    Blobs are maxima, in space and scale, of differences of Gaussians over the smallest to the largest radius; each grows by watershed to
    where it has fallen to half its height above the local background.

    Args:
        volume: (C, Z, Y, X), any numeric type.
        t: Its number.
        recording: Says voxel size and channels; is not read.
        config: Of the detector.

    Returns:
        Labels 1 to n in raster order of the seeds, and a row for each; none for an empty volume.

    Raises:
        InputError: NaN or infinity in the volume.

    Reference:
        Lindeberg 1998 (scale selection); Beucher and Lantuejoul 1979 (watershed).
    """
    if not np.isfinite(volume).all():
        raise InputError(f"{recording.name}: volume {t}: expected finite numbers, got NaN or infinity")
    size = np.asarray(recording.voxel_size_um, np.float64)
    with np.errstate(over="ignore"):
        red = volume[recording.reference].astype(np.float32)
    if not np.isfinite(red).all():
        raise InputError(f"{recording.name}: volume {t}: expected numbers below 3e38, got {volume.max():g}; scale the recording")
    grain = _grain(red)
    red = _mend_planes(red)
    red -= _background(red, size, config)
    smooth, responses, noise, sigma_um = _scale_space(red, grain, size, config)
    seeds, quality = _seeds(smooth, responses, noise, sigma_um, size, config)
    labels, kept = _grow(smooth, responses[0], seeds, size, config)
    return Segmentation(t, labels, _describe(volume, red, labels, quality[kept], t, recording))


def _mend_planes(red: FloatArray) -> FloatArray:
    """Replaces planes that are dark or saturated throughout, between two that are not, by what their neighbours suggest."""
    if len(red) < 3:
        return red
    sample = red[:, ::2, ::2].reshape(len(red), -1)
    middle = np.median(sample, axis=1)  # (Z,)
    spread = max(float(np.median(np.abs(sample - middle[:, None]))), 1e-6 * float(np.ptp(middle)))
    top = np.partition(sample, -max(sample.shape[1] // 2000, 1), axis=1)[:, -max(sample.shape[1] // 2000, 1)] - middle
    below, above = middle[1:-1] - middle[:-2], middle[1:-1] - middle[2:]
    beside = np.minimum(top[:-2], top[2:])
    odd = (np.sign(below) == np.sign(above)) & (np.minimum(np.abs(below), np.abs(above)) > spread)
    odd |= (top[1:-1] < 0.25 * beside) & (beside > 10 * spread)
    for z in np.flatnonzero(odd) + 1:
        # cubic where there are two planes on either side: the mean of two would cut a nucleus whose middle it is in halves
        red[z] = (red[z - 1] + red[z + 1]) / 2
        if 2 <= z < len(red) - 2:
            red[z] += (red[z - 1] + red[z + 1] - red[z - 2] - red[z + 2]) / 16
    return red


def _background(red: FloatArray, size: FloatArray, config: SegmentConfig) -> FloatArray:
    """Returns (Z, Y, X) slowly varying light: a low percentile over several nuclei, on a grid of blocks, smoothly enlarged."""
    block = np.clip(np.rint(2 * config.radius_um[1] / size), 1, red.shape).astype(int)
    padded = np.pad(red, [(0, -n % b) for n, b in zip(red.shape, block, strict=True)], mode="edge")
    (z, y, x), (bz, by, bx) = np.array(padded.shape) // block, block
    coarse = padded.reshape(z, bz, y, by, x, bx).mean(axis=(1, 3, 5))
    low = ndimage.percentile_filter(coarse, 25, size=(3, 7, 7), mode="nearest")
    low = ndimage.gaussian_filter(low, 1.0, mode="nearest")
    for axis, (n, b) in enumerate(zip(red.shape, block, strict=True)):
        low = _enlarge(low, n, int(b), axis)
    return low


def _enlarge(coarse: FloatArray, n: int, block: int, axis: int) -> FloatArray:
    """Interpolates linearly between the middles of blocks along one axis."""
    place = np.clip((np.arange(n) + 0.5) / block - 0.5, 0, coarse.shape[axis] - 1)
    lower = np.minimum(place.astype(int), max(coarse.shape[axis] - 2, 0))
    shape = [1] * coarse.ndim
    shape[axis] = n
    share = (place - lower).astype(np.float32).reshape(shape)
    upper = np.minimum(lower + 1, coarse.shape[axis] - 1)
    enlarged: FloatArray = coarse.take(lower, axis) * (1 - share) + coarse.take(upper, axis) * share
    return enlarged


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


def _grain(red: FloatArray) -> float:
    """Returns the standard deviation that rounding to whole camera units leaves; next to nothing for finer numbers."""
    values = np.unique(red[..., ::4, ::4])
    return float(np.diff(values).min()) / np.sqrt(12) if len(values) > 1 else 0.0


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
    smooth: FloatArray, responses: list[FloatArray], noise: FloatArray, sigma_um: FloatArray, size: FloatArray, config: SegmentConfig
) -> tuple[IntArray, FloatArray]:
    """Returns (n, 3) voxels of blobs in raster order, and their contrast in units of noise."""
    shape = np.array(responses[0].shape)
    found, scales, strengths = [], [], []
    for k, response in enumerate(responses):
        place = np.argwhere(response > max(config.min_quality, 1e-3) * noise[k])
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


def _describe(volume: VoxelArray, red: FloatArray, labels: IntArray, quality: FloatArray, t: int, recording: Recording) -> Detections:
    """Measures every instance: place by light above background, size, and raw camera units in both channels."""
    n = len(quality)
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside] - 1
    order = np.argsort(owner, kind="stable")
    inside, owner = inside[order], owner[order]
    starts = np.searchsorted(owner, np.arange(n))
    count = np.bincount(owner, minlength=n)
    # a little weight for every voxel, so that an instance at the background still has a middle
    light = red.ravel()[inside].astype(np.float64)
    light = np.clip(light, 0, None) + 1e-6 * (1 + np.abs(light).max(initial=0.0))
    weight = np.bincount(owner, light, minlength=n)
    axes = np.unravel_index(inside, labels.shape)
    centre = [
        np.bincount(owner, light * axis, minlength=n) / weight * size for axis, size in zip(axes, recording.voxel_size_um, strict=True)
    ]

    def measure(channel: int | None) -> tuple[FloatArray, FloatArray]:
        if channel is None or n == 0:
            return np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
        values = volume[channel].ravel()[inside].astype(np.float64)
        mean = np.bincount(owner, values, minlength=n) / count
        return mean.astype(np.float32), np.maximum.reduceat(values, starts).astype(np.float32)

    red_mean, red_peak = measure(recording.reference)
    green_mean, green_peak = measure(recording.signal)
    return Detections(
        n_volumes=recording.n_volumes,
        t=np.full(n, t, np.int32),
        label=np.arange(1, n + 1, dtype=np.int32),
        position_um=np.stack(centre, axis=1).astype(np.float32),
        volume_um3=(count * np.prod(recording.voxel_size_um)).astype(np.float32),
        red_mean=red_mean,
        red_peak=red_peak,
        green_mean=green_mean,
        green_peak=green_peak,
        quality=quality.astype(np.float32),
    )
