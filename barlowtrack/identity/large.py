"""Lay a shape of thousands of neurons over thousands of detections, in time and memory that grow with their number and not with its square.

As align, with three shortcuts: turns are tried on a sample, a neuron is compared with its nearest detections alone, and a neuron that has
hardly moved keeps those. Lengths in units of the recording's median neighbour distance; K neurons, n detections, C candidates.

Reference:
    Bentley 1975 (k-d trees); Gold et al. 1998 (softassign); Kabsch 1976 (best rotation).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from barlowtrack.identity.pairs import Pairs, soft_match_pairs
from barlowtrack.identity.registration import SWEEPS, Alignment, Shape, rigid_starts

Float = NDArray[np.floating[Any]]
Int = NDArray[np.int64]
Looks = Callable[[Int, Int], Float]
"""Log likelihood ratio (R, C) of looking alike of neurons (R,) and their candidates (R, C)."""

WIDE, NARROW = 32, 16
"""Candidates of a neuron while its place is known to within more than NARROW_SIGMA, and after."""
NARROW_SIGMA = 0.7
SLACK = 0.1
COARSE_STARTS = 4
FINE_SAMPLE = 300
FINE_CANDIDATES = 32
FINE_SIGMAS = tuple(np.geomspace(2.6, 0.5, 6))
FINE_STEPS = 2
AS_GOOD = 0.8
SAME_START = 0.5
"""Neighbour distances, on average, that two starts lie apart which are one and the same."""
NEAR = 32
FIELD_WIDTH = 1.5


def align_large(
    points: Float, shape: Shape, looks: Looks | None = None, *, sigmas: tuple[float, ...] | NDArray[np.float64], keep: int = 2
) -> Alignment:
    """Lays a shape over the detections of a volume, see align; its posterior is one of pairs.

    Args:
        points: (n, 3) detections z, y, x about their mean; n >= 1.
        shape: K >= 1 neurons.
        looks: How alike neurons and their candidates look, or nothing known.
        sigmas: Spread of each EM step, falling.
        keep: How many of the starts are followed to the end, at most; those that explain a sample much worse are not.

    Returns:
        The best of them.
    """
    prior = np.log(shape.occupancy / np.median(shape.occupancy)).astype(np.float32)  # (K,)
    found = [_follow(start, shape, prior, looks, sigmas) for start in sampled_starts(points, shape, prior, looks, keep)]
    return max(found, key=lambda alignment: alignment.score)


def sampled_starts(points: Float, shape: Shape, prior: Float, looks: Looks | None, keep: int) -> list[Float]:
    """Turns and shifts detections onto a mean shape, going by samples of both: returns up to keep starts (n, 3), the likeliest first."""
    most = coarse_sample(len(shape))
    some, neurons = scattered(points, most), scattered(shape.mean, most)
    # What is left of both lies as many times further apart, and is brought together as loosely.
    thinned = np.cbrt(len(shape) / len(neurons))
    coarse = rigid_starts(points[some] / thinned, shape.mean[neurons] / thinned, prior[None, neurons, None], COARSE_STARTS)
    motions = [rigid_motion(points[some], start * thinned, np.ones(len(some))) for start in coarse]
    motions.append((np.eye(3), shape.mean.mean(0)))  # most tissue does not turn at all
    sample = scattered(points, FINE_SAMPLE)
    tree = cKDTree(shape.mean)
    refined = [_refine(points, sample, motion, tree, prior, looks) for motion in motions]
    chosen: list[Float] = []
    best = max(evidence for _, evidence in refined)
    for moved, evidence in sorted(refined, key=lambda start: -start[1]):
        new = all(np.abs(moved - other).mean() > SAME_START for other in chosen)
        if new and len(chosen) < keep and evidence >= AS_GOOD * best:
            chosen.append(moved)
    return chosen


def coarse_sample(n_neurons: int) -> int:
    """Returns how many neurons and detections tell the turn: more of a larger body, since the details that tell it are smaller there."""
    return max(200, int(20 * np.cbrt(n_neurons)))


def rigid_motion(points: Float, target: Float, weight: Float) -> tuple[Float, Float]:
    """Returns rotation R (3, 3) and shift (3,) such that points R^T + shift lie closest to their targets (n, 3); weight (n,)."""
    total = max(weight.sum(), 1e-9)
    middle, aim = weight @ points / total, weight @ target / total
    u, _, vt = np.linalg.svd((target - aim).T @ (weight[:, None] * (points - middle)))
    u[:, 2] *= np.sign(np.linalg.det(u @ vt))  # a rotation, never a mirror image
    rotation = u @ vt
    return rotation, aim - rotation @ middle


def scattered(points: Float, most: int) -> Int:
    """Returns up to so many rows of points (n, 3), spread over them without regard to their order: a choice by their content."""
    if len(points) <= most:
        return np.arange(len(points))
    z, y, x = points.T
    mixed = (np.sin(12.9898 * z + 78.233 * y + 37.719 * x) * 43758.5453) % 1.0
    return np.sort(np.argsort(mixed, kind="stable")[:most])


def nearby_mean(at: Float, places: Float, values: Float) -> Float:
    """Returns values (K, 3) known at places (K, 3), averaged over those near each of at (n, 3), the nearest most."""
    distance, index = _nearest(cKDTree(places), at, NEAR)
    weight = np.exp(-0.5 * (distance**2 - distance[:, :1] ** 2) / FIELD_WIDTH**2)
    return np.asarray((weight[:, :, None] * values[index]).sum(1) / weight.sum(1, keepdims=True))


def match_by_looks(score: Callable[[Int], Float], n_neurons: int, n_detections: int, slack: float = SLACK) -> Pairs:
    """Posterior by looks alone, of the WIDE likeliest detections of each neuron; memory grows with their number, time with all pairs.

    Args:
        score: Log likelihood ratios (R, n) of neurons (R,).
        n_neurons: K.
        n_detections: n.
        slack: As in soft_match.
    """
    c = min(WIDE, n_detections)
    candidates, ratio = np.zeros((n_neurons, c), int), np.zeros((n_neurons, c), np.float32)
    for start in range(0, n_neurons, 256):
        rows = np.arange(start, min(start + 256, n_neurons))
        every = score(rows)
        candidates[rows] = np.argpartition(-every, c - 1, axis=1)[:, :c]
        ratio[rows] = np.take_along_axis(every, candidates[rows], axis=1)
    mass = soft_match_pairs(ratio - np.log(max(n_neurons, n_detections)), candidates, n_detections, slack, SWEEPS)
    return Pairs.of(candidates, mass, n_detections)


class _Candidates:
    """The nearest detections of every neuron, asked for again where a neuron has moved so far that they may be others."""

    def __init__(self, points: Float, looks: Looks | None):
        self.tree = cKDTree(points)
        self.looks = looks
        self.width = 0

    def update(self, fitted: Float, sigma: float, spread: float) -> None:
        """Looks for candidates of neurons at fitted (K, 3), of which those within about three times the spread matter."""
        width = min(WIDE if sigma > NARROW_SIGMA else NARROW, self.tree.n)
        if width != self.width:
            self.width = width
            self.asked_at = fitted.copy()
            self.distance, self.index = _nearest(self.tree, fitted, width)
            self.ratio = None if self.looks is None else self.looks(np.arange(len(fitted)), self.index)
            return
        moved = np.sqrt(((fitted - self.asked_at) ** 2).sum(1))
        stale = np.flatnonzero(moved > np.maximum(self.distance[:, -1] - 3 * spread, 0.3 * spread))
        if len(stale):
            self.asked_at[stale] = fitted[stale]
            self.distance[stale], self.index[stale] = _nearest(self.tree, fitted[stale], width)
            if self.ratio is not None and self.looks is not None:
                self.ratio[stale] = self.looks(stale, self.index[stale])


def _follow(points: Float, shape: Shape, prior: Float, looks: Looks | None, sigmas: tuple[float, ...] | NDArray[np.float64]) -> Alignment:
    """Bends the shape onto points (n, 3) that have been turned and shifted already."""
    near = _Candidates(points, looks)
    single = points.astype(np.float32)
    fitted: Float = shape.mean
    modes = shape.modes.reshape(len(shape.modes), -1).astype(np.float32)  # (m, 3K)
    effort = 0.0
    mass = log_kernel = np.zeros((0, 0), np.float32)
    for step, sigma in enumerate(sigmas):
        variance = shape.residual + sigma**2  # (K, 3)
        near.update(fitted, float(sigma), float(np.sqrt(np.median(variance))))
        found = single[near.index]  # (K, C, 3)
        apart = found - fitted[:, None].astype(np.float32)
        log_kernel = np.einsum("kci,kci,ki->kc", apart, apart, (-0.5 / variance).astype(np.float32))
        # A loosely kept neuron is a flatter density, not one that wins everywhere.
        flat = 0.5 * np.log(variance).sum(1)
        log_kernel += (prior + np.median(flat) - flat).astype(np.float32)[:, None]
        if near.ratio is not None:
            log_kernel += near.ratio
        mass = soft_match_pairs(log_kernel, near.index, len(points), SLACK, SWEEPS)
        if step + 1 < len(sigmas):
            weight = mass.sum(1).astype(np.float64)
            target = np.einsum("kc,kci->ki", mass, found) / np.maximum(weight, 1e-9)[:, None]
            fitted, effort = _bent(shape, modes, (weight[:, None] / variance).ravel(), (target - shape.mean).ravel())
    evidence = float((mass * (log_kernel - np.log(SLACK))).sum() - effort)
    return Alignment(points, fitted, Pairs.of(near.index, mass, len(points)), evidence)


def _bent(shape: Shape, modes: Float, trust: Float, pull: Float) -> tuple[Float, float]:
    """As Shape.fit for a single start, in single precision: modes (m, 3K), trust in every target (3K,), its distance from rest (3K,)."""
    if len(modes) == 0:
        return shape.mean, 0.0
    weighted = modes * trust.astype(np.float32)
    normal = (weighted @ modes.T).astype(np.float64) + np.diag(1 / shape.variance)
    coefficients = np.linalg.solve(normal, (weighted @ pull.astype(np.float32)).astype(np.float64))
    effort = float(0.5 * (coefficients**2 / shape.variance).sum())
    return shape.mean + (coefficients.astype(np.float32) @ modes).reshape(-1, 3), effort


def _refine(
    points: Float, sample: Int, motion: tuple[Float, Float], tree: cKDTree, prior: Float, looks: Looks | None
) -> tuple[Float, float]:
    """Rigid EM of a sample of detections among all neurons: returns all points (n, 3) moved, and the evidence for it."""
    rotation, shift = motion
    neurons = np.asarray(tree.data, np.float64)
    some = points[sample]
    evidence = 0.0
    for sigma in FINE_SIGMAS:
        _, index = _nearest(tree, some @ rotation.T + shift, FINE_CANDIDATES)
        known = prior[index]
        if looks is not None:
            known = known + looks(index.ravel(), np.repeat(sample, index.shape[1])[:, None]).reshape(index.shape)
        for _ in range(FINE_STEPS):
            distance = ((neurons[index] - (some @ rotation.T + shift)[:, None]) ** 2).sum(2)
            log_kernel = known - 0.5 * distance / sigma**2
            kernel = np.exp(np.minimum(log_kernel, 30.0))
            posterior = kernel / (kernel.sum(1, keepdims=True) + SLACK)
            weight = posterior.sum(1)
            target = np.einsum("nc,nci->ni", posterior, neurons[index]) / np.maximum(weight, 1e-9)[:, None]
            rotation, shift = rigid_motion(some, target, weight)
            evidence = float((posterior * (log_kernel - np.log(SLACK))).sum())
    return points @ rotation.T + shift, evidence


def _nearest(tree: cKDTree, at: Float, most: int) -> tuple[Float, Int]:
    """Distances and rows (n, C) of the nearest in a tree, C <= most of them, nearest first."""
    c = min(most, tree.n)
    distance, index = tree.query(at, np.arange(1, c + 1))
    return np.asarray(distance), np.asarray(index)
