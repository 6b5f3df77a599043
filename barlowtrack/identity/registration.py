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

from barlowtrack.identity.pairs import Pairs

Float = NDArray[np.floating[Any]]

N_ANGLES = 12
SLACK = 0.1
SWEEPS = 4
EXPECTED = 0.1
"""Odds of a neuron's being there, where they count, are raised by 1 / this: else who is missed once is missed ever more."""
CERTAIN_PULL = 3.0
"""How many pairs of which nobody is sure weigh as much as one that is certain."""
RIGID_SIGMAS = tuple(np.geomspace(2.6, 0.9, 9))
ROLL_SIGMAS = tuple(np.geomspace(1.6, 0.9, 4))
"""Of the steps in which the best starts may turn any way, not in the plane only."""
FOLLOWED = 4
"""Starts that are tried turning any way. In the plane all of them go on: while the shape is a poor one, the right turn wins late."""
ROLLED = 0.2
"""Turns that differ by less than this angle, rad, are one."""
MOST_ROLL = 0.5
"""Cosine of the steepest roll that is tried."""
ALONE_SIGMA = 0.7
"""From here on only the best start is followed."""
LEAST_TURN = 1e-6
"""Weight of not turning at all, beside what detections say: it decides what they leave open, above the rounding of single precision."""


