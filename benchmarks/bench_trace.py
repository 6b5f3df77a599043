"""How true traces are, what each correction contributes, and what reading light costs.

    python benchmarks/bench_run.py --preset mid --ways default --keep runs
    python benchmarks/bench_trace.py --runs runs/mid-0 [--fade .7 1.4]
    python benchmarks/bench_trace.py --balls --volumes 10 --neurons 150

Of kept runs (see bench_run.py): brought up to date, then traced again by the default settings and in each other way, and compared with
true activity. r is Pearson's; a true neuron that nobody is counts as 0 in the last two columns. With --balls: time, memory and exactness
of measure on balls of known brightness on an uneven background, blurred and noisy, beside what trace read before it (a mean above the
percentile of a shell, one nucleus at a time).
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from barlowtrack.api import Run, prepare
from barlowtrack.config import ComputeConfig, MeasureConfig, TraceConfig
from barlowtrack.data import Candidates, Detections, Identities, Labels, Light, Places, Recording, Source, Traces, Truth
from barlowtrack.data.light import READINGS
from barlowtrack.evaluate import evaluate, trace_correlation
from barlowtrack.io.tables import read_truth
from barlowtrack.stages.measure import measure
from barlowtrack.stages.trace import trace
from barlowtrack.storage import load
from barlowtrack.synthetic import preset

SIZE_UM = (1.5, 0.3, 0.3)
SHAPE = (24, 256, 512)
GOOD = 0.75
OFFSET = preset("mid").offset
EVERY = tuple(Source)
WAYS: dict[str, tuple[dict[str, Any], str, Collection[Source]]] = {
    "default": ({}, "dr_over_r0", EVERY),
    "reading mean": ({"reading": "mean"}, "dr_over_r0", EVERY),
    "reading sum": ({"reading": "sum"}, "dr_over_r0", EVERY),
    "reading brightest": ({"reading": "brightest"}, "dr_over_r0", EVERY),
    "background stays": ({"background": False}, "dr_over_r0", EVERY),
    "bleaching none": ({"bleaching": "none"}, "dr_over_r0", EVERY),
    "bleaching mono": ({"bleaching": "mono"}, "dr_over_r0", EVERY),
    "bleaching bi": ({"bleaching": "bi"}, "dr_over_r0", EVERY),
    "unseen gap": ({"unseen": "gap"}, "dr_over_r0", EVERY),
    "seen values alone count": ({}, "dr_over_r0", (Source.SEEN,)),
    "gaps of 3 bridged": ({"max_gap": 3}, "dr_over_r0", EVERY),
    "smoothed by 1 volume": ({"smooth": 1.0}, "dr_over_r0", EVERY),
    "only p >= .5": ({"min_probability": 0.5}, "dr_over_r0", EVERY),
    "green alone": ({}, "green", EVERY),
    "dF/F0": ({}, "df_over_f0", EVERY),
    "dF/F0, motion stays": ({"motion": "none"}, "df_over_f0", EVERY),
    "dF/F0, background stays": ({"background": False}, "df_over_f0", EVERY),
    "dF/F0, bleaching none": ({"bleaching": "none"}, "df_over_f0", EVERY),
}


def score_run(folder: Path, fading: Sequence[float]) -> None:
    """Prints a line a way; red and green fall to exp(-fading) within the recording, beside what they did already."""
    target = folder / "recording.barlowtrack"
    job = prepare(target)
    job.run(upto="track")
    run, truth = Run(target), read_truth(folder / "truth.csv")
    found = evaluate(run.detections, run.tracks, truth)
    light, places, *rest = [load(name, target) for name in ("light", "places", "detections", "identities", "tracks", "neurons", "absences")]
    curve = np.exp(-np.outer(fading, np.linspace(0, 1, run.detections.n_volumes)))  # (2, T)
    given = [faded(light, curve[:, run.detections.t]), replace(places, light=faded(places.light, curve[:, places.t])), *rest]
    recording, settings = job.recording(), TraceConfig()
    print(f"{folder.name}: identity {found.identity_accuracy:.3f}, {len(np.unique(truth.neuron))} true neurons")
    print(f"{'':28} {'median r':>9} {'10th pct.':>9} {f'r > {GOOD}':>9}")
    for way, (changes, values, sources) in WAYS.items():
        made = trace(recording, *given, config=settings.model_copy(update=changes)).traces
        r = trace_correlation(made, truth, found.mapping, values=values, sources=sources)
        r = r[np.isfinite(r)]
        lost = max(len(np.unique(truth.neuron)) - len(r), 0)
        everybody = np.append(r, np.zeros(lost))
        print(f"{way:28} {np.median(r):9.3f} {np.percentile(everybody, 10):9.3f} {np.mean(everybody > GOOD):9.3f}", flush=True)
    made = trace(recording, *given, config=settings).traces
    print(f"values: {', '.join(f'{np.sum(made.source == source)} {source.name.lower()}' for source in Source)}")
    for values in ("dr_over_r0", "df_over_f0"):
        for source in (Source.SEEN, Source.PREDICTED):
            r, n = pooled(made, truth, found.mapping, values, source)
            print(f"{values} of {source.name.lower()} values alone: r {r:.3f} pooled over {n} values, each neuron about its own level")


def faded(light: Light, share: np.ndarray) -> Light:
    """Returns light of which a share (2, N) is left; the camera's offset stays."""
    return replace(light, **{n: OFFSET + (getattr(light, n) - OFFSET) * share for n in READINGS if n != "shell_spread"})


