"""Draws the crops that the shipped encoder learns from: many synthetic worms, each in a few postures, with who is who.

Every worm has its own body, motion, voxel size, microscope and processing (as in make_segmentation_pairs.py, whose draw it shares), and
a world .8 to 1.3 as large as the encoder's. Crops are cut as `crop` cuts them, around true centres displaced as a detector displaces them.

    python benchmarks/make_encoder_crops.py --worms 200 --seed 0 --out /tmp/encoder_crops
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from embedding_scores import peaks
from make_segmentation_pairs import clutter, draw_config, process

from barlowtrack.config import CropConfig
from barlowtrack.nn.crops import crop_volume, larger_grid
from barlowtrack.nn.scale import scale_volume
from barlowtrack.synthetic import SyntheticConfig, simulate

SIZE_UM = (12.0, 24.0, 24.0)


def draw_worm(rng: np.random.Generator, scale: float) -> SyntheticConfig:
    """Draws a worm that turns by less than what the shared rotation of the training adds: a recording has one orientation, about."""
    drawn = draw_config(rng, scale)
    changes = {"turn_deg": float(rng.uniform(5, 60)), "n_neurons": int(rng.integers(50, 180)), "blurred_volumes": 0.05}
    return drawn.model_copy(update={**changes, "missed_planes": 0.005 if rng.random() < 0.3 else 0.0})


def draw(index: int, seed: int, n_volumes: int, to: Path) -> int:
    """Draws one worm; leaves its crops, and the neuron and volume of each."""
    torch.set_num_threads(1)
    rng = np.random.default_rng([seed, index])
    scale = float(np.exp(rng.uniform(np.log(0.8), np.log(1.3))))
    config = draw_worm(rng, scale)
    film = simulate(config, seed=int(rng.integers(2**31)))
    truth, voxel_um = film.truth, np.array(config.voxel_size_um)
    processing, jitter_um = int(rng.integers(2**31)), rng.uniform(0.1, 0.5) / scale * np.array([1.5, 1, 1])
    dirt = clutter(config.volume_shape, config.voxel_size_um, rng) * config.peak_photons * 0.3 if rng.random() < 0.3 else 0.0
    grid = larger_grid(CropConfig().grid, CropConfig().margin)
    box_um = tuple(size * n / small / scale for size, n, small in zip(SIZE_UM, grid, CropConfig().grid, strict=True))
    crops, neuron, t = [], [], []
    for volume_t in np.sort(rng.choice(config.n_volumes, n_volumes, replace=False)):
        rows = truth.t == volume_t
        volume = film.recording.read(int(volume_t))[0].astype(np.float32) + dirt
        volume = process(volume, config.voxel_size_um, config.peak_photons, np.random.default_rng(processing))
        place = truth.position_um[rows] + rng.normal(0, jitter_um, (int(rows.sum()), 3))
        place = np.clip(place, 0, (np.array(config.volume_shape) - 1) * voxel_um)
        scaled = scale_volume(volume, peaks(volume, place / voxel_um))
        cut = crop_volume(torch.from_numpy(scaled), torch.from_numpy(place), config.voxel_size_um, box_um, grid)
        crops.append(cut.numpy().astype(np.float16))
        neuron.append(truth.neuron[rows])
        t.append(np.full(int(rows.sum()), volume_t))
    np.save(to / f"{index:04d}.crops.npy", np.concatenate(crops))
    np.save(to / f"{index:04d}.who.npy", np.stack([np.concatenate(t), np.concatenate(neuron)], axis=1))
    return len(np.concatenate(t))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worms", type=int, default=200)
    parser.add_argument("--volumes", type=int, default=6, help="of each worm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    work = partial(draw, seed=arguments.seed, n_volumes=arguments.volumes, to=arguments.out)
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        for index, n in enumerate(pool.map(work, range(arguments.worms))):
            print(f"worm {index}: {n} crops", flush=True)


if __name__ == "__main__":
    main()
