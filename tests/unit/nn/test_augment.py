import dataclasses
import math

import pytest
import torch
from torch import Tensor

from barlowtrack.nn.augment import Augmentation, centre_window, least_crop, view

WINDOW = (4, 16, 16)
VOXEL_UM = (1.5, 0.5, 0.5)
OLD = Augmentation(rotation_deg=30, elastic_vox=1.5, shift_vox=1, brightness=0.2, noise=0.05, voxel_um=VOXEL_UM)
NEW = {"tilt_deg": 8.0, "scale": 0.1, "shift_z_vox": 0.5, "blur_vox": 1.0, "neighbour_dropout": 0.5, "missing_planes": 0.1}
EVERYTHING = dataclasses.replace(OLD, **NEW)


def two_views(crops: Tensor, window: tuple[int, int, int], augmentation: Augmentation, random: torch.Generator) -> tuple[Tensor, Tensor]:
    return view(crops, window, augmentation, random), view(crops, window, augmentation, random)


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
    for n in (0, 1):
        seen = view(torch.zeros(n, 6, 24, 24), WINDOW, EVERYTHING, generator())
        assert seen.shape == (n, *WINDOW)
        assert bool(torch.isfinite(seen).all())
        assert not seen.requires_grad


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EVERYTHING.noise = 1.0  # type: ignore[misc]


def test_old_settings_draw_what_they_always_drew() -> None:
    crops = torch.linspace(0, 1, 3 * 6 * 24 * 24).reshape(3, 6, 24, 24)
    seen = view(crops, WINDOW, OLD, generator(1))
    # As of the version without tilt, scale, blur and accidents: results of recordings must not change under their settings.
    assert torch.allclose(seen[[0, 1, 2], [0, 1, 3], [0, 7, 15], [0, 8, 3]], torch.tensor([0.172056, 0.501969, 1.036295]), atol=1e-5)


@pytest.mark.parametrize("name", NEW)
def test_a_new_range_changes_nothing_where_it_is_next_to_nothing(name: str) -> None:
    crops = torch.rand(6, 6, 24, 24, generator=generator(1))
    barely = view(crops, WINDOW, dataclasses.replace(OLD, **{name: 1e-7}), generator())
    assert torch.allclose(barely, view(crops, WINDOW, OLD, generator()), atol=1e-4)


@pytest.mark.parametrize("name", NEW)
def test_every_new_range_changes_every_view_or_so(name: str) -> None:
    crops = torch.rand(40, 6, 24, 24, generator=generator(1))
    first, second = two_views(crops, WINDOW, Augmentation(**{name: NEW[name]}, voxel_um=VOXEL_UM), generator())
    differ = (first - second).abs().amax((1, 2, 3)) > 0.01
    assert differ.float().mean() > 0.3


def test_shared_rotation_turns_all_objects_of_a_view_alike_and_the_other_view_otherwise() -> None:
    shared = Augmentation(rotation_deg=30, shared_rotation=True)
    first, second = two_views(arrow(20), (4, 20, 20), shared, generator())
    assert angles_of(first).std() < 1e-4
    assert angles_of(second).std() < 1e-4
    assert (angles_of(first)[0] - angles_of(second)[0]).abs() > 0.02


def test_what_is_turned_keeps_its_shape_in_um() -> None:
    crops = torch.zeros(20, 6, 48, 24)
    y, x = (torch.arange(48.0) - 23.5) * 0.25, (torch.arange(24.0) - 11.5) * 0.5
    crops += torch.exp(-0.5 * (y[:, None] ** 2 + x**2) / 1.5**2)  # round in um, not in voxels
    seen = view(crops, (4, 32, 16), Augmentation(rotation_deg=90, voxel_um=(1.5, 0.25, 0.5)), generator())
    assert (seen - centre_window(crops, (4, 32, 16))).abs().max() < 0.02


def test_tilt_moves_the_top_and_the_bottom_apart_and_the_middle_not() -> None:
    crops = torch.arange(24.0).expand(200, 7, 24, 24).contiguous()  # a view of it says where it was read along x
    moved = view(crops, (5, 16, 16), Augmentation(tilt_deg=10, voxel_um=VOXEL_UM), generator())[:, :, :, 7:9].mean((2, 3)) - 11.5
    assert moved[:, 2].abs().max() < 0.02
    assert torch.allclose(moved[:, 0], -moved[:, 4], atol=0.02)
    assert moved[:, 4].abs().max() == pytest.approx(2 * 1.5 * math.sin(math.radians(10)) / 0.5, rel=0.05)


def test_scale_enlarges_each_axis_by_a_factor_of_its_own() -> None:
    middle, size = torch.tensor([4.5, 19.5, 19.5]), (10, 40, 40)
    at = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in size), indexing="ij")) - middle[:, None, None, None]
    factors = []
    for axis, ramp in enumerate(at):
        seen = view(ramp.expand(200, *size), (6, 24, 24), Augmentation(scale=0.2), generator())
        ends = seen.movedim(axis + 1, 1)[:, [0, -1]].mean((2, 3))  # where the first and the last plane along the axis were read
        factors.append((6, 24, 24)[axis] - 1)
        factors[-1] = factors[-1] / (ends[:, 1] - ends[:, 0])
    drawn = torch.stack(factors, 1)  # (200, 3)
    assert drawn.min() > 0.799
    assert drawn.max() < 1.201
    assert torch.allclose(drawn.std(0), torch.tensor(0.4 / math.sqrt(12)), rtol=0.15)
    assert torch.corrcoef(drawn.T).triu(1).abs().max() < 0.25


