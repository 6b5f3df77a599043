"""Where a view is read from its crop: turned, tilted, stretched, shifted and bent, in one step and linearly between voxels.

Maps lead from voxels of the view to voxels of the crop, both counted from their middles, axes z, y, x.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Window = tuple[int, int, int]


class Map(NamedTuple):
    """The linear part, and all else that moves a voxel.

    Attributes:
        linear: (N, 3, 3).
        shift: (N, 3) voxels.
        elastic: (N, 2, P, Q) displacement along x, y at control points spread over the window, voxels.
        tilted: Whether z and the plane mix in the linear part; if not, all planes are read alike.
    """

    linear: Tensor
    shift: Tensor
    elastic: Tensor
    tilted: bool


def linear_map(angle: Tensor, tilt: Tensor, factor: Tensor, voxel_um: tuple[float, float, float]) -> Tensor:
    """Returns the maps (N, 3, 3) that enlarge along z, y, x, then turn about z, then tilt; exact, and rigid in um but for the factors.

    Args:
        angle: (N,) about z, rad.
        tilt: (N, 2) about x and about y, rad.
        factor: (N, 3) by which the view shows things larger along z, y, x.
        voxel_um: Distance of voxels along z, y, x.
    """
    cos, sin = angle.cos(), angle.sin()
    (cos_x, cos_y), (sin_x, sin_y) = tilt.cos().unbind(1), tilt.sin().unbind(1)
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    turn = _matrix([one, zero, zero], [zero, cos, sin], [zero, -sin, cos])
    about_x = _matrix([cos_x, -sin_x, zero], [sin_x, cos_x, zero], [zero, zero, one])
    about_y = _matrix([cos_y, zero, -sin_y], [zero, one, zero], [sin_y, zero, cos_y])
    um = angle.new_tensor(voxel_um)
    return about_x @ about_y @ turn / factor[:, None, :] * (um / um[:, None])


def read(crops: Tensor, window: Window, at: Map) -> Tensor:
    """Reads a view (N, Z, Y, X) of every crop (N, Z', Y', X'); beyond the crop its edge is repeated.

    Without tilt planes are moved along z and then all read alike: the same numbers as in three dimensions, but for rounding, at less cost.
    """
    if at.tilted:
        return _read_volume(crops, window, at)
    planes = _move_planes(crops, window[0], at.linear[:, 0, 0], at.shift[:, 0])  # (N, Z, Y', X')
    return _read_planes(planes, _field(window, at))


def reach(window: Window, rotation_deg: float, tilt_deg: float, scale: float, voxel_um: tuple[float, float, float]) -> Tensor:
    """Returns how far from the middle, (3,) voxels along z, y, x, a view may read that is turned, tilted and made smaller.

    Args:
        window: Z, Y, X of the view.
        rotation_deg: Largest rotation about z, either way.
        tilt_deg: Largest tilt about x and about y, either way.
        scale: Largest change of size, either way, as a share.
        voxel_um: Distance of voxels along z, y, x.
    """
    turns = torch.deg2rad(torch.linspace(0, rotation_deg, 91, dtype=torch.float64))
    tilts = [torch.deg2rad(torch.tensor(pair, dtype=torch.float64)) for pair in itertools.product((-tilt_deg, 0.0, tilt_deg), repeat=2)]
    smallest = torch.full((len(turns), 3), 1 - scale, dtype=torch.float64)
    corner = (torch.tensor(window, dtype=torch.float64) - 1) / 2
    maps = torch.cat([linear_map(turns, tilt.expand(len(turns), 2), smallest, voxel_um) for tilt in tilts])
    return (maps.abs() @ corner).amax(0)


def _matrix(*rows: list[Tensor]) -> Tensor:
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _from_middle(n: int, like: Tensor) -> Tensor:
    return torch.arange(n, device=like.device) - (n - 1) / 2


def _move_planes(crops: Tensor, n_planes: int, step: Tensor, shift: Tensor) -> Tensor:
    """Interpolates n_planes planes around the middle, step (N,) apart and moved by shift (N,)."""
    depth = crops.shape[1]
    target = step[:, None] * _from_middle(n_planes, crops) + (depth - 1) / 2 + shift[:, None]  # (N, Z)
    target = target.clamp(0, depth - 1)
    weight = (1 - (target[:, :, None] - torch.arange(depth, device=crops.device)).abs()).clamp(min=0)  # (N, Z, Z')
    return (weight @ crops.flatten(2)).reshape(len(crops), n_planes, *crops.shape[2:])


def _field(window: Window, at: Map) -> Tensor:
    """Returns where every pixel of the view's middle plane is read, (N, Y, X, 2) as (x, y) in voxels from the middle of the crop."""
    y, x = _from_middle(window[1], at.linear), _from_middle(window[2], at.linear)
    m, shift = at.linear[:, 1:, 1:, None, None], at.shift[:, 1:, None, None]
    read_x = m[:, 1, 1] * x + m[:, 1, 0] * y[:, None] + shift[:, 1]  # (N, Y, X)
    read_y = m[:, 0, 1] * x + m[:, 0, 0] * y[:, None] + shift[:, 0]
    return torch.stack([read_x, read_y], -1) + _bending(window, at)


def _read_planes(planes: Tensor, field: Tensor) -> Tensor:
    """Reads (B, C, Y', X') at the field (B, Y, X, 2), the same in all C planes."""
    height, width = planes.shape[2:]
    unit = field / field.new_tensor([width / 2, height / 2])  # grid_sample counts from edge to edge of the image: -1 ... 1
    return functional.grid_sample(planes, unit, mode="bilinear", padding_mode="border", align_corners=False)


def _read_volume(crops: Tensor, window: Window, at: Map) -> Tensor:
    """Reads every voxel of the view where the map says: where its pixel of the middle plane says, and as far off as its plane is."""
    m, (z, y, x) = at.linear.flip(1), [_from_middle(n, crops) for n in window]  # rows of m are x, y, z
    plane = torch.cartesian_prod(y, x) @ m[:, :, 1:].mT + at.shift.flip(1)[:, None]  # (N, YX, 3)
    plane = plane.reshape(-1, *window[1:], 3)
    plane[..., :2] += _bending(window, at)
    lean = z[:, None] * m[:, None, :, 0]  # (N, Z, 3)
    unit = 2 / plane.new_tensor(crops.shape[:0:-1])  # (3,) see _read_planes
    field = (plane * unit)[:, None] + (lean * unit)[:, :, None, None]  # (N, Z, Y, X, 3)
    return functional.grid_sample(crops[:, None], field, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]


def _bending(window: Window, at: Map) -> Tensor:
    """Returns the elastic displacement of every pixel, (N, Y, X, 2) as (x, y)."""
    smooth = functional.interpolate(at.elastic, size=window[1:], mode="bicubic", align_corners=True)  # (N, 2, Y, X)
    return smooth.movedim(1, -1)
