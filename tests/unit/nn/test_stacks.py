"""Outlines of single planes joined to nuclei: cases drawn by hand, what must hold without numbers, and a synthetic worm."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from stardist.matching import group_matching_labels

from barlowtrack.errors import InputError
from barlowtrack.nn.instances import Instances, normalise
from barlowtrack.nn.stacks import join_planes
from barlowtrack.synthetic import preset, simulate

SHAPE = (12, 40, 60)
CUBE = (1.0, 1.0, 1.0)


def strip(labels, seed=0):
    """Outlines as a perfect 2-D model finds them: who is who from plane to plane is forgotten, the numbers in a plane are shuffled."""
    rng = np.random.default_rng(seed)
    stripped, points = np.zeros(labels.shape, np.int32), []
    for z, plane in enumerate(labels):
        held = rng.permutation(np.unique(plane[plane > 0]))
        number = np.zeros(plane.max(initial=0) + 1, np.int32)
        number[held] = np.arange(len(held)) + len(points) + 1
        stripped[z] = number[plane]
        points += [[z, *map(round, centre)] for centre in ndimage.center_of_mass(plane, plane, held)]
    return Instances(stripped, np.array(points, np.int64).reshape(-1, 3), np.linspace(0.9, 0.5, len(points)).astype(np.float32))


def column(y, x, radii, start=0, shape=SHAPE):
    """A nucleus: one disc a plane; radius 0 leaves one out."""
    mask = np.zeros(shape, bool)
    yy, xx = np.ogrid[: shape[1], : shape[2]]
    for z, radius in enumerate(radii, start):
        mask[z] = radius and (yy - y) ** 2 + (xx - x) ** 2 <= radius**2
    return mask


def draw(*masks):
    labels = np.zeros(masks[0].shape, np.int32)
    for k, mask in enumerate(masks):
        labels[mask] = k + 1
    return labels


def join(labels, volume=None, *, max_diameter_um=5.5, min_planes=1, seed=0):
    volume = (labels > 0).astype(np.float32) if volume is None else volume
    return join_planes(strip(labels, seed), volume, voxel_size_um=CUBE, max_diameter_um=max_diameter_um, min_planes=min_planes)


def same_objects(a, b):
    """Whether two label images hold the same objects under any numbers."""
    base = int(b.max(initial=0)) + 1
    pairs = np.unique(a.astype(np.int64) * base + b)
    one_to_one = len(np.unique(pairs // base)) == len(np.unique(pairs % base)) == len(pairs)
    return one_to_one and bool(((a > 0) == (b > 0)).all())


def f1(ours, true, least_iou=0.5):
    table = np.zeros((ours.max() + 1, true.max() + 1), np.int64)
    np.add.at(table, (ours.ravel(), true.ravel()), 1)
    size, true_size, shared = table.sum(1)[1:], table.sum(0)[1:], table[1:, 1:]
    hits = int((shared > least_iou * (size[:, None] + true_size - shared)).sum())
    return 2 * hits / (np.count_nonzero(size) + np.count_nonzero(true_size))


NUCLEUS = (3, 5, 6, 5, 3)
STACKED = (3, 5, 6, 5, 3, 2, 4, 6, 5, 3)


def test_the_planes_of_a_nucleus_become_one():
    labels = draw(column(20, 20, NUCLEUS, 2), column(20, 40, NUCLEUS, 4))
    found = join(labels)
    assert same_objects(found.labels, labels)
    assert sorted(found.points.tolist()) == [[4, 20, 20], [6, 20, 40]]  # in the plane where they are widest


def test_a_small_cap_belongs_to_the_wide_middle():
    """Cap and middle cover little in common, measured by what they cover together; still the one hides the other."""
    labels = draw(column(20, 20, (2, 9, 2)), column(20, 45, (2, 9, 2)))
    assert same_objects(join(labels).labels, labels)


def test_two_stacked_nuclei_are_cut_at_the_waist():
    found = join(draw(column(20, 20, STACKED)))
    assert len(found.points) == 2
    assert sorted(found.points[:, 0].tolist()) == [2, 7]
    lower = found.labels[2, 20, 20]
    assert [z for z in range(10) if found.labels[z, 20, 20] == lower] in ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5])


def test_three_stacked_nuclei_are_cut_twice():
    found = join(draw(column(20, 20, (4, 6, 4, 2, 4, 6, 4, 2, 5, 6, 4))), max_diameter_um=4)
    assert sorted(found.points[:, 0].tolist()) == [1, 5, 9]


def test_a_waist_is_no_cut_where_one_nucleus_may_be_that_long():
    labels = draw(column(20, 20, STACKED))
    assert same_objects(join(labels, max_diameter_um=9).labels, labels)  # ten planes fit
    assert len(join(labels, max_diameter_um=8.9).points) == 2


def test_a_long_nucleus_without_waist_stays_whole():
    labels = draw(column(20, 20, (3, 4, 5, 6, 6, 6, 6, 5, 4, 3)))
    assert same_objects(join(labels).labels, labels)


def test_the_distance_of_planes_counts():
    planes, volume = strip(draw(column(20, 20, STACKED))), draw(column(20, 20, STACKED)).astype(np.float32)
    found = [join_planes(planes, volume, voxel_size_um=(dz, 0.3, 0.3), max_diameter_um=5).points for dz in (0.5, 1.5)]
    assert [len(points) for points in found] == [1, 2]


def test_brightness_sharpens_a_waist_that_area_only_hints_at():
    labels = draw(column(20, 20, (4, 6.2, 6.2, 6, 6.2, 6.2, 6, 4)))
    even = (labels > 0).astype(np.float32)
    dim = even.copy()
    dim[3] *= 0.5
    assert len(join(labels, even).points) == 1
    assert len(join(labels, dim).points) == 2


def test_a_dim_plane_alone_is_no_waist():
    labels = draw(column(20, 20, (4, 6, 6, 6, 6, 6, 6, 4)))
    volume = (labels > 0).astype(np.float32)
    volume[4] *= 0.3
    assert len(join(labels, volume).points) == 1


@pytest.mark.parametrize("light", [0, -0.1])
def test_without_light_the_area_decides(light):
    labels = draw(column(20, 20, STACKED))
    assert same_objects(join(labels, np.full(SHAPE, light, np.float32)).labels, join(labels).labels)


def several(gap=None):
    """Six nuclei side by side, each a little higher than the one before; without plane 4 of those in the gap."""
    masks = [column(10 + 20 * (k // 3), 10 + 20 * (k % 3), NUCLEUS, 1 + k % 3) for k in range(6)]
    labels = draw(*masks)
    seen = labels.copy()
    seen[4][np.isin(labels[4], range(1, 7) if gap is None else gap)] = 0
    return labels, seen


def test_a_dark_plane_is_bridged():
    labels, seen = several()
    volume = (seen > 0).astype(np.float32)
    found = join(seen, volume)
    assert len(found.points) == 6
    assert same_objects(found.labels, np.where(seen > 0, labels, 0))
    assert not found.labels[4].any()


def test_a_nucleus_missed_in_one_plane_is_bridged_only_where_it_shines():
    labels, seen = several(gap=[2])
    truth = np.where(seen > 0, labels, 0)
    shining, dark = (labels > 0).astype(np.float32), (seen > 0).astype(np.float32)
    assert same_objects(join(seen, shining).labels, truth)
    assert len(join(seen, dark).points) == 7


def test_a_bridge_makes_nothing_longer_than_a_nucleus():
    seen = draw(column(20, 20, (5, 6, 6, 0, 6, 6, 5), 2), column(20, 45, (5, 6, 6, 0, 6, 6, 5), 2))
    assert len(join(seen, max_diameter_um=5.9).points) == 4
    assert len(join(seen, max_diameter_um=6).points) == 2
    twice = draw(column(20, 20, (5, 6, 0, 6, 0, 6, 5), 2))
    assert len(join(twice, max_diameter_um=5.9).points) == 3
    assert len(join(twice, max_diameter_um=6).points) == 1


def test_two_empty_planes_part_two_nuclei():
    assert len(join(draw(column(20, 20, (5, 6, 0, 0, 6, 5))), max_diameter_um=9).points) == 2


@pytest.mark.parametrize(("covered", "n"), [(18, 2), (22, 3)])
def test_no_bridge_leads_through_another_nucleus(covered, n):
    """One that fills most of the gap without being part of what lies above or below."""
    other = np.zeros(SHAPE, bool)
    other[4, 8:32, 2:covered] = True
    above, below = column(20, 20, (5, 6), 2), column(20, 20, (6, 5), 5)
    seen = draw(above | below, other)
    assert len(join(seen, np.ones(SHAPE, np.float32)).points) == n


def test_neighbours_that_lean_are_not_swapped():
    """Two touching nuclei move sideways from plane to plane, more than half their width in sum, the same way and towards each other."""
    for lean, other in ((2, 2), (2, -1), (-1, 2)):
        parts = []
        for x, step in ((18, lean), (31, other)):
            parts.append(np.any([column(20, x + step * k, (6,), 2 + k) for k in range(4)], axis=0))
        labels = draw(*parts)
        assert same_objects(join(labels).labels, labels), (lean, other)


def test_the_best_pairs_together_beat_the_best_pair():
    """Taken by themselves, a2 and b1 overlap most; but then a1 and b2 would stay alone."""
    labels = np.zeros((2, 20, 60), np.int32)
    labels[0, 5:15, 10:16], labels[0, 5:15, 17:33] = 1, 2  # a1, a2
    labels[1, 5:15, 10:30], labels[1, 5:15, 30:34] = 1, 2  # b1, b2
    found = join(labels).labels
    assert found[0, 10, 12] == found[1, 10, 12] != found[0, 10, 20]
    assert found[0, 10, 20] == found[1, 10, 31]


@pytest.mark.parametrize("seed", range(8))
def test_pairs_are_as_good_as_a_dense_assignment(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((2, 40, 60), np.int32)
    for z in range(2):
        for k in range(25):
            y, x, h, w = rng.integers([0, 0, 3, 3], [36, 56, 14, 14])
            labels[z, y : y + h, x : x + w] = k + 1
    planes = strip(labels)
    found = join(labels).labels
    below, above = planes.labels
    area = np.bincount(planes.labels.ravel())
    worth = np.zeros((len(area), len(area)))
    for i in np.unique(below[below > 0]):
        for j in np.unique(above[(below == i) & (above > 0)]):
            shared = np.count_nonzero((below == i) & (above == j))
            nested = shared / min(area[i], area[j])
            if nested >= 0.7:
                worth[i, j] = (nested + shared / (area[i] + area[j] - shared)) / 2
    best = worth[linear_sum_assignment(worth, maximize=True)].sum()
    held = {int(label): (int(below[found[0] == label][0]), int(above[found[1] == label][0])) for label in np.intersect1d(*found) if label}
    assert sum(worth[pair] for pair in held.values()) == pytest.approx(best)
    assert all(worth[pair] for pair in held.values())


@pytest.fixture(scope="module")
def worm():
    """A volume of a worm whose nuclei touch, and its true labels."""
    recording = simulate(preset("mid", n_volumes=2), seed=3)
    return normalise(recording.recording.read(0)[0]), np.asarray(recording.labels.read(0), np.int32)


def join_worm(volume, labels, seed=0):
    return join_planes(strip(labels, seed), volume, voxel_size_um=(1.5, 0.35, 0.35), max_diameter_um=3.8)  # twice the largest radius


def test_a_worms_nuclei_come_back(worm):
    volume, labels = worm
    assert f1(join_worm(volume, labels).labels, labels) >= 0.98
    assert f1(group_matching_labels(strip(labels).labels), labels) < 0.9  # how StarDist itself groups planes


def test_numbers_and_order_of_planes_change_no_object(worm):
    volume, labels = worm
    found = join_worm(volume, labels)
    assert same_objects(join_worm(volume, labels, seed=1).labels, found.labels)
    assert same_objects(join_worm(volume[::-1], labels[::-1]).labels[::-1], found.labels)
    assert same_objects(join_worm(volume[:, ::-1], labels[:, ::-1]).labels[:, ::-1], found.labels)
    assert same_objects(join_worm(volume * 3, labels).labels, found.labels)


def test_rows_and_labels_agree(worm):
    volume, labels = worm
    planes, found = strip(labels), join_worm(volume, labels)
    assert found.labels.dtype == np.int32
    assert np.array_equal(np.unique(found.labels), np.arange(len(found.points) + 1))
    assert (np.diff(found.prob) <= 0).all()
    for k in range(0, len(found.points), 7):
        held = np.unique(planes.labels[found.labels == k + 1]) - 1
        assert found.prob[k] == planes.prob[held].max()
        areas = [np.count_nonzero(planes.labels == row + 1) for row in held]
        assert found.points[k].tolist() in [
            planes.points[row].tolist() for row, area in zip(held, areas, strict=True) if area == max(areas)
        ]
    for outline, nucleus in zip(planes.labels, found.labels, strict=True):
        assert same_objects(outline, nucleus)  # in a plane nothing is joined, cut or lost


def test_thin_stacks_go_only_if_asked():
    labels = draw(column(20, 20, NUCLEUS), column(20, 40, (4,), 3))
    assert len(join(labels).points) == 2
    found = join(labels, min_planes=2)
    assert same_objects(found.labels, np.where(labels == 1, 1, 0))
    assert found.points.tolist() == [[2, 20, 20]]


@pytest.mark.parametrize("shape", [SHAPE, (1, 5, 5), (0, 5, 5), (2, 5, 5)])
def test_empty_planes_hold_no_nuclei(shape):
    found = join(np.zeros(shape, np.int32))
    assert found.labels.shape == shape
    assert found.points.shape == (0, 3)
    assert len(found.prob) == 0


def test_one_plane_is_a_volume_too():
    labels = draw(column(2, 2, (2,), shape=(1, 9, 9)))
    assert same_objects(join(labels).labels, labels)


PLANES = strip(draw(column(20, 20, NUCLEUS)))
LIGHT = np.ones(SHAPE, np.float32)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"planes": PLANES._replace(labels=np.minimum(PLANES.labels, 1))}, "in one plane alone"),
        ({"planes": PLANES._replace(labels=PLANES.labels * 2)}, "labels 1 to 5"),
        ({"planes": PLANES._replace(labels=PLANES.labels - 1)}, "labels 1 to 5"),
        ({"planes": PLANES._replace(points=PLANES.points[:3], prob=PLANES.prob[:3])}, "labels 1 to 3"),
        ({"planes": PLANES._replace(prob=PLANES.prob[:3])}, "expected labels and volume"),
        ({"volume": LIGHT[:3]}, "expected labels and volume"),
        ({"volume": LIGHT * np.nan}, "finite"),
        ({"voxel_size_um": (1.0, 1.0)}, "voxel_size_um"),
        ({"voxel_size_um": (0.0, 1.0, 1.0)}, "voxel_size_um"),
        ({"max_diameter_um": -1.0}, "max_diameter_um"),
        ({"max_diameter_um": float("inf")}, "max_diameter_um"),
        ({"min_planes": 0}, "min_planes"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changed, said):
    given = {"planes": PLANES, "volume": LIGHT, "voxel_size_um": CUBE, "max_diameter_um": 4.0, **changed}
    with pytest.raises(InputError, match=said) as error:
        join_planes(given.pop("planes"), given.pop("volume"), **given)
    assert "\n" not in str(error.value)
