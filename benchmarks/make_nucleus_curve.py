"""Fits the curve of barlowtrack/identity/nucleus.py: how likely is what was followed a nucleus, by contrast and the detector's probability?

    python benchmarks/make_nucleus_curve.py --presets easy mid hard --seeds 1 --volumes 40

Synthetic recordings are run from raw images with default settings. An entry is no nucleus where most of its detections have no true neuron
within 3 um. Every recording is also predicted by a curve fitted to the others.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from bench_confidence import calibration_error, known_scene

import barlowtrack as bt
from barlowtrack.cli.simulation import write_simulation
from barlowtrack.cli.terminal import Bars
from barlowtrack.identity.nucleus import measures, neuron_means
from barlowtrack.io.tables import read_truth

RIDGE = 1e-5


def entries(preset: str, seed: int, n_volumes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns evidence (K, 3) and whether it is a nucleus (K,), of what was followed in one recording."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_simulation(folder, preset, seed, "ome-tiff", False, {"volumes": n_volumes}, {}, Bars(quiet=True))
        truth = read_truth(folder / "truth.csv")
        run = bt.run(folder / "recording", config=bt.Config(), overrides=[f"seed={seed}"], check=False)
        detections, tracks = run.detections, run.tracks
    true = known_scene("", detections, np.zeros((len(detections), 1)), (truth.t, truth.neuron, truth.position_um)).true
    return labelled(measures(detections), np.asarray(tracks.neuron), true)


def labelled(measured: np.ndarray, neuron: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Evidence of each entry, and whether most of its detections are of a nucleus."""
    n_neurons, known = int(neuron.max()) + 1, neuron >= 0
    real = np.bincount(neuron[known], true[known] >= 0, n_neurons) / np.maximum(np.bincount(neuron[known], minlength=n_neurons), 1)
    return neuron_means(measured, neuron, n_neurons), real > 0.5


def fitted(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Logistic regression, held a little towards none."""
    beta = np.zeros(x.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        step = np.linalg.solve((x.T * (p * (1 - p))) @ x / len(x) + RIDGE * np.eye(len(beta)), x.T @ (y - p) / len(x) - RIDGE * beta)
        beta += np.clip(step, -1, 1)
    return beta


def report(names: list[str], parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for i, name in enumerate(names):
        others = [part for j, part in enumerate(parts) if j != i] or parts
        beta = fitted(np.concatenate([x for x, _ in others]), np.concatenate([y for _, y in others]))
        x, y = parts[i]
        p = 1 / (1 + np.exp(-x @ beta))
        print(f"{name:16s} others' curve {beta.round(1)} ECE {calibration_error(p, y):.3f}", end=" ")
        print(f"no nuclei {np.sort(p[~y]).round(2)} least nuclei {np.sort(p[y])[:4].round(2)}", flush=True)
    every = fitted(np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]))
    print("all", every.round(2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["easy", "mid", "hard"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--volumes", type=int, default=40)
    options = parser.parse_args()
    chosen = [(preset, seed) for preset in options.presets for seed in options.seeds]
    report([f"{preset} {seed}" for preset, seed in chosen], [entries(preset, seed, options.volumes) for preset, seed in chosen])


if __name__ == "__main__":
    main()
