"""What people add and divide: which voxels become which nucleus, and what cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from barlowtrack.data import Correction
from barlowtrack.detect.edits import edit
from barlowtrack.errors import InputError

SIZE_UM = (1.0, 0.4, 0.4)
SHAPE = (20, 60, 80)
RADIUS_UM = 2.5
GRID = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(SHAPE, SIZE_UM, strict=True)], indexing="ij"), axis=-1)


def ball(place_um, radius_um: float = RADIUS_UM) -> np.ndarray:
    return np.linalg.norm(GRID - np.asarray(place_um), axis=-1) <= radius_um


def light(*places_um, noise: float = 10.0, seed: int = 0) -> np.ndarray:
    """Blurred nuclei above a background, as a microscope shows them."""
    shine = sum(200 * np.exp(-(np.linalg.norm(GRID - np.asarray(place), axis=-1) ** 2) / (2 * 1.6**2)) for place in places_um)
    return (100 + shine + np.random.default_rng(seed).normal(0, noise, SHAPE)).astype(np.float32)


def add(place, line: int = 2) -> Correction:
    return Correction("add", t=0, position_um=tuple(place), line=line)


def divide(first, second, line: int = 2, label: int | None = None) -> Correction:
    return Correction("divide", t=0, label=label, position_um=tuple(first), other=" ".join(map(str, second)), line=line)


A, B, FAR = (9.0, 12.0, 10.0), (9.0, 12.0, 14.6), (9.0, 6.0, 26.0)


def two_as_one() -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    labels[ball(FAR)] = 1
    labels[ball(A) | ball(B)] = 2
    return labels


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("off", [0.0, 0.8], ids=["exact clicks", "clicks off"])
def test_two_touching_balls_become_what_they_were(off) -> None:
    rng = np.random.default_rng(1)
    clicks = [np.array(place) + rng.uniform(-off, off, 3) for place in (A, B)]
    before = two_as_one()
    found = edit(before, [divide(*clicks)], SIZE_UM, RADIUS_UM, light(A, B, FAR))
    half = GRID[..., 2] < (A[2] + B[2]) / 2
    both = ball(A) | ball(B)
    assert overlap(found.labels == 2, both & half) > 0.93
    assert overlap(found.labels == 3, both & ~half) > 0.93
    assert np.array_equal(found.labels == 1, before == 1)
    assert np.array_equal(found.labels > 0, before > 0)
    assert (found.made, found.label) == ({2: 2, 3: 2}, {2: 2})
    assert np.array_equal(before, two_as_one())


def test_the_cut_follows_the_dark_between_them_and_not_the_clicks_alone() -> None:
    """A large and a small nucleus: half-way between their middles lies in the large one."""
    small = (9.0, 12.0, 15.0)
    labels = np.zeros(SHAPE, np.int32)
    labels[ball(A, 3.4) | ball(small, 1.7)] = 4
    red = np.where(ball(A, 3.0) | ball(small, 1.3), 300, 100).astype(np.float32)
    cut = edit(labels, [divide(A, small)], SIZE_UM, RADIUS_UM, red).labels
    by_distance = edit(labels, [divide(A, small)], SIZE_UM, RADIUS_UM).labels
    assert overlap(cut == 5, ball(small, 1.7)) > overlap(by_distance == 5, ball(small, 1.7)) + 0.05


@given(
    first=st.tuples(st.floats(6, 12), st.floats(9, 15), st.floats(8, 12)),
    second=st.tuples(st.floats(6, 12), st.floats(9, 15), st.floats(12.6, 16.6)),
)
@settings(max_examples=25, deadline=None)
def test_wherever_one_clicks_both_parts_have_voxels_and_none_is_lost(first, second) -> None:
    before = two_as_one()
    far_out = [min(np.linalg.norm(np.array(click) - place) for place in (A, B)) > RADIUS_UM + 0.5 * RADIUS_UM for click in (first, second)]
    assume(not any(far_out))
    found = edit(before, [divide(first, second)], SIZE_UM, RADIUS_UM, light(A, B))
    assert (found.labels == 2).any()
    assert (found.labels == 3).any()
    assert np.isin(found.labels, [2, 3])[before == 2].all()
    assert np.array_equal(found.labels == 1, before == 1)
    gained = np.isin(found.labels, [2, 3]) & (before == 0)
    assert gained.sum() <= 2 * ball(A).sum()


def test_a_part_that_is_but_a_rim_is_completed_with_what_is_free() -> None:
    """The detector drew one nucleus and touched another."""
    labels = np.zeros(SHAPE, np.int32)
    labels[ball(FAR)] = 1
    labels[ball(A) | (ball(B) & (GRID[..., 2] < 13.0))] = 2
    click = (9.0, 12.0, 13.2)
    found = edit(labels, [divide(A, click)], SIZE_UM, RADIUS_UM, light(A, B, FAR))
    drawn = found.labels == 3
    assert overlap(drawn & (labels == 2), ball(B)) < 0.4
    assert overlap(drawn, ball(B)) > 0.6
    assert overlap(found.labels == 2, ball(A)) > 0.75
    assert np.array_equal(found.labels == 1, labels == 1)


def test_a_missed_nucleus_gets_a_body_of_usual_size_where_its_light_is() -> None:
    labels = np.zeros(SHAPE, np.int32)
    labels[ball(FAR)] = 7
    click = np.add(A, [0.9, -0.6, 0.7])
    found = edit(labels, [add(click)], SIZE_UM, RADIUS_UM, light(A, FAR))
    body = found.labels == 8
    assert found.label == {2: 8}
    assert overlap(body, ball(A)) > 0.8 > overlap(ball(click), ball(A))
    assert np.array_equal(found.labels == 7, labels == 7)
    assert abs(body.sum() / ball(A).sum() - 1) < 0.1


def test_an_added_nucleus_never_takes_voxels_of_others() -> None:
    labels = two_as_one()
    labels[ball(B)] = 0
    labels[ball(A)] = 2
    found = edit(labels, [add(B)], SIZE_UM, RADIUS_UM, light(A, B))
    assert np.array_equal(found.labels == 2, labels == 2)
    assert overlap(found.labels == 3, ball(B) & ~ball(A)) > 0.85


def test_labels_go_up_from_the_largest_line_by_line() -> None:
    rows = [divide(A, B), add((9.0, 20.0, 10.0), line=5), divide((9.0, 12.0, 9.0), (9.0, 12.0, 11.5), line=6, label=2)]
    found = edit(two_as_one(), rows, SIZE_UM, RADIUS_UM)
    assert sorted(set(np.unique(found.labels)) - {0}) == [1, 2, 3, 4, 5]
    assert found.made == {2: 6, 3: 2, 4: 5, 5: 6}
    assert found.label == {2: 2, 5: 4, 6: 2}


OUTSIDE = (9.0, 40.0, 10.0)
REFUSED = {
    "add outside": ([add(OUTSIDE)], r"line 2: z, y, x = 9, 40, 10 lies outside of the volume, which ends at 19, 23\.6, 31\.6 um"),
    "divide outside": ([divide(A, OUTSIDE)], "line 2: z, y, x = 9, 40, 10 lies outside"),
    "one voxel": ([divide(A, (9.0, 12.1, 10.1))], "line 2: both places are one voxel of label 2"),
    "nothing there": ([divide((9.0, 20.0, 10.0), (9.0, 20.0, 12.0))], "line 2: no nucleus of volume 0 holds both places"),
    "half of it": ([divide(A, (9.0, 20.0, 12.0))], "line 2: no nucleus of volume 0 holds both places"),
    "added twice": (
        [add((9.0, 20.0, 10.0)), add((9.0, 20.4, 10.4), line=4)],
        r"lines 2 and 4 clash: what is to be added to volume 0 is there already, as label 3; undo one of them",
    ),
    "divided twice": (
        [divide(A, B), divide(B, A, line=3)],
        "lines 2 and 3 clash: the places in volume 0 are two nuclei already, labels 3 and 2; undo one of them",
    ),
}  # fmt: skip


@pytest.mark.parametrize("shown", [True, False], ids=["with light", "without"])
@pytest.mark.parametrize(("rows", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused_by_its_lines(rows, said, shown) -> None:
    with pytest.raises(InputError, match=f"corrections.csv: {said}"):
        edit(two_as_one(), rows, SIZE_UM, RADIUS_UM, light(A, B, FAR) if shown else None)


def test_where_others_leave_no_room_nothing_is_added() -> None:
    labels = np.ones(SHAPE, np.int32)
    labels[9, 30, 25] = 0
    with pytest.raises(InputError, match="line 2: volume 0 has no room for a nucleus there: others fill 100% of it"):
        edit(labels, [add((9.0, 12.0, 10.0))], SIZE_UM, RADIUS_UM)


def test_where_no_nucleus_was_ever_found_nobody_knows_how_large_one_is() -> None:
    with pytest.raises(InputError, match="line 2: no nucleus was found in the whole recording"):
        edit(np.zeros(SHAPE, np.int32), [add(A)], SIZE_UM, float("nan"))


def test_what_is_so_already_changes_nothing_and_is_said() -> None:
    """Another segmentation may have found what people said of an earlier one."""
    labels = np.zeros(SHAPE, np.int32)
    labels[ball(A)], labels[ball(B)] = 1, 2
    found = edit(labels, [add(A), divide(A, B, line=3)], SIZE_UM, RADIUS_UM, light(A, B))
    assert np.array_equal(found.labels, labels)
    assert not found.made
    assert found.idle[2].startswith("label 1 of volume 0 lies there already")
    assert found.idle[3] == "the places in volume 0 are two nuclei already, labels 1 and 2"


def test_a_click_a_little_beside_the_nucleus_means_it() -> None:
    beside = (9.0, 12.0, B[2] + RADIUS_UM + 0.8)
    assert not two_as_one()[9, 30, round(beside[2] / 0.4)]
    found = edit(two_as_one(), [divide(A, beside)], SIZE_UM, RADIUS_UM)
    assert found.label == {2: 2}
    with pytest.raises(InputError, match="holds both places"):
        edit(two_as_one(), [divide(A, (9.0, 12.0, B[2] + RADIUS_UM + 3))], SIZE_UM, RADIUS_UM)


def test_the_label_that_is_said_decides_only_where_it_holds_both_places() -> None:
    row = divide(A, B)
    assert edit(two_as_one(), [replace(row, label=1)], SIZE_UM, RADIUS_UM).label == {2: 2}


BESIDE = (9.0, 12.0, A[2] + 1.15 * RADIUS_UM)


@pytest.mark.parametrize("shown", [True, False], ids=["with light", "without"])
def test_two_that_were_missed_side_by_side_are_two_though_one_outshines_the_other(shown) -> None:
    """The first is dim, so light alone would move it to where the second lies."""
    red = light(FAR, noise=2.0) + np.where(ball(BESIDE, 1.4), 600, np.where(ball(A, 1.4), 60, 0)).astype(np.float32)
    labels = np.where(ball(FAR), 1, 0).astype(np.int32)
    alone = edit(labels, [add(A)], SIZE_UM, RADIUS_UM, red)
    assert alone.labels[9, 30, round(BESIDE[2] / 0.4)] == 2
    found = edit(labels, [add(A), add(BESIDE, line=3)], SIZE_UM, RADIUS_UM, red if shown else None)
    assert found.label == {2: 2, 3: 3}
    for label, place in ((2, A), (3, BESIDE)):
        assert found.labels[9, 30, round(place[2] / 0.4)] == label
        assert (found.labels == label).sum() > 0.4 * ball(A).sum()
    assert found.clicks == {A: 2, BESIDE: 3}


def test_an_edit_that_light_alone_speaks_against_is_left_out_with_its_line() -> None:
    """By distance the second division lies in the smaller part; by light, the first part reaches that far."""
    small = (9.0, 12.0, 15.0)
    labels = np.zeros(SHAPE, np.int32)
    labels[ball(A, 3.4) | ball(small, 1.7)] = 4
    red = np.where(ball(A, 3.0) | ball(small, 1.3), 300, 100).astype(np.float32)
    again = divide((9.0, 12.0, 12.8), (9.0, 12.0, 15.2), line=3)
    assert not edit(labels, [divide(A, small), again], SIZE_UM, RADIUS_UM).refused
    found = edit(labels, [divide(A, small), again], SIZE_UM, RADIUS_UM, red)
    assert "lines 2 and 3 clash: the places in volume 0 are two nuclei already" in str(found.refused[3])
    assert found.made == {4: 2, 5: 2}
    assert found.clicks == {A: 4, small: 5, again.position_um: 0, again.other_um: 0}
    with pytest.raises(InputError, match="line 4: z, y, x = 9, 40, 10 lies outside"):
        edit(labels, [divide(A, small), again, add(OUTSIDE, line=4)], SIZE_UM, RADIUS_UM, red)
