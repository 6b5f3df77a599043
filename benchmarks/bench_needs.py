"""What each stage costs: CPU seconds and peak memory, on synthetic worms of several sizes, and the constants of barlowtrack/needs.py.

Every recording is run in a process of its own, on one thread; the peak of memory is taken stage by stage (the system is told to forget the
one before). Constants are fitted by least squares of relative errors, none below zero. Prints what was measured, what the constants say of
it, and the constants.

    python benchmarks/bench_needs.py
    python benchmarks/bench_needs.py --runs A.barlowtrack B.barlowtrack     # of runs that are done: their seconds beside those foretold
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

SIZES = {  # volumes, neurons, voxels
    "tiny": (16, 20, (12, 72, 120)),
    "small": (16, 60, (16, 96, 192)),
    "usual": (8, 120, (22, 192, 384)),
}
WAYS = {
    "zero-shot": [],
    "scratch": ["train.mode=scratch", "train.epochs=1"],
    "prepared": [f"prepare.{step}=true" for step in ("background", "hot_pixels", "jitter", "alignment", "drift")],
}
WHERE = {"scratch": ("tiny", "small")}  # what is not measured at every size


def work(recording: Path, out: Path, overrides: list[str]) -> None:
    """Runs a recording, and says what each stage took, as JSON."""
    import barlowtrack as bt
    from barlowtrack.pipeline import Listener

    said = {}

    class Watch(Listener):
        def started(self, item):
            Path("/proc/self/clear_refs").write_text("5")
            self.began = time.process_time()
            return super().started(item)

        def finished(self, item):
            peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
            said[item.stage.name] = [time.process_time() - self.began, int(peak.split()[1]) / 1024]

    job = bt.prepare(recording, out=out, overrides=["compute.workers=1", *overrides])
    job.run(listener=Watch())
    detections, shape = bt.Run(out).detections, job.recording().shape
    print(json.dumps({"shape": shape, "nuclei": len(detections), "costs": said}))


def measure(place: Path, only: list[str], ways: list[str]) -> list[dict]:
    rows = []
    for name in only:
        n, neurons, shape = SIZES[name]
        words = [sys.executable, "-m", "barlowtrack", "simulate", str(place / name), "--preset", "mid", "--volumes", str(n)]
        words += ["--neurons", str(neurons), "--shape", *map(str, shape), "--quiet"]
        subprocess.run(words, check=True, capture_output=True)
        for way, overrides in WAYS.items():
            if way not in ways or name not in WHERE.get(way, SIZES):
                continue
            command = [
                sys.executable,
                __file__,
                "--work",
                str(place / name / "recording"),
                str(place / f"{name}-{way}.barlowtrack"),
                *overrides,
            ]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append({"name": name, "way": way, **json.loads(done.stdout.splitlines()[-1])})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def fit(rows: list[dict]) -> None:
    """Prints the constants, and how far they are off."""
    from barlowtrack.config import load
    from barlowtrack.needs import quantities

    every, asked = rows, {row["way"]: load(None, WAYS[row["way"]]) for row in rows}
    for stage in rows[0]["costs"]:
        told = [quantities(tuple(row["shape"]), row["nuclei"], asked[row["way"]]).get(stage) for row in every]
        kept = [
            (row, fact)
            for row, fact in zip(every, told, strict=True)
            if fact is not None and (row["way"] == "prepared") == (stage == "prepare")
        ]
        rows, facts = [row for row, _ in kept], [fact for _, fact in kept]  # later stages read slower what is prepared
        if not rows:
            continue
        used = np.array([[1.0, *fact] for fact in facts])
        for i, what in enumerate(("seconds", "peak MB")):
            found = np.array([row["costs"][stage][i] for row in rows])
            known = used if what == "seconds" else np.array([[1.0, float(np.prod(row["shape"][2:]))] for row in rows])
            constants, _ = nnls(known / np.maximum(found, 1e-3)[:, None], np.ones(len(rows)))
            told = known @ constants
            off = ", ".join(f"{row['name']} {row['way']} {f:.1f} ({t:.1f})" for row, f, t in zip(rows, found, told, strict=True))
            print(f"{stage:9} {what:8} {' '.join(f'{value:.3g}' for value in constants)}   measured (told): {off}", flush=True)


def compare(folders: list[Path]) -> None:
    """Prints what runs that are done took, by the wall clock, beside what is foretold for one core."""
    import barlowtrack as bt
    from barlowtrack.config import load
    from barlowtrack.needs import stage_needs

    for folder in folders:
        run = bt.Run(folder)
        shape = tuple(run.folder.about()["card"]["shape"])
        told = stage_needs(shape, load(folder / "settings.toml"), len(run.detections))
        for stage, cost in run.folder.costs().items():
            if stage not in told:
                continue  # had nothing to do
            needs = told[stage]
            told_s, told_mb = f"{needs.seconds:.1f}", f"{needs.mem_mb:.0f}"
            print(f"{folder.parent.name:10} {stage:9} {cost.seconds:.1f} s ({told_s})  {cost.peak_mb:.0f} MB ({told_mb})")


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        work(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--runs", nargs="+", type=Path, help="run folders to compare, instead of measuring")
    parser.add_argument("--again", type=Path, help="lines that an earlier run printed, to fit anew")
    arguments = parser.parse_args()
    if arguments.runs:
        compare(arguments.runs)
        return
    if arguments.again:
        fit([json.loads(line) for line in arguments.again.read_text().splitlines() if line.startswith("{")])
        return
    with tempfile.TemporaryDirectory() as place:
        fit(measure(Path(place), arguments.sizes, arguments.ways))


if __name__ == "__main__":
    main()
