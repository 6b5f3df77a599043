import dataclasses
import math

import pytest
import torch
from torch import Tensor

from barlowtrack.nn.augment import Augmentation, centre_window, two_views, view

WINDOW = (4, 16, 16)
EVERYTHING = Augmentation(rotation_deg=30, elastic_vox=1.5, shift_vox=1, brightness=0.2, noise=0.05)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def arrow(n: int, angle: Tensor | None = None, window: tuple[int, int, int] = (6, 24, 24)) -> Tensor:
    """n crops with one blob 6 voxels off the middle, along x, or turned by an angle each."""
    angle = torch.zeros(n) if angle is None else angle
    y = torch.arange(window[1]) - (window[1] - 1) / 2
    x = torch.arange(window[2]) - (window[2] - 1) / 2
    along_x, along_y = 6 * angle.cos()[:, None, None], 6 * angle.sin()[:, None, None]
    blob = torch.exp(-((y[:, None] - along_y) ** 2 + (x - along_x) ** 2) / 8)  # (n, Y, X)
    return blob[:, None].expand(n, *window).contiguous()


def angles_of(views: Tensor) -> Tensor:
    weight = views.sum(1)  # (N, Y, X)
    y = torch.arange(weight.shape[1]) - (weight.shape[1] - 1) / 2
    x = torch.arange(weight.shape[2]) - (weight.shape[2] - 1) / 2
    total = weight.sum((1, 2))
    return torch.atan2((weight * y[:, None]).sum((1, 2)) / total, (weight * x).sum((1, 2)) / total)


def test_no_augmentation_is_the_centre_window() -> None:
    crops = torch.randn(3, 6, 24, 24, generator=generator())
    assert torch.allclose(view(crops, WINDOW, Augmentation(), generator()), centre_window(crops, WINDOW), atol=1e-5)


def test_every_object_turns_on_its_own_within_the_range() -> None:
    turned = angles_of(view(arrow(200), (4, 20, 20), Augmentation(rotation_deg=30), generator()))
    degrees = torch.rad2deg(turned)

    assert degrees.abs().max() < 31.5
    assert degrees.std() == pytest.approx(60 / math.sqrt(12), rel=0.15)  # uniform in +-30, drawn for each object, not once
    assert degrees.mean().abs() < 4


def test_rotation_is_a_rotation() -> None:
    rotated = view(arrow(50), (4, 20, 20), Augmentation(rotation_deg=180), generator())
    again = view(arrow(50, angles_of(rotated)), (4, 20, 20), Augmentation(), generator())
    assert (rotated - again).abs().max() < 0.08  # bilinear sampling of a blob


def test_the_two_views_differ_and_the_seed_repeats_them() -> None:
    crops = arrow(5)
    first, second = two_views(crops, WINDOW, EVERYTHING, generator(3))
    again = two_views(crops, WINDOW, EVERYTHING, generator(3))

    assert not torch.allclose(first, second, atol=0.05)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])


@pytest.mark.parametrize("rotation", [30.0, 180.0])
@pytest.mark.parametrize("margin", [0, 8])
def test_no_view_shows_an_empty_corner(rotation: float, margin: int) -> None:
    crops = torch.ones(64, WINDOW[0] + 2, WINDOW[1] + margin, WINDOW[2] + margin)
    strong = Augmentation(rotation_deg=rotation, elastic_vox=2, shift_vox=1.5)
    assert view(crops, WINDOW, strong, generator()).min() > 1 - 1e-5


def test_a_margin_shows_what_is_there_and_not_the_edge_repeated() -> None:
    ramp = torch.arange(24.0).expand(64, 6, 24, 24).contiguous()
    seen = view(ramp, WINDOW, Augmentation(rotation_deg=30, shift_vox=1), generator())
    assert seen.max() > 19.5  # the window itself reaches from 4 to 19
    assert seen.min() < 3.5


def test_shift_moves_by_part_of_a_voxel_along_every_axis() -> None:
    crops = torch.zeros(200, 6, 24, 24)
    z, y, x = (torch.arange(6.0)[:, None, None], torch.arange(24.0)[:, None], torch.arange(24.0))
    for axis, ramp in enumerate((z, y, x)):
        moved = view(crops + ramp, WINDOW, Augmentation(shift_vox=1), generator(axis)) - centre_window(crops + ramp, WINDOW)
        by = moved.mean((1, 2, 3))
        assert by.abs().max() <= 1.001
        assert by.std() == pytest.approx(2 / math.sqrt(12), rel=0.2)


def test_elastic_deforms_each_object_differently_and_smoothly() -> None:
    ramp = torch.arange(24.0).expand(8, 6, 24, 24).contiguous()
    bent = view(ramp, WINDOW, Augmentation(elastic_vox=1), generator()) - centre_window(ramp, WINDOW)
    assert 0.2 < bent.std() < 2
    assert bent.diff(dim=2).std() < 0.5 * bent.std()
    assert not torch.allclose(bent[0], bent[1], atol=0.1)


def test_noise_comes_after_brightness_and_is_not_rescaled_away() -> None:
    dark = torch.zeros(50, 6, 24, 24)
    seen = view(dark, WINDOW, Augmentation(brightness=0.9, noise=0.05), generator())
    assert float(seen.std()) == pytest.approx(0.05, rel=0.05)
    assert float(seen.flatten(1).std(1).std()) < 0.005


def test_brightness_is_drawn_for_each_object() -> None:
    bright = view(torch.ones(200, 6, 24, 24), WINDOW, Augmentation(brightness=0.2), generator()).mean((1, 2, 3))
    assert bright.min() > 0.79
    assert bright.max() < 1.21
    assert bright.std() == pytest.approx(0.4 / math.sqrt(12), rel=0.2)


def test_half_precision_crops_are_accepted_and_no_crop_is_no_crop() -> None:
    assert view(arrow(2).half(), WINDOW, EVERYTHING, generator()).dtype == torch.float32
    assert view(torch.zeros(0, 6, 24, 24), WINDOW, EVERYTHING, generator()).shape == (0, *WINDOW)


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EVERYTHING.noise = 1.0  # type: ignore[misc]
