import shutil
from pathlib import Path

import numpy as np
import pytest

from barlowtrack.plugin.roles import KEY, Role, layers_of

MANIFEST = Path(__file__).parents[2] / "barlowtrack" / "plugin" / "napari.yaml"


@pytest.fixture(autouse=True)
def manager(qt):
    """Knows the plugin as it stands here, however the package is installed."""
    from npe2 import PluginManager, PluginManifest

    known = PluginManager.instance()
    if "barlowtrack" not in known:
        known.register(PluginManifest.from_file(MANIFEST))
    return known


def test_the_manifest_is_valid_and_every_command_is_there():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert manifest.name == "barlowtrack"


def test_files_that_may_be_anybodys_are_left_to_others(tmp_path, manager):
    def readers(path):
        return {reader.plugin_name for reader in manager.iter_compatible_readers(str(path))}

    assert "barlowtrack" in readers(tmp_path)
    assert "barlowtrack" in readers(tmp_path / "a.ome.tif")
    for other in ("a.tif", "a.png", "a.csv", "a.npy"):
        assert "barlowtrack" not in readers(tmp_path / other)


def test_a_reader_is_offered_for_what_is_ours_alone(tiny_worm, tiny_run, tmp_path):
    from barlowtrack.plugin.reader import get_reader

    assert get_reader(str(tiny_run.path)) is not None
    assert get_reader(str(tiny_worm / "recording")) is not None
    assert get_reader(str(tmp_path)) is None
    assert get_reader([str(tiny_run.path)]) is not None
    assert get_reader([str(tiny_run.path), str(tiny_worm / "recording")]) is None


def test_a_run_that_is_dropped_opens_with_its_neurons(viewer, qt, tiny_run):
    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.kept_axes import SLAB_UM
    from barlowtrack.plugin.solution import Solution

    viewer.open(str(tiny_run.path), plugin="barlowtrack")
    session = session_of(viewer)
    qt.wait(lambda: session.solution is not None, what="the solution")
    solution = Solution.read(tiny_run.path)
    viewer.dims.set_current_step(0, 3)
    qt.spin(0.05)
    (labels,) = layers_of(viewer.layers, Role.LABELS)
    (neurons,) = layers_of(viewer.layers, Role.NEURONS)
    part = solution.detections.rows_of(3)
    assert labels.editable is False
    np.testing.assert_allclose(
        np.sort(neurons.data[neurons.shown] * neurons.scale, axis=0), np.sort(solution.detections.position_um[part], axis=0)
    )
    known = int(solution.tracks.neuron[part].max())
    row = int(solution.row_of[known, 3])
    place = np.round(solution.detections.position_um[row] / solution.voxel_size_um).astype(int)
    assert labels.data[(3, *place)] == known + 1
    from barlowtrack.showing.colours import colour_of

    np.testing.assert_allclose(labels.colormap.map(np.array([known + 1], np.uint16))[0, :3], colour_of(known), atol=1e-3)
    assert [layer.name for layer in viewer.layers] == ["red", "green", "nuclei", "tracks", "neurons"]
    assert list(viewer.dims.axis_labels) == ["t", "z", "y", "x"]
    assert viewer.dims.thickness[1] == SLAB_UM
    assert viewer.screenshot(canvas_only=True, flash=False)[..., :3].std() > 0


def test_a_recording_that_cannot_be_opened_is_said_in_the_window(viewer, qt, tmp_path):
    import tifffile
    from napari.utils.notifications import notification_manager

    tifffile.imwrite(tmp_path / "r.ome.tif", np.zeros((3, 4, 8, 8), np.uint16), ome=True, metadata={"axes": "TZYX"})
    notification_manager.records.clear()
    viewer.open(str(tmp_path / "r.ome.tif"), plugin="barlowtrack")
    assert len(viewer.layers) == 0
    assert "--voxel-size Z Y X" in notification_manager.records[-1].message
    qt.spin(0.05)


