"""The schedule: find a first atlas, learn shape and looks from part of the recording, then lay them over every volume.

No volume knows its place in time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.appearance import Appearance, first_matches, learn_appearance
from barlowtrack.identity.assign import assign, pair_up
from barlowtrack.identity.atlas import PRUNE_OCCUPANCY, Sighting, carry_over, learn_shape, revise, smooth_shape
from barlowtrack.identity.constraints import STARTS, Constraints
from barlowtrack.identity.large import align_large, match_by_looks
from barlowtrack.identity.pairs import Pairs, is_large
from barlowtrack.identity.registration import Alignment, Shape, align, soft_match
from barlowtrack.identity.volumes import Volume

log = logging.getLogger(__name__)

Float = NDArray[np.floating[Any]]
Map = Callable[..., Iterable[Any]]
"""A function like the built-in map: in order, whoever does the work."""

WARP_SIGMAS = np.geomspace(1.4, 0.35, 20)
SHAPE_SIGMAS = np.geomspace(1.4, 0.2, 20)
WARM_SIGMAS = np.geomspace(0.5, 0.2, 6)
BUILD_VOLUMES = (250, 400)
SEEDS = 8
SEED_PARTNERS = 20
LEARNED_DETECTIONS = 200_000
FEWEST_LEARNED = 30
TRIED_DETECTIONS = 100_000
"""Bounds on what is learned from, and tried as a first atlas: a volume of thousands tells as much as many small ones."""
TRUSTED_LOOKS = 0.3
LEADING_LOOKS = 0.8
"""Share of round trips that close, from which on looks help to choose and lay the first volume. Boxes around neighbours show much of the
same: looks that know a neighbourhood rather than a neuron close half of them, and would confirm the first mistakes of position."""
TRIM = 0.25
ROUNDS = 6
COLD_ROUNDS = 4
"""After these the turn of a volume is settled: it is begun with where it was found to lie."""
REVISIONS = 3
LOOKS_SLACK = 0.1
SURE_EVIDENCE = 1e6


@dataclass(frozen=True)
class Atlas:
    """All that was learned from the recording: how its neurons lie and look; None for what is not to be used, or not known."""

    shape: Shape | None
    appearance: Appearance | None
    n_neurons: int


def build(volumes: list[Volume], rng: np.random.Generator, run: Map, tick: Callable[[], None]) -> Atlas:
    """Learns the atlas from part of the recording: first a smooth warp of one volume, then a shape model of all.

    Args:
        volumes: At least one.
        rng: Chooses the volumes that are tried as a first atlas.
        run: Maps a function over volumes.
        tick: Told after each of ROUNDS + 1 passes.
    """
    part = _part(volumes)
    atlas = choose_seed(volumes, rng, run)
    sightings = list(run(lambda v: sight(v, atlas, WARP_SIGMAS), part))
    tick()
    for step in range(ROUNDS):
        n_neurons = atlas.n_neurons
        if step in range(1, REVISIONS + 1) and atlas.shape is not None:
            rest, origin, became = revise(sightings, atlas.shape)
            sightings = carry_over(sightings, atlas.shape, rest, origin, became)
            n_neurons = len(rest)
        # Volumes that fit worst may be laid the wrong way round; while they may, nothing is learned from them.
        atlas = _learn(part, sightings, n_neurons, trim=TRIM if step < REVISIONS else 0.0, settled=step >= COLD_ROUNDS)
        if step < COLD_ROUNDS:
            sightings = list(run(lambda v, a=atlas: sight(v, a), part))
        else:
            sightings = list(run(lambda v, s, a=atlas: sight(v, a, WARM_SIGMAS, s.alignment), part, sightings))
        tick()
        log.debug("round %d: %d neurons, score %.3f", step, n_neurons, np.mean([s.alignment.score for s in sightings]))
    return _learn(part, sightings, atlas.n_neurons, settled=True)


def build_by_looks(volumes: list[Volume], rng: np.random.Generator, run: Map, tick: Callable[[], None]) -> Atlas:
    """Learns the atlas as build does, from looks alone; neurons that nobody claims are adopted from the volume that has most of them."""
    part = _part(volumes)
    seeds, partners = _tried(volumes, rng)
    atlas, closed = max((_first_look(volumes[seed], partners) for seed in seeds), key=lambda found: found[1])
    if closed <= TRUSTED_LOOKS:  # nothing contradicts looks here: such weak ones would confirm their own mistakes
        log.warning("looks alone find only %.0f %% of the nuclei again: nobody is named", 100 * closed)
        for _ in range(ROUNDS + 1):
            tick()
        return Atlas(None, None, atlas.n_neurons)
    sightings = list(run(lambda v: sight(v, atlas), part))
    tick()
    for step in range(ROUNDS):
        neuron, trust, n_neurons = _adopt(sightings, atlas.n_neurons, grow=step < REVISIONS)
        looks = learn_appearance(_features(part), neuron, trust, n_neurons)
        atlas = Atlas(None, looks, n_neurons)
        sightings = list(run(lambda v, a=atlas: sight(v, a), part))
        tick()
        log.debug("round %d: %d neurons, known %.3f", step, n_neurons, np.mean(np.concatenate([s.neuron for s in sightings]) >= 0))
    return atlas


def sight(
    volume: Volume,
    atlas: Atlas,
    sigmas: NDArray[np.float64] = SHAPE_SIGMAS,
    start: Alignment | None = None,
    constraints: Constraints | None = None,
) -> Sighting:
    """Lays the atlas over a volume and says who each detection is.

    Args:
        volume: To identify; need not be one that was learned from.
        atlas: Stays as it is.
        sigmas: Spread of each EM step, falling.
        start: How the same neurons lay over it before, to begin with.
        constraints: What is certain of it; kept.
    """
    if is_large(atlas.n_neurons, len(volume.rows)):
        return _sight_large(volume, atlas, sigmas if start is None else SHAPE_SIGMAS, constraints)
    seen = None if atlas.appearance is None or volume.features is None else atlas.appearance.log_ratio(volume.features)
    looks = seen
    if constraints is not None:
        prior = constraints.log_prior(atlas.n_neurons, len(volume.rows))
        looks = prior if seen is None else seen + prior
    if atlas.shape is not None:
        keep, certain = (3, None) if constraints is None else (STARTS, (constraints.entry, constraints.column))
        alignment = align(volume.points, atlas.shape, looks, sigmas=sigmas, keep=keep, start=start, certain=certain)
        assert alignment.evidence is not None
        neuron = pair_up(alignment.evidence if constraints is None else constraints.enforced(alignment.evidence, SURE_EVIDENCE))
        # Kept for every volume of a recording, evidence would be half of the memory.
        posterior = alignment.posterior if constraints is None else constraints.enforced(alignment.posterior)
        return Sighting(replace(alignment, posterior=posterior, evidence=None), neuron, volume.rows)
    size = (atlas.n_neurons, len(volume.rows))
    # Without position every neuron is as likely as any other, and where looks say nothing nobody is anybody.
    mass = np.zeros(size) if seen is None or looks is None else soft_match(looks - np.log(max(size)), LOOKS_SLACK)
    mass = mass if constraints is None else constraints.enforced(mass)
    alignment = Alignment(volume.points, np.zeros((atlas.n_neurons, 3)), mass, float(mass.sum()))
    return Sighting(alignment, assign(mass), volume.rows)


def _sight_large(volume: Volume, atlas: Atlas, sigmas: NDArray[np.float64], constraints: Constraints | None) -> Sighting:
    """Does what sight does, by candidates."""
    k, n = atlas.n_neurons, len(volume.rows)
    looks, features = atlas.appearance, volume.features
    if atlas.shape is not None:
        ratio = None if looks is None or features is None else looks.log_ratio_of(features)
        alignment = align_large(volume.points, atlas.shape, ratio, sigmas=sigmas)
    else:
        none = np.zeros(0, int)
        posterior = Pairs(none, none, np.zeros(0), (k, n))
        if looks is not None and features is not None:
            posterior = match_by_looks(lambda neuron: looks.only(neuron).log_ratio(features), k, n)
        alignment = Alignment(volume.points, np.zeros((k, 3)), posterior, float(posterior.mass.sum()))
    if constraints is not None:
        alignment = replace(alignment, posterior=constraints.enforced(alignment.posterior))
    return Sighting(alignment, assign(alignment.posterior), volume.rows)


def choose_seed(volumes: list[Volume], rng: np.random.Generator, run: Map) -> Atlas:
    """Returns as first atlas the volume that the others resemble most, of SEEDS with an ample but not the largest count."""
    seeds, partners = _tried(volumes, rng)

    def tried(seed: int) -> tuple[Atlas, float]:
        found, closed = _first_look(volumes[seed], partners)
        looks = found.appearance if closed >= LEADING_LOOKS else None
        atlas = Atlas(smooth_shape(volumes[seed].points), looks, len(volumes[seed].rows))
        return atlas, sum(sight(v, atlas, WARP_SIGMAS[::2]).alignment.score for v in partners)

    first: Atlas = max(run(tried, seeds), key=lambda found: float(found[1]))[0]
    return first


def _part(volumes: list[Volume]) -> list[Volume]:
    """The volumes that the atlas is learned from, evenly spread over their order by content."""
    few, many = BUILD_VOLUMES
    many = min(many, max(LEARNED_DETECTIONS // _typical(volumes), FEWEST_LEARNED))
    return [volumes[i] for i in np.unique(np.linspace(0, len(volumes) - 1, min(max(few, len(volumes) // 5), many)).astype(int))]


def _tried(volumes: list[Volume], rng: np.random.Generator) -> tuple[NDArray[np.int64], list[Volume]]:
    """Which volumes are tried as a first atlas, and the volumes that they are tried on; few where they are large."""
    ample = _ample(np.array([len(v.rows) for v in volumes]))
    trials = TRIED_DETECTIONS // _typical(volumes)
    n_partners = int(np.clip(trials // SEEDS, 5, SEED_PARTNERS))
    n_seeds = int(np.clip(trials // n_partners, 3, SEEDS))
    seeds = rng.choice(ample, min(n_seeds, len(ample)), replace=False)
    return seeds, [volumes[i] for i in rng.choice(len(volumes), min(n_partners, len(volumes)), replace=False)]


def _typical(volumes: list[Volume]) -> int:
    """Median number of detections of a volume."""
    return int(np.median([len(v.rows) for v in volumes]))


def _ample(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Volumes with a count in the 50th to 90th percentile: hardly any neuron missing, hardly any debris."""
    low, high = np.percentile(counts, [50, 90])
    ample = np.flatnonzero((counts >= low) & (counts <= high))
    return ample if len(ample) else np.flatnonzero(counts >= low)


