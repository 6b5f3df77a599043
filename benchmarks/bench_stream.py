"""Identities of volumes that come one by one, beside those of the whole recording at once; and the time each volume takes.

python benchmarks/bench_stream.py                                  the synthetic worm, mid, with looks of several strengths
python benchmarks/bench_stream.py --points ../shared/data/nerve_worm1_points/points.csv     real points, if you have them

"all": the atlas is learned from every volume, then each is shown again. "half": it is learned from the first half, and the second half
is shown; the batch beside it has seen both. Agreement: the same identity in both, after one mapping of ids; of all detections that
either names, and of those whose true neuron is known.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from bench_track import Scene, accuracy, calibration_error, real_scenes, synthetic_scene
from threadpoolctl import threadpool_limits

from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import Detections, Embeddings, VolumeLooks
from barlowtrack.evaluate.matching import map_ids
from barlowtrack.identity.learned import Learned
from barlowtrack.stages.identify import identify
from barlowtrack.streaming import Tracker


def learn(scene: Scene) -> tuple[Learned, np.ndarray]:
    """The atlas of a scene, and who the batch says its detections are."""
    n_volumes = scene.detections.n_volumes
    alike = VolumeLooks(np.bincount(scene.detections.t, minlength=n_volumes), np.ones(n_volumes), np.ones(n_volumes))
    config = TrackConfig(appearance=scene.embeddings.vectors.shape[1] > 1)
    found = identify(scene.detections, alike, scene.embeddings, config=config, compute=ComputeConfig(workers=1), seed=0)
    return found.learned, found.identities.neuron


def part(scene: Scene, name: str, low: int, high: int) -> tuple[Scene, slice]:
    """Volumes low to high - 1 of a scene."""
    found = scene.detections
    rows = slice(*np.searchsorted(found.t, [low, high]))
    columns = {column: getattr(found, column)[rows] for column in found.__dataclass_fields__ if column not in ("n_volumes", "t")}
    true = scene.true[rows]
    cut = Detections(high - low, found.t[rows] - low, **columns)
    return Scene(name, cut, Embeddings(scene.embeddings.vectors[rows]), true, int((true >= 0).sum())), rows


def streamed(learned: Learned, scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neuron and probability of every detection; (V, 2) milliseconds of every volume, on the clock and of the processor."""
    tracker = Tracker(learned)
    looks = learned.preparation.mean is not None
    neuron, probability, took = [], [], []
    for t in range(scene.detections.n_volumes):
        rows = scene.detections.rows_of(t)
        clock, processor = time.perf_counter(), time.process_time()
        seen = tracker.update(scene.detections.position_um[rows], scene.embeddings.vectors[rows] if looks else None)
        took.append((1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - processor)))
        neuron.append(seen.neuron)
        probability.append(seen.probability)
    return np.concatenate(neuron), np.concatenate(probability), np.array(took)


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Share of the detections that somebody names which both name alike."""
    both = np.flatnonzero((a >= 0) & (b >= 0))
    mapping = map_ids(a[both], b[both])
    same = sum(mapping.get(int(i)) == int(j) for i, j in zip(a[both], b[both], strict=True))
    return same / max(int(((a >= 0) | (b >= 0)).sum()), 1)


def compare(scene: Scene, half: bool) -> None:
    """Prints a row."""
    _, batch = learn(scene)
    n = scene.detections.n_volumes
    shown, rows = part(scene, scene.name, n // 2 if half else 0, n)
    learned = learn(part(scene, scene.name, 0, n // 2)[0] if half else scene)[0]
    neuron, probability, took = streamed(learned, shown)
    p50, p95 = np.percentile(took, [50, 95], axis=0)
    error = calibration_error(neuron, probability, shown)
    labelled = shown.true >= 0
    alike, known = agreement(neuron, batch[rows]), agreement(neuron[labelled], batch[rows][labelled])
    print(
        f"{scene.name:24s}{'half' if half else 'all':6s}{len(shown.true) / shown.detections.n_volumes:7.0f}"
        f"{accuracy(batch[rows], shown):8.3f}{accuracy(neuron, shown):8.3f}{alike:11.3f}{known:7.3f}{error:7.3f}"
        f"{p50[0]:9.1f}{p95[0]:9.1f}{p50[1]:9.1f}{p95[1]:9.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=Path, help="table of volume, x, y, z, neuron")
    parser.add_argument("--every", type=int, default=1, help="of the real points: every this many volumes")
    parser.add_argument("--preset", default="mid")
    parser.add_argument("--looks", nargs="*", default=["none", "1", "2"], help="scatter of looks, relative to that between neurons")
    parser.add_argument("--volumes", type=int, default=200)
    parser.add_argument("--only", choices=["all", "half"], help="one of the two comparisons")
    arguments = parser.parse_args()
    if arguments.points:
        scene = real_scenes(arguments.points)[0]
        kept = np.flatnonzero(scene.detections.t % arguments.every == 0)
        thin = scene.detections.subset(kept)
        columns = {name: getattr(thin, name) for name in thin.__dataclass_fields__ if name not in ("n_volumes", "t")}
        t = thin.t // arguments.every
        found = Detections(int(t.max()) + 1, t, **columns)
        scenes = [
            Scene(scene.name, found, Embeddings(scene.embeddings.vectors[kept]), scene.true[kept], int((scene.true[kept] >= 0).sum()))
        ]
    else:
        strengths = [None if text == "none" else float(text) for text in arguments.looks]
        scenes = [synthetic_scene(arguments.preset, arguments.volumes, scatter, 0) for scatter in strengths]
    figures = (
        f"{'batch':>8s}{'stream':>8s}{'agreement':>11s}{'known':>7s}{'ECE':>7s}{'p50 ms':>9s}{'p95 ms':>9s}{'cpu p50':>9s}{'cpu p95':>9s}"
    )
    print(f"{'scene':24s}{'seen':6s}{'points':>7s}{figures}")
    with threadpool_limits(1):
        for scene in scenes:
            for half in (False, True):
                if arguments.only in (None, "half" if half else "all"):
                    compare(scene, half)


if __name__ == "__main__":
    main()
