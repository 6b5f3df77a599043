"""Proof that our network is StarDist's: trains small models, 3-D and 2-D, with real StarDist on a synthetic worm, and compares.

Builds an environment with StarDist and TensorFlow of its own. Writes tests/data/stardist: the model folders, and what StarDist says of one
volume, so that the tests need no TensorFlow. Prints, beside that, the largest difference over whole maps of untrained models with many
options, and whether StarDist opens our export and says the same.

    python benchmarks/make_stardist_golden.py --out tests/data/stardist
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stardist_peer import build_environment, run_peer

from barlowtrack.io.stardist_model import read_model_folder, write_model_folder
from barlowtrack.nn.instances import instances, normalise, predict
from barlowtrack.nn.planes import outlines
from barlowtrack.nn.segmentation_model import SegmentationModel
from barlowtrack.synthetic import preset, simulate

SHAPE = (16, 72, 96)
CROP = (slice(1, 14), slice(3, 64), slice(5, 75))  # 13 x 61 x 70: no multiple of anything, so that padding is tried
EVERY = {"unet": 7, "resnet": 7, "planes": 23}
"""Distances are kept at every 7th or 23rd voxel of the grid: all of them would weigh megabytes."""

_COMMON = {"anisotropy": (3.0, 1.0, 1.0), "n_rays": 32, "grid": (1, 2, 2), "train_patch_size": (16, 64, 64), "train_batch_size": 2}
_TRAINING = {"train_steps_per_epoch": 40, "train_learning_rate": 1e-3, "train_tensorboard": False, "train_reduce_lr": None}
TRAINED: dict[str, dict[str, Any]] = {
    "unet": {
        **_COMMON,
        **_TRAINING,
        "train_epochs": 25,
        "backbone": "unet",
        "unet_n_filter_base": 8,
        "unet_pool": (1, 2, 2),
        "net_conv_after_unet": 32,
    },
    "resnet": {
        **_COMMON,
        **_TRAINING,
        "train_epochs": 10,
        "backbone": "resnet",
        "resnet_n_filter_base": 8,
        "resnet_n_blocks": 2,
        "resnet_batch_norm": True,  # without it this small a net learns nothing in minutes
        "net_conv_after_resnet": 32,
    },
    "planes": {
        **_TRAINING,
        "n_dim": 2,
        "n_rays": 16,
        "grid": (2, 2),
        "train_patch_size": (64, 64),
        "train_batch_size": 8,
        "train_epochs": 40,
        "unet_n_depth": 2,
        "unet_n_filter_base": 8,
        "net_conv_after_unet": 16,
    },
}
_U = {"backbone": "unet", "unet_n_filter_base": 4, "rays": 16}
_R = {"backbone": "resnet", "resnet_n_filter_base": 4, "rays": 16}
_2D = {"n_dim": 2, "unet_n_filter_base": 4, "n_rays": 16}
UNTRAINED: dict[str, dict[str, Any]] = {
    "unet, grid 2 4 4, batch norm": {**_U, "grid": (2, 4, 4), "unet_batch_norm": True, "unet_dropout": 0.1},
    "unet, kernel 1 5 3, 3 convs, elu, no features": {
        **_U,
        "unet_kernel_size": (1, 5, 3),
        "unet_n_conv_per_depth": 3,
        "unet_activation": "elu",
        "unet_last_activation": "linear",
        "net_conv_after_unet": 0,
    },
    "unet, depth 3, pool 1 2 2, prefix, expansion 1.5": {
        **_U,
        "unet_n_depth": 3,
        "unet_pool": (1, 2, 2),
        "unet_prefix": "my_",
        "unet_expansion": 1.5,
    },
    "unet, 1 conv, kernel 2 4 3, 2 classes": {**_U, "unet_n_conv_per_depth": 1, "unet_kernel_size": (2, 4, 3), "n_classes": 2},
    "resnet, grid 1 4 4, batch norm": {**_R, "grid": (1, 4, 4), "resnet_batch_norm": True},
    "resnet, default": {**_R},
    "resnet, grid 2 2 2, kernel 3 5 5, tanh": {**_R, "grid": (2, 2, 2), "resnet_kernel_size": (3, 5, 5), "resnet_activation": "tanh"},
    "resnet, 2 convs, even kernel, no features": {
        **_R,
        "grid": (1, 2, 4),
        "resnet_kernel_size": (2, 4, 3),
        "resnet_n_conv_per_block": 2,
        "net_conv_after_resnet": 0,
    },
    "2-D, default": {**_2D},
    "2-D, grid 2 4, kernel 2 5, batch norm": {**_2D, "grid": (2, 4), "unet_kernel_size": (2, 5), "unet_batch_norm": True},
    "2-D, pool 2 4, depth 2, no features, prefix, 2 classes": {
        **_2D,
        "unet_pool": (2, 4),
        "unet_n_depth": 2,
        "net_conv_after_unet": 0,
        "unet_prefix": "my_",
        "n_classes": 2,
    },
}


def worm_pairs(n: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Returns n normalised volumes of a small synthetic worm and their labels, (n, Z, Y, X) both."""
    worm = simulate(preset("mid", n_volumes=n, volume_shape=SHAPE, n_neurons=45), seed=1)
    images = np.stack([normalise(worm.recording.read(t)[0]) for t in range(n)])
    return images, np.stack([np.asarray(worm.labels.read(t), np.int32) for t in range(n)])


