"""The worm itself: where its nuclei lie in the body, how the body bends, turns and drifts, and what the neurons do.

Everything is a closed form of the volume's number, so that any volume can be asked for, in any order, by any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from barlowtrack.data import FloatArray
from barlowtrack.errors import InputError
from barlowtrack.synthetic.config import SyntheticConfig

N_WAVES = 7  # sinusoids a process; enough not to look periodic
N_SHAPES = 4  # eigen-shapes of the centreline; four hold over 90 % of a real worm's posture (Stephens et al. 2008)
N_LATENTS = 3  # shared causes of activity

# Ganglia of the head along the body: share of the neurons, start, stop (0 = nose), where around the body (rad; 0 = dorsal), spread
_GANGLIA = (
    (0.16, 0.02, 0.20, 0.0, np.inf),  # anterior ganglion
    (0.03, 0.22, 0.32, 0.0, np.inf),  # the nerve ring: neurites, hardly a nucleus
    (0.36, 0.34, 0.62, np.pi / 2, 0.9),  # lateral ganglia, both sides
    (0.10, 0.34, 0.46, 0.0, 0.6),  # dorsal ganglion
    (0.17, 0.36, 0.60, np.pi, 0.7),  # ventral ganglion
    (0.09, 0.64, 0.78, np.pi, 0.6),  # retrovesicular ganglion
    (0.09, 0.78, 1.00, np.pi, 0.3),  # ventral cord
)


def stream(seed: int, *key: int) -> np.random.Generator:
    """Returns the generator of one purpose (and volume), independent of all others."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, *key])))


@dataclass(frozen=True)
class SmoothProcess:
    """Band-limited random functions of one argument, of unit variance: sums of sinusoids of random frequency."""

    frequency: FloatArray  # (..., N_WAVES) rad
    phase: FloatArray  # (..., N_WAVES)

    @classmethod
    def draw(cls, shape: tuple[int, ...], rng: np.random.Generator) -> SmoothProcess:
        """Draws functions of the given shape that change on a scale of about 1."""
        size = (*shape, N_WAVES)
        return cls(np.exp(rng.uniform(np.log(0.35), np.log(1.7), size)), rng.uniform(0, 2 * np.pi, size))

    def __call__(self, when: float) -> FloatArray:
        sums: FloatArray = np.sin(self.frequency * when + self.phase).sum(axis=-1) * np.sqrt(2 / N_WAVES)
        return sums


@dataclass(frozen=True)
class Pose:
    """Nuclei at one moment.

    Attributes:
        position_um: (n, 3) z, y, x in the field.
        heading_rad: (n,) direction of the body at each nucleus.
        centreline_um: (M, 2) y, x of the body's axis.
    """

    position_um: FloatArray
    heading_rad: FloatArray
    centreline_um: FloatArray


