"""A real napari in a real window, on a display of its own: Xvfb where there is no other.

Qt's own offscreen platform has no OpenGL, so that the canvas of napari would not draw.
"""

import os
import shutil
import subprocess
import sys
import time
import warnings
from types import SimpleNamespace

import pytest

os.environ["NAPARI_CONFIG"] = ""  # nobody's settings are read or written
os.environ.setdefault("QT_API", "pyqt6")


@pytest.fixture(scope="session")
def display():
    """A display to draw on; a test that wants one is skipped where there can be none."""
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        program = shutil.which("Xvfb")
        if program is None:
            pytest.skip("no display, and no Xvfb to make one (Debian: xvfb)")
        read, write = os.pipe()
        arguments = [program, "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
        server = subprocess.Popen(arguments, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        if not number:
            server.kill()
            server.wait()
            pytest.skip("Xvfb does not start")
        os.environ["DISPLAY"] = f":{number}"
        yield os.environ["DISPLAY"]
        del os.environ["DISPLAY"]
        server.kill()
        server.wait()
    else:
        yield os.environ.get("DISPLAY", "")


@pytest.fixture(scope="session")
def qt(display):
    """The Qt application: wait(condition) turns its loop until something is so; spin() until nothing is left to do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, while they are imported
        try:
            import napari
            from napari.qt import get_qapp
            from qtpy.QtWidgets import QApplication
        except ImportError as error:  # no Qt binding, or a library of the system that it wants
            pytest.skip(f"napari with Qt cannot be loaded: {error}")
        application = get_qapp() if QApplication.instance() is None else QApplication.instance()

    def spin(seconds=0.0):
        end = time.monotonic() + seconds
        while True:
            application.processEvents()
            if time.monotonic() >= end:
                return
            time.sleep(0.005)

    def wait(condition, seconds=30.0, what="it"):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s for {what}"
            application.processEvents()
            time.sleep(0.005)
        return condition()

    return SimpleNamespace(application=application, napari=napari, spin=spin, wait=wait)


@pytest.fixture(autouse=True)
def raised(monkeypatch):
    """What was raised where nobody could catch it: in slots, timers and threads. Must be empty in the end."""
    import threading

    caught = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: caught.append(error))
    monkeypatch.setattr(threading, "excepthook", lambda said: caught.append(said.exc_value))
    yield caught
    assert not caught, caught


@pytest.fixture
def viewer(qt, raised):
    """A viewer in a window that is shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = qt.napari.Viewer(show=True)
        qt.spin()
    yield made
    _let_go(made)
    made.close()
    qt.spin(0.05)


def _let_go(viewer):
    """Lets go of Shift and Control: a click that a test makes with one leaves it down, for the tests that come after it too."""
    from qtpy.QtCore import Qt
    from qtpy.QtGui import QGuiApplication
    from qtpy.QtTest import QTest

    if hasattr(viewer.window, "_qt_window"):  # a test may have closed it
        QTest.keyRelease(viewer.window._qt_viewer, Qt.Key.Key_Shift)
    assert QGuiApplication.keyboardModifiers() == Qt.KeyboardModifier.NoModifier
