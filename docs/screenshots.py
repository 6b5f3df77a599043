"""Makes the pictures of napari in the docs: of the real window, with a run of the sample; on a display, or under Xvfb.

xvfb-run -s "-screen 0 1600x1000x24" python docs/screenshots.py
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ["NAPARI_CONFIG"] = ""  # nobody's settings
ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "_static" / "napari"
SIZE = (1500, 920)


class Stage:
    """A viewer with the run of the sample, and what a person does in it.

    Args:
        run: Its run folder.
    """

    def __init__(self, run: Path) -> None:
        import napari
        from napari.qt import get_qapp

        from barlowtrack.plugin.attached import session_of
        from barlowtrack.plugin.opening import open_run

        self.application = get_qapp()
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(*SIZE)
        open_run(self.viewer, run)
        self.session = session_of(self.viewer)
        self.until(lambda: self.session.solution is not None)
        self.rest(4)

    def until(self, condition, seconds: float = 120.0) -> None:
        """Turns the window's loop until something is so."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                sys.exit("screenshots: waited in vain")
            self.application.processEvents()
            time.sleep(0.01)

    def rest(self, seconds: float) -> None:
        """Lets the window finish what it is at."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def panel(self, name: str):
        """Docks a panel, or brings it to the front; returns it."""
        dock, widget = self.viewer.window.add_plugin_dock_widget("barlowtrack", name, tabify=True)
        dock.raise_()
        self.rest(1)
        return widget

    def shoot(self, name: str) -> None:
        """Takes the picture."""
        self.rest(1.5)
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        self.viewer.window.screenshot(str(path), flash=False, canvas_only=False)
        _make_small(path)
        print(path.relative_to(ROOT))


def _make_small(path: Path) -> None:
    """Few colours are enough for a window: a third of the bytes."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Runs the sample in a folder of its own, and takes all pictures."""
    import barlowtrack as bt

    folder = Path(tempfile.gettempdir()) / "worms"  # a name that means something, for it is seen in pictures
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "sample_data", folder)
    run = bt.run(folder / "recording")
    stage = Stage(run.path)
    _look(stage)
    _review(stage)
    _compare(stage, folder / "truth.csv")
    _run(stage)
    stage.viewer.close()
    stage.rest(0.5)
    shutil.rmtree(folder)


def _look(stage: Stage) -> None:
    """The window as it opens, the neurons, and the volume from the side."""
    stage.panel("Neurons")
    stage.session.show(18)
    stage.session.choose([20, 12, 7])
    stage.viewer.reset_view()
    stage.shoot("overview")
    stage.viewer.dims.ndisplay = 3
    stage.rest(1)
    stage.viewer.scene.camera.angles = (-20, 30, -60)
    stage.shoot("volume")
    stage.viewer.dims.ndisplay = 2
    stage.viewer.reset_view()


def _review(stage: Stage) -> None:
    """A question; and what follows from an exchange that is wrong."""
    from barlowtrack.answers import Answer, give_all
    from barlowtrack.storage import RunFolder

    stage.session.choose(())
    panel = stage.panel("Review")
    stage.rest(4)
    panel.desk.back_to_question()
    stage.rest(2)
    stage.shoot("review")
    solution = stage.session.solution
    row, other = (int(solution.row_of[neuron, 10]) for neuron in (20, 21))
    labels = [int(solution.detections.label[at]) for at in (row, other)]
    folder = RunFolder(solution.path)
    give_all(folder, [Answer("is", t=10, label=labels[0], neuron=21), Answer("is", t=10, label=labels[1], neuron=20)], "Ada")
    stage.session.tell()
    stage.rest(1)
    panel.solving.start()
    stage.until(lambda: stage.session.solution is not solution)
    stage.rest(3)
    panel.solving.changes.step(1)
    panel.solving.changes.step(1)
    stage.shoot("changes")


def _compare(stage: Stage, truth: Path) -> None:
    """The sample's own truth beside the run."""
    panel = stage.panel("Compare")
    panel.compare_with(truth)
    stage.until(lambda: bool(panel.found))
    stage.rest(1)
    panel.stepper.step(1)
    stage.shoot("compare")


def _run(stage: Stage) -> None:
    """The form."""
    stage.panel("Run")
    stage.rest(2)
    stage.shoot("run")


if __name__ == "__main__":
    main()
