"""Two neurons that were taken for each other: stretches in which each shines like the other.

Whether a pair is swapped in a volume is a hidden state of two values. A nucleus is followed by what it looks like: how brightly it shines
in red, which hardly changes, its size, and its ratio, which changes slowly. Each of these is a first-order autoregression about the
nucleus' own level, so that both a wrong level and a jump at the ends of a stretch speak for a swap, and slow drifts do not; the likeliest
states are found by the algorithm of Viterbi. Each of the two traces must fit the other nucleus by itself: a neuron that only looks
strange mirrors nobody.

How strong the evidence must be is learned from the recording without truth: neurons that lie far apart are not taken for each other, so
what is found between them is chance.

Reference:
    Viterbi 1967 for the path; Geman & McClure 1987 for the loss.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from barlowtrack.activity.chain import CAP, Looks, Stretches, search_block
from barlowtrack.activity.robust import medians, spreads
from barlowtrack.data import BoolArray, FloatArray, IntArray, Swaps

NEIGHBOURS = 8
"""A neuron is taken for one of those around it."""
NULL_PAIRS = 2000
"""Pairs far apart from which chance is learned."""
FAR = 2.0
"""So many times as far apart as nearly all neighbours are."""
FEWEST_CHANCE = 5
"""Fewer stretches made by chance tell nothing of its tail."""
FEWEST_VOLUMES = 15
"""In shorter recordings chance makes more stretches than are allowed: .55 a recording of 60 neurons in 12 volumes instead of .5, .2 to .5
of 60 or 120 in 15 to 40."""
LONGEST_MEMORY = 0.995
"""Of a feature from volume to volume; at one, a reading would be known before it is made."""
LEAST_LOG_SPREAD = 1e-3
"""No reading of light or size is more certain than one part in a thousand."""
_BLOCK = 500_000  # elements (pairs x volumes) at a time


def find_swaps(
    red: FloatArray,
    green: FloatArray,
    volume_um3: FloatArray,
    position_um: FloatArray,
    *,
    false_alarms: float = 0.5,
    n_neighbours: int = NEIGHBOURS,
) -> Swaps:
    """Finds stretches in which two neurons seem to carry each other's identity.

    Args:
        red: (K, T) of what was seen (nothing predicted or bridged), bleaching undone; NaN or not positive: unknown.
        green: (K, T) likewise; all NaN without a signal channel.
        volume_um3: (K, T) size of the nucleus.
        position_um: (K, 3) where each neuron usually lies; NaN for one that is nowhere.
        false_alarms: Stretches expected by chance in the whole recording; more than 0.
        n_neighbours: Pairs are looked for among so many nearest neighbours.

    Returns:
        Stretches, the surest first; none overlaps another of the same neuron. Of a pair that is swapped for more than half of the volumes,
        the rest is reported: nobody can say from light which half is right. None in fewer than FEWEST_VOLUMES.
    """
    pairs = near_pairs(position_um, n_neighbours)
    if not len(pairs) or red.shape[1] < FEWEST_VOLUMES:
        return _swaps(Stretches.joined([]))
    looks = _looks(red, green, volume_um3)
    found = _search(looks, pairs)
    if not len(found.first):
        return _swaps(found)
    others = far_pairs(position_um, pairs)
    least = _least_evidence(_search(looks, others).evidence, len(others), len(pairs), false_alarms, red.shape[1])
    return _swaps(_apart(found[np.flatnonzero(found.evidence > least)]))


def unsettled(swaps: Swaps, seen: BoolArray, certain: BoolArray) -> Swaps:
    """Returns what is left to ask of swaps: from the first to the last volume that shows both neurons and has not been decided.

    Args:
        swaps: Stretches of K neurons.
        seen: (K, T) whether a detection is the neuron.
        certain: (K, T) whether people said so. Where they did so of both, the two are who they are, however they shine.

    Returns:
        Those of which a volume is left, no longer than they were.
    """
    kept, spans = [], []
    for row, (first, last, pair) in enumerate(zip(swaps.first, swaps.last, swaps.neuron, strict=True)):
        within = slice(int(first), int(last) + 1)
        open_yet = np.flatnonzero(seen[pair, within].all(axis=0) & ~certain[pair, within].all(axis=0))
        if len(open_yet):
            kept.append(row)
            spans.append((first + open_yet[0], first + open_yet[-1]))
    left = np.array(spans, np.int64).reshape(-1, 2)
    return Swaps(left[:, 0], left[:, 1], swaps.neuron[kept], swaps.evidence[kept])


def near_pairs(position_um: FloatArray, n_neighbours: int) -> IntArray:
    """Returns (P, 2) pairs of neurons of which at least one is among the nearest of the other, the smaller number first."""
    known = np.flatnonzero(np.isfinite(position_um).all(axis=1))
    reach = min(n_neighbours, len(known) - 1)
    if reach < 1:
        return np.empty((0, 2), np.intp)
    nearest = np.asarray(cKDTree(position_um[known]).query(position_um[known], k=reach + 1)[1])  # itself among them
    pairs = np.stack([np.repeat(np.arange(len(known)), reach + 1), nearest.ravel()], axis=1)
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    return np.asarray(known[pairs], np.intp)


def far_pairs(position_um: FloatArray, near: IntArray) -> IntArray:
    """Returns (Q, 2) pairs of neurons that nobody takes for each other, drawn evenly: at least FAR times as far apart as most of near.

    Where all neurons are neighbours there may be none.
    """
    known = np.flatnonzero(np.isfinite(position_um).all(axis=1))
    rng = np.random.default_rng(0)  # which pairs stand for chance must not change from run to run
    drawn = np.sort(rng.choice(known, (4 * NULL_PAIRS, 2)), axis=1)
    drawn = np.unique(drawn[drawn[:, 0] != drawn[:, 1]], axis=0)
    apart = np.linalg.norm(position_um[near[:, 0]] - position_um[near[:, 1]], axis=1)
    limit = FAR * np.percentile(apart, 90)
    distance = np.linalg.norm(position_um[drawn[:, 0]] - position_um[drawn[:, 1]], axis=1)
    drawn = drawn[distance > limit]
    return np.asarray(rng.permutation(drawn)[:NULL_PAIRS], np.intp)


def _looks(red: FloatArray, green: FloatArray, volume_um3: FloatArray) -> Looks:
    with np.errstate(invalid="ignore", divide="ignore"):
        brightness, size, signal = (np.log(np.where(values > 0, values, np.nan)) for values in (red, volume_um3, green))
    value = np.stack([_steady(feature) for feature in (brightness, size, signal - brightness)]).astype(np.float32)
    n_features, _, n_volumes = value.shape
    volume = np.arange(n_volumes)
    has = np.isfinite(value)
    last = np.maximum.accumulate(np.where(has, volume, -1), axis=2)
    last = np.concatenate([np.full((*value.shape[:2], 1), -1), last[:, :, :-1]], axis=2)
    before = np.nan_to_num(np.where(last >= 0, np.take_along_axis(value, np.maximum(last, 0), axis=2), 0.0))
    memory, spread = np.zeros_like(value), np.ones(n_features)
    for feature in range(n_features):
        residual = value[feature] - medians(value[feature])[:, None]
        own = spreads(residual)
        if not np.isfinite(own).any():
            continue
        spread[feature] = max(float(medians(own)), LEAST_LOG_SPREAD)
        memory[feature] = np.where(last[feature] >= 0, _lag_one(residual / spread[feature]) ** (volume - last[feature]), 0.0)
    return Looks(value, before, memory, spread)


def _steady(feature: FloatArray) -> FloatArray:
    """Returns the feature without what all neurons do alike in a volume."""
    middle = feature - medians(feature, axis=1)[:, None]
    common = medians(middle, axis=0)
    return np.asarray(feature - np.where(np.isfinite(common), common, 0.0))


def _lag_one(scaled: FloatArray) -> float:
    """Returns the correlation of residuals from one volume to the next; outliers are cut."""
    cut = np.clip(scaled, -CAP, CAP)
    both = np.isfinite(cut[:, 1:]) & np.isfinite(cut[:, :-1])
    if not both.any():
        return 0.0
    now, then = cut[:, 1:][both], cut[:, :-1][both]
    return float(np.clip((now * then).sum() / max((now**2 + then**2).sum() / 2, 1e-12), 0.0, LONGEST_MEMORY))


def _search(looks: Looks, pairs: IntArray) -> Stretches:
    """Returns every stretch of every pair that speaks for a swap at all."""
    step = max(1, _BLOCK // looks.value.shape[2])
    return Stretches.joined([search_block(looks, pairs[start : start + step]) for start in range(0, len(pairs), step)])


def _least_evidence(chance: FloatArray, n_chance: int, n_pairs: int, false_alarms: float, n_volumes: int) -> float:
    """Returns the evidence that chance exceeds as often as allowed in all pairs together.

    The tail of a log likelihood ratio is exponential or lighter; its scale is that of the strongest of the stretches that chance made.
    Never less than what ideal readings would need: one pair and volume in as many as were searched.
    """
    ideal = float(np.log(n_pairs * n_volumes / false_alarms))
    if not n_chance or len(chance) < FEWEST_CHANCE:
        return ideal
    tail = np.sort(chance)[::-1][: max(FEWEST_CHANCE, len(chance) // 10)]
    scale = max(1.0, float((tail[:-1] - tail[-1]).mean()))
    expected = len(tail) * n_pairs / n_chance  # stretches among all pairs that chance makes as strong as the weakest of the tail
    return max(ideal, float(tail[-1] + scale * np.log(expected / false_alarms)))


def _apart(found: Stretches) -> Stretches:
    """Returns the stretches, the surest first, without those that overlap a surer one of the same neuron."""
    order = np.argsort(-found.evidence, kind="stable")
    taken: dict[int, list[tuple[int, int]]] = {}
    kept = []
    for row in order:
        span = int(found.first[row]), int(found.last[row])
        pair = found.neuron[row].tolist()
        if any(first <= span[1] and span[0] <= last for neuron in pair for first, last in taken.get(neuron, [])):
            continue
        kept.append(row)
        for neuron in pair:
            taken.setdefault(neuron, []).append(span)
    return found[np.array(kept, np.intp)]


def _swaps(found: Stretches) -> Swaps:
    return Swaps(first=found.first, last=found.last, neuron=found.neuron, evidence=found.evidence)
