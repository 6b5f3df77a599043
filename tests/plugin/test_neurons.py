"""The Neurons panel and pointing at neurons, in a real window, by real mouse and keys."""

from dataclasses import replace

import numpy as np
import pytest

from barlowtrack.plugin.roles import Role, layers_of, metadata_of
from barlowtrack.plugin.solution import Solution

SPACE = {"units": ("pixel", "um", "um", "um"), "axis_labels": ("t", "z", "y", "x")}


@pytest.fixture(scope="module")
def solution(tiny_run):
    return Solution.read(tiny_run.path)


@pytest.fixture
def shown(viewer, qt, solution):
    """The run in the viewer: an image of it, its session, and ways to point at it."""
    return Shown(viewer, qt, solution)


def wheel(widget, at, by):
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QApplication

    where, none = QPointF(at), Qt.KeyboardModifier.NoModifier
    phase, buttons = Qt.ScrollPhase.NoScrollPhase, Qt.MouseButton.NoButton
    event = QWheelEvent(where, QPointF(widget.mapToGlobal(at)), QPoint(), QPoint(0, by), buttons, none, phase, False)
    QApplication.sendEvent(widget, event)


class Shown:
    def __init__(self, viewer, qt, solution):
        from barlowtrack.plugin.attached import pointing_of, session_of

        self.viewer, self.qt, self.solution = viewer, qt, solution
        viewer.window.resize(1000, 700)  # drawn in software, a smaller window is a faster one
        self.session, self.pointing = session_of(viewer), pointing_of(viewer)
        self.image = self.add(viewer.add_image, np.random.default_rng(0).random((8, 12, 72, 120), np.float32), Role.IMAGE)
        self.session.take(solution)
        self.canvas = viewer.window._qt_viewer.canvas
        qt.spin(0.05)

    def add(self, how, data, role, **more):
        metadata = metadata_of(role, self.solution.path)
        return how(data, name=str(role), scale=(1, *self.solution.voxel_size_um), metadata=metadata, **SPACE, **more)

    def panel(self):
        from barlowtrack.plugin.neurons.panel import Neurons

        panel = Neurons(self.viewer)
        self.viewer.window.add_dock_widget(panel, name="Neurons")
        self.qt.wait(lambda: len(panel.table.figures.figures), what="the figures")
        self.qt.spin(0.05)
        return panel

    def place(self, neuron, t=None):
        return self.solution.detections.position_um[self.solution.row_of[neuron, self.session.t if t is None else t]]

    def pixel(self, place_um):
        """Where the canvas shows a place."""
        from qtpy.QtCore import QPoint

        self.qt.spin(0.02)
        at = [float(place_um[axis - self.viewer.dims.ndim]) for axis in self.viewer.dims.displayed][::-1]
        x, y, _, w = self.canvas.view.scene.transform.map([*at, 0][:3])
        return QPoint(round(x / w), round(y / w))

    def click(self, place_um, *keys):
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        modifiers = Qt.KeyboardModifier.NoModifier
        for key in keys:
            modifiers |= key
        QTest.mouseClick(self.canvas.native, Qt.MouseButton.LeftButton, modifiers, self.pixel(place_um))
        self.qt.spin(0.02)

    def apart(self, n, *, t):
        """n neurons that are seen in volume t, none of which hides another in the plane or along z."""
        seen = np.flatnonzero(self.solution.row_of[:, t] >= 0)
        places = np.array([self.place(neuron, t) for neuron in seen])
        flat = np.linalg.norm(places[:, None, 1:] - places[None, :, 1:], axis=-1) + 1e9 * np.eye(len(seen))
        found = seen[np.argsort(-flat.min(axis=1), kind="stable")][:n]
        return [int(neuron) for neuron in found]


