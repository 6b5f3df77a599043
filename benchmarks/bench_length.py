"""What a recording costs as it grows longer: seconds and memory of every stage, each length in a process of its own.

    python benchmarks/bench_length.py --volumes 100 400 1600 6400 --out docs/_static/cost/length.json
    python docs/plot_cost.py

Small volumes of few neurons, made and read one by one, so that what grows with the number of volumes is seen before what grows with
voxels. Seconds are those of the processor, so that other work on the machine counts little, beside those of the clock; memory is the
most that a stage held, the process's high-water mark being set back before each (Linux only). The goal: seconds grow no faster than
volumes, and memory by no more than the tables that are declared to be whole in memory.

    python benchmarks/bench_length.py --volumes 6 --neurons 1000 --shape 32 320 640     1,000 neurons in a volume
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import barlowtrack as bt
from barlowtrack.cli.simulation import write_simulation
from barlowtrack.cli.terminal import Bars
from barlowtrack.data import Progress, silent
from barlowtrack.evaluate import evaluate
from barlowtrack.io.tables import read_truth
from barlowtrack.pipeline import Listener, PlannedStage

OF_ALL = "whole"


class Meter:
    """Seconds of this process, of its processor and of the clock, and the most memory it has held since it was last asked."""

    def __init__(self) -> None:
        self._cpu, self._wall = self._now()
        _forget_peak()

    def read(self) -> dict[str, float]:
        """Returns what came since the last reading."""
        cpu, wall = self._now()
        said = {"cpu_s": cpu - self._cpu, "wall_s": wall - self._wall, "peak_mb": _peak_mb()}
        self._cpu, self._wall = cpu, wall
        _forget_peak()
        return said

    def _now(self) -> tuple[float, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime, time.monotonic()


class Stages(Listener):
    """Notes what every stage costs."""

    def __init__(self, meter: Meter) -> None:
        self.meter, self.costs = meter, {}

    def started(self, item: PlannedStage) -> Progress:
        self.costs.setdefault("open", self.meter.read())
        return silent

    def finished(self, item: PlannedStage) -> None:
        if item.state != "cached":
            self.costs[item.stage.name] = self.meter.read()


def _peak_mb() -> float:
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def child(arguments: argparse.Namespace) -> None:
    """Simulates a recording, or runs one, and prints what that cost."""
    meter, folder = Meter(), arguments.child
    if arguments.simulate:
        wishes = {"volumes": arguments.volumes[0], "neurons": arguments.neurons, "shape": arguments.shape}
        write_simulation(folder, arguments.preset, arguments.seed, "ome-tiff", False, wishes, {}, Bars(quiet=True))
        print(json.dumps({"simulate": meter.read()}))
        return
    stages = Stages(meter)
    job = bt.prepare(folder / "recording", config=bt.Config(), overrides=[f"seed={arguments.seed}", *arguments.set])
    job.run(listener=stages)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    whole = {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": max(cost["peak_mb"] for cost in stages.costs.values())}
    print(json.dumps({**stages.costs, OF_ALL: whole}))


def measure(arguments: argparse.Namespace, volumes: int, folder: Path) -> dict[str, Any]:
    """Returns what one length cost, what it left on the disk, and how well it went."""
    costs: dict[str, Any] = {}
    given = ["--preset", arguments.preset, "--seed", arguments.seed, "--neurons", arguments.neurons, "--shape", *arguments.shape]
    given += [text for setting in arguments.set for text in ("--set", setting)]
    for what in ([] if (folder / "truth.csv").exists() else ["--simulate"]), []:
        command = [sys.executable, __file__, "--child", folder, "--volumes", volumes, *given, *what]
        began = time.monotonic()
        said = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout
        costs.update(json.loads(said.splitlines()[-1]))
    costs[OF_ALL]["wall_s"] = time.monotonic() - began
    run = bt.Run(folder / "recording.barlowtrack")
    found = evaluate(run.detections, run.tracks, read_truth(folder / "truth.csv"))
    return {
        "volumes": volumes,
        "neurons": arguments.neurons,
        "shape": arguments.shape,
        "settings": arguments.set,
        "detections": len(run.detections),
        "identity_accuracy": round(float(found.identity_accuracy), 4),
        "disk_mb": {child.name: round(size(child) / 1e6, 3) for child in sorted((folder / "recording.barlowtrack").iterdir())},
        "recording_mb": round(size(folder / "recording") / 1e6, 3),
        "costs": {name: {unit: round(value, 3) for unit, value in cost.items()} for name, cost in costs.items()},
    }


def size(path: Path) -> int:
    """Returns the bytes of a file, or of all files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size


def show(measured: list[dict[str, Any]]) -> None:
    """Prints a row a stage: processor seconds and peak MB at every length, and the slope of the seconds between the last two."""
    print(f"{'':10}" + "".join(f"{one['volumes']:>12} volumes" for one in measured) + "  slope of the last step")
    for stage in measured[-1]["costs"]:
        cells = [one["costs"].get(stage, {}) for one in measured]
        row = "".join(f"{cell.get('cpu_s', math.nan):10.2f} s{cell.get('peak_mb', math.nan):5.0f} MB" for cell in cells)
        slope = math.nan
        if len(cells) > 1 and min(cell.get("cpu_s", 0) for cell in cells[-2:]) > 0:
            slope = math.log(cells[-1]["cpu_s"] / cells[-2]["cpu_s"]) / math.log(measured[-1]["volumes"] / measured[-2]["volumes"])
        print(f"{stage:10}{row}  {slope:.2f}")
    print("identity accuracy", *(one["identity_accuracy"] for one in measured), "detections", *(one["detections"] for one in measured))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, nargs="+", default=[100, 400, 1600, 6400])
    parser.add_argument("--preset", default="mid")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--neurons", type=int, default=10)
    parser.add_argument("--shape", type=int, nargs=3, default=[8, 44, 88])
    parser.add_argument("--set", action="append", default=[], help="a setting, as on the command line")
    parser.add_argument("--out", type=Path, help="JSON file; what it says of other lengths stays")
    parser.add_argument("--keep", type=Path, help="where recordings and run folders stay")
    parser.add_argument("--simulate", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
        return
    measured = []
    with tempfile.TemporaryDirectory() if arguments.keep is None else contextlib.nullcontext(arguments.keep) as scratch:
        for volumes in arguments.volumes:
            measured.append(measure(arguments, volumes, Path(scratch) / f"{arguments.neurons}-{volumes}"))
            show(measured)
            sys.stdout.flush()
    if arguments.out is not None:
        before = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
        kept = [one for one in before if all((one["volumes"], one["shape"]) != (new["volumes"], new["shape"]) for new in measured)]
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(sorted(kept + measured, key=lambda one: (one["neurons"], one["volumes"])), indent=1) + "\n")


if __name__ == "__main__":
    main()
