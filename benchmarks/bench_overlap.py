"""How well volumes overlap in segment: volumes a second with one thread, with threads side by side, and in two processes of half each.

Two processes share nothing, so no pool of them can do better. Rounds alternate between the three. Then, with a network's answer at
hand: how long a thread that wants the interpreter, as one does that feeds a GPU, is kept waiting while another suppresses and draws.

    OMP_NUM_THREADS=1 python benchmarks/bench_overlap.py --volumes 8

With --disk-s only how reading, finding and writing overlap: the disk takes so long to read a volume, and as long to write what was found.

    OMP_NUM_THREADS=1 python benchmarks/bench_overlap.py --disk-s 1 --volumes 12 --shape 12 96 192
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from bench_starconvex import widened

from barlowtrack.config import ComputeConfig, SegmentConfig
from barlowtrack.data import Recording, VoxelArray
from barlowtrack.detect.starconvex import draw
from barlowtrack.io.segmenter import SHIPPED
from barlowtrack.io.stardist_model import read_model_folder
from barlowtrack.nn.candidates import candidates
from barlowtrack.nn.instances import suppress
from barlowtrack.nn.segmentation_model import SegmentationModel
from barlowtrack.stages.segment import segment
from barlowtrack.synthetic import preset, simulate

READY = "ready"


def the_model(filters: int) -> SegmentationModel:
    model = read_model_folder(SHIPPED)
    return widened(model, filters, 4 * filters) if filters != model.spec.backbone.n_filter_base else model


class InMemory:
    """So that no volume is rendered or read while the clock runs, but for the seconds that a disk is said to take."""

    def __init__(self, volumes: list[VoxelArray], disk_s: float = 0.0) -> None:
        self.volumes, self.disk_s = volumes, disk_s

    def read(self, t: int) -> VoxelArray:
        time.sleep(self.disk_s)
        return self.volumes[t]


def worm(n_volumes: int, shape: tuple[int, ...]) -> Recording:
    film = simulate(preset("mid", n_volumes=n_volumes, volume_shape=shape, n_neurons=140), seed=1).recording
    return replace(film, source=InMemory([film.read(t) for t in range(n_volumes)]))


def seconds(recording: Recording, filters: int, workers: int, write_s: float = 0.0) -> float:
    """Of segmenting all volumes in this process, and of writing them; one thread of arithmetic a worker."""
    model, config = the_model(filters), SegmentConfig()
    torch.set_num_threads(workers)
    started = time.perf_counter()
    for _ in segment(recording, model, config=config, compute=ComputeConfig(device="cpu", workers=workers)):
        time.sleep(write_s)
    return time.perf_counter() - started


def seconds_in_processes(arguments: argparse.Namespace, n: int) -> float:
    """Of as many volumes in n processes, from the moment on when all have started."""
    command = [
        sys.executable,
        __file__,
        "--child",
        "--volumes",
        arguments.volumes // n,
        "--filters",
        arguments.filters,
        "--shape",
        *arguments.shape,
    ]
    children = [subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(n)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == READY
    started = time.perf_counter()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.close()
    for child in children:
        child.wait()
    return time.perf_counter() - started


def waiting(arguments: argparse.Namespace) -> tuple[float, float, float]:
    """Returns the seconds of suppression and drawing, and of those a second thread's longest wait and all it waited beyond its sleep."""
    model = the_model(arguments.filters)
    seen = model.brightness(worm(1, arguments.shape).read(0)[0].astype(np.float32))
    net = model.network()
    found = candidates(net, seen, model.thresholds.prob, border=0)
    done, gaps = threading.Event(), []

    def tick() -> None:
        last = time.perf_counter()
        while not done.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last - 0.001)
            last = now

    with ThreadPoolExecutor(1) as pool:
        ticking = pool.submit(tick)
        started = time.perf_counter()
        points, prob, dist = suppress(found, model.spec, model.thresholds.nms)
        draw(points.astype(np.float64), prob, dist, model.spec, np.ones(3), seen.shape)
        took = time.perf_counter() - started
        done.set()
        ticking.result()
    return took, max(gaps), sum(gaps)


def show_disk(recording: Recording, arguments: argparse.Namespace) -> None:
    """Prints the seconds with a disk that costs nothing, beside those with a slow one, and what they would be one after the other."""
    slow = replace(recording, source=InMemory(recording.source.volumes, arguments.disk_s))  # type: ignore[attr-defined]
    waits = 2 * arguments.disk_s * arguments.volumes
    for workers in (1, 2, 4):
        free = seconds(recording, arguments.filters, workers)
        took = seconds(slow, arguments.filters, workers, arguments.disk_s)
        print(f"{workers} workers: {free:.1f} s, with the disk {took:.1f} s; one after the other {free + waits:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=8)
    parser.add_argument("--shape", type=int, nargs=3, default=(24, 256, 512))
    parser.add_argument(
        "--filters", type=int, default=16, help="of the first level: 16 is the model that comes along, 32 StarDist's default"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--disk-s", type=float, help="seconds that reading takes, and writing; then nothing else is measured")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        recording = worm(arguments.volumes, arguments.shape)
        print(READY, flush=True)
        sys.stdin.readline()
        seconds(recording, arguments.filters, 1)
        return
    n, recording = len(os.sched_getaffinity(0)), worm(arguments.volumes, arguments.shape)
    if arguments.disk_s is not None:
        show_disk(recording, arguments)
        return
    ways = {
        "one thread": lambda: seconds(recording, arguments.filters, 1),
        f"{n} threads": lambda: seconds(recording, arguments.filters, n),
        f"{n} processes": lambda: seconds_in_processes(arguments, n),
    }
    took = {way: [] for way in ways}
    for _ in range(arguments.rounds):
        for way, run in ways.items():
            took[way].append(run())
    for way, times in took.items():
        median, slowest, fastest = (arguments.volumes / f(times) for f in (np.median, max, min))
        print(f"{way:12}: {median:.3f} volumes/s ({slowest:.3f} to {fastest:.3f})")
    torch.set_num_threads(1)
    work, longest, lost = np.median([waiting(arguments) for _ in range(arguments.rounds)], axis=0)
    print(f"suppression and drawing {work:.3f} s; meanwhile another thread waits {longest:.3f} s at the longest, {lost:.3f} s in all")


if __name__ == "__main__":
    main()
