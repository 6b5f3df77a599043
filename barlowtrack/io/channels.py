"""Which channel is the reference and which the signal: by what people say, by name, else by which of two stays constant.

The marker of the reference channel stays as bright as it is; the indicator of the signal channel does not. Nuclei are followed over a
few volumes in a row, in the sum of both channels, so that neither has a say in where they are; of each it is seen in which channel its
light drifts more: how much further apart brightness is after many volumes than after one, so that noise, which is the same after
one volume and after many, does not count. Neither position nor brightness of a channel goes into it, so that a swapped pair gives the
opposite answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from barlowtrack.data import VolumeSource, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.metadata import SEEN, Channels

RUN = 8
"""Volumes in a row over which nuclei are followed."""
N_RUNS = 8
BUDGET_BYTES = 3e9
"""Of volumes that are read, at most, but for one run."""
_NUCLEI = 80
_FAINTEST = 0.02  # of the brightest: below, the logarithm would be of noise
_SURE = 4.0
_ALIKE = 1e-4
_LEAST = 20


@dataclass(frozen=True)
class Verdict:
    """Which of two channels is constant.

    Attributes:
        constant: Its index; None where it cannot be told.
        reason: In plain words.
    """

    constant: int | None
    reason: str


def seen_channels(
    where: str,
    named: Channels,
    source: VolumeSource,
    shape: tuple[int, int, int, int, int],
    voxel_size_um: tuple[float, float, float],
) -> Channels:
    """Returns channels whose names do not say which is the reference, by what is seen in a few volumes.

    Args:
        where: The recording, for messages.
        named: The channels.
        source: Of volumes.
        shape: T, C, Z, Y, X.
        voxel_size_um: z, y, x.

    Raises:
        InputError: it cannot be seen.
    """
    ask = "give --reference-channel NAME_OR_INDEX, or [recording] reference_channel"
    if shape[1] > 2:
        raise InputError(
            f"{where}: which of the channels {', '.join(named.names)} shows where the neurons are? The names do not say; {ask}"
        )
    verdict = constant_channel(source, shape, voxel_size_um)
    if verdict.constant is None:
        raise InputError(
            f"{where}: which of the channels {', '.join(named.names)} shows where the neurons are (red)? The names do not say, and "
            f"the volumes do not either ({verdict.reason}); {ask}"
        )
    reference = verdict.constant
    remark = f"{SEEN}{named.names[reference]}, the constant one ({verdict.reason}); the names do not say"
    return Channels(named.names, reference, 1 - reference, (remark,))


def constant_channel(
    source: VolumeSource, shape: tuple[int, int, int, int, int], voxel_size_um: tuple[float, float, float], most_runs: int = N_RUNS
) -> Verdict:
    """Looks which of two channels is constant over time.

    Args:
        source: Of volumes (2, Z, Y, X); they are read RUN by RUN until it is sure.
        shape: T, 2, Z, Y, X.
        voxel_size_um: z, y, x.
        most_runs: How often, at most.
    """
    n_volumes = shape[0]
    if n_volumes < RUN:
        return Verdict(None, f"{n_volumes} volumes are too few to see which channel is constant, it takes {RUN} in a row")
    volume_bytes = 4 * float(np.prod(shape[1:]))
    n_runs = int(np.clip(BUDGET_BYTES / (RUN * volume_bytes), 1, min(most_runs, n_volumes // RUN)))
    more: list[NDArray[np.bool_]] = []
    for start in _spread(n_volumes, n_runs):
        light = _follow(source, range(start, start + RUN), voxel_size_um)
        # what is the same in both tells neither
        told: NDArray[np.bool_] = np.any(~np.isclose(light[..., 0], light[..., 1], rtol=_ALIKE), axis=1)
        if len(light) and not told.any():
            return Verdict(None, "both channels show the same picture")
        drift = _drift(light[told])  # (nuclei, 2)
        more.append(drift[:, 1] > drift[:, 0])
        verdict = _judge(more)
        if verdict.constant is not None:
            return verdict
    return _judge(more)


def _judge(runs: Sequence[NDArray[np.bool_]]) -> Verdict:
    of_each = np.concatenate(runs)
    n, second = len(of_each), int(of_each.sum())
    surplus = (second - n / 2) / np.sqrt(max(n, 1) / 4)  # standard deviations of a fair coin
    leader = 1 if surplus > 0 else 0
    count = second if leader == 1 else n - second
    said = f"of {n} nuclei followed over {RUN} volumes, {count} changed more in channel {leader}"
    sides = [np.mean(run) > 0.5 for run in runs if len(run) >= 5]
    agreed = len(sides) < 2 or float(np.mean(np.array(sides) == (leader == 1))) > 0.6
    if n < _LEAST:
        return Verdict(None, f"only {n} nuclei could be followed over {RUN} volumes in a row")
    return Verdict(1 - leader if abs(surplus) >= _SURE and agreed else None, said)


def _spread(n_volumes: int, n_runs: int) -> list[int]:
    """Returns the first volumes of runs, in an order in which the first few lie far apart."""
    starts = [int(start) for start in np.unique(np.linspace(0, n_volumes - RUN, n_runs).round())]
    return starts[::2] + starts[1::2]


def _follow(source: VolumeSource, times: range, voxel_size_um: tuple[float, float, float]) -> NDArray[np.float64]:
    """Returns (nuclei, volumes, 2) light of the nuclei that were followed through all volumes, 1: as bright as the brightest."""
    scale = np.array(voxel_size_um) * (1, 2, 2)
    places, lights = [], []
    for t in times:
        contrast = _contrast(source.read(t))
        brightest = np.maximum([np.percentile(channel, 99.8) for channel in contrast], 1e-6)
        relative = contrast / brightest[:, None, None, None]
        peaks = _peaks(relative.sum(axis=0))
        places.append(peaks * scale)
        lights.append(np.stack([channel[tuple(peaks.T)] for channel in relative], axis=1))
    tracks = [[i] for i in range(len(places[0]))]
    for before, after in pairwise(places):
        onto = _pairs(before, after)
        tracks = [[*track, onto[track[-1]]] for track in tracks if track[-1] in onto]
    return np.array([[lights[k][i] for k, i in enumerate(track)] for track in tracks]).reshape(-1, len(times), 2)


def _contrast(volume: VoxelArray) -> NDArray[np.float32]:
    """Returns (2, Z, Y/2, X/2): what is brighter than its surroundings, at the size of a nucleus."""
    even = volume[..., : volume.shape[-2] // 2 * 2, : volume.shape[-1] // 2 * 2].astype(np.float32)
    even = np.nan_to_num(even, nan=0.0, posinf=0.0, neginf=0.0)
    c, z, y, x = even.shape
    small = even.reshape(c, z, y // 2, 2, x // 2, 2).mean(axis=(3, 5))
    narrow = [ndimage.gaussian_filter(channel, (0.7, 1, 1)) for channel in small]
    return np.stack([near - ndimage.gaussian_filter(channel, (1.5, 6, 6)) for near, channel in zip(narrow, small, strict=True)])


def _peaks(image: NDArray[np.floating]) -> NDArray[np.int64]:
    """Returns (N, 3) the brightest local maxima."""
    found = np.argwhere((image == ndimage.maximum_filter(image, (3, 5, 5))) & (image > 0))
    return found[np.argsort(-image[tuple(found.T)], kind="stable")][:_NUCLEI]


def _pairs(before: NDArray[np.float64], after: NDArray[np.float64]) -> dict[int, int]:
    """Returns which nucleus is which in the next volume: nearest to each other after a common shift, and nearer than neighbours are."""
    if len(before) < 5 or len(after) < 5:
        return {}
    apart = float(np.median(_nearest(before, before, 2)[0][:, 1]))
    shift = np.zeros(3)
    for _ in range(5):
        away, nearest = _nearest(after, before + shift)
        near = away <= np.percentile(away, 60)
        shift = shift + np.median((after[nearest] - before - shift)[near], axis=0)
    away, nearest = _nearest(after, before + shift)
    back = _nearest(before + shift, after)[1]
    good = (back[nearest] == np.arange(len(before))) & (away < 0.5 * apart)
    return {int(i): int(nearest[i]) for i in np.flatnonzero(good)}


def _nearest(places: NDArray[np.float64], asked: NDArray[np.float64], k: int = 1) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns how far the nearest k places are from those asked for, and which they are."""
    away, which = cKDTree(places).query(asked, k=k)
    return np.asarray(away, np.float64), np.asarray(which, np.int64)


def _drift(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns (nuclei, 2): how much further apart log light is after many volumes than after one."""
    said = np.log(np.maximum(light, _FAINTEST))

    def apart(lag: int) -> NDArray[np.float64]:
        moved: NDArray[np.float64] = np.mean((said[:, lag:] - said[:, :-lag]) ** 2, axis=1)
        return moved

    far = np.mean([apart(lag) for lag in range(RUN // 2, RUN)], axis=0)
    return np.asarray(far - apart(1))