@dataclass(frozen=True)
class Worm:
    """A worm's anatomy and the random functions that move it.

    Attributes:
        config: What was asked for.
        length_um: Of the imaged part of the body.
        body_radius_um: Of its cross-section.
        along: (n,) place along the body, 0 (nose) to 1.
        across_um: (n, 2) dorsal-ventral (z at rest) and lateral distance from the axis.
        radius_um: (n,) of the nuclei; granules, which are no neurons, come last.
        processes: Named random functions of the phase of movement, or of time in periods (activity).
    """

    config: SyntheticConfig
    length_um: float
    body_radius_um: float
    along: FloatArray
    across_um: FloatArray
    radius_um: FloatArray
    processes: dict[str, SmoothProcess]
    mixing: FloatArray  # (n_neurons, N_LATENTS + 1)

    @classmethod
    def grow(cls, config: SyntheticConfig, seed: int) -> Worm:
        """Places nuclei in the body and draws how it will move.

        Raises:
            InputError: more nuclei than fit.
        """
        rng = stream(seed, 0)
        extent = np.array(config.volume_shape) * config.voxel_size_um
        length = float(0.68 * extent[2])
        room = 0.4 * float(min(extent[0], extent[1])) if config.volume_shape[0] > 1 else 0.4 * float(extent[1])
        wanted = np.sqrt(config.n_neurons * (1.9 * config.spacing_um) ** 3 / (np.pi * length))
        body_radius = float(np.clip(wanted, 2 * config.radius_um[1], max(room, 2 * config.radius_um[1])))
        n, n_granules = config.n_neurons, round(config.granules * config.n_neurons)
        low, high = config.radius_um
        radius = low + (high - low) * rng.beta(2, 2, n + n_granules)
        flat = config.volume_shape[0] == 1
        along, across = _place(radius[:n], length, np.array([0.0 if flat else body_radius, body_radius]), config.least_gap, rng)
        along = np.r_[along, rng.uniform(0, 1, n_granules)]
        across = np.r_[across, rng.normal(0, 0.4 * body_radius, (n_granules, 2))]
        processes = {
            "heading": SmoothProcess.draw((), rng),
            "bend": SmoothProcess.draw((N_SHAPES,), rng),
            "drift": SmoothProcess.draw((3,), rng),
            "roll": SmoothProcess.draw((), rng),
            "jitter": SmoothProcess.draw((n + n_granules, 3), rng),
            "latent": SmoothProcess.draw((N_LATENTS,), rng),
            "own": SmoothProcess.draw((n,), rng),
        }
        mixing = rng.normal(0, 1, (n, N_LATENTS + 1))
        mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
        return cls(config, length, body_radius, along, across, radius, processes, mixing)

    @cached_property
    def neighbour_um(self) -> float:
        """Median distance of a neuron to the next, at rest; the unit of motion."""
        if self.config.n_neurons < 2:
            return self.config.spacing_um
        rest = np.c_[self.along * self.length_um, self.across_um][: self.config.n_neurons]
        return float(np.median(np.asarray(cKDTree(rest).query(rest, k=2)[0])[:, 1]))

    @cached_property
    def phase_step(self) -> float:
        """Phase of movement that passes from volume to volume, so that the median displacement is the one asked for."""
        if self.config.motion == 0 or self.config.n_neurons == 0:
            return 0.0
        # Displacement grows with the step until it nears the amplitude of the movement: bisect on the first, monotone part.
        when = np.linspace(0, 300, 120)
        before = [self._pose_at(phase).position_um for phase in when]

        def displacement(step: float) -> float:
            moved = [np.linalg.norm(self._pose_at(w + step).position_um - b, axis=1) for w, b in zip(when, before, strict=True)]
            return float(np.median(np.stack(moved)[:, : self.config.n_neurons])) / self.neighbour_um

        low, high = 0.0, 1.5
        for _ in range(18):
            middle = (low + high) / 2
            low, high = (middle, high) if displacement(middle) < self.config.motion else (low, middle)
        return (low + high) / 2

    def pose(self, t: int) -> Pose:
        """Returns where nuclei (and granules) are in volume t."""
        return self._pose_at(t * self.phase_step)

    def activity(self, t: int) -> FloatArray:
        """Returns (n_neurons,) rise of the green light, as a share of the silent light."""
        when = 2 * np.pi * t / (self.config.rate_hz * self.config.activity_period_s)
        shared = self.mixing[:, :N_LATENTS] @ self.processes["latent"](when)
        own = self.mixing[:, N_LATENTS] * self.processes["own"](when)
        rise: FloatArray = self.config.activity / (1 + np.exp(-3 * (shared + own - 0.5)))
        return rise

    def _pose_at(self, phase: float) -> Pose:
        config = self.config
        moves = {name: self.processes[name](phase) for name in ("heading", "bend", "drift", "roll", "jitter")}
        at = np.linspace(0, 1, 65)
        shapes = np.sqrt(2) * np.cos(np.pi * np.arange(1, N_SHAPES + 1)[:, None] * at)  # (N_SHAPES, M) tangent angles
        weights = config.bend_rad * moves["bend"] / np.arange(1, N_SHAPES + 1)
        # tanh: the worm keeps a direction for a while, then turns quickly
        angle = np.deg2rad(config.turn_deg) * np.tanh(1.5 * moves["heading"]) + weights @ shapes
        tangent = np.stack([np.sin(angle), np.cos(angle)], axis=1)  # (M, 2) y, x
        steps = (tangent[1:] + tangent[:-1]) / 2 * self.length_um / (len(at) - 1)
        line = np.r_[np.zeros((1, 2)), np.cumsum(steps, axis=0)]

        heading = np.interp(self.along, at, angle)
        roll = np.deg2rad(8.0) * moves["roll"]
        depth = np.cos(roll) * self.across_um[:, 0] - np.sin(roll) * self.across_um[:, 1]
        side = np.sin(roll) * self.across_um[:, 0] + np.cos(roll) * self.across_um[:, 1]
        y = np.interp(self.along, at, line[:, 0]) + side * np.cos(heading)
        x = np.interp(self.along, at, line[:, 1]) - side * np.sin(heading)
        position = np.stack([depth, y, x], axis=1)
        position += config.local_jitter * self.neighbour_um / np.sqrt(3) * moves["jitter"]
        middle = (np.array(config.volume_shape) - 1) / 2 * config.voxel_size_um
        # the stage keeps the worm's middle near the middle of the field; depth is held better than the plane
        drift = np.array([0.3, 1.0, 1.0]) * config.drift_um * np.tanh(moves["drift"])
        shift = middle + drift - np.array([0.0, *line.mean(axis=0)])
        position += shift
        if config.volume_shape[0] == 1:
            position[:, 0] = 0.0
        return Pose(position, heading, line + shift[1:])


