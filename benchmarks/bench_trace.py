"""Time, memory and exactness of trace, beside the plain mean without background subtraction.

    python benchmarks/bench_trace.py --volumes 10 --neurons 150

The recording is made here: balls of known brightness on an uneven background, blurred and noisy, so that the true ratio is known.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from scipy import ndimage

from barlowtrack.config import ComputeConfig, TraceConfig
from barlowtrack.data import Detections, Labels, Recording, Tracks
from barlowtrack.stages.trace import trace

SIZE_UM = (1.5, 0.3, 0.3)
SHAPE = (24, 256, 512)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=10)
    parser.add_argument("--neurons", type=int, default=150)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()

    balls = Balls(asked.neurons, asked.volumes)
    volumes = [balls.volume(t) for t in range(asked.volumes)]
    shape = (asked.volumes, 2, *SHAPE)
    recording = Recording("balls", Stored(volumes), shape, np.dtype(np.uint16), SIZE_UM, 5.0, ("red", "green"), 0, 1, "balls")
    labels = Labels(Stored([balls.labels] * asked.volumes), (asked.volumes, *SHAPE))
    t, neuron = (a.ravel() for a in np.meshgrid(np.arange(asked.volumes), np.arange(asked.neurons), indexing="ij"))
    ones = np.ones(len(t))
    detections = Detections(asked.volumes, t, neuron + 1, balls.centre_um[neuron], ones, ones, ones, ones, ones, ones, ones)
    tracks = Tracks(neuron, ones, asked.neurons)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    traces = trace(recording, labels, detections, tracks, config=TraceConfig(), compute=ComputeConfig(workers=asked.workers))
    spent = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    index = np.arange(1, asked.neurons + 1)
    plain = np.stack([np.divide(*[ndimage.mean(v[c], balls.labels, index) for c in (1, 0)]) for v in volumes], axis=1)
    print(f"{asked.volumes} volumes of {SHAPE}, {asked.neurons} nuclei, {asked.workers} worker(s)")
    print(f"time           {spent / asked.volumes:.3f} s a volume")
    print(f"peak memory    {after / 1024:.0f} MB, of which trace added {(after - before) / 1024:.0f} MB")
    for name, ratio in (("trace", traces.ratio), ("plain mean", plain)):
        print(f"ratio error    {np.nanmean(np.abs(ratio - balls.activity)):.3f} (mean absolute, true ratios .5 to 1.5), {name}")


if __name__ == "__main__":
    main()
