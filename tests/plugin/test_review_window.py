"""The Review panel in a real window, answered by keys."""

import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from barlowtrack.api import Run
from barlowtrack.plugin.attached import session_of
from barlowtrack.plugin.review.clicking import place_of
from barlowtrack.plugin.review.subjects import of_row
from barlowtrack.plugin.review.writing import Refusal
from barlowtrack.plugin.roles import KEY, Role, metadata_of
from barlowtrack.plugin.solution import Solution
from tests.plugin.test_review import known_row, move_away

pytestmark = pytest.mark.gui


@pytest.fixture
def run(tiny_run, tiny_worm, tmp_path):
    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")
    return Run(tmp_path / "recording.barlowtrack")


@pytest.fixture
def shown(viewer, qt, run):
    """A viewer that shows a run, with the Review panel; press(keys) presses them while the canvas has the focus."""
    from qtpy.QtTest import QTest

    from barlowtrack.plugin.review.panel import Review

    solution = Solution.read(run.path)
    image = np.zeros((solution.n_volumes, 12, 72, 120), np.uint8)
    image[:, 6, 30, 50] = 200
    axes = {"axis_labels": ("t", "z", "y", "x"), "units": ("pixel", "um", "um", "um"), "scale": (1, *solution.voxel_size_um)}
    viewer.add_image(image, name="red", metadata=metadata_of(Role.IMAGE, run.path), **axes)
    viewer.add_labels(np.zeros_like(image), **axes)  # its keys 1 to 7 are not wanted here
    panel = Review(viewer)
    viewer.window.add_dock_widget(panel, name="Review")
    session_of(viewer).take(solution)
    panel.window().activateWindow()
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()

    def quiet():
        return not panel.line.busy and not panel.desk.asking and not panel.solving.busy

    def press(key, shift=False, into=None):
        from qtpy.QtCore import Qt

        modifier = Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(into or canvas, getattr(Qt.Key, f"Key_{key}"), modifier)
        qt.wait(quiet, what=f"what follows from {key}")

    qt.wait(lambda: quiet() and panel.desk.questions, what="questions")
    panel.press, panel.canvas, panel.viewer = press, canvas, viewer
    return panel


def test_five_answers_by_keys_and_the_rest_follows(shown, qt, run):
    desk, press = shown.desk, shown.press
    first = desk.question
    at = desk.subject
    assert f"volume {at.t}" in shown.cards.meant.text()
    press("1")
    press("K")
    press("N")
    press("J")
    press("Q")
    press("1")
    said = run.corrections.in_force
    assert len(said) == 4
    assert (said[0].t, said[0].label) == (at.t, at.label) or said[0].neuron == str(first.neuron)
    assert shown.viewer.layers[1].mode == "pan_zoom"  # keys of the labels did nothing
    assert shown.saved.text().startswith("Saved as line 5: ")
    assert shown.tabs.tabText(0) == "What was said (4)"
    assert "wait" in shown.solving.said.text()

    press("Z", shift=True)
    press("Z", shift=True)
    press("Y", shift=True)
    assert len(run.corrections.in_force) == 3
    assert [shown.history.list.item(i).font().strikeOut() for i in range(shown.history.list.count())].count(True) == 2

    row = known_row(shown.session.solution, 6)
    shown.session.show(6)
    shown.session.choose([int(shown.session.solution.tracks.neuron[row])])
    assert "what you chose" in shown.cards.meant.text()
    label = int(shown.session.solution.detections.label[row])
    press("J")
    assert (run.corrections.rows[-1].what, run.corrections.rows[-1].label) == ("not-a-neuron", label)

    told = []
    shown.solving.solved.connect(told.append)
    press("R", shift=True)
    assert told, shown.solving.said.text()
    assert shown.session.solution.neuron_at(6, label) == -1
    assert shown.solving.said.text() == "All answers are heeded."
    changed = [stop for stop in shown.solving.changes.stops if stop.t == 6 and f"nucleus {label} " in stop.cells[1]]
    assert changed
    shown.solving.changes.table.setCurrentCell(shown.solving.changes.stops.index(changed[0]), 0)
    assert shown.session.t == 6
    assert (desk.subject.t, desk.subject.label) == (6, label)
    qt.wait(lambda: shown.gallery.picture(shown.session.solution.row_at(6, label)) is not None, what="its picture")
    desk.questions, desk.at, desk.subject = (), -1, None
    desk.turned.emit()
    assert (shown.asked.text(), "Click any nucleus" in shown.where.text()) == ("No question is left.", True)


