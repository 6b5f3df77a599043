"""Detection quality, time and memory of the segment stage, on synthetic presets and, where they are there, on real volumes.

In one run: the star-convex network (the model that comes along, or another one's folder), the Laplacian of Gaussian, and as baseline
maxima of one Gaussian scale above a noise threshold, without scales, watershed or background. IoU is the mean over true nuclei, 0 for one
that was missed.

    python benchmarks/bench_segment.py --volumes 4 --seeds 2 3
"""

from __future__ import annotations

import argparse
import csv
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from barlowtrack.config import ComputeConfig, SegmentConfig
from barlowtrack.data import Recording, Segmentation
from barlowtrack.detect.agreement import agreement
from barlowtrack.detect.blobs import MIN_QUALITY
from barlowtrack.io.segmenter import open_segmenter
from barlowtrack.stages.segment import finder, region, segment_volume
from barlowtrack.synthetic import preset, simulate

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "targettrack_worm"
REAL_VOXEL_UM = (1.5, 0.35, 0.35)  # an assumption: the source does not say


def match(found: np.ndarray, true: np.ndarray, within: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs found with true places one to one, none further apart than allowed."""
    if not len(found) or not len(true):
        return np.zeros(0, int), np.zeros(0, int)
    distance = cdist(found, true)
    i, j = linear_sum_assignment(np.where(distance <= within, distance, 1e3))
    good = distance[i, j] <= within
    return i[good], j[good]


def baseline(red: np.ndarray, size: np.ndarray) -> np.ndarray:
    smooth = ndimage.gaussian_filter(red.astype(np.float32), 0.6 * SegmentConfig().radius_um[0] / size)
    centre = np.median(smooth)
    noise = 1.4826 * np.median(np.abs(smooth - centre))
    peaks = (ndimage.maximum_filter(smooth, size=3) == smooth) & (smooth > centre + MIN_QUALITY * noise)
    return np.argwhere(peaks) * size


def score(pairs: int, found: int, true: int) -> str:
    return f"F1 {2 * pairs / max(found + true, 1):.3f}  precision {pairs / max(found, 1):.3f}  recall {pairs / max(true, 1):.3f}"


def detector(recording: Recording, method: str, model: str, **more: Any) -> tuple[Callable[[np.ndarray, int], Segmentation], SegmentConfig]:
    config = SegmentConfig(method=method, model=model if method == "stardist" else "", **more)
    compute = ComputeConfig()
    find, box = finder(recording, open_segmenter(config), config, compute), region(recording, config)
    return (lambda volume, t: segment_volume(volume, t, recording, find, config, box)), config


def bench_preset(name: str, seed: int, n_volumes: int, within: float, methods: Sequence[str], model: str) -> None:
    film = simulate(preset(name, n_volumes=n_volumes), seed=seed)
    size = np.array(film.recording.voxel_size_um)
    volumes = [film.recording.read(t) for t in range(n_volumes)]
    truths = [(film.truth.position_um[film.truth.t == t], film.labels.read(t)) for t in range(n_volumes)]
    for method in methods:
        find, _ = detector(film.recording, method, model)
        counts, iou, errors, seconds = np.zeros(3, int), [], [], []
        for t, (volume, (true, bodies)) in enumerate(zip(volumes, truths, strict=True)):
            started = time.perf_counter()
            result = find(volume, t)
            seconds.append(time.perf_counter() - started)
            i, j = match(result.detections.position_um, true, within)
            counts += len(i), len(result.detections), len(true)
            errors += np.linalg.norm(result.detections.position_um[i] - true[j], axis=1).tolist()
            iou.append(agreement(bodies, result.labels).iou)
        said = f"centre off {np.median(errors):.2f} um  mean IoU {np.concatenate(iou).mean():.3f}  {np.median(seconds):.2f} s/volume"
        print(f"{name:5} seed {seed} {method:8}: {score(*counts)}  {said}", flush=True)
    simple = np.zeros(3, int)
    for volume, (true, _) in zip(volumes, truths, strict=True):
        peaks = baseline(volume[0], size)
        simple += len(match(peaks, true, within)[0]), len(peaks), len(true)
    print(f"{name:5} seed {seed} maxima  : {score(*simple)}", flush=True)


def bench_real(methods: Sequence[str], model: str, within_vox: float, radius_um: tuple[float, ...]) -> None:
    if not REAL.exists():
        print("real: skipped, no volumes at ../shared/data/targettrack_worm")
        return
    rows = list(csv.DictReader((REAL / "points.csv").read_text().splitlines()))
    for t in (0, 2):
        volume = tifffile.imread(REAL / "recording" / f"volume_{t:04d}.ome.tif")
        recording = Recording("real", None, (5, *volume.shape), volume.dtype, REAL_VOXEL_UM, None, ("red", "green"), 0, 1, "")  # type: ignore[arg-type]
        true = np.array([[float(row[k]) for k in "zyx"] for row in rows if int(row["volume"]) == t])
        for method in methods:
            find, _ = detector(recording, method, model, radius_um=radius_um)
            found = find(volume, t).detections.position_um / REAL_VOXEL_UM
            in_plane = [1e-3, 1.0, 1.0]  # an annotated centre is worth little along z: matched in the plane, nearest in depth on ties
            i, _ = match(found * in_plane, true * in_plane, within_vox)
            j, _ = match(found * REAL_VOXEL_UM, true * REAL_VOXEL_UM, 2.0)
            plane, space = len(i) / len(true), len(j) / len(true)
            recall = f"recall {plane:.3f} within {within_vox:g} voxels in the plane, {space:.3f} within 2 um in space"
            print(f"real volume {t} {method:8}: {recall}; {len(found)} detections, {len(true)} annotated (not all nuclei are)", flush=True)
    print(f"real volumes: voxels assumed {REAL_VOXEL_UM} um, radii {radius_um} um")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="*", default=["still", "easy", "mid", "hard"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--volumes", type=int, default=6)
    parser.add_argument("--within-um", type=float, default=3.0)
    parser.add_argument("--methods", nargs="*", default=["stardist", "log"])
    parser.add_argument("--model", default="", help="folder of another model than the one that comes along")
    parser.add_argument("--real-radius-um", type=float, nargs=2, action="append", default=[], help="radii to try on the real volumes too")
    parser.add_argument("--real", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    for name in arguments.presets:
        for seed in arguments.seeds:
            bench_preset(name, seed, arguments.volumes, arguments.within_um, arguments.methods, arguments.model)
    if arguments.real:
        for radius_um in (SegmentConfig().radius_um, *arguments.real_radius_um):
            bench_real(arguments.methods, arguments.model, 4.0, tuple(radius_um))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
