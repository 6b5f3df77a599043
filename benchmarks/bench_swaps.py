"""How many two-neuron swaps are found, and how many are seen where none is.

    python benchmarks/bench_run.py --preset mid --ways default --keep runs
    python benchmarks/bench_swaps.py --runs runs/mid-0
    python benchmarks/bench_swaps.py --runs runs/mid-0 --position-only
    python benchmarks/bench_swaps.py --chance

With --runs: swaps of 1, 3, 10 and 50 volumes are put between near neighbours in the traces of a kept run, six at a time, repeatedly;
found is a pair whose volumes (or those that remain: of half a recording nobody can tell) overlap those put in by half of both together.
Other pairs count as false. Then what is found in the run as it is, held against the truth. With --position-only identities are first
worked out again without appearance, which makes many mistakes. With --chance: recordings of random light in which nothing is swapped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from barlowtrack.activity.swaps import find_swaps, near_pairs
from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import UNKNOWN, Corrections
from barlowtrack.evaluate.matching import map_ids, match_points
from barlowtrack.io.tables import read_truth
from barlowtrack.stages.identify import identify
from barlowtrack.stages.track import track
from barlowtrack.storage import load

LENGTHS = (1, 3, 10, 50)
AT_ONCE = 6
GATE_UM = 2.0


class Film(NamedTuple):
    """(K, T) light and size of what was seen, where neurons usually lie, and who each truly is (UNKNOWN: nobody near)."""

    red: np.ndarray
    green: np.ndarray
    volume: np.ndarray
    position: np.ndarray
    true: np.ndarray

    def found(self) -> dict[tuple[int, int], np.ndarray]:
        """Pair -> (T,) where it seems to be swapped."""
        swaps = find_swaps(self.red, self.green, self.volume, self.position)
        where: dict[tuple[int, int], np.ndarray] = {}
        for first, last, pair in zip(swaps.first, swaps.last, swaps.neuron, strict=True):
            where.setdefault((int(pair[0]), int(pair[1])), np.zeros(self.red.shape[1], bool))[first : last + 1] = True
        return where


def film_of(folder: Path, position_only: bool) -> Film:
    run = folder / "recording.barlowtrack"
    detections, tracks = load("detections", run), load("tracks", run)
    table = pd.read_parquet(run / "traces.parquet", columns=["t", "neuron", "red", "green"])
    lit = pd.DataFrame({"t": detections.t, "neuron": tracks.neuron}).merge(table, on=["t", "neuron"], how="left")
    neuron = tracks.neuron
    if position_only:
        config, looks, embeddings = TrackConfig(appearance=False), load("volumes", run), load("embeddings", run)
        seen = identify(detections, looks, embeddings, config=config, compute=ComputeConfig(workers=1), seed=0)
        neuron = track(detections, embeddings, seen.learned, seen.identities, Corrections(), config=config).tracks.neuron
    truth = read_truth(folder / "truth.csv")
    true = np.full(len(detections), UNKNOWN)
    for t in range(detections.n_volumes):
        rows, there = np.arange(len(detections))[detections.rows_of(t)], np.flatnonzero(truth.t == t)
        i, j = match_points(detections.position_um[rows], truth.position_um[there], GATE_UM)
        true[rows[i]] = truth.neuron[there[j]]
    known = neuron != UNKNOWN
    shape = (int(neuron.max()) + 1, detections.n_volumes)

    def grid(values: np.ndarray, empty: float = np.nan) -> np.ndarray:
        laid_out = np.full((*shape, *values.shape[1:]), empty, values.dtype)
        laid_out[neuron[known], detections.t[known]] = values[known]
        return laid_out

    place = np.ma.median(np.ma.masked_invalid(grid(detections.position_um.astype(float))), axis=1).filled(np.nan)
    light = (lit[name].to_numpy(float) for name in ("red", "green"))
    return Film(*map(grid, light), grid(detections.volume_um3.astype(float)), place, grid(true, UNKNOWN))  # type: ignore[call-arg]


def put_in(film: Film, length: int, rng: np.random.Generator) -> tuple[Film, dict[tuple[int, int], np.ndarray]]:
    """The film with swaps between pairs that are both seen in four of five of the swapped volumes."""
    swapped = Film(*(part.copy() for part in film))
    n_volumes, where = film.red.shape[1], {}
    for i, j in rng.permutation(near_pairs(film.position, 3)):
        first = int(rng.integers(n_volumes - length + 1))
        inside = np.s_[first : first + length]
        both = np.isfinite(film.red[[i, j], inside]).all(axis=0)
        if len(where) == AT_ONCE or {i, j} & {n for pair in where for n in pair} or both.mean() < 0.8:
            continue
        where[int(i), int(j)] = np.isin(np.arange(n_volumes), np.arange(n_volumes)[inside])
        for part in (swapped.red, swapped.green, swapped.volume):
            part[[i, j], inside] = part[[j, i], inside]
    return swapped, where


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def score_put_in(film: Film, repeats: int) -> None:
    nothing = np.zeros(film.red.shape[1], bool)
    for length in LENGTHS:
        rng, hits, total, false = np.random.default_rng(length), 0, 0, 0
        for _ in range(repeats):
            swapped, where = put_in(film, length, rng)
            found = swapped.found()
            hits += sum(max(overlap(found.get(p, nothing), w), overlap(found.get(p, nothing), ~w)) >= 0.5 for p, w in where.items())
            total, false = total + len(where), false + len(found.keys() - where.keys())
        print(f"  {length:3d} volumes: found {hits} of {total}, false {false / repeats:.2f} a recording")


def score_as_is(film: Film) -> None:
    """Prints what is found where truth says what; a mistake is mirrored where each of two neurons is the other's."""
    neuron, t = np.nonzero(film.true != UNKNOWN)
    home = map_ids(neuron, film.true[neuron, t])
    own = np.array([home.get(k, -2) for k in range(len(film.true))])
    wrong = (film.true != UNKNOWN) & (film.true != own[:, None])
    back = {true: ours for ours, true in home.items()}
    mirrored = {}
    for i, t in zip(*np.nonzero(wrong), strict=True):
        j = back.get(int(film.true[i, t]))
        if j is not None and i < j and film.true[j, t] == own[i]:
            mirrored.setdefault((int(i), j), np.zeros(wrong.shape[1], bool))[t] = True
    found = film.found()
    print(f"  as it is: {wrong.sum()} wrong values; {len(mirrored)} pairs swapped in {sum(w.sum() for w in mirrored.values())} volumes")
    hit = [pair for pair in found if pair in mirrored and (found[pair] & mirrored[pair]).any()]
    partly = [(i, j) for (i, j) in found if (i, j) not in hit and (wrong[[i, j]] & found[i, j]).any()]
    rest = len(found) - len(hit) - len(partly)
    print(f"  found {len(found)} pairs: {len(hit)} swapped, {len(partly)} with another mistake, {rest} right")
    volumes = sum(int((found[pair] & mirrored[pair]).sum()) for pair in hit)
    flagged = np.zeros_like(wrong)
    for pair, where in found.items():
        flagged[list(pair)] |= where
    print(f"  swapped volumes found: {volumes}; wrong values flagged: {(wrong & flagged).sum()}, right ones: {(flagged & ~wrong).sum()}")


