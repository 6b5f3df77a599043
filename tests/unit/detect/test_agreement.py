"""How well found nuclei cover true ones, against counting by hand."""

import itertools

import numpy as np
import pytest

from barlowtrack.detect.agreement import Agreement, agreement, overlaps

RNG = np.random.default_rng(0)


def slowly(true, found):
    """Every way of pairing, voxel by voxel."""
    a, b = [k for k in np.unique(true) if k > 0], [k for k in np.unique(found) if k > 0]
    known = true >= 0
    iou = np.array([[((true == i) & (found == j)).sum() / (((true == i) | (found == j)) & known).sum() for j in b] for i in a])
    ways = itertools.permutations(range(len(b)), len(a)) if len(a) <= len(b) else ()
    return max((sorted(iou[range(len(a)), list(way)]) for way in ways), key=sum)


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_slow_obvious_recomputation(seed, unknown):
    rng = np.random.default_rng(seed)
    true, found = rng.integers(0, 4, (3, 4, 5)) * 7, rng.integers(0, 6, (3, 4, 5)) * 3
    if unknown:
        true[0] = -1
    said = agreement(true, found)
    assert (said.n_true, said.n_found) == (3, len(np.unique(found[true >= 0])) - 1)
    assert sum(said.iou) == pytest.approx(sum(slowly(true, np.where(true < 0, 0, found))))


def test_names_do_not_matter_and_equal_labels_agree():
    labels = RNG.integers(0, 9, (4, 6, 6))
    same = agreement(labels, np.array([0, *RNG.permutation(8) + 40])[labels])
    assert same.mean_iou == same.f1 == same.f1_at(1.0) == 1.0


def test_counts_by_hand():
    true = np.array([[[1, 1, 1, 1, 2, 2, 0, 0]]])
    found = np.array([[[5, 5, 5, 0, 0, 6, 6, 7]]])
    said = agreement(true, found)
    np.testing.assert_allclose(said.iou, [3 / 4, 1 / 3])
    np.testing.assert_allclose(overlaps(true, found), [[3 / 4, 0, 0], [0, 1 / 3, 0]])
    assert said.f1 == pytest.approx(2 * 1 / (2 + 3))
    assert said.f1_at(0.3) == pytest.approx(2 * 2 / (2 + 3))


def test_volumes_add_up_and_nothing_is_nothing():
    one = Agreement(2, 3, np.array([1.0, 0.2]))
    both = one + Agreement(1, 0, np.array([0.0])) + Agreement.nothing()
    assert (both.n_true, both.n_found, both.mean_iou) == (3, 3, pytest.approx(0.4))
    assert Agreement.nothing().f1 == Agreement.nothing().mean_iou == 0.0
    empty = np.zeros((2, 2, 2), int)
    assert agreement(empty, empty).n_true == 0
    assert agreement(empty + 1, empty).mean_iou == 0.0
