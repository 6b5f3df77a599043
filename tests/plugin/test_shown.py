import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from barlowtrack.plugin.roles import Role, layers_of


@pytest.fixture
def opened(viewer, qt, tiny_run):
    """A viewer that shows the tiny run, with its session."""
    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.opening import open_run

    assert open_run(viewer, tiny_run.path) == tiny_run.path
    session = session_of(viewer)
    qt.wait(lambda: session.solution is not None, what="the solution")
    qt.spin(0.05)
    return viewer, session


def one(viewer, role):
    (layer,) = layers_of(viewer.layers, role)
    return layer


def shown_um(layer):
    return by_place(layer.data[layer.shown] * layer.scale)


def by_place(position_um):
    return position_um[np.lexsort(position_um.T)]


def test_a_new_solution_changes_layers_in_place_and_what_is_removed_stays_away(opened, qt):
    viewer, session = opened
    old = session.solution
    before = list(viewer.layers)
    labels, neurons, ways = (one(viewer, role) for role in (Role.LABELS, Role.NEURONS, Role.TRACKS))
    reads = labels.data.volumes.held
    viewer.dims.set_current_step(0, 2)
    ways.visible = True
    qt.spin(0.05)
    n_known = int((old.tracks.neuron >= 0).sum())
    assert len(ways.data) == n_known
    nobody = np.where(old.tracks.neuron == 0, -1, old.tracks.neuron).astype(old.tracks.neuron.dtype)
    viewer.layers.remove(one(viewer, Role.IMAGE) if len(layers_of(viewer.layers, Role.IMAGE)) == 1 else viewer.layers["green"])
    session.take(replace(old, tracks=replace(old.tracks, neuron=nobody)))
    qt.spin(0.05)
    assert [layer for layer in before if layer.name != "green"] == list(viewer.layers)
    assert set(reads) <= set(labels.data.volumes.held), "no label was read again"
    assert (labels.data[2] == 1).sum() == 0
    part = old.detections.rows_of(2)
    assert (neurons.features["neuron"][neurons.shown] == "nobody").sum() == (nobody[part] == -1).sum()
    assert "0" not in set(neurons.features["neuron"][neurons.shown])
    assert len(ways.data) == n_known - int((old.tracks.neuron == 0).sum())
    viewer.layers.remove(neurons)
    session.take(replace(old))
    qt.spin(0.05)
    assert not layers_of(viewer.layers, Role.NEURONS)


def test_points_follow_the_volume_on_scrubbing_in_2d_and_3d(opened, qt):
    viewer, session = opened
    neurons, solution = one(viewer, Role.NEURONS), session.solution
    for ndisplay in (2, 3):
        viewer.dims.ndisplay = ndisplay
        for t in (5, 1, 7, 0):
            viewer.dims.set_current_step(0, t)
            qt.spin()
            np.testing.assert_allclose(
                shown_um(neurons), by_place(solution.detections.position_um[solution.detections.rows_of(t)]), rtol=1e-6
            )
    viewer.dims.ndisplay = 2
    viewer.dims.ndisplay = 3
    assert not neurons.text.visible, "all names would lie over each other"
    viewer.dims.ndisplay = 2
    assert neurons.text.visible
    neurons.visible = False
    viewer.dims.set_current_step(0, 4)
    qt.spin()
    neurons.visible = True
    qt.spin()
    np.testing.assert_allclose(shown_um(neurons), by_place(solution.detections.position_um[solution.detections.rows_of(4)]), rtol=1e-6)


def test_a_session_that_is_opened_elsewhere_brings_its_layers(viewer, qt, tiny_run):
    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.solution import Solution

    viewer.add_image(np.zeros((4, 4)), name="mine")
    session_of(viewer).take(Solution.read(tiny_run.path))
    qt.wait(lambda: layers_of(viewer.layers, Role.NEURONS, tiny_run.path), what="the layers")
    qt.spin(0.05)
    assert viewer.layers[0].name == "mine"
    assert one(viewer, Role.LABELS).data[0].max() < 65535 or one(viewer, Role.LABELS).data._solution is not None
    viewer.layers.clear()
    session_of(viewer).take(None)
    qt.spin(0.05)
    assert not viewer.layers


