"""Thousands of neurons: every shortcut against the slow and obvious way, and the whole against the table of all pairs."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from barlowtrack.data import UNKNOWN
from barlowtrack.identity import atlas, large, pairs, solve
from barlowtrack.identity.appearance import first_matches, learn_appearance
from barlowtrack.identity.assign import assign
from barlowtrack.identity.atlas import Sighting, carry_over, learn_shape, revise, smooth_shape, to_rest, to_volume
from barlowtrack.identity.identify import identify
from barlowtrack.identity.large import align_large, match_by_looks, nearby_mean, rigid_motion, scattered
from barlowtrack.identity.lowrank import kernel_factor, landmarks, modes_of_factors
from barlowtrack.identity.pairs import Pairs, assign_pairs, soft_match_pairs
from barlowtrack.identity.registration import Alignment, Shape, align, soft_match
from barlowtrack.identity.volumes import prepare
from tests.cases import detections_at


def tissue(k: int, rng: np.random.Generator) -> np.ndarray:
    """(k, 3) neurons of a block, about one apart."""
    side = int(np.ceil(np.cbrt(k)))
    grid = np.stack(np.meshgrid(*3 * [np.arange(side)], indexing="ij"), axis=-1).reshape(-1, 3)
    placed = 1.2 * (grid[rng.permutation(len(grid))[:k]] + rng.uniform(-0.3, 0.3, (k, 3)))
    return np.asarray(placed - placed.mean(0))


def bent(rest: np.ndarray, phase: float) -> np.ndarray:
    """The block, bent smoothly by about half a neighbour distance."""
    z, y, x = 0.2 * rest.T
    return np.asarray(rest + 0.5 * np.stack([np.sin(phase + y), np.cos(phase + x), np.sin(2 * phase + z)], axis=1))


def seen(rest: np.ndarray, n_volumes: int, rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Points and true neurons of bent volumes; a tenth missed, a tenth false, none of these in the place of a neuron."""
    points, true = [], []
    for v in range(n_volumes):
        whole = bent(rest, 0.3 * v)
        there = np.flatnonzero(rng.random(len(rest)) >= 0.1)
        false = rng.uniform(rest.min(0), rest.max(0), (len(rest) // 5, 3))
        false = false[np.linalg.norm(false[:, None] - whole, axis=2).min(1) > 0.5][: len(rest) // 10]
        place = np.concatenate([whole[there] + rng.normal(0, 0.08, (len(there), 3)), false])
        order = rng.permutation(len(place))
        points.append(place[order])
        true.append(np.append(there, np.full(len(false), UNKNOWN))[order])
    return points, true


def some_pairs(rng: np.random.Generator, k: int, n: int, share: float) -> Pairs:
    neuron, detection = np.nonzero(rng.random((k, n)) < share)
    return Pairs(neuron, detection, rng.uniform(0.01, 1, len(neuron)), (k, n))


def price(neuron: np.ndarray, table: np.ndarray, absent_cost: float) -> float:
    """Sum of -log posterior of an assignment, less what staying alone would cost."""
    paired = np.flatnonzero(neuron >= 0)
    assert len(np.unique(neuron[paired])) == len(paired)
    return float(sum(-np.log(table[neuron[i], i]) - absent_cost for i in paired))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.floats(0.05, 0.9))
def test_assignment_of_pairs_is_that_of_the_table(seed: int, k: int, n: int, share: float) -> None:
    given_pairs = some_pairs(np.random.default_rng(seed), k, n, share)
    table = given_pairs.dense()
    found = assign_pairs(given_pairs, 3.5)
    assert price(found, table, 3.5) == pytest.approx(price(assign(table, 3.5), table, 3.5))


def test_groups_too_large_for_a_table_are_assigned_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        given_pairs = some_pairs(rng, 30, 25, 0.2)
        tables = assign_pairs(given_pairs, 3.5)
        with monkeypatch.context() as patched:
            patched.setattr(pairs, "SMALL_GROUP", 0)
            sparse = assign_pairs(given_pairs, 3.5)
        assert price(sparse, given_pairs.dense(), 3.5) == pytest.approx(price(tables, given_pairs.dense(), 3.5))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_assignment_does_not_depend_on_the_order_of_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = some_pairs(rng, 15, 18, 0.3)
    order = rng.permutation(len(one.mass))
    other = Pairs(one.neuron[order], one.detection[order], one.mass[order], one.shape)
    assert assign_pairs(one, 3.5).tolist() == assign_pairs(other, 3.5).tolist()


def test_soft_match_of_all_pairs_is_soft_match() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 3, (6, 8))
    candidates = np.stack([rng.permutation(8) for _ in range(6)])
    mass = soft_match_pairs(np.take_along_axis(kernel, candidates, 1), candidates, 8, 0.1, 4)
    assert np.allclose(mass, np.take_along_axis(soft_match(kernel), candidates, 1), atol=1e-5)


def test_pairs_answer_as_their_table_does() -> None:
    rng = np.random.default_rng(1)
    given_pairs = some_pairs(rng, 7, 9, 0.4)
    table = given_pairs.dense()
    who = np.array([0, 1, 2, UNKNOWN, 3, UNKNOWN, 6, 4, 5])
    expected = [table[k, i] if k >= 0 else table[:, i].max() for i, k in enumerate(who)]
    assert given_pairs.trust(who) == pytest.approx(expected)
    origin = np.array([3, -1, 0, 6])
    assert np.allclose(given_pairs.renumbered(origin).dense(), np.where(origin[:, None] < 0, 0, table[origin]))
    assert given_pairs.sum(0) == pytest.approx(table.sum(0))
    assert given_pairs.sum(1) == pytest.approx(table.sum(1))
    assigned = [i for i, k in enumerate(who) if k >= 0 and table[k, i] > 0]
    assert given_pairs.best(3, who)[0][assigned, 0].tolist() == who[assigned].tolist()
    neuron, mass = given_pairs.best(2)
    for i in range(9):
        assert mass[i] == pytest.approx(np.sort(table[:, i])[::-1][:2])
        assert [table[k, i] if k >= 0 else 0 for k in neuron[i]] == pytest.approx(mass[i])


def test_rigid_motion_is_undone() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 3))
    turn = Rotation.from_euler("zyx", [0.4, -0.2, 0.3]).as_matrix()
    weight = np.append(np.ones(15), np.zeros(5))  # nobody asks those without a weight
    target = points @ turn.T + [1.0, 2.0, 3.0]
    target[15:] += 10
    rotation, shift = rigid_motion(points, target, weight)
    assert np.allclose(rotation, turn)
    assert np.allclose(shift, [1, 2, 3])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_sample_does_not_depend_on_the_order_of_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(200, 3))
    order = rng.permutation(200)
    one, other = scattered(points, 50), scattered(points[order], 50)
    assert len(one) == 50
    assert sorted(order[other].tolist()) == one.tolist()


