"""Neurons of one animal found in another: whatever its unit, turn and side, and never where there is nothing to find."""

from __future__ import annotations

import numpy as np
import pytest

from barlowtrack.data import UNKNOWN
from barlowtrack.errors import InputError
from barlowtrack.identity.across import AtlasMatch, match_atlases
from barlowtrack.identity.atlas import smooth_shape
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.solve import Atlas
from barlowtrack.identity.volumes import Preparation
from tests.cases import SPACING_UM, arrangement

K = 60


def body(seed: int) -> np.ndarray:
    """Neurons of a body that is not flat, in neighbour distances."""
    slender = arrangement(K, np.random.default_rng(seed)) / SPACING_UM
    return slender * (2.5, 1.5, 0.7)


def learned(rest: np.ndarray, unit: float = 1.0) -> Learned:
    """An atlas of neurons that lie like this, in neighbour distances."""
    return Learned(Preparation(unit), Atlas(smooth_shape(rest), None, len(rest)))


def turned(rest: np.ndarray, plane: float, roll: float = 0.0) -> np.ndarray:
    """Rolled about the long axis, then turned in the plane; degrees."""
    for angle, (i, j) in ((roll, (0, 1)), (plane, (1, 2))):
        cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        other = rest.copy()
        other[:, i], other[:, j] = cos * rest[:, i] - sin * rest[:, j], sin * rest[:, i] + cos * rest[:, j]
        rest = other
    return rest


@pytest.fixture(scope="module")
def rest() -> np.ndarray:
    return body(5)


def another(rest: np.ndarray, variation: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Another individual: 10 % of the neurons missing, 10 % others; and who is who."""
    rng = np.random.default_rng(seed)
    there = rng.permutation(K)[: K - K // 10]
    place = rest[there] + rng.normal(0, variation / np.sqrt(3), (len(there), 3))
    extra = rest[rng.integers(0, K, K // 10)] + rng.normal(0, 1.5, (K // 10, 3))
    return np.concatenate([place, extra]), np.append(there, [UNKNOWN] * len(extra))


@pytest.mark.parametrize(("plane", "roll"), [(0, 0), (130, 30), (200, 180)])
def test_another_individual_is_recognised_however_it_lies(rest, plane, roll):
    place, who = another(rest, 0.3)
    found = match_atlases(learned(turned(place, plane, roll), unit=7.0), learned(rest))
    right = found.entry == who
    assert right[who >= 0].mean() > 0.8
    sure = found.probability >= 0.9
    assert sure.sum() > 0.4 * K
    assert right[sure].mean() >= 0.9


def test_the_more_animals_differ_the_less_is_believed(rest):
    said = [match_atlases(learned(another(rest, v)[0]), learned(rest)).probability.sum() for v in (0.1, 0.6, 1.5)]
    assert said[0] > 1.1 * said[1] > 1.1**2 * said[2]


def test_strangers_and_mirror_images_carry_hardly_any_name(rest):
    stranger = body(6)
    for other in (stranger, rest * (1, 1, -1)):
        assert (match_atlases(learned(other), learned(rest)).probability >= 0.9).mean() <= 0.05


def test_nobody_is_matched_twice_and_the_unknown_have_no_probability(rest):
    found = match_atlases(learned(another(rest, 0.5)[0]), learned(rest[:25]))
    known = found.entry[found.entry >= 0]
    assert len(np.unique(known)) == len(known)
    assert known.max() < 25
    assert ((found.probability >= 0) & (found.probability <= 1)).all()
    assert not found.probability[found.entry < 0].any()


def test_few_neurons_are_nobody():
    for k in (0, 1, 5):
        few = learned(np.arange(3.0 * k).reshape(k, 3)) if k else Learned(Preparation(1.0), Atlas(None, None, 0))
        found = match_atlases(few, learned(arrangement(8, np.random.default_rng(0)) / SPACING_UM))
        assert found.entry.tolist() == [UNKNOWN] * k


def test_an_atlas_without_arrangement_is_refused(rest):
    blind = Learned(Preparation(1.0), Atlas(None, None, 4))
    with pytest.raises(InputError, match="second atlas was learned from looks alone"):
        match_atlases(learned(rest), blind)


def test_doubtful_matches_do_not_carry_over():
    match = AtlasMatch(np.array([3, 1, UNKNOWN]), np.array([0.95, 0.5, 0.0]))
    assert match.believed(0.9).tolist() == [3, UNKNOWN, UNKNOWN]
    assert match.believed(0.0).tolist() == [3, 1, UNKNOWN]
