"""Our star-convex network beside StarDist's in TensorFlow: same weights, same volume, same threads. Time, processor time, peak memory.

First end to end, from a normalised volume to labels; then the network's whole maps alone. Rounds alternate between the two, so that
whatever else the machine does hits both; ratios are given with their spread over rounds. The weights are those of the trained models in
tests/data/stardist, so that there are nuclei to find in a synthetic worm; --filters widens them to the size StarDist has by default,
with channels of zeros, which cost what others cost and change no answer.

    python benchmarks/bench_starconvex.py --backbone unet --shape 24 256 512 --threads 2
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stardist_peer import build_environment, run_peer

from barlowtrack.io.segmenter import SHIPPED
from barlowtrack.io.stardist_model import read_model_folder, write_model_folder
from barlowtrack.nn.candidates import candidates
from barlowtrack.nn.instances import draw, predict
from barlowtrack.nn.resample import resample
from barlowtrack.nn.segmentation_model import SegmentationModel
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import UNet
from barlowtrack.synthetic import preset, simulate

MODELS = Path(__file__).parents[1] / "tests" / "data" / "stardist"


def widened(model: SegmentationModel, filters: int, conv_after: int) -> SegmentationModel:
    """Returns a model with more channels and the same answer: what is new is zero."""
    spec = replace(model.spec, backbone=replace(model.spec.backbone, n_filter_base=filters), conv_after=conv_after)
    weights = {name: tensor.clone() for name, tensor in StarConvexNet(spec).state_dict().items()}
    ups = {f"backbone.up.{i}.0.conv.weight" for i in range(spec.backbone.n_depth)} if isinstance(spec.backbone, UNet) else ()
    for name, old in model.weights.items():
        new = weights[name]
        if "running_var" not in name:
            new.zero_()
        if name in ups:  # half of its channels come up from below, half are skipped; each half has grown behind its own
            half, new_half = old.shape[1] // 2, new.shape[1] // 2
            new[: len(old), :half], new[: len(old), new_half : new_half + half] = old[:, :half], old[:, half:]
        elif old.ndim:
            new[tuple(map(slice, old.shape))] = old
    return SegmentationModel(spec, weights, model.thresholds)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Returns the best wall and processor time of two calls, and the answer."""
    seconds, cpu = [], []
    for _ in range(2):
        start, cpu_start = time.perf_counter(), time.process_time()
        answer = work()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    return min(seconds), min(cpu), answer


def show(what: str, theirs: list[tuple[float, float]], ours: list[tuple[float, float]], their_peak: float, our_peak: float) -> None:
    print(what)
    for who, rounds, peak in (("StarDist, TensorFlow", theirs, their_peak), ("barlowtrack, torch", ours, our_peak)):
        seconds, cpu = np.median(rounds, axis=0)
        print(f"  {who:<21} {seconds:.2f} s a volume ({cpu:.2f} s of processors), {1 / seconds:.3f} volumes/s, peak {peak:.0f} MB")
    for name, ratio in zip(("wall time", "processor time, less disturbed by neighbours"), (np.array(theirs) / ours).T, strict=True):
        print(f"  {np.median(ratio):.2f} times as fast ({ratio.min():.2f} to {ratio.max():.2f}) by {name}; goal 1.5")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=["unet", "resnet", "shipped"], default="unet", help="shipped: the model that comes along")
    parser.add_argument("--shape", type=int, nargs=3, default=(24, 256, 512))
    parser.add_argument("--neurons", type=int, default=140)
    parser.add_argument("--filters", type=int, default=32, help="of the first level; StarDist's default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--environment", type=Path, help="keep StarDist's environment here and use it again")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.backbone == "shipped":
        model = read_model_folder(SHIPPED)
    else:
        model = widened(read_model_folder(MODELS / arguments.backbone), arguments.filters, 4 * arguments.filters)
    worm = simulate(preset("mid", n_volumes=1, volume_shape=tuple(arguments.shape), n_neurons=arguments.neurons), seed=1)
    size = worm.config.voxel_size_um
    volume, net = model.brightness(resample(worm.recording.read(0)[0], size, model.voxel_size_um or size)), model.network()
    shape = volume.shape
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        python = build_environment(arguments.environment or scratch / "environment")
        write_model_folder(model, scratch / "model")
        np.savez(scratch / "volume.npz", images=volume[None])
        of = f"{model.spec.backbone.n_filter_base} filters, {model.spec.n_rays} rays, grid {model.spec.grid}"
        print(f"{arguments.backbone}: {of}, volume {shape}")
        command = ("predict", "--model", scratch / "model", "--data", scratch / "volume.npz", "--out", scratch / "said.npz")

        def peer(kind: str, *options: object) -> tuple[tuple[float, float], float]:
            said = run_peer(python, *command, *options, threads=arguments.threads)
            return (min(said[f"{kind}seconds"]), min(said[f"{kind}cpu_seconds"])), said["peak_mb"]  # the first call builds the graph

        def find() -> Any:
            found = candidates(net, volume, model.thresholds.prob)
            return draw(found, model.spec, model.thresholds.nms, shape)

        theirs, ours, their_peak = [], [], 0.0
        for _ in range(arguments.rounds):
            times, their_peak = peer("instance_", "--instances", 2, "--repeats", 0)
            theirs.append(times)
            *times, found = timed(find)
            ours.append(tuple(times))
        same = np.array_equal(found.labels, np.load(scratch / "said.npz")["labels0"])
        show(f"end to end, {len(found.points)} nuclei, labels identical: {same}", theirs, ours, their_peak, peak_mb())
        theirs, ours = [], []
        for _ in range(arguments.rounds):
            times, their_peak = peer("", "--repeats", 2)
            theirs.append(times)
            *times, (prob, dist) = timed(lambda: predict(net, volume))
            ours.append(tuple(times))
        with np.load(scratch / "said.npz") as maps:
            difference = np.abs(prob - maps["prob0"]).max(), np.abs(dist - maps["dist0"]).max()
        show("network alone, whole maps", theirs, ours, their_peak, peak_mb())
        print(f"  largest difference: prob {difference[0]:.1e}, dist {difference[1]:.1e} of {np.abs(dist).max():.1f}")


if __name__ == "__main__":
    main()
