"""What is certain of a volume turns and bends the atlas, and holds."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.atlas import smooth_shape
from barlowtrack.identity.constraints import Constraints
from barlowtrack.identity.solve import Atlas, sight
from barlowtrack.identity.volumes import Volume
from tests.cases import arrangement


def test_anchors_turn_a_volume_that_lies_the_wrong_way_round() -> None:
    rng = np.random.default_rng(0)
    half = rng.uniform(0.5, 6, (12, 3)) * (0.3, 0.4, 1)
    rest = np.concatenate([half, half * (1, -1, -1)])  # the same after half a turn
    order = rng.permutation(24)
    volume = Volume(np.arange(24), rest[order] + rng.normal(0, 0.02, (24, 3)), None)
    atlas = Atlas(smooth_shape(rest), None, 24)
    found = sight(volume, atlas).neuron
    turned = (found + 12) % 24
    assert len(np.unique(found)) == 24
    anchors = np.array([3, 8])
    certain = Constraints(turned[anchors], anchors, turned[anchors], anchors)
    assert np.array_equal(sight(volume, atlas, constraints=certain).neuron, turned)


def test_constraints_hold_where_nothing_is_known_of_shape_and_looks() -> None:
    volume = Volume(np.arange(3), np.zeros((3, 3)), None)
    certain = Constraints(np.array([1]), np.array([2]), np.array([1, 0]), np.array([2]))
    assert sight(volume, Atlas(None, None, 4), constraints=certain).neuron.tolist() == [UNKNOWN, UNKNOWN, 1]


def test_a_certain_pair_that_agrees_changes_nobody_and_one_that_does_not_holds() -> None:
    rng = np.random.default_rng(1)
    rest = arrangement(30, rng) / 4
    volume, atlas = Volume(np.arange(30), rest + rng.normal(0, 0.02, rest.shape), None), Atlas(smooth_shape(rest), None, 30)
    for who in (4, 9):
        certain = Constraints(np.array([who]), np.array([4]), np.array([who]), np.array([4]))
        found = sight(volume, atlas, constraints=certain).neuron
        assert found[4] == who
        assert len(np.unique(found[found >= 0])) == (found >= 0).sum()
        if who == 4:
            assert np.array_equal(found, np.arange(30))


def test_who_is_absent_and_what_is_nobody_stay_so() -> None:
    rest = arrangement(20, np.random.default_rng(2)) / 4
    none = np.zeros(0, np.int64)
    certain = Constraints(none, none, np.array([3]), np.array([7]))
    found = sight(Volume(np.arange(20), rest, None), Atlas(smooth_shape(rest), None, 20), constraints=certain).neuron
    assert found[7] == UNKNOWN
    assert 3 not in found
    assert np.array_equal(np.delete(found, [3, 7]), np.delete(np.arange(20), [3, 7]))
