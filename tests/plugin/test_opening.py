"""The window that 'barlowtrack open' opens, and where panels lie in it."""

import threading

import pytest

from barlowtrack.errors import StorageError


def test_a_run_is_seen_whole_first_and_panels_from_the_menu_lie_over_ours(viewer, qt, tiny_run):
    from qtpy.QtCore import Qt, QTimer
    from qtpy.QtWidgets import QDockWidget

    from barlowtrack.plugin.attached import pointing_of, session_of
    from barlowtrack.plugin.opening import make_room, open_run

    make_room(viewer)
    layers_then, timer = [], QTimer()
    timer.timeout.connect(lambda: layers_then.append(len(viewer.layers)))
    timer.start(0)
    open_run(viewer, tiny_run.path)
    timer.stop()
    assert set(layers_then) == set(range(len(viewer.layers) + 1)), "the window lives on before, between and after all layers"
    session = session_of(viewer)
    qt.wait(lambda: session.solution is not None, what="the solution")
    qt.spin(0.3)
    assert pointing_of(viewer).overview
    window, camera = viewer.window._qt_window, viewer.scene.camera
    assert (window.width(), window.height()) == (1500, 950)
    now = (camera.zoom, *camera.center)
    viewer.reset_view()
    assert now == pytest.approx((camera.zoom, *camera.center)), "the whole picture, in the middle"
    docks = {name: viewer.window.add_plugin_dock_widget("barlowtrack", name)[0] for name in ("Compare", "Run")}
    qt.wait(lambda: all(len(window.tabifiedDockWidgets(dock)) == 3 for dock in docks.values()), what="four tabs")
    ours = [dock for dock in window.findChildren(QDockWidget) if dock.name.endswith("(barlowtrack)")]
    assert len(ours) == 4
    window.splitDockWidget(ours[0], docks["Run"], Qt.Orientation.Vertical)
    apart = len(window.tabifiedDockWidgets(docks["Run"]))
    docks["Run"].hide()
    docks["Run"].show()
    qt.spin(0.1)
    assert len(window.tabifiedDockWidgets(docks["Run"])) == apart, "where somebody put it, it stays"


def test_what_is_waited_for_is_done_beside_the_window(qt):
    from qtpy.QtCore import QTimer

    from barlowtrack.plugin.background import meanwhile

    turned = threading.Event()
    QTimer.singleShot(0, turned.set)
    assert meanwhile(lambda: turned.wait(10)), "a timer of the window came meanwhile"
    assert meanwhile(threading.get_ident) != threading.get_ident()
    with pytest.raises(StorageError, match="gone"):
        meanwhile(_gone)


def _gone():
    raise StorageError("gone")


def test_the_window_stands_what_people_do_to_it(qt, raised, tiny_run, tmp_path):
    """A short soak, as 'barlowtrack open' has it: sliced beside the window; `raised` says what went wrong."""
    import shutil

    from napari.settings import get_settings

    from barlowtrack.plugin.opening import open_run
    from benchmarks.soak_napari import Soak

    for part in (tiny_run.path, tiny_run.path.parent / "recording"):
        if part.exists():
            shutil.copytree(part, tmp_path / part.name)
    settings = get_settings().experimental
    settings.async_ = True
    try:
        viewer = qt.napari.Viewer(show=True)
        open_run(viewer, tmp_path / tiny_run.path.name)
        soak = Soak(viewer, seed=1)
        qt.wait(lambda: soak.session.solution is not None, what="the solution")
        soak.run(6.0)
        assert soak.done > 10
        viewer.close()
        qt.spin(0.1)
    finally:
        settings.async_ = False


def test_the_secrets_of_an_address_are_not_shown(qt, monkeypatch):
    from barlowtrack.errors import InputError
    from barlowtrack.plugin import background
    from barlowtrack.plugin.opening import open_run

    address, shown = "https://user:s%2Fecret@host.org/worm.zarr?token=s%2Fecret", []
    with pytest.raises(InputError, match=r"^https://host\.org/worm\.zarr\?\.\.\.: expected a run folder") as error:
        open_run(None, address)
    assert "ecret" not in str(error.value)
    monkeypatch.setattr(background, "show_error", shown.append)
    background.say(InputError(f"{address}: no answer"))
    assert shown == ["https://host.org/worm.zarr?...: no answer"]


@pytest.mark.parametrize("closing", ["window", "viewer", "while layers come"])
def test_a_window_that_is_closed_while_a_run_is_opened_ends_quietly(qt, raised, tiny_run, monkeypatch, closing):
    from barlowtrack.plugin import opening

    viewer = qt.napari.Viewer(show=True)
    close = {"window": viewer.window._qt_window.close}.get(closing, viewer.close)
    if closing == "while layers come":
        viewer.layers.events.inserted.connect(lambda _: opening.QTimer.singleShot(0, close))
    else:
        found = opening._found_at
        monkeypatch.setattr(opening, "_found_at", lambda *at: (closed.wait(10), found(*at))[1])
        closed = threading.Event()
        opening.QTimer.singleShot(0, lambda: (close(), closed.set()))
    assert opening.open_run(viewer, tiny_run.path) is None
    assert not viewer.layers
    qt.spin(0.05)


def test_control_c_while_something_is_waited_for_comes_out_of_it(qt):
    import os
    import signal

    from barlowtrack.plugin.background import meanwhile

    pressed = threading.Event()

    def press():
        os.kill(os.getpid(), signal.SIGINT)
        return pressed.wait(10)

    with pytest.raises(KeyboardInterrupt):
        meanwhile(press)
    pressed.set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_opened_meanwhile_comes_after_it_and_once(viewer, qt, tiny_run, tmp_path):
    import shutil

    from qtpy.QtCore import QTimer

    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.opening import open_run
    from barlowtrack.plugin.roles import Role, layers_of

    again = shutil.copytree(tiny_run.path, tmp_path / "again.barlowtrack")
    asked = []

    def ask():
        for path in (tiny_run.path, again, again):
            viewer.open(path, plugin="barlowtrack")
        asked.append(open_run(viewer, tiny_run.path))

    QTimer.singleShot(0, ask)
    open_run(viewer, tiny_run.path)
    assert asked == [tiny_run.path]
    qt.wait(lambda: session_of(viewer).path == again, what="the run that was asked for last")
    for run in (tiny_run.path, again):
        (nuclei,) = layers_of(viewer.layers, Role.LABELS, run)
        assert nuclei.visible == (run == again)
    assert viewer.layers.index(nuclei) > len(viewer.layers) // 2
