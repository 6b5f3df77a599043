"""Time, memory and identity accuracy of track, beside baselines and trackers of others (track_peers.py) in the same run.

*To one template* is the published protocol: of the neurons labelled in one volume and in another, the share that has the same id in both;
the mean over all other volumes, and over all volumes as the template.

python benchmarks/bench_track.py                                  the synthetic worm, easy, mid and hard
python benchmarks/bench_track.py --points ../shared/data/nerve_worm1_points/points.csv     real points, if you have them
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import track_peers
from scipy.optimize import linear_sum_assignment
from threadpoolctl import threadpool_limits

from barlowtrack import synthetic
from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import UNKNOWN, Corrections, Detections, Embeddings, Tracks, VolumeLooks
from barlowtrack.evaluate.matching import map_ids
from barlowtrack.identity import solve
from barlowtrack.identity.atlas import smooth_shape
from barlowtrack.identity.volumes import neighbour_distance_um, prepare
from barlowtrack.stages.identify import identify
from barlowtrack.stages.track import track


@dataclass(frozen=True)
class Scene:
    """Detections whose true neuron is known by row; UNKNOWN: not labelled (real points) or false (synthetic ones)."""

    name: str
    detections: Detections
    embeddings: Embeddings
    true: np.ndarray
    n_true: int


def detections_at(t: np.ndarray, position_um: np.ndarray, n_volumes: int) -> Detections:
    """Detections of nothing but positions; t (N,) sorted."""
    ones, dark = np.ones(len(t), np.float32), np.full(len(t), np.nan, np.float32)
    label = np.arange(len(t)) - np.searchsorted(t, t) + 1
    return Detections(n_volumes, t, label, position_um.astype(np.float32), ones, ones, ones, dark, dark, ones, ones)


def real_scenes(path: Path) -> list[Scene]:
    table = pd.read_csv(path)
    t = np.unique(table["volume"], return_inverse=True)[1]
    place = table[["z", "y", "x"]].to_numpy()
    true = table["neuron"].fillna(UNKNOWN).to_numpy().astype(int)
    rng = np.random.default_rng(0)

    def scene(name: str, row: np.ndarray, when: np.ndarray, at: np.ndarray = place) -> Scene:
        seen = np.unique(when, return_inverse=True)[1]
        order = np.argsort(seen, kind="stable")
        row, seen = row[order], seen[order]
        known = np.where(row < len(true), true[np.minimum(row, len(true) - 1)], UNKNOWN)  # rows beyond the table are false detections
        found = detections_at(seen, at[row], int(seen.max()) + 1)
        return Scene(name, found, nothing_seen(len(row)), known, int((known >= 0).sum()))

    every = np.arange(len(t))
    fifth, twentieth = np.flatnonzero(t % 5 == 0), np.flatnonzero(t % 20 == 0)
    left = np.flatnonzero(rng.random(len(t)) >= 0.3)
    shuffled = rng.permutation(t.max() + 1)[t]
    unit = neighbour_distance_um(detections_at(t, place, int(t.max()) + 1))
    beside = rng.integers(0, len(t), len(t) // 2)
    false = place[beside] + 2 * unit * rng.normal(size=(len(beside), 3))
    half = rng.uniform(-np.pi, np.pi, t.max() + 1)
    tilt = np.deg2rad(rng.uniform(-30, 30, t.max() + 1))
    rolled = turned(t, place, half, tilt)
    return [
        scene("real", every, t),
        scene("real, volumes shuffled", every, shuffled),
        scene("real, every 5th volume", fifth, t[fifth]),
        scene("real, every 20th volume", twentieth, t[twentieth]),
        scene("real, 30 % dropped", left, t[left]),
        scene("real, 50 % false ones", np.arange(len(t) + len(beside)), np.append(t, t[beside]), np.concatenate([place, false])),
        scene("real, jitter of .2", every, t, place + 0.2 * unit * rng.normal(size=place.shape)),
        scene("real, each turned", every, t, turned(t, place, half, 0 * tilt)),
        scene("real, each turned, rolled", every, t, rolled),
    ]


def turned(t: np.ndarray, place: np.ndarray, angle: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Rolls each volume about the long axis it has in the plane, then turns it in the plane; place (N, 3) z, y, x, angles in rad."""
    moved = np.empty_like(place)
    for v in range(len(angle)):
        rows = np.flatnonzero(t == v)
        z, y, x = (place[rows] - place[rows].mean(0)).T
        long = 0.5 * np.arctan2(2 * (y * x).sum(), (x * x).sum() - (y * y).sum())
        along, across = np.cos(long) * x + np.sin(long) * y, np.cos(long) * y - np.sin(long) * x
        up, across = np.cos(roll[v]) * z + np.sin(roll[v]) * across, np.cos(roll[v]) * across - np.sin(roll[v]) * z
        c, s = np.cos(long + angle[v]), np.sin(long + angle[v])
        moved[rows] = np.stack([up, c * across + s * along, c * along - s * across], axis=1)
    return moved