@pytest.fixture
def beside(qt, raised, tiny_run):
    """A viewer that slices beside the window, as 'barlowtrack open' has it, and its session with the tiny run; no panels."""
    from napari.settings import get_settings

    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.solution import Solution

    settings = get_settings().experimental
    settings.async_ = True
    try:
        viewer = qt.napari.Viewer(show=True)
        session = session_of(viewer)
        session.take(Solution.read(tiny_run.path))
        qt.wait(lambda: "red" in viewer.layers and all(layer.loaded for layer in viewer.layers))
        qt.spin(0.1)
        yield viewer, session
        viewer.close()
        qt.spin(0.05)
    finally:
        settings.async_ = False


def test_fewer_marks_are_drawn_beside_the_window_than_before(beside, qt, raised):
    """napari draws with what its last slice found, so a layer of points must not become shorter."""
    viewer, session = beside
    chosen, heard = [(3,), (), (3, 5, 9), (9,), (), (2, 4), (4,)], []
    session.chosen_changed.connect(heard.append)
    for neurons in chosen:
        session.choose(neurons)
        qt.spin(0.1)
        assert one(viewer, Role.MARKS).shown.sum() == len(neurons)
    assert heard == chosen
    solution = session.solution
    nobody = np.full_like(solution.tracks.neuron, -1)
    session.choose([2, 4, 6])
    qt.spin(0.1)
    session.take(replace(solution, tracks=replace(solution.tracks, neuron=nobody)))
    qt.spin(0.1)
    session.take(solution)
    qt.spin(0.1)
    marks = one(viewer, Role.MARKS)
    viewer.layers.remove(marks)
    session.choose([7])
    qt.spin(0.1)
    assert one(viewer, Role.MARKS) is not marks
    session.take(None)
    qt.spin(0.1)
    assert not one(viewer, Role.MARKS).shown.any()
    assert not raised


def test_a_slider_step_is_a_plane_and_marks_say_the_plane_that_the_slider_shows(opened, qt):
    from barlowtrack.plugin.world import World

    viewer, session = opened
    solution = session.solution
    one(viewer, Role.TRACKS).visible = True
    session.choose([int(np.argmax((solution.row_of >= 0).sum(axis=1)))])
    qt.spin(0.05)
    plane = solution.voxel_size_um[0]
    n_planes = viewer.layers["red"].data.shape[1]
    assert viewer.dims.range[1].step == pytest.approx(plane)
    assert viewer.dims.nsteps[1] == n_planes
    for step in (0, 3, n_planes - 1):
        viewer.dims.set_current_step(1, step)
        assert viewer.dims.point[1] == pytest.approx(step * plane)
        viewer.dims.set_point(1, step * plane)
        assert (viewer.dims.current_step[1], World(viewer).plane_um) == (step, pytest.approx(step * plane))
    row = int(solution.row_of[session.chosen[0], session.t])
    viewer.dims.set_current_step(1, 0 if solution.detections.position_um[row, 0] > n_planes * plane / 2 else n_planes - 1)
    marks = one(viewer, Role.MARKS)
    (said,) = marks.features["said"][marks.shown]
    viewer.dims.set_current_step(1, int(said.split("in plane ")[1]))
    assert abs(viewer.dims.point[1] - solution.detections.position_um[row, 0]) <= plane / 2


def test_slicing_beside_the_window_keeps_points_with_their_images(qt, raised, tiny_run):
    """As 'barlowtrack open' has it; points of one volume on the image of another would be lies."""
    import time

    from napari.settings import get_settings

    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.solution import Solution

    settings = get_settings().experimental
    settings.async_ = True
    try:
        viewer = qt.napari.Viewer(show=True)
        solution = Solution.read(tiny_run.path)
        session_of(viewer).take(solution)  # without panels, which go to where they want somebody to look
        qt.wait(lambda: "red" in viewer.layers)
        viewer.dims.set_current_step(0, 0)
        red, neurons = viewer.layers["red"], one(viewer, Role.NEURONS)
        volumes = red.data.volumes
        volumes.forget()
        read, volumes._ahead = volumes._read, 0
        volumes._read = lambda t: (time.sleep(0.3), read(t))[1]
        qt.wait(lambda: all(layer.loaded for layer in viewer.layers))
        qt.spin(0.05)
        start = time.perf_counter()
        viewer.dims.set_current_step(0, 6)
        qt.spin()
        assert time.perf_counter() - start < 0.25, "the window waited for the disk"
        at = [int(np.sum(solution.detections.t == t)) for t in (0, 6)]
        assert not red.loaded
        assert neurons.shown.sum() == at[0]
        np.testing.assert_allclose(shown_um(neurons), by_place(solution.detections.position_um[solution.detections.rows_of(0)]), rtol=1e-6)
        qt.wait(lambda: red.loaded)
        qt.spin(0.05)
        np.testing.assert_allclose(shown_um(neurons), by_place(solution.detections.position_um[solution.detections.rows_of(6)]), rtol=1e-6)
        viewer.close()
        qt.spin(0.05)
    finally:
        settings.async_ = False


