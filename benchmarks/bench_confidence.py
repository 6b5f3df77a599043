"""Are probabilities true, and does the estimate of errors that needs no truth hold? On synthetic worms, and on real ones if you have them.

    python benchmarks/bench_confidence.py --presets mid hard --looks none 2 0.5 --seeds 1 2
    python benchmarks/bench_confidence.py --presets mid --volumes 6 12              few volumes
    python benchmarks/bench_confidence.py --points POINTS.csv                       real points
    python benchmarks/bench_confidence.py --five FOLDER                             five real volumes, with the encoder that comes along
    python benchmarks/bench_confidence.py --raw mid hard --volumes 40               detections of our own detector, from raw images

Columns: share of assigned detections that are right (of those whose neuron is known / of all, a false one being wrong), what the
estimate says of it with its interval, expected calibration error of both, of absences and of unknowns, AUC, and the share of the
assigned that is kept at an expected error of 1 % with its true error. --parts: the same of each volume and neuron, where chance alone
moves the true error: the mean gap between estimate and truth beside the one that a perfect estimate would have.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_track import Scene, detections_at, nothing_seen, real_scenes, synthetic_scene
from threadpoolctl import threadpool_limits

from barlowtrack.data import UNKNOWN, Detections, Embeddings
from barlowtrack.evaluate.matching import map_ids, match_points
from barlowtrack.identity.estimate import estimate_error, keep_at_most
from barlowtrack.identity.identify import Identified, identify
from barlowtrack.identity.nucleus import measures
from barlowtrack.identity.volumes import prepare

GATE_UM = 3.0


def five_scenes(folder: Path) -> list[Scene]:
    """The annotated nuclei of five real volumes, by looks and position, and by position alone."""
    from bench_encoder import embedded, real_scene, unit

    scene = real_scene(folder)
    vectors = unit(embedded("zero-shot", scene, {}, 0)[0]).astype(np.float32)
    n, found = len(vectors), scene.detections
    plain = detections_at(found.t, found.position_um, found.n_volumes)
    return [
        Scene("five real, both", plain, Embeddings(vectors), scene.neuron, n),
        Scene("five real, positions", plain, nothing_seen(n), scene.neuron, n),
    ]


def raw_scene(preset: str, n_volumes: int, seed: int) -> Scene:
    """Detections and embeddings of a default run; who they are is told by the nearest true neuron."""
    import barlowtrack as bt
    from barlowtrack.cli.simulation import write_simulation
    from barlowtrack.cli.terminal import Bars
    from barlowtrack.io.tables import read_truth

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_simulation(folder, preset, seed, "ome-tiff", False, {"volumes": n_volumes}, {}, Bars(quiet=True))
        truth = read_truth(folder / "truth.csv")
        run = bt.run(folder / "recording", config=bt.Config(), overrides=[f"seed={seed}"], check=False)
        found, vectors = run.detections, np.array(run.embeddings.vectors)
    return known_scene(f"{preset}, raw, seed {seed}", found, vectors, (truth.t, truth.neuron, truth.position_um))


def known_scene(name: str, found: Detections, vectors: np.ndarray, truth: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Scene:
    """Names detections by the true neuron (t, neuron, position in um) within reach."""
    true = np.full(len(found), UNKNOWN)
    t, neuron, place = truth
    for volume in range(found.n_volumes):
        rows, there = np.arange(len(found))[found.rows_of(volume)], np.flatnonzero(t == volume)
        i, j = match_points(found.position_um[rows], place[there], GATE_UM)
        true[rows[i]] = neuron[there[j]]
    return Scene(name, found, Embeddings(vectors), true, int((true >= 0).sum()))


def thinned(scene: Scene, step: int) -> Scene:
    """Every step-th volume."""
    rows = np.flatnonzero(scene.detections.t % step == 0)
    found = detections_at(scene.detections.t[rows] // step, scene.detections.position_um[rows], -(-scene.detections.n_volumes // step))
    return Scene(scene.name, found, Embeddings(scene.embeddings.vectors[rows]), scene.true[rows], int((scene.true[rows] >= 0).sum()))


def calibration_error(probability: np.ndarray, right: np.ndarray) -> float:
    """Ten bins of equal width."""
    bins = np.minimum((probability * 10).astype(int), 9)
    return float(sum(abs(right[bins == b].sum() - probability[bins == b].sum()) for b in np.unique(bins)) / max(len(right), 1))


def area(probability: np.ndarray, right: np.ndarray) -> float:
    """Under the ROC curve."""
    from scipy.stats import rankdata

    n_right = int(right.sum())
    n_wrong = len(right) - n_right
    return float((rankdata(probability)[right].sum() - n_right * (n_right + 1) / 2) / max(n_right * n_wrong, 1))


def outcomes(found: Identified, scene: Scene, order: list[int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Probability and whether it came true, of each kind of claim that the truth knows about.

    Args:
        found: Claims.
        scene: With the truth by row.
        order: Which volume of the recording each of those given is.
    """
    rows = np.flatnonzero((scene.true >= 0) & (found.neuron >= 0))
    mapping = map_ids(found.neuron[rows], scene.true[rows])
    assigned = np.flatnonzero(found.neuron >= 0)
    right = np.array([mapping.get(int(a), -9) == b for a, b in zip(found.neuron[assigned], scene.true[assigned], strict=True)], bool)
    known = scene.true[assigned] >= 0
    unknown = np.flatnonzero(found.neuron < 0)
    ours = set(mapping.values())
    nobody = np.array([b < 0 or int(b) not in ours for b in scene.true[unknown]], bool)
    there = set(zip(scene.detections.t.tolist(), scene.true.tolist(), strict=True))
    cells = np.flatnonzero(np.isin(found.absent_neuron, list(mapping)))
    pairs = zip(found.absent_volume[cells], found.absent_neuron[cells], strict=True)
    gone = np.array([(order[v], mapping[int(k)]) not in there for v, k in pairs], bool)
    p = found.probability
    return {
        "true": (p[assigned][known], right[known]),
        "all": (p[assigned], right),
        "unknown": (p[unknown], nobody),
        "absent": (found.absent_probability[cells], gone),
    }