@dataclass(frozen=True)
class Shape:
    """A deformable arrangement of K neurons: mean, modes of deformation, and how loosely each neuron keeps to them.

    Attributes:
        mean: (K, 3) positions at rest.
        modes: (m, K, 3) directions of deformation.
        variance: (m,) prior variance of the coefficient of each mode.
        residual: (K, 3) variance of a neuron about the deformed shape.
        occupancy: (K,) share of volumes in which a neuron is detected, in (0, 1).
        settled: Whether the odds of being there are to be believed: while neurons still come and go, they would confirm mistakes.
    """

    mean: Float
    modes: Float
    variance: Float
    residual: Float
    occupancy: Float
    settled: bool = False

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
        posterior: (K, n) how much each detection is each neuron; rows and columns sum to at most 1. Pairs in a large volume.
        score: Log evidence that the shape lies like this, against that all detections are unknown.
        evidence: (K, n) log evidence that each detection is each neuron, against that it is unknown and the neuron absent; None where
            nobody needs it any more.
    """

    points: Float
    fitted: Float
    posterior: Float | Pairs
    score: float
    evidence: Float | None = None


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


def log_prior(shape: Shape, log_appearance: Float | None) -> Float:
    """Returns all that is known about pairs before their places are looked at, (K, n) or (K, 1): the one place where it enters.

    A neuron that is nearly always there costs a lot where it is left out: so in a settled atlas its odds of being there count, not the
    chance alone. Of two neurons so close that they are told apart only when both are there, the lonely one is then the one that is
    always there.

    Args:
        shape: K neurons.
        log_appearance: (K, n) log likelihood ratio of looking alike, or nothing known.
    """
    common = EXPECTED * (1 - shape.occupancy) if shape.settled else np.median(shape.occupancy)
    there = np.log(shape.occupancy / common).astype(np.float32)[:, None]
    return there if log_appearance is None else np.asarray(log_appearance.astype(np.float32) + there)


def align(
    points: Float,
    shape: Shape,
    log_appearance: Float | None = None,
    *,
    sigmas: tuple[float, ...] | NDArray[np.float64],
    keep: int = 3,
    start: Alignment | None = None,
    certain: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Alignment:
    """Lays a shape over the detections of a volume, from N_ANGLES starting turns in the plane.

    Args:
        points: (n, 3) detections z, y, x about their mean; n >= 1.
        shape: K >= 1 neurons.
        log_appearance: (K, n) log likelihood ratio of looking alike, or nothing known.
        sigmas: Spread of each EM step, falling.
        keep: How many of the starts are followed until sigmas fall to ALONE_SIGMA.
        start: How these neurons lay over this volume before: the only start, where given.
        certain: (P,) neurons and (P,) detections that log_appearance fixes to each other: they pull harder than others.

    Returns:
        The best of them.
    """
    prior = log_prior(shape, log_appearance)[None]  # (1, K, n | 1)
    if start is None:
        started = rigid_starts(points, shape.mean, prior, keep, None if certain is None else certain[1]).astype(np.float32)  # (S, n, 3)
        fitted: Float = np.broadcast_to(shape.mean, (len(started), *shape.mean.shape))
    else:
        middle, turn, aim = rigid_motion(start.fitted, shape.mean)
        started = ((start.points - middle) @ turn + aim).astype(np.float32)[None]
        fitted = ((start.fitted - middle) @ turn + aim)[None]
    effort: Float = np.zeros(len(started))
    for step, sigma in enumerate(sigmas):
        variance = shape.residual + sigma**2  # (K, 3)
        # A loosely kept neuron is a flatter density, not one that wins everywhere.
        flat = 0.5 * np.log(variance).sum(1)
        log_kernel = log_likelihood(started, fitted, variance) + (prior + (np.median(flat) - flat).astype(np.float32)[:, None])
        posterior = soft_match(log_kernel)
        last = step + 1 == len(sigmas)
        if last or (len(started) > 1 and sigma < ALONE_SIGMA):
            # How well the detections are explained, less what it took to bend the shape there: a turned body may fit, but only with force.
            score = (posterior * (log_kernel - np.log(SLACK))).sum((1, 2)) - effort
            best = int(np.argmax(score))
            if last:
                evidence = log_kernel[best] - np.float32(np.log(SLACK))
                return Alignment(started[best], fitted[best], posterior[best], float(score[best]), evidence)
            started, fitted, posterior = started[best : best + 1], fitted[best : best + 1], posterior[best : best + 1]
        weight = posterior.sum(2).astype(np.float64)  # (S, K)
        target = (posterior @ started) / np.maximum(weight, 1e-9)[:, :, None]
        if certain is not None:
            weight[:, certain[0]] *= CERTAIN_PULL
        fitted, effort = shape.fit(weight, target, float(sigma))
    raise ValueError("align needs at least one sigma")


def rigid_starts(points: Float, mean: Float, prior: Float, keep: int, certain: NDArray[np.int64] | None = None) -> Float:
    """Turns and shifts detections onto a mean shape, by EM from N_ANGLES turns in the plane; certain detections pull harder.

    Returns:
        (S, n, 3): the keep best of those turned in the plane only, and the best of those turned any way, if it is another one: a worm may
        have rolled, but where it has not, a tilt is an easy way to fit badly.
    """
    centre = mean.mean(0)
    turns = _in_plane(np.arange(N_ANGLES) * (2 * np.pi / N_ANGLES))
    moved: Float = points @ turns  # (A, n, 3)
    mass: Float = np.zeros(0)
    pull = np.ones(len(points))
    if certain is not None:
        pull[certain] = CERTAIN_PULL
    for sigma in RIGID_SIGMAS:
        moved, turns, mass = _rigid_step(points, moved, mean - centre, prior, sigma, pull, free=False)
    flat = _distinct(turns, mass, [], keep)
    rolled = moved[_distinct(turns, mass, [], FOLLOWED)]
    others = [turns[start] for start in flat]
    started = [moved[flat]]
    for sigma in ROLL_SIGMAS:
        rolled, turns, mass = _rigid_step(points, rolled, mean - centre, prior, sigma, pull, free=True)
    # Turned over, a flat worm is its own mirror image.
    upright = np.flatnonzero(turns[:, 0, 0] > MOST_ROLL)
    started.append(rolled[upright[_distinct(turns[upright], mass[upright], others, 1)]])
    return np.asarray(np.concatenate(started) + centre)


def _rigid_step(
    points: Float, moved: Float, model: Float, prior: Float, sigma: float, pull: Float, *, free: bool
) -> tuple[Float, Float, Float]:
    """One step of EM from turned detections moved (A, n, 3), which pull (n,), towards a centred model (K, 3); free: to turn any way.

    Returns:
        (A, n, 3) detections, (A, 3, 3) their turns, (A,) the mass of the posterior beforehand.
    """
    posterior = soft_match(log_likelihood(moved, model[None], np.full(model.shape, sigma**2)) + prior, sweeps=2)  # (A, K, n)
    weight = posterior.sum(1)[..., None].astype(np.float64)  # (A, n, 1)
    target = np.swapaxes(posterior, 1, 2) @ model.astype(np.float32) / np.maximum(weight, 1e-9)  # (A, n, 3)
    weight = weight * pull[:, None]
    total = np.maximum(weight.sum(1, keepdims=True), 1e-9)
    middle, aim = (weight * points).sum(1, keepdims=True) / total, (weight * target).sum(1, keepdims=True) / total
    a, b = points[None] - middle, weight * (target - aim)
    across = np.swapaxes(a, 1, 2) @ b  # (A, 3, 3)
    turns = _in_space(across) if free else _in_plane(_angle(across))
    return a @ turns + aim, turns, posterior.sum((1, 2))


def _distinct(turns: Float, mass: Float, others: list[Float], most: int) -> list[int]:
    """The starts with most mass that did not slid into the same turn as another one."""
    chosen: list[int] = []
    taken = list(others)
    for start in np.argsort(-mass, kind="stable"):
        if all(np.trace(turns[start].T @ other) < 1 + 2 * np.cos(ROLLED) for other in taken):
            chosen.append(int(start))
            taken.append(turns[start])
        if len(chosen) == most:
            break
    return chosen


def rigid_motion(points: Float, aim: Float) -> tuple[Float, Float, Float]:
    """Returns middle (3,), turn (3, 3) and aim (3,) such that (points - middle) @ turn + aim is nearest to aim: both (..., K, 3)."""
    middle, centre = points.mean(-2, keepdims=True), aim.mean(-2, keepdims=True)
    return middle, _in_space(np.swapaxes(points - middle, -1, -2) @ (aim - centre)), centre


def laid_back(alignment: Alignment, points: Float) -> Float:
    """Returns where the fitted shape (K, 3) lies among the detections (n, 3) as they were before they were turned into its frame.

    A turn that so few detections leave open, or such flat ones, is the least one.
    """
    middle, aim = alignment.points.mean(0), points.mean(0)
    across = (alignment.points - middle).astype(np.float64).T @ (points - aim)
    turn = _in_space(across + LEAST_TURN * np.linalg.norm(across) * np.eye(3))
    return np.asarray((alignment.fitted - middle) @ turn + aim)


def _angle(across: Float) -> Float:
    """The angle (A,) of the least-squares turn in the (y, x) plane, of cross moments (A, 3, 3)."""
    return np.arctan2(across[:, 1, 2] - across[:, 2, 1], across[:, 1, 1] + across[:, 2, 2])


def _in_plane(angles: Float) -> Float:
    """Turns (A, 3, 3) in the (y, x) plane, to be multiplied from the right."""
    turns = np.zeros((len(angles), 3, 3))
    turns[:, 0, 0] = 1
    turns[:, 1, 1] = turns[:, 2, 2] = np.cos(angles)
    turns[:, 1, 2], turns[:, 2, 1] = np.sin(angles), -np.sin(angles)
    return turns


def _in_space(across: Float) -> Float:
    """The least-squares turns (..., 3, 3) of cross moments (..., 3, 3), without mirroring (Kabsch 1976)."""
    u, _, v = np.linalg.svd(across)
    u[..., :, 2] *= np.sign(np.linalg.det(u @ v))[..., None]
    return np.asarray(u @ v)
