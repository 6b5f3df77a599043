"""How long the Neurons panel of napari takes: its figures, a plot of eight neurons, and the cursor in it.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/bench_neurons.py --neurons 300 --volumes 1600 6400

Made-up traces with more gaps, flags and doubts than real ones have, in a real window. Medians in ms of the processor: figures are worked
out beside the window; choosing is what a click on a row costs before the plot is drawn, drawing what comes then; the cursor moves at every
volume.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

from barlowtrack.data import Detections, Flag, Source, Traces, Tracks
from barlowtrack.plugin.solution import Solution


def made_up(k: int, n_volumes: int) -> Solution:
    """A run of k neurons that are nearly always found."""
    rng = np.random.default_rng(0)
    home = rng.uniform(0, 1, (k, 3)) * [30, 60, 110]
    seen = rng.random((n_volumes, k)) < 0.95
    t, who = np.nonzero(seen)
    label = np.cumsum(seen, axis=1)[t, who].astype(np.int32)
    place = (home[who] + rng.normal(0, 0.2, (len(t), 3))).astype(np.float32)
    one, sure = np.ones(len(t), np.float32), rng.beta(20, 1, len(t)).astype(np.float32)
    detections = Detections(n_volumes, t.astype(np.int32), label, place, 30 * one, one, one, one, one, one, one)
    source = np.where(seen.T, Source.SEEN, rng.choice([Source.NONE, Source.PREDICTED, Source.INTERPOLATED], (k, n_volumes)))
    ratio = (1 + np.cumsum(rng.normal(0, 0.05, (k, n_volumes)), axis=1)).astype(np.float32)
    ratio[source == Source.NONE] = np.nan
    probability = np.where(source > Source.SEEN, 0.8, np.nan)
    probability[who, t] = sure
    flags = np.where(rng.random(ratio.shape) < 0.02, Flag.SWAPPED, 0) + np.where(rng.random(ratio.shape) < 0.2, Flag.CROWDED, 0)
    flags += np.where(probability < 0.5, Flag.DOUBTFUL, 0)
    light = (ratio, ratio, ratio, ratio, ratio, probability, source.astype(np.uint8), flags.astype(np.uint8))
    names = pd.DataFrame({"neuron": np.arange(k), "name": [""] * k})
    tracks, nothing = Tracks(who.astype(np.int32), sure, k), pd.DataFrame()
    traces = Traces(np.arange(n_volumes) / 3.0, *light)
    return Solution(Path("made-up"), detections, tracks, names, nothing, nothing, traces, (1.5, 0.3, 0.3), 3.0)


def ms(work) -> float:
    start = time.process_time()
    work()
    return 1e3 * (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=300)
    parser.add_argument("--volumes", type=int, nargs="+", default=[1600, 6400])
    given = parser.parse_args()
    os.environ["NAPARI_CONFIG"] = ""
    import napari
    from napari.qt import get_qapp

    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.neurons.figures import figures_of
    from barlowtrack.plugin.neurons.panel import Neurons

    viewer, application = napari.Viewer(), get_qapp()
    session, panel = session_of(viewer), Neurons(viewer)
    viewer.window.add_dock_widget(panel, name="Neurons")
    viewer.window.resize(1600, 1000)
    for n_volumes in given.volumes:
        solution = made_up(given.neurons, n_volumes)
        print(f"{given.neurons} neurons, {n_volumes} volumes: figures {ms(lambda: figures_of(solution)):.0f}")  # noqa: B023
        session.take(solution)
        while len(panel.table.figures.figures) != given.neurons:
            application.processEvents()
        for overlaid in (0, 1):
            panel.rows.setCurrentIndex(overlaid)
            chosen, drawn, moved = [], [], []
            for first in range(7):
                chosen.append(ms(lambda: session.choose(range(first, first + 8))))  # noqa: B023
                drawn.append(ms(panel.plot.draw))
                application.processEvents()
            for t in range(0, 400, 10):
                moved.append(ms(lambda: session.show(t)))  # noqa: B023
                application.processEvents()
            said = ", ".join(f"{name} {np.median(each):.1f}" for name, each in (("choose", chosen), ("draw", drawn), ("cursor", moved)))
            print(f"  8 neurons, {panel.rows.currentText()}: {said}")
    viewer.close()


if __name__ == "__main__":
    main()
