"""What the nuclei of a few volumes say beforehand: how many there are, how far they stand out of the noise, how far they move.

Blobs are looked for in a few pairs of volumes in a row, with the detector that needs no model; seconds, whatever the length of the
recording. Nuclei of a pair are matched by nearness after a common shift, so movement is known only as far as it is less than about half
the distance of neighbours; beyond, `followed` falls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from barlowtrack.config import SegmentConfig
from barlowtrack.data import Recording, VoxelArray
from barlowtrack.detect.blobs import find_blobs
from barlowtrack.detect.volume import mend_planes
from barlowtrack.errors import InputError
from barlowtrack.nucleus_size import middle_width_vox, peak_widths_vox

N_PAIRS = 4
BUDGET_VOXELS = 2e8
"""Of one channel, in which nuclei are looked for: about 25 s of a core."""
_FEWEST = 5
_ROUNDS = 8

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Sight:
    """What was seen.

    Attributes:
        times: First volumes of the pairs that were looked at.
        nuclei: In a volume, on average.
        contrast: One a channel: how far the median nucleus stands out of what is around nuclei, in units of the noise of one voxel there.
        spacing_um: From a nucleus to its nearest neighbour, median; NaN where there are too few.
        moved_um: From one volume to the next, median; NaN likewise.
        followed: Share of the nuclei that could be followed from one volume to the next; NaN likewise.
        width_vox: Of the median bright nucleus at half height, along z and in the plane, in voxels; NaN likewise.
    """

    times: tuple[int, ...]
    nuclei: float
    contrast: tuple[float, ...]
    spacing_um: float
    moved_um: float
    followed: float
    width_vox: tuple[float, float] = (np.nan, np.nan)


class _Seen(NamedTuple):
    """One volume: (n, 3) places in um, and contrast, one a channel; (peaks, 3) widths in voxels."""

    places: Float
    contrast: Float
    widths: Float


class _Step(NamedTuple):
    """From one volume to the next: distance of neighbours, how far nuclei moved, and the share that was followed."""

    spacing_um: float
    moved_um: float
    followed: float


def look_at_nuclei(recording: Recording, config: SegmentConfig) -> Sight | None:
    """Looks for nuclei in a few pairs of volumes.

    Args:
        recording: Any; at most 2 N_PAIRS volumes of it are read. Those that cannot be read, or hold no numbers, are left out.
        config: Radii of nuclei.

    Returns:
        What was seen; None where no volume could be looked at, or volumes are too large to look at beforehand.
    """
    voxels = float(np.prod(recording.volume_shape))
    if 2 * voxels > BUDGET_VOXELS:
        return None
    n_pairs = int(np.clip(BUDGET_VOXELS / (2 * voxels), 1, N_PAIRS))
    last = max(recording.n_volumes - 2, 0)
    starts = np.unique(np.linspace(0, last, n_pairs + 2)[1:-1].round().astype(int)).tolist()
    seen: list[_Seen] = []
    steps: list[_Step] = []
    for t in starts:
        pair = [_look(volume, recording, config) for volume in _volumes(recording, t)]
        seen += pair
        if len(pair) == 2:
            steps += _step(pair[0].places, pair[1].places)
    if not seen:
        return None
    contrast = np.array([one.contrast for one in seen if len(one.places)]).reshape(-1, recording.shape[1])
    middle = np.median(contrast, axis=0) if len(contrast) else np.full(recording.shape[1], np.nan)
    spacing, moved, followed = np.median(steps, axis=0).tolist() if steps else (np.nan,) * 3
    counts = [len(one.places) for one in seen]
    width_vox = middle_width_vox(np.concatenate([one.widths for one in seen]))
    return Sight(tuple(starts), float(np.mean(counts)), tuple(middle.tolist()), spacing, moved, followed, width_vox)


def _volumes(recording: Recording, t: int) -> Iterator[VoxelArray]:
    """Yields volume t and the next one, as far as they can be looked at."""
    for at in range(t, min(t + 2, recording.n_volumes)):
        try:
            volume = recording.read(at)
        except (InputError, OSError):
            return
        if volume.dtype.kind == "f" and not np.isfinite(volume).all():
            return
        yield volume


def _look(volume: VoxelArray, recording: Recording, config: SegmentConfig) -> _Seen:
    red = mend_planes(volume[recording.reference].astype(np.float32))
    widths = peak_widths_vox(red)
    labels = find_blobs(red, recording.voxel_size_um, config).labels
    inside = np.argwhere(labels > 0)
    owner = labels[tuple(inside.T)] - 1
    count = np.bincount(owner)
    if not len(count):
        return _Seen(np.zeros((0, 3)), np.full(len(volume), np.nan), widths)
    places = np.stack([np.bincount(owner, axis) for axis in inside.T], axis=1) / count[:, None]
    near = ndimage.binary_dilation(labels > 0)
    around = ndimage.binary_dilation(near, iterations=2) & ~near
    contrast = [_contrast(channel, inside, owner, around) for channel in volume]
    return _Seen(places * np.array(recording.voxel_size_um), np.array(contrast), widths)


def _contrast(channel: VoxelArray, inside: NDArray[np.integer[Any]], owner: NDArray[np.integer[Any]], around: NDArray[np.bool_]) -> float:
    """Returns how far the median nucleus stands out of the voxels around nuclei, in units of the noise of one of these.

    Noise is told from neighbouring voxels, so that slow changes of the background are none.
    """
    values = channel.astype(np.float64)
    steps = (values[..., 1:] - values[..., :-1])[around[..., 1:] & around[..., :-1]]
    if not steps.size:
        return float("nan")
    # a camera that hides its noise in its steps has at least that of rounding
    noise = max(1.4826 * float(np.median(np.abs(steps))) / np.sqrt(2), 12**-0.5 if channel.dtype.kind in "ui" else 1e-9)
    light = np.bincount(owner, values[tuple(inside.T)]) / np.bincount(owner)
    return float((np.median(light) - np.median(values[around])) / noise)


def _step(before: Float, after: Float) -> Iterator[_Step]:
    """Yields how nuclei moved, where there are enough of them."""
    if min(len(before), len(after)) < _FEWEST:
        return
    apart = float(np.median(_nearest(before, before, 2)[0][:, 1]))
    shift = after.mean(axis=0) - before.mean(axis=0)
    for _ in range(_ROUNDS):
        away, nearest = _nearest(after, before + shift)
        near = away <= np.percentile(away, 60)
        shift = shift + np.median((after[nearest] - before - shift)[near], axis=0)
    away, nearest = _nearest(after, before + shift)
    back = _nearest(before + shift, after)[1]
    mutual = (back[nearest] == np.arange(len(before))) & (away < apart)
    moved = np.linalg.norm(after[nearest] - before, axis=1)[mutual]
    yield _Step(apart, float(np.median(moved)) if len(moved) else float("nan"), float(mutual.mean()))


def _nearest(places: Float, asked: Float, k: int = 1) -> tuple[Float, NDArray[np.int64]]:
    """Returns how far the nearest k places are from those asked for, and which they are."""
    away, which = cKDTree(places).query(asked, k=k)
    return np.asarray(away, np.float64), np.asarray(which, np.int64)
