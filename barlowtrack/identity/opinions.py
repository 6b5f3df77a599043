"""Second opinions: two more atlases, learned from disjoint halves of the recording, that say whether they see the same.

An atlas that is disturbed and solved again agrees with its own mistakes. Atlases that were learned from other volumes, from other starts,
make mistakes of their own: where they agree, it is hardly by chance.

Reference:
    Dawid & Skene 1979 (how sure to be of raters without a truth); Breiman 1996 (learning from other samples).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import UNKNOWN
from barlowtrack.identity import solve
from barlowtrack.identity.solve import Atlas, Map
from barlowtrack.identity.volumes import Volume

Int = NDArray[np.int64]
Build = Callable[[list[Volume], np.random.Generator, Map, Callable[[], None]], Atlas]

LEARNED_VOLUMES = 125
"""Of each half, at most: both together cost no more than the atlas itself."""
ASKED_VOLUMES = 400
NOT_ASKED = -2
FEWEST_TEACHERS = 2
TOGETHER = 0.1
"""Two entries that share fewer of their volumes are halves of one neuron."""
YES, NO, NO_VOTE = 1, 0, -1


def second_opinions(volumes: list[Volume], teachers: list[Volume], build: Build, *, seed: int, run: Map, tick: Callable[[], None]) -> Int:
    """Learns two atlases from every other teacher each and asks them about the volumes.

    Args:
        volumes: Of N detections in all; of more than ASKED_VOLUMES, so many are asked about, evenly spread.
        teachers: Volumes to learn from.
        build: Learns an atlas, as solve.build does.
        seed: Of their starts.
        run: Maps a function over volumes.
        tick: Told after every pass of learning, if there is any.

    Returns:
        (2, N) neuron in the atlas of each half, UNKNOWN, or NOT_ASKED: also all of it where there are fewer than two teachers.
    """
    neuron = np.full((2, sum(len(volume.rows) for volume in volumes)), NOT_ASKED)
    if len(teachers) < FEWEST_TEACHERS:
        return neuron
    asked = [volumes[i] for i in _spread(len(volumes), ASKED_VOLUMES)]
    for which in range(2):
        half = teachers[which::2]
        part = [half[i] for i in _spread(len(half), LEARNED_VOLUMES)]
        atlas = build(part, np.random.default_rng([seed, which]), run, tick)

        def who(volume: Volume, atlas: Atlas = atlas) -> Int:
            return solve.sight(volume, atlas).neuron

        for volume, said in zip(asked, run(who, asked), strict=True):
            neuron[which, volume.rows] = said
    return neuron


def confirmed(ours: Int, theirs: Int, volume: Int) -> Int:
    """Says which claims about detections another atlas confirms.

    Who corresponds to whom in the two atlases is told by the other detections they share, never by the one that is asked about: else a
    neuron that was met twice would always be confirmed once.

    Args:
        ours: (N,) neuron, UNKNOWN or NOT_ASKED.
        theirs: (N,) in the other atlas.
        volume: (N,) of each detection.

    Returns:
        (N,) YES, NO or NO_VOTE. Where theirs has cut a neuron of ours in two that never show together, both are it. A neuron of ours
        that was met once cannot be confirmed. An unknown detection is confirmed by unknown, or by a neuron that corresponds to none of
        ours.
    """
    vote = np.full(len(ours), NO_VOTE)
    asked = (ours > NOT_ASKED) & (theirs > NOT_ASKED)
    known = asked & (ours >= 0)
    met = np.bincount(ours[known], minlength=1)
    vote[known] = np.where(met[ours[known]] > 1, NO, NO_VOTE)
    both = np.flatnonzero(known & (theirs >= 0))
    a, b, count, pair = _pairs(ours[both], theirs[both])
    home = (count > 1) & (count - 1 >= _best_other(b, count))  # theirs is mostly this one of ours
    main = home & (count - 1 >= _best_other(a, count))
    chief = np.full(int(a.max(initial=0)) + 1, UNKNOWN)
    chief[a[main]] = b[main]
    for i in np.flatnonzero(home & ~main & (chief[a] >= 0)):
        main[i] = _never_together(int(b[i]), int(chief[a[i]]), volume, theirs)
    vote[both[main[pair]]] = YES
    unknown = asked & (ours == UNKNOWN)
    partners = partner_of(theirs, ours)
    vote[unknown] = np.where((theirs[unknown] < 0) | (partners[np.maximum(theirs[unknown], 0)] < 0), YES, NO)
    return vote


def _never_together(one: int, other: int, volume: Int, neuron: Int) -> bool:
    """Says whether a neuron hardly ever shows in the volumes of another."""
    return bool(np.isin(volume[neuron == one], volume[neuron == other]).mean() < TOGETHER)


def partner_of(ours: Int, theirs: Int) -> Int:
    """Returns for each neuron of ours (K,) the one of theirs that it shares most detections with, if that is mutual; else UNKNOWN."""
    both = (ours >= 0) & (theirs >= 0)
    a, b, count, _ = _pairs(ours[both], theirs[both])
    partner = np.full(max(int(ours.max(initial=0)) + 1, 1), UNKNOWN)
    mutual = count > np.maximum(_best_other(a, count), _best_other(b, count))
    partner[a[mutual]] = b[mutual]
    return partner


def missed_too(volume: Int, neuron: Int, ours: Int, theirs: Int, volume_of_row: Int) -> Int:
    """Says which absences another atlas confirms.

    Args:
        volume: (m,) of each cell.
        neuron: (m,) of ours that is absent there.
        ours: (N,) neuron of every detection, as in confirmed.
        theirs: (N,) likewise.
        volume_of_row: (N,) volume of each detection.

    Returns:
        (m,) YES where theirs misses the corresponding neuron as well, NO where it sees it, NO_VOTE where nobody corresponds or was asked.
    """
    partners = partner_of(ours, theirs)
    partner = np.where(neuron < len(partners), partners[np.minimum(neuron, len(partners) - 1)], UNKNOWN)
    asked = np.isin(volume, volume_of_row[theirs > NOT_ASKED])
    seen = theirs >= 0
    width = int(theirs.max(initial=0)) + 1
    sees = np.isin(volume * width + partner, volume_of_row[seen] * width + theirs[seen])
    return np.where(asked & (partner >= 0), np.where(sees, NO, YES), NO_VOTE)


def absences(neuron: Int, volume_of_row: Int) -> tuple[Int, Int]:
    """Returns every cell (volume (m,), neuron (m,)) of the asked volumes in which a neuron that is met anywhere is not."""
    asked = np.unique(volume_of_row[neuron > NOT_ASKED])
    met = np.unique(neuron[neuron >= 0])
    seen = neuron >= 0
    width = int(neuron.max(initial=0)) + 1
    cell = (asked[:, None] * width + met).ravel()
    missing = cell[~np.isin(cell, volume_of_row[seen] * width + neuron[seen])]
    return missing // width, missing % width


def _pairs(a: Int, b: Int) -> tuple[Int, Int, Int, Int]:
    """Returns the distinct pairs (a, b), how often each is met, and (len(a),) which pair each row is."""
    width = int(b.max(initial=0)) + 1
    pair, index, count = np.unique(a.astype(np.int64) * width + b, return_inverse=True, return_counts=True)
    return pair // width, pair % width, count, index


def _best_other(group: Int, count: Int) -> Int:
    """Returns for each pair the largest count of another pair of the same group; 0 where there is none."""
    if len(group) == 0:
        return np.zeros(0, np.int64)
    order = np.lexsort((-count, group))
    sorted_group, sorted_count = group[order], count[order]
    start = np.searchsorted(sorted_group, sorted_group)
    after = np.minimum(start + 1, len(group) - 1)
    second = np.where((after > start) & (sorted_group[after] == sorted_group), sorted_count[after], 0)
    other = np.empty(len(group), np.int64)
    other[order] = np.where(np.arange(len(group)) == start, second, sorted_count[start])
    return other


def _spread(n: int, most: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.intp))
