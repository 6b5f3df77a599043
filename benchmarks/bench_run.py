"""The whole way, end to end from raw images: identity accuracy beside its baselines, seconds a stage, peak memory.

    python benchmarks/bench_run.py --preset easy --volumes 100 --seeds 0 1 2

Baselines on the same detections: position only, appearance only, and a random-weight encoder (train.mode=scratch, train.epochs=0).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from pathlib import Path

import numpy as np

import barlowtrack as bt
from barlowtrack.cli.simulation import write_simulation
from barlowtrack.cli.terminal import Bars
from barlowtrack.evaluate import calibration, evaluate, trace_correlation
from barlowtrack.io.tables import read_truth

WAYS = {
    "default": [],
    "position only": ["track.appearance=false"],
    "appearance only": ["track.position=false"],
    "random weights": ["train.mode=scratch", "train.epochs=0"],
    "random weights, appearance only": ["train.mode=scratch", "train.epochs=0", "track.position=false"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="easy")
    parser.add_argument("--volumes", type=int, default=100)
    parser.add_argument("--neurons", type=int)
    parser.add_argument("--shape", type=int, nargs=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--set", action="append", default=[], help="a setting, as on the command line")
    parser.add_argument("--keep", type=Path, help="where recordings and run folders stay, so that a later call repeats only what changed")
    options = parser.parse_args()
    wishes = {"volumes": options.volumes, "neurons": options.neurons, "shape": options.shape}
    given = {name: value for name, value in wishes.items() if value is not None}
    scores: dict[str, list[float]] = {way: [] for way in options.ways}
    with tempfile.TemporaryDirectory() if options.keep is None else contextlib.nullcontext(options.keep) as scratch:
        for seed in options.seeds:
            folder = Path(scratch) / f"{options.preset}-{seed}"
            if not (folder / "truth.csv").exists():
                write_simulation(folder, options.preset, seed, "ome-tiff", False, given, {}, Bars(quiet=True))
            truth = read_truth(folder / "truth.csv")
            for way in options.ways:
                overrides = [f"seed={seed}", *options.set, *WAYS[way]]
                run = bt.run(folder / "recording", config=bt.Config(), overrides=overrides, check=False)
                found = evaluate(run.detections, run.tracks, truth)
                r = np.nanmedian(trace_correlation(run.traces, truth, found.mapping))
                ece = calibration(found, run.tracks).ece
                scores[way].append(found.identity_accuracy)
                print(
                    f"{options.preset} seed {seed} {way:32} identity {found.identity_accuracy:.3f} detection F1 {found.f1:.3f} "
                    f"recall {found.recall:.3f} mismatched {found.mismatch_rate:.3f} ECE {ece:.3f} trace r {r:.3f}",
                    flush=True,
                )
            print(f"seed {seed}:", _costs(run.path))
    for way, values in scores.items():
        print(
            f"{options.preset} {way:32} identity {np.mean(values):.3f} (min {min(values):.3f}, max {max(values):.3f}, {len(values)} seeds)"
        )


def _costs(folder: Path) -> str:
    """Seconds and memory of each stage's first run."""
    costs: dict[str, str] = {}
    for line in (folder / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "finish":
            costs.setdefault(event["stage"], f"{event['stage']} {event['seconds']:.1f} s ({event['peak_mb']:.0f} MB)")
    return ", ".join(costs.values())


if __name__ == "__main__":
    main()
