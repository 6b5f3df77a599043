"""Ours against the truth, and against another run: the same rights and wrongs as `evaluate` and `report --compare` count. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from barlowtrack.api import Run, prepare
from barlowtrack.comparing import Side, compare_sides
from barlowtrack.comparing.moved import elsewhere
from barlowtrack.comparing.two_runs import scaled
from barlowtrack.data import UNKNOWN, Detections, Preparation, Truth
from barlowtrack.errors import InputError
from barlowtrack.evaluate import STRANGE_RECALL, Outcome, evaluate
from barlowtrack.plugin.comparing.disagreements import Disagreement, Kind, Nuclei, find, in_our_numbers, mark_swapped
from barlowtrack.plugin.solution import Solution

_KIND_OF = {Outcome.CORRECT: Kind.AGREES, Outcome.MISMATCHED: Kind.WRONG, Outcome.UNIDENTIFIED: Kind.UNKNOWN, Outcome.UNMATCHED: Kind.FALSE}


@dataclass(frozen=True)
class Against:
    """What a comparison says.

    Attributes:
        headline: How far they agree, in a sentence.
        doubt: Why one should not believe it; "" where nothing speaks against it.
        found: What is amiss, the longest stretch first.
        nuclei: Of ours and theirs.
        truth: Whether theirs is the truth; else it is another opinion.
    """

    headline: str
    doubt: str
    found: tuple[Disagreement, ...]
    nuclei: Nuclei
    truth: bool

    def count(self, kind: Kind) -> int:
        """Returns how many nuclei are of a kind."""
        return int(np.count_nonzero(self.nuclei.kind == kind))


def against_truth(solution: Solution, truth: Truth, gate_um: float) -> Against:
    """Holds a run against the truth; right and wrong are what `barlowtrack evaluate` takes for it.

    Args:
        solution: Ours.
        truth: Who is where; volumes that it does not name are not scored.
        gate_um: Farthest a detection may be from its true neuron.

    Raises:
        InputError: nothing to compare with, or not in the volumes of this run.
    """
    n = solution.n_volumes
    if not len(truth):
        raise InputError("truth: no row tells a neuron; there is nothing to compare with")
    if truth.t.min() >= n:
        raise InputError(f"truth: expected volumes 0 to {n - 1}, as in {solution.path}, got {truth.t.min()} and later")
    scores = evaluate(solution.detections, solution.tracks, truth, gate_um=gate_um)
    rows = np.flatnonzero(scores.outcome != Outcome.UNSCORED)  # of our detections
    true = scores.matched[rows]
    missed = np.setdiff1d(scores.scored, true)  # rows of the truth
    named = np.concatenate([true != UNKNOWN, np.ones(len(missed), bool)])
    true = np.concatenate([true, missed])
    place = np.where(named[:, None], truth.position_um[true], np.nan)
    ours = np.concatenate([solution.tracks.neuron[rows], np.full(len(missed), UNKNOWN)])
    theirs = np.where(named, truth.neuron[true], 0)
    t = np.concatenate([solution.detections.t[rows], truth.t[missed]])
    kind = np.concatenate([np.array([_KIND_OF[Outcome(one)] for one in scores.outcome[rows]], int), np.full(len(missed), Kind.MISSED)])
    nuclei = Nuclei(
        t=t,
        ours=ours,
        theirs=theirs,
        named=named,
        position_um=np.concatenate([solution.detections.position_um[rows], truth.position_um[missed]]),
        theirs_um=place,
        kind=mark_swapped(kind, t, ours, in_our_numbers(theirs, named, scores.mapping)),
    )
    wrong, unknown = int(scores.neurons.mismatched.sum()), int(scores.neurons.unidentified.sum())
    said = (
        f"{scores.identity_accuracy:.1%} of {_counted(scores.n_true, 'true nucleus', 'true nuclei')} in {_volumes(scores.n_volumes)} carry "
        f"the right identity: {wrong} wrong, {unknown} unknown, {len(missed)} missed. {np.count_nonzero(kind == Kind.FALSE)} nuclei of "
        f"ours are at no true neuron: false, or nobody annotated them."
    )
    doubt = ""
    if scores.recall < STRANGE_RECALL:
        doubt = f"Only {scores.recall:.0%} of the true nuclei have one of ours near them: is it this recording's truth, in the same unit?"
    return Against(said, doubt, find(nuclei, scores.mapping), nuclei, truth=True)


def against_run(ours: Solution, theirs: Solution) -> Against:
    """Holds a run against another of the same recording; what differs is what `barlowtrack report --compare` takes for it.

    Args:
        ours: One run.
        theirs: The other.

    Raises:
        InputError: they have another number of volumes.
    """
    factor = np.array(ours.voxel_size_um) / np.array(theirs.voxel_size_um)
    there = scaled(theirs.detections, factor)
    compared = compare_sides(_side("ours", ours), replace(_side("theirs", theirs), detections=there))
    a, b = compared.row_a, compared.row_b
    only_a, only_b = np.setdiff1d(np.arange(len(ours.detections)), a), np.setdiff1d(np.arange(len(there)), b)
    nobody_a, nobody_b = np.full(len(only_a), UNKNOWN), np.full(len(only_b), UNKNOWN)
    ids_a, ids_b = ours.tracks.neuron[a], theirs.tracks.neuron[b]
    kind = np.where(elsewhere(ids_a, ids_b, compared.same), Kind.WRONG, Kind.AGREES)
    kind[(kind == Kind.WRONG) & (ids_a == UNKNOWN)] = Kind.UNKNOWN
    kind[(kind == Kind.WRONG) & (ids_b == UNKNOWN)] = Kind.ONLY_OURS
    kind = np.concatenate([kind, np.full(len(only_a), Kind.FALSE), np.full(len(only_b), Kind.MISSED)])
    our_ids = np.concatenate([ids_a, ours.tracks.neuron[only_a], nobody_b])
    their_ids = np.concatenate([ids_b, nobody_a, theirs.tracks.neuron[only_b]])
    t = np.concatenate([ours.detections.t[a], ours.detections.t[only_a], there.t[only_b]])
    named = their_ids != UNKNOWN
    nowhere = np.full((len(only_a), 3), np.nan)
    nuclei = Nuclei(
        t=t,
        ours=our_ids,
        theirs=their_ids,
        named=named,
        position_um=np.concatenate([ours.detections.position_um[a], ours.detections.position_um[only_a], there.position_um[only_b]]),
        theirs_um=np.concatenate([there.position_um[b], nowhere, there.position_um[only_b]]),
        kind=mark_swapped(kind, t, our_ids, in_our_numbers(their_ids, named, compared.same)),
    )
    share = 1 - compared.n_moved / len(a) if len(a) else float("nan")
    here, elsewhere_ = compared.n_given_up
    said = (
        f"{share:.1%} of {_counted(len(a), 'nucleus', 'nuclei')} that both have, in {_volumes(ours.n_volumes)}, have the same identity: "
        f"{compared.n_another} have another neuron, {here} one only here, {elsewhere_} one only there. {len(only_a)} nuclei only here, "
        f"{len(only_b)} only there. Neither run is the truth."
    )
    return Against(said, "", find(nuclei, compared.same), nuclei, truth=False)


def read_other(path: Path, ours: Solution) -> Solution:
    """Reads another run of the same recording.

    Args:
        path: Run folder, or a recording that has one.
        ours: What it is held against.

    Raises:
        StorageError: no run there, or no tracks yet.
        InputError: it is a run of another recording.
    """
    folder = prepare(path).folder
    theirs = Solution.read(folder)
    contents = [Run(one).folder.about()["card"].get("content") for one in (ours.path, folder)]
    if contents[0] != contents[1]:
        raise InputError(f"{folder}: a run of another recording; expected another run of the one that is open, {ours.path.name}")
    return replace(theirs, detections=_where_ours_are(theirs, Run(folder).preparation, Run(ours.path).preparation))


def _where_ours_are(theirs: Solution, their: Preparation, our: Preparation) -> Detections:
    """Takes their nuclei to our pictures, where the two runs prepared them in different ways."""
    found, size = theirs.detections, theirs.voxel_size_um
    if their.shape is None and our.shape is None:
        return found
    position_um = our.prepared_um(found.t, their.recorded_um(found.t, found.position_um, size), size)
    return replace(found, position_um=position_um.astype(found.position_um.dtype))


def _side(name: str, solution: Solution) -> Side:
    return Side(name, solution.detections, solution.tracks, solution.names.given)


def _counted(n: int, one: str, more: str) -> str:
    return f"{n} {one if n == 1 else more}"


def _volumes(n: int) -> str:
    return _counted(n, "volume", "volumes")
