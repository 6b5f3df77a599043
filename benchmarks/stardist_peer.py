"""StarDist itself, with TensorFlow, in an environment of its own: what we are compared with.

Imported by benchmarks, it builds the environment and runs this file in it; run there, it trains, predicts or times.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np


def build_environment(folder: Path) -> Path:
    """Returns the python of an environment with StarDist and TensorFlow; makes it unless it is there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        tensorflow = "tensorflow-cpu" if sys.platform == "linux" else "tensorflow"
        subprocess.run([python, "-m", "pip", "install", "--quiet", tensorflow, "stardist==0.9.2"], check=True)
    return python


def run_peer(python: Path, *arguments: object, threads: int = 1) -> dict[str, Any]:
    """Runs this file over there and returns what it said last, as JSON."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PEER_THREADS": str(threads),
    }
    done = subprocess.run([python, __file__, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _train(arguments: argparse.Namespace) -> dict[str, Any]:
    from stardist import Rays_GoldenSpiral
    from stardist.models import Config3D, StarDist3D

    options = json.loads(arguments.options)
    pairs = np.load(arguments.data)
    images, labels = list(pairs["images"]), list(pairs["labels"])
    anisotropy = options.pop("anisotropy")
    rays = Rays_GoldenSpiral(options.pop("n_rays"), anisotropy=anisotropy)
    model = StarDist3D(
        Config3D(rays=rays, anisotropy=anisotropy, **options), name=arguments.model.name, basedir=str(arguments.model.parent)
    )
    start = time.perf_counter()
    model.train(images[:-2], labels[:-2], validation_data=(images[-2:], labels[-2:]), seed=0)
    chosen = model.optimize_thresholds(images[-2:], labels[-2:])
    for surplus in arguments.model.glob("*"):
        if surplus.name not in ("config.json", "thresholds.json", "weights_best.h5"):
            surplus.unlink()
    return {"seconds": time.perf_counter() - start, "thresholds": dict(chosen._asdict() if hasattr(chosen, "_asdict") else chosen)}


def _random(arguments: argparse.Namespace) -> dict[str, Any]:
    """A model of given options with random weights, statistics of batch normalisation included."""
    from stardist.models import Config3D, StarDist3D

    options = json.loads(arguments.options)
    StarDist3D(Config3D(rays=4), name=None, basedir=None)  # so that Keras does not count layers from 0
    model = StarDist3D(Config3D(**options), name=arguments.model.name, basedir=str(arguments.model.parent))
    rng = np.random.default_rng(0)
    weights = model.keras_model.get_weights()
    moved = [w * rng.uniform(0.7, 1.3, w.shape) + (rng.uniform(0, 0.1, w.shape) if w.ndim == 1 else 0) for w in weights]
    model.keras_model.set_weights([w.astype(np.float32) for w in moved])
    model.keras_model.save_weights(str(arguments.model / "weights_best.h5"))
    (arguments.model / "thresholds.json").write_text('{"prob": 0.5, "nms": 0.4}')
    return {"parameters": int(sum(w.size for w in weights))}


def _predict(arguments: argparse.Namespace) -> dict[str, Any]:
    from stardist.models import StarDist3D

    model = StarDist3D(None, name=arguments.model.name, basedir=str(arguments.model.parent))
    said, seconds, cpu = {}, [], []
    for i, image in enumerate(np.load(arguments.data)["images"]):
        missing = [(0, -size % divisor) for size, divisor in zip(image.shape, model._axes_div_by("ZYX"), strict=True)]
        padded = np.pad(image, missing, mode="reflect")[None, ..., None]
        for _ in range(arguments.repeats):
            start, cpu_start = time.perf_counter(), time.process_time()
            prob, dist = model.keras_model.predict(padded, verbose=0)[:2]
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - cpu_start)
        said |= {f"prob{i}": prob[0, ..., 0], f"dist{i}": dist[0]}
        if arguments.instances:
            labels, details = model.predict_instances(image, verbose=False, show_tile_progress=False)
            said |= {f"labels{i}": labels, f"points{i}": details["points"]}
    np.savez(arguments.out, **said)
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["train", "random", "predict"])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="npz with images, and labels to train")
    parser.add_argument("--options", default="{}", help="of Config3D, as JSON")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--instances", action="store_true")
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()

    import tensorflow

    threads = int(os.environ.get("PEER_THREADS", "1"))
    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    tensorflow.keras.utils.set_random_seed(0)
    actions = {"train": _train, "random": _random, "predict": _predict}
    print("\n" + json.dumps(actions[arguments.action](arguments), default=float))


if __name__ == "__main__":
    main()
