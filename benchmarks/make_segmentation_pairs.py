"""Draws the labelled volumes that the shipped segmentation model learns from: synthetic worms under many microscopes.

Every pair has its own worm (all presets' motion and crowding, and beyond), voxel size (0.2 to 0.6 um in the plane, anisotropy 1 to 5),
point spread, brightness, noise and processing (raw, saturated, smoothed and background-subtracted to 8 bit as labs publish them), and
things that are no nuclei: granules, gut-like blotches and bright fibres. The volume is resampled to the model's voxel size; labels are
drawn there.

    python benchmarks/make_segmentation_pairs.py --pairs 500 --seed 0 --out /tmp/pairs
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from barlowtrack.config import SegmentationTrainingConfig
from barlowtrack.nn.instances import normalise
from barlowtrack.nn.resample import resample, resampled_shape
from barlowtrack.synthetic import SyntheticConfig, simulate
from barlowtrack.synthetic.render import draw_labels

FIELD_UM = (33.0, 62.0, 100.0)


def draw_config(rng: np.random.Generator, scale: float) -> SyntheticConfig:
    """Draws a worm and a microscope, in a world whose um are 1 / scale of the model's."""
    plane = float(np.exp(rng.uniform(np.log(0.2), np.log(0.6)))) / scale
    depth = float(np.clip(plane * rng.uniform(1, 5), 0.3 / scale, 2.5 / scale))
    size = (depth, plane, plane)
    shape = tuple(int(np.clip(f / s, 8, 600)) for f, s in zip(np.array(FIELD_UM) / scale, size, strict=True))
    small = rng.uniform(0.75, 1.3)
    spacing = rng.uniform(2.4, 4.2)
    return SyntheticConfig(
        n_volumes=60,
        volume_shape=shape,
        voxel_size_um=size,
        n_neurons=int(rng.integers(60, 220)),
        radius_um=(small, small + rng.uniform(0.2, 1.0)),
        spacing_um=spacing,
        least_gap=rng.uniform(0.7, 1.0),
        motion=rng.uniform(0, 1.3),
        bend_rad=rng.uniform(0.1, 0.5),
        turn_deg=180.0,
        local_jitter=rng.uniform(0, 0.25),
        psf_um=(rng.uniform(0.5, 1.2), rng.uniform(0.18, 0.6)),
        peak_photons=float(np.exp(rng.uniform(np.log(30), np.log(400)))),
        brightness_spread=rng.uniform(0.3, 1.0),
        texture=rng.uniform(0, 0.5),
        depth_um=rng.uniform(40, 120),
        glow_photons=rng.uniform(0, 20),
        background_photons=rng.uniform(0, 15),
        granules=rng.uniform(0, 0.15),
        read_noise=rng.uniform(1, 6),
        blurred_volumes=1.0 if rng.random() < 0.08 else 0.0,
        blur_um=rng.uniform(0.3, 0.7),
    )


def clutter(shape: tuple[int, ...], size: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """Draws light that is no nucleus: blotches of tissue in a part of the field, and fibres; at most about 1."""
    light = np.zeros(shape, np.float32)
    if rng.random() < 0.6:
        scale = rng.uniform(0.3, 0.9)
        fine = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), [0.8 * scale / s + 0.3 for s in size])
        coarse = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), [4.0 / s for s in size])
        place = coarse / coarse.std() > rng.uniform(0.5, 1.5)
        light += np.clip(fine / fine.std(), 0, 3) / 3 * ndimage.gaussian_filter(place.astype(np.float32), [0.5 / s for s in size])
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, size, strict=True)], indexing="ij"))
    for _ in range(int(rng.integers(0, 3))):
        start = rng.uniform(0, 1, 3) * np.array(shape) * size
        angle = rng.uniform(0, np.pi)
        direction = np.array([rng.normal() * 0.1, np.sin(angle), np.cos(angle)])
        direction /= np.linalg.norm(direction)
        away = grid - start[:, None, None, None]
        along = np.tensordot(direction, away, axes=1)
        off = (away**2).sum(axis=0) - along**2 - 4 * np.sin(along / rng.uniform(8, 20)) ** 2
        light += (
            rng.uniform(0.2, 0.8) * np.exp(-np.clip(off, 0, None) / (2 * rng.uniform(0.3, 0.7) ** 2)) * (np.abs(along) < rng.uniform(5, 40))
        )
    return np.clip(light, 0, 1.5)


def process(volume: np.ndarray, size: tuple[float, ...], peak: float, rng: np.random.Generator) -> np.ndarray:
    """Does to a raw volume what cameras and labs do."""
    kind = rng.random()
    if kind < 0.12:
        return np.minimum(volume, np.percentile(volume, 99.8) * rng.uniform(0.4, 0.9))  # saturated
    if kind < 0.55:
        smooth = rng.uniform(0, 0.45)
        volume = ndimage.gaussian_filter(volume, [0.6 * smooth / size[0], smooth / size[1], smooth / size[2]])
        floor = np.percentile(volume, rng.uniform(30, 97))
        if rng.random() < 0.5:
            floor = np.maximum(floor, ndimage.gaussian_filter(volume, [3 / s for s in size]) * rng.uniform(0.3, 1))
        volume = np.clip(volume - floor - rng.uniform(0, 0.08) * peak, 0, None)
        return np.rint(volume / max(float(volume.max()), 1e-6) * rng.uniform(150, 255))
    return volume


def draw_pair(index: int, seed: int, to: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Draws image (float16, percentiles at 0 and 1) and labels (uint16) on the model's voxel size; the world is .65 to 1.5 as large."""
    rng = np.random.default_rng([seed, index])
    scale = float(np.exp(rng.uniform(np.log(0.65), np.log(1.5))))
    config = draw_config(rng, scale)
    film = simulate(config, seed=int(rng.integers(2**31)))
    t = int(rng.integers(config.n_volumes))
    size, shape = config.voxel_size_um, config.volume_shape
    volume = film.recording.read(t)[0].astype(np.float32)
    if rng.random() < 0.4:
        light = clutter(shape, size, rng) * config.peak_photons * rng.uniform(0.1, 0.6)
        volume += light + np.sqrt(light) * rng.standard_normal(shape, dtype=np.float32)
    volume = process(volume, size, config.peak_photons, rng)
    there_um = tuple(step / scale for step in to)
    image = normalise(resample(volume, size, there_um))
    there = config.model_copy(update={"voxel_size_um": there_um, "volume_shape": resampled_shape(shape, size, there_um)})
    labels = draw_labels(replace(film._worm, config=there), film._look, film._worm.pose(t))
    return np.clip(image, -5, 60).astype(np.float16), labels.astype(np.uint16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    to = SegmentationTrainingConfig().voxel_size_um
    draw = partial(draw_pair, seed=arguments.seed, to=to)
    for kind in ("images", "labels"):
        (arguments.out / kind).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for index, (image, labels) in enumerate(pool.map(draw, range(arguments.pairs))):
            for kind, volume in (("images", image.astype(np.float32)), ("labels", labels)):
                size = {f"PhysicalSize{axis}": step for axis, step in zip("ZYX", to, strict=True)}
                path = arguments.out / kind / f"{index:04d}.ome.tif"
                tifffile.imwrite(path, volume, compression="zlib", metadata={"axes": "ZYX", **size})


if __name__ == "__main__":
    main()