def test_a_click_on_a_nucleus_chooses_it_whatever_layer_is_active(shown, qt, solution):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    panel, session, viewer = shown.panel(), shown.session, shown.viewer
    session.show(3)
    one, other, third = shown.apart(3, t=3)
    labels = shown.add(viewer.add_labels, np.zeros((8, 12, 72, 120), np.int32), Role.LABELS)
    points = shown.add(viewer.add_points, np.array([[3, *(shown.place(one) / solution.voxel_size_um)]]), Role.NEURONS, size=8)
    assert panel.pages.currentWidget() is panel.hint
    assert "Choose a neuron" in panel.hint.text()
    for layer, neuron in ((shown.image, one), (labels, other), (points, third)):
        viewer.layers.selection.active = layer
        shown.pointing.look(tuple(shown.place(neuron)))
        shown.click(shown.place(neuron))
        assert session.chosen == (neuron,), layer
        assert panel.table.selected == [neuron]
        assert panel.pages.currentWidget() is panel.plot
        assert panel.plot.lines
        assert viewer.layers.selection.active is layer  # the marks do not take over
    shown.click(shown.place(third) + np.array([0, 30.0, 0]))  # where nothing is
    assert session.chosen == (third,)
    shown.pointing.look(tuple(shown.place(one)))
    shown.click(shown.place(one), Qt.KeyboardModifier.ShiftModifier)
    assert session.chosen == (third, one)
    shown.click(shown.place(one), Qt.KeyboardModifier.ControlModifier)
    assert session.chosen == (third,)
    at = shown.pixel(shown.place(one))
    native = shown.canvas.native
    QTest.mousePress(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
    QTest.mouseMove(native, at + type(at)(30, 0))
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at + type(at)(30, 0))
    assert session.chosen == (third,)  # that was a drag
    taken, pointing = [], shown.pointing
    pointing._clicked, clicked = (lambda position, *_, adds: taken.append(pointing._world.um_of(position))), pointing._clicked
    shown.pointing.look(tuple(shown.place(one)))
    shown.click(shown.place(one))
    pointing._clicked = clicked
    assert np.allclose(taken[0][1:], shown.place(one)[1:], atol=0.2)  # to a pixel of the screen
    assert taken[0][0] == viewer.dims.point[1]
    assert session.chosen == (third,)
    own = viewer.add_labels(np.zeros((8, 12, 72, 120), np.int32), scale=(1, *solution.voxel_size_um), **SPACE)  # ours cannot be painted on
    viewer.layers.selection.active = own
    own.mode = "paint"
    shown.click(shown.place(one))
    assert session.chosen == (third,)  # the brush has the click
    assert own.data.any()


def test_time_goes_alike_in_slider_plot_and_session(shown, qt, solution):
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    panel, session, viewer = shown.panel(), shown.session, shown.viewer
    moves = []
    session.moved.connect(moves.append)
    session.choose([2, 5])
    viewer.dims.set_point(0, 1)
    assert (session.t, moves) == (1, [1])
    assert panel.plot.cursor_at == solution.traces.time_s[1]
    qt.spin(0.1)
    before = np.asarray(panel.plot.buffer_rgba()).copy()
    session.show(6)
    assert (viewer.dims.point[0], moves) == (6, [1, 6])
    assert panel.plot.cursor_at == solution.traces.time_s[6]
    assert "Volume 6" in panel.read.text()
    assert (np.asarray(panel.plot.buffer_rgba()) != before).any()  # drawn, too
    x, y = panel.plot.pixel_of(3)
    QTest.mouseClick(panel.plot, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(round(x), round(y)))
    assert (session.t, viewer.dims.point[0]) == (3, 3)
    QTest.keyClick(panel.plot, Qt.Key.Key_Right)
    assert (session.t, viewer.dims.point[0]) == (4, 4)
    whole = panel.plot.span
    panel.plot._see(2.0 / 3, 2.0 / 3)  # as close as it goes
    low, high = panel.plot.span
    assert high - low < whole[1] - whole[0]
    session.show(7)
    assert panel.plot.span[0] <= solution.traces.time_s[7] <= panel.plot.span[1]  # the cursor stays in sight
    panel.all.click()
    assert panel.plot.span == pytest.approx(whole)
    x, y = (round(part) for part in panel.plot.pixel_of(7))
    wheel(panel.plot, QPoint(x, y), 480)
    assert panel.plot.span[0] > whole[0] + 0.1  # nearer, about the mouse
    near = panel.plot.span
    right = Qt.MouseButton.RightButton
    QTest.mousePress(panel.plot, right, Qt.KeyboardModifier.NoModifier, QPoint(x - 100, y))
    QTest.mouseMove(panel.plot, QPoint(x - 60, y))
    QTest.mouseRelease(panel.plot, right, Qt.KeyboardModifier.NoModifier, QPoint(x - 60, y))
    assert panel.plot.span[0] < near[0]
    assert session.t == 7
    QTest.mouseDClick(panel.plot, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(x - 60, y))
    assert panel.plot.span == pytest.approx(whole)
    viewer.add_image(np.zeros((20, 2, 8, 8)), name="longer than the run")
    viewer.dims.set_point(0, 15)
    assert (viewer.dims.point[0], session.t) == (15, 7)  # the viewer stays, the run shows its last


