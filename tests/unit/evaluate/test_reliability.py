import numpy as np
import pytest

from barlowtrack.data import UNKNOWN, Traces, Tracks, Truth
from barlowtrack.errors import InputError
from barlowtrack.evaluate import calibration, evaluate_points, trace_correlation


def judged(n: int, share_correct: np.ndarray, probability: np.ndarray):
    """n volumes of two neurons far apart; in a volume both names are right or both are swapped."""
    t = np.repeat(np.arange(n), 2)
    true = np.tile([0, 1], n)
    truth = Truth(t, true, np.stack([0 * t, 0 * t, 50.0 * true], axis=1))
    right = np.repeat(share_correct, 2)
    ours = np.where(right, true, 1 - true)
    result = evaluate_points(t, truth.position_um, ours, truth)
    return result, Tracks(ours, np.repeat(probability, 2), 2)


def test_honest_probabilities_have_no_calibration_error():
    n = 4000
    rng = np.random.default_rng(0)
    probability = rng.choice([0.65, 0.75, 0.95], n)
    result, tracks = judged(n, rng.random(n) < probability, probability)
    honest = calibration(result, tracks)
    assert honest.ece < 0.02
    boast = calibration(result, Tracks(tracks.neuron, np.ones(2 * n), 2))
    assert boast.ece == pytest.approx(1 - result.identity_accuracy)
    assert boast.brier > honest.brier
    assert honest.count.sum() == 2 * n
    assert honest.mean_probability[9] == pytest.approx(0.95)
    assert np.isnan(honest.share_correct[0])


def test_calibration_counts_by_hand():
    result, tracks = judged(4, np.array([1, 1, 1, 0], bool), np.array([1.0, 1.0, 0.5, 0.5]))
    table = calibration(result, tracks, n_bins=2)
    assert table.count.tolist() == [0, 8]
    assert table.ece == pytest.approx(0.0)
    assert table.brier == pytest.approx((0 + 0 + 0.25 + 0.25) / 4)


def test_false_detections_are_wrong_unless_the_truth_is_incomplete():
    truth = Truth(np.arange(3), np.zeros(3, int), np.zeros((3, 3)))
    t = np.repeat(np.arange(3), 2)
    position = np.tile([[0.0, 0, 0], [0, 0, 30.0]], (3, 1))
    ours = np.tile([0, 1], 3)
    result = evaluate_points(t, position, ours, truth)
    tracks = Tracks(ours, np.ones(6), 2)
    assert calibration(result, tracks).ece == pytest.approx(0.5)
    assert calibration(result, tracks, unmatched_are_wrong=False).ece == pytest.approx(0.0)


def test_calibration_of_nothing_is_nan():
    truth = Truth(np.zeros(1, int), np.zeros(1, int), np.zeros((1, 3)))
    result = evaluate_points(np.zeros(1, int), np.zeros((1, 3)), np.array([UNKNOWN]), truth)
    nothing = calibration(result, Tracks(np.array([UNKNOWN]), np.ones(1), 0))
    assert np.isnan(nothing.ece)
    assert np.isnan(nothing.brier)
    with pytest.raises(InputError, match="of 2 detections"):
        calibration(result, Tracks(np.zeros(2, int), np.ones(2), 1))


def test_trace_correlation_follows_the_mapping():
    rng = np.random.default_rng(1)
    activity = rng.random((3, 20))
    t, neuron = (a.ravel() for a in np.meshgrid(np.arange(20), np.arange(3)))
    truth = Truth(t, neuron + 5, np.zeros((60, 3)), activity.ravel())
    ours = np.stack([activity[2] * 3 + 1, -activity[0], np.full(20, 1.0), activity[1]])
    ours[0, 4:7] = np.nan
    traces = Traces.of_seen(np.arange(20.0), ours, ours, ours, ours, ours)
    r = trace_correlation(traces, truth, {0: 7, 1: 5, 2: 6})
    assert r[:2] == pytest.approx([1.0, -1.0])
    assert np.isnan(r[2])  # constant
    assert np.isnan(r[3])  # not mapped
    with pytest.raises(InputError, match="activity"):
        trace_correlation(traces, Truth(t, neuron, np.zeros((60, 3))), {})