def test_landmarks_keep_their_distance() -> None:
    points = tissue(500, np.random.default_rng(0))
    chosen = points[landmarks(points, 30)]
    apart = min(np.linalg.norm(a - b) for a, b in itertools.combinations(chosen, 2))
    # No point is further from its landmark than landmarks are from each other.
    assert np.linalg.norm(points[:, None] - chosen, axis=2).min(1).max() <= apart
    assert len(landmarks(np.zeros((5, 3)))) == 1


def test_modes_of_factors_are_those_of_the_covariance() -> None:
    rng = np.random.default_rng(0)
    deviation, smooth = rng.normal(size=(5, 30, 3)), rng.normal(size=(30, 4))
    flat = deviation.reshape(5, -1)
    covariance = flat.T @ flat + np.kron(smooth @ smooth.T, np.eye(3))
    values, modes = modes_of_factors(deviation, smooth, 12)
    assert np.allclose(values, np.sort(np.linalg.eigvalsh(covariance))[::-1][:12])
    rows = modes.reshape(12, -1)
    assert np.allclose(rows @ rows.T, np.eye(12), atol=1e-8)
    assert np.allclose(covariance @ rows.T, rows.T * values)


def test_a_kernel_through_landmarks_is_nearly_the_kernel() -> None:
    points = tissue(1500, np.random.default_rng(0))
    some = points[::15]
    for known, tolerance in ((some, 1e-6), (points, 1e-3)):  # the first has no more points than landmarks
        factor = kernel_factor(known, 12.0)
        exact = np.exp(-0.5 * ((known[:, None, :] - known[None, :50]) ** 2).sum(2) / 144)
        assert np.abs(factor @ factor[:50].T - exact).max() < tolerance


