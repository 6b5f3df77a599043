"""One encoder for many recordings, beside the one that comes along and one from scratch for each: does identity stay right?

Synthetic worms, each seed another animal. Encoders for all are trained on the crops of some (TRAINED), and taken as they are by all, also
by those that they have not seen. Segmentation and crops are made once and are the same for all ways.

    python benchmarks/bench_one_encoder.py --preset hard --seeds 0 1 2 --trained 0 1 --volumes 24 --neurons 60 --shape 16 96 192
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import tempfile
import time
from pathlib import Path

from click.testing import CliRunner

import barlowtrack as bt
from barlowtrack.cli.evaluation import evaluate_run
from barlowtrack.cli.main import cli
from barlowtrack.config import load
from barlowtrack.one_encoder import train_together

SHOWN = ("identity accuracy", "coverage")


def simulate(folder: Path, seed: int, arguments: argparse.Namespace) -> None:
    words = ["simulate", str(folder), "--preset", arguments.preset, "--seed", str(seed), "--volumes", str(arguments.volumes)]
    words += ["--neurons", str(arguments.neurons), "--shape", *map(str, arguments.shape), "--quiet"]
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    if result.exception:
        raise result.exception


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="hard")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trained", type=int, nargs="+", default=[0, 1], help="seeds whose worms the encoders for all are trained on")
    parser.add_argument("--volumes", type=int, default=24)
    parser.add_argument("--neurons", type=int, default=60)
    parser.add_argument("--shape", type=int, nargs=3, default=[16, 96, 192])
    parser.add_argument("--ways", nargs="+", default=["shipped", "own-scratch", "one-fine-tune", "one-scratch"])
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="a setting, for all ways")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as place:
        season = Path(place)
        for seed in arguments.seeds:
            simulate(season / f"worm{seed}", seed, arguments)
            bt.prepare(season / f"worm{seed}" / "recording", overrides=arguments.overrides).run(upto="crop")
        for way in arguments.ways:
            measure(way, season, arguments)


def measure(way: str, season: Path, arguments: argparse.Namespace) -> None:
    kind, _, mode = way.partition("-")
    own = [f"train.mode={mode}"] if kind == "own" else ["train.mode=zero-shot"]
    began = time.process_time()
    if kind == "one":
        folders = [season / f"worm{seed}" / "recording.barlowtrack" for seed in arguments.trained]
        train_together(folders, season / f"{way}.safetensors", load(None, [*arguments.overrides, f"train.mode={mode}"]))
        own.append(f"train.start={season / f'{way}.safetensors'}")
    together = time.process_time() - began
    for seed in arguments.seeds:
        worm = season / f"worm{seed}"
        out = worm / f"{way}.barlowtrack"
        shutil.copytree(worm / "recording.barlowtrack", out)
        began = time.process_time()
        bt.prepare(worm / "recording", out=out, overrides=[*arguments.overrides, *own]).run(upto="track")
        took = time.process_time() - began
        scores = json.loads(evaluate_run(out, worm / "truth.csv", None, None, as_json=True))
        seen = "trained on" if kind == "one" and seed in arguments.trained else "unseen" if kind == "one" else ""
        shown = " ".join(f"{name} {value:.3f}" for name, value in scores.items() if isinstance(value, float) and name in SHOWN)
        print(f"{way:14} seed {seed} {seen:10} {shown}; training together {together:.0f}, this recording {took:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