def parts_of(estimate: np.ndarray, part: np.ndarray, probability: np.ndarray, right: np.ndarray) -> str:
    """Compares the estimated share of errors of each part with the true one.

    Args:
        estimate: (P,) by part.
        part: (n,) which part each assigned detection belongs to.
        probability: (n,) of these assignments; how far chance alone would move the truth if they were true.
        right: (n,) whether it came true.
    """
    count = np.bincount(part, minlength=len(estimate))
    some = count > 0
    wrong = np.bincount(part, ~right, len(estimate))[some] / count[some]
    gap = np.abs(estimate[some] - wrong)
    rng = np.random.default_rng(0)
    chance = [np.bincount(part, rng.random(len(part)) > probability, len(estimate))[some] / count[some] for _ in range(20)]
    perfect = np.mean([np.abs(estimate[some] - drawn) for drawn in chance])
    with np.errstate(invalid="ignore"):
        r = np.corrcoef(estimate[some], wrong)[0, 1] if some.sum() > 2 else np.nan
    return f"{some.sum():5d}: within .03 {np.mean(gap <= 0.03):.2f}, mean gap {gap.mean():.3f} (perfect {perfect:.3f}), r {r:.2f}"


def row(scene: Scene, seed: int, reliability: bool, by_part: bool) -> str:
    looks = scene.embeddings.vectors if scene.embeddings.vectors.shape[1] > 1 else None
    volumes = prepare(scene.detections, looks)[1]
    began = time.perf_counter()
    with threadpool_limits(1), ThreadPoolExecutor(1) as pool:
        found = identify(volumes, pool, measured=measures(scene.detections), seed=seed)
    took = (time.perf_counter() - began) / len(volumes) * 1e3
    parts = outcomes(found, scene, [int(scene.detections.t[volume.rows[0]]) for volume in volumes])
    # Not every real point has a name: what is said of the others may be right.
    real = "real" in scene.name
    judged = scene.true >= 0 if real else np.ones(len(found.neuron), bool)
    error = estimate_error(scene.detections.t, np.where(judged, found.neuron, UNKNOWN), found.probability)
    kind = "true" if real else "all"
    probability, right = parts[kind]
    keep, _ = keep_at_most(np.zeros(len(right), int), probability, 0.01)
    lost = f"{1 - right[keep].mean():.3f}" if keep.any() else ""
    eces = {name: f"{calibration_error(*part):.3f}" if len(part[0]) else "" for name, part in parts.items()}
    if real:
        eces["all"] = eces["unknown"] = ""
    text = (
        f"{scene.name:26s}{parts['true'][1].mean():7.3f}{parts['all'][1].mean():7.3f}"
        f"{1 - error.share:8.3f} ({1 - error.high:.3f}-{1 - error.low:.3f}){1 - error.share - right.mean():+8.3f}"
        f"{eces['true']:>8s}{eces['all']:>7s}{eces['absent']:>8s}{eces['unknown']:>8s}{area(probability, right):7.3f}"
        f"{keep.mean():7.2f}{lost:>7s}{took:8.0f}"
    )
    if by_part:
        use = np.flatnonzero((found.neuron >= 0) & judged)
        for name, estimate, part in (("volumes", error.volume, scene.detections.t[use]), ("neurons", error.neuron, found.neuron[use])):
            text += f"\n    {name} {parts_of(estimate, part, found.probability[use], right)}"
    if reliability:
        text += "".join(f"\n    {name:8s} {table(*part)}" for name, part in parts.items())
    return text


