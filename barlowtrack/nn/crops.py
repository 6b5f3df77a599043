"""Boxes around nuclei, on a grid fixed in um: what training and inference share, so that both see the same centre and brightness."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from barlowtrack.config import ComputeConfig
from barlowtrack.data import Detections, IntArray, Recording
from barlowtrack.errors import InputError
from barlowtrack.faults import side_by_side
from barlowtrack.nn.device import n_workers
from barlowtrack.nn.scale import scale_volume

_GATHER_BYTES = 64 * 2**20

Size = tuple[float, float, float]
Grid = tuple[int, int, int]


class VolumeCrops(NamedTuple):
    """Crops of one volume: t, (n,) rows of Detections, (n, Z, Y, X) float32 on the CPU."""

    t: int
    row: IntArray
    values: Tensor


def larger_grid(grid: Grid, margin: float) -> Grid:
    """Returns the smallest grid at least `margin` times as large whose centre is that of `grid`, voxel for voxel."""
    wanted = [math.ceil(n * margin - 1e-9) for n in grid]
    z, y, x = (m + (m - n) % 2 for n, m in zip(grid, wanted, strict=True))
    return z, y, x


def crop_volume(volume: Tensor, position_um: Tensor, voxel_size_um: Size, size_um: Size, grid: Grid) -> Tensor:
    """Samples a box around every position onto a fixed grid.

    The box is axis-aligned, so trilinear sampling is three small matrix products a crop (one an axis) instead of eight look-ups a
    voxel. Where the recording is finer than the grid the interpolating triangle widens to the grid's step, which is the usual
    antialiasing filter; where it is coarser this is plain trilinear interpolation. Outside the volume lies background (0).

    Args:
        volume: (Z, Y, X) float32, background 0.
        position_um: (n, 3) centres; the centre of voxel (0, 0, 0) is at 0 um.
        voxel_size_um: Of the volume, z y x.
        size_um: Of the box, z y x; its middle is the position.
        grid: Voxels of the box, z y x.

    Returns:
        (n, *grid) float32.
    """
    n = len(position_um)
    taps = [_taps(position_um[:, axis], voxel_size_um[axis], size_um[axis], grid[axis], volume.shape[axis]) for axis in range(3)]
    box = math.prod(index.shape[1] for index, _ in taps)
    step = max(1, _GATHER_BYTES // (4 * box))
    out = volume.new_empty((n, *grid))
    for first in range(0, n, step):
        rows = slice(first, first + step)
        (z, wz), (y, wy), (x, wx) = [(index[rows], weight[rows].to(volume)) for index, weight in taps]
        values = volume[z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]]  # (n, Bz, By, Bx)
        values = values @ wx[:, None].mT  # (n, Bz, By, X)
        values = wy[:, None] @ values  # (n, Bz, Y, X)
        out[rows] = (wz @ values.flatten(2)).reshape(-1, *grid)  # (n, Z, Y, X)
    return out


def _taps(position_um: Tensor, voxel_um: float, size_um: float, n_grid: int, n_voxels: int) -> tuple[Tensor, Tensor]:
    """Returns which voxels along an axis every crop reads, (n, B), and their weight in every grid point, (n, n_grid, B)."""
    step = size_um / n_grid / voxel_um
    reach = max(1.0, step)
    offset = (torch.arange(n_grid, dtype=torch.float64, device=position_um.device) - (n_grid - 1) / 2) * step
    target = position_um.double()[:, None] / voxel_um + offset  # (n, G) in voxels
    n_taps = math.ceil((n_grid - 1) * step + 2 * reach) + 1
    index = torch.floor(target[:, :1] - reach).long() + torch.arange(n_taps, device=target.device)  # (n, B)
    weight = (1 - (target[:, :, None] - index[:, None, :]).abs() / reach).clamp_(min=0)  # (n, G, B)
    weight /= weight.sum(dim=2, keepdim=True)
    weight *= ((index >= 0) & (index < n_voxels))[:, None, :]  # outside is 0, not the edge repeated
    return index.clamp(0, n_voxels - 1), weight


def read_crops(recording: Recording, detections: Detections, t: int, size_um: Size, grid: Grid) -> VolumeCrops:
    """Reads, scales and crops one volume; the only way by which training and inference come to their crops.

    Raises:
        InputError: a nucleus lies outside the volume, where its crop would be empty, or the volume holds NaN or infinity where crops
            are cut.
    """
    rows = detections.rows_of(t)
    row = np.arange(rows.start, rows.stop)
    if not len(row):
        return VolumeCrops(t, row, torch.zeros((0, *grid)))
    place = detections.position_um[rows] / np.asarray(recording.voxel_size_um)
    if np.any(place < -0.5) or np.any(place > np.asarray(recording.volume_shape) - 0.5):
        size = " x ".join(f"{n * s:g}" for n, s in zip(recording.volume_shape, recording.voxel_size_um, strict=True))
        raise InputError(
            f"{recording.name}: volume {t}: expected nuclei inside its {size} um (z y x), got some outside; is the voxel size right?"
        )
    volume = scale_volume(recording.read(t)[recording.reference], detections.red_peak[rows])
    position = torch.as_tensor(np.asarray(detections.position_um[rows], dtype=np.float64))
    values = crop_volume(torch.from_numpy(volume), position, recording.voxel_size_um, size_um, grid)
    if not bool(torch.isfinite(values).all()):
        raise InputError(f"{recording.name}: volume {t}: expected finite voxels around the nuclei, got NaN or infinity")
    return VolumeCrops(t, row, values)


def read_crops_ahead(
    recording: Recording, detections: Detections, volumes: Sequence[int], size_um: Size, grid: Grid, compute: ComputeConfig
) -> Iterator[VolumeCrops]:
    """Yields the crops of the volumes in their order, a few volumes ahead of whoever takes them.

    How many ahead is bounded by the threads and by the memory budget, never by the number of volumes; see side_by_side.
    """
    workers = n_workers(compute)
    voxels = math.prod(recording.volume_shape)
    per_volume = voxels * (recording.shape[1] * recording.dtype.itemsize + 8) + _GATHER_BYTES * 2
    ahead = int(min(2 * workers, max(1, compute.memory_gb * 2**30 / 2 // per_volume)))
    with (
        ThreadPoolExecutor(min(workers, ahead)) as pool,
        closing(side_by_side(pool, lambda t: read_crops(recording, detections, int(t), size_um, grid), volumes, ahead)) as done,
    ):
        yield from done