def pooled(traces: Traces, truth: Truth, mapping: dict[int, int], values: str, source: Source) -> tuple[float, int]:
    """Correlates values of one source with true activity, all neurons together, about the level and in the scale of what was seen of each.

    A neuron has too few predicted values for a correlation of its own.
    """
    ours, true = [], []
    for neuron, other in mapping.items():
        mine = truth.neuron == other
        activity = np.full(traces.red.shape[1], np.nan)
        activity[truth.t[mine]] = truth.activity[mine]
        row = getattr(traces, values)[neuron]
        known = np.isfinite(row) & np.isfinite(activity)
        seen = known & (traces.source[neuron] == Source.SEEN)
        asked = known & (traces.source[neuron] == source)
        if seen.sum() > 2 and asked.any() and row[seen].std() > 0 and activity[seen].std() > 0:
            ours.append((row[asked] - row[seen].mean()) / row[seen].std())
            true.append((activity[asked] - activity[seen].mean()) / activity[seen].std())
    if not ours:
        return float("nan"), 0
    a, b = np.concatenate(ours), np.concatenate(true)
    return float(np.corrcoef(a, b)[0, 1]), len(a)


class Balls:
    """Makes volume t of the recording when it is read; balls of 1.5 um radius that never touch."""

    def __init__(self, n_neurons: int, n_volumes: int):
        rng = np.random.default_rng(0)
        spots = np.stack(np.meshgrid(np.arange(3, 33, 6.0), np.arange(4, 74, 5.0), np.arange(4, 150, 5.0), indexing="ij"), -1).reshape(
            -1, 3
        )
        self.centre_um = spots[rng.permutation(len(spots))[:n_neurons]]
        self.activity = 0.5 + rng.random((n_neurons, n_volumes))
        grid = np.meshgrid(*[np.arange(n) * s for n, s in zip(SHAPE, SIZE_UM, strict=True)], indexing="ij", sparse=True)
        self.labels = np.zeros(SHAPE, np.int32)
        for k, centre in enumerate(self.centre_um):
            far = sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True))
            self.labels[far < 1.5**2] = k + 1
        y, x = np.meshgrid(np.linspace(0, 3, SHAPE[1]), np.linspace(0, 3, SHAPE[2]), indexing="ij")
        self.background = 40 + 30 * np.sin(y) * np.sin(x)

    def volume(self, t: int) -> np.ndarray:
        rng = np.random.default_rng([1, t])
        signal = np.stack([200.0 * (self.labels > 0), np.concatenate([[0], 200 * self.activity[:, t]])[self.labels]])
        blurred = ndimage.gaussian_filter(signal, (0, 0.6, 0.8, 0.8), output=np.float32) + self.background
        return rng.poisson(blurred).astype(np.uint16)


