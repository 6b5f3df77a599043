"""The comparison of two runs in numbers: a pure function of their tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from barlowtrack.comparing.moved import Moved, elsewhere, moves, pair_detections, pair_neurons
from barlowtrack.comparing.side import Making, Side
from barlowtrack.config import differences
from barlowtrack.data import UNKNOWN, FloatArray, IntArray, Swaps
from barlowtrack.errors import InputError

LEAST_CHANGE = 1e-3
"""Of a trace, in its own spread: below it two traces are one line in every figure."""

_GIVEN = {"segmenter": "another segmenter model", "start": "another encoder to start from"}


@dataclass(frozen=True)
class ChangedTrace:
    """A neuron whose trace differs.

    Attributes:
        neuron_a: In A.
        neuron_b: The same in B.
        change: Root mean square of the difference where both have a value, in standard deviations of both.
        lost: Volumes in which only A has a value.
        gained: Volumes in which only B has.
    """

    neuron_a: int
    neuron_b: int
    change: float
    lost: int
    gained: int


@dataclass(frozen=True)
class Comparison:
    """Two runs of one recording.

    Attributes:
        a: The run that is compared.
        b: The run that it is compared with.
        row_a: (P,) rows of A's detections that B found too.
        row_b: (P,) the same in B.
        same: Neuron of A -> the same neuron in B, one to one.
        moved: Whose identity moved, the longest stretch first.
    """

    a: Side
    b: Side
    row_a: IntArray
    row_b: IntArray
    same: dict[int, int]
    moved: tuple[Moved, ...]

    @property
    def n_moved(self) -> int:
        """Shared detections whose identity differs."""
        return sum(move.detections for move in self.moved)

    @property
    def n_given_up(self) -> tuple[int, int]:
        """Of them those that have a neuron in A only, and those that have one in B only."""
        one = sum(move.detections for move in self.moved if move.neuron_b == UNKNOWN)
        return one, sum(move.detections for move in self.moved if move.neuron_a == UNKNOWN)

    @property
    def n_another(self) -> int:
        """Of them those that have another neuron in B than in A."""
        return self.n_moved - sum(self.n_given_up)

    @property
    def settings(self) -> tuple[str, ...]:
        """What differs in settings, versions, seeds and in what came from outside, from A to B."""
        return tuple(dict.fromkeys(_differences(self.a, self.b)))

    @property
    def renamed(self) -> tuple[tuple[int, int], ...]:
        """Neurons of A and of B that are the same and are called otherwise."""
        pairs = sorted(self.same.items())
        return tuple((i, j) for i, j in pairs if self.a.neuron_names[i] != self.b.neuron_names[j])

    @property
    def alone(self) -> tuple[IntArray, IntArray]:
        """Neurons that only A has, and neurons that only B has."""
        return np.setdiff1d(self.a.neurons, list(self.same)), np.setdiff1d(self.b.neurons, list(self.same.values()))

    @property
    def agreement(self) -> FloatArray:
        """(T,) share of the shared detections with an identity in A or B that have the same in both; NaN where there are none."""
        a, b, n = self.a.tracks.neuron[self.row_a], self.b.tracks.neuron[self.row_b], self.a.detections.n_volumes
        known, t = (a != UNKNOWN) | (b != UNKNOWN), self.a.detections.t[self.row_a]
        same = np.bincount(t[known & ~elsewhere(a, b, self.same)], minlength=n)
        count = np.bincount(t[known], minlength=n)
        return np.where(count > 0, same / np.maximum(count, 1), np.nan)

    @property
    def unshared(self) -> tuple[IntArray, IntArray]:
        """(T,) detections by volume that only A found, and (T,) that only B found."""
        n = self.a.detections.n_volumes
        sides = ((self.a.detections.t, self.row_a), (self.b.detections.t, self.row_b))
        one, other = (np.bincount(t, minlength=n) - np.bincount(t[rows], minlength=n) for t, rows in sides)
        return one, other

    @cached_property
    def traces(self) -> tuple[ChangedTrace, ...]:
        """Neurons of both whose traces differ, most changed first."""
        signal = self.a.has_signal or self.b.has_signal
        a, b = self.a.activity(signal), self.b.activity(signal)
        if a is None or b is None:
            return ()
        found = [_changed(i, j, a[i], b[j]) for i, j in self.same.items()]
        changed = [one for one in found if one.change > LEAST_CHANGE or one.lost or one.gained]
        return tuple(sorted(changed, key=lambda one: (-one.change, -one.lost - one.gained, one.neuron_a)))

    @property
    def has_traces(self) -> bool:
        """Whether both have traces to compare."""
        return self.a.traces is not None and self.b.traces is not None

    @property
    def swaps_differ(self) -> bool:
        """Whether other stretches are suspected, where both were searched."""
        if self.a.swaps is None or self.b.swaps is None:
            return False
        return _stretches(self.a.swaps, self.same) != _stretches(self.b.swaps, {neuron: neuron for neuron in self.same.values()})

    @property
    def certainty(self) -> float:
        """Mean absolute difference of the probability of the shared detections; 0 where none is shared."""
        a, b = self.a.tracks.probability[self.row_a], self.b.tracks.probability[self.row_b]
        return float(np.abs(a.astype(np.float64) - b).mean()) if len(a) else 0.0

    @property
    def is_nothing(self) -> bool:
        """Whether the results are the same but for the numbers of the neurons."""
        same_detections = not any(count.any() for count in self.unshared)
        return same_detections and not (self.moved or self.certainty or self.traces or self.renamed or self.swaps_differ)

    def html(self) -> str:
        """Returns the page; the same two runs give the same bytes."""
        from barlowtrack.comparing.page import write_page

        return write_page(self)

    def write(self, path: Path | str) -> Path:
        """Writes the page as a file, and returns where.

        Raises:
            InputError: it ends otherwise than in .html, is a folder, or its folder is not there.
            StorageError: it would replace a part of a run folder, or change a recording.
        """
        from barlowtrack.storage.atomic import write_bytes
        from barlowtrack.storage.outputs import writing

        path = Path(path)
        refuse_place(path)
        with writing(path):
            write_bytes(path, self.html().encode())
        return path


def refuse_place(path: Path) -> None:
    """Refuses a place that the page cannot be written to.

    Raises:
        InputError, StorageError: see Comparison.write.
    """
    from barlowtrack.storage.outputs import refuse_output

    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: expected a name that ends in .html, got {path.suffix or 'no ending'}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: expected an existing folder to write it into, got {path.parent}")
    if path.is_dir():
        raise InputError(f"{path}: expected the name of a file, got a folder")
    refuse_output(path)


def compare_sides(a: Side, b: Side) -> Comparison:
    """Compares two runs of one recording.

    Neurons are matched by a single assignment over the whole recording, so that other numbers are no change.

    Args:
        a: One.
        b: The other; of the same volumes, positions in the same unit.

    Raises:
        InputError: they have another number of volumes.
    """
    if a.detections.n_volumes != b.detections.n_volumes:
        raise InputError(f"compare: expected runs of as many volumes, got {a.detections.n_volumes} and {b.detections.n_volumes}")
    row_a, row_b = pair_detections(a.detections, b.detections)
    same = pair_neurons(a.tracks.neuron[row_a], b.tracks.neuron[row_b])
    return Comparison(a, b, row_a, row_b, same, moves(a.detections.t[row_a], a.tracks, b.tracks, row_a, row_b, same))


def _differences(a: Side, b: Side) -> Iterator[str]:
    """Yields what differs in what the stages of both worked from, stage by stage."""
    nothing = Making(0, None)
    for stage in dict.fromkeys([*a.stages, *b.stages]):
        old, new = a.stages.get(stage, nothing), b.stages.get(stage, nothing)
        if old is nothing or new is nothing:
            yield f"{stage} was run in {'B' if old is nothing else 'A'} only"
            continue
        if old.version != new.version:
            yield f"{stage} version {old.version} -> {new.version}"
        if old.seed != new.seed:
            yield f"seed {old.seed} -> {new.seed}"
        yield from differences(old.recording, new.recording, "recording ")
        yield from differences(old.settings, new.settings)
        for name, digest in new.given.items():
            if old.given.get(name, digest) != digest:
                yield _GIVEN.get(name) or f"{name} {_counted(old.given[name])} -> {_counted(digest)}"


def _counted(digest: str) -> str:
    """Returns how many corrections there are, with which their digest begins."""
    count = digest.partition(" ")[0]
    return count if count.isdecimal() else "0"


def _stretches(swaps: Swaps, number: dict[int, int]) -> set[tuple[int, int, frozenset[int]]]:
    """Returns suspected swaps without their evidence; number: of every neuron in B, so that other numbers are no other swap."""
    pairs = [frozenset(number.get(neuron, UNKNOWN) for neuron in pair) for pair in swaps.neuron.tolist()]
    return set(zip(swaps.first.tolist(), swaps.last.tolist(), pairs, strict=True))


def _changed(neuron_a: int, neuron_b: int, a: FloatArray, b: FloatArray) -> ChangedTrace:
    in_a, in_b = np.isfinite(a), np.isfinite(b)
    one, other = (values[in_a & in_b].astype(np.float64) for values in (a, b))
    change = 0.0
    if len(one) > 1:
        spread = float(np.sqrt((one.var() + other.var()) / 2))
        change = float(np.sqrt(np.mean((one - other) ** 2))) / max(spread, 1e-12)
    lost, gained = (int(np.count_nonzero(alone)) for alone in (in_a & ~in_b, in_b & ~in_a))
    return ChangedTrace(neuron_a, neuron_b, change, lost, gained)
