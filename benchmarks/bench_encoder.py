"""Encoders beside their baselines on synthetic worms: identity accuracy of looks alone and inside `track`, time, in one table.

Detections are as a fair detector gives them: .3 um of error along each axis, 10 % of the neurons missed, 10 % of wrong ones added. Every
seed is another worm, that no shipped weight has seen, and another draw of weights. Looks alone are scored in two ways without truth (see
embedding_scores.py); `track` joins them with positions.

    python benchmarks/bench_encoder.py --preset hard --seeds 3 4 5
    python benchmarks/bench_encoder.py --real ../shared/data/targettrack_worm
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from bench_track import tracked
from embedding_scores import (
    InMemory,
    Kept,
    all_alike,
    embed_all,
    identity_accuracy,
    peaks,
    propagation_accuracy,
    reduced,
    share_right,
    true_detections,
    unit,
    windows,
)
from scipy.optimize import linear_sum_assignment

from barlowtrack.config import ComputeConfig, CropConfig, RecordingConfig, TrackConfig
from barlowtrack.config import load as load_settings
from barlowtrack.data import CropBatch, Crops, Detections, Embeddings, FloatArray, IntArray, Recording
from barlowtrack.io import open_recording
from barlowtrack.io.start import open_start
from barlowtrack.stages.crop import crop
from barlowtrack.stages.train import train
from barlowtrack.synthetic import preset, simulate

REAL_VOXEL_UM = (1.5, 0.35, 0.35)
PUBLISHED = Path(__file__).parents[1] / "pipelines" / "published.toml"
WAYS: dict[str, tuple[str, ...]] = {
    "random weights": ("train.mode=scratch", "train.epochs=0"),
    "scratch": ("train.mode=scratch",),
    "scratch, self-training": ("train.mode=scratch", "train.rounds=2"),
    "scratch, barlow": ("train.mode=scratch", "train.objective=barlow"),
    "scratch, barlow-object": ("train.mode=scratch", "train.objective=barlow-object"),
    "zero-shot": ("train.mode=zero-shot",),
    "fine-tune": ("train.mode=fine-tune",),
    "fine-tune, self-training": ("train.mode=fine-tune", "train.rounds=2"),
    "published": (),
}
NAMES = ("pixels, PCA 64", "position only", *WAYS)


@dataclass(frozen=True)
class Scene:
    """A recording, what was detected in it, and who that is."""

    recording: Recording
    detections: Detections
    neuron: IntArray


@dataclass(frozen=True)
class Row:
    """One line of the table; NaN where it says nothing."""

    prototypes: float = np.nan
    propagation: float = np.nan
    in_track: float = np.nan
    crops_a_second: float = np.nan
    minutes: float = np.nan


def synthetic_scene(name: str, volumes: int, neurons: int, seed: int) -> Scene:
    worm = simulate(preset(name, n_volumes=volumes, n_neurons=neurons), seed=seed)
    recording = Recording(**{**vars(worm.recording), "source": Kept(worm.recording)})
    return Scene(recording, *true_detections(worm, recording))


def real_scene(folder: Path) -> Scene:
    """The annotated nuclei of targettrack's volumes; the voxel size is assumed."""
    recording = open_recording(folder / "recording", RecordingConfig(voxel_size_um=REAL_VOXEL_UM))
    points = pd.read_csv(folder / "points.csv").sort_values(["volume", "neuron"])
    voxel = np.clip(points[["z", "y", "x"]].to_numpy(float), 0, np.array(recording.volume_shape) - 1)
    t, neuron = points["volume"].to_numpy(), np.unique(points["neuron"], return_inverse=True)[1]
    peak = np.concatenate([peaks(recording.read(int(v))[recording.reference], voxel[t == v]) for v in np.unique(t)])
    label = np.concatenate([np.arange(n) + 1 for n in np.unique(t, return_counts=True)[1]])
    one = np.ones(len(t), np.float32)
    place = voxel * REAL_VOXEL_UM
    return Scene(recording, Detections(recording.n_volumes, t, label, place, one, peak, peak, one, one, one, one), neuron)


def between_human(vectors: FloatArray, scene: Scene) -> float:
    """Returns the share of neurons of volume 0, both annotated by hand, that Hungarian assignment by looks finds in volume 2."""
    first, second = (np.flatnonzero(scene.detections.t == t) for t in (0, 2))
    i, j = linear_sum_assignment(-unit(vectors)[first] @ unit(vectors)[second].T)
    shared = np.isin(scene.neuron[first], scene.neuron[second])
    return float((scene.neuron[first[i]] == scene.neuron[second[j]]).sum() / shared.sum())


