import builtins

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barlowtrack.data import UNKNOWN, Detections, Tracks, Truth
from barlowtrack.errors import InputError
from barlowtrack.evaluate import STANDARD_METRICS, Outcome, evaluate, evaluate_points, match_points
from barlowtrack.evaluate.standard import NOT_INSTALLED


def grid(n_volumes: int = 6, n_neurons: int = 5, spacing_um: float = 10.0) -> Truth:
    """Neurons on a line, drifting along y."""
    t, neuron = (a.ravel() for a in np.meshgrid(np.arange(n_volumes), np.arange(n_neurons), indexing="ij"))
    position = np.stack([np.zeros(len(t)), 2.0 * t, spacing_um * neuron], axis=1)
    return Truth(t, neuron + 100, position)


def detections_at(t: np.ndarray, position_um: np.ndarray, n_volumes: int) -> Detections:
    label = np.concatenate([np.arange(1, 1 + np.count_nonzero(t == v)) for v in range(n_volumes)])
    ones = np.ones(len(t))
    return Detections(n_volumes, t, label, position_um, ones, ones, ones, ones, ones, ones, ones)


def test_the_truth_itself_scores_one():
    truth = grid()
    tracks = Tracks(truth.neuron - 100, np.ones(len(truth)), 5)
    result = evaluate(detections_at(truth.t, truth.position_um, 6), tracks, truth)
    assert result.identity_accuracy == result.coverage == result.neurons_recovered == result.f1 == 1.0
    assert result.mapping == {k: k + 100 for k in range(5)}
    assert all(result.standard[name] == pytest.approx(1.0) for name in STANDARD_METRICS)
    assert (result.outcome == Outcome.CORRECT).all()


def test_each_kind_of_error_is_counted_apart():
    truth = grid()
    ours = truth.neuron - 100
    ours[truth.t == 3] = np.array([1, 0, 2, 3, 4])  # two swapped in one volume: 2 mismatches
    ours[(truth.t == 4) & (ours == 4)] = UNKNOWN  # 1 unidentified
    keep = ~((truth.t == 5) & (truth.neuron == 102))  # 1 undetected
    t = np.append(truth.t[keep], 5)
    position = np.append(truth.position_um[keep], [[50.0, 50.0, 50.0]], axis=0)  # 1 false detection
    result = evaluate_points(t, position, np.append(ours[keep], UNKNOWN), truth)
    assert result.neurons.mismatched.sum() == 2
    assert result.neurons.unidentified.sum() == 1
    assert result.neurons.undetected.sum() == 1
    assert result.identity_accuracy == 26 / 30
    assert result.coverage == 28 / 30
    assert (result.precision, result.recall) == (29 / 30, 29 / 30)
    assert np.count_nonzero(result.outcome == Outcome.UNMATCHED) == 1
    assert result.neurons_recovered == 1 / 5  # only neuron 103 is right everywhere
    assert result.volumes.correct.tolist() == [5, 5, 5, 3, 4, 4]
    assert dict(zip(result.neurons.key.tolist(), result.neurons.undetected.tolist(), strict=True))[102] == 1
    assert (result.neurons.accuracy * result.neurons.n_true).sum() == 26


def test_the_mapping_is_global_and_one_to_one():
    """An id that follows neuron 100 for four volumes and 101 for two is right four times, never six."""
    truth = grid(n_volumes=6, n_neurons=2)
    ours = np.where(truth.t < 4, truth.neuron - 100, 101 - truth.neuron)
    result = evaluate_points(truth.t, truth.position_um, ours, truth)
    assert result.identity_accuracy == 4 / 6
    split = np.where(truth.t < 3, 0, 1) + 2 * (truth.neuron - 100)  # every track cut into two: only one half counts
    assert evaluate_points(truth.t, truth.position_um, split, truth).identity_accuracy == 0.5
    assert evaluate_points(truth.t, truth.position_um, 0 * split, truth).identity_accuracy == 0.5  # two neurons in one id


def test_ids_that_never_meet_are_not_mapped():
    """Two ids of one neuron, and a neuron met once: that one is not given to whichever id is left."""
    truth = grid(n_volumes=8, n_neurons=2)
    ours = np.where(truth.neuron == 100, (truth.t >= 5).astype(int), UNKNOWN)
    ours[(truth.neuron == 101) & (truth.t == 5)] = 0
    assert evaluate_points(truth.t, truth.position_um, ours, truth).mapping == {0: 100}


