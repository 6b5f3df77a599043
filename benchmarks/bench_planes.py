"""Nuclei from outlines of single planes on synthetic worms: F1, and time of joining, beside how StarDist itself groups planes.

Perfect outlines are the true labels whose identity is forgotten from plane to plane; real ones come from the small 2-D model that
benchmarks/make_stardist_golden.py trained. Baselines: StarDist's group_matching_labels, and ours without cutting at waists.

    python benchmarks/bench_planes.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from stardist.matching import group_matching_labels

from barlowtrack.io.stardist_model import read_model_folder
from barlowtrack.nn.instances import Instances, normalise, predict
from barlowtrack.nn.planes import outlines
from barlowtrack.nn.stacks import join_planes
from barlowtrack.synthetic import preset, simulate

Volume = tuple[NDArray[np.float32], NDArray[np.int32]]
VOXEL_UM = (1.5, 0.35, 0.35)
MODEL = Path(__file__).resolve().parents[1] / "tests" / "data" / "stardist" / "planes"
SMALL = {"volume_shape": (16, 72, 96), "n_neurons": 45}  # what the model was trained on


def volumes(name: str, seeds: list[int], n: int, **overrides: object) -> list[Volume]:
    films = [simulate(preset(name, n_volumes=n, **overrides), seed=seed) for seed in seeds]
    return [(normalise(film.recording.read(t)[0]), np.asarray(film.labels.read(t), np.int32)) for film in films for t in range(n)]


def strip(labels: NDArray[np.int32]) -> Instances:
    """Returns perfect outlines: a number of its own for every label of every plane."""
    stripped, points = np.zeros_like(labels), []
    for z, plane in enumerate(labels):
        held = np.unique(plane[plane > 0])
        number = np.zeros(plane.max(initial=0) + 1, np.int32)
        number[held] = np.arange(len(held)) + len(points) + 1
        stripped[z] = number[plane]
        points += [[z, *map(round, centre)] for centre in ndimage.center_of_mass(plane, plane, held)]
    return Instances(stripped, np.array(points, np.int64).reshape(-1, 3), np.ones(len(points), np.float32))


def count(ours: NDArray[np.int32], true: NDArray[np.int32], least_iou: float) -> NDArray[np.int64]:
    """Returns hits, ours, true."""
    table = np.zeros((ours.max() + 1, true.max() + 1), np.int64)
    np.add.at(table, (ours.ravel(), true.ravel()), 1)
    size, true_size, shared = table.sum(1)[1:], table.sum(0)[1:], table[1:, 1:]
    hits = (shared > least_iou * (size[:, None] + true_size - shared)).sum()
    return np.array([hits, np.count_nonzero(size), np.count_nonzero(true_size)])


def bench(what: str, films: list[Volume], found: list[Instances], max_diameter_um: float, least_iou: float) -> None:
    def ours(planes: Instances, volume: NDArray[np.float32], longest: float = max_diameter_um) -> NDArray[np.int32]:
        return join_planes(planes, volume, voxel_size_um=VOXEL_UM, max_diameter_um=longest).labels

    ways: dict[str, Callable[[Instances, NDArray[np.float32]], NDArray[np.int32]]] = {
        "ours": ours,
        "ours, never cut": lambda planes, volume: ours(planes, volume, 1e6),
        "StarDist's grouping": lambda planes, _: group_matching_labels(planes.labels),
    }
    said = []
    for name, way in ways.items():
        total, seconds = np.zeros(3, np.int64), []
        for (volume, true), planes in zip(films, found, strict=True):
            start = time.perf_counter()
            labels = way(planes, volume)
            seconds.append(time.perf_counter() - start)
            total += count(labels, true, least_iou)
        f1 = 2 * total[0] / (total[1] + total[2])
        said.append(f"{name} {f1:.3f} ({total[1]} of {total[2]}, {1e3 * np.median(seconds):.0f} ms)")
    print(f"{what}, F1 at IoU {least_iou}: {'; '.join(said)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="*", type=int, default=[5, 6])
    parser.add_argument("--volumes", type=int, default=3)
    parser.add_argument("--max-diameter-um", type=float, default=3.8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("still", "easy", "mid", "hard"):
        films = volumes(name, arguments.seeds, arguments.volumes)
        bench(f"perfect outlines, {name}", films, [strip(true) for _, true in films], arguments.max_diameter_um, 0.5)
    model = read_model_folder(MODEL)
    net = model.network()
    films = volumes("mid", arguments.seeds, arguments.volumes, **SMALL)
    found = [outlines(*predict(net, v), model.spec, model.thresholds.prob, model.thresholds.nms, v.shape) for v, _ in films]  # type: ignore[arg-type]
    for least_iou in (0.3, 0.5):
        bench("outlines of the small model, mid", films, found, arguments.max_diameter_um, least_iou)


if __name__ == "__main__":
    main()
