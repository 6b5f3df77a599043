"""Names carried from one animal to another: how many, how many of them rightly, and what becomes of unrelated animals.

python benchmarks/bench_across.py
python benchmarks/bench_across.py --points ../shared/data/nerve_worm1_points/points.csv     real points, if you have them

Two recordings of a synthetic worm, each of which has to find its own neurons first. The second animal is another individual: its neurons
lie --variation neighbour distances (root mean square) from where those of the first lie, 10 % of them are missing and 10 % others are
there instead; it moves otherwise, lies on the other side at another angle in the plane, and is measured in another unit. "unrelated": an
animal with other neurons altogether. Of the real points, the two halves of the recording stand for the two animals.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from bench_track import detections_at
from threadpoolctl import threadpool_limits

from barlowtrack import synthetic
from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import UNKNOWN, Embeddings, VolumeLooks
from barlowtrack.evaluate.matching import map_ids
from barlowtrack.identity.across import match_atlases
from barlowtrack.identity.learned import Learned
from barlowtrack.stages.identify import identify
from barlowtrack.synthetic.worm import Worm

OTHER_UNIT = 1000.0
DROPPED = 0.1
JITTER_UM = 0.3


@dataclass(frozen=True)
class Animal:
    """What was learned of an animal, and which of its true neurons every entry is; UNKNOWN: none."""

    learned: Learned
    true: np.ndarray


def grow(n_neurons: int, seed: int) -> Worm:
    return Worm.grow(synthetic.preset("mid", n_neurons=n_neurons, granules=0), seed)


def another(worm: Worm, variation: float, rng: np.random.Generator, seed: int) -> tuple[Worm, np.ndarray]:
    """Another individual that moves by itself, and which neuron of the first each of its neurons is; UNKNOWN: none."""
    n = worm.config.n_neurons
    there = np.sort(rng.choice(n, n - n // 10, replace=False))
    shift = rng.normal(0, variation * worm.neighbour_um / np.sqrt(3), (n, 3))
    place = np.c_[worm.along * worm.length_um, worm.across_um] + shift
    extra = place[rng.integers(0, n, n // 10)] + rng.normal(0, 1.5 * worm.neighbour_um, (n // 10, 3))
    place = np.concatenate([place[there], extra])
    moving = grow(len(place), seed)
    body = {"length_um": worm.length_um, "body_radius_um": worm.body_radius_um}
    return replace(moving, along=place[:, 0] / worm.length_um, across_um=place[:, 1:], **body), np.append(there, [UNKNOWN] * len(extra))


def record(worm: Worm, who: np.ndarray, n_volumes: int, rng: np.random.Generator, *, other_side: bool) -> Animal:
    """Detects the neurons of a worm, and learns its atlas of them."""
    t, place, true = [], [], []
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]])
    for volume in range(n_volumes):
        points = worm.pose(4 * volume).position_um
        left = rng.permutation(np.flatnonzero(rng.random(len(points)) >= DROPPED))
        points = points[left] + rng.normal(0, JITTER_UM, (len(left), 3))
        if other_side:
            points = points * (-1, -1, 1) @ turn * OTHER_UNIT
        t += [volume] * len(left)
        place.append(points)
        true.append(left)
    return learn(np.array(t), np.concatenate(place), np.concatenate(true), who)


def learn(t: np.ndarray, place: np.ndarray, neuron: np.ndarray, who: np.ndarray) -> Animal:
    """Learns the atlas of detections at places (N, 3) of true neurons (N,), or UNKNOWN; who says what these are in the other animal."""
    n_volumes = int(t.max()) + 1
    found = detections_at(t, place, n_volumes)
    looks = VolumeLooks(np.bincount(t, minlength=n_volumes), np.ones(n_volumes), np.ones(n_volumes))
    unseen = Embeddings(np.ones((len(found), 1), np.float32))
    said = identify(found, looks, unseen, config=TrackConfig(appearance=False), compute=ComputeConfig(workers=1), seed=0)
    known = (said.identities.neuron >= 0) & (neuron >= 0)
    mapping = map_ids(said.identities.neuron[known], neuron[known])
    entry = np.array([mapping.get(k, UNKNOWN) for k in range(said.learned.atlas.n_neurons)])
    return Animal(said.learned, np.append(who, UNKNOWN)[entry])


def halves(path: Path, every: int) -> list[Animal]:
    """What the two halves of a labelled recording teach."""
    table = pd.read_csv(path).sort_values("volume", kind="stable")
    t = np.unique(table["volume"], return_inverse=True)[1]
    true = table["neuron"].fillna(UNKNOWN).to_numpy().astype(int)
    whole = np.arange(true.max() + 1)
    found = []
    for half in (0, 1):
        rows = np.flatnonzero((t % every == 0) & ((t >= t.max() / 2) == half))
        when = np.unique(t[rows], return_inverse=True)[1]
        found.append(learn(when, table[["z", "y", "x"]].to_numpy()[rows], true[rows], whole))
    return found


def compare(name: str, a: Animal, b: Animal, min_probability: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Prints a row; returns probability of every match, and whether it is right."""
    begin = time.perf_counter()
    found = match_atlases(a.learned, b.learned, seed=seed)
    took = time.perf_counter() - begin
    common = len(np.intersect1d(a.true[a.true >= 0], b.true[b.true >= 0])) if name != "unrelated" else 0
    # An entry that is no true neuron has no name to carry.
    named = (found.entry >= 0) & (a.true >= 0)
    right = named & (np.append(b.true, UNKNOWN)[found.entry] == a.true) & (name != "unrelated")
    sure = named & (found.probability >= min_probability)
    share = f"{right[sure].mean():8.3f}" if sure.any() else f"{'-':>8s}"
    best = f"{right.sum() / common:8.3f}{sure.sum() / common:9.3f}" if common else f"{'-':>8s}{'-':>9s}"
    mean = found.probability[named].sum() / max(named.sum(), 1)
    print(f"{name:18s}{seed:5d}{common:8d}{best}{int(sure.sum()):7d}{share}{mean:8.3f}{took:8.1f}", flush=True)
    return found.probability[named], right[named]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=Path, help="table of volume, x, y, z, neuron")
    parser.add_argument("--every", type=int, default=5, help="of the real points: every this many volumes")
    parser.add_argument("--variation", nargs="*", type=float, default=[0.0, 0.3, 0.5, 0.8])
    parser.add_argument("--neurons", type=int, default=120)
    parser.add_argument("--volumes", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--min-probability", type=float, default=0.9)
    arguments = parser.parse_args()
    print("common: neurons of both; right: matched rightly, of them; carried: matched surely enough, of them; p: mean probability")
    print(f"{'variation':18s}{'seed':>5s}{'common':>8s}{'right':>8s}{'carried':>9s}{'names':>7s}{'right':>8s}{'p':>8s}{'s':>8s}")
    every_p, every_right = [], []
    with threadpool_limits(1):
        if arguments.points:
            compare("real, halves", *halves(arguments.points, arguments.every), arguments.min_probability, 0)  # type: ignore[call-arg]
            return
        for seed in range(arguments.seeds):
            rng = np.random.default_rng(seed)
            worm = grow(arguments.neurons, seed)
            whole = np.arange(arguments.neurons)
            first = record(worm, whole, arguments.volumes, rng, other_side=False)
            for variation in arguments.variation:
                second = record(*another(worm, variation, rng, 100 + seed), arguments.volumes, rng, other_side=True)
                p, right = compare(f"{variation:g}", first, second, arguments.min_probability, seed)
                every_p.append(p)
                every_right.append(right)
            stranger = record(grow(arguments.neurons, 200 + seed), whole, arguments.volumes, rng, other_side=True)
            compare("unrelated", first, stranger, arguments.min_probability, seed)
    p, right = np.concatenate(every_p), np.concatenate(every_right)
    bins = np.minimum((p * 10).astype(int), 9)
    print("\nprobability  matches  mean p   right   (related animals)")
    for b in np.unique(bins):
        print(f"{b / 10:.1f} to {b / 10 + 0.1:.1f}{(bins == b).sum():10d}{p[bins == b].mean():8.3f}{right[bins == b].mean():8.3f}")
    print(f"ECE {sum(abs(p[bins == b].sum() - right[bins == b].sum()) for b in np.unique(bins)) / len(p):.3f}")


if __name__ == "__main__":
    main()