def test_behind_another_panel_it_hears_no_key_and_moves_no_viewer(viewer, qt, run):
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QWidget

    from barlowtrack.plugin.review.panel import Review

    session, panel, went = session_of(viewer), Review(viewer), []
    behind = viewer.window.add_dock_widget(panel, name="Review")
    before = viewer.window.add_dock_widget(QWidget(), name="Neurons", tabify=True)
    session.looked.connect(went.append)
    qt.spin(0.1)
    session.take(Solution.read(run.path))
    qt.wait(lambda: panel.desk.questions and not panel.line.busy and viewer.layers, what="questions")
    session.show(6)
    assert panel.isVisible()  # as Qt says
    canvas = viewer.window._qt_viewer.canvas.native
    panel.window().activateWindow()
    canvas.setFocus()

    def pressed(key):
        QTest.keyClick(canvas, key)
        qt.spin(0.1)
        qt.wait(lambda: not panel.line.busy, what="what follows")
        return len(run.corrections)

    assert (pressed("k"), pressed("1"), session.t, went) == (0, 0, 6, [])
    behind.raise_()
    qt.wait(lambda: went, what="the question")
    assert session.t == panel.desk.subject.t
    assert pressed("k") == 1
    before.raise_()
    qt.spin(0.1)
    assert (pressed("k"), pressed("1")) == (1, 1)
    behind.raise_()
    qt.spin(0.1)
    shown = panel.desk.subject
    panel.cards.subject = None  # as if the frame showed another nucleus
    assert pressed("k") == 1
    panel.cards.subject = shown
    assert pressed("k") == 2

    behind.setFloating(True)
    behind.resize(400, 700)
    qt.spin(0.2)
    cut = [
        part.text()
        for part in (*panel.buttons.values(), *(line.pictures[-1] for line in panel.cards.lines if line.isVisible()), panel.cards.meant)
        if part.visibleRegion().boundingRect().size() != part.size()
    ]
    assert (panel.width() <= 400, cut) == (True, [])


def test_a_run_is_opened_to_be_looked_at_first(viewer, qt, run):
    from qtpy.QtWidgets import QDockWidget

    from barlowtrack.plugin.neurons.panel import Neurons
    from barlowtrack.plugin.opening import open_run
    from barlowtrack.plugin.review.panel import Review

    open_run(viewer, run.path)
    panel, neurons = (viewer.window._qt_window.findChildren(kind)[0] for kind in (Review, Neurons))
    qt.wait(lambda: panel.desk.questions and not panel.line.busy, what="questions")
    qt.spin(0.1)
    assert not neurons.visibleRegion().isEmpty()
    assert (panel.sight.now, session_of(viewer).t) == (False, 0)
    dock = next(part for part in viewer.window._qt_window.findChildren(QDockWidget) if part.isAncestorOf(panel))
    dock.raise_()
    qt.wait(lambda: panel.sight.now and session_of(viewer).t == panel.desk.subject.t, what="its question")


