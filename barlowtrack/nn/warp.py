"""Where a view is read from its crop: turned, tilted, stretched, shifted and bent, in one pass along z and one in the planes.

Maps lead from voxels of the view to voxels of the crop, both counted from their middles, axes z, y, x.

Reference:
    Catmull & Smith 1980, "3-D transformations of images in scanline order": any linear map is a pass along one axis followed by one in
    the other two, so that nothing is read in three dimensions at once; between voxels both passes interpolate linearly.
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
        tilted: Whether z and the plane mix in the linear part; if not, all planes are read alike, which is faster.
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

    The planes of the crop are moved along z first, each pixel by what its place in the plane asks for, and then read in the plane.
    """
    m = at.linear
    if not at.tilted:
        planes = _move_planes(crops, window[0], m[:, 0, 0], at.shift[:, 0])  # (N, Z, Y', X')
        return _read_planes(planes, _field(window, at))
    slope = torch.linalg.solve_ex(m[:, 1:, 1:].mT, m[:, 0, 1:])[0]  # (N, 2) planes a voxel of the crop along y, x
    step = m[:, 0, 0] - (slope * m[:, 1:, 0]).sum(1)  # (N,) planes of the crop from one plane of the view to the next
    planes = _shear_planes(crops, window[0], step, slope, at.shift)  # (N, Z, Y', X')
    z = _from_middle(window[0], crops)
    lean = z[:, None] * m[:, None, 1:, 0].flip(-1)  # (N, Z, 2) how far each plane is read to the side, x y
    field = _field(window, at)[:, None] + lean[:, :, None, None]  # (N, Z, Y, X, 2)
    return _read_planes(planes.flatten(0, 1)[:, None], field.flatten(0, 1)).reshape(-1, *window)


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


def _shear_planes(crops: Tensor, n_planes: int, step: Tensor, slope: Tensor, shift: Tensor) -> Tensor:
    """Interpolates n_planes planes, step (N,) apart, that rise by slope (N, 2) along y and x and pass through shift (N, 3)."""
    depth = crops.shape[1]
    y, x = _from_middle(crops.shape[2], crops), _from_middle(crops.shape[3], crops)
    rise = slope[:, 0, None, None] * (y[:, None] - shift[:, 1, None, None]) + slope[:, 1, None, None] * (x - shift[:, 2, None, None])
    height = step[:, None] * _from_middle(n_planes, crops) + (depth - 1) / 2 + shift[:, :1]  # (N, Z)
    target = (height[:, :, None, None] + rise[:, None]).clamp(0, depth - 1)  # (N, Z, Y', X')
    below = target.long().clamp(max=max(depth - 2, 0))
    above = (below + 1).clamp(max=depth - 1)
    return torch.lerp(crops.gather(1, below), crops.gather(1, above), target - below)


def _field(window: Window, at: Map) -> Tensor:
    """Returns where every pixel of the view's middle plane is read, (N, Y, X, 2) as (x, y) in voxels from the middle of the crop."""
    y, x = _from_middle(window[1], at.linear), _from_middle(window[2], at.linear)
    m, shift = at.linear[:, 1:, 1:, None, None], at.shift[:, 1:, None, None]
    read_x = m[:, 1, 1] * x + m[:, 1, 0] * y[:, None] + shift[:, 1]  # (N, Y, X)
    read_y = m[:, 0, 1] * x + m[:, 0, 0] * y[:, None] + shift[:, 0]
    smooth = functional.interpolate(at.elastic, size=window[1:], mode="bicubic", align_corners=True)  # (N, 2, Y, X)
    return torch.stack([read_x, read_y], -1) + smooth.movedim(1, -1)


def _read_planes(planes: Tensor, field: Tensor) -> Tensor:
    """Reads (B, C, Y', X') at the field (B, Y, X, 2), the same in all C planes."""
    height, width = planes.shape[2:]
    unit = field / field.new_tensor([width / 2, height / 2])  # grid_sample counts from edge to edge of the image: -1 ... 1
    return functional.grid_sample(planes, unit, mode="bilinear", padding_mode="border", align_corners=False)