def chance(seed: int, n_volumes: int, *, brightness: float, slow: float, outliers: float, k: int = 120) -> Film:
    """Random light: white noise, slow drifts and outliers about levels of their own."""
    rng = np.random.default_rng(seed)

    def drift(memory: float) -> np.ndarray:
        values = rng.normal(size=(k, n_volumes))
        for t in range(1, n_volumes):
            values[:, t] = memory * values[:, t - 1] + np.sqrt(1 - memory**2) * values[:, t]
        return values

    odd = rng.random((k, n_volumes)) < outliers
    red = rng.normal(5, brightness, (k, 1)) + 0.08 * rng.normal(size=(k, n_volumes)) + slow * drift(0.98) + 0.8 * odd * drift(0)
    size = rng.normal(2, 0.2, (k, 1)) + 0.12 * rng.normal(size=(k, n_volumes)) + 0.1 * drift(0.9) + 0.8 * odd * drift(0)
    green = red + 0.5 * np.clip(drift(0.95), 0, None) + 0.05 * rng.normal(size=(k, n_volumes))
    gone = rng.random((k, n_volumes)) < 0.06
    values = [np.where(gone, np.nan, np.exp(values)) for values in (red, green, size)]
    return Film(*values, rng.uniform(0, (15, 25, 90), (k, 3)), np.zeros((k, n_volumes), int))  # type: ignore[call-arg]


def score_chance(repeats: int) -> None:
    for name, made in {
        "white noise": {"brightness": 0.7, "slow": 0.0, "outliers": 0.0},
        "slow drifts": {"brightness": 0.7, "slow": 0.15, "outliers": 0.0},
        "neurons alike": {"brightness": 0.1, "slow": 0.05, "outliers": 0.0},
        "outliers": {"brightness": 0.7, "slow": 0.05, "outliers": 0.05},
    }.items():
        began = time.perf_counter()
        counts = [len(chance(seed, 100, **made).found()) for seed in range(repeats)]
        print(f"{name}: {np.mean(counts):.2f} pairs a recording (most {max(counts)}), {(time.perf_counter() - began) / repeats:.2f} s each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--position-only", action="store_true")
    parser.add_argument("--chance", action="store_true")
    parser.add_argument("--repeats", type=int, default=8)
    given = parser.parse_args()
    for folder in given.runs:
        print(folder.name)
        film = film_of(folder, given.position_only)
        if not given.position_only:
            score_put_in(film, given.repeats)
        score_as_is(film)
    if given.chance:
        score_chance(given.repeats)


if __name__ == "__main__":
    main()
