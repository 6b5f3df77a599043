"""Which neuron of one animal is which of another: two arrangements at rest, laid over each other, with abstention.

Animals differ: in how far each neuron lies from its place, in which neurons are seen, in unit and posture, and in the side they lie on.
How far a match is to be believed is learned from pairs that are made for the purpose, from one of the two: disturbed ever more, up to
arrangements that have nothing in common with it.

Reference:
    Myronenko & Song 2010 for the registration; Elias & Gygi 2007 (targets and decoys), Platt 1999 for the probability.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from barlowtrack.data import UNKNOWN, Progress, silent
from barlowtrack.errors import InputError
from barlowtrack.identity.appearance import fit_logistic
from barlowtrack.identity.assign import assign
from barlowtrack.identity.atlas import smooth_shape
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.pairs import Pairs
from barlowtrack.identity.registration import Alignment, Shape, align
from barlowtrack.identity.solve import WARP_SIGMAS

Float = NDArray[np.floating[Any]]

ROLLS = np.arange(8) * (2 * np.pi / 8)
"""About the long axis: animals lie on either side, and in between. A body that is turned is still itself; a mirrored one is not."""
LEAST_NEURONS = 6
"""Fewer make no arrangement that could be told from another."""
VARIATION = np.repeat((0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0, 1.3, 1.7, 2.2), 2)
"""Of the pairs that are made: how far a neuron lies from where it should, along each axis a share of sqrt(1/3), in neighbour distances."""
DECOYS = 4
STRANGE = 0.05
"""How likely it is, before anything was compared, that the two have nothing in common."""
SCRAMBLED = 1.0
"""Along each axis, in neighbour distances: then places say nothing any more."""
OUTLINE = 0.7
GAP = 0.6
"""Strangers have the same outline, and neighbours about as far from each other: else it would be too easy to tell that they are none."""
TRIES = 24
MISSING = 0.25
"""At most, of the neurons of a pair that is made."""
BENT = 0.5
"""Of the spread that smooth bending is granted: how far the pairs that are made are bent."""


@dataclass(frozen=True)
class AtlasMatch:
    """Which entries of two atlases are the same neuron.

    Attributes:
        entry: (K of the first,) entry of the second that each is most likely to be, or UNKNOWN; none twice.
        probability: (K of the first,) that it is; 0 where it is unknown.
    """

    entry: NDArray[np.int64]
    probability: Float

    def believed(self, min_probability: float) -> NDArray[np.int64]:
        """Returns entry, UNKNOWN where it is less sure than that."""
        return np.where(self.probability >= min_probability, self.entry, UNKNOWN)


def match_atlases(a: Learned, b: Learned, *, seed: int = 0, progress: Progress = silent) -> AtlasMatch:
    """Finds the entries of b that the entries of a are, from where neurons lie at rest.

    Looks are not compared: encoders are adapted to a recording each, and what neurons express differs from animal to animal.

    Args:
        a: Of one animal; units may differ, and any turn that a body can make, but not its mirror image.
        b: Of another.
        seed: Of the pairs that are made to learn from.
        progress: Told after every pair.

    Raises:
        InputError: an atlas that was learned from looks alone.
    """
    for name, learned in (("first", a), ("second", b)):
        if learned.atlas.shape is None and learned.atlas.n_neurons:
            raise InputError(f"across: the {name} atlas was learned from looks alone: it has no arrangement to compare")
    if a.atlas.shape is None or b.atlas.shape is None or min(len(a.atlas.shape), len(b.atlas.shape)) < LEAST_NEURONS:
        return AtlasMatch(np.full(a.atlas.n_neurons, UNKNOWN), np.zeros(a.atlas.n_neurons))
    target = smooth_shape(b.atlas.shape.mean, b.atlas.shape.occupancy)
    total = len(VARIATION) + DECOYS + 1
    progress(0, total)
    found = _laid(a.atlas.shape.mean, a.atlas.shape.occupancy, target)
    entry = assign(found.posterior)
    examples, right, weight = [], [], []
    for done, (pair, same) in enumerate(_made(target, len(a.atlas.shape), np.random.default_rng(seed))):
        progress(done + 1, total)
        who = assign(pair.posterior)
        known = who >= 0
        examples.append(_evidence(pair, who)[known])
        right.append((who == same)[known])
        share = (1 - STRANGE) / len(VARIATION) if done < len(VARIATION) else STRANGE / DECOYS
        weight.append(np.full(known.sum(), share / max(known.sum(), 1)))
    known = entry >= 0
    probability = np.zeros(len(entry))
    probability[known] = _believed(_evidence(found, entry)[known], np.concatenate(examples), np.concatenate(right), np.concatenate(weight))
    progress(total, total)
    return AtlasMatch(entry, probability)


def _laid(points: Float, occupancy: Float, target: Shape, rolls: Float = ROLLS) -> Alignment:
    """Lays the target over points (n, 3), on whichever side they lie and however they are turned."""
    points = points - points.mean(0)
    prior = np.broadcast_to(np.log(occupancy / np.median(occupancy)), (len(target), len(points)))
    rolled = [_rolled(points, angle) for angle in rolls]
    if len(rolled) > 1:
        rolled = [max(rolled, key=lambda p: align(p, target, prior, sigmas=WARP_SIGMAS[::2], keep=1).score)]
    return align(rolled[0], target, prior, sigmas=WARP_SIGMAS)


def _rolled(points: Float, angle: float) -> Float:
    """Turns points (n, 3) about their long axis in the plane."""
    _, axes = np.linalg.eigh(np.cov(points[:, 1:].T))
    _, y, x = axis = np.array([0.0, *axes[:, -1]])
    cross = np.array([[0, -x, y], [x, 0, 0], [-y, 0, 0]])
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)
    return np.asarray(points @ turn.T)


def _made(target: Shape, n: int, rng: np.random.Generator) -> Iterator[tuple[Alignment, NDArray[np.int64]]]:
    """Yields the target laid over arrangements made of it, and who is who in them, UNKNOWN for those that are made up.

    Args:
        target: K neurons.
        n: How many the arrangements should have, where that is possible.
        rng: Of everything random.
    """
    for variation in VARIATION:
        points, same = _cousin(target, n, float(variation) / np.sqrt(3), rng)
        yield _laid(points, np.ones(len(points)), target, rolls=ROLLS[:1]), same
    for _ in range(DECOYS):
        points = _stranger(target.mean, n, rng)
        yield _laid(points, np.ones(n), target), np.full(n, UNKNOWN - 1)


def _cousin(target: Shape, n: int, variation: float, rng: np.random.Generator) -> tuple[Float, NDArray[np.int64]]:
    """Another animal of the same kind: (m, 3) places, and (m,) who is there; UNKNOWN - 1: somebody whom the target does not have."""
    k = len(target)
    bend = BENT * rng.normal(size=len(target.variance)) * np.sqrt(target.variance)
    places = target.mean + np.tensordot(bend, target.modes, 1) + rng.normal(0, variation, (k, 3))
    left = min(round(k * (1 - rng.uniform(0, MISSING))), n)
    there = rng.choice(k, max(left, LEAST_NEURONS), replace=False)
    n_extra = max(n - len(there), 0)
    extra = places[rng.integers(0, k, n_extra)] + rng.normal(0, 1.5, (n_extra, 3))
    return np.concatenate([places[there], extra]), np.concatenate([there, np.full(n_extra, UNKNOWN - 1)])


def _stranger(places: Float, n: int, rng: np.random.Generator) -> Float:
    """Places (n, 3) in the same body, and no nearer to each other, that have nothing to do with those given (K, 3)."""
    tree = cKDTree(places)
    placed = np.full((n, 3), np.inf)
    for i in range(n):
        tried = places[rng.integers(0, len(places), TRIES)] + rng.normal(0, SCRAMBLED, (TRIES, 3))
        outside = np.maximum(tree.query(tried)[0] - OUTLINE, 0)
        gap = np.sqrt(((tried[:, None] - placed[None, : max(i, 1)]) ** 2).sum(-1)).min(1)
        placed[i] = tried[np.argmax(np.minimum(gap, GAP) - outside)]
    return placed


def _evidence(found: Alignment, entry: NDArray[np.int64]) -> Float:
    """Returns (n, 5) what speaks for each match: its own posterior, and how well the two arrangements fit as a whole."""
    n = len(entry)
    mass = found.posterior
    own = mass.trust(np.maximum(entry, 0)) if isinstance(mass, Pairs) else mass[np.maximum(entry, 0), np.arange(n)]
    own = np.clip(own.astype(np.float64), 1e-3, 1 - 1e-3)
    odds = np.log(own / (1 - own))
    fit = np.full(n, found.score / min(mass.shape))
    return np.stack([odds, fit, fit**2, odds * fit, np.ones(n)], axis=1)


def _believed(evidence: Float, examples: Float, right: NDArray[np.bool_], weight: Float) -> Float:
    """Probability (n,) of matches with evidence (n, 5), by examples (M, 5) that were right or not (M,) and weigh that much (M,)."""
    # An arrangement that fits better than any example is as good as the best of them, and no better.
    fit = np.clip(evidence[:, 1], examples[:, 1].min(), examples[:, 1].max())
    odds = evidence[:, 0]
    evidence = np.stack([odds, fit, fit**2, odds * fit, np.ones(len(odds))], axis=1)
    beta = fit_logistic(examples, right, weight)
    return np.asarray(1 / (1 + np.exp(-np.clip(evidence @ beta, -30, 30))))
