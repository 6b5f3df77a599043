"""Peak memory of `barlowtrack run`, each in a process of its own, on recordings that differ only in length.

    python benchmarks/bench_memory.py --volumes 100 400

The goal: within 10 % of each other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from barlowtrack.cli.simulation import write_simulation
from barlowtrack.cli.terminal import Bars


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, nargs="+", default=[100, 400])
    parser.add_argument("--preset", default="easy")
    parser.add_argument("--neurons", type=int, default=60)
    parser.add_argument("--shape", type=int, nargs=3, default=[16, 128, 256])
    default = ["train.mode=fine-tune", "train.epochs=3"]
    parser.add_argument("--set", action="append", default=default, help="a setting, as on the command line")
    options = parser.parse_args()
    settings = [text for override in options.set for text in ("--set", override)]
    first = None
    for volumes in options.volumes:
        with tempfile.TemporaryDirectory() as scratch:
            wishes = {"volumes": volumes, "neurons": options.neurons, "shape": options.shape}
            write_simulation(Path(scratch) / "worm", options.preset, 0, "ome-tiff", False, wishes, {}, Bars(quiet=True))
            began = time.monotonic()
            command = [sys.executable, "-m", "barlowtrack", "run", f"{scratch}/worm/recording", "--quiet", *settings]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            assert status == 0, "the run failed"
            peak_mb = usage.ru_maxrss / 1024
            first = first or peak_mb
            print(
                f"{volumes:6} volumes: peak {peak_mb:7.0f} MB ({peak_mb / first:.3f} of the first), {time.monotonic() - began:6.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
