"""Two views of every crop of a volume at once: what the encoder shall learn to overlook.

Every object draws its own rotation, shift, deformation and brightness in each view: neighbours in a volume are not turned together,
so that nothing but the object itself agrees between its two views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Window = tuple[int, int, int]
_CONTROL_POINTS = 4


@dataclass(frozen=True)
class Augmentation:
    """How far views may differ.

    Attributes:
        rotation_deg: Rotation about z through the nucleus, uniform in plus and minus this.
        elastic_vox: Standard deviation of an in-plane displacement, smooth between 4 x 4 control points, the same for all planes.
        shift_vox: Shift along z, y and x, uniform in plus and minus this.
        brightness: Factor uniform in 1 plus and minus this.
        noise: Standard deviation of noise added last, so that nothing rescales it away; 1 is a bright nucleus.
    """

    rotation_deg: float = 0.0
    elastic_vox: float = 0.0
    shift_vox: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0


def centre_window(crops: Tensor, window: Window) -> Tensor:
    """Cuts the middle out of (N, Z, Y, X); the sizes differ by an even number along every axis."""
    slices = [slice((have - want) // 2, (have - want) // 2 + want) for have, want in zip(crops.shape[1:], window, strict=True)]
    return crops[:, slices[0], slices[1], slices[2]]


def two_views(crops: Tensor, window: Window, augmentation: Augmentation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns two independent views of every crop."""
    return view(crops, window, augmentation, generator), view(crops, window, augmentation, generator)


def view(crops: Tensor, window: Window, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Returns one random view of every crop, all objects at once.

    A view is sampled from the larger crop, in one step: it shows what surrounds the nucleus, not an empty corner. Where an extreme
    deformation reaches beyond even the larger crop, its edge is repeated.

    Args:
        crops: (N, Z', Y', X') at least as large as the window.
        window: Z, Y, X of the view.
        augmentation: How far it may differ.
        generator: On the device of the crops.

    Returns:
        (N, Z, Y, X).
    """
    n, device = len(crops), crops.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device) * 2 - 1

    shift = augmentation.shift_vox * uniform(n, 3)  # (N, 3)
    angle = math.radians(augmentation.rotation_deg) * uniform(n)  # (N,)
    shape = (n, 2, _CONTROL_POINTS, _CONTROL_POINTS)
    elastic = augmentation.elastic_vox * torch.randn(shape, generator=generator, device=device)
    factor = 1 + augmentation.brightness * uniform(n, 1, 1, 1)
    noise = torch.randn((n, *window), generator=generator, device=device)

    planes = _sample_z(crops.float(), window[0], shift[:, 0])  # (N, Z, Y', X')
    field = _field(window, angle, shift[:, 1:], elastic)  # (N, Y, X, 2)
    return _sample_plane(planes, field) * factor + augmentation.noise * noise  # (N, Z, Y, X)


def _sample_z(crops: Tensor, n_planes: int, shift: Tensor) -> Tensor:
    """Interpolates n_planes planes around the middle, moved by shift (N,)."""
    depth = crops.shape[1]
    target = torch.arange(n_planes, device=crops.device) + (depth - n_planes) / 2 + shift[:, None]  # (N, Z)
    target = target.clamp(0, depth - 1)
    weight = (1 - (target[:, :, None] - torch.arange(depth, device=crops.device)).abs()).clamp(min=0)  # (N, Z, Z')
    return (weight @ crops.flatten(2)).reshape(len(crops), n_planes, *crops.shape[2:])


def _field(window: Window, angle: Tensor, shift: Tensor, elastic: Tensor) -> Tensor:
    """Returns where every pixel of the window is read, (N, Y, X, 2) as (x, y) in voxels from the middle of the crop."""
    device = angle.device
    y = torch.arange(window[1], device=device) - (window[1] - 1) / 2
    x = torch.arange(window[2], device=device) - (window[2] - 1) / 2
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    turned_x = cos * x - sin * y[:, None]  # (N, Y, X)
    turned_y = sin * x + cos * y[:, None]
    smooth = functional.interpolate(elastic, size=window[1:], mode="bicubic", align_corners=True)  # (N, 2, Y, X)
    return torch.stack([turned_x + shift[:, 1, None, None], turned_y + shift[:, 0, None, None]], -1) + smooth.movedim(1, -1)


def _sample_plane(planes: Tensor, field: Tensor) -> Tensor:
    """Reads (N, Z, Y', X') at the field, the same in all planes."""
    height, width = planes.shape[2:]
    unit = field / field.new_tensor([width / 2, height / 2])  # grid_sample counts from edge to edge of the image: -1 ... 1
    return functional.grid_sample(planes, unit, mode="bilinear", padding_mode="border", align_corners=False)