def test_what_is_typed_is_no_answer_and_names_whom_one_means(shown, qt, run):
    from qtpy.QtTest import QTest

    press, field, solution = shown.press, shown.asking.field, shown.session.solution
    QTest.keyClicks(shown.history.who, "1kjJn")
    assert shown.desk.who.endswith("1kjJn")
    shown.history.who.setText("ada")
    shown.canvas.setFocus()
    row, other = known_row(solution, 6), known_row(solution, 6, 1)
    a, b = int(solution.tracks.neuron[row]), int(solution.tracks.neuron[other])
    shown.session.point(row)
    shown.session.show(6)
    shown.session.point(row)
    press("W")
    assert f"nucleus {solution.detections.label[row]} of volume 6" in shown.asking.prompt.text().lower()
    QTest.keyClicks(field, "JK1")
    qt.spin(0.05)
    assert not len(run.corrections)
    press("Return", into=field)  # nobody is called so; once more begins a new neuron
    assert "begin a new neuron" in shown.asking.prompt.text()
    press("Return", into=field)
    assert [(said.neuron, said.who) for said in run.corrections.rows] == [("JK1", "ada")]
    press("Z", shift=True)

    shown.session.point(row)
    press("X", shift=True)
    shown.session.point(other)  # clicked in the viewer
    shown.session.choose([b])
    qt.wait(lambda: not shown.line.busy and len(run.corrections.in_force) == 2, what="the exchange")
    assert [said.neuron for said in run.corrections.in_force] == [str(b), str(a)]
    assert shown.asking.isHidden()

    shown.session.point(row)
    press("G")
    press("Escape", into=field)
    assert shown.asking.isHidden()
    assert shown.canvas.hasFocus()
    shown.session.point(row)
    press("X", shift=True)
    QTest.keyClicks(field, str(a))
    press("Return", into=field)
    assert "cannot be exchanged with itself" in shown.saved.text()
    shown.hide()  # a panel that nobody sees does nothing
    before = len(run.corrections)
    QTest.keyClick(shown.canvas, "k")
    qt.spin(0.1)
    assert len(run.corrections) == before


def test_two_clicks_are_two_places_in_one_volume(shown, qt):
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    viewer, canvas, done, said = shown.viewer, shown.canvas, [], []

    def click(dx, dy):
        QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center() + QPoint(dx, dy))
        qt.spin()

    viewer.dims.set_point(0, 2)
    viewer.dims.set_point(1, 9.0)
    shown.clicks.ask(["first", "second"], lambda *found: done.append(found), said.append)
    assert viewer.canvas.overlays.text.visible
    assert viewer.canvas.overlays.text.text == "first  (Esc cancels)"
    click(0, 0)
    viewer.dims.set_point(0, 3)
    click(30, 0)
    assert said[-1].startswith("That was another volume; begin again. first")
    click(0, 0)
    click(40, 0)
    ((t, (one, two)),) = done
    assert t == 3
    assert (one[0], two[0]) == (9.0, 9.0)
    assert two[2] - one[2] == pytest.approx(40 / viewer.scene.camera.zoom, rel=0.05)
    assert two[1] == pytest.approx(one[1])
    assert not shown.clicks.active
    assert not viewer.canvas.overlays.text.visible

    viewer.dims.ndisplay = 3
    viewer.reset_view()
    viewer.scene.camera.center = (6 * 1.5, 30 * 0.35, 50 * 0.35)
    qt.spin(0.05)
    shown.clicks.ask(["missing"], lambda *found: done.append(found), said.append)
    click(0, 0)
    t, (place,) = done[-1]
    assert place == pytest.approx((6 * 1.5, 30 * 0.35, 50 * 0.35), abs=0.3)
    viewer.layers[0].visible = False
    shown.clicks.ask(["missing"], lambda *found: done.append(found), said.append)
    click(0, 0)
    assert "In 3-D a click has no depth" in said[-1]
    shown.acts.escape()
    assert not shown.clicks.active


