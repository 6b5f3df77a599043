"""Numbers of embeddings whose answer is known."""

import numpy as np
import pytest

from barlowtrack.data import UNKNOWN
from barlowtrack.embedding import (
    Health,
    consistency,
    drift,
    feature_similarity,
    findings,
    health,
    nearest,
    object_similarity,
    retrieval,
    tsne,
    two_volumes,
)
from barlowtrack.embedding.drift import lags
from barlowtrack.embedding.retrieval import AGREES, DIFFERS, UNSURE
from barlowtrack.embedding.sample import spread
from barlowtrack.errors import InputError


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def film(n_volumes: int, n_neurons: int, dims: int = 16, noise: float = 0.02, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, volumes and ids of neurons that look each its own way, in every volume."""
    rng = np.random.default_rng(seed)
    t, neuron = (a.ravel() for a in np.meshgrid(np.arange(n_volumes), np.arange(n_neurons), indexing="ij"))
    own = unit(rng.normal(size=(n_neurons, dims)))
    return unit(own[neuron] + noise * rng.normal(size=(len(t), dims))), t, neuron


def test_a_sample_is_spread_and_holds_both_ends():
    assert spread(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert spread(101, 5).tolist() == [0, 25, 50, 75, 100]
    assert spread(0, 5).tolist() == []


def test_tsne_parts_what_is_apart_and_is_the_same_for_the_same_seed():
    vectors, _, neuron = film(20, 6)
    layout = tsne(vectors, neuron, seed=3)
    assert (layout.method, layout.reason, len(layout.row)) == ("t-SNE", "", 120)
    apart = np.linalg.norm(layout.position[:, None] - layout.position, axis=2)
    same = neuron[:, None] == neuron
    assert apart[same].max() < apart[~same].min()
    np.testing.assert_array_equal(tsne(vectors, neuron, seed=3).position, layout.position)


def test_a_sample_for_tsne_takes_its_share_of_every_neuron_over_all_the_time():
    n_volumes, n_neurons = 40, 7
    vectors, t, neuron = film(n_volumes, n_neurons, noise=0.3)
    layout = tsne(vectors, neuron, seed=0, most=70)
    assert len(layout.row) == len(np.unique(layout.row)) == 70
    assert np.all(np.diff(layout.row) > 0)
    assert np.bincount(neuron[layout.row]).tolist() == [10] * n_neurons
    for k in range(n_neurons):
        assert np.diff(np.sort(t[layout.row[neuron[layout.row] == k]])).max() <= 7
    assert len(np.unique(t[layout.row])) > 30  # not the same volumes for every neuron
    again = tsne(vectors, neuron, seed=0, most=70)
    np.testing.assert_array_equal(again.position, layout.position)
    assert not np.array_equal(tsne(vectors, neuron, seed=1, most=70).row, layout.row)


@pytest.mark.parametrize(
    ("vectors", "method", "reason"),
    [
        (np.zeros((0, 4)), "none", "only 0"),
        (np.eye(4)[:1], "none", "only 1"),
        (np.full((50, 4), 0.5), "none", "alike"),
        (np.eye(4)[[0, 1, 2]], "PCA", "3 are too few"),
        (np.eye(4)[[0, 1]], "PCA", "2 are too few"),
        (np.linspace(-1, 1, 40)[:, None], "t-SNE", ""),
    ],
)
def test_few_or_alike_vectors_have_a_layout_or_a_reason(vectors: np.ndarray, method: str, reason: str):
    layout = tsne(vectors.astype(np.float32), np.zeros(len(vectors), int), seed=0)
    assert layout.method == method
    assert reason in layout.reason
    assert layout.position.shape == (len(vectors), 2)
    assert np.isfinite(layout.position).all()


def test_the_nearest_of_each_volume_is_found():
    vectors = unit(np.array([[1, 0], [0, 1], [0, 1], [1, 0.1], [0.6, 0.8], [1, 0], [-1, 0]]))
    t = np.array([0, 0, 1, 1, 2, 2, 2])
    found, similarity = nearest(vectors, t, np.array([0, 1]), np.array([1, 2]))
    assert found.tolist() == [[3, 5], [2, 4]]
    assert similarity == pytest.approx(np.array([[1 / np.sqrt(1.01), 1], [1, 0.8]]))


def test_retrieval_compares_with_the_tracker_one_volume_at_a_time():
    vectors, t, neuron = film(9, 4)
    answers = retrieval(vectors, t, neuron, queries=3, volumes=5)
    assert t[answers.query].tolist() == [4, 4, 4]  # the middle one
    assert neuron[answers.query].tolist() == [0, 2, 3]
    assert answers.volume.tolist() == [0, 2, 6, 8]
    assert (t[answers.found] == answers.volume).all()
    assert (answers.agrees == AGREES).all()
    named = neuron.copy()
    named[(t == 2) & (neuron == 0)] = 3
    named[(t == 2) & (neuron == 3)] = 0  # exchanged
    named[(t == 6) & (neuron == 2)] = UNKNOWN  # not seen by the tracker
    again = retrieval(vectors, t, named, queries=3, volumes=5)
    assert again.agrees.tolist() == [[AGREES, DIFFERS, AGREES, AGREES], [AGREES, AGREES, UNSURE, AGREES], [AGREES, DIFFERS, AGREES, AGREES]]


def test_nobody_asks_for_a_neuron_that_is_hardly_ever_seen_if_there_are_others():
    vectors, t, neuron = film(5, 6)
    named = np.where((neuron == 5) & (t != 2), UNKNOWN, neuron)
    assert 5 not in named[retrieval(vectors, t, named, volumes=5).query]


@pytest.mark.parametrize(("n_volumes", "n_neurons"), [(0, 0), (1, 5), (2, 1)])
def test_retrieval_in_tiny_recordings(n_volumes: int, n_neurons: int):
    vectors, t, neuron = film(n_volumes, n_neurons)
    assert len(retrieval(vectors, t, neuron).query) == (n_volumes > 1)
    unnamed = retrieval(vectors, t, np.full(len(t), UNKNOWN))
    assert (unnamed.agrees == UNSURE).all()


def test_consistency_counts_and_knows_what_guessing_reaches():
    vectors, t, neuron = film(6, 5)
    every = consistency(vectors, t, neuron)
    assert (every.share, every.n_pairs) == (1.0, 6 * 5 * 5)
    assert every.chance == pytest.approx(1 / 5)
    named = neuron.copy()
    named[t == 3] = (named[t == 3] + 1) % 5  # a volume that the tracker got all wrong: 5 pairs to it and 5 from it, of 15 + 15
    assert consistency(vectors, t, named).share == pytest.approx(1 - 10 / 30)
    guess = unit(np.random.default_rng(1).normal(size=(40 * 20, 16)))
    blind = consistency(guess, np.repeat(np.arange(40), 20), np.tile(np.arange(20), 40))
    assert blind.share == pytest.approx(blind.chance, abs=0.02)
    assert np.isnan(consistency(vectors, t, np.full(len(t), UNKNOWN)).share)


def test_orthogonal_neurons_make_a_diagonal_of_objects():
    one = unit(np.array([[1.0, -1, 0, 0], [0, 0, 1, -1]]))
    assert object_similarity(one, one) == pytest.approx(np.eye(2), abs=1e-6)
    assert object_similarity(one, -one) == pytest.approx(-np.eye(2), abs=1e-6)
    with pytest.raises(ValueError, match="at least one neuron"):
        object_similarity(one[:0], one[:0])


def test_the_matrices_equal_a_slow_recomputation():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 7, 5))
    objects, features = object_similarity(a, b), feature_similarity(a, b)
    assert (objects.shape, features.shape) == ((7, 7), (5, 5))
    for i, j in ((0, 0), (2, 4), (4, 1)):
        assert objects[i, j] == pytest.approx(np.corrcoef(a[i], b[j])[0, 1])
        assert features[i, j] == pytest.approx(np.corrcoef(a[:, i], b[:, j])[0, 1])


def test_the_two_volumes_share_most_and_row_i_of_both_is_one_neuron():
    _, t, neuron = film(6, 4)
    pair = two_volumes(t, neuron)
    assert pair.volumes == (0, 5)
    neuron = np.where((t == 5) | (t == 0), np.where(neuron == 1, UNKNOWN, neuron), neuron)
    neuron[t == 2] = neuron[t == 2][::-1]
    pair = two_volumes(t, neuron)
    assert pair.volumes == (1, 4)
    assert neuron[pair.first].tolist() == neuron[pair.second].tolist() == pair.neuron.tolist() == [0, 1, 2, 3]


def test_without_two_volumes_one_stands_against_itself():
    _, t, neuron = film(1, 4)
    assert two_volumes(t, neuron[::-1].copy()).first.tolist() == [3, 2, 1, 0]
    pair = two_volumes(np.array([0, 1, 1, 1]), np.full(4, UNKNOWN))
    assert (pair.volumes, pair.first.tolist()) == ((1, 1), [1, 2, 3])
    assert two_volumes(np.zeros(0, int), np.zeros(0, int)) is None


def test_drift_that_was_built_in_is_measured():
    n = 33
    angle = 0.02 * np.arange(n)  # every neuron turns in its own plane
    vectors = np.zeros((n, 3, 6))
    for k in range(3):
        vectors[:, k, 2 * k], vectors[:, k, 2 * k + 1] = np.cos(angle), np.sin(angle)
    t, neuron = np.repeat(np.arange(n), 3), np.tile(np.arange(3), n)
    found = drift(vectors.reshape(-1, 6).astype(np.float32), t, neuron)
    assert found.lag.tolist() == [1, 2, 4, 8, 16, 32]
    assert found.same == pytest.approx(np.cos(0.02 * found.lag), abs=1e-5)
    assert found.low == pytest.approx(found.same, abs=1e-5)
    assert found.other == pytest.approx(np.zeros(6), abs=1e-6)
    assert found.closest == pytest.approx(np.zeros(6), abs=1e-6)


def test_drift_knows_the_most_alike_other_neuron():
    own = unit(np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1]]))
    found = drift(np.tile(own, (2, 1)), np.repeat([0, 1], 3), np.tile(np.arange(3), 2))
    assert found.same == pytest.approx([1])
    assert found.closest == pytest.approx([(0.8 + 0.8 + 0) / 3])
    assert found.other == pytest.approx([0.8 / 3])


def test_lags_and_recordings_without_any():
    assert [lags(n).tolist() for n in (0, 1, 2, 3, 5)] == [[], [], [1], [1, 2], [1, 2, 4]]
    vectors, t, neuron = film(1, 3)
    assert len(drift(vectors, t, neuron).lag) == 0
    assert len(drift(vectors[:0], t[:0], neuron[:0]).same) == 0
    assert len(drift(*film(3, 4)[:2], np.full(12, UNKNOWN)).lag) == 0
    alone = drift(*film(4, 1))
    assert alone.lag.tolist() == [1, 2]
    assert np.isnan(alone.other).all()


def grades(vectors: np.ndarray, t: np.ndarray) -> dict[str, str]:
    return {finding.kind: finding.grade for finding in findings(health(vectors, t))}


def test_a_sound_embedding_is_called_so():
    vectors, t, _ = film(10, 40)
    found = health(vectors, t)
    assert (found.n, found.dims, found.dead, found.collapsed) == (400, 16, 0, False)
    assert found.rank > 12
    assert found.shared == 0
    assert grades(vectors, t) == {"rank": "good", "dead": "good", "shared": "good"}


def test_collapse_is_noticed():
    rng = np.random.default_rng(0)
    t = np.repeat(np.arange(10), 20)
    line = unit(np.array([1.0, 0, 0, 0]) + np.outer(rng.normal(size=200), [0, 1.0, 0, 0]) + 1e-4 * rng.normal(size=(200, 4)))
    assert health(line, t).collapsed
    assert "uses 1.96 of 64" in findings(Health(200, 64, 1.96, 0, 0.0))[0].said  # nothing is said to be 2.0 and below 2 at once
    assert grades(line, t)["rank"] == "poor"
    point = health(np.full((200, 4), 0.5, np.float32), t)
    assert (point.collapsed, point.rank, point.dead) == (True, 0.0, 4)
    assert np.isnan(point.shared)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_few_different_nuclei_are_no_collapse(n: int):
    assert not health(np.eye(8, dtype=np.float32)[:n], np.zeros(n, int)).collapsed
    assert health(np.ones((n, 8), np.float32), np.zeros(n, int)).collapsed


def test_few_directions_deserve_care():
    few = unit(np.pad(film(10, 40, dims=4)[0], ((0, 0), (0, 28))))
    t = np.repeat(np.arange(10), 40)
    assert grades(few, t)["rank"] == "care"


@pytest.mark.parametrize(("dead", "grade"), [(1, "good"), (4, "care"), (9, "poor")])
def test_dead_dimensions_are_counted(dead: int, grade: str):
    vectors, t, _ = film(10, 40)
    vectors[:, :dead] = 0.1  # constant, though not zero
    assert health(vectors, t).dead == dead
    assert grades(vectors, t)["dead"] == grade


@pytest.mark.parametrize(("share", "grade"), [(0.0, "good"), (0.2, "care"), (0.6, "poor")])
def test_what_a_volume_has_in_common_is_measured_beyond_chance(share: float, grade: str):
    rng = np.random.default_rng(0)
    t = np.repeat(np.arange(400), 5)  # few nuclei a volume: chance alone would say a fifth
    common = rng.normal(size=(400, 16))[t]
    vectors = np.sqrt(share) * common + np.sqrt(1 - share) * rng.normal(size=(2000, 16))
    assert health(vectors, t).shared == pytest.approx(share, abs=0.03)
    assert grades(vectors, t)["shared"] == grade


def test_of_a_long_recording_whole_volumes_are_looked_at():
    rng = np.random.default_rng(0)
    t = np.repeat(np.arange(300), 100)
    found = health(rng.normal(size=(30_000, 4)) + rng.normal(size=(300, 4))[t], t)
    assert found.n == 20_000
    assert found.shared == pytest.approx(0.5, abs=0.05)


def test_health_of_nothing_of_one_and_of_nan():
    for n in (0, 1):
        found = health(np.ones((n, 4), np.float32), np.zeros(n, int))
        assert (found.n, found.collapsed, findings(found)) == (n, False, [])
    with pytest.raises(InputError, match="expected finite numbers"):
        health(np.full((3, 4), np.nan), np.arange(3))
    two = findings(health(np.eye(4, dtype=np.float32)[:2], np.arange(2)))
    assert [finding.kind for finding in two] == ["rank", "dead"]  # one nucleus a volume: nothing is shared
