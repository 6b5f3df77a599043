"""The scores on real annotated volumes, against a plain count."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from barlowtrack.data import Truth
from barlowtrack.evaluate import evaluate_points

POINTS = Path(__file__).parents[4] / "shared/data/targettrack_worm/points.csv"


@pytest.mark.real_data
@pytest.mark.skipif(not POINTS.exists(), reason="../shared/data/targettrack_worm is not here")
def test_matching_two_real_volumes_by_raw_coordinates_scores_as_counted():
    with POINTS.open() as file:
        rows = [row for row in csv.DictReader(file) if row["annotation"] == "human"]
    volume = np.array([int(row["volume"]) for row in rows])
    neuron = np.array([int(row["neuron"]) for row in rows])
    place = np.array([[float(row[axis]) for axis in "zyx"] for row in rows])
    first, second = np.flatnonzero(volume == 0), np.flatnonzero(volume == 2)
    distance = np.linalg.norm(place[first][:, None] - place[second], axis=2)
    i, j = linear_sum_assignment(distance)
    guessed = np.full(len(second), -1)
    guessed[j] = neuron[first[i]]

    # the first volume twice, so that its names, and not an equally good mix, are what the mapping settles on
    t = np.concatenate([np.zeros(len(first), int), np.ones(len(first), int), np.full(len(second), 2)])
    at = np.concatenate([place[first], place[first], place[second]])
    truth = Truth(t, np.concatenate([neuron[first], neuron[first], neuron[second]]), at)
    ours = np.concatenate([neuron[first], neuron[first], guessed])
    result = evaluate_points(t, at, ours, truth, gate_um=0.5)
    assert result.volumes.accuracy[:2].tolist() == [1.0, 1.0]
    assert result.volumes.correct[2] == np.count_nonzero(guessed == neuron[second])
    assert result.volumes.accuracy[2] == pytest.approx(79 / 83)
    assert result.recall == 1.0
