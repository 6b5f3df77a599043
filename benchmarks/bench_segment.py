"""Detection quality, time and memory of the segment stage, on synthetic presets and, where it is there, on real volumes.

Baseline: maxima of one Gaussian scale above the same noise threshold, without scales, watershed or background.
"""

from __future__ import annotations

import argparse
import csv
import resource
import time
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from barlowtrack.config import ComputeConfig, SegmentConfig
from barlowtrack.data import Recording
from barlowtrack.stages.segment import segment, segment_volume
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


def baseline(red: np.ndarray, size: np.ndarray, config: SegmentConfig) -> np.ndarray:
    smooth = ndimage.gaussian_filter(red.astype(np.float32), 0.6 * config.radius_um[0] / size)
    centre = np.median(smooth)
    noise = 1.4826 * np.median(np.abs(smooth - centre))
    peaks = (ndimage.maximum_filter(smooth, size=3) == smooth) & (smooth > centre + config.min_quality * noise)
    return np.argwhere(peaks) * size


def score(pairs: int, found: int, true: int) -> str:
    return f"F1 {2 * pairs / max(found + true, 1):.3f}  precision {pairs / max(found, 1):.3f}  recall {pairs / max(true, 1):.3f}"


def bench_preset(name: str, seed: int, n_volumes: int, within: float, config: SegmentConfig, workers: int) -> None:
    film = simulate(preset(name, n_volumes=n_volumes), seed=seed)
    size = np.array(film.recording.voxel_size_um)
    started = time.perf_counter()
    results = list(segment(film.recording, config=config, compute=ComputeConfig(workers=workers)))
    seconds = (time.perf_counter() - started) / n_volumes
    counts, simple, overlaps, errors = np.zeros(3, int), np.zeros(3, int), [], []
    for result in results:
        rows = film.truth.t == result.t
        true, who = film.truth.position_um[rows], film.truth.neuron[rows]
        i, j = match(result.detections.position_um, true, within)
        counts += len(i), len(result.detections), len(true)
        errors += np.linalg.norm(result.detections.position_um[i] - true[j], axis=1).tolist()
        bodies = film.labels.read(result.t)
        for a, b in zip(result.detections.label[i], who[j] + 1, strict=True):
            ours, theirs = result.labels == a, bodies == b
            overlaps.append((ours & theirs).sum() / (ours | theirs).sum())
        peaks = baseline(film.recording.read(result.t)[0], size, config)
        simple += len(match(peaks, true, within)[0]), len(peaks), len(true)
    quality = score(*counts)
    print(f"{name:6} seed {seed}: {quality}  centre off {np.median(errors):.2f} um  IoU {np.median(overlaps):.2f}  {seconds:.2f} s/volume")
    print(f"{'':6} one-scale baseline: {score(*simple)}")


def bench_real(config: SegmentConfig, within_vox: float) -> None:
    if not REAL.exists():
        print("real: skipped, no volumes at ../shared/data/targettrack_worm")
        return
    rows = list(csv.DictReader((REAL / "points.csv").read_text().splitlines()))
    for t in (0, 2):
        volume = tifffile.imread(REAL / "recording" / f"volume_{t:04d}.ome.tif")
        recording = Recording("real", None, (5, *volume.shape), volume.dtype, REAL_VOXEL_UM, None, ("red", "green"), 0, 1, "")  # type: ignore[arg-type]
        found = segment_volume(volume, t, recording, config).detections.position_um / REAL_VOXEL_UM
        true = np.array([[float(row[k]) for k in "zyx"] for row in rows if int(row["volume"]) == t])
        in_plane = [1e-3, 1.0, 1.0]  # an annotated centre is worth little along z: matched in the plane, nearest in depth on ties
        i, _ = match(found * in_plane, true * in_plane, within_vox)
        j, _ = match(found * REAL_VOXEL_UM, true * REAL_VOXEL_UM, 2.0)
        plane, space = len(i) / len(true), len(j) / len(true)
        print(
            f"real volume {t}: recall {plane:.3f} within {within_vox:g} voxels in the plane, {space:.3f} within 2 um in space; "
            f"{len(found)} detections, {len(true)} annotated (not all nuclei are; voxels assumed {REAL_VOXEL_UM} um)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="*", default=["still", "easy", "mid", "hard"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--volumes", type=int, default=6)
    parser.add_argument("--within-um", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--real", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    config = SegmentConfig()
    for name in arguments.presets:
        for seed in arguments.seeds:
            bench_preset(name, seed, arguments.volumes, arguments.within_um, config, arguments.workers)
    if arguments.real:
        bench_real(config, 4.0)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
