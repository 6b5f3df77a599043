"""Lay a deformable arrangement of neurons over the detections of one volume, without knowing who is who.

Every length is in units of the recording's median neighbour distance. Shapes: S starts tried side by side, K neurons,
n detections, m modes.

Reference:
    Myronenko & Song 2010 (coherent point drift) for soft correspondence by annealed EM;
    Gold et al. 1998 (softassign) for two-way normalisation with slack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]

N_ANGLES = 12
SLACK = 0.1
SWEEPS = 4
CERTAIN_PULL = 3.0
"""How many pairs of which nobody is sure weigh as much as one that is certain."""
RIGID_SIGMAS = tuple(np.geomspace(2.6, 0.9, 12))


@dataclass(frozen=True)
class Shape:
    """A deformable arrangement of K neurons: mean, modes of deformation, and how loosely each neuron keeps to them.

    Attributes:
        mean: (K, 3) positions at rest.
        modes: (m, K, 3) directions of deformation.
        variance: (m,) prior variance of the coefficient of each mode.
        residual: (K, 3) variance of a neuron about the deformed shape.
        occupancy: (K,) share of volumes in which a neuron is detected, in (0, 1].
    """

    mean: Float
    modes: Float
    variance: Float
    residual: Float
    occupancy: Float

    def __len__(self) -> int:
        return len(self.mean)

    def fit(self, weight: Float, target: Float, sigma: float) -> tuple[Float, Float]:
        """Deforms the shape towards targets, as far as the prior of its modes allows.

        Args:
            weight: (S, K) trust in each target.
            target: (S, K, 3) where each neuron seems to be.
            sigma: Spread added to that of every neuron.

        Returns:
            (S, K, 3) deformed shapes, and (S,) how unlikely each deformation is: -log prior, 0 at rest.
        """
        starts, m = len(weight), len(self.variance)
        if m == 0:
            return np.broadcast_to(self.mean, (starts, *self.mean.shape)).copy(), np.zeros(starts)
        modes = self.modes.reshape(m, -1)  # (m, 3K)
        trust = (weight[:, :, None] / (self.residual + sigma**2)).reshape(starts, 1, -1)  # (S, 1, 3K)
        weighted = modes * trust  # (S, m, 3K)
        normal = weighted @ modes.T + np.diag(1 / self.variance)  # (S, m, m)
        pull = weighted @ (target - self.mean).reshape(starts, -1, 1)  # (S, m, 1)
        coefficients = np.linalg.solve(normal, pull)[:, :, 0]  # (S, m)
        effort = 0.5 * (coefficients**2 / self.variance).sum(1)
        return self.mean + (coefficients @ modes).reshape(starts, -1, 3), effort


@dataclass(frozen=True)
class Alignment:
    """The shape laid over one volume.

    Attributes:
        points: (n, 3) detections, turned and shifted into the frame of the shape.
        fitted: (K, 3) the deformed shape in that frame.
        posterior: (K, n) how much each detection is each neuron; rows and columns sum to at most 1.
        score: Log evidence that the shape lies like this, against that all detections are unknown.
    """

    points: Float
    fitted: Float
    posterior: Float
    score: float


def soft_match(log_kernel: Float, slack: float = SLACK, sweeps: int = SWEEPS) -> Float:
    """Turns log likelihood ratios into a posterior whose rows and columns sum to at most one.

    Args:
        log_kernel: (..., K, n) log likelihood of each pair, relative to a perfect fit.
        slack: Likelihood of the outcomes "absent" and "unknown" on the same scale.
        sweeps: Rounds of normalising columns, then rows.

    Returns:
        (..., K, n) posterior.
    """
    kernel = np.exp(np.minimum(log_kernel, 30.0))
    rows = np.ones((*kernel.shape[:-1], 1), kernel.dtype)  # (..., K, 1)
    columns = np.ones((*kernel.shape[:-2], kernel.shape[-1], 1), kernel.dtype)  # (..., n, 1)
    transposed = np.swapaxes(kernel, -1, -2)
    for _ in range(sweeps):
        columns = 1 / (transposed @ rows + slack)
        rows = 1 / (kernel @ columns + slack)
    return np.asarray(kernel * rows * np.swapaxes(columns, -1, -2))


def log_likelihood(points: Float, fitted: Float, variance: Float) -> Float:
    """Returns -1/2 the squared Mahalanobis distance of every pair: (S, K, n) of points (S, n, 3), fitted (S, K, 3), variance (K, 3)."""
    precision = (1 / variance).astype(np.float32)  # (K, 3)
    x, y = points.astype(np.float32), fitted.astype(np.float32)
    linear = np.swapaxes(x, 1, 2)  # (S, 3, n)
    square = precision @ (linear * linear)  # (S, K, n)
    cross = (precision * y) @ linear  # (S, K, n)
    own = (precision * y * y).sum(-1, keepdims=True)  # (S, K, 1)
    return np.asarray(np.minimum(cross - 0.5 * (square + own), 0))


def align(
    points: Float,
    shape: Shape,
    log_appearance: Float | None = None,
    *,
    sigmas: tuple[float, ...] | NDArray[np.float64],
    keep: int = 2,
    certain: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Alignment:
    """Lays a shape over the detections of a volume, from N_ANGLES starting turns in the plane.

    Args:
        points: (n, 3) detections z, y, x about their mean; n >= 1.
        shape: K >= 1 neurons.
        log_appearance: (K, n) log likelihood ratio of looking alike, or nothing known.
        sigmas: Spread of each EM step, falling.
        keep: How many of the starts are followed to the end.
        certain: (P,) neurons and (P,) detections that log_appearance fixes to each other: they pull harder than others.

    Returns:
        The best of them.
    """
    looks = np.zeros((1, 1), np.float32) if log_appearance is None else log_appearance.astype(np.float32)
    prior = (looks + np.log(shape.occupancy / np.median(shape.occupancy)).astype(np.float32)[:, None])[None]  # (1, K, n | 1)
    started = rigid_starts(points, shape.mean, prior, keep, None if certain is None else certain[1])  # (S, n, 3)
    fitted: Float = np.broadcast_to(shape.mean, (len(started), *shape.mean.shape))
    posterior: Float = np.zeros(0)
    log_kernel: Float = posterior
    effort: Float = np.zeros(len(started))
    for step, sigma in enumerate(sigmas):
        variance = shape.residual + sigma**2  # (K, 3)
        # A loosely kept neuron is a flatter density, not one that wins everywhere.
        flat = 0.5 * np.log(variance).sum(1)
        log_kernel = log_likelihood(started, fitted, variance) + prior + (np.median(flat) - flat).astype(np.float32)[:, None]
        posterior = soft_match(log_kernel)
        if step + 1 < len(sigmas):
            weight = posterior.sum(2).astype(np.float64)  # (S, K)
            target = (posterior @ started.astype(np.float32)) / np.maximum(weight, 1e-9)[:, :, None]
            if certain is not None:
                weight[:, certain[0]] *= CERTAIN_PULL
            fitted, effort = shape.fit(weight, target, float(sigma))
    # How well the detections are explained, less what it took to bend the shape there: a turned body may fit, but only with force.
    evidence = (posterior * (log_kernel - np.log(SLACK))).sum((1, 2)) - effort
    best = int(np.argmax(evidence))
    return Alignment(started[best], fitted[best], posterior[best], float(evidence[best]))


def rigid_starts(points: Float, mean: Float, prior: Float, keep: int, certain: NDArray[np.int64] | None = None) -> Float:
    """Turns detections in the plane and shifts them onto a mean shape, by EM from N_ANGLES turns; returns the keep best: (S, n, 3).

    Detections whose neuron is certain pull harder than others.
    """
    angles: Float = np.arange(N_ANGLES) * (2 * np.pi / N_ANGLES)
    centre = mean.mean(0)
    model = mean - centre  # (K, 3)
    moved = _turned(np.broadcast_to(points, (N_ANGLES, *points.shape)), angles)  # (A, n, 3)
    posterior: Float = np.zeros(0)
    for sigma in RIGID_SIGMAS:
        variance = np.full((len(mean), 3), sigma**2)
        posterior = soft_match(log_likelihood(moved, model[None], variance) + prior, sweeps=2)  # (A, K, n)
        weight = posterior.sum(1)[..., None].astype(np.float64)  # (A, n, 1)
        target = np.swapaxes(posterior, 1, 2) @ model.astype(np.float32) / np.maximum(weight, 1e-9)  # (A, n, 3)
        if certain is not None:
            weight[:, certain] *= CERTAIN_PULL
        total = np.maximum(weight.sum(1, keepdims=True), 1e-9)
        middle, aim = (weight * points).sum(1, keepdims=True) / total, (weight * target).sum(1, keepdims=True) / total
        a, b = points[None] - middle, weight * (target - aim)
        # Least squares turn in the (y, x) plane.
        angles = np.arctan2((a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]).sum(1), (a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]).sum(1))
        moved = _turned(a, angles) + aim
    mass = posterior.sum((1, 2))
    chosen: list[int] = []
    for start in np.argsort(-mass, kind="stable"):
        # Starts that slid into the same turn are one start.
        if all(abs(np.angle(np.exp(1j * (angles[start] - angles[other])))) > 0.2 for other in chosen):
            chosen.append(int(start))
        if len(chosen) == keep:
            break
    return np.asarray(moved[chosen] + centre)


def _turned(points: Float, angles: Float) -> Float:
    """Returns points (A, n, 3), each set turned in the (y, x) plane by its own angle."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    z, y, x = np.moveaxis(points, -1, 0)
    return np.stack([z, cos * y - sin * x, sin * y + cos * x], axis=-1)
