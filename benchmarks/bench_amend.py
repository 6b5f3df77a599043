"""What adding and dividing nuclei costs and is worth: seconds until traces are made again, and how many get the right identity.

python benchmarks/bench_amend.py RUN --truth truth.csv --cases 20 --jitter-um 0.5

RUN is a finished run folder beside its recording; both are copied into a folder that is removed afterwards. The truth chooses the clicks,
each off by --jitter-um along every axis, and judges. A neuron that no detection is counts as missed where no nucleus of the volume
holds its true place, and as under-segmented where one does that is another true neuron. At most one case a volume. A neuron that was never
found is not in the atlas: nothing but a person can tell who it is, so these are counted, too.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import barlowtrack as bt
from barlowtrack.data import UNKNOWN, Source, Truth
from barlowtrack.errors import InputError
from barlowtrack.evaluate import evaluate, trace_correlation
from barlowtrack.evaluate.matching import match_points
from barlowtrack.io.tables import read_truth

GATE_UM = 3.0


@dataclass(frozen=True)
class Case:
    """A true neuron that no detection is.

    Attributes:
        t: Volume.
        neuron: True one.
        place_um: Its true place.
        other: True neuron whose detection holds that place too; None where none does.
        other_um: True place of that.
    """

    t: int
    neuron: int
    place_um: np.ndarray
    other: int | None = None
    other_um: np.ndarray | None = None

    @property
    def kind(self) -> str:
        return "add" if self.other is None else "divide"


def of_volume(truth: Truth, t: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.flatnonzero(truth.t == t)
    return truth.neuron[rows], truth.position_um[rows]


def cases(run: bt.Run, truth: Truth, size_um: np.ndarray, wanted: int, seed: int) -> list[Case]:
    """All true neurons without a detection, at most one of each kind a volume; then `wanted` of each kind at random."""
    found: dict[str, list[Case]] = {"add": [], "divide": []}
    for t in range(run.detections.n_volumes):
        neuron, place = of_volume(truth, t)
        part = run.detections.rows_of(t)
        row, true = match_points(run.detections.position_um[part], place, GATE_UM)
        whose = {int(run.detections.label[part][r]): int(k) for r, k in zip(row, true, strict=True)}
        labels = run.labels.read(t)
        here: dict[str, Case] = {}
        for k in np.setdiff1d(np.arange(len(neuron)), true):
            voxel = np.rint(place[k] / size_um).astype(int)
            if np.any(voxel < 0) or np.any(voxel >= labels.shape):
                continue  # not filmed
            label = int(labels[tuple(voxel)])
            if label == 0:
                here.setdefault("add", Case(t, int(neuron[k]), place[k]))
            elif label in whose:
                other = whose[label]
                here.setdefault("divide", Case(t, int(neuron[k]), place[k], int(neuron[other]), place[other]))
        for kind, case in here.items():
            found[kind].append(case)
    rng, chosen, taken = np.random.default_rng(seed), [], set()
    for kind in ("divide", "add"):
        some = [case for case in found[kind] if case.t not in taken]
        print(f"{kind}: {len(found[kind])} volumes have such a neuron")
        picked = [some[i] for i in rng.permutation(len(some))[:wanted]]
        taken |= {case.t for case in picked}
        chosen += picked
    return sorted(chosen, key=lambda case: case.t)


def say(run: bt.Run, case: Case, jitter_um: float, rng: np.random.Generator) -> bool:
    """Clicks; returns whether it was taken."""
    where = tuple(case.place_um + rng.normal(0, jitter_um, 3))
    try:
        if case.other_um is None:
            run.correct("add", t=case.t, position_um=where)
        else:
            run.correct("divide", t=case.t, position_um=tuple(case.other_um + rng.normal(0, jitter_um, 3)), other_um=where)
    except InputError as error:
        print(f"  refused: {error}")
        return False
    return True


def judge(run: bt.Run, truth: Truth, case: Case, ours_of: dict[int, int]) -> list[bool]:
    """Whether the neuron, and the other one that a division concerns, has its identity; None was its own before."""
    neuron, place = of_volume(truth, case.t)
    part = run.detections.rows_of(case.t)
    row, true = match_points(run.detections.position_um[part], place, GATE_UM)
    got = {int(neuron[k]): int(run.tracks.neuron[part][r]) for r, k in zip(row, true, strict=True)}
    who = [case.neuron] + ([] if case.other is None else [case.other])
    return [got.get(k, UNKNOWN) == ours_of.get(k, -2) for k in who]


def solved(run: bt.Run) -> str:
    wall, busy = time.perf_counter(), time.process_time()
    bt.prepare(run.path).run(upto="trace")
    return f"{time.perf_counter() - wall:.2f} s ({time.process_time() - busy:.2f} s of one core)"


def figures(run: bt.Run, truth: Truth) -> str:
    found = evaluate(run.detections, run.tracks, truth)
    r = trace_correlation(run.traces, truth, found.mapping, sources=tuple(Source))
    seen = trace_correlation(run.traces, truth, found.mapping, sources=(Source.SEEN,))
    said = f"recall {found.recall:.4f}, identity {found.identity_accuracy:.4f}"
    return f"{said}, median r {np.nanmedian(r):.4f}, of seen values {np.nanmedian(seen):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=20, help="of each kind")
    parser.add_argument("--jitter-um", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    truth = read_truth(arguments.truth)
    with tempfile.TemporaryDirectory() as place:
        source = bt.prepare(arguments.run)
        shutil.copytree(source.location, Path(place) / source.location.name)
        run = bt.Run(shutil.copytree(source.folder, Path(place) / source.folder.name))
        solved(run)
        ours_of = {true: ours for ours, true in evaluate(run.detections, run.tracks, truth).mapping.items()}
        size_um = np.array(run.folder.about()["card"]["voxel_size_um"])
        chosen = cases(run, truth, size_um, arguments.cases, arguments.seed)
        print(f"before: {figures(run, truth)}")
        rng = np.random.default_rng(arguments.seed)
        for kind in ("divide", "add"):
            for case in [case for case in chosen if case.kind == kind][:1]:
                began = time.perf_counter()
                say(run, case, 0.0, rng)
                answered = time.perf_counter() - began
                seconds = solved(run)
                run.undo_correction(run.corrections.rows[-1].line)
                print(f"one {kind}: {answered:.2f} s to answer, {seconds} until traces; {solved(run)} until it is undone")
        done = [case for case in chosen if say(run, case, arguments.jitter_um, rng)]
        before = [judge(run, truth, case, ours_of) for case in done]
        seconds = solved(run)
        print(f"{len(done)} edits in {len({case.t for case in done})} volumes: {seconds} until traces")
        after = [judge(run, truth, case, ours_of) for case in done]
        for kind in ("divide", "add"):
            rows = [i for i, case in enumerate(done) if case.kind == kind]
            asked = sum(case.kind == kind for case in chosen)
            known = [i for i in rows if done[i].neuron in ours_of]
            right = [sum(judged[i][0] for i in rows) for judged in (before, after)]
            print(f"{kind}: {asked} asked, {len(rows)} taken, {len(known)} of them of neurons that the atlas knows; "
                  f"right {right[0]} before, {right[1]} after", end="")  # fmt: skip
            other = [sum(judged[i][1] for i in rows) for judged in (before, after)] if kind == "divide" else []
            print(f"; the other part right {other[0]} before, {other[1]} after" if other else "")
        print(f"after: {figures(run, truth)}")


if __name__ == "__main__":
    main()