def synthetic_scene(preset: str, n_volumes: int, scatter: float | None, seed: int) -> Scene:
    """True positions, 10 % dropped, 10 % false ones added, .3 um of jitter; looks: a vector a neuron, scattered."""
    rng = np.random.default_rng(seed)
    recording = synthetic.simulate(synthetic.preset(preset, n_volumes=n_volumes), seed=seed)
    truth = recording.truth
    own = rng.normal(size=(truth.neuron.max() + 1, 64))
    left = np.flatnonzero(rng.random(len(truth)) >= 0.1)
    n_false = len(truth) // 10
    low, high = truth.position_um.min(0), truth.position_um.max(0)
    nearby = truth.position_um[rng.integers(0, len(truth), n_false)] + rng.normal(0, 6, (n_false, 3))
    place = np.concatenate([truth.position_um[left] + rng.normal(0, 0.3, (len(left), 3)), np.clip(nearby, low, high)])
    t = np.concatenate([truth.t[left], rng.choice(truth.t, n_false)])
    true = np.concatenate([truth.neuron[left], np.full(n_false, UNKNOWN)])
    looks = np.concatenate([own[truth.neuron[left]], rng.normal(size=(n_false, 64))])
    looks += (scatter or 0) * rng.normal(size=looks.shape)
    order = np.lexsort([rng.random(len(t)), t])
    vectors = (looks / np.linalg.norm(looks, axis=1, keepdims=True)).astype(np.float32)[order]
    found = detections_at(t[order], place[order], n_volumes)
    embeddings = nothing_seen(len(t)) if scatter is None else Embeddings(vectors)
    name = f"{preset}, " + ("no looks" if scatter is None else f"looks {scatter:g}")
    return Scene(name, found, embeddings, true[order], len(left))


def nothing_seen(n: int) -> Embeddings:
    return Embeddings(np.ones((n, 1), np.float32))


def accuracy(neuron: np.ndarray, scene: Scene) -> float:
    """Right after one mapping of ids for the whole recording, as a share of the detections whose neuron is known."""
    rows = np.flatnonzero((scene.true >= 0) & (neuron >= 0))
    mapping = map_ids(neuron[rows], scene.true[rows])
    return sum(mapping.get(int(a)) == int(b) for a, b in zip(neuron[rows], scene.true[rows], strict=True)) / scene.n_true


def to_one_template(neuron: np.ndarray, scene: Scene) -> float:
    """The mean over templates and volumes of: same id in both / labelled in both. No id is not the same id."""
    known = np.flatnonzero(scene.true >= 0)
    t, true, given = scene.detections.t[known], scene.true[known], neuron[known]
    shares = []
    for template in np.unique(t):
        wanted = np.full(true.max() + 1, UNKNOWN - 1)  # not labelled in the template
        wanted[true[t == template]] = given[t == template]
        both = (wanted[true] >= UNKNOWN) & (t != template)
        same = (given == wanted[true]) & (given >= 0)
        in_volume, right = np.bincount(t[both]), np.bincount(t[both], same[both])
        shares.append((right[in_volume > 0] / in_volume[in_volume > 0]).mean())
    return float(np.mean(shares))


def calibration_error(neuron: np.ndarray, probability: np.ndarray, scene: Scene) -> float:
    """Expected calibration error of the assigned detections whose neuron is known, ten bins."""
    rows = np.flatnonzero((scene.true >= 0) & (neuron >= 0))
    mapping = map_ids(neuron[rows], scene.true[rows])
    right = np.array([mapping.get(int(a)) == int(b) for a, b in zip(neuron[rows], scene.true[rows], strict=True)], float)
    bins = np.minimum((probability[rows] * 10).astype(int), 9)
    gaps = [abs(right[bins == b].sum() - probability[rows][bins == b].sum()) for b in np.unique(bins)]
    return float(sum(gaps) / max(len(rows), 1))


def tracked(detections: Detections, embeddings: Embeddings, *, config: TrackConfig, compute: ComputeConfig, seed: int) -> Tracks:
    """Both stages, every volume as good as any other."""
    n_volumes = detections.n_volumes
    alike = VolumeLooks(np.bincount(detections.t, minlength=n_volumes), np.ones(n_volumes), np.ones(n_volumes))
    found = identify(detections, alike, embeddings, config=config, compute=compute, seed=seed)
    return track(detections, embeddings, found.learned, found.identities, Corrections(), config=config).tracks