def _place(
    radius: FloatArray, length: float, body_radius: FloatArray, least_gap: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draws places in the ganglia, none nearer to another than the share of their radii allows."""
    n = len(radius)
    ganglion = rng.choice(len(_GANGLIA), n, p=[row[0] for row in _GANGLIA])
    along, across, gap = np.zeros(n), np.zeros((n, 2)), np.full(n, least_gap)
    for i in np.argsort(-radius):  # large ones first: small ones fit between them
        placed = np.flatnonzero(gap < 0)
        allowed = least_gap
        for attempt in range(4000):
            if attempt and attempt % 200 == 0:
                # where its ganglion is full, a nucleus goes anywhere; only then nearer to its neighbours
                ganglion[i] = rng.integers(len(_GANGLIA))
                allowed *= 1.0 if attempt <= 2000 else 0.95
            place, sideways = _draw_place(_GANGLIA[ganglion[i]], body_radius, rng)
            offset = np.c_[(along[placed] - place) * length, across[placed] - sideways]
            if np.all(np.linalg.norm(offset, axis=1) >= allowed * (radius[placed] + radius[i])):
                break
        else:
            raise InputError(f"synthetic: {n} nuclei: expected fewer, smaller ones, or a larger volume; they do not fit")
        along[i], across[i], gap[i] = place, sideways, -1
    return along, across


def _draw_place(ganglion: tuple[float, ...], body_radius: FloatArray, rng: np.random.Generator) -> tuple[float, FloatArray]:
    _, start, stop, angle, spread = ganglion
    around = rng.uniform(0, 2 * np.pi) if np.isinf(spread) else rng.normal(angle, spread) * rng.choice([-1.0, 1.0])
    # the pharynx fills the middle: neurons lie around it; the body is wide at the ring and narrow at the nose
    place = rng.uniform(start, stop)
    outward = body_radius * np.sqrt(rng.uniform(0.12, 1.0)) * min(1.0, 0.55 + 1.5 * place)
    sideways: FloatArray = outward * np.array([np.cos(around), np.sin(around)])
    return place, sideways