def in_each_plane(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Returns labels counted from 1 in every plane, as StarDist counts them there; ours count on."""
    least = np.where(labels > 0, labels, labels.max() + 1).min(axis=(1, 2))  # (Z,)
    return np.where(labels > 0, labels - least[:, None, None] + 1, 0)


def compare(model: SegmentationModel, image: NDArray[np.float32], said: Any, i: int) -> tuple[float, float, bool | None]:
    """Returns the largest difference of prob and of dist over the whole maps, and whether the instances are identical."""
    prob, dist = predict(model.network(), image)
    same = None
    if f"labels{i}" in said:
        find = outlines if model.spec.n_dim == 2 else instances
        found = find(prob, dist, model.spec, model.thresholds.prob, model.thresholds.nms, image.shape).labels
        same = bool(np.array_equal(in_each_plane(found) if model.spec.n_dim == 2 else found, said[f"labels{i}"]))
    return float(np.abs(prob - said[f"prob{i}"]).max()), float(np.abs(dist - said[f"dist{i}"]).max()), same


def check_trained(python: Path, scratch: Path, out: Path, kind: str) -> None:
    train, images = scratch / "train.npz", scratch / "images.npz"
    folder = out / kind
    shutil.rmtree(folder, ignore_errors=True)
    options = json.dumps(TRAINED[kind])
    trained = run_peer(python, "train", "--model", folder, "--data", train, "--options", options)
    run_peer(python, "predict", "--model", folder, "--data", images, "--out", scratch / "said.npz", "--instances")
    said, model = np.load(scratch / "said.npz"), read_model_folder(folder)
    print(f"{kind}: trained {trained['seconds']:.0f} s, thresholds {trained['thresholds']}")
    for i, image in enumerate(np.load(images)["images"]):
        prob, dist, same = compare(model, image, said, i)
        n = len(said[f"points{i}"])
        print(f"{kind}: volume {i}: largest difference prob {prob:.1e}, dist {dist:.1e}; {n} instances, identical: {same}")
    np.savez_compressed(
        out / f"{kind}.npz",
        prob=said["prob0"],
        dist=said["dist0"].reshape(-1, model.spec.n_rays)[:: EVERY[kind]],
        labels=said["labels0"].astype(np.uint8),
    )
    write_model_folder(model, scratch / f"{kind}_export")
    run_peer(python, "predict", "--model", scratch / f"{kind}_export", "--data", images, "--out", scratch / "again.npz", "--instances")
    again = np.load(scratch / "again.npz")
    same = all(np.array_equal(said[name], again[name]) for name in said.files)
    print(f"{kind}: StarDist opens our export; maps and instances equal to the last bit: {same}")


def check_untrained(python: Path, scratch: Path) -> None:
    image = scratch / "small.npz"
    np.savez(image, images=np.random.default_rng(0).normal(0.5, 0.5, (1, 9, 27, 30)).astype(np.float32))
    for i, (name, options) in enumerate(UNTRAINED.items()):
        folder = scratch / f"random{i}"
        made = run_peer(python, "random", "--model", folder, "--options", json.dumps(options))
        run_peer(python, "predict", "--model", folder, "--data", image, "--out", scratch / "said.npz")
        said, model = np.load(scratch / "said.npz"), read_model_folder(folder)
        prob, dist, _ = compare(model, np.load(image)["images"][0], said, 0)
        write_model_folder(model, scratch / f"export{i}")
        run_peer(python, "predict", "--model", scratch / f"export{i}", "--data", image, "--out", scratch / "again.npz")
        again = np.load(scratch / "again.npz")
        same = all(np.array_equal(said[key], again[key]) for key in said.files)
        scale = np.abs(said["dist0"]).max()
        print(f"{name}: {made['parameters']} weights; prob {prob:.1e}, dist {dist:.1e} of {scale:.1f}; export equal in StarDist: {same}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("tests/data/stardist"))
    parser.add_argument("--environment", type=Path, help="keep StarDist's environment here and use it again")
    parser.add_argument(
        "--train", nargs="*", choices=list(TRAINED), default=list(TRAINED), help="models to train; none: only compare untrained"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        python = build_environment(arguments.environment or scratch / "environment")
        check_untrained(python, scratch)
        images, labels = worm_pairs(16)
        np.savez(scratch / "train.npz", images=images[:12], labels=labels[:12])
        crops = np.stack([image[CROP] for image in images[12:]])
        np.savez(scratch / "images.npz", images=crops)
        if arguments.train:
            arguments.out.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(arguments.out / "volume.npz", volume=crops[0])
        for kind in arguments.train:
            check_trained(python, scratch, arguments.out, kind)
    print(f"{sum(f.stat().st_size for f in arguments.out.rglob('*') if f.is_file()) / 1e6:.2f} MB in {arguments.out}")


if __name__ == "__main__":
    main()
