"""crop, train and embed on a synthetic worm: time, peak memory, and identity accuracy of appearance alone beside its baselines.

Every embedding is scored alike: Hungarian assignment to one prototype a neuron, refined for eight rounds without any truth, then one
global one-to-one mapping of ids. Detections are the true centres, shifted at random by a share of a voxel.

    python benchmarks/bench_encoder.py --preset mid --volumes 120 --neurons 110
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA

from barlowtrack.config import ComputeConfig, CropConfig, EmbedConfig, TrainConfig
from barlowtrack.data import CropBatch, Crops, Detections, FloatArray, IntArray, Recording, VolumeLooks
from barlowtrack.nn.augment import centre_window
from barlowtrack.nn.encoder import Encoder
from barlowtrack.stages.crop import crop
from barlowtrack.stages.embed import embed
from barlowtrack.stages.train import train
from barlowtrack.synthetic import SyntheticRecording, preset, simulate

PUBLISHED_LIKE = {
    "rotation_deg": 180.0,
    "elastic_vox": 2.0,
    "object_scale": "published",
    "lambda_object": None,
    "schedule": "constant",
    "learning_rate": 1e-4,
    "projector_dims": (2048, 2048, 512),
}


class InMemory:
    """Crop batches in a list."""

    def __init__(self, batches: list[CropBatch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def read(self, index: int) -> CropBatch:
        return self.batches[index]


class Kept:
    """Volumes rendered once, so that times are ours and not the simulation's."""

    def __init__(self, recording: Recording) -> None:
        self.volumes = [recording.source.read(t) for t in range(recording.n_volumes)]

    def read(self, t: int) -> np.ndarray:
        return self.volumes[t]


def true_detections(worm: SyntheticRecording, recording: Recording, jitter_vox: float) -> tuple[Detections, IntArray]:
    """Returns jittered true centres as detections, and who they are."""
    truth = worm.truth
    order = np.lexsort((truth.neuron, truth.t))
    t, neuron = truth.t[order], truth.neuron[order]
    voxel = np.array(recording.voxel_size_um)
    position = truth.position_um[order] + np.random.default_rng(0).normal(0, jitter_vox, (len(t), 3)) * voxel
    position = np.clip(position, 0, (np.array(recording.volume_shape) - 1) * voxel)  # jitter may push a centre out of the volume
    index = np.rint(position / voxel).astype(int)
    peak = np.array([recording.read(int(v))[(recording.reference, *i)] for v, i in zip(t, index, strict=True)], dtype=np.float32)
    one = np.ones(len(t), np.float32)
    return Detections(recording.n_volumes, t, neuron + 1, position, one, peak, peak, one, one, one, one), neuron


def identity_accuracy(vectors: FloatArray, t: IntArray, neuron: IntArray, n_seeds: int = 3) -> float:
    """Returns the share of detections whose prototype is their neuron's; the mean over starts from three well-filled volumes."""
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    volumes, count = np.unique(t, return_counts=True)
    starts = np.random.default_rng(0).choice(volumes[count >= np.median(count)], n_seeds, replace=False)
    scores = []
    for start in starts:
        prototypes = vectors[t == start]
        for _ in range(8):
            given = np.full(len(t), -1)
            for volume in volumes:
                rows = np.flatnonzero(t == volume)
                i, j = linear_sum_assignment(-vectors[rows] @ prototypes.T)
                given[rows[i]] = j
            means = np.stack([vectors[given == k].mean(axis=0) for k in range(len(prototypes))])
            prototypes = means / np.linalg.norm(means, axis=1, keepdims=True)
        table = np.zeros((len(prototypes), neuron.max() + 1))
        np.add.at(table, (given[given >= 0], neuron[given >= 0]), 1)
        scores.append(table[linear_sum_assignment(-table)].sum() / len(t))
    return float(np.mean(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mid")
    parser.add_argument("--volumes", type=int, default=120)
    parser.add_argument("--neurons", type=int, default=110)
    parser.add_argument("--jitter-vox", type=float, default=0.25)
    parser.add_argument("--epochs", type=int, default=TrainConfig().epochs)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--published", action="store_true", help="also train with the published settings (slow)")
    args = parser.parse_args()

    worm = simulate(preset(args.preset, n_volumes=args.volumes, n_neurons=args.neurons), seed=3)
    recording = Recording(**{**vars(worm.recording), "source": Kept(worm.recording)})
    detections, neuron = true_detections(worm, recording, args.jitter_vox)
    config, compute = CropConfig(), ComputeConfig()
    began = time.perf_counter()
    n_volumes = recording.n_volumes
    alike = VolumeLooks(np.bincount(detections.t, minlength=n_volumes), np.ones(n_volumes), np.ones(n_volumes))
    batches = list(crop(recording, detections, alike, config=config, compute=compute))
    took = time.perf_counter() - began
    print(f"crop   {len(batches)} volumes, {sum(len(b.row) for b in batches)} crops {batches[0].values.shape[1:]}: {took:.1f} s")
    crops = Crops(InMemory(batches), config.grid, config.size_um)

    pixels = np.concatenate([window.reshape(len(window), -1) for window in windows(batches, config.grid)])
    rows = np.concatenate([batch.row for batch in batches])
    reduced = PCA(64, svd_solver="randomized", random_state=0).fit_transform(pixels)
    print(f"{'pixels, PCA 64':24s} identity accuracy {identity_accuracy(reduced, detections.t[rows], neuron[rows]):.3f}")
    settings = {"random weights": {"epochs": 0}, "trained": {"epochs": args.epochs}}
    if args.published:
        settings["published-like"] = {"epochs": args.epochs, **PUBLISHED_LIKE}
    for name, changed in settings.items():
        for seed in range(args.seeds):
            began = time.perf_counter()
            *_, state = train(crops, config=TrainConfig(**changed), compute=compute, seed=seed)
            trained, began = time.perf_counter() - began, time.perf_counter()
            vectors = embed_all(recording, detections, state.encoder(), compute)
            took, last = time.perf_counter() - began, state.history[-1]
            print(
                f"{name:24s} identity accuracy {identity_accuracy(vectors, detections.t, neuron):.3f}  seed {seed}"
                f"  agreement {last.held_out_agreement:.3f}  rank {last.effective_rank:.1f}"
                f"  train {trained:.0f} s  embed {len(vectors) / took:.0f} neurons/s",
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    kept = sum(recording.read(t).nbytes for t in range(recording.n_volumes)) / 2**30
    print(f"peak memory {peak:.2f} GB, of it the recording, kept in memory for timing: {kept:.2f} GB")


def windows(batches: list[CropBatch], grid: tuple[int, int, int]) -> Iterator[FloatArray]:
    for batch in batches:
        yield centre_window(torch.from_numpy(batch.values), grid).float().numpy()


def embed_all(recording: Recording, detections: Detections, encoder: Encoder, compute: ComputeConfig) -> FloatArray:
    return np.concatenate(list(embed(recording, detections, encoder, config=EmbedConfig(), compute=compute)))


if __name__ == "__main__":
    main()
