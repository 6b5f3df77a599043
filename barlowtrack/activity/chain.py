"""The hidden states of pairs of neurons: each itself, or each the other. See swaps.py for what they are good for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from barlowtrack.activity.robust import MAD_TO_SPREAD, medians
from barlowtrack.data import BoolArray, FloatArray, IntArray

FLIP = 5.0
"""What it costs to begin or end a swap, in units of log likelihood; keeps stretches in one piece."""
CAP = 4.0
"""A reading this many spreads off counts as strange, one much farther off as hardly stranger: at most CAP ** 2 / 2."""
FEWEST_SHARED = 5
"""Volumes in which both of a pair must be seen."""
UNDECIDED = 0.8
"""Medians of a pair nearer together than this share of what volumes differ singly may be those of two mixtures."""
LEAST_SPREAD = 0.5
"""No pair is believed to vary less than this share of what pairs do: few readings may agree by chance."""

STAY, STAY_SWAPPED, BEGIN, END = range(4)


class Looks(NamedTuple):
    """What K nuclei look like over T volumes: F features, each a first-order autoregression about its neuron's level.

    Attributes:
        value: (F, K, T) float32, NaN where a neuron was not seen.
        before: (F, K, T) its value when it was last seen; 0 where it was not.
        memory: (F, K, T) correlation of the two, less with every volume that passed; 0 where it was not seen before.
        spread: (F,) of a typical neuron about its level.
    """

    value: FloatArray
    before: FloatArray
    memory: FloatArray
    spread: FloatArray


@dataclass(frozen=True)
class Stretches:
    """Stretches that speak for a swap: the columns of Swaps, before any threshold."""

    first: IntArray
    last: IntArray
    neuron: IntArray
    evidence: FloatArray

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: IntArray) -> Stretches:
        return Stretches(self.first[rows], self.last[rows], self.neuron[rows], self.evidence[rows])

    @classmethod
    def joined(cls, parts: list[Stretches]) -> Stretches:
        """Returns all of them in one."""
        nothing = np.empty(0, np.int64)
        parts = [cls(nothing, nothing, np.empty((0, 2), np.int64), np.empty(0)), *parts]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("first", "last", "neuron", "evidence")))


def search_block(looks: Looks, pairs: IntArray) -> Stretches:
    """Returns every stretch of the (P, 2) pairs in which each neuron fits the other's looks better than its own."""
    value = looks.value[:, pairs]  # (F, P, 2, T)
    shared = np.isfinite(value[0]).all(axis=1).sum(axis=1) >= FEWEST_SHARED  # (P,)
    pairs, value = pairs[shared], value[:, shared]
    if not len(pairs):
        return Stretches.joined([])
    block = _Block(value, looks.before[:, pairs], looks.memory[:, pairs], _pair_spreads(value, looks.spread))
    state, score, terms = block.solve(medians(value))
    unsure, level = _mixed_levels(value, block.spread)
    if len(unsure):
        other_state, other_score, other_terms = block.of(unsure).solve(level)
        better = other_score > score[unsure]
        rows = unsure[better]
        state[rows], terms[:, rows] = other_state[better], other_terms[:, better]
    return _stretches(pairs, np.isfinite(value[0]).any(axis=1), state, terms)


@dataclass(frozen=True)
class _Block:
    """P pairs: value, before and memory as in Looks, (F, P, 2, T); spread (F, P)."""

    value: FloatArray
    before: FloatArray
    memory: FloatArray
    spread: FloatArray

    def of(self, rows: IntArray) -> _Block:
        return _Block(self.value[:, rows], self.before[:, rows], self.memory[:, rows], self.spread[:, rows])

    def solve(self, level: FloatArray) -> tuple[BoolArray, FloatArray, FloatArray]:
        """Returns states (P, T), their score (P,) and the terms (4, P, 2, T); levels are found again once where a swap was."""
        terms = self._terms(level)
        state, score = _viterbi(terms)
        rows = np.flatnonzero(state.any(axis=1) & ~state.all(axis=1))
        if len(rows):
            again = self.of(rows)
            terms[:, rows] = again._terms(_levels_of_path(again.value, state[rows]))
            state[rows], score[rows] = _viterbi(terms[:, rows])
        return state, score, terms

    def _terms(self, level: FloatArray) -> FloatArray:
        """Returns the log likelihood of each reading, (4, P, 2, T), by what its state does; 0 where unseen.

        Args:
            level: (F, P, 2) of the two nuclei.
        """
        terms = np.zeros((4, *self.value.shape[1:]), np.float32)
        for feature in range(len(self.value)):
            x, spread = self.value[feature], self.spread[feature, :, None, None].astype(np.float32)
            own = level[feature][:, :, None].astype(np.float32)
            before, memory = self.before[feature], self.memory[feature]
            # a nucleus that changes from one trace to the other brings the other trace's past along
            pasts = ((before, memory, STAY, STAY_SWAPPED), (before[:, ::-1], memory[:, ::-1], END, BEGIN))
            for value, kept, as_own, as_other in pasts:
                scale = spread * np.sqrt(1 - kept * kept)
                step, pull, width = (x - kept * value) / scale, (1 - kept) / scale, np.log(scale)
                for change, nucleus in ((as_own, own), (as_other, own[:, ::-1])):
                    square = step - pull * nucleus
                    square *= square
                    terms[change] -= np.nan_to_num(0.5 * square / (1 + square / CAP**2) + width)
        return terms


