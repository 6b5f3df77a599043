"""What the benchmarks of the encoder share: detections with known truth, and how well an embedding alone tells neurons apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA

from barlowtrack.config import ComputeConfig, EmbedConfig
from barlowtrack.data import UNKNOWN, CropBatch, Detections, FloatArray, IntArray, Recording, VolumeLooks
from barlowtrack.nn.augment import centre_window
from barlowtrack.nn.encoder import Encoder
from barlowtrack.stages.embed import embed
from barlowtrack.synthetic import SyntheticRecording

SEED_VOLUMES = 15
NEIGHBOURS = 15


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


def true_detections(
    worm: SyntheticRecording, recording: Recording, jitter_um: float = 0.3, wrong: float = 0.1, seed: int = 0
) -> tuple[Detections, IntArray]:
    """Returns detections as a fair detector gives them, and who they are (UNKNOWN: nobody).

    Args:
        worm: With the truth.
        recording: The same, its volumes kept.
        jitter_um: Standard deviation of a centre's error along each axis.
        wrong: Share of the neurons that are missed, and of detections that are added where nothing is, but close to neurons.
        seed: Of all that.
    """
    truth, rng = worm.truth, np.random.default_rng(seed)
    left = np.flatnonzero(rng.random(len(truth)) >= wrong)
    near = rng.integers(0, len(truth), int(wrong * len(truth)))
    place = np.concatenate([truth.position_um[left], truth.position_um[near] + rng.normal(0, 6, (len(near), 3))])
    place[: len(left)] += rng.normal(0, jitter_um, (len(left), 3))
    t, neuron = np.concatenate([truth.t[left], truth.t[near]]), np.concatenate([truth.neuron[left], np.full(len(near), UNKNOWN)])
    voxel_um = np.array(recording.voxel_size_um)
    place = np.clip(place, 0, (np.array(recording.volume_shape) - 1) * voxel_um)  # an error may push a centre out of the volume
    order = np.lexsort([rng.random(len(t)), t])
    t, neuron, place = t[order], neuron[order], place[order]
    peak = np.concatenate([peaks(recording.read(int(v))[recording.reference], place[t == v] / voxel_um) for v in np.unique(t)])
    label = np.concatenate([np.arange(n) + 1 for n in np.unique(t, return_counts=True)[1]])
    one = np.ones(len(t), np.float32)
    return Detections(recording.n_volumes, t, label, place, one, peak, peak, one, one, one, one), neuron


def peaks(volume: FloatArray, voxel: FloatArray) -> FloatArray:
    """Returns the brightest of the 27 voxels around each place (n, 3), as a detector would know a nucleus' peak."""
    padded = np.pad(volume, 1, mode="edge")
    around = np.stack(np.meshgrid(*[range(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    z, y, x = np.moveaxis(np.rint(voxel).astype(int)[:, None] + around, -1, 0)
    return np.asarray(padded[z, y, x].max(axis=1), np.float32)


def all_alike(detections: Detections) -> VolumeLooks:
    """Returns looks of volumes among which there is no junk."""
    n = detections.n_volumes
    return VolumeLooks(np.bincount(detections.t, minlength=n), np.ones(n), np.ones(n))


def windows(batches: list[CropBatch], grid: tuple[int, int, int]) -> Iterator[FloatArray]:
    for batch in batches:
        yield centre_window(torch.from_numpy(batch.values), grid).float().numpy()


def embed_all(recording: Recording, detections: Detections, encoder: Encoder, compute: ComputeConfig) -> FloatArray:
    return np.concatenate(list(embed(recording, detections, encoder, config=EmbedConfig(), compute=compute)))


def reduced(pixels: FloatArray) -> FloatArray:
    """Returns 64 principal components of pixels (N, ...)."""
    flat = pixels.reshape(len(pixels), -1)
    return np.asarray(PCA(min(64, *flat.shape), svd_solver="randomized", random_state=0).fit_transform(flat))


def unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def share_right(given: IntArray, neuron: IntArray) -> float:
    """Returns the share of the detections of neurons that are right after one mapping of ids for the whole recording."""
    rows = np.flatnonzero((given >= 0) & (neuron >= 0))
    table = np.zeros((given.max() + 1, neuron.max() + 1))
    np.add.at(table, (given[rows], neuron[rows]), 1)
    return float(table[linear_sum_assignment(-table)].sum() / (neuron >= 0).sum())


def identity_accuracy(vectors: FloatArray, t: IntArray, neuron: IntArray, n_seeds: int = 3) -> float:
    """Scores embeddings by Hungarian assignment to one prototype a neuron, refined for eight rounds without truth.

    Returns:
        The share of true detections that are right; the mean over starts from three well-filled volumes.
    """
    vectors = unit(vectors)
    volumes, count = np.unique(t, return_counts=True)
    starts = np.random.default_rng(0).choice(volumes[count >= np.median(count)], n_seeds, replace=False)
    scores = []
    for start in starts:
        prototypes = vectors[t == start]
        for _ in range(8):
            given = np.full(len(t), UNKNOWN)
            for volume in volumes:
                rows = np.flatnonzero(t == volume)
                i, j = linear_sum_assignment(-vectors[rows] @ prototypes.T)
                given[rows[i]] = j
            prototypes = unit(np.stack([vectors[given == k].mean(axis=0) for k in range(len(prototypes))]))
        scores.append(share_right(given, neuron))
    return float(np.mean(scores))


def propagation_accuracy(vectors: FloatArray, t: IntArray, neuron: IntArray) -> float:
    """Scores embeddings by label propagation: seed volumes are named one after the other, then all detections by their neighbours there.

    Each detection takes the votes, weighted by similarity, of its NEIGHBOURS nearest named detections; no name twice a volume.

    Reference:
        Fieseler et al. 2025, who propagate from 25 to 100 seed volumes.
    """
    vectors = unit(vectors)
    volumes, count = np.unique(t, return_counts=True)
    full = volumes[count >= np.median(count)]
    seeds = full[np.linspace(0, len(full) - 1, min(SEED_VOLUMES, len(full))).astype(int)]
    first = np.flatnonzero(t == seeds[0])
    known, name, n_names = first, np.arange(len(first)), len(first)
    for volume in seeds[1:]:
        rows = np.flatnonzero(t == volume)
        given = _voted(vectors[rows], vectors[known], name, n_names)
        known, name = np.concatenate([known, rows[given >= 0]]), np.concatenate([name, given[given >= 0]])
    result = np.full(len(t), UNKNOWN)
    for volume in volumes:
        rows = np.flatnonzero(t == volume)
        result[rows] = _voted(vectors[rows], vectors[known], name, n_names)
    return share_right(result, neuron)


def _voted(vectors: FloatArray, known: FloatArray, name: IntArray, n_names: int) -> IntArray:
    likeness = vectors @ known.T  # (n, M)
    nearest = np.argpartition(-likeness, min(NEIGHBOURS, len(known)) - 1, axis=1)[:, :NEIGHBOURS]
    votes = np.zeros((len(vectors), n_names))
    np.add.at(votes, (np.arange(len(vectors))[:, None], name[nearest]), np.exp(10 * (np.take_along_axis(likeness, nearest, 1) - 1)))
    given = np.full(len(vectors), UNKNOWN)
    i, j = linear_sum_assignment(-votes)
    given[i[votes[i, j] > 0]] = j[votes[i, j] > 0]
    return given
