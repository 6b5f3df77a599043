"""The named catalogue: small situations with known truth that every tracker and metric runs on. A bug becomes a case.

Every case is a function of a seed that returns (Detections, Embeddings or None, Truth). Lengths in um; neighbours lie about 4 um apart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import Corrections, Detections, Embeddings, Progress, Tracks, Truth, VolumeLooks, silent
from barlowtrack.stages.identify import identify
from barlowtrack.stages.track import track

Case = tuple[Detections, Embeddings | None, Truth]

SPACING_UM = 4.0


def arrangement(k: int, rng: np.random.Generator) -> np.ndarray:
    """(k, 3) neurons of a slender body along x, none closer than 60 % of the spacing."""
    length, radius = SPACING_UM * k / 5, 1.3 * SPACING_UM
    placed: list[np.ndarray] = []
    while len(placed) < k:
        place = np.array([rng.uniform(-0.6, 0.6) * radius, rng.uniform(-1, 1) * radius, rng.uniform(-0.5, 0.5) * length])
        if all(np.linalg.norm(place - other) > 0.6 * SPACING_UM for other in placed):
            placed.append(place)
    return np.array(placed)


def bent(rest: np.ndarray, n_volumes: int, rng: np.random.Generator, *, bend: float, turn_deg: float, drift_um: float) -> np.ndarray:
    """(T, k, 3) a body that bends in the plane, turns and drifts, smoothly in time."""
    time = np.arange(n_volumes)[:, None] * rng.uniform(0.08, 0.2, 6) + rng.uniform(0, 2 * np.pi, 6)
    waves = np.sin(time)  # (T, 6)
    half = max(np.abs(rest[:, 2]).max(), 1e-9)
    along = rest[:, 2] / half
    angle = bend * (waves[:, :1] * along + waves[:, 1:2] * np.cos(np.pi * along))  # (T, k) heading along the body
    order = np.argsort(rest[:, 2])
    step = np.diff(rest[order, 2], prepend=rest[order[0], 2])
    spine = np.zeros((n_volumes, len(rest), 2))
    spine[:, order, 0] = np.cumsum(np.sin(angle[:, order]) * step, axis=1)
    spine[:, order, 1] = np.cumsum(np.cos(angle[:, order]) * step, axis=1)
    y = spine[..., 0] + np.cos(angle) * rest[:, 1]
    x = spine[..., 1] - np.sin(angle) * rest[:, 1]
    y, x = y - y.mean(1, keepdims=True), x - x.mean(1, keepdims=True)
    heading = np.deg2rad(turn_deg) * waves[:, 2:3]
    turned = np.stack([np.cos(heading) * y - np.sin(heading) * x, np.sin(heading) * y + np.cos(heading) * x], axis=-1)
    z = np.broadcast_to(rest[:, 0], y.shape)[..., None]
    return np.concatenate([z, turned], axis=-1) + drift_um * waves[:, None, 3:6]


def observe(
    position: np.ndarray,
    rng: np.random.Generator,
    *,
    drop: float = 0.0,
    false: float = 0.0,
    jitter_um: float = 0.0,
    looks: float | None = None,
) -> Case:
    """Turns true positions (T, k, 3) into detections.

    Args:
        position: NaN where a neuron is not there.
        rng: Of everything that goes wrong.
        drop: Share of nuclei that are missed.
        false: False detections, as a share of the true ones, anywhere in the box of the volume.
        jitter_um: Error of a detection's position along each axis.
        looks: Scatter of a neuron's embedding, relative to that between neurons; None: no embeddings.
    """
    n_volumes, k, _ = position.shape
    own = rng.normal(size=(k, 32))
    t, where, vectors = [], [], []
    truth_t, truth_who, truth_where = [], [], []
    for v in range(n_volumes):
        there = np.flatnonzero(np.isfinite(position[v]).all(1))
        truth_t += [v] * len(there)
        truth_who += there.tolist()
        truth_where.append(position[v, there])
        found = there[rng.random(len(there)) >= drop]
        points = position[v, found] + rng.normal(0, jitter_um, (len(found), 3))
        n_false = rng.binomial(len(there), false) if len(there) else 0
        low, high = (position[v, there].min(0), position[v, there].max(0)) if len(there) else (np.zeros(3), np.ones(3))
        points = np.concatenate([points, rng.uniform(low, high, (n_false, 3))])
        looked = np.concatenate([own[found], rng.normal(size=(n_false, 32))])
        looked = looked + (0.0 if looks is None else looks) * rng.normal(size=looked.shape)
        order = rng.permutation(len(points))
        where.append(points[order])
        vectors.append(looked[order])
        t += [v] * len(points)
    embeddings = None
    if looks is not None:
        stacked = np.concatenate(vectors).astype(np.float32)
        embeddings = Embeddings(stacked / np.linalg.norm(stacked, axis=1, keepdims=True))
    detections = detections_at(np.array(t, int), np.concatenate(where), n_volumes)
    return detections, embeddings, Truth(np.array(truth_t, int), np.array(truth_who, int), np.concatenate(truth_where))


def detections_at(t: np.ndarray, position_um: np.ndarray, n_volumes: int) -> Detections:
    """Detections of nothing but positions; t (N,) sorted."""
    n = len(t)
    label = np.arange(n) - np.searchsorted(t, t) + 1
    ones = np.ones(n, np.float32)
    dark = np.full(n, np.nan, np.float32)
    return Detections(n_volumes, t, label, position_um.reshape(n, 3).astype(np.float32), ones, ones, ones, dark, dark, ones, ones)


def looks_of(detections: Detections) -> VolumeLooks:
    """Volumes that all look alike."""
    ones = np.ones(detections.n_volumes)
    return VolumeLooks(np.bincount(detections.t, minlength=detections.n_volumes), 20 * ones, ones)


def shuffled(case: Case, rng: np.random.Generator) -> tuple[Case, np.ndarray]:
    """The same volumes in another order, the detections of each in another order; and (N,) which old row each new one was."""
    detections, embeddings, truth = case
    when = rng.permutation(detections.n_volumes)  # new time of each old volume
    new_t = when[detections.t]
    row = np.lexsort([rng.random(len(detections)), new_t])
    moved = detections_at(new_t[row], detections.position_um[row], detections.n_volumes)
    vectors = None if embeddings is None else Embeddings(embeddings.vectors[row])
    return (moved, vectors, Truth(when[truth.t], truth.neuron, truth.position_um)), row


def still(seed: int = 0) -> Case:
    """Nothing moves."""
    rng = np.random.default_rng(seed)
    return observe(np.repeat(arrangement(30, rng)[None], 20, 0), rng)


def drift(seed: int = 0) -> Case:
    """A stiff body slides by several neighbour distances."""
    rng = np.random.default_rng(seed)
    return observe(bent(arrangement(30, rng), 20, rng, bend=0, turn_deg=0, drift_um=20), rng)


def turn(seed: int = 0) -> Case:
    """A stiff body turns all the way round."""
    rng = np.random.default_rng(seed)
    return observe(bent(arrangement(30, rng), 20, rng, bend=0, turn_deg=180, drift_um=0), rng, jitter_um=0.2)


def bend(seed: int = 0) -> Case:
    """A body that bends, turns and drifts; detections a little off."""
    rng = np.random.default_rng(seed)
    return observe(_worm(rng), rng, jitter_um=0.3)


def jump(seed: int = 0) -> Case:
    """The bending body in no order of time: its neighbour in time says nothing."""
    rng = np.random.default_rng(seed)
    return observe(_worm(rng)[rng.permutation(40)], rng, jitter_um=0.3)


def dropout(seed: int = 0) -> Case:
    """Three detections in ten are missing."""
    rng = np.random.default_rng(seed)
    return observe(_worm(rng), rng, drop=0.3, jitter_um=0.2)


def false_detections(seed: int = 0) -> Case:
    """Three false detections to ten true ones."""
    rng = np.random.default_rng(seed)
    return observe(_worm(rng), rng, false=0.3, jitter_um=0.2)


def swap(seed: int = 0) -> Case:
    """Pairs of neighbours that change places in half of the volumes: only their looks tell."""
    rng = np.random.default_rng(seed)
    position = _worm(rng)
    for a, b in _close_pairs(position[0], 5):
        when = rng.random(len(position)) < 0.5
        position[when, a], position[when, b] = position[when, b], position[when, a].copy()
    return observe(position, rng, jitter_um=0.2, looks=0.5)


def merge(seed: int = 0) -> Case:
    """Two touching nuclei are found as one in half of the volumes."""
    rng = np.random.default_rng(seed)
    position = _worm(rng)
    seen = position.copy()
    for a, b in _close_pairs(position[0], 5):
        when = rng.random(len(position)) < 0.5
        seen[when, a] = (position[when, a] + position[when, b]) / 2
        seen[when, b] = np.nan
    return observe(seen, rng, jitter_um=0.2)


def looks(seed: int = 0) -> Case:
    """Neurons that move against each other by half the spacing, with telling looks."""
    rng = np.random.default_rng(seed)
    position = _worm(rng)
    return observe(position + rng.normal(0, 1.6, position.shape), rng, drop=0.1, looks=0.5)


def useless_looks(seed: int = 0) -> Case:
    """The bending body with embeddings that say nothing."""
    detections, _, truth = bend(seed)
    vectors = np.random.default_rng(seed + 1).normal(size=(len(detections), 32)).astype(np.float32)
    return detections, Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)), truth


def empty_volume(seed: int = 0) -> Case:
    """The first, the last and some other volumes show nothing."""
    rng = np.random.default_rng(seed)
    position = _worm(rng)
    position[[0, 7, 8, 30, 39]] = np.nan
    return observe(position, rng)


def few_in_some(seed: int = 0) -> Case:
    """Some volumes show one or two neurons only."""
    rng = np.random.default_rng(seed)
    position = _worm(rng)
    position[3, 1:] = position[4, 2:] = position[35, :28] = np.nan
    return observe(position, rng)


def one_neuron(seed: int = 0) -> Case:
    """One neuron, wandering."""
    rng = np.random.default_rng(seed)
    return observe(np.cumsum(rng.normal(0, 1, (20, 1, 3)), axis=0), rng)


def one_volume(seed: int = 0) -> Case:
    """One volume: every detection is a neuron."""
    rng = np.random.default_rng(seed)
    return observe(arrangement(30, rng)[None], rng)


def nothing(seed: int = 0) -> Case:
    """Five volumes, no detection."""
    return observe(np.full((5, 3, 3), np.nan), np.random.default_rng(seed))


def coplanar(seed: int = 0) -> Case:
    """All neurons in one plane."""
    rng = np.random.default_rng(seed)
    rest = arrangement(20, rng) * (0, 1.5, 1.5)
    return observe(bent(rest, 30, rng, bend=0.3, turn_deg=20, drift_um=5), rng)


def same_place(seed: int = 0) -> Case:
    """Every nucleus is found twice at the very same place."""
    detections, _, truth = still(seed)
    twice = np.repeat(np.arange(len(detections)), 2)
    return detections_at(detections.t[twice], detections.position_um[twice], detections.n_volumes), None, truth


def two_worms(seed: int = 0) -> Case:
    """Two bodies that move each by itself."""
    rng = np.random.default_rng(seed)
    one = bent(arrangement(20, rng), 40, rng, bend=0.3, turn_deg=10, drift_um=4)
    other = bent(arrangement(20, rng), 40, rng, bend=0.3, turn_deg=10, drift_um=4) + np.array([0, 60, 15])
    return observe(np.concatenate([one, other], axis=1), rng, jitter_um=0.2)


def roll(seed: int = 0) -> Case:
    """A bending body that lies on its side now and then: rolled about its long axis by up to 30 degrees, and at any angle in the plane."""
    rng = np.random.default_rng(seed)
    position = bent(arrangement(30, rng), 40, rng, bend=0.3, turn_deg=0, drift_um=5)
    for t, (about_x, about_z) in enumerate(zip(rng.uniform(-np.pi / 6, np.pi / 6, 40), rng.uniform(-np.pi, np.pi, 40), strict=True)):
        z, y, x = (position[t] - position[t].mean(0)).T
        z, y = np.cos(about_x) * z - np.sin(about_x) * y, np.sin(about_x) * z + np.cos(about_x) * y
        y, x = np.cos(about_z) * y - np.sin(about_z) * x, np.sin(about_z) * y + np.cos(about_z) * x
        position[t] = np.stack([z, y, x], axis=1)
    return observe(position, rng, jitter_um=0.2)


def many_false(seed: int = 0) -> Case:
    """A false detection to every two true ones."""
    rng = np.random.default_rng(seed)
    return observe(_worm(rng), rng, false=0.5, jitter_um=0.2)


def far_apart(seed: int = 0) -> Case:
    """The bending body filmed twenty times more slowly: no posture is near that of the volume before."""
    rng = np.random.default_rng(seed)
    rest = arrangement(30, rng)
    return observe(bent(rest, 800, rng, bend=0.4, turn_deg=30, drift_um=5)[::20], rng, jitter_um=0.2)


def twins(seed: int = 0) -> Case:
    """Five neurons have a neighbour at half the usual distance that looks just like them; both are always there."""
    rng = np.random.default_rng(seed)
    rest = arrangement(30, rng)
    side = rng.normal(size=(5, 3))
    rest = np.concatenate([rest, rest[:5] + 0.5 * SPACING_UM * side / np.linalg.norm(side, axis=1, keepdims=True)])
    return observe(bent(rest, 40, rng, bend=0.4, turn_deg=30, drift_um=5), rng, jitter_um=0.2)


def leaving(seed: int = 0) -> Case:
    """The animal creeps out of the field and back: in the middle of the recording its front half is not seen."""
    rng = np.random.default_rng(seed)
    position = _worm(rng)
    along = np.argsort(np.argsort(position[0, :, 2]))
    hidden = np.round(15 * np.clip(np.sin(np.pi * np.arange(40) / 39) * 1.6 - 0.5, 0, 1))
    position[along[None] < hidden[:, None]] = np.nan
    return observe(position, rng, jitter_um=0.2)


def _worm(rng: np.random.Generator) -> np.ndarray:
    return bent(arrangement(30, rng), 40, rng, bend=0.4, turn_deg=30, drift_um=5)


def _close_pairs(position: np.ndarray, n: int) -> list[tuple[int, int]]:
    """The n closest pairs, no neuron in two of them."""
    distance = np.linalg.norm(position[:, None] - position[None], axis=-1) + np.tri(len(position)) * 1e9
    pairs: list[tuple[int, int]] = []
    for flat in np.argsort(distance, axis=None):
        a, b = divmod(int(flat), len(position))
        if not any(a in pair or b in pair for pair in pairs):
            pairs.append((a, b))
        if len(pairs) == n:
            break
    return pairs


CASES: dict[str, Callable[[int], Case]] = {
    case.__name__: case
    for case in (
        still, drift, turn, bend, jump, dropout, false_detections, swap, merge, looks, useless_looks, empty_volume, few_in_some, one_neuron,
        one_volume, nothing, coplanar, same_place, two_worms, roll, many_false, far_apart, twins, leaving,
    )
}  # fmt: skip


def tracked(
    detections: Detections,
    volumes: VolumeLooks,
    embeddings: Embeddings,
    *,
    config: TrackConfig,
    compute: ComputeConfig,
    seed: int,
    progress: Progress = silent,
) -> Tracks:
    """Who every detection is: identify, then track."""
    found = identify(detections, volumes, embeddings, config=config, compute=compute, seed=seed, progress=progress)
    return track(detections, embeddings, found.learned, found.identities, Corrections(), config=config).tracks
