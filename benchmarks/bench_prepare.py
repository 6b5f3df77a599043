"""What `prepare` puts right, on simulated recordings whose faults are known.

    python benchmarks/bench_prepare.py                        # errors of what is measured, for several sizes of jitter
    python benchmarks/bench_prepare.py --jitter 2 --seeds 4 --first-seed 2 --preset mid        # seeds 2 to 5, one size
    python benchmarks/bench_prepare.py --end-to-end           # identities and traces: unharmed, harmed, harmed and prepared

Errors of jitter are root mean squares along y and x over planes that show a nucleus, mean of a volume taken off: what all planes do
together is no jump. A plane that the camera missed is dark and shows none. Real volumes (--real FOLDER, an OME-TIFF folder) have no
truth; there it says how far planes would be moved.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import barlowtrack as bt
from barlowtrack.config import load
from barlowtrack.evaluate import evaluate, trace_correlation
from barlowtrack.io import open_recording
from barlowtrack.preparing.alignment import NO_CHANGE, displacement
from barlowtrack.stages.prepare import prepare
from barlowtrack.synthetic import SyntheticRecording, faults_config, preset, simulate
from barlowtrack.synthetic.render import Accidents

FAULTS = {"hot_pixels": 5e-4, "offset": (20.0, 80.0), "shift_vox": (4.0, -3.0), "turn_deg": 1.0}
ASKED = ["jitter", "hot_pixels", "background", "alignment"]


def error(made: SyntheticRecording, found: bt.data.Preparation) -> tuple[float, float]:
    """Returns root mean square of the jumps of planes that show a nucleus: before, and what is left of them."""
    before, after = [], []
    for t in range(made.config.n_volumes):
        depth = made.truth.position_um[made.truth.t == t, 0] / made.config.voxel_size_um[0]
        accidents = Accidents.of(made.config, made.seed, t)
        shows = np.setdiff1d(np.clip(np.rint(depth), 0, made.config.volume_shape[0] - 1).astype(int), accidents.dark_planes)
        if accidents.dropped or len(shows) < 2:
            continue
        jump = made.faults.jitter(t)[shows]
        for told, left in ((before, jump), (after, jump - found.jitter[t, shows])):
            told.append(left - left.mean(axis=0))
    return tuple(float(np.sqrt(np.mean(np.concatenate(told) ** 2))) for told in (before, after))


def measured(volumes: int, seeds: range, presets: list[str], jitter: list[float]) -> None:
    print(f"{volumes} volumes of 22 x 192 x 384; jumps in voxels, mean and range over seeds {', '.join(map(str, seeds))}")
    config = load(None, [f"prepare.{name}=true" for name in ASKED])
    for name in presets:
        for size in jitter:
            rows = []
            for seed in seeds:
                made = simulate(preset(name, n_volumes=volumes), seed=seed, faults=faults_config(jitter_vox=size, **FAULTS))
                began = time.process_time()
                *_, found = prepare(made.recording, "none", config=config.prepare, compute=config.compute)
                cost = (time.process_time() - began) / volumes
                true = {tuple(row) for row in np.argwhere(made.faults.hot)}
                told = {tuple(row) for row in found.hot}
                off = displacement(found.matrix - made.faults.matrix + NO_CHANGE, made.config.volume_shape[1:])
                rows.append((*error(made, found), off, len(told & true) / len(true), len(told - true), *(found.offset - (124, 184)), cost))
            mean, low, high = (way(np.array(rows), axis=0) for way in (np.mean, np.min, np.max))
            print(
                f"{name:5} jitter {mean[0]:.2f} -> {mean[1]:.3f} ({low[1]:.3f} to {high[1]:.3f});"
                f" camera off by {mean[2]:.2f} (up to {high[2]:.2f});"
                f" hot found {mean[3]:.1%}, false {mean[4]:.1f}; dark level off by {mean[5]:+.2f}, {mean[6]:+.2f};"
                f" {mean[7]:.2f} CPU s a volume",
                flush=True,
            )


def end_to_end(volumes: int, seeds: range, jitter: float, name: str) -> None:
    print(f"{name}, {volumes} volumes of 12 x 96 x 160, 40 neurons, jitter {jitter}, {FAULTS}")
    shape = {"n_volumes": volumes, "n_neurons": 40, "volume_shape": (12, 96, 160)}
    faults = faults_config(jitter_vox=jitter, **FAULTS)
    for what, wrong, asked in (("unharmed", None, []), ("harmed", faults, []), ("harmed, prepared", faults, ASKED)):
        rows = []
        for seed in seeds:
            made = simulate(preset(name, **shape), seed=seed, faults=wrong)
            with TemporaryDirectory() as folder:
                bt.write_recording(made.recording, Path(folder) / "recording", layout="ome-tiff")
                run = bt.run(Path(folder) / "recording", overrides=[f"prepare.{step}=true" for step in asked], check=False)
                truth = run.as_prepared(made.truth)
                scored = evaluate(run.detections, run.tracks, truth)
                r = trace_correlation(run.traces, truth, scored.mapping)
                figures = dict(scored.summary())
                rows.append((figures["detection F1"], scored.identity_accuracy, float(np.nanmedian(r))))
        mean, low, high = (way(np.array(rows), axis=0) for way in (np.mean, np.min, np.max))
        said = [f"{n} {m:.3f} ({a:.3f} to {b:.3f})" for n, m, a, b in zip(("F1", "identities", "traces r"), mean, low, high, strict=True)]
        print(f"{what:17} {', '.join(said)}", flush=True)


def real(folder: Path, voxel_size: list[float]) -> None:
    config = load(None, [*(f"prepare.{name}=true" for name in ASKED), f"recording.voxel_size_um={voxel_size}"])
    recording = open_recording(folder, config.recording)
    *_, found = prepare(recording, "none", config=config.prepare, compute=config.compute)
    off, moved = displacement(found.matrix, recording.shape[3:]), np.sqrt(np.mean(found.jitter**2))
    print(f"planes would move by {moved:.3f} voxels; cameras {off:.2f} apart; stuck pixels {len(found.hot)}; dark {found.offset}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--end-to-end", action="store_true")
    parser.add_argument("--jitter", type=float, nargs="+", help="sizes of the jumps (0, .5, 1, 2 and 3 voxels; end to end: 2)")
    parser.add_argument("--preset", nargs="+", choices=["easy", "mid", "hard"], default=["easy", "mid", "hard"])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--voxel-size", type=float, nargs=3, default=[1.5, 0.35, 0.35])
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    if given.real:
        real(given.real, given.voxel_size)
    elif given.end_to_end:
        for name in given.preset:
            for size in given.jitter or [2.0]:
                end_to_end(given.volumes, seeds, size, name)
    else:
        measured(given.volumes, seeds, given.preset, given.jitter or [0.0, 0.5, 1.0, 2.0, 3.0])


if __name__ == "__main__":
    main()
