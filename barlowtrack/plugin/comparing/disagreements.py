"""Where two accounts of one recording disagree, nucleus by nucleus, and in stretches over time. No Qt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from barlowtrack.comparing.moved import stretches
from barlowtrack.data import UNKNOWN, FloatArray, IntArray


class Kind(IntEnum):
    """How ours and theirs (the truth, or another run) go together at one nucleus."""

    AGREES = 0
    WRONG = 1
    """Another neuron than they say."""
    SWAPPED = 2
    """The same, and in this volume the two neurons are exchanged."""
    UNKNOWN = 3
    """They know who it is, we do not."""
    ONLY_OURS = 4
    """We say who it is, they do not."""
    MISSED = 5
    """They have a nucleus where we have none."""
    FALSE = 6
    """We have a nucleus where they have none."""


@dataclass(frozen=True)
class Nuclei:
    """Every nucleus of ours and of theirs, one row each; one that both have is one row.

    Attributes:
        t: (P,) volume.
        ours: (P,) our neuron; UNKNOWN where nobody, or where we have no nucleus.
        theirs: (P,) their neuron, in their numbers; what it says where they have no nucleus, or nobody, does not count.
        named: (P,) bool: whether they say who it is.
        position_um: (P, 3) z, y, x; as we have it, else as they do.
        theirs_um: (P, 3) as they have it; NaN where they have none.
        kind: (P,) Kind.
    """

    t: IntArray
    ours: IntArray
    theirs: IntArray
    named: IntArray
    position_um: FloatArray
    theirs_um: FloatArray
    kind: IntArray


@dataclass(frozen=True)
class Disagreement:
    """One nucleus or more in a row in time at which the same is amiss.

    Attributes:
        kind: What.
        first: Volume of the first.
        last: Volume of the last.
        count: Nuclei; of a swapped pair, of both.
        ours: Our neuron; UNKNOWN where none.
        theirs: Their neuron, in their numbers; None where none.
        really: Which of our neurons theirs is, taken over the whole recording; UNKNOWN where none.
        position_um: z, y, x of the first.
    """

    kind: Kind
    first: int
    last: int
    count: int
    ours: int
    theirs: int | None
    really: int
    position_um: tuple[float, float, float]

    @property
    def neurons(self) -> tuple[int, ...]:
        """Our neurons that are concerned."""
        return tuple(neuron for neuron in (self.ours, self.really) if neuron != UNKNOWN)


def mark_swapped(kind: IntArray, t: IntArray, ours: IntArray, really: IntArray) -> IntArray:
    """Returns kinds in which two wrong nuclei of a volume that are each other's are a swapped pair.

    Args:
        kind: (P,) Kind.
        t: (P,) volume.
        ours: (P,) our neuron.
        really: (P,) which of our neurons theirs is; UNKNOWN where none.
    """
    wrong = np.flatnonzero((kind == Kind.WRONG) & (really != UNKNOWN))
    said = {(int(t[i]), int(ours[i]), int(really[i])) for i in wrong}
    both = [i for i in wrong if (int(t[i]), int(really[i]), int(ours[i])) in said]
    marked = kind.copy()
    marked[both] = Kind.SWAPPED
    return marked


def in_our_numbers(theirs: IntArray, named: IntArray, same: Mapping[int, int]) -> IntArray:
    """Returns which of our neurons theirs are, (P,); UNKNOWN where none.

    Args:
        theirs: (P,) their neuron.
        named: (P,) bool: whether they say who it is.
        same: Our neuron -> their neuron, one to one.
    """
    back = {theirs: ours for ours, theirs in same.items()}
    found = [back.get(int(neuron), UNKNOWN) if known else UNKNOWN for neuron, known in zip(theirs, named, strict=True)]
    return np.asarray(found, np.int64)


def find(nuclei: Nuclei, same: Mapping[int, int]) -> tuple[Disagreement, ...]:
    """Lists what is amiss, the longest stretch first.

    A stretch is of one neuron: ours where we say who it is, else theirs. It ends where that neuron is right again, or something else is
    amiss with it; volumes in which it is not seen, or nobody knows the truth, do not end it. A nucleus that nobody has a number for
    stands alone.

    Args:
        nuclei: Of ours and theirs.
        same: Our neuron -> their neuron, one to one.
    """
    really = in_our_numbers(nuclei.theirs, nuclei.named, same)
    found = [_disagreement(rows, nuclei, really) for rows in _stretches(nuclei)]
    once = [one for one in found if one.kind is not Kind.SWAPPED or one.ours < one.really]  # a pair is told from both of its sides
    return tuple(sorted(once, key=lambda one: (-one.count, one.first, one.kind, one.ours)))


def _stretches(nuclei: Nuclei) -> Iterator[IntArray]:
    amiss = nuclei.kind != Kind.AGREES
    what = np.unique(np.stack([nuclei.theirs * nuclei.named, nuclei.kind]), axis=1, return_inverse=True)[1]
    ours = nuclei.ours != UNKNOWN
    yield from stretches(nuclei.ours, what, nuclei.t, amiss & ours, ours)
    yield from stretches(nuclei.theirs, nuclei.kind, nuclei.t, amiss & ~ours & nuclei.named, nuclei.named)
    yield from np.flatnonzero(amiss & ~ours & ~nuclei.named)[:, None]


def _disagreement(rows: IntArray, nuclei: Nuclei, really: IntArray) -> Disagreement:
    i = int(rows[0])
    kind = Kind(int(nuclei.kind[i]))
    z, y, x = nuclei.position_um[i].tolist()
    return Disagreement(
        kind=kind,
        first=int(nuclei.t[i]),
        last=int(nuclei.t[rows[-1]]),
        count=len(rows) * (2 if kind is Kind.SWAPPED else 1),
        ours=int(nuclei.ours[i]),
        theirs=int(nuclei.theirs[i]) if nuclei.named[i] else None,
        really=int(really[i]),
        position_um=(z, y, x),
    )
