"""What is read, against the map itself, evaluated exactly."""

import math

import pytest
import torch
from torch import Tensor

from barlowtrack.nn.warp import Map, linear_map, reach, read

VOXEL_UM = (1.5, 0.5, 0.4)
WINDOW = (8, 24, 28)
LARGE = (16, 44, 52)


def coordinates(size: tuple[int, int, int]) -> Tensor:
    """(Z, Y, X, 3) voxels from the middle."""
    axes = [torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def scene(at_um: Tensor) -> Tensor:
    """A scene that can be asked for at any place: three soft blobs, no two alike."""
    blobs = torch.tensor([[0.0, 0.5, -1.0], [3.0, 3.0, 2.0], [-3.5, -1.0, 4.0]], dtype=torch.float64)
    spread = torch.tensor([3.0, 2.0, 2.0], dtype=torch.float64)
    return sum(
        (w * torch.exp(-0.5 * (((at_um - blob) / spread) ** 2).sum(-1)) for w, blob in zip((1.0, 0.6, 0.8), blobs, strict=True)),
        torch.zeros(()),
    )


def one_map(angle: float = 0, tilt: tuple[float, float] = (0, 0), factor: tuple[float, float, float] = (1, 1, 1), shift=(0, 0, 0)) -> Map:
    linear = linear_map(
        torch.tensor([float(angle)]), torch.tensor([tilt], dtype=torch.float32), torch.tensor([factor], dtype=torch.float32), VOXEL_UM
    )
    return Map(linear, torch.tensor([shift], dtype=torch.float32), torch.zeros(1, 2, 4, 4), any(tilt))


def by_hand(angle: float, tilt: tuple[float, float], factor: tuple[float, float, float]) -> Tensor:
    """The same map in um, written out for z, y, x: enlarge, turn about z, tilt about y, then about x."""
    (a, b), c, s = tilt, math.cos(angle), math.sin(angle)
    larger = torch.diag(1 / torch.tensor(factor, dtype=torch.float64))
    turn = torch.tensor([[1, 0, 0], [0, c, s], [0, -s, c]], dtype=torch.float64)
    about_y = torch.tensor([[math.cos(b), 0, -math.sin(b)], [0, 1, 0], [math.sin(b), 0, math.cos(b)]], dtype=torch.float64)
    about_x = torch.tensor([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]], dtype=torch.float64)
    return about_x @ about_y @ turn @ larger


@pytest.mark.parametrize(
    ("angle", "tilt", "factor", "shift"),
    [
        (0.0, (0.0, 0.0), (1.0, 1.0, 1.0), (0.3, -0.7, 0.4)),
        (0.9, (0.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
        (0.0, (0.2, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
        (0.0, (0.0, -0.3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
        (-2.0, (0.25, 0.2), (1.0, 1.0, 1.0), (0.4, 1.2, -0.6)),
        (0.5, (0.0, 0.0), (1.2, 0.8, 1.1), (0.0, 0.0, 0.0)),
        (0.5, (0.2, -0.3), (1.2, 0.8, 1.1), (0.2, -0.5, 0.5)),
    ],
)
def test_a_view_shows_what_the_map_in_um_says(angle, tilt, factor, shift) -> None:
    um = torch.tensor(VOXEL_UM, dtype=torch.float64)
    crops = scene(coordinates(LARGE) * um).float()[None]
    seen = read(crops, WINDOW, one_map(angle, tilt, factor, shift))[0]
    exact = scene((coordinates(WINDOW) * um) @ by_hand(angle, tilt, factor).T + torch.tensor(shift, dtype=torch.float64) * um)
    assert (seen - exact).abs().max() < 0.05  # linear interpolation between planes 1.5 um apart
    if angle or any(tilt):
        assert (scene(coordinates(WINDOW) * um) - exact).abs().max() > 0.15  # what a missing rotation would cost


def test_a_map_without_tilt_is_the_same_by_both_ways() -> None:
    crops = torch.rand(1, *LARGE, generator=torch.Generator().manual_seed(0))
    plain = one_map(0.7, factor=(1.1, 0.9, 1.2), shift=(0.3, 0.2, -0.4))
    assert torch.allclose(read(crops, WINDOW, plain), read(crops, WINDOW, plain._replace(tilted=True)), atol=1e-4)


def test_tilt_lifts_one_side_and_leans_the_top_and_leaves_the_middle() -> None:
    z, y = coordinates(LARGE)[..., 0].float()[None], coordinates(LARGE)[..., 1].float()[None]
    tilt = one_map(tilt=(0.1, 0.0))
    height, beside = read(z, WINDOW, tilt)[0], read(y, WINDOW, tilt)[0]
    middle = 0.5 * (height[3:5, 11:13, 13:15].mean() + beside[3:5, 11:13, 13:15].mean())
    assert abs(float(middle)) < 1e-3
    rise = (height[4, -1] - height[4, 0]).mean() * VOXEL_UM[0]
    assert float(rise) == pytest.approx(-23 * VOXEL_UM[1] * math.sin(0.1), rel=1e-3)
    lean = (beside[-1, 12] - beside[0, 12]).mean() * VOXEL_UM[1]
    assert float(lean) == pytest.approx(7 * VOXEL_UM[0] * math.sin(0.1), rel=1e-3)


def test_reach_is_that_of_the_worst_view() -> None:
    ranges = (40.0, 12.0, 0.2)
    corner = (torch.tensor(WINDOW, dtype=torch.float64) - 1) / 2
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)
    generator = torch.Generator().manual_seed(0)
    draw = (torch.rand((20_000, 6), generator=generator, dtype=torch.float64) * 2 - 1).sign()  # ends of the ranges, but of the angle
    angle = torch.deg2rad(torch.tensor(ranges[0])) * torch.rand(20_000, generator=generator, dtype=torch.float64)
    maps = linear_map(angle, torch.deg2rad(torch.tensor(ranges[1])) * draw[:, 1:3], 1 + ranges[2] * draw[:, 3:], VOXEL_UM)
    furthest = torch.einsum("nij,sj->nsi", maps, signs * corner).abs().amax((0, 1))
    assert torch.allclose(reach(WINDOW, *ranges, VOXEL_UM), furthest, rtol=1e-3)