def test_links_can_be_near_perfect_while_identity_is_broken():
    truth = grid(n_volumes=40, n_neurons=4)
    ours = (truth.neuron - 100 + truth.t // 10) % 4  # all neurons trade names every tenth volume
    result = evaluate_points(truth.t, truth.position_um, ours, truth)
    assert result.identity_accuracy == 0.25
    assert result.standard["TRA"] > 0.98
    assert result.summary()[0][0] == "identity accuracy"
    assert str(result).startswith("identity accuracy")
    assert str(result).splitlines()[-1].startswith("TRA")


def test_only_volumes_with_truth_and_inside_the_recording_are_scored():
    truth = grid(n_volumes=6)
    known = truth.t % 2 == 0
    some = Truth(truth.t[known], truth.neuron[known], truth.position_um[known])
    tracks = Tracks(truth.neuron - 100, np.ones(len(truth)), 5)
    result = evaluate(detections_at(truth.t, truth.position_um, 6), tracks, some)
    assert (result.n_volumes, result.n_true, result.n_detections, result.identity_accuracy) == (3, 15, 15, 1.0)
    run = truth.t < 4  # a limited run is not held against the whole truth
    short = evaluate(detections_at(truth.t[run], truth.position_um[run], 4), Tracks(truth.neuron[run] - 100, np.ones(20), 5), some)
    assert (short.n_volumes, short.identity_accuracy) == (2, 1.0)
    late = evaluate_points(truth.t[run], truth.position_um[run], truth.neuron[run] - 100, truth, n_volumes=6)
    assert late.identity_accuracy == 20 / 30  # but the run's own empty volumes are misses


@pytest.mark.parametrize("n", [0, 1])
def test_no_identities_give_zero(n: int):
    truth = grid()
    t, position = truth.t[:n], truth.position_um[:n]
    result = evaluate(detections_at(t, position, 6), Tracks(np.full(n, UNKNOWN), np.ones(n), 0), truth)
    assert result.identity_accuracy == result.coverage == result.neurons_recovered == 0.0
    assert result.recall == n / 30
    assert result.mapping == {}
    assert all(result.standard[name] == 0.0 for name in STANDARD_METRICS)


def test_no_truth_gives_zero_and_says_so():
    none = Truth(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3)))
    result = evaluate_points(np.zeros(1, int), np.zeros((1, 3)), np.zeros(1, int), none)
    assert (result.identity_accuracy, result.n_true, result.n_volumes, result.precision) == (0.0, 0, 0, 0.0)
    assert result.standard["IDF1"] == "no true detection to score"
    assert str(result)


def test_positions_that_are_not_finite_do_not_crash():
    truth = grid()
    position, true_position = truth.position_um.copy(), truth.position_um.copy()
    position[3, 1] = np.nan
    true_position[7] = np.inf
    result = evaluate_points(truth.t, position, truth.neuron, Truth(truth.t, truth.neuron, true_position))
    assert result.n_true == 29
    assert result.neurons.correct.sum() == 28
    assert result.neurons.undetected.sum() == 1


def test_the_gate_holds():
    truth = grid(spacing_um=20.0)
    moved = truth.position_um + np.array([0, 0, 2.9])
    assert evaluate_points(truth.t, moved, truth.neuron, truth, gate_um=3.0).identity_accuracy == 1.0
    assert evaluate_points(truth.t, moved, truth.neuron, truth, gate_um=2.8).identity_accuracy == 0.0
    with pytest.raises(InputError, match="gate"):
        evaluate_points(truth.t, moved, truth.neuron, truth, gate_um=0.0)
    with pytest.raises(InputError, match="as many volumes"):
        evaluate_points(truth.t, moved[1:], truth.neuron, truth)


def test_an_id_twice_in_a_volume_is_scored_and_reported():
    truth = grid()
    result = evaluate_points(truth.t, truth.position_um, np.zeros(len(truth), int), truth)
    assert result.identity_accuracy == 6 / 30
    assert "twice" in str(result.standard["IDF1"])


def test_scores_that_need_an_absent_package_say_so(monkeypatch):
    genuine = builtins.__import__

    def without(name: str, *args, **kwargs):
        if name.startswith("ctc_metrics"):
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    truth = grid()
    result = evaluate_points(truth.t, truth.position_um, truth.neuron, truth)
    assert result.identity_accuracy == 1.0
    assert set(result.standard.values()) == {NOT_INSTALLED}
    assert "not installed" in str(result)


