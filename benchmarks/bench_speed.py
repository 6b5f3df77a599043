"""What a whole run costs at full length, measured on a slice: stage by stage, and what of it is network, matching, reading, or neither.

    python benchmarks/bench_speed.py --slices 8 24 --workers 2
    python benchmarks/bench_speed.py --slices 8 24 --workers 2 --device cuda

Stages that work volume by volume are run on two slices of one recording: their difference is what a volume costs, the rest is paid once.
Stages that work on tables (identify, track, trace, report) are run at full length, on detections made of the true positions with some
missed, some false and all a little off; what they cost is no extrapolation. Every part runs in a process of its own with one thread of
arithmetic a worker, so that the processor's seconds can be told apart by what they were spent on, and do not hang on other work beside.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from bench_length import Meter

import barlowtrack as bt
from barlowtrack import pipeline, storage
from barlowtrack.cli.simulation import write_simulation
from barlowtrack.cli.terminal import Bars
from barlowtrack.config import Config, to_toml
from barlowtrack.data import Corrections, Detections, Embeddings, Labels, Light, Places, Progress, Recording, StageCost, VolumeLooks, silent
from barlowtrack.synthetic import preset, simulate

READING, NETWORK, SHAPES, BOXES, FILES, LOADING = "reading", "network", "its nuclei", "boxes", "files", "imports"
KINDS = (READING, NETWORK, SHAPES, BOXES, FILES, LOADING)
"""Reading: volumes and labels. Network: passes, training. Its nuclei: which of its shapes stay, and drawing them. Boxes: cut for the
encoder. Files: keys, digests, tables, labels and events, written and read. Imports: of the code."""
BY_VOLUME, ONCE = ("segment", "embed", "measure"), ("crop", "train")
ON_TABLES = ("identify", "track", "trace", "report")


class Spent:
    """Seconds of the processor by stage and kind, without those of what was called in between; from any thread."""

    def __init__(self) -> None:
        self.stage, self.seconds, self.spans = "open", defaultdict(float), defaultdict(float)
        self._inner, self._lock = threading.local(), threading.Lock()

    def on(self, kind: str, owner: Any, name: str) -> None:
        """Puts a watched function in the place of another."""
        plain = getattr(owner, name)

        @wraps(plain)
        def watched(*given: Any, **named: Any) -> Any:
            above, began, clock = getattr(self._inner, "seconds", 0.0), time.thread_time(), time.monotonic()
            self._inner.seconds = 0.0
            try:
                return plain(*given, **named)
            finally:
                took = time.thread_time() - began
                with self._lock:
                    self.seconds[self.stage, kind] += took - self._inner.seconds
                    self.spans[self.stage, kind] += time.monotonic() - clock
                self._inner.seconds = above + took

        setattr(owner, name, watched)


def watch(spent: Spent) -> None:
    """Puts watches on all that has a kind."""
    from barlowtrack.detect import starconvex
    from barlowtrack.nn import crops
    from barlowtrack.stages import embed
    from barlowtrack.storage import folder, half_made, journal, parts, sinks, volume_sinks

    spent.on(READING, Recording, "read")
    spent.on(READING, Labels, "read")
    spent.on(NETWORK, starconvex, "candidates_in_passes")
    spent.on(NETWORK, embed, "embed_crops")
    spent.on(SHAPES, starconvex, "suppress")
    spent.on(SHAPES, starconvex, "draw")
    spent.on(BOXES, crops, "read_crops")
    spent.on(LOADING, pipeline.Stage, "function")
    for kind in {*sinks._SINKS.values()}:
        for name in {"__init__", "add", "finish"} & set(vars(kind)):
            spent.on(FILES, kind, name)
    assert issubclass(volume_sinks.VolumeParts, parts.Parts)
    for name in ("publish", "verify", "damage", "describe", "record"):
        spent.on(FILES, folder.RunFolder, name)
    spent.on(FILES, half_made.HalfMade, "of_stage")
    spent.on(FILES, journal.Journal, "say")
    spent.on(FILES, storage, "load")
    spent.on(FILES, pipeline.running, "plan")


class Stages(pipeline.Listener):
    """Notes what every stage costs."""

    def __init__(self, spent: Spent) -> None:
        self.spent, self.meter, self.costs = spent, Meter(), {}

    def started(self, item: pipeline.PlannedStage) -> Progress:
        self.costs.setdefault("open", self.meter.read())
        self.spent.stage = item.stage.name
        return silent

    def finished(self, item: pipeline.PlannedStage) -> None:
        self.costs[item.stage.name] = self.meter.read()


def slice_(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs the first volumes of the recording, stage by stage."""
    folder, n = arguments.folder, arguments.slices[0]
    part = folder / f"slice-{n}"
    shutil.rmtree(f"{part}.barlowtrack", ignore_errors=True)
    part.mkdir(exist_ok=True)
    for path in sorted((folder / "recording").iterdir())[:n]:
        if not (part / path.name).exists():
            os.link(path, part / path.name)
    spent = Spent()
    watch(spent)
    stages = Stages(spent)
    overrides = [f"compute.workers={arguments.workers}", f"compute.device={arguments.device}"]
    bt.prepare(part, config=Config(), overrides=overrides).run(listener=stages)
    for stage, cost in stages.costs.items():
        cost |= {kind: spent.seconds[stage, kind] for kind in KINDS}
        cost["overlap"] = sum(spent.spans[stage, kind] for kind in (READING, NETWORK, SHAPES, FILES)) / cost["wall_s"]
    return stages.costs


