"""Nuclei that were found as one, or not at all, from the clicks to what a new solution says of them."""

import numpy as np
import pytest

from barlowtrack.plugin.layers.arrays import UNKNOWN_VALUE
from barlowtrack.plugin.layers.opened import run_layers
from barlowtrack.plugin.review import saying
from barlowtrack.plugin.review.resolving import Heard, resolve
from barlowtrack.plugin.review.subjects import of_row
from tests.plugin.test_review import desk, known_row, run  # noqa: F401 - fixtures


def test_a_nucleus_is_divided_and_one_is_added_and_taken_back_and_said_again(desk, run):  # noqa: F811
    solution = desk.session.solution
    row = known_row(solution, 5)
    z, y, x = (float(axis) for axis in solution.detections.position_um[row])
    places = [(z, y, x - 0.8), (z, y, x + 0.8)]
    corner = solution.detections.position_um[solution.detections.rows_of(5)].max(axis=0)
    far = (float(corner[0]), float(corner[1]) + 1, float(corner[2]) + 1)
    desk._take(of_row(solution, row))
    desk.say(saying.edit_answer(solution, "divide", 5, places))
    assert run.corrections.rows[-1].label == solution.detections.label[row]
    desk.say(saying.edit_answer(solution, "add", 5, [far]))
    assert [said.what for said in run.corrections.in_force] == ["divide", "add"], desk.heard
    nuclei = next(data for data, keywords, _ in run_layers(run.path) if keywords["name"] == "nuclei")
    nuclei.show(solution)
    first, *_ = nuclei[5], [nuclei[t] for t in range(8)]
    found = resolve(solution, Heard())
    assert len(found.solution.detections) == len(solution.detections) + 2
    assert np.array_equal(nuclei[5], first)
    nuclei.show(found.solution)
    assert all(t in nuclei.volumes.held for t in range(8) if t != 5), "volumes that nobody edited are not read again"
    part = found.solution.detections.rows_of(5)
    in_place = np.round(found.solution.detections.position_um[part] / solution.voxel_size_um).astype(int)
    values = found.solution.tracks.neuron[part] + 1
    values[values == 0] = UNKNOWN_VALUE
    assert (nuclei[5][tuple(in_place.T)] == values).all(), "what was divided and added is there"
    told = [stop.cells[1] for stop in found.changes]
    assert sum("is new" in text for text in told) >= 1
    desk.session.take(found.solution)
    desk.undo()
    desk.undo()
    assert not run.corrections.in_force
    desk.redo()
    assert [said.what for said in run.corrections.in_force] == ["divide"], desk.heard
    desk.undo()
    back = resolve(found.solution, Heard()).solution
    assert np.array_equal(back.tracks.neuron, solution.tracks.neuron)
    assert back.detections.position_um == pytest.approx(solution.detections.position_um)
    nuclei.show(back)
    assert np.array_equal(nuclei[5], first)