def test_in_3d_the_ray_of_a_click_finds_the_nucleus(shown, qt):
    session, viewer = shown.session, shown.viewer
    viewer.dims.ndisplay = 3
    session.show(2)
    centre = np.median([shown.place(n) for n in np.flatnonzero(shown.solution.row_of[:, 2] >= 0)], axis=0)
    viewer.scene.camera.center = tuple(centre)
    for angles in ((0, 0, 90), (20, 35, 110)):
        viewer.scene.camera.angles = angles
        qt.spin(0.05)
        towards = np.asarray(viewer.scene.camera.view_direction)
        seen = np.flatnonzero(shown.solution.row_of[:, 2] >= 0)
        places = np.array([shown.place(neuron) for neuron in seen])
        flat = places - (places @ towards)[:, None] * towards
        lonely = np.argsort(-(np.linalg.norm(flat[:, None] - flat[None], axis=-1) + 1e9 * np.eye(len(seen))).min(axis=1))
        for i in lonely[:3]:
            shown.click(places[i])
            assert session.chosen == (int(seen[i]),), angles
    assert layers_of(viewer.layers, Role.MARKS)[0].data.shape == (1, 3)


def test_marks_and_camera_go_with_the_chosen_neuron(shown, qt, solution):
    session, viewer, pointing = shown.session, shown.viewer, shown.pointing
    voxel = np.array(solution.voxel_size_um)
    neuron = int(np.argmax((solution.row_of >= 0).sum(axis=1)))
    gone = solution.tracks.neuron.copy()
    gone[(gone == neuron) & (solution.detections.t == 5)] = -1
    session.take(replace(solution, tracks=replace(solution.tracks, neuron=gone)))
    session.show(1)
    session.choose([neuron])
    session.looked.emit(tuple(shown.place(neuron, 1)))
    assert abs(viewer.dims.point[1] - shown.place(neuron, 1)[0]) <= voxel[0] / 2  # the nearest plane
    assert np.allclose(viewer.scene.camera.center[-2:], shown.place(neuron, 1)[1:], atol=1e-4)
    (marks,) = layers_of(viewer.layers, Role.MARKS, solution.path)
    assert np.allclose((marks.data[0] * voxel)[1:], shown.place(neuron, 1)[1:], atol=0.01)
    assert list(marks.features["said"]) == [solution.names.text(neuron)]
    assert np.allclose(viewer.dims.range[1].step, voxel[0])  # the marks leave the steps of sliders alone
    viewer.dims.set_point(1, shown.place(neuron, 1)[0] + 20)
    assert "in plane" in marks.features["said"][0]
    pointing.following = True
    session.show(6)
    assert np.allclose(viewer.scene.camera.center[-2:], shown.place(neuron, 6)[1:], atol=1e-4)
    session.show(5)
    assert "not seen here" in marks.features["said"][0]
    between = (shown.place(neuron, 4) + shown.place(neuron, 6)) / 2
    assert np.allclose(viewer.scene.camera.center[-2:], between[1:], atol=1e-3)
    viewer.layers.remove(marks)
    session.show(2)  # stays deleted for this choice
    assert not layers_of(viewer.layers, Role.MARKS)
    session.choose([neuron, (neuron + 1) % solution.n_neurons])
    assert len(layers_of(viewer.layers, Role.MARKS)) == 1
    session.choose([])
    assert not layers_of(viewer.layers, Role.MARKS)[0].shown.any()
    viewer.dims.ndisplay = 3
    session.choose([neuron])
    session.show(3)
    assert np.allclose(viewer.scene.camera.center, shown.place(neuron, 3), atol=1e-3)
    pointing.following = False
    session.show(6)
    assert np.allclose(viewer.scene.camera.center, shown.place(neuron, 3), atol=1e-3)


