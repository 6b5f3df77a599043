"""Two views of every crop of a volume at once: what the encoder shall learn to overlook.

Every object draws its own rotation, shift, deformation, brightness and accidents in each view: neighbours in a volume are not turned
together (unless asked for), so that nothing but the object itself agrees between its two views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from barlowtrack.nn.warp import Map, Window, linear_map, reach, read

_CONTROL_POINTS = 4
_N_HOLES = 2
_HOLE_UM = 1.5  # standard deviation of a hole: about the radius of a nucleus
_HOLE_FROM_UM, _HOLE_TO_UM = 2.5, 6.0  # where neighbours are
_SPARED_UM = (1.5, 2.5)  # the object itself: no hole up to the first distance, all of it from the second


@dataclass(frozen=True)
class Augmentation:
    """How far views may differ; every range is uniform and of 0 leaves the view as it is.

    Attributes:
        rotation_deg: Rotation about z through the nucleus, uniform in plus and minus this.
        elastic_vox: Standard deviation of an in-plane displacement, smooth between 4 x 4 control points, the same for all planes.
        shift_vox: Shift along z, y and x, uniform in plus and minus this.
        brightness: Factor uniform in 1 plus and minus this.
        noise: Standard deviation of noise added last, so that nothing rescales it away; 1 is a bright nucleus.
        shared_rotation: All objects of a view turn by the same angle.
        tilt_deg: Tilt about x and about y, each uniform in plus and minus this.
        scale: Factors of size along z, y and x, each uniform in 1 plus and minus this.
        shift_z_vox: Further shift along z, uniform in plus and minus this.
        blur_vox: Standard deviation of a blur in the plane, uniform from 0 to this.
        neighbour_dropout: Probability that light beside the object is taken away in one or two places, as if a neighbour were missing.
        missing_planes: Probability of each plane to be dark.
        voxel_um: Distance of voxels along z, y, x: what is turned or tilted keeps its shape in um.
    """

    rotation_deg: float = 0.0
    elastic_vox: float = 0.0
    shift_vox: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0
    shared_rotation: bool = False
    tilt_deg: float = 0.0
    scale: float = 0.0
    shift_z_vox: float = 0.0
    blur_vox: float = 0.0
    neighbour_dropout: float = 0.0
    missing_planes: float = 0.0
    voxel_um: tuple[float, float, float] = (1.0, 1.0, 1.0)


def centre_window(crops: Tensor, window: Window) -> Tensor:
    """Cuts the middle out of (N, Z, Y, X); the sizes differ by an even number along every axis."""
    slices = [slice((have - want) // 2, (have - want) // 2 + want) for have, want in zip(crops.shape[1:], window, strict=True)]
    return crops[:, slices[0], slices[1], slices[2]]


def least_crop(window: Window, augmentation: Augmentation) -> Window:
    """Returns how large crops must be, Z', Y', X', so that no view of this window reaches beyond them and sees their edge repeated.

    Elastic deformation is not counted: it has no bounds, and is 0 on average.
    """
    a = augmentation
    far = reach(window, a.rotation_deg, a.tilt_deg, a.scale, a.voxel_um) + a.shift_vox  # (3,)
    far[0] += a.shift_z_vox
    z, y, x = (math.ceil(2 * distance + 1 - 1e-6) for distance in far.tolist())
    return z + (z - window[0]) % 2, y + (y - window[1]) % 2, x + (x - window[2]) % 2


def view(crops: Tensor, window: Window, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Returns one random view of every crop, all objects at once.

    A view is sampled from the larger crop: it shows what surrounds the nucleus, not an empty corner. Where an extreme deformation
    reaches beyond even the larger crop, its edge is repeated; see least_crop. Light comes after geometry, and noise last.

    Args:
        crops: (N, Z', Y', X') at least as large as the window.
        window: Z, Y, X of the view.
        augmentation: How far it may differ.
        generator: On the device of the crops. What is not asked for draws nothing from it, but for rotation, shift, elastic deformation,
            brightness and noise.

    Returns:
        (N, Z, Y, X) float32.
    """
    n, device = len(crops), crops.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device) * 2 - 1

    a = augmentation
    shift = a.shift_vox * uniform(n, 3)  # (N, 3)
    angle = math.radians(a.rotation_deg) * uniform(n)  # (N,)
    shape = (n, 2, _CONTROL_POINTS, _CONTROL_POINTS)
    elastic = a.elastic_vox * torch.randn(shape, generator=generator, device=device)
    brightness = 1 + a.brightness * uniform(n, 1, 1, 1)
    noise = torch.randn((n, *window), generator=generator, device=device)

    angle = angle[:1].expand(n) if a.shared_rotation else angle
    tilt = math.radians(a.tilt_deg) * uniform(n, 2) if a.tilt_deg else angle.new_zeros(n, 2)
    factor = 1 + a.scale * uniform(n, 3) if a.scale else angle.new_ones(n, 3)
    if a.shift_z_vox:
        shift = shift + a.shift_z_vox * uniform(n, 1) * shift.new_tensor([1, 0, 0])
    seen = read(crops.float(), window, Map(linear_map(angle, tilt, factor, a.voxel_um), shift, elastic, a.tilt_deg > 0))
    if a.neighbour_dropout:
        seen = seen * _without_neighbours(window, a, n, generator)
    if a.blur_vox:
        seen = _blurred(seen, a.blur_vox * uniform(n).abs())
    seen = seen * brightness
    if a.missing_planes:
        seen = seen * (torch.rand((n, window[0], 1, 1), generator=generator, device=device) >= a.missing_planes)
    return seen + a.noise * noise


