"""What identities cost as the tissue grows: accuracy, time and peak memory at 100, 1,000 and 10,000 neurons, each in a process of its own.

    python benchmarks/bench_scale.py
    python benchmarks/bench_scale.py --neurons 5000 --volumes 50
    python benchmarks/bench_scale.py --neurons 1000 --volumes 10 --still

A block of tissue that bends slowly and smoothly by about a neighbour distance, drifts, and turns a little; detections are off by .1
neighbour distances, 10 % of them missed, 10 % false ones added. Times are those of one core. The goal: time and memory a neuron do not
grow with the number of neurons.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import numpy as np
from scipy.sparse import coo_array
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from barlowtrack.data import UNKNOWN, Detections
from barlowtrack.identity import solve
from barlowtrack.identity.identify import identify
from barlowtrack.identity.volumes import prepare

SPACING_UM = 5.0
FEATURES = 32
WAVELENGTHS = (25, 50)
"""Of the tissue's bending, in neighbour distances: as stiff whatever its size."""


def tissue(k: int, rng: np.random.Generator) -> np.ndarray:
    """(k, 3) neurons um in a block twice as long as high, none much closer to another than the spacing."""
    size = SPACING_UM * np.array([0.7, 1.2, 1.2]) * np.cbrt(1.6 * k)
    placed = np.zeros((0, 3))
    while len(placed) < k:
        both = np.concatenate([placed, rng.uniform(0, 1, (k, 3)) * size])
        close = cKDTree(both).query_pairs(0.8 * SPACING_UM, output_type="ndarray")
        # The earlier of two stays, unless it went itself: close enough to a random packing.
        gone = np.unique(close[close[:, 1] >= len(placed), 1])
        placed = np.delete(both, gone, axis=0)
    return placed[rng.permutation(len(placed))[:k]]


def moved(rest: np.ndarray, n_volumes: int, turn_deg: float, rng: np.random.Generator) -> np.ndarray:
    """(T, k, 3) um: six slow smooth waves through the tissue, a drift, and a turn in the plane."""
    time_ = np.arange(n_volumes)[:, None] * rng.uniform(0.08, 0.2, 10) + rng.uniform(0, 2 * np.pi, 10)
    waves = np.sin(time_)  # (T, 10)
    centred = rest - rest.mean(0)
    bend = np.zeros((n_volumes, *rest.shape))
    for i in range(6):
        direction = rng.normal(size=3)
        direction *= 2 * np.pi / (rng.uniform(*WAVELENGTHS) * SPACING_UM * np.linalg.norm(direction))
        field = np.sin(centred @ direction + rng.uniform(0, 2 * np.pi))  # (k,)
        bend += waves[:, i, None, None] * field[:, None] * rng.normal(0, 0.3 * SPACING_UM, 3)
    angle = np.deg2rad(turn_deg) * waves[:, 6, None]
    z, y, x = np.moveaxis(rest - rest.mean(0) + bend, -1, 0)
    turned = np.stack([z, np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x], axis=-1)
    return turned + 3 * SPACING_UM * waves[:, None, 7:10]


def scene(k: int, n_volumes: int, turn_deg: float, looks: float | None, still: bool) -> tuple[Detections, np.ndarray | None, np.ndarray]:
    """Detections, (N, D) features or None, and (N,) the true neuron of each, UNKNOWN for a false one."""
    rng = np.random.default_rng(0)
    rest = tissue(k, rng)
    position = np.repeat(rest[None], n_volumes, 0) if still else moved(rest, n_volumes, turn_deg, rng)
    own = rng.normal(size=(k, FEATURES)).astype(np.float32)
    t, place, true, vectors = [], [], [], []
    for v in range(n_volumes):
        left = np.flatnonzero(rng.random(k) >= (0.0 if still else 0.1))
        n_false = 0 if still else k // 10
        points = position[v, left] + (0.0 if still else 0.1 * SPACING_UM) * rng.normal(size=(len(left), 3))
        false = rng.uniform(position[v].min(0), position[v].max(0), (2 * n_false, 3))
        # No segmentation finds two nuclei in the place of one.
        false = false[cKDTree(position[v]).query(false)[0] > 0.5 * SPACING_UM][:n_false]
        points = np.concatenate([points, false])
        order = rng.permutation(len(points))
        who = np.concatenate([left, np.full(len(false), UNKNOWN)])[order]
        if looks is not None:
            seen = np.where(who[:, None] >= 0, own[who], rng.normal(size=(len(who), FEATURES)))
            vectors.append((seen + looks * rng.normal(size=seen.shape)).astype(np.float32))
        t.append(np.full(len(points), v))
        place.append(points[order])
        true.append(who)
    n = sum(len(points) for points in place)
    ones, dark = np.ones(n, np.float32), np.full(n, np.nan, np.float32)
    label = np.concatenate([np.arange(len(points)) + 1 for points in place])
    found = Detections(
        n_volumes, np.concatenate(t), label, np.concatenate(place).astype(np.float32), ones, ones, ones, dark, dark, ones, ones
    )
    return found, None if looks is None else np.concatenate(vectors), np.concatenate(true)


def accuracy(neuron: np.ndarray, true: np.ndarray) -> float:
    """Share of the true detections whose id is the one that mostly goes with their neuron, and goes mostly with it."""
    both = np.flatnonzero((neuron >= 0) & (true >= 0))
    if not len(both):
        return 0.0
    together = coo_array((np.ones(len(both)), (neuron[both], true[both]))).tocsr()
    ours, theirs = np.asarray(together.argmax(1)).ravel(), np.asarray(together.argmax(0)).ravel()
    right = (ours[neuron[both]] == true[both]) & (theirs[true[both]] == neuron[both])
    return float(right.sum() / (true >= 0).sum())


def measure(k: int, options: argparse.Namespace, answer: Connection) -> None:
    detections, vectors, true = scene(k, options.volumes, options.turn, options.looks, options.still)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times: list[float] = []
    began = time.process_time()
    volumes = prepare(detections, vectors)[1]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(1) as pool:
        ready = time.process_time()
        found = identify(volumes, pool, seed=0, progress=lambda *_: times.append(time.process_time()))
    # After a start and rounds of learning there is a tick a volume, the first after a last bit of learning; then the probabilities.
    learned, solved = times[solve.ROUNDS + 2], times[solve.ROUNDS + 1 + len(volumes)]
    answer.send(
        (
            accuracy(found.neuron, true),
            found.atlas.n_neurons,
            learned - ready,
            (solved - learned) / (len(volumes) - 1),
            time.process_time() - began,
            before_mb,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--volumes", type=int, default=20)
    parser.add_argument("--turn", type=float, default=5.0, help="degrees that the tissue turns in the plane, either way")
    parser.add_argument("--looks", type=float, help="scatter of an embedding, relative to that between neurons; none: points alone")
    parser.add_argument("--still", action="store_true", help="nothing moves, nothing is missed, nothing is off")
    options = parser.parse_args()
    print("neurons  found  accuracy  learning s  ms a volume  us a neuron  total s  memory MB (before it)", flush=True)
    for k in options.neurons:
        here, there = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(k, options, there))
        process.start()
        there.close()
        right, found, learning_s, volume_s, total_s, before_mb, peak_mb = here.recv()
        process.join()
        print(
            f"{k:7d} {found:6d} {right:9.4f} {learning_s:11.1f} {1e3 * volume_s:12.1f} {1e6 * volume_s / k:12.1f} {total_s:8.1f} "
            f"{peak_mb:10.0f} ({before_mb:.0f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