def test_the_sample_opens_with_its_truth(viewer, qt):
    viewer.open_sample("barlowtrack", "moving_worm")
    (truth,) = layers_of(viewer.layers, Role.TRUTH)
    red, _ = layers_of(viewer.layers, Role.IMAGE)
    viewer.dims.set_current_step(0, 11)
    qt.spin(0.05)
    expected = truth.metadata[KEY]["dots"].at(11).position_um
    np.testing.assert_allclose(truth.data[truth.shown] * truth.scale, expected)
    at = np.round(expected / np.array(red.scale[1:])).astype(int).clip(0, np.array(red.data.shape[1:]) - 1)
    volume = red.data[11]
    assert np.median(volume[tuple(at.T)]) > 2 * np.median(volume) - 100, "the points lie on nuclei"


def test_a_run_of_a_recording_that_is_gone_is_shown_and_said(viewer, qt, tiny_run, tmp_path):
    from napari.utils.notifications import notification_manager

    run = shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")
    about = run / "run.json"
    about.write_text(about.read_text().replace(tiny_run.folder.about()["recording"], "../recording"))
    notification_manager.records.clear()
    viewer.open(str(run), plugin="barlowtrack")
    assert [layer.name for layer in viewer.layers] == ["nuclei", "tracks", "neurons"]
    assert str(tmp_path / "recording") in notification_manager.records[-1].message
    from barlowtrack.plugin.attached import session_of

    qt.wait(lambda: session_of(viewer).solution is not None)
    qt.spin(0.05)


def drop(viewer, qt, path):
    """Drops a path on the window, and chooses barlowtrack where napari asks who shall read it."""
    from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
    from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
    from qtpy.QtGui import QDragEnterEvent, QDropEvent

    data, onto = QMimeData(), viewer.window._qt_viewer
    data.setUrls([QUrl.fromLocalFile(str(path))])
    how = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    asked = []

    def choose():
        dialog = qt.application.activeModalWidget()
        if isinstance(dialog, QtReaderDialog):
            (ours,) = [button for button in dialog.reader_btn_group.buttons() if button.text() == "barlowtrack"]
            ours.setChecked(True)
            asked.append(ours)
            dialog.accept()

    timer = QTimer()
    timer.timeout.connect(choose)
    timer.start(20)
    try:
        enter = QDragEnterEvent(QPointF(200, 200).toPoint(), *how)
        qt.application.sendEvent(onto, enter)
        assert enter.isAccepted()
        qt.application.sendEvent(onto, QDropEvent(QPointF(200, 200), *how))
        qt.spin(0.1)
    finally:
        timer.stop()
    return len(asked)


def test_what_is_dropped_on_the_window_for_real_is_shown_and_read_again_when_it_is_dropped_again(viewer, qt, tiny_run, tiny_worm, tmp_path):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    from barlowtrack.answers import Answer, give
    from barlowtrack.api import Run, prepare
    from barlowtrack.plugin.attached import session_of

    run = shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")
    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    about = run / "run.json"
    about.write_text(about.read_text().replace(tiny_run.folder.about()["recording"], "../recording"))
    QTest.keyPress(viewer.window._qt_viewer, Qt.Key.Key_Shift, Qt.KeyboardModifier.ShiftModifier)  # to napari: a stack of one
    assert drop(viewer, qt, run) == 1
    QTest.keyRelease(viewer.window._qt_viewer, Qt.Key.Key_Shift)
    session = session_of(viewer)
    qt.wait(lambda: session.solution is not None, what="the solution")
    qt.spin(0.05)
    assert [layer.name for layer in viewer.layers] == ["red", "green", "nuclei", "tracks", "neurons"]
    old, looks = session.solution, viewer.layers["red"]
    looks.colormap = "gray"
    give(Run(run).folder, Answer("name", neuron=0, other="AVAL"))
    prepare(run).run(upto="trace")
    viewer.layers.remove("green")
    drop(viewer, qt, run)
    qt.wait(lambda: session.solution is not old, what="what the run says now")
    assert session.solution.names.given[0] == "AVAL"
    assert sorted(layer.name for layer in viewer.layers) == ["green", "neurons", "nuclei", "red", "tracks"]
    assert viewer.layers["red"] is looks
    assert looks.colormap.name == "gray"
    viewer.layers.clear()
    drop(viewer, qt, tmp_path / "recording")
    qt.wait(lambda: len(viewer.layers) == 2, what="the recording")
    assert [layer.name for layer in viewer.layers] == ["red", "green"]
    assert session.solution is None
