"""Swaps that are put in are found, with their stretch; where none is, none is found."""

from __future__ import annotations

import numpy as np
import pytest

from barlowtrack.activity.swaps import FEWEST_VOLUMES, far_pairs, find_swaps, near_pairs, unsettled
from barlowtrack.data import Swaps

K, T = 40, 120


class Scene:
    """Neurons along a line, 5 um apart, each as bright and large as it is, with slow activity of its own."""

    def __init__(self, seed: int = 0, *, missing: float = 0.05, k: int = K) -> None:
        rng = np.random.default_rng(seed)
        self.position = np.stack([np.zeros(k), np.zeros(k), 5.0 * np.arange(k)], axis=1)
        self.red = np.exp(rng.normal(5, 0.7, (k, 1)) + 0.06 * rng.normal(size=(k, T)))
        self.volume = np.exp(rng.normal(2, 0.2, (k, 1)) + 0.12 * rng.normal(size=(k, T)))
        activity = np.sin(np.arange(T) / rng.uniform(8, 30, (k, 1)) + rng.uniform(0, 6, (k, 1)))
        self.green = self.red * np.exp(0.4 * activity + 0.05 * rng.normal(size=(k, T)))
        gone = rng.random((k, T)) < missing
        for values in (self.red, self.green, self.volume):
            values[gone] = np.nan

    def swap(self, i: int, j: int, first: int, last: int) -> Scene:
        for values in (self.red, self.green, self.volume):
            values[[i, j], first : last + 1] = values[[j, i], first : last + 1]
        return self

    def found(self, **options: float) -> list[tuple[int, int, int, int]]:
        """First and last volume, and the two neurons, of all swaps found."""
        swaps = find_swaps(self.red, self.green, self.volume, self.position, **options)  # type: ignore[arg-type]
        return [(int(f), int(e), *map(int, pair)) for f, e, pair in zip(swaps.first, swaps.last, swaps.neuron, strict=True)]


def unlike(scene: Scene) -> tuple[int, int]:
    """A pair of neighbours that differ clearly in brightness."""
    level = np.nanmedian(np.log(scene.red), axis=1)
    i = int(np.argmax(np.abs(np.diff(level))))
    return i, i + 1


@pytest.mark.parametrize(
    ("first", "last"),
    [(60, 60), (30, 32), (0, 9), (50, 90), (80, T - 1), (T - 1, T - 1)],
    ids=["one_volume", "three", "beginning", "long", "to_the_end", "last_volume"],
)
def test_a_swap_is_found_with_its_stretch(first: int, last: int) -> None:
    scene = Scene(missing=0.0)
    i, j = unlike(scene)
    assert scene.swap(i, j, first, last).found() == [(first, last, i, j)]