def _without_neighbours(window: Window, augmentation: Augmentation, n: int, generator: torch.Generator) -> Tensor:
    """Returns what is left, 0 to 1 in (n, Z, Y, X), of light where one or two neighbours at random places are taken away, or none."""
    device = generator.device
    away = torch.randn((n, _N_HOLES, 3), generator=generator, device=device)
    away = away * (torch.tensor(window, device=device) > 1)  # in a single plane neighbours lie beside, not above
    away = away / away.norm(dim=2, keepdim=True).clamp(min=1e-6)
    share = torch.rand((n, _N_HOLES + 2), generator=generator, device=device)
    place = away * (_HOLE_FROM_UM + (_HOLE_TO_UM - _HOLE_FROM_UM) * share[:, :_N_HOLES, None])  # (n, 2, 3) um
    happens = share[:, 2] < augmentation.neighbour_dropout
    depth = torch.stack([happens, happens & (share[:, 3] < 0.5)], 1).float()  # (n, 2) the second hole half the time

    um = [(torch.arange(m, device=device) - (m - 1) / 2) * d for m, d in zip(window, augmentation.voxel_um, strict=True)]
    z, y, x = (torch.exp(-0.5 * ((at - place[:, :, axis, None]) / _HOLE_UM) ** 2) for axis, at in enumerate(um))  # (n, 2, M)
    distance = (um[0][:, None, None] ** 2 + um[1][:, None] ** 2 + um[2] ** 2).sqrt()  # (Z, Y, X)
    beside = ((distance - _SPARED_UM[0]) / (_SPARED_UM[1] - _SPARED_UM[0])).clamp(0, 1)
    left = torch.ones((n, *window), device=device)
    for hole in range(_N_HOLES):
        plane = y[:, hole, :, None] * x[:, hole, None, :]  # (n, Y, X)
        left = left * (1 - (depth[:, hole, None] * z[:, hole])[:, :, None, None] * plane[:, None] * beside)
    return left


def _blurred(seen: Tensor, sigma: Tensor) -> Tensor:
    """Blurs the planes of (N, Z, Y, X) by a Gaussian of sigma (N,) voxels; light at the rim is reflected, so that none is lost."""
    for _ in range(2):  # along x and, turned over, along y
        seen = (seen.flatten(1, 2) @ _gaussian(seen.shape[3], sigma)).reshape(seen.shape).mT
    return seen


def _gaussian(n: int, sigma: Tensor) -> Tensor:
    """Returns symmetric matrices (N, n, n) that blur along an axis; rows and columns sum to 1."""
    i = torch.arange(n, device=sigma.device)
    direct, sum_ = i[:, None] - i, i[:, None] + i + 1
    images = torch.stack([direct, sum_, sum_ - 2 * n]).float()  # from the voxel itself and from its mirror images beyond either rim
    weight = torch.exp(-0.5 * (images / sigma.clamp(min=1e-2)[:, None, None, None]) ** 2).sum(1)  # (N, n, n)
    return weight / weight.sum(2, keepdim=True)