def table(probability: np.ndarray, right: np.ndarray) -> str:
    bins = np.minimum((probability * 10).astype(int), 9)
    return "  ".join(f"{probability[bins == b].mean():.2f}: {right[bins == b].mean():.2f} ({(bins == b).sum()})" for b in np.unique(bins))


def scenes(options: argparse.Namespace) -> Iterator[Scene]:
    if options.points:
        real = real_scenes(options.points)
        dropped = next(scene for scene in real if scene.name.endswith("dropped"))
        yield from (thinned(scene, options.step) for scene in (real[0], dropped))
    elif options.five:
        yield from five_scenes(options.five)
    elif options.raw:
        yield from (raw_scene(preset, n, seed) for preset in options.raw for n in options.volumes for seed in options.seeds)
    else:
        for preset in options.presets:
            for n in options.volumes:
                for looks in options.looks:
                    for seed in options.seeds:
                        scene = synthetic_scene(preset, n, None if looks == "none" else float(looks), seed)
                        yield replace(scene, name=f"{scene.name}, {n}, seed {seed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["easy", "mid", "hard"])
    parser.add_argument("--looks", nargs="+", default=["none", "2", "0.5"], help="scatter of looks, relative to that between neurons")
    parser.add_argument("--volumes", type=int, nargs="+", default=[60])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--points", type=Path, help="table of volume, x, y, z, neuron")
    parser.add_argument("--step", type=int, default=4, help="of the real points, every so many volumes")
    parser.add_argument("--five", type=Path, help="folder of the targettrack data")
    parser.add_argument("--raw", nargs="+", help="presets to run from raw images")
    parser.add_argument("--parts", action="store_true", help="estimate and truth of each volume and neuron, too")
    parser.add_argument("--reliability", action="store_true", help="what was promised: what came true (how many), a bin each")
    options = parser.parse_args()
    print(
        f"{'scene':26s}{'true':>7s}{'all':>7s}{'estimate (90 %)':>22s}{'off by':>8s}{'ECE':>8s}{'all':>7s}"
        f"{'absent':>8s}{'unknown':>8s}{'AUC':>7s}{'kept':>7s}{'error':>7s}{'ms/vol':>8s}"
    )
    for scene in scenes(options):
        print(row(scene, 0, options.reliability, options.parts), flush=True)


if __name__ == "__main__":
    main()