def test_two_peoples_answers_come_together_in_the_window(shown, qt, run, tmp_path):
    shutil.copytree(run.path, tmp_path / "bo.barlowtrack")
    bo = Run(tmp_path / "bo.barlowtrack")
    run.correct("name", neuron=1, other="AVAL", who="ada")
    bo.correct("name", neuron=1, other="AVAR", who="bo")
    bo.correct("name", neuron=2, other="RIML", who="bo")
    other = shown.other
    other.look_at(bo.path)
    qt.wait(lambda: other.found is not None, what="what would come")
    assert other.said.text().startswith("bo.barlowtrack: 2 lines that are not here yet; 1 of them contradicts what was said here.")
    other.take_over()
    assert "Say first whose answer stands" in other.said.text()
    assert len(run.corrections) == 1
    other.stands[0].setCurrentText("said there")
    other.take.click()
    qt.wait(lambda: not shown.line.busy and other.found is None, what="it to come")
    assert sorted(row.other for row in run.corrections.in_force) == ["AVAR", "RIML"]
    assert other.said.text() == "2 lines taken over; they count at the next Re-solve."
    other.look_at(tmp_path / "nothing")
    qt.wait(lambda: not shown.line.busy, what="the refusal")
    assert "Nothing was taken over" in other.said.text()

    move_away(run)  # the rest works without pictures
    shown.session.take(None)
    assert "No run is open" in shown.asked.text()
    assert not shown.buttons["accept"].isEnabled()
    shown.session.take(Solution.read(run.path))
    qt.wait(lambda: shown.desk.questions and shown.gallery.why_none, what="that there are none")
    assert "No pictures" in shown.cards.why.text()
    n = len(run.corrections)
    shown.press("1")
    assert len(run.corrections) == n + 1
    shown.press("R", shift=True)
    qt.wait(lambda: shown.solving._heard is None, what="the solution, which needs no pictures either")
    assert not shown.solving.said.text().startswith("Not solved"), shown.solving.said.text()


def test_no_key_of_ours_is_one_of_napari_but_the_digits(qt):
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Points, Shapes, Tracks
    from napari.utils.shortcuts import default_shortcuts

    from barlowtrack.plugin.review.keys import CHOICES, EVERY

    taken = {str(binding) for bindings in default_shortcuts.values() for binding in bindings}
    for keymap in (ViewerModel.class_keymap, *(kind.class_keymap for kind in (Image, Labels, Points, Shapes, Tracks))):
        taken |= {str(binding) for binding in keymap}
    ours = [key.key for key in EVERY]
    assert "Shift+V" in taken
    assert not taken & set(ours)
    assert len(set(ours) | set(CHOICES)) == len(ours) + len(CHOICES)


def smaller(solution, path):
    """One volume of a run, with few neurons, as another run."""
    part = solution.detections.rows_of(0)
    detections, tracks, n = solution.detections, solution.tracks, len(solution.detections)
    cut = {
        name: getattr(detections, name)[part]
        for name in detections.__dataclass_fields__
        if isinstance(getattr(detections, name), np.ndarray) and len(getattr(detections, name)) == n
    }
    neuron = np.where(tracks.neuron[part] < 3, tracks.neuron[part], -1)
    return replace(
        solution,
        path=path,
        detections=replace(detections, n_volumes=1, **cut),
        tracks=replace(tracks, neuron=neuron, probability=tracks.probability[part], n_neurons=3),
        neurons=solution.neurons[:3],
        candidates=solution.candidates[:0],
        absences=solution.absences[:0],
        traces=None,
    )