def equal_shapes(one: Shape, other: Shape, rng: np.random.Generator) -> bool:
    """Whether two shapes bend alike: modes of equal variance may be any of a plane."""
    weight, target = rng.uniform(0, 1, (3, len(one))), one.mean + rng.normal(0, 0.5, (3, len(one), 3))
    fitted = [shape.fit(weight, target, 0.5)[0] for shape in (one, other)]
    return bool(np.abs(fitted[0] - fitted[1]).max() < 0.02)


def test_a_learned_shape_is_the_same_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rest = tissue(60, rng)
    volumes = [bent(rest, phase) + rng.normal(0, 0.05, rest.shape) for phase in np.linspace(0, 6, 40)]
    sightings = [Sighting(Alignment(points, rest, np.eye(60), 1.0), np.arange(60), np.arange(60)) for points in volumes]
    shapes = []
    for limit in (10**6, 0):
        monkeypatch.setattr(atlas, "LARGE_ATLAS", limit)
        monkeypatch.setattr(atlas, "believed", lambda deviation, _: deviation)
        shapes.append((learn_shape(sightings, 60), smooth_shape(rest)))
    (learned, smooth), (thin, thin_smooth) = shapes
    assert np.allclose(learned.variance, thin.variance, rtol=1e-4, atol=1e-6)
    assert np.allclose(smooth.variance, thin_smooth.variance, rtol=1e-4, atol=1e-6)
    assert equal_shapes(learned, thin, rng)
    assert equal_shapes(smooth, thin_smooth, rng)
    assert not equal_shapes(learned, smooth, rng)


def test_a_shape_does_not_learn_the_mistakes_of_single_volumes() -> None:
    rng = np.random.default_rng(0)
    rest = tissue(600, rng)
    phases = np.linspace(0, 6, 12)
    off = rng.normal(0, 0.1, (12, 600, 3))
    off[:, ::20] += rng.choice([-1.0, 1.0], (12, 30, 3))  # one in twenty is taken for a neighbour
    points = [bent(rest, phase) + error for phase, error in zip(phases, off, strict=True)]
    everybody = np.arange(600)
    posterior = Pairs(everybody, everybody, np.ones(600), (600, 600))
    shape = learn_shape([Sighting(Alignment(p, rest, posterior, 1.0), everybody, everybody) for p in points], 600)
    fitted = shape.fit(np.ones((1, 600)), points[0][None], 0.2)[0][0]
    truth = bent(rest, phases[0])
    wrong = everybody % 20 == 0
    assert np.sqrt(((fitted - truth)[~wrong] ** 2).sum(1).mean()) < 0.2
    assert np.sqrt(((fitted - points[0])[wrong] ** 2).sum(1).mean()) > 1.2  # 0.1 where the covariance is taken as it is


def test_a_field_is_averaged_over_the_nearest() -> None:
    rng = np.random.default_rng(0)
    places, values = tissue(30, rng), rng.normal(size=(30, 3))
    at = places[:5] + 0.2
    weight = np.exp(-0.5 * ((at[:, None] - places) ** 2).sum(2) / large.FIELD_WIDTH**2)
    assert np.allclose(nearby_mean(at, places, values), weight @ values / weight.sum(1, keepdims=True))


