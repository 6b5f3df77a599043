"""Whom a nucleus follows, with gaps and nuclei of nobody."""

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, Tracks
from barlowtrack.exports.stretches import followed, stretches


def worm(rows):
    """Detections and tracks of (t, neuron) rows, sorted by t."""
    t, neuron = (np.array(column, np.int32) for column in zip(*rows, strict=True))
    label = np.array([1 + sum(other == when for other, _ in rows[:i]) for i, (when, _) in enumerate(rows)], np.int32)
    ones = np.ones(len(t), np.float32)
    found = Detections(int(t.max()) + 1, t, label, np.zeros((len(t), 3), np.float32), *(ones for _ in range(7)))
    return found, Tracks(neuron, ones, int(neuron.max()) + 1)


ROWS = [(0, 1), (0, 0), (1, UNKNOWN), (1, 1), (3, 1), (3, 0), (3, UNKNOWN), (4, 0)]


def test_a_gap_begins_a_stretch_whose_parent_is_the_one_before():
    found, tracks = worm(ROWS)
    cut = stretches(found, tracks)
    said = [
        (int(neuron), int(first), int(last), int(parent))
        for neuron, first, last, parent in zip(cut.neuron, cut.first, cut.last, cut.parent, strict=True)
    ]
    assert said == [(0, 0, 0, -1), (0, 3, 4, 0), (1, 0, 1, -1), (1, 3, 3, 2), (UNKNOWN, 1, 1, -1), (UNKNOWN, 3, 3, -1)]
    assert cut.of.tolist() == [2, 0, 4, 2, 3, 1, 5, 1]


def test_every_nucleus_follows_the_nearest_before():
    found, tracks = worm(ROWS)
    assert followed(found, tracks).tolist() == [-1, -1, -1, 0, 3, 1, -1, 5]


def test_every_stretch_is_there_in_all_its_volumes():
    rng = np.random.default_rng(0)
    rows = sorted((int(t), k) for t in range(30) for k in range(6) if rng.random() < 0.7)
    found, tracks = worm(rows)
    cut = stretches(found, tracks)
    for s in range(len(cut.first)):
        assert found.t[cut.of == s].tolist() == list(range(cut.first[s], cut.last[s] + 1))
        assert set(tracks.neuron[cut.of == s]) == {cut.neuron[s]}
        if cut.parent[s] >= 0:
            assert cut.last[cut.parent[s]] < cut.first[s] - 1


def test_nobody_at_all():
    cut = stretches(Detections.empty(3), Tracks(np.zeros(0, np.int32), np.zeros(0, np.float32), 0))
    assert len(cut.of) == len(cut.first) == 0