def test_a_nucleus_that_is_no_neuron_has_a_ring_too(shown, qt, solution):
    from barlowtrack.plugin.stops import Stop

    neuron = shown.apart(1, t=3)[0]
    row = int(solution.row_of[neuron, 3])
    gone = solution.tracks.neuron.copy()
    gone[row] = -1
    session, viewer = shown.session, shown.viewer
    session.take(replace(solution, tracks=replace(solution.tracks, neuron=gone)))
    place, other = tuple(float(part) for part in solution.detections.position_um[row]), (neuron + 1) % solution.n_neurons
    name = f"nucleus {solution.detections.label[row]}"

    def said():
        (marks,) = layers_of(viewer.layers, Role.MARKS)
        return list(marks.features["said"][marks.shown])

    session.show(1)
    session.choose([other])
    zoom = viewer.scene.camera.zoom
    session.look(Stop(3, place, (), ()))
    assert (session.chosen, said()) == ((), [name])
    radius = np.cbrt(3 * solution.detections.volume_um3[row] / (4 * np.pi))
    assert viewer.scene.camera.zoom == pytest.approx(max(zoom, 60 / (2 * radius)))
    session.look(Stop(3, place, (neuron,), ()))
    assert session.chosen == (neuron,)
    assert said()[1:] == [name], "who it was is chosen, and it has its ring all the same"
    session.choose([])
    viewer.scene.camera.zoom = 90
    session.look(Stop(3, place, (), ()))
    assert viewer.scene.camera.zoom == 90  # whoever is nearer stays there
    (marks,) = layers_of(viewer.layers, Role.MARKS)
    assert np.allclose((marks.data[0] * marks.scale)[1:], place[1:])
    session.show(4)
    assert said() == []
    session.show(3)
    session.choose([other])
    assert name not in said()
    viewer.scene.camera.zoom = 8
    shown.pointing.look(place)
    assert viewer.scene.camera.zoom == 8  # as the camera follows
    shown.pointing._clicked(np.array([3.0, *place]), None, adds=False)
    assert (session.chosen, said()) == ((), [name])
    session.take(solution)
    assert said() == []


def fewer(solution, neurons, volumes):
    """The same run, had it shown fewer."""
    early = np.flatnonzero(solution.detections.t < volumes)
    detections = replace(solution.detections.subset(early), n_volumes=volumes)
    who = solution.tracks.neuron[early]
    tracks = replace(
        solution.tracks, neuron=np.where(who < neurons, who, -1), probability=solution.tracks.probability[early], n_neurons=neurons
    )
    said = vars(solution.traces)
    traces = type(solution.traces)(**{name: (part if name == "time_s" else part[:neurons])[..., :volumes] for name, part in said.items()})
    return replace(solution, detections=detections, tracks=tracks, neurons=solution.neurons.iloc[:neurons], traces=traces)


def test_another_solution_may_show_less(shown, qt, solution, tmp_path):
    panel, session, viewer = shown.panel(), shown.session, shown.viewer
    session.show(6)
    session.choose([5, 2])
    session.take(fewer(solution, 3, 4))
    assert (session.t, session.chosen, panel.table.selected, viewer.dims.point[0]) == (3, (2,), [2], 3)
    assert layers_of(viewer.layers, Role.MARKS)[0].shown.sum() == 1
    qt.wait(lambda: len(panel.table.figures.figures) == 3, what="the new figures")
    other = replace(solution, path=tmp_path / "other.barlowtrack", voxel_size_um=(3.0, 0.7, 0.7))
    viewer.add_image(shown.image.data, name="other", scale=(1, 3, 0.7, 0.7), metadata=metadata_of(Role.IMAGE, other.path), **SPACE)
    session.take(other)
    assert session.chosen == ()
    session.choose([4])
    (marks,) = layers_of(viewer.layers, Role.MARKS)
    assert list(marks.scale) == [3.0, 0.7, 0.7]
    assert np.allclose((marks.data[0] * marks.scale)[1:], shown.pointing.place_of(4)[1:])
    session.take(None)
    assert not marks.shown.any()