class Stored:
    """Volumes that are made beforehand, so that making them is not timed."""

    def __init__(self, volumes: list[np.ndarray]):
        self.volumes = volumes

    def read(self, t: int) -> np.ndarray:
        return self.volumes[t]


def one_by_one(volume: np.ndarray, labels: np.ndarray, config: MeasureConfig) -> np.ndarray:
    """Mean of every nucleus above its background, (2, n), as trace read it before measure: a distance transform and a percentile each."""
    bright = np.full((2, int(labels.max())), np.nan)
    for k, box in enumerate(ndimage.find_objects(labels)):
        reach = [int(config.shell_um / size) for size in SIZE_UM]
        grown = tuple(slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(box, reach, SHAPE, strict=True))
        inside = labels[grown] == k + 1
        shell = (ndimage.distance_transform_edt(~inside, sampling=SIZE_UM) <= config.shell_um) & (labels[grown] == 0)
        near = volume[:, *grown]
        bright[:, k] = near[:, inside].mean(1, dtype=np.float64) - np.percentile(near[:, shell], config.background_percentile, axis=1)
    return bright


def score_balls(n_volumes: int, n_neurons: int, workers: int) -> None:
    """Prints time, memory and exactness."""
    balls = Balls(n_neurons, n_volumes)
    volumes = [balls.volume(t) for t in range(n_volumes)]
    shape = (n_volumes, 2, *SHAPE)
    recording = Recording("balls", Stored(volumes), shape, np.dtype(np.uint16), SIZE_UM, 5.0, ("red", "green"), 0, 1, "balls")
    labels = Labels(Stored([balls.labels] * n_volumes), (n_volumes, *SHAPE))
    t, neuron = (a.ravel() for a in np.meshgrid(np.arange(n_volumes), np.arange(n_neurons), indexing="ij"))
    ones = np.ones(len(t))
    detections = Detections(n_volumes, t, neuron + 1, balls.centre_um[neuron], 14 * ones, ones, ones, ones, ones, ones, ones)
    who = Candidates(neuron[:, None], ones[:, None])
    nobody, place = np.full((n_volumes, n_neurons), np.nan), np.broadcast_to(balls.centre_um, (n_volumes, n_neurons, 3))
    identities = Identities(neuron, ones, who, nobody, place)
    config = MeasureConfig()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    found = list(measure(recording, labels, detections, identities, config=config, compute=ComputeConfig(workers=workers)))
    spent = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    singly = [one_by_one(volume, balls.labels, config) for volume in volumes]
    spent_singly = time.perf_counter() - start

    light = Light.concatenate([part.light for part in found])
    print(f"{n_volumes} volumes of {SHAPE}, {n_neurons} nuclei, {workers} worker(s)")
    print(
        f"time           {1e3 * spent / n_volumes:.1f} ms a volume; one nucleus at a time, mean alone: {1e3 * spent_singly / n_volumes:.1f}"
    )
    print(f"peak memory    {after / 1024:.0f} MB, of which measure added {(after - before) / 1024:.0f} MB")
    print(f"places read    {len(Places.concatenate([part.places for part in found]))} (every nucleus is found: none is right)")
    readings = {name: getattr(light, name) - light.background for name in ("mean", "soft", "brightest")}
    readings |= {"plain mean": light.mean, "one at a time": np.concatenate(singly, axis=1)}
    for name, (red, green) in readings.items():
        error = np.nanmean(np.abs(green / red - balls.activity.T.ravel()))
        print(f"ratio error    {error:.3f} (mean absolute, true ratios .5 to 1.5), {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--runs", type=Path, nargs="+", default=[], help="folders that bench_run.py --keep left: recording, run folder, truth"
    )
    parser.add_argument("--fade", type=float, nargs=2, default=(0.0, 0.0), help="runs: let red and green fall to exp(-this) on top")
    parser.add_argument("--balls", action="store_true", help="time, memory and exactness of measure")
    parser.add_argument("--volumes", type=int, default=10)
    parser.add_argument("--neurons", type=int, default=150)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    for folder in asked.runs:
        score_run(folder, asked.fade)
    if asked.balls or not asked.runs:
        score_balls(asked.volumes, asked.neurons, asked.workers)


if __name__ == "__main__":
    main()