def test_a_step_is_one_slice_and_one_picture_in_which_points_and_rings_are_those_of_the_images(beside, qt):
    from barlowtrack.plugin.slicing import slice_once

    viewer, session = beside
    slice_once(viewer)
    slice_once(viewer)  # as where another run is opened in the same window
    solution, neurons, red = session.solution, one(viewer, Role.NEURONS), viewer.layers["red"]
    who = int(np.argmax((solution.row_of >= 0).sum(axis=1)))
    session.choose([who])
    qt.spin(0.2)
    marks, slices, drawn = one(viewer, Role.MARKS), [], []
    red.events.set_data.connect(lambda _: slices.append(viewer.dims.current_step[0]))
    events = viewer.window._qt_viewer.canvas._scene_canvas.events
    events.draw.connect(lambda _: drawn.append((red._slice.image.raw.copy(), shown_um(neurons), marks.data[0] * marks.scale)))
    steps = [5, 1, 7, 2]
    for t in steps:
        viewer.dims.set_current_step(0, t)
        qt.wait(lambda: all(layer.loaded for layer in viewer.layers if layer.visible))
        qt.spin(0.05)
    assert slices == steps
    assert len(drawn) <= len(steps) + 1, "napari alone draws three or four a step"
    z = viewer.dims.current_step[1]
    for image, dots, ring in drawn:
        (t,) = [t for t in range(solution.n_volumes) if np.allclose(image, red.data[t, z])]
        np.testing.assert_allclose(dots, by_place(solution.detections.position_um[solution.detections.rows_of(t)]), rtol=1e-6)
        np.testing.assert_allclose(ring[1:], solution.detections.position_um[solution.row_of[who, t], 1:], rtol=1e-6)


def test_a_slider_that_becomes_shorter_shows_what_there_is(beside, qt):
    from barlowtrack.plugin.slicing import slice_once

    viewer, session = beside
    slice_once(viewer)
    long = viewer.add_image(np.zeros((40, 2, 4, 4), np.uint8), name="longer")
    viewer.dims.set_current_step(0, 35)
    qt.spin(0.1)
    viewer.layers.remove(long)
    qt.wait(lambda: all(layer.loaded for layer in viewer.layers if layer.visible))
    qt.spin(0.1)
    last = session.solution.n_volumes - 1
    assert viewer.dims.current_step[0] == session.t == last
    solution = session.solution
    np.testing.assert_allclose(
        shown_um(one(viewer, Role.NEURONS)), by_place(solution.detections.position_um[solution.detections.rows_of(last)]), rtol=1e-6
    )
    np.testing.assert_allclose(viewer.layers["red"]._slice.image.raw, viewer.layers["red"].data[last, viewer.dims.current_step[1]])


def test_memory_is_given_back_with_the_layers(opened, qt):
    viewer, _ = opened
    volumes = viewer.layers["red"].data.volumes
    assert volumes.held
    viewer.layers.remove("red")
    assert volumes.held, "green shows them still"
    viewer.layers.remove("green")
    assert not volumes.held


def test_a_closed_viewer_is_not_kept_alive_by_what_looks_after_it(qt):
    from napari.components import ViewerModel

    from barlowtrack.plugin.session import Session
    from barlowtrack.plugin.shown import ShownLayers

    viewer, session = ViewerModel(), Session()
    shown = ShownLayers(viewer, session)
    gone = weakref.ref(viewer)
    del viewer
    gc.collect()
    assert gone() is None
    shown.follow()