def test_the_table_by_keys_and_mouse(shown, qt, solution):
    from qtpy.QtCore import Qt
    from qtpy.QtGui import QGuiApplication
    from qtpy.QtTest import QTest

    panel, session = shown.panel(), shown.session
    table, none = panel.table, Qt.KeyboardModifier.NoModifier
    panel.search.setFocus()
    QTest.keyClicks(panel.search, "probability>0 id<12")
    assert table.shown == [neuron for neuron in table.figures.figures.neuron if neuron < 12]
    QTest.keyClick(panel.search, Qt.Key.Key_Down)
    assert session.chosen == (table.shown[0],)
    QTest.keyClick(table, Qt.Key.Key_Down)
    assert session.chosen == (table.shown[1],)
    QTest.keyClick(table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert session.chosen == (table.shown[1], table.shown[2])
    QTest.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0].split("\t") == ["id", "name", "coverage", "probability", "r", "swaps"]
    assert [line.split("\t")[0] for line in lines[1:]] == [str(neuron) for neuron in session.chosen]
    QTest.keyClick(table, Qt.Key.Key_F)
    assert shown.pointing.following
    assert panel.follow.isChecked()
    panel.follow.click()
    assert not shown.pointing.following
    QTest.keyClick(table, Qt.Key.Key_Return)
    assert np.allclose(shown.viewer.scene.camera.center[-2:], shown.pointing.place_of(table.shown[2])[1:], atol=1e-4)
    table.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    sorted_so = table.shown
    by = dict(zip(table.figures.figures.neuron, table.figures.figures.probability, strict=True))
    assert [by[neuron] for neuron in sorted_so] == sorted((by[neuron] for neuron in sorted_so), reverse=True)
    hidden = int(max(table.figures.figures.neuron))
    session.choose([hidden, sorted_so[3]])  # elsewhere
    assert table.selected == [sorted_so[3]]
    assert "1 of them not in this list" in panel.count.text()
    session.take(replace(solution))  # solved again
    old = table.figures.figures
    qt.wait(lambda: table.figures.figures is not old, what="the new figures")
    assert (table.shown, table.selected, session.chosen) == (sorted_so, [sorted_so[3]], (hidden, sorted_so[3]))
    middle = table.visualRect(table.found.index(1, 2)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, none, middle)
    assert session.chosen == (sorted_so[1],)
    QTest.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, none, middle)
    assert shown.pointing.following
    panel.search.clear()
    assert len(table.shown) == len(table.figures.figures)
    assert table.selected == [sorted_so[1]]
    QTest.keyClick(table, Qt.Key.Key_Escape)
    assert (session.chosen, table.selected) == ((), [])


def test_napari_finds_the_panel(qt):
    from importlib import import_module
    from importlib.resources import files

    from npe2 import PluginManifest

    from barlowtrack.plugin.neurons.panel import Neurons

    manifest = PluginManifest.from_file(str(files("barlowtrack.plugin") / "napari.yaml"))
    (widget,) = [widget for widget in manifest.contributions.widgets if widget.display_name == "Neurons"]
    (command,) = [command for command in manifest.contributions.commands if command.id == widget.command]
    module, name = command.python_name.split(":")
    assert getattr(import_module(module), name) is Neurons