def test_to_rest_undoes_to_volume_in_large_tissue() -> None:
    rest = tissue(1000, np.random.default_rng(0))
    shape = smooth_shape(rest)
    posterior = Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0), (1000, 1000))
    moved = Alignment(rest, bent(rest, 1.0), posterior, 1.0)
    point = rest[:200] + 0.2
    there = to_volume(moved, shape, point)
    assert np.abs(there - bent(point, 1.0)).max() < 0.25
    assert np.abs(to_rest(moved, shape, there) - point).max() < 0.15


@pytest.mark.parametrize("degrees", [0, 100, 200])
def test_large_tissue_is_found_whatever_its_turn(degrees: float) -> None:
    rng = np.random.default_rng(0)
    rest = tissue(900, rng) * [0.6, 1.0, 1.6]
    points = bent(rest, 1.0) @ Rotation.from_euler("x", degrees, degrees=True).as_matrix().T
    order = rng.permutation(900)[:800]
    found = align_large(points[order] - points[order].mean(0), smooth_shape(rest), sigmas=solve.WARP_SIGMAS)
    assert np.mean(assign(found.posterior) == order) > 0.97


def test_both_ways_to_lay_a_shape_agree() -> None:
    rng = np.random.default_rng(0)
    rest = tissue(300, rng)
    points, true = seen(rest, 3, rng)
    shape = smooth_shape(rest)
    for one, who in zip(points, true, strict=True):
        few = assign(align_large(one - one.mean(0), shape, sigmas=solve.WARP_SIGMAS[::2]).posterior)
        every = assign(align(one - one.mean(0), shape, sigmas=solve.WARP_SIGMAS[::2]).posterior)
        assert np.mean(few == every) > 0.99
        assert np.mean((few == who)[who >= 0]) > 0.95


def test_the_order_of_detections_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    rest = tissue(500, rng)
    points = seen(rest, 1, rng)[0][0]
    order = rng.permutation(len(points))
    one, other = (align_large(p, smooth_shape(rest), sigmas=solve.WARP_SIGMAS[::3]) for p in (points, points[order]))
    assert one.score == pytest.approx(other.score, rel=1e-3)
    assert np.mean(assign(one.posterior)[order] == assign(other.posterior)) > 0.995


def test_looks_of_pairs_are_those_of_the_table() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(size=(40, 8))
    looks = [own + 0.7 * rng.normal(size=own.shape) for _ in range(20)]
    learned = learn_appearance(looks, [np.arange(40)] * 20, [np.ones(40)] * 20, 40)
    assert learned is not None
    table = learned.log_ratio(looks[0])
    neuron, row = np.arange(0, 40, 2), rng.integers(0, 40, (20, 5))
    assert np.allclose(learned.log_ratio_of(looks[0])(neuron, row), table[neuron[:, None], row], atol=1e-3)
    posterior = match_by_looks(lambda rows: learned.only(rows).log_ratio(looks[0]), 40, 40)
    assert np.abs(posterior.dense() - soft_match(table - np.log(40))).max() < 0.01  # of 40 candidates the best 24
    assert np.mean(assign(posterior) == np.arange(40)) > 0.95


def test_first_matches_of_a_part_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(size=(500, 16))
    features = [own[rng.permutation(500)] + 0.3 * rng.normal(size=own.shape) for _ in range(4)]
    part, closed = first_matches(features)
    monkeypatch.setattr(pairs, "LARGE", 10**9)
    every, closed_of_all = first_matches(features)
    assert closed == pytest.approx(closed_of_all, abs=0.03)
    for some, whole in zip(part[1:], every[1:], strict=True):
        assert len(np.unique(some[some >= 0])) > 300
        assert np.array_equal(some[some >= 0], whole[some >= 0])