def ours(config: TrackConfig, workers: int, seed: int) -> Callable[[Scene], tuple[np.ndarray, np.ndarray]]:
    def run(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
        found = tracked(scene.detections, scene.embeddings, config=config, compute=ComputeConfig(workers=workers), seed=seed)
        return found.neuron, found.probability

    return run


def links(scene: Scene) -> tuple[np.ndarray, None]:
    """Baseline: Hungarian between raw positions of successive volumes, linked through time."""
    gate = 2 * neighbour_distance_um(scene.detections)
    neuron, fresh = np.full(len(scene.detections), UNKNOWN), 0
    before = np.zeros(0, int)
    for t in range(scene.detections.n_volumes):
        rows = np.arange(len(neuron))[scene.detections.rows_of(t)]
        if len(rows) and len(before):
            a, b = scene.detections.position_um[before], scene.detections.position_um[rows]
            distance = np.minimum(np.linalg.norm(a[:, None] - b[None], axis=-1), gate)
            i, j = linear_sum_assignment(distance)
            good = distance[i, j] < gate
            neuron[rows[j[good]]] = neuron[before[i[good]]]
        new = rows[neuron[rows] < 0]
        neuron[new] = fresh + np.arange(len(new))
        fresh += len(new)
        before = rows if len(rows) else before
    return neuron, None


def one_template(scene: Scene) -> tuple[np.ndarray, None]:
    """Baseline: the same smooth warp of one volume with an ample count (the 70th percentile; ours tries several), and nothing learned."""
    volumes = prepare(scene.detections, None)[1]
    counts = np.array([len(v.rows) for v in volumes])
    seed = volumes[int(np.argmin(np.abs(counts - np.percentile(counts, 70))))]
    atlas = solve.Atlas(smooth_shape(seed.points), None, len(seed.rows))
    neuron = np.full(len(scene.detections), UNKNOWN)
    for volume in volumes:
        sighting = solve.sight(volume, atlas, solve.WARP_SIGMAS)
        neuron[sighting.rows] = sighting.neuron
    return neuron, None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=Path, help="table of volume, x, y, z, neuron")
    parser.add_argument("--only", nargs="*", help="scenes of real points by the end of their name; all where not given")
    parser.add_argument("--presets", nargs="*", default=["easy", "mid", "hard"])
    parser.add_argument(
        "--looks", nargs="*", default=["none", "0.5", "1", "2", "4"], help="scatter of looks, relative to that between neurons"
    )
    parser.add_argument("--volumes", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", nargs="*", choices=list(track_peers.SETTINGS), default=list(track_peers.SETTINGS))
    arguments = parser.parse_args()
    scenes = real_scenes(arguments.points) if arguments.points else []
    scenes = [s for s in scenes if arguments.only is None or s.name.endswith(tuple(arguments.only))]
    if not arguments.points:
        strengths = [None if s == "none" else float(s) for s in arguments.looks]
        scenes = [synthetic_scene(p, arguments.volumes, s, arguments.seed) for p in arguments.presets for s in strengths]
    print(f"{'scene':28s}{'method':16s}{'accuracy':>9s}{'template':>9s}{'ECE':>7s}{'ids':>6s}{'ms/volume':>11s}{'peak GB':>9s}")
    for scene in scenes:
        methods = {
            "links": links,
            "one template": one_template,
            "positions": ours(TrackConfig(appearance=False), arguments.workers, arguments.seed),
        }
        if scene.embeddings.vectors.shape[1] > 1:
            methods["appearance"] = ours(TrackConfig(position=False), arguments.workers, arguments.seed)
            methods["both"] = ours(TrackConfig(), arguments.workers, arguments.seed)
        others, said = track_peers.best(arguments.peers, scene.detections, lambda given, scene=scene: accuracy(given, scene))
        print("\n".join(f"{scene.name:28s}{line}" for line in said))
        for name, method in (others | methods).items():
            begin = time.perf_counter()
            with threadpool_limits(1):
                neuron, probability = method(scene)
            took = (time.perf_counter() - begin) / scene.detections.n_volumes * 1e3
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
            error = "" if probability is None else f"{calibration_error(neuron, probability, scene):.3f}"
            ids = len(np.unique(neuron[neuron >= 0]))
            right = f"{accuracy(neuron, scene):9.3f}{to_one_template(neuron, scene):9.3f}"
            print(f"{scene.name:28s}{name:16s}{right}{error:>7s}{ids:6d}{took:11.1f}{peak:9.2f}", flush=True)


if __name__ == "__main__":
    main()