def test_matching_prefers_near_pairs_to_many_pairs():
    """A false detection at the end of a row does not push every pair one place on."""
    true = np.array([[0, 0, 0], [0, 0, 2.5], [0, 0, 5.0]])
    ours = np.array([[0, 0, 2.6], [0, 0, 5.1], [0, 0, 7.5]])  # the first true neuron has no detection
    i, j = match_points(ours, true, 3.0)
    assert list(zip(i, j, strict=True)) == [(0, 1), (1, 2)]


def test_matching_equals_the_dense_problem():
    rng = np.random.default_rng(3)
    true, ours = rng.uniform(0, 20, (60, 3)), rng.uniform(0, 20, (70, 3))
    from scipy.optimize import linear_sum_assignment

    distance = np.linalg.norm(ours[:, None] - true, axis=2)
    a, b = linear_sum_assignment(np.minimum(distance, 3.0))
    good = distance[a, b] <= 3.0
    i, j = match_points(ours, true, 3.0)
    assert len(i) > 15
    loss = distance[i, j].sum() - 3.0 * len(i)
    assert loss == pytest.approx(distance[a, b][good].sum() - 3.0 * good.sum())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_names_and_order_of_volumes_do_not_matter(seed: int):
    rng = np.random.default_rng(seed)
    truth = grid(n_volumes=5, n_neurons=6, spacing_um=4.0)
    ours = np.where(rng.random(len(truth)) < 0.3, rng.integers(0, 6, len(truth)), truth.neuron - 100)
    ours[rng.random(len(truth)) < 0.1] = UNKNOWN
    position = truth.position_um + rng.normal(0, 0.8, truth.position_um.shape)
    before = evaluate_points(truth.t, position, ours, truth)

    names, true_names = rng.permutation(50)[:6], rng.permutation(50)
    renamed = np.where(ours == UNKNOWN, UNKNOWN, names[ours])
    new_truth = Truth(truth.t, true_names[truth.neuron - 100] - 7, truth.position_um)
    after = evaluate_points(truth.t, position, renamed, new_truth)
    assert after.identity_accuracy == before.identity_accuracy
    assert (after.outcome != Outcome.UNMATCHED).tolist() == (before.outcome != Outcome.UNMATCHED).tolist()

    volumes = rng.permutation(5)
    shuffled = evaluate_points(volumes[truth.t], position, ours, Truth(volumes[truth.t], truth.neuron, truth.position_um))
    assert shuffled.identity_accuracy == before.identity_accuracy
    rows = rng.permutation(len(truth))
    reordered = evaluate_points(truth.t[rows], position[rows], ours[rows], truth)
    assert reordered.identity_accuracy == before.identity_accuracy
    assert reordered.standard == before.standard
    total = before.neurons.correct + before.neurons.mismatched + before.neurons.unidentified + before.neurons.undetected
    assert total.tolist() == before.neurons.n_true.tolist()


def test_standard_scores_match_a_slow_count():
    """IDF1 and MOTA recounted by hand on a recording with gaps, swaps and a false track."""
    truth = grid(n_volumes=8, n_neurons=3, spacing_um=20.0)
    gap = (truth.neuron == 101) & np.isin(truth.t, [3, 4])
    ours = truth.neuron - 100
    ours[(truth.t >= 6) & (ours < 2)] = 1 - ours[(truth.t >= 6) & (ours < 2)]
    t = np.append(truth.t[~gap], [0, 1])
    position = np.append(truth.position_um[~gap], np.full((2, 3), 99.0), axis=0)
    result = evaluate_points(t, position, np.append(ours[~gap], [7, 7]), truth)
    n_true, n_ours, right = 24, 24, 6 + 4 + 8
    assert result.identity_accuracy == right / n_true
    assert result.standard["IDF1"] == pytest.approx(2 * right / (n_true + n_ours))
    misses, false, switches = 2, 2, 2
    assert result.standard["MOTA"] == pytest.approx(1 - (misses + false + switches) / n_true)
    assert result.standard["DET"] == pytest.approx(1 - (10 * misses + 1 * false) / (10 * n_true))
    # links: truth has 21; ours miss 3 over the gap and 2 at the swap; wrong are 2 at the swap and the one that jumps the gap
    links = 1.5 * (3 + 2) + (2 + 1)
    assert result.standard["LNK"] == pytest.approx(1 - links / (1.5 * 21))
    assert result.standard["TRA"] == pytest.approx(1 - (10 * misses + 1 * false + links) / (10 * n_true + 1.5 * 21))