def test_sightings_of_large_tissue_are_carried_over() -> None:
    rng = np.random.default_rng(0)
    rest = tissue(500, rng)
    known = rest[:499]  # neuron 499 is in every volume but not in the atlas; neuron 0 is in no volume
    detections = np.arange(1, 500)
    posterior = Pairs(np.arange(1, 499), np.arange(498), np.ones(498), (499, 499))
    who = np.append(np.arange(1, 499), UNKNOWN)
    sightings = [Sighting(Alignment(rest[detections], known, posterior, 1.0), who, np.arange(499)) for _ in range(5)]
    shape = smooth_shape(known)
    mean, origin, became = revise(sightings, shape)
    assert origin.tolist() == [*range(1, 499), -1]
    carried = carry_over(sightings, shape, mean, origin, became)
    assert np.allclose(carried[0].alignment.fitted, rest[1:], atol=1e-6)
    assert carried[0].neuron.tolist() == [*range(498), UNKNOWN]
    assert carried[0].posterior.tolist() == [1.0] * 498 + [0.0]


def test_a_recording_is_solved_alike_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    points, true = seen(tissue(300, rng), 6, rng)
    detections = detections_at(np.repeat(np.arange(6), [len(p) for p in points]), np.concatenate(points), 6)
    volumes, who = prepare(detections, None)[1], np.concatenate(true)
    monkeypatch.setattr(atlas, "LARGE_ATLAS", 0)
    monkeypatch.setattr(solve, "SEEDS", 1)
    monkeypatch.setattr(solve, "ROUNDS", 3)
    found = []
    for limit in (10**9, 0):
        monkeypatch.setattr(pairs, "LARGE", limit)
        with ThreadPoolExecutor(1) as pool:
            found.append(identify(volumes, pool, seed=0).neuron)
    every, few = found
    # Atlases that differ in one false neuron number all others anew.
    renamed = {k: np.bincount(few[(every == k) & (few >= 0)], minlength=1).argmax() for k in np.unique(every[every >= 0])}
    assert np.mean([renamed.get(k, UNKNOWN) == other for k, other in zip(every, few, strict=True)]) > 0.99
    names = {k: np.bincount(who[(few == k) & (who >= 0)], minlength=1).argmax() for k in np.unique(few[few >= 0])}
    assert np.mean([names.get(k) == w for k, w in zip(few, who, strict=True) if w >= 0]) > 0.99


def test_thousand_still_neurons_are_all_found_again() -> None:
    rng = np.random.default_rng(0)
    rest = tissue(1000, rng)
    where = np.concatenate([rest[rng.permutation(1000)] for _ in range(3)])
    detections = detections_at(np.repeat(np.arange(3), 1000), where, 3)
    with ThreadPoolExecutor(1) as pool:
        found = identify(prepare(detections, None)[1], pool, seed=0)
    neuron = found.neuron
    assert found.atlas.n_neurons == 1000
    place = np.full((3, 1000, 3), np.nan)
    for t in range(3):
        place[t, neuron[1000 * t : 1000 * (t + 1)]] = where[1000 * t : 1000 * (t + 1)]
    assert np.array_equal(place[0], place[1])
    assert np.array_equal(place[0], place[2])


@pytest.mark.parametrize(("k", "n"), [(8500, 20), (20, 8500), (450, 450)])
@pytest.mark.parametrize("kind", ["flat", "one place", "apart"])
def test_odd_volumes_are_no_error(k: int, n: int, kind: str) -> None:
    rng = np.random.default_rng(0)
    scale = {"flat": [0.0, 1.0, 1.0], "one place": [0.0, 0.0, 0.0], "apart": [1.0, 1.0, 1.0]}[kind]
    rest, points = (rng.uniform(-9, 9, (size, 3)) * scale for size in (k, n))
    found = align_large(points, smooth_shape(rest), sigmas=(1.4, 0.5))
    assert isinstance(found.posterior, Pairs)
    assert np.isfinite(found.fitted).all()
    assert np.isfinite(found.score)
    assert found.posterior.sum(1).max() <= 1 + 1e-5
    assert len(assign(found.posterior)) == n