def _viterbi(terms: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Returns the likeliest states, (P, T) true where swapped, and their log likelihood less what flips cost, (P,)."""
    both = np.ascontiguousarray(np.moveaxis(terms.sum(axis=2, dtype=np.float64), 2, 0))  # (T, 4, P)
    n_volumes, _, n_pairs = both.shape
    came_swapped = np.zeros((2, n_volumes, n_pairs), bool)  # whether the best way into a state (itself, swapped) comes from swapped
    plain, swapped = both[0, STAY], both[0, STAY_SWAPPED]
    for t in range(1, n_volumes):
        stay, end = plain + both[t, STAY], swapped + both[t, END] - FLIP
        begin, stay_swapped = plain + both[t, BEGIN] - FLIP, swapped + both[t, STAY_SWAPPED]
        came_swapped[0, t], came_swapped[1, t] = end > stay, stay_swapped >= begin
        plain, swapped = np.maximum(stay, end), np.maximum(begin, stay_swapped)
    state = np.zeros((n_volumes, n_pairs), bool)
    state[-1] = swapped > plain
    for t in range(n_volumes - 1, 0, -1):
        state[t - 1] = np.where(state[t], came_swapped[1, t], came_swapped[0, t])
    return state.T.copy(), np.maximum(plain, swapped)


def _pair_spreads(value: FloatArray, typical: FloatArray) -> FloatArray:
    """Returns the spread of one neuron of each pair about its level, (F, P): from the mean of both, which no swap changes."""
    together = value.mean(axis=2)  # (F, P, T)
    off = np.abs(together - medians(together)[..., None])
    spread = np.sqrt(2.0) * MAD_TO_SPREAD * medians(off)
    least = LEAST_SPREAD * typical[:, None]
    spread = np.where(np.isfinite(spread), spread, typical[:, None])
    return np.asarray(np.maximum(spread, least))


def _mixed_levels(value: FloatArray, spread: FloatArray) -> tuple[IntArray, FloatArray]:
    """Finds pairs whose medians may be those of mixtures, as when half of the recording is swapped.

    The difference of the two neurons then has two values of opposite sign. Its size, with the sign of the differences along the direction
    in which they vary most, is the level of either half.

    Returns:
        (U,) rows of such pairs, and (F, U, 2) levels to try with them.
    """
    half = (value[:, :, 0] - value[:, :, 1]) / 2  # (F, P, T)
    scaled = np.where(np.isfinite(half), np.clip(half / spread[..., None], -CAP, CAP), 0.0)
    moment = np.einsum("fpt,gpt->pfg", scaled, scaled)
    direction = np.linalg.eigh(moment)[1][:, :, -1]  # (P, F)
    sign = np.sign(np.einsum("pf,fpt->pt", direction, scaled))
    folded = medians(half * sign)  # (F, P)
    single = medians(half)
    size, plain = (np.sqrt(np.nansum((level / spread) ** 2, axis=0)) for level in (folded, single))
    rows = np.flatnonzero(plain < UNDECIDED * size)
    middle = medians(value.mean(axis=2))
    return rows, np.stack([middle + folded, middle - folded], axis=-1)[:, rows]


def _levels_of_path(value: FloatArray, state: BoolArray) -> FloatArray:
    """Returns the levels of the two nuclei, (F, P, 2), as the states tell which reading is whose."""
    return medians(np.where(state[:, None, :], value[:, :, ::-1], value))


def _stretches(pairs: IntArray, seen: BoolArray, state: BoolArray, terms: FloatArray) -> Stretches:
    """Returns the swapped stretches of all pairs; where most of a pair is swapped, what is not counts as swapped."""
    turned = (state & seen).sum(axis=1) * 2 > seen.sum(axis=1)
    state = np.where(turned[:, None], ~state, state)
    change = np.diff(np.pad(state, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    pair, first = np.nonzero(change == 1)
    last = np.nonzero(change == -1)[1] - 1
    evidence = np.zeros(len(pair))
    names = np.array([[STAY, STAY_SWAPPED, BEGIN, END], [STAY_SWAPPED, STAY, END, BEGIN]])
    for row, (p, a, b) in enumerate(zip(pair, first, last, strict=True)):
        stay, swapped, begin, end = (terms[name, p] for name in names[int(turned[p])])  # (2, T) each
        inside = np.s_[:, a + 1 : b + 1]
        gain = (swapped[inside] - stay[inside]).sum(axis=1) + (begin[:, a] if a else swapped[:, a]) - stay[:, a]
        if b + 1 < state.shape[1]:
            gain = gain + end[:, b + 1] - stay[:, b + 1]
        evidence[row] = 2 * gain.min()
    found = Stretches(*_trimmed(seen[pair], first, last), pairs[pair], evidence)
    return found[np.flatnonzero(evidence > 0)]


def _trimmed(seen: BoolArray, first: IntArray, last: IntArray) -> tuple[IntArray, IntArray]:
    """Returns the stretches without volumes at either end in which neither neuron was seen; seen is (S, T)."""
    volume = np.arange(seen.shape[1])
    inside = seen & (volume >= first[:, None]) & (volume <= last[:, None])
    found = inside.any(axis=1)
    begin, end = inside.argmax(axis=1), seen.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    return np.where(found, begin, first), np.where(found, end, last)