def test_half_of_a_recording_swapped_is_either_half() -> None:
    scene = Scene(1, missing=0.0)
    i, j = unlike(scene)
    assert scene.swap(i, j, T // 2, T - 1).found() in ([(T // 2, T - 1, i, j)], [(0, T // 2 - 1, i, j)])


def test_of_a_pair_swapped_most_of_the_time_the_rest_is_told() -> None:
    scene = Scene(2, missing=0.0)
    i, j = unlike(scene)
    assert scene.swap(i, j, 20, T - 1).found() == [(0, 19, i, j)]


def test_several_swaps_of_several_pairs_are_told_apart() -> None:
    scene = Scene(3, missing=0.0)
    level = np.nanmedian(np.log(scene.red), axis=1)
    chosen = [i for i in range(0, K - 1, 2) if abs(level[i] - level[i + 1]) > 0.8][:3]
    put = [(20 + 25 * n, 24 + 25 * n, i, i + 1) for n, i in enumerate(chosen)]
    for first, last, i, j in put:
        scene.swap(i, j, first, last)
    assert len(put) == 3
    assert sorted(scene.found()) == sorted(put)


def test_a_stretch_ends_where_somebody_was_seen() -> None:
    scene = Scene(missing=0.0)
    i, j = unlike(scene)
    scene.swap(i, j, 30, 39)
    for values in (scene.red, scene.green, scene.volume):
        values[[i, j], 25:30] = np.nan
        values[[i, j], 40:44] = np.nan
    assert scene.found() == [(30, 39, i, j)]


def test_who_allows_fewer_false_alarms_gets_fewer_swaps() -> None:
    scene = Scene(10)
    scene.swap(*unlike(scene), 30, 33)
    found = [set(scene.found(false_alarms=allowed)) for allowed in (1e4, 5.0, 0.5, 1e-30)]
    assert found[0] >= found[1] >= found[2] >= found[3]
    assert (len(found[2]), len(found[3])) == (1, 0)


def test_chance_makes_no_swaps() -> None:
    assert sum(len(Scene(seed).found()) for seed in range(12)) <= 6  # as many as false_alarms says, at most


def test_what_nobody_mirrors_is_no_swap() -> None:
    scene = Scene(4, missing=0.0)
    i, j = unlike(scene)
    for values in (scene.red, scene.green, scene.volume):
        values[i, 40:50] = values[j, 40:50]
    assert scene.found() == []


def test_what_all_do_alike_is_no_swap() -> None:
    scene = Scene(5, missing=0.0)
    i, j = unlike(scene)
    flicker = np.exp(np.random.default_rng(0).normal(0, 1, T))
    scene.swap(i, j, 30, 40)
    plain = scene.found()
    scene.red *= flicker
    scene.green *= flicker
    assert scene.found() == plain == [(30, 40, i, j)]


def test_far_neurons_are_never_asked() -> None:
    scene = Scene(6, missing=0.0)
    level = np.nanmedian(np.log(scene.red), axis=1)
    i, j = (int(x) for x in np.sort([np.argmin(level), np.argmax(level)]))
    assert j - i > 10
    assert scene.swap(i, j, 30, 60).found(n_neighbours=4) == []


def test_numbers_of_neurons_are_only_names() -> None:
    scene = Scene(7)
    scene.swap(*unlike(scene), 30, 45)
    order = np.random.default_rng(0).permutation(K)
    other = Scene(7)
    other.red, other.green, other.volume, other.position = (x[order] for x in (scene.red, scene.green, scene.volume, scene.position))
    renamed = sorted((f, e, *sorted(int(order[n]) for n in pair)) for f, e, *pair in other.found())
    assert renamed == sorted(scene.found())
    assert renamed


def test_no_neuron_is_in_two_swaps_at_once() -> None:
    scene = Scene(8)
    scene.swap(10, 11, 20, 60).swap(11, 12, 40, 80).swap(9, 12, 50, 55)
    taken = np.zeros((K, T), int)
    for first, last, i, j in scene.found(false_alarms=50.0):
        taken[[i, j], first : last + 1] += 1
    assert taken.max() == 1


def test_without_a_signal_channel_red_and_size_speak() -> None:
    scene = Scene(9, missing=0.0)
    scene.green[:] = np.nan
    i, j = unlike(scene)
    assert scene.swap(i, j, 30, 40).found() == [(30, 40, i, j)]


@pytest.mark.parametrize("k", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["seen", "unseen", "constant", "negative"])
def test_little_light_breaks_nothing(k: int, kind: str) -> None:
    scene = Scene(k=k)
    for values in (scene.red, scene.green, scene.volume):
        values[:] = {"seen": values, "unseen": np.nan, "constant": 7.0, "negative": -1.0}[kind]
    assert scene.found() == []
    scene.position[:] = np.nan
    assert scene.found() == []


def test_one_volume_swaps_nothing() -> None:
    scene = Scene()
    assert len(find_swaps(scene.red[:, :1], scene.green[:, :1], scene.volume[:, :1], scene.position)) == 0
    assert len(find_swaps(scene.red[:, :0], scene.green[:, :0], scene.volume[:, :0], scene.position)) == 0


def test_pairs_are_neighbours_or_far_apart() -> None:
    position = Scene().position
    position[5] = np.nan
    near = near_pairs(position, 4)
    assert (near[:, 0] < near[:, 1]).all()
    assert len(np.unique(near, axis=0)) == len(near)
    assert not (near == 5).any()
    assert np.abs(near[:, 0] - near[:, 1]).max() <= 5
    far = far_pairs(position, near)
    assert len(far)
    assert not (far == 5).any()
    assert np.abs(far[:, 0] - far[:, 1]).min() > 4


def test_a_short_recording_is_not_searched() -> None:
    scene = Scene(missing=0.0)
    i, j = unlike(scene)
    scene.swap(i, j, 4, 6)
    for n, found in ((FEWEST_VOLUMES, [[i, j]]), (FEWEST_VOLUMES - 1, [])):
        swaps = find_swaps(scene.red[:, :n], scene.green[:, :n], scene.volume[:, :n], scene.position)
        assert swaps.neuron.tolist() == found


def test_what_people_decided_is_no_question_any_more() -> None:
    swaps = Swaps(np.array([2, 6, 12]), np.array([4, 9, 13]), np.array([[0, 1], [1, 2], [0, 2]]), np.array([9.0, 8, 7]))
    seen, certain = np.ones((3, 20), bool), np.zeros((3, 20), bool)
    assert unsettled(swaps, seen, certain).first.tolist() == [2, 6, 12]
    certain[:2, 2:5] = True  # of both, all of it: gone
    certain[1:, 6] = True  # of both, its first volume
    certain[2, 9] = True  # of one: still a question
    seen[0, 12], seen[2, 13] = False, False  # none shows both: gone
    left = unsettled(swaps, seen, certain)
    assert (left.first.tolist(), left.last.tolist(), left.neuron.tolist(), left.evidence.tolist()) == ([7], [9], [[1, 2]], [8.0])
    assert len(unsettled(left, seen, np.ones_like(certain))) == 0