def scene(arguments: argparse.Namespace) -> tuple[Recording, Detections, Embeddings]:
    """True positions of full length, 3 % missed, 3 % false, .3 um off, and vectors that tell neurons apart as the encoder's do."""
    rng = np.random.default_rng(0)
    wishes = {"n_volumes": arguments.volumes, "n_neurons": arguments.neurons, "volume_shape": tuple(arguments.shape)}
    made = simulate(preset(arguments.preset, **wishes), seed=0)
    truth = made.truth
    seen, n_false = np.flatnonzero(rng.random(len(truth)) > 0.03), round(0.03 * len(truth))
    beside = rng.integers(0, len(truth), n_false)
    t = np.concatenate([truth.t[seen], truth.t[beside]])
    place = np.concatenate([truth.position_um[seen], truth.position_um[beside] + 3 * rng.normal(size=(n_false, 3))])
    own = rng.normal(size=(arguments.neurons, 64))
    vectors = np.concatenate([own[truth.neuron[seen]] + rng.normal(size=(len(seen), 64)), rng.normal(size=(n_false, 64))])
    order = np.argsort(t, kind="stable")
    t, n = t[order], len(t)
    place, vectors = (place + 0.3 * rng.normal(size=place.shape))[order], vectors[order]
    label = np.arange(n) - np.searchsorted(t, t) + 1
    light = [(1 + rng.gamma(4, scale, n)).astype(np.float32) for scale in (4, 40, 60, 20, 30, 3)]
    sure = rng.uniform(0.4, 1, n).astype(np.float32)
    found = Detections(arguments.volumes, t.astype(np.int32), label.astype(np.int32), place.astype(np.float32), *light, sure)  # type: ignore[call-arg]
    return made.recording, found, Embeddings((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))


def light_of(detections: Detections) -> Light:
    """Light as measured would be, of red and green."""
    both = np.stack([detections.red_mean, detections.green_mean])
    n = len(detections)
    readings = {"mean": both, "soft": 1.1 * both, "brightest": 1.2 * both, "background": 0.1 * both, "shell": 0.12 * both}
    whole = {"voxels": np.full(n, 30, np.int32), "edge": np.zeros(n, bool)}
    none = {name: np.zeros(n, np.float32) for name in ("crowding", "saturated")}
    return Light(**readings, shell_spread=np.full_like(both, 0.5), **whole, **none)


def tables(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs the stages that work on tables at full length."""
    from barlowtrack.config import ComputeConfig
    from barlowtrack.io.tables import absences_to_frame, neurons_to_frame
    from barlowtrack.stages.identify import identify
    from barlowtrack.stages.report import report
    from barlowtrack.stages.trace import trace
    from barlowtrack.stages.track import track

    config, costs = Config(), {}
    recording, detections, embeddings = scene(arguments)
    even = np.linspace(0.9, 1.1, arguments.volumes)
    looks = VolumeLooks(np.bincount(detections.t, minlength=arguments.volumes), even, even)
    meter = Meter()
    found = identify(
        detections, looks, embeddings, config=config.track, compute=ComputeConfig(workers=arguments.workers, device="cpu"), seed=0
    )
    costs["identify"] = meter.read()
    who, learned = found.identities, found.learned
    tracked = track(detections, embeddings, learned, who, Corrections(), config=config.track)
    costs["track"] = meter.read()
    given = recording, light_of(detections), Places.concatenate([]), detections, who, tracked.tracks
    frames = neurons_to_frame(tracked.tracks, tracked.neurons), absences_to_frame(tracked.neurons)
    traced = trace(*given, *frames, config=config.trace)
    costs["trace"] = meter.read()
    made = recording, detections, looks, embeddings, learned, who, Corrections(), tracked.tracks, traced.traces
    rest = traced.swaps, traced.bleaching, {}, (StageCost("segment", 1.0, 1.0),)
    report(*made, *rest, config=config.report, settings=to_toml(config))
    costs["report"] = meter.read()
    return costs


def in_process(arguments: argparse.Namespace, what: str, folder: Path, **changed: Any) -> dict[str, Any]:
    """Runs one part of this file in a process of its own."""
    given = {**vars(arguments), "folder": folder, "part": what, **changed}
    words = [
        str(w)
        for name, value in given.items()
        if value is not None
        for w in (f"--{name}", *(value if isinstance(value, list) else [value]))
    ]
    thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **thread})
    return json.loads(done.stdout.splitlines()[-1])


def simulated(arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes the recording that slices are taken from."""
    wishes = {"volumes": max(arguments.slices), "neurons": arguments.neurons, "shape": arguments.shape}
    write_simulation(arguments.folder, arguments.preset, 0, "ome-tiff", False, wishes, {}, Bars(quiet=True))
    return {}


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"simulate": simulated, "slice": slice_, "tables": tables}


