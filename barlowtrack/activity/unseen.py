"""Neurons that no detection is: whether a place where the atlas expects one may stand for it, and how surely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.activity.robust import medians
from barlowtrack.data import UNKNOWN, BoolArray, Detections, FloatArray, IntArray, Places, Tracks, medians_by

CONFIDENT = 0.5
"""Detections that are less surely a neuron say nothing of how well its place is known."""
FEWEST_SEEN = 5
"""Of a neuron that was seen less often nobody knows how it usually shines: what its place shows cannot be held against that."""
PRIOR_DETECTIONS = 5.0
"""So many detections of the neuron usual here are added to a neuron's own: a few say little of how well its place is known."""

LEAST_RED, MOST_RED = 1 / 3, 4 / 3
"""The red light of a nucleus hardly changes. At a place with so much less of it than is usual for a neuron, or so much more, something
else is read: nothing, or a nucleus that was not found and is another one."""


@dataclass(frozen=True)
class Unseen:
    """Places that stand for neurons.

    Attributes:
        row: (U,) which of the places.
        neuron: (U,) for whom.
        probability: (U,) that the light is the neuron's: it is who it is said to be, is none of the detections, and lies there.
    """

    row: IntArray
    neuron: IntArray
    probability: FloatArray

    def split_at(self, least: float) -> tuple[Unseen, Unseen]:
        """Returns those of at least this probability, and the others."""
        good = self.probability >= least
        one, other = (Unseen(self.row[of], self.neuron[of], self.probability[of]) for of in (good, ~good))
        return one, other


@dataclass(frozen=True)
class Aim:
    """How well the atlas knew where neurons lie that were found.

    Attributes:
        off_um: (N,) from each detection to the place of the neuron that it is; NaN where it is none, or its place is not known.
        radius_um: (K,) of each neuron, as large as its nuclei usually are; NaN of one that was never found.
        hit: (K,) share of its confident detections that lay within its radius of its place; 0 where nothing was found at all.
        sure: (K,) mean probability of its detections, of doubtful ones, too: how surely the neuron is who it is; 0 of one never found.
    """

    off_um: FloatArray
    radius_um: FloatArray
    hit: FloatArray
    sure: FloatArray


def aim_of(detections: Detections, tracks: Tracks, place_um: FloatArray, entry: IntArray) -> Aim:
    """Compares where neurons should have lain with where they were found.

    That these detections took part in laying the atlas over their volume makes the comparison kinder than it is to neurons that were not
    found.

    Args:
        detections: N of them.
        tracks: Whose they are, of K neurons.
        place_um: (T, E, 3) where each entry of the atlas should lie.
        entry: (K,) entry that each neuron is; UNKNOWN of none.
    """
    n_neurons = len(entry)
    entry_of = np.append(entry, UNKNOWN)[tracks.neuron]  # (N,)
    found = np.flatnonzero(tracks.neuron >= 0)
    known = entry_of >= 0
    off = np.full(len(detections), np.nan)
    off[known] = np.linalg.norm(detections.position_um[known] - place_um[detections.t[known], entry_of[known]], axis=1)
    radius = np.cbrt(3 / (4 * np.pi) * np.asarray(detections.volume_um3, np.float64))
    typical = medians_by(radius, tracks.neuron, n_neurons)
    sure = np.flatnonzero(np.isfinite(off) & (tracks.probability >= CONFIDENT))
    who = tracks.neuron[sure]
    close = off[sure] <= typical[who]
    usual = close.mean() if len(close) else 0.0
    hits, met = np.bincount(who, close, minlength=n_neurons), np.bincount(who, minlength=n_neurons)
    count = np.bincount(tracks.neuron[found], minlength=n_neurons)
    total = np.bincount(tracks.neuron[found], tracks.probability[found], minlength=n_neurons)
    return Aim(off, typical, (hits + PRIOR_DETECTIONS * usual) / (met + PRIOR_DETECTIONS), total / np.maximum(count, 1))


def laid_well(detections: Detections, tracks: Tracks, aim: Aim) -> BoolArray:
    """Returns which volumes the atlas lies well over, (T,): half of the neurons found there lie within a radius of their places.

    A volume that the atlas was laid over the wrong way round, and that people put right, is none of them: what it expects there is wrong.
    """
    known = np.flatnonzero(np.isfinite(aim.off_um))
    relative = aim.off_um[known] / aim.radius_um[tracks.neuron[known]]
    good = np.zeros(detections.n_volumes, bool)
    bounds = np.searchsorted(detections.t[known], np.arange(detections.n_volumes + 1))
    for t in np.flatnonzero(np.diff(bounds)):
        good[t] = medians(relative[bounds[t] : bounds[t + 1]]) <= 1
    return good


def stand_ins(places: Places, entry: IntArray, open_to: BoolArray, aim: Aim, absent: FloatArray) -> Unseen:
    """Says which places stand for which neurons, and how surely: all three of what makes a value wrong are thought of.

    That the neuron is who its detections say, that it is none of those of this volume, and that it lies where the atlas expects it are
    taken as independent.

    Args:
        places: M of them.
        entry: (K,) entry that each neuron is; UNKNOWN of none.
        open_to: (T, K) whether a place may stand for a neuron: no detection is it, nobody says that it is absent, the atlas lies well.
        aim: How well places were known.
        absent: (T, K) probability that a neuron is not among the detections of a volume.
    """
    own = np.flatnonzero(entry >= 0)
    neuron_of = np.full(int(max(entry.max(initial=-1), places.entry.max(initial=-1))) + 2, UNKNOWN)  # one that nobody is, at least
    neuron_of[entry[own]] = own
    neuron = neuron_of[places.entry]
    known = np.flatnonzero(neuron >= 0)
    good = known[open_to[places.t[known], neuron[known]]]
    t, who = places.t[good], neuron[good]
    return Unseen(good, who, aim.hit[who] * aim.sure[who] * absent[t, who])


def shines_as_usual(red: FloatArray, seen: BoolArray) -> BoolArray:
    """Returns at which values, (K, T), each neuron is about as red as where it was seen.

    Args:
        red: (K, T) bleaching undone.
        seen: (K, T) which values are of detections.
    """
    usual = medians(np.where(seen, red, np.nan))[:, None]
    return np.asarray((red >= LEAST_RED * usual) & (red <= MOST_RED * usual))  # NaN, and who was never seen, are not
