"""Whether the window stands what people do to it: random clicks, keys, sliders and panels, on a copy of a run.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/soak_napari.py RUN --seconds 300

Prints what was raised anywhere, and the memory of the process before and after.
"""

import argparse
import os
import random
import resource
import shutil
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

LETTERS = "KJUQNXFCT12345"
"""Keys of the panels and of napari; none that starts a solution anew, which takes minutes."""


class Soak:
    """A viewer, its session, and what somebody may do to them.

    Args:
        viewer: Shows a run, with its panels.
        seed: Of chance.
    """

    def __init__(self, viewer, seed=0):
        from napari.qt import get_qapp

        from barlowtrack.plugin.attached import session_of

        self.viewer, self.session, self.chance = viewer, session_of(viewer), random.Random(seed)
        self.application = get_qapp()
        self.canvas = viewer.window._qt_viewer.canvas.native
        self.done = 0

    def spin(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.005)

    def run(self, seconds):
        acts = [
            self.click,
            self.click,
            self.key,
            self.scrub,
            self.scrub,
            self.plane,
            self.choose,
            self.turn,
            self.hide,
            self.panel,
            self.again,
        ]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.chance.choice(acts)()
            self.done += 1
            self.spin(self.chance.choice([0.0, 0.02, 0.1]))
        self.spin(0.5)

    def click(self):
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        at = QPoint(self.chance.randrange(self.canvas.width()), self.chance.randrange(self.canvas.height()))
        solution, dims = self.session.solution, self.viewer.dims
        if solution is not None and dims.ndisplay == 2 and self.chance.random() < 0.8:  # on a nucleus, be it a neuron or not
            part = solution.detections.rows_of(self.session.t)
            if part.stop > part.start:
                place = solution.detections.position_um[self.chance.randrange(part.start, part.stop)]
                dims.set_point(dims.ndim - 3, float(place[0]))
                self.spin(0.02)
                x, y, _, w = self.viewer.window._qt_viewer.canvas.view.scene.transform.map([float(place[2]), float(place[1]), 0])
                at = QPoint(round(x / w), round(y / w))
        keys = self.chance.choice([Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier])
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, keys, at)

    def key(self):
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        widget = self.application.focusWidget() or self.canvas
        name = self.chance.choice([*LETTERS, "Escape", "Right", "Left", "Z"])
        shift = Qt.KeyboardModifier.ShiftModifier if name == "Z" else Qt.KeyboardModifier.NoModifier  # takes the last answer back
        QTest.keyClick(widget, getattr(Qt.Key, f"Key_{name}"), shift)

    def scrub(self):
        dims = self.viewer.dims
        t, by = self.chance.randrange(int(dims.nsteps[-4])), self.chance.choice([-1, 1, 7])
        for step in range(self.chance.randrange(1, 8)):
            dims.set_current_step(dims.ndim - 4, (t + by * step) % int(dims.nsteps[-4]))
            self.spin(0.0)

    def plane(self):
        dims = self.viewer.dims
        dims.set_current_step(dims.ndim - 3, self.chance.randrange(int(dims.nsteps[-3])))

    def choose(self):
        if self.session.solution is not None:
            many = self.chance.choice([0, 0, 1, 1, 3, 8])
            n = self.session.solution.n_neurons
            self.session.choose(self.chance.sample(range(n), min(many, n)), add=self.chance.random() < 0.2)

    def turn(self):
        self.viewer.dims.ndisplay = 5 - self.viewer.dims.ndisplay

    def hide(self):
        layers = list(self.viewer.layers)
        if not layers:
            return
        layer = self.chance.choice(layers)
        if layer.name == "chosen" and self.chance.random() < 0.3:
            self.viewer.layers.remove(layer)
        else:
            layer.visible = not layer.visible

    def panel(self):
        from qtpy.QtWidgets import QDockWidget

        window = self.viewer.window
        ours = [dock for dock in window._qt_window.findChildren(QDockWidget) if "(barlowtrack)" in str(getattr(dock, "name", ""))]
        if len(ours) < 4 and self.chance.random() < 0.3:
            window.add_plugin_dock_widget("barlowtrack", self.chance.choice(["Neurons", "Review", "Run", "Compare"]))
        elif ours:
            dock = self.chance.choice(ours)
            self.chance.choice([dock.hide, dock.show, dock.raise_])()

    def again(self):
        """The same run, as if it had been solved again, with some nuclei nobody's."""
        from dataclasses import replace

        import numpy as np

        solution = self.session.solution
        if solution is None or self.chance.random() < 0.7:
            return
        neuron = solution.tracks.neuron.copy()
        neuron[np.random.default_rng(self.done).random(len(neuron)) < 0.02] = -1
        self.session.take(replace(solution, tracks=replace(solution.tracks, neuron=neuron)))


def rss_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ["NAPARI_CONFIG"], os.environ["NAPARI_ASYNC"] = "", "1"  # nobody's settings; as 'barlowtrack open' has it
    import napari

    from barlowtrack.plugin.opening import make_room, open_run

    raised = []
    sys.excepthook = lambda kind, error, trace: raised.append("".join(traceback.format_exception(kind, error, trace)))
    threading.excepthook = lambda said: raised.append(
        "".join(traceback.format_exception(said.exc_type, said.exc_value, said.exc_traceback))
    )
    with tempfile.TemporaryDirectory() as folder:
        source = given.run.absolute()
        for part in (source, source.parent / "recording"):
            shutil.copytree(part, Path(folder) / part.name)
        viewer = napari.Viewer(show=True)
        make_room(viewer)
        open_run(viewer, Path(folder) / source.name)
        soak = Soak(viewer, given.seed)
        soak.spin(10)
        soak.run(min(20.0, given.seconds / 4))  # caches fill
        before, done = rss_mb(), soak.done
        try:
            soak.run(given.seconds)
        except Exception:
            raised.append(f"ended early, after {soak.done} acts:\n{traceback.format_exc()}")
        print(f"{soak.done - done} acts in {given.seconds:.0f} s, resident {before:.0f} MB before, {rss_mb():.0f} MB after")
        print(f"raised: {len(raised)}")
        for text in dict.fromkeys(raised):
            print(f"{raised.count(text)} times:\n{text}")
        viewer.close()
        soak.spin(0.5)


if __name__ == "__main__":
    main()