def rows(short: dict[str, Any], long: dict[str, Any], whole: dict[str, Any], n: tuple[int, int], full: int) -> Iterator[tuple[str, ...]]:
    """A row a stage: s a volume and s once, of the processor and of the clock, and all of it at full length."""
    most = Config().crop.training_volumes
    total = np.zeros(2)
    for stage in ("open", "segment", "crop", "train", "embed", *ON_TABLES[:1], "measure", *ON_TABLES[1:]):
        if stage in ON_TABLES:
            at_full = np.array([whole[stage]["cpu_s"], whole[stage]["wall_s"]])
            slope, said = at_full / full, "at full length"
        else:
            first, last = (np.array([one[stage]["cpu_s"], one[stage]["wall_s"]]) for one in (short, long))
            slope = np.zeros(2) if stage == "open" else (last - first) / (n[1] - n[0])
            at_full = last + (min(full, most if stage in ONCE else full) - n[1]) * slope
            said = f"{max(long[stage]['cpu_s'] - n[1] * slope[0], 0):.1f} s once"
        total += at_full
        yield stage, f"{1e3 * slope[0]:.1f}", f"{1e3 * slope[1]:.1f}", said, f"{at_full[0]:.0f}", f"{at_full[1]:.0f}"
    yield "all", "", "", "", f"{total[0]:.0f}", f"{total[1]:.0f} = {total[1] / 3600:.2f} h"


def kinds(short: dict[str, Any], long: dict[str, Any], n: tuple[int, int]) -> Iterator[tuple[str, ...]]:
    """A row a stage that works on volumes: ms of the processor a volume by kind, and how far spans of the clock overlap."""
    for stage in (*BY_VOLUME, *ONCE[:1]):
        by = {kind: 1e3 * (long[stage][kind] - short[stage][kind]) / (n[1] - n[0]) for kind in KINDS[:-1]}
        every = 1e3 * (long[stage]["cpu_s"] - short[stage]["cpu_s"]) / (n[1] - n[0])
        yield (
            stage,
            *(f"{ms:.1f}" for ms in by.values()),
            f"{every - sum(by.values()):.1f}",
            f"{every:.1f}",
            f"{long[stage]['overlap']:.2f}",
        )


def table(head: tuple[str, ...], body: Iterator[tuple[str, ...]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in body:
        print("| " + " | ".join(row) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=1600, help="of the recording that is extrapolated to")
    parser.add_argument("--slices", type=int, nargs="+", default=[8, 24], help="volumes of the two slices")
    parser.add_argument("--shape", type=int, nargs=3, default=[24, 256, 512])
    parser.add_argument("--neurons", type=int, default=150)
    parser.add_argument("--preset", default="mid")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, help="where the recording stays, for another call")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(PARTS[arguments.part](arguments)))
        return
    n = min(arguments.slices), max(arguments.slices)
    with tempfile.TemporaryDirectory() if arguments.folder is None else contextlib.nullcontext(arguments.folder) as scratch:
        folder = Path(scratch) / "worm"
        if not (folder / "truth.csv").exists():
            in_process(arguments, "simulate", folder)
        short, long = (in_process(arguments, "slice", folder, slices=[size]) for size in n)
        whole = in_process(arguments, "tables", folder)
    print(f"{arguments.volumes} volumes of {arguments.shape}, two colours, {arguments.neurons} neurons; {arguments.workers} workers")
    head = "stage", "CPU ms a volume", "clock ms a volume", "beside", f"CPU s, {arguments.volumes}", f"clock s, {arguments.volumes}"
    table(head, rows(short, long, whole, n, arguments.volumes))
    table(("CPU ms a volume", *KINDS[:-1], "else", "all", "spans / clock"), kinds(short, long, n))
    files = sum((long[stage][FILES] - short[stage][FILES]) / (n[1] - n[0]) for stage in BY_VOLUME)
    every = sum((long[stage]["cpu_s"] - short[stage]["cpu_s"]) / (n[1] - n[0]) for stage in BY_VOLUME)
    every += sum(whole[stage]["cpu_s"] for stage in ON_TABLES) / arguments.volumes
    print(f"keys, tables and other files: {100 * files / every:.2f} % of the processor's time a volume")
    print("peak MB: " + ", ".join(f"{stage} {cost['peak_mb']:.0f}" for stage, cost in {**long, **whole}.items()))


if __name__ == "__main__":
    main()