def test_runs_are_opened_solved_and_closed_while_somebody_is_at_work(shown, qt, run, tmp_path):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    from barlowtrack.plugin.neurons.panel import Neurons
    from barlowtrack.plugin.review.history import REFUSED

    viewer, session, desk, solution = shown.viewer, shown.session, shown.desk, shown.session.solution
    neurons = Neurons(viewer)  # it listens, and lies over nothing
    row = known_row(solution, 6)
    session.show(6)
    session.point(row)
    shown.press("G")
    QTest.keyClicks(shown.asking.field, "<b>J")
    shown.asking.field.setFocus()
    session.take(replace(solution))  # solved again
    qt.wait(lambda: not desk.asking, what="questions")
    assert shown.asking.isVisible()
    assert (shown.asking.field.text(), shown.asking.field.hasFocus()) == ("<b>J", True)
    assert desk.subject == of_row(solution, row)
    shown.press("Return", into=shown.asking.field)
    assert run.corrections.rows[-1].other == "<b>J"
    assert shown.saved.textFormat() == shown.asked.textFormat() == shown.asking.prompt.textFormat() == Qt.TextFormat.PlainText
    shown.clicks.ask(["one", "two"], lambda *_: None, shown.asking.tell)
    session.take(replace(solution))
    assert shown.clicks.active

    before = len(run.corrections)
    run.correct("name", neuron=int(solution.tracks.neuron[known_row(solution, 6, 2)]), other="THEIRS", who="bo")  # by another process
    qt.wait(lambda: shown.history.list.item(0).text().startswith(f"{before + 2}: "), seconds=10, what="what others wrote")
    desk._memory.refused.append(Refusal("that", "Not written: no"))
    desk.refused.emit()
    assert shown.history.list.item(0).foreground().color() == REFUSED
    desk._tell(desk._memory, "Saved.")
    assert shown.saved.text() == "Not written: no\nSaved."
    QTest.mouseClick(shown.saved, Qt.MouseButton.LeftButton)
    assert shown.saved.text() == ""

    assert not shown.solving.anew.isVisible()
    record = run.path / "keys" / "track.json"
    with run.folder.lock():
        shown.press("R", shift=True)
    assert "somebody else is at work in this run" in shown.solving.said.text()
    assert "--out" not in shown.solving.said.text()
    os.utime(record, ns=(1, 1))  # as where another process has made the tracks
    qt.wait(shown.solving.anew.isVisible, seconds=10, what="that somebody made its tracks anew")
    before = session.solution
    shown.solving.anew.click()
    qt.wait(lambda: session.solution is not before and not shown.solving.anew.isVisible(), what="it to be read")

    session.show(solution.n_volumes - 1)
    session.choose([solution.n_neurons - 1])
    session.take(smaller(solution, tmp_path / "small.barlowtrack"))
    assert (session.t, session.chosen, desk.subject) == (0, (), None)
    assert not shown.clicks.active
    assert neurons.table.found.rowCount() <= 3
    qt.wait(lambda: desk.why_none, what="that it has no questions")
    assert shown.asked.text().startswith("What is in doubt cannot be said: ")

    session.take(None, "It has no tracks.")
    assert shown.asked.text() == "It has no tracks."
    assert not shown.buttons["accept"].isEnabled()
    viewer.window._wrapped_dock_widgets["Review"].destroyOnClose()
    assert not shown._listening.on
    session.take(solution)
    assert not desk.asking
    viewer.layers.clear()
    assert session.solution is None
    neurons.deleteLater()


def test_a_click_in_3d_takes_its_depth_from_the_run_that_is_open(viewer, tmp_path):
    ours, theirs = tmp_path / "ours.barlowtrack", tmp_path / "theirs.barlowtrack"
    for run, plane in ((theirs, 2), (ours, 9)):
        image = np.zeros((2, 12, 60, 60), np.uint8)
        image[:, plane, 30, 30] = 200
        for reference in (False, True):
            metadata = metadata_of(Role.IMAGE, run)
            metadata[KEY]["reference"] = reference
            data = image if reference else np.roll(image, 1, axis=1)
            viewer.add_image(data, metadata=metadata, axis_labels=("t", "z", "y", "x"))
    viewer.dims.ndisplay = 3
    event = SimpleNamespace(position=(0.0, 0.0, 30.0, 30.0), view_direction=np.array([0.0, 1.0, 0.0, 0.0]), dims_displayed=[1, 2, 3])
    assert place_of(viewer, event, ours) == (0, (9.0, 30.0, 30.0))
    assert place_of(viewer, event, theirs) == (0, (2.0, 30.0, 30.0))