@pytest.mark.parametrize(
    ("missing", "said"), [("napari", "napari cannot be loaded"), ("qtpy.QtWidgets", "napari has no Qt"), (None, "no display")]
)
def test_what_is_missing_is_said_in_one_line(missing, said, monkeypatch):
    from barlowtrack.cli import opening
    from barlowtrack.errors import InputError

    def load(name):
        if name == missing:
            raise ImportError(f"No module named {name}\nlong story")

    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NAPARI_ASYNC", "0")
    with pytest.raises(InputError, match=said) as error:
        opening._napari(load)
    assert "\n" not in str(error.value)


def test_open_refuses_before_it_opens_a_window(tiny_run, tmp_path):
    from barlowtrack.cli.main import cli
    from barlowtrack.errors import InputError

    def refused(*arguments):
        error = CliRunner().invoke(cli, ["open", *map(str, arguments)], standalone_mode=False).exception
        assert isinstance(error, InputError)
        return str(error)

    assert "not there" in refused(tmp_path / "gone")
    assert "expected a run folder, or a recording" in refused(tmp_path)
    assert "whose settings count" in refused(tiny_run.path, "--rate", "3")


def test_layers_of_the_run_before_are_hidden(opened, qt, tmp_path):
    import shutil

    from barlowtrack.plugin.attached import session_of

    viewer, run = opened[0], session_of(opened[0]).path
    before = [layer for layer in viewer.layers if layer.visible]
    again = shutil.copytree(run, tmp_path / "again.barlowtrack")
    viewer.open(again, plugin="barlowtrack")
    qt.wait(lambda: session_of(viewer).path == again, what="the other run")
    assert not any(layer.visible for layer in before)
    assert any(layer.visible for layer in viewer.layers)


def test_after_all_layers_went_dots_are_seen_in_a_slab_again(beside, qt):
    from barlowtrack.plugin.kept_axes import SLAB_UM

    viewer, session = beside
    assert viewer.dims.thickness[1] == pytest.approx(SLAB_UM)
    run = session.path
    viewer.dims.margin_left = viewer.dims.margin_right = (0.0, 0.0, 0.0, 0.0)  # somebody wants none
    viewer.layers.remove(one(viewer, Role.NEURONS))
    viewer.open(run, plugin="barlowtrack")
    assert one(viewer, Role.NEURONS)
    assert viewer.dims.thickness[1] == 0
    viewer.layers.clear()
    qt.wait(lambda: session.solution is None)
    viewer.open(run, plugin="barlowtrack")
    assert viewer.dims.thickness[1] == pytest.approx(SLAB_UM)


def test_time_on_the_screen_reads_nothing(beside, qt, monkeypatch):
    from barlowtrack.plugin import kept_axes

    viewer, _ = beside
    said = []
    monkeypatch.setattr(kept_axes, "show_info", said.append)
    volumes, button = viewer.layers["red"].data.volumes, viewer.window._qt_viewer.viewerButtons.rollDimsButton
    for _ in range(3):
        button.click()
        assert 0 not in viewer.dims.displayed, "the button rolls space"
    assert viewer.dims.order == (0, 1, 2, 3)
    read, volumes._ahead = [], 0
    volumes.forget()
    monkeypatch.setattr(volumes, "_read", lambda t, before=volumes._read: (read.append(t), before(t))[1])
    viewer.dims.order = (1, 2, 0, 3)
    qt.wait(lambda: all(layer.loaded for layer in viewer.layers if layer.visible))
    assert not read
    assert not viewer.layers["red"]._slice.image.raw.any()
    assert len(said) == 1
    viewer.dims.order = (0, 1, 2, 3)
    qt.wait(lambda: all(layer.loaded for layer in viewer.layers if layer.visible))
    assert read == [viewer.dims.current_step[0]]
    assert viewer.layers["red"].data[:2].any(), "whoever asks for several volumes in a script has them"


def test_where_all_layers_go_no_other_run_is_read(beside, qt, tmp_path, monkeypatch):
    import shutil

    from barlowtrack.plugin import shown

    viewer, session = beside
    again = shutil.copytree(session.path, tmp_path / "again.barlowtrack")
    viewer.open(again, plugin="barlowtrack")
    qt.wait(lambda: session.path == again, what="the other run")
    read = []
    monkeypatch.setattr(shown, "in_background", lambda *work: read.append(work))
    viewer.layers.clear()  # as viewer.close() does; a thread that reads then outlives what it tells
    qt.spin(0.1)
    assert not read
