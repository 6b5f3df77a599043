"""The Compare panel in a real window."""

from dataclasses import replace

import numpy as np
import pytest

from barlowtrack.data import UNKNOWN
from barlowtrack.evaluate import Outcome, evaluate
from barlowtrack.io.tables import read_truth
from barlowtrack.plugin.comparing.disagreements import Kind
from barlowtrack.plugin.comparing.listed import COLUMNS
from barlowtrack.plugin.roles import Role, layers_of
from barlowtrack.plugin.solution import Solution


@pytest.fixture
def plain(tiny_run):
    return Solution.read(tiny_run.path)


@pytest.fixture
def known(tiny_worm):
    return read_truth(tiny_worm / "truth.csv")


@pytest.fixture
def three(plain, known):
    """Three neurons that are right in every volume."""
    right = evaluate(plain.detections, plain.tracks, known).outcome == Outcome.CORRECT
    count = np.bincount(plain.tracks.neuron[right], minlength=plain.n_neurons)
    return tuple(np.flatnonzero(count == plain.n_volumes)[:3].tolist())


@pytest.fixture
def disturbed(plain, three):
    """A run in which two of them are taken for each other in volumes 2 to 4, and the third is nobody in the last two."""
    a, b, c = three
    t, neuron = plain.detections.t, plain.tracks.neuron.copy()
    then = (t >= 2) & (t <= 4)
    neuron[then] = [{a: b, b: a}.get(k, k) for k in neuron[then].tolist()]
    neuron[(t >= 6) & (neuron == c)] = UNKNOWN
    return replace(plain, tracks=replace(plain.tracks, neuron=neuron))


def test_truth_and_another_run_are_stepped_through(viewer, qt, disturbed, plain, three, known, tiny_worm):
    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.comparing.panel import Compare

    (a, b, c), ours = three, disturbed
    session, panel = session_of(viewer), Compare(viewer)
    viewer.window.add_dock_widget(panel, area="right", name="Compare")
    assert not panel.truth.isEnabled()
    session.take(ours)
    truth = tiny_worm / "truth.csv"
    panel.compare_with(truth)
    qt.wait(lambda: panel.found, what="what differs")

    scores = evaluate(ours.detections, ours.tracks, known)
    wrong = {kind: sum(one.count for one in panel.found if one.kind is kind) for kind in Kind}
    assert wrong[Kind.WRONG] + wrong[Kind.SWAPPED] == scores.neurons.mismatched.sum() >= 6
    assert wrong[Kind.UNKNOWN] == scores.neurons.unidentified.sum() >= 2
    assert wrong[Kind.MISSED] == scores.neurons.undetected.sum()
    assert panel.headline.text().startswith(f"{scores.identity_accuracy:.1%} of {scores.n_true} true nuclei in 8 volumes")
    assert panel.filters[Kind.SWAPPED].text() == f"swapped pair ({wrong[Kind.SWAPPED]})"
    (layer,) = layers_of(viewer.layers, Role.TRUTH)
    assert len(layer.data) == len(known)
    np.testing.assert_allclose(sorted(layer.data[:, 0]), sorted(known.t))

    for kind, box in panel.filters.items():
        box.setChecked(kind is Kind.SWAPPED)
    swap = next(stop for stop in panel.stepper.stops if set(stop.neurons) == {a, b})
    assert swap.cells[:2] == ("2-4", "6")
    assert {stop.cells[COLUMNS.index("kind")] for stop in panel.stepper.stops} == {"swapped pair"}
    looked = []
    session.looked.connect(looked.append)
    panel.stepper.on.click()
    first = panel.stepper.stops[0]
    assert (session.t, session.chosen, looked) == (first.t, first.neurons, [first.position_um])

    for box in panel.filters.values():
        box.setChecked(True)
    panel._sort(COLUMNS.index("volumes"))
    starts = [stop.t for stop in panel.stepper.stops]
    assert starts == sorted(starts)
    panel.show_theirs.setChecked(False)
    assert layers_of(viewer.layers, Role.TRUTH) == []
    panel.show_theirs.setChecked(True)

    panel.compare_with(plain.path)  # the same nuclei, before they were disturbed
    qt.wait(lambda: "that both have" in panel.headline.text(), what="the other run")
    assert {(one.kind, one.first, one.last, one.count) for one in panel.found} == {(Kind.SWAPPED, 2, 4, 6), (Kind.UNKNOWN, 6, 7, 2)}
    assert [one.neurons for one in panel.found] == [(a, b), (c,)]
    (layer,) = layers_of(viewer.layers, Role.TRUTH)
    assert len(layer.data) == len(plain.detections)
    viewer.window.remove_dock_widget(panel)  # as its x does
    assert layers_of(viewer.layers, Role.TRUTH) == []
    viewer.window.add_dock_widget(panel, area="right", name="Compare")
    assert len(layers_of(viewer.layers, Role.TRUTH)) == 1
    session.take(plain)  # solved again: it is compared again, by itself
    qt.wait(lambda: not panel.found, what="the comparison with itself")
    panel.compare_with(truth.with_name("nowhere.csv"))
    qt.wait(lambda: "nowhere.csv" in panel.doubt.text(), what="what is wrong")
    session.take(None)
    assert "Open a run first" in panel.headline.text()
    assert layers_of(viewer.layers, Role.TRUTH) == []