def test_empty_states_other_pictures_and_closing(shown, qt, solution):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    panel, session, viewer = shown.panel(), shown.session, shown.viewer
    panel.rows.setCurrentIndex(1)
    session.choose(range(10))
    qt.spin(0.05)
    assert "The first 8 of 10" in panel.legend.text()
    assert panel.plot.paint_with.dark
    viewer.theme = "light"
    assert not panel.plot.paint_with.dark
    session.take(replace(solution, traces=None))
    assert "barlowtrack run" in panel.hint.text()
    assert panel.pages.currentWidget() is panel.hint
    dark = replace(solution.traces, green=np.full_like(solution.traces.green, np.nan))
    session.take(replace(solution, traces=dark))
    panel.kind.setCurrentIndex(panel.kind.findData("green"))
    assert "Choose other traces" in panel.hint.text()
    again = shown.panel()
    assert (again.kind.currentData(), again.rows.currentData()) == ("green", True)
    viewer.add_image(np.zeros((3, 8, 12, 72, 120), np.uint8), name="five axes")
    viewer.dims.set_point(1, 4)
    assert session.t == 4
    viewer.dims.order = (1, 0, 2, 3, 4)
    viewer.dims.order = (0, 4, 3, 2, 1)  # time is on the screen: no slider of it, nothing to click
    session.show(2)
    middle = shown.canvas.native.rect().center()
    QTest.mouseClick(shown.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    viewer.dims.order = (0, 1, 2, 3, 4)
    for layer in (*layers_of(viewer.layers, Role.IMAGE), *layers_of(viewer.layers, Role.MARKS)):
        viewer.layers.remove(layer)
    viewer.dims.set_point(1, 7)
    assert session.t == 2  # no layer of the run is left to be pointed at
    session.choose([1])
    session.take(None)
    viewer.layers.clear()
    viewer.add_image(np.zeros((9, 9)), name="flat")
    qt.spin(0.05)
    session.choose([])
    assert "No run is open" in panel.hint.text()
    assert not len(panel.table.figures.figures)
    viewer.window.remove_dock_widget(again)
    again.deleteLater()
    qt.spin(0.05)
    session.take(solution)
    session.choose([3])
    qt.spin(0.3)


def test_a_click_on_a_trace_or_its_name_chooses_that_neuron(shown, qt, solution):
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    panel, session = shown.panel(), shown.session
    plot, (a, b, c) = panel.plot, shown.apart(3, t=3)

    def click(x, y, key=Qt.KeyboardModifier.NoModifier):
        QTest.mouseClick(plot, Qt.MouseButton.LeftButton, key, QPoint(round(x), round(y)))
        qt.spin(0.02)

    for row in range(panel.rows.count()):  # one row each, and overlaid
        panel.rows.setCurrentIndex(row)
        for neuron in (a, c):
            session.choose([a, b, c])
            qt.spin(0.05)
            t = next(t for t in (1, 2, 4, 5) if plot.neuron_at(*pixel_of_figure(plot, *plot.pixel_of_trace(neuron, t))) == neuron)
            click(*plot.pixel_of_trace(neuron, t))
            assert (session.chosen, session.t) == ((neuron,), t)
            assert panel.table.selected == [neuron]
    panel.rows.setCurrentIndex(0)
    session.choose([a, b, c])
    qt.spin(0.05)
    (name,) = [name for neuron, name in plot._names if neuron == b]
    box, high = name.get_window_extent(), plot.figure.bbox.height
    place = (box.x0 + box.x1) / 2 / plot.device_pixel_ratio, (high - (box.y0 + box.y1) / 2) / plot.device_pixel_ratio
    click(*place, Qt.KeyboardModifier.ControlModifier)
    assert session.chosen == (a, c)
    session.choose([a, b, c])
    qt.spin(0.05)
    x, y = plot.pixel_of_trace(a, 4)
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mousePress(plot, left, none, QPoint(round(x), round(y)))
    QTest.mouseMove(plot, QPoint(round(x) + 40, round(y)))
    QTest.mouseRelease(plot, left, none, QPoint(round(x) + 40, round(y)))
    assert session.chosen == (a, b, c), "a drag goes through time"
    between = plot._axes.transData.transform((plot._x[3], 1.0))  # between two rows: only the time
    click(between[0] / plot.device_pixel_ratio, (high - between[1]) / plot.device_pixel_ratio)
    assert (session.chosen, session.t) == ((a, b, c), 3)


def pixel_of_figure(plot, x, y):
    return x * plot.device_pixel_ratio, plot.figure.bbox.height - y * plot.device_pixel_ratio