def _learn(part: list[Volume], sightings: list[Sighting], n_neurons: int, trim: float = 0.0, *, settled: bool) -> Atlas:
    worth = np.array([s.alignment.score / len(s.rows) for s in sightings])
    trusted = np.flatnonzero(worth >= np.quantile(worth, trim))
    part, sightings = [part[i] for i in trusted], [sightings[i] for i in trusted]
    features = _features(part)
    looks = None
    if features:
        looks = learn_appearance(features, [s.neuron for s in sightings], [s.posterior for s in sightings], n_neurons)
    return Atlas(replace(learn_shape(sightings, n_neurons), settled=settled), looks, n_neurons)


def _first_look(seed: Volume, partners: list[Volume]) -> tuple[Atlas, float]:
    """The looks of the detections of one volume, and the share of round trips through other volumes that closed."""
    n = len(seed.rows)
    features = _features([seed, *(p for p in partners if p is not seed)])
    if not features:
        return Atlas(None, None, n), 0.0
    neuron, closed = first_matches(features)
    looks = learn_appearance(features, neuron, [np.ones(len(who)) for who in neuron], n)
    return Atlas(None, looks, n), closed


def _adopt(sightings: list[Sighting], n_neurons: int, *, grow: bool) -> tuple[list[NDArray[np.int64]], list[Float], int]:
    """Drops neurons that are hardly ever seen; then the unknown detections of the volume with most of them become neurons.

    Returns:
        Neuron and trust of every detection of each volume, and the new number of neurons.
    """
    neuron, trust = [s.neuron for s in sightings], [s.posterior for s in sightings]
    seen = np.bincount(np.concatenate(neuron) + 1, minlength=n_neurons + 1)[1:] / len(neuron)
    keep = seen >= PRUNE_OCCUPANCY
    renamed = np.append(np.where(keep, np.cumsum(keep) - 1, UNKNOWN), UNKNOWN)
    neuron, n_neurons = [renamed[who] for who in neuron], int(keep.sum())
    if grow:
        most = max(range(len(neuron)), key=lambda i: int((neuron[i] < 0).sum()))
        unknown = neuron[most] < 0
        neuron[most][unknown] = n_neurons + np.arange(unknown.sum())
        trust[most][unknown] = 1.0
        n_neurons += int(unknown.sum())
    return neuron, trust, n_neurons


def _features(part: list[Volume]) -> list[Float]:
    """(n, P) of every volume; none where looks are not used."""
    return [v.features for v in part if v.features is not None]
