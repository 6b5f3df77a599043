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


def _make(options: dict[str, Any], folder: Path | None) -> Any:
    """A new model; n_dim 2 makes a 2-D one, no folder one that is not saved."""
    from stardist import Rays_GoldenSpiral
    from stardist.models import Config2D, Config3D, StarDist2D, StarDist3D

    place = {"name": folder.name, "basedir": str(folder.parent)} if folder else {"name": None, "basedir": None}
    if options.pop("n_dim", 3) == 2:
        return StarDist2D(Config2D(**options), **place)
    if "n_rays" in options and "anisotropy" in options:
        options["rays"] = Rays_GoldenSpiral(options.pop("n_rays"), anisotropy=options["anisotropy"])
    return StarDist3D(Config3D(**options), **place)


def _open(folder: Path) -> Any:
    from stardist.models import StarDist2D, StarDist3D

    n_dim = json.loads((folder / "config.json").read_text())["n_dim"]
    return (StarDist2D if n_dim == 2 else StarDist3D)(None, name=folder.name, basedir=str(folder.parent))


def _train(arguments: argparse.Namespace) -> dict[str, Any]:
    pairs = np.load(arguments.data)
    images, labels = list(pairs["images"]), list(pairs["labels"])
    model = _make(json.loads(arguments.options), arguments.model)
    for_validation = 2
    if model.config.n_dim == 2:
        kept = [(x, y) for volume, mask in zip(images, labels, strict=True) for x, y in zip(volume, mask, strict=True) if y.any()]
        images, labels = [x for x, _ in kept], [y for _, y in kept]
        for_validation = 24
    start = time.perf_counter()
    held_out = images[-for_validation:], labels[-for_validation:]
    model.train(images[:-for_validation], labels[:-for_validation], validation_data=held_out, seed=0)
    chosen = model.optimize_thresholds(*held_out)
    for surplus in arguments.model.glob("*"):
        if surplus.name not in ("config.json", "thresholds.json", "weights_best.h5"):
            surplus.unlink()
    return {"seconds": time.perf_counter() - start, "thresholds": dict(chosen._asdict() if hasattr(chosen, "_asdict") else chosen)}


def _random(arguments: argparse.Namespace) -> dict[str, Any]:
    """A model of given options with random weights, statistics of batch normalisation included."""
    options = json.loads(arguments.options)
    _make({"n_dim": options.get("n_dim", 3)}, None)  # so that Keras does not count layers from 0
    model = _make(options, arguments.model)
    rng = np.random.default_rng(0)
    weights = model.keras_model.get_weights()
    moved = [w * rng.uniform(0.7, 1.3, w.shape) + (rng.uniform(0, 0.1, w.shape) if w.ndim == 1 else 0) for w in weights]
    model.keras_model.set_weights([w.astype(np.float32) for w in moved])
    model.keras_model.save_weights(str(arguments.model / "weights_best.h5"))
    (arguments.model / "thresholds.json").write_text('{"prob": 0.5, "nms": 0.4}')
    return {"parameters": int(sum(w.size for w in weights))}


def _predict(arguments: argparse.Namespace) -> dict[str, Any]:
    model = _open(arguments.model)
    flat = model.config.n_dim == 2
    said: dict[str, Any] = {}
    seconds, cpu, instance_seconds, instance_cpu = [], [], [], []
    for i, image in enumerate(np.load(arguments.data)["images"]):
        missing = [(0, -size % divisor) for size, divisor in zip(image.shape, model._axes_div_by("ZYX"), strict=True)]
        padded = np.pad(image, missing, mode="reflect")[..., None]  # of a 2-D model, planes are the batch
        padded = padded if flat else padded[None]
        for _ in range(arguments.repeats):
            start, cpu_start = time.perf_counter(), time.process_time()
            prob, dist = model.keras_model.predict(padded, verbose=0)[:2]
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - cpu_start)
        if arguments.repeats:
            said |= {f"prob{i}": prob[..., 0] if flat else prob[0, ..., 0], f"dist{i}": dist if flat else dist[0]}
        for _ in range(arguments.instances):
            start, cpu_start = time.perf_counter(), time.process_time()
            found = [model.predict_instances(part, verbose=False, show_tile_progress=False) for part in (image if flat else [image])]
            instance_seconds.append(time.perf_counter() - start)
            instance_cpu.append(time.process_time() - cpu_start)
            said[f"labels{i}"] = np.stack([labels for labels, _ in found]) if flat else found[0][0]
            said[f"points{i}"] = np.concatenate([details["points"] for _, details in found])
    np.savez(arguments.out, **said)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    instances = {"instance_seconds": instance_seconds, "instance_cpu_seconds": instance_cpu}
    return {"seconds": seconds, "cpu_seconds": cpu, **instances, "peak_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["train", "random", "predict"])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="npz with images, and labels to train")
    parser.add_argument("--options", default="{}", help="of Config3D, or with n_dim 2 of Config2D, as JSON")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--instances", type=int, nargs="?", const=1, default=0, help="how often to make instances")
    parser.add_argument("--repeats", type=int, default=1, help="how often to run the network alone")
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