def test_further_shift_is_along_z_alone() -> None:
    z, y = torch.arange(8.0)[:, None, None].expand(100, 8, 24, 24), torch.arange(24.0)[:, None].expand(100, 8, 24, 24)
    only_z = Augmentation(shift_z_vox=1.5)
    moved = (view(z, WINDOW, only_z, generator()) - centre_window(z, WINDOW)).mean((1, 2, 3))
    assert moved.abs().max() <= 1.501
    assert moved.std() == pytest.approx(3 / math.sqrt(12), rel=0.2)
    assert torch.allclose(view(y, WINDOW, only_z, generator()), centre_window(y, WINDOW), atol=1e-4)


def test_blur_keeps_the_light_and_lowers_the_peak_and_leaves_an_even_plane() -> None:
    window = (4, 16, 12)
    spot = torch.zeros(100, *window)
    spot[:, 2, 1, 8] = 1.0  # near the rim, beyond which no light may be lost
    seen = view(spot, window, Augmentation(blur_vox=2), generator())
    assert torch.allclose(seen.sum((1, 2, 3)), torch.ones(100), atol=1e-4)
    assert seen[:, [0, 1, 3]].abs().max() == 0  # in the plane
    peak = seen.amax((1, 2, 3))
    assert peak.min() < 0.1
    assert peak.max() > 0.9  # from no blur at all
    assert torch.allclose(view(torch.ones(3, 4, 16, 16), WINDOW, Augmentation(blur_vox=2), generator()), torch.ones(3, *WINDOW), atol=1e-5)


def test_neighbour_dropout_takes_light_beside_the_object_and_never_its_own() -> None:
    window = (9, 25, 25)
    at = [(torch.arange(n) - (n - 1) / 2) * d for n, d in zip(window, VOXEL_UM, strict=True)]
    distance = (at[0][:, None, None] ** 2 + at[1][:, None] ** 2 + at[2] ** 2).sqrt()
    seen = view(torch.ones(400, *window), window, Augmentation(neighbour_dropout=0.25, voxel_um=VOXEL_UM), generator())
    assert torch.allclose(seen[:, distance <= 1.5], torch.ones(()), atol=1e-4)
    assert seen.min() > -1e-4
    spoilt = seen.amin((1, 2, 3)) < 0.9
    assert float(spoilt.float().mean()) == pytest.approx(0.25, abs=0.05)
    dark = (seen[spoilt] < 0.5).float().mean(0)  # how often each place was taken away
    assert dark[:, :12].sum() == pytest.approx(float(dark[:, 13:].sum()), rel=0.3)  # on any side


def test_neighbours_of_a_flat_crop_lie_in_its_plane() -> None:
    seen = view(torch.ones(200, 1, 25, 25), (1, 25, 25), Augmentation(neighbour_dropout=1, voxel_um=VOXEL_UM), generator())
    assert (seen.amin((1, 2, 3)) < 0.6).float().mean() > 0.95


def test_missing_planes_are_dark_as_often_as_asked_for_and_noise_is_in_them_too() -> None:
    seen = view(torch.ones(500, 6, 24, 24), WINDOW, Augmentation(missing_planes=0.2), generator())
    dark = (seen == 0).all(-1).all(-1)  # (N, Z)
    assert float(dark.float().mean()) == pytest.approx(0.2, abs=0.03)
    assert torch.allclose(seen[~dark], torch.ones(()), atol=1e-4)
    noisy = view(torch.ones(500, 6, 24, 24), WINDOW, Augmentation(missing_planes=1, noise=0.1), generator())
    assert float(noisy.std()) == pytest.approx(0.1, rel=0.05)


def test_noise_is_not_blurred() -> None:
    seen = view(torch.zeros(50, 6, 24, 24), WINDOW, Augmentation(blur_vox=3, noise=0.05), generator())
    assert float(seen.std()) == pytest.approx(0.05, rel=0.05)
    assert abs(float((seen[..., 1:] * seen[..., :-1]).mean())) < 0.05**2 * 0.05


@pytest.mark.parametrize("rotation", [20.0, 180.0])
@pytest.mark.parametrize("tilt", [0.0, 20.0])
def test_crops_as_large_as_said_are_never_left(rotation: float, tilt: float) -> None:
    window = (5, 20, 20)
    strong = Augmentation(rotation_deg=rotation, tilt_deg=tilt, scale=0.15, shift_vox=1.2, shift_z_vox=0.7, voxel_um=VOXEL_UM)
    enough = least_crop(window, strong)
    larger = torch.rand(400, enough[0] + 8, enough[1] + 20, enough[2] + 20, generator=generator(1))
    full = view(larger, window, strong, generator())
    assert torch.allclose(view(centre_window(larger, enough), window, strong, generator()), full, atol=1e-3)
    for smaller in ((enough[0] - 4, *enough[1:]), (enough[0], enough[1] - 6, enough[2] - 6)):  # and hardly larger than needed
        assert not torch.allclose(view(centre_window(larger, smaller), window, strong, generator()), full, atol=1e-3)


def test_the_least_crop_of_no_change_is_the_window() -> None:
    assert least_crop((5, 16, 17), Augmentation()) == (5, 16, 17)
