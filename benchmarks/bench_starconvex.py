"""The network in torch beside StarDist's in TensorFlow: same weights, same volume, same threads. Time, peak memory, largest difference.

Rounds alternate between the two, so that whatever else the machine does hits both; the ratio is given with its spread over rounds.

    python benchmarks/bench_starconvex.py --backbone unet --shape 24 256 512 --threads 2
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from stardist_peer import build_environment, run_peer

from barlowtrack.io.stardist_model import read_model_folder
from barlowtrack.nn.instances import predict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=["unet", "resnet"], default="unet")
    parser.add_argument("--shape", type=int, nargs=3, default=(24, 256, 512))
    parser.add_argument("--grid", type=int, nargs=3, default=(1, 2, 2))
    parser.add_argument("--rays", type=int, default=96)
    parser.add_argument("--filters", type=int, default=32, help="of the first level; StarDist's default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--environment", type=Path, help="keep StarDist's environment here and use it again")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    options = {"backbone": arguments.backbone, "rays": arguments.rays, "grid": arguments.grid}
    options[f"{arguments.backbone}_n_filter_base"] = arguments.filters
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        python = build_environment(arguments.environment or scratch / "environment")
        made = run_peer(python, "random", "--model", scratch / "model", "--options", json.dumps(options))
        print(f"{arguments.backbone}: {made['parameters']} weights, volume {tuple(arguments.shape)}, {arguments.threads} threads")
        volume = np.random.default_rng(0).normal(0.3, 0.3, arguments.shape).astype(np.float32)
        np.savez(scratch / "volume.npz", images=volume[None])
        net = read_model_folder(scratch / "model").network()
        command = ("predict", "--model", scratch / "model", "--data", scratch / "volume.npz", "--out", scratch / "said.npz", "--repeats", 2)
        ours, theirs, peak = [], [], 0.0
        our_cpu, their_cpu = [], []
        for _ in range(arguments.rounds):
            said = run_peer(python, *command, threads=arguments.threads)
            theirs.append(min(said["seconds"]))  # the first one builds the graph
            their_cpu.append(min(said["cpu_seconds"]))
            peak = max(peak, said["peak_mb"])
            seconds, cpu = [], []
            for _ in range(2):
                start, cpu_start = time.perf_counter(), time.process_time()
                prob, dist = predict(net, volume)
                seconds.append(time.perf_counter() - start)
                cpu.append(time.process_time() - cpu_start)
            ours.append(min(seconds))
            our_cpu.append(min(cpu))
        ratio, cpu_ratio = np.array(theirs) / ours, np.array(their_cpu) / our_cpu
        with np.load(scratch / "said.npz") as maps:
            difference = np.abs(prob - maps["prob0"]).max(), np.abs(dist - maps["dist0"]).max()
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for who, seconds, cpu, memory in (("StarDist, TensorFlow", theirs, their_cpu, peak), ("barlowtrack, torch", ours, our_cpu, mine)):
        speed = f"{np.median(seconds):.2f} s a volume ({np.median(cpu):.2f} s of processors), {1 / np.median(seconds):.3f} volumes/s"
        print(f"{who:<21} {speed}, peak {memory:.0f} MB")
    print(f"ours is {np.median(ratio):.2f} times as fast ({ratio.min():.2f} to {ratio.max():.2f}); goal 1.5")
    print(f"by processor time, less disturbed by neighbours: {np.median(cpu_ratio):.2f} ({cpu_ratio.min():.2f} to {cpu_ratio.max():.2f})")
    print(f"largest difference: prob {difference[0]:.1e}, dist {difference[1]:.1e} of {np.abs(dist).max():.1f}")


if __name__ == "__main__":
    main()