def cut(scene: Scene, config: CropConfig) -> Crops:
    alike = all_alike(scene.detections)
    batches = list(crop(scene.recording, scene.detections, alike, config=config, compute=ComputeConfig()))
    return Crops(InMemory(batches), config.grid, config.size_um)


def scored(vectors: FloatArray | None, scene: Scene, seed: int, **more: float) -> Row:
    """Scores embeddings of all detections; without any, positions."""
    t, neuron = scene.detections.t, scene.neuron
    config = TrackConfig(appearance=vectors is not None)
    looks = Embeddings(np.ones((len(t), 1), np.float32) if vectors is None else unit(vectors).astype(np.float32))
    found = tracked(scene.detections, looks, config=config, compute=ComputeConfig(), seed=seed)
    inside = share_right(found.neuron, neuron)
    if vectors is None:
        return Row(in_track=inside, **more)
    return Row(identity_accuracy(vectors, t, neuron), propagation_accuracy(vectors, t, neuron), inside, **more)


def embedded(way: str, scene: Scene, cuts: dict[CropConfig, Crops], seed: int) -> tuple[FloatArray, float, float]:
    """Returns embeddings of all detections, crops embedded a second, and minutes of training."""
    config = load_settings(PUBLISHED if way == "published" else None, WAYS[way])
    if config.crop not in cuts:
        cuts[config.crop] = cut(scene, config.crop)
    began = time.perf_counter()
    start = open_start(config.train)
    *_, state = train(cuts[config.crop], scene.detections, start, config=config.train, compute=ComputeConfig(), seed=seed)
    took, began = time.perf_counter() - began, time.perf_counter()
    vectors = embed_all(scene.recording, scene.detections, state.encoder(), ComputeConfig())
    return vectors, len(vectors) / (time.perf_counter() - began), took / 60


def pixels_of(scene: Scene) -> FloatArray:
    config = CropConfig(training_volumes=scene.recording.n_volumes, margin=1.0)
    batches: list[CropBatch] = cut(scene, config).source.batches  # type: ignore[attr-defined]
    return reduced(np.concatenate(list(windows(batches, config.grid))))


def rows_of(scene: Scene, names: list[str], seed: int) -> Iterator[tuple[str, Row, FloatArray | None]]:
    cuts: dict[CropConfig, Crops] = {}
    for name in names:
        if name == "position only":
            yield name, scored(None, scene, seed), None
        elif name in WAYS:
            vectors, speed, minutes = embedded(name, scene, cuts, seed)
            yield name, scored(vectors, scene, seed, crops_a_second=speed, minutes=minutes), vectors
        else:
            vectors = pixels_of(scene)
            yield name, scored(vectors, scene, seed), vectors


def show(name: str, rows: list[Row], more: str = "") -> None:
    values = np.array([[getattr(row, column) for column in Row.__dataclass_fields__] for row in rows])

    def said(column: int) -> str:
        given = values[:, column]
        if np.isnan(given).any():
            return f"{'':20s}"
        return f"{given.mean():.3f} ({given.min():.3f}-{given.max():.3f})".rjust(20)

    speed, minutes = ("" if np.isnan(values[:, c]).any() else f"{values[:, c].mean():.{d}f}" for c, d in ((3, 0), (4, 2)))
    print(f"{name:26s}{said(0)}{said(1)}{said(2)}{speed:>10s}{minutes:>9s}{more}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mid")
    parser.add_argument("--volumes", type=int, default=100)
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--real", type=Path, help="folder of the targettrack data, instead of a synthetic worm")
    parser.add_argument("--rows", nargs="+", choices=NAMES, default=[name for name in NAMES if name != "published"], metavar="ROW")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':26s}{'prototypes':>20s}{'propagation':>20s}{'in track':>20s}{'crops/s':>10s}{'minutes':>9s}", flush=True)
    collected: dict[str, list[Row]] = {name: [] for name in args.rows}
    human: dict[str, list[float]] = {name: [] for name in args.rows}
    for seed in args.seeds:
        scene = real_scene(args.real) if args.real else synthetic_scene(args.preset, args.volumes, args.neurons, seed)
        for name, row, vectors in rows_of(scene, args.rows, seed):
            collected[name].append(row)
            if args.real and vectors is not None:
                human[name].append(between_human(vectors, scene))
            show(f"  {name}, {seed}"[:26], [row])
    print(f"{args.real or args.preset}, seeds {args.seeds}")
    for name in args.rows:
        more = f"   volume 0 to 2: {np.mean(human[name]):.3f} ({min(human[name]):.3f}-{max(human[name]):.3f})" if human[name] else ""
        show(name, collected[name], more)


if __name__ == "__main__":
    main()
