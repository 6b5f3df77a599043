"""The microscope: from a pose to light, from light to camera units, and to the instance labels behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from barlowtrack.data import FloatArray, IntArray
from barlowtrack.synthetic.config import SyntheticConfig
from barlowtrack.synthetic.faults import Faults
from barlowtrack.synthetic.worm import Pose, Worm, stream

GLOW_STEP = 6  # the body's glow is smooth: it is computed on every sixth voxel


@dataclass(frozen=True)
class Appearance:
    """What makes one nucleus itself; granules last, as in Worm.

    Attributes:
        brightness: (n,) red light of the nucleus at its middle, photons.
        silent: (n,) its green light without activity, photons.
        stretch: (n,) length along the body over width.
        wave: (n, 2, 3) wave vectors of its pattern, in the body's frame (z, across, along), rad/um.
        phase: (n, 2) of these waves.
    """

    brightness: FloatArray
    silent: FloatArray
    stretch: FloatArray
    wave: FloatArray
    phase: FloatArray

    @classmethod
    def draw(cls, worm: Worm, seed: int) -> Appearance:
        """Draws brightness, shape and pattern of every nucleus."""
        config, rng, n = worm.config, stream(seed, 1), len(worm.radius_um)
        brightness = config.peak_photons * np.exp(np.clip(config.brightness_spread * rng.normal(size=n), -1.8, 1.8))
        green = config.green_share * np.exp(np.clip(0.4 * rng.normal(size=n), -1, 1))
        # a granule glows alike in both colours, and less than the median nucleus
        granule = np.arange(n) >= config.n_neurons
        brightness[granule] = 0.25 * config.peak_photons * rng.uniform(0.4, 1.0, int(granule.sum()))
        green[granule] = 1.0
        direction = rng.normal(size=(n, 2, 3))
        direction /= np.linalg.norm(direction, axis=2, keepdims=True)
        wave = direction * (2 * np.pi / (rng.uniform(1.2, 2.4, (n, 2)) * worm.radius_um[:, None]))[..., None]
        return cls(brightness, brightness * green, np.exp(0.15 * rng.normal(size=n)), wave, rng.uniform(0, 2 * np.pi, (n, 2)))


@dataclass(frozen=True)
class Accidents:
    """What went wrong in one volume: drawn alike however often it is asked for."""

    brightness: float
    dropped: bool
    blurred: bool
    dark_planes: IntArray

    @classmethod
    def of(cls, config: SyntheticConfig, seed: int, t: int) -> Accidents:
        """Draws the accidents of volume t."""
        rng = stream(seed, 2, t)
        dropped, blurred = rng.random(2) < (config.dropped_volumes, config.blurred_volumes)
        dark = np.flatnonzero(rng.random(config.volume_shape[0]) < config.missed_planes)
        return cls(float(np.exp(config.brightness_jitter * rng.normal())), bool(dropped) and t > 0, bool(blurred), dark)


def light_share(config: SyntheticConfig, t: int) -> float:
    """Returns what bleaching has left of the light at volume t."""
    return 1.0 if config.bleach_s is None else float(np.exp(-t / (config.rate_hz * config.bleach_s)))


def peak_light(worm: Worm, look: Appearance, pose: Pose, accidents: Accidents, t: int) -> FloatArray:
    """Returns (2, n): red and green light at the middle of every nucleus (granules last) above background, in camera units."""
    config = worm.config
    depth = np.exp(-np.clip(pose.position_um[:, 0], 0, None) / config.depth_um)
    share = 0.0 if accidents.dropped else light_share(config, t) * accidents.brightness
    rise = np.zeros(len(depth))
    rise[: config.n_neurons] = worm.activity(t)
    light: FloatArray = np.stack([look.brightness, look.silent * (1 + rise)]) * depth * share
    return light


def render(worm: Worm, look: Appearance, seed: int, t: int, faults: Faults | None = None) -> FloatArray:
    """Renders volume t.

    Args:
        worm: Where everything is.
        look: How it shines.
        seed: Of everything random.
        t: Volume.
        faults: Of the microscope.

    Returns:
        (2, Z, Y, X) float32 camera units: red, green; with noise, neither rounded nor clipped.
    """
    config, pose = worm.config, worm.pose(t)
    if faults is not None:
        pose = faults.drifted(pose, t, config.voxel_size_um)
    accidents = Accidents.of(config, seed, t)
    light = np.zeros((2, *config.volume_shape), np.float32)
    if not accidents.dropped:
        blur = config.blur_um if accidents.blurred else 0.0
        peak = peak_light(worm, look, pose, accidents, t).astype(np.float32)
        share = light_share(config, t) * accidents.brightness
        light[:] = config.background_photons * accidents.brightness + share * _glow(worm, pose)
        for i, box, rho_squared, pattern, softness in _bodies(worm, look, pose, blur):
            nucleus = pattern / (1 + np.exp((np.sqrt(rho_squared) - 1) / softness))  # (Z, Y, X)
            light[(slice(None), *box)] += peak[:, i, None, None, None] * nucleus
        if faults is not None:
            light = faults.bent(light, t)
        light[:, accidents.dark_planes] = 0.0
    units = expose(light, config, stream(seed, 3, t))
    return units if faults is None else faults.exposed(units)


def expose(light: FloatArray, config: SyntheticConfig, rng: np.random.Generator) -> FloatArray:
    """Turns expected photons into camera units with photon and read noise.

    (sqrt(a) + z/2)^2 - 1/4 with normal z has mean a, variance a + 1/8 and nearly a Poisson number's skewness (the square-root
    transform of Anscombe 1948, backwards), at a tenth of the time that drawing Poisson numbers takes.
    """
    units = rng.standard_normal(light.shape, dtype=np.float32)
    units *= 0.5
    units += np.sqrt(light)
    units *= units
    read = rng.standard_normal(light.shape, dtype=np.float32)
    read *= np.float32(config.read_noise)
    units += read
    units += np.float32(config.offset - 0.25)
    return units


def draw_labels(worm: Worm, look: Appearance, pose: Pose) -> IntArray:
    """Draws instance labels.

    Returns:
        (Z, Y, X) int32: neuron + 1 where a nucleus alone would be brighter than half its maximum, 0 elsewhere; where two meet, the
        one that is nearer in units of its own radii.
    """
    labels = np.zeros(worm.config.volume_shape, np.int32)
    nearest = np.full(worm.config.volume_shape, 1.0, np.float32)
    for i, box, rho_squared, _, _ in _bodies(worm, look, pose, 0.0):
        if i >= worm.config.n_neurons:
            continue
        closer = rho_squared < nearest[box]
        nearest[box][closer] = rho_squared[closer]
        labels[box][closer] = i + 1
    return labels


def _bodies(
    worm: Worm, look: Appearance, pose: Pose, blur_um: float
) -> Iterator[tuple[int, tuple[slice, ...], FloatArray, FloatArray, float]]:
    """Yields every nucleus in its box: index, box, squared distance from its centre in its own radii, pattern, softness of its rim."""
    config = worm.config
    size, shape = np.array(config.voxel_size_um), np.array(config.volume_shape)
    psf = np.array([config.psf_um[0], np.hypot(config.psf_um[1], blur_um), np.hypot(config.psf_um[1], blur_um)])
    for i, centre in enumerate(pose.position_um):
        stretch = np.array([1.0, look.stretch[i] ** -0.5, look.stretch[i] ** 0.5])
        semi_axes = np.sqrt((worm.radius_um[i] * stretch) ** 2 + psf**2)  # z, across, along
        # the slope of a rim blurred by the point spread is that of a logistic step of this width
        softness = 0.63 * float(np.sqrt(np.mean((psf / semi_axes) ** 2)))
        reach = semi_axes.max() * (1 + 5 * softness) * np.array([semi_axes[0] / semi_axes.max(), 1, 1])
        start = np.clip(np.ceil((centre - reach) / size), 0, shape).astype(int)
        stop = np.clip(np.floor((centre + reach) / size) + 1, 0, shape).astype(int)
        if np.any(stop <= start):
            continue
        z, y, x = (np.arange(a, b, dtype=np.float32) * s - c for a, b, s, c in zip(start, stop, size, centre, strict=True))
        cos, sin = np.cos(pose.heading_rad[i]), np.sin(pose.heading_rad[i])
        across = (y[:, None] * cos - x[None] * sin).astype(np.float32)  # (Y, X)
        along = (y[:, None] * sin + x[None] * cos).astype(np.float32)
        in_plane = (across / semi_axes[1]) ** 2 + (along / semi_axes[2]) ** 2
        rho_squared = (in_plane[None] + ((z / semi_axes[0]) ** 2)[:, None, None]).astype(np.float32)
        pattern = np.ones_like(rho_squared)
        # defocus smears the pattern too: no finer wave survives a blurred volume
        depth = config.texture / 2 * (1.0 if blur_um == 0 else 0.3)
        for wave, phase in zip(look.wave[i], look.phase[i], strict=True):
            flat = (wave[1] * across + wave[2] * along + phase).astype(np.float32)
            pattern += np.float32(depth) * np.cos(flat[None] + (wave[0] * z).astype(np.float32)[:, None, None])
        # a smear spreads the same light over more voxels: what a Gaussian leaves at the middle of a disc
        fading = 1 - float(np.exp(-(worm.radius_um[i] ** 2) / (2 * blur_um**2))) if blur_um else 1.0
        box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        yield i, box, rho_squared, (pattern * np.float32(fading)), softness


def _glow(worm: Worm, pose: Pose) -> FloatArray:
    """Returns (Z, Y, X) photons of the body's own light: a soft tube around the centreline."""
    config = worm.config
    _, height, width = config.volume_shape
    size = np.array(config.voxel_size_um)
    y = np.arange(0, height + GLOW_STEP, GLOW_STEP) * size[1]
    x = np.arange(0, width + GLOW_STEP, GLOW_STEP) * size[2]
    line = pose.centreline_um[::4]
    squared = ((y[:, None, None] - line[:, 0]) ** 2 + (x[None, :, None] - line[:, 1]) ** 2).min(axis=2)  # (Y', X')
    coarse = config.glow_photons * np.exp(-squared / (1.2 * worm.body_radius_um) ** 2)
    rows, columns = np.arange(height) / GLOW_STEP, np.arange(width) / GLOW_STEP
    upward = _linear(len(y), rows)
    plane = upward @ coarse @ _linear(len(x), columns).T  # (Y, X)
    middle = float(pose.position_um[:, 0].mean()) if len(pose.position_um) else 0.0
    depth = np.exp(-(((np.arange(config.volume_shape[0]) * size[0] - middle) / (1.3 * worm.body_radius_um)) ** 2))
    glow: FloatArray = (depth[:, None, None] * plane[None]).astype(np.float32)
    return glow


def _linear(n: int, at: FloatArray) -> FloatArray:
    """Returns (len(at), n) weights of linear interpolation between n samples."""
    weights: FloatArray = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(n)))
    return weights
