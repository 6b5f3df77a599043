"""A lab's own StarDist model, 2-D or 3-D: its folder read into torch weights exactly, and weights written as a folder StarDist opens."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from barlowtrack.errors import InputError
from barlowtrack.io.regular import refuse_endless
from barlowtrack.nn.brightness import Brightness
from barlowtrack.nn.local import SameConv3d
from barlowtrack.nn.segmentation_model import SegmentationModel, Thresholds
from barlowtrack.nn.starconvex import StarConvexNet, StarDistBlock
from barlowtrack.nn.starconvex_spec import StarConvexSpec, config_from_spec, spec_from_config

log = logging.getLogger(__name__)

WEIGHTS = ("weights_best.h5", "weights_last.h5")
"""The files StarDist leaves, the better first."""

OURS = "barlowtrack.json"
"""What StarDist does not keep; it leaves the file alone."""

_MOST_WEIGHTS = 2**27  # of one layer

_CONV = (("weight", "kernel"), ("bias", "bias"))
_NORM = (("weight", "gamma"), ("bias", "beta"), ("running_mean", "moving_mean"), ("running_var", "moving_variance"))
_FROM_KERAS, _TO_KERAS = (4, 3, 0, 1, 2), (2, 3, 4, 1, 0)  # kernels: Z Y X in out there, out in Z Y X here
_UNNAMED = re.compile(r"(conv[23]d|batch_normalization)(?:_(\d+))?")
_CLASS_HEAD = {"features_class", "prob_class"}  # of a model that also names the kind of object; we do not


@dataclass(frozen=True)
class _Layer:
    keras_name: str
    torch_name: str
    module: nn.Module
    n_dim: int

    def parts(self) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """Yields torch's name, Keras' name and Keras' shape of every array, in Keras' order."""
        for ours, theirs in _CONV if isinstance(self.module, nn.Conv3d) else _NORM:
            tensor = getattr(self.module, ours)
            if tensor is not None:
                shape = tuple(tensor.shape)
                yield (
                    f"{self.torch_name}.{ours}",
                    theirs,
                    tuple(shape[i] for i in _TO_KERAS)[3 - self.n_dim :] if len(shape) == 5 else shape,
                )


def read_model_folder(path: Path) -> SegmentationModel:
    """Reads a StarDist model, 2-D or 3-D: config.json, thresholds.json and weights_best.h5, or weights_last.h5 where there is no best.

    A head that names the kind of object (n_classes) is left out; without thresholds.json StarDist's defaults hold. What StarDist does not
    keep (the voxel size, how brightness is seen) comes from barlowtrack.json, where we wrote the model.

    Raises:
        InputError: a file that is missing, damaged or of another kind, or a layer that is missing, superfluous or of another shape.
    """
    if not path.is_dir():
        raise InputError(f"{path}: expected the folder of a StarDist model (config.json, weights_best.h5), got no folder")
    spec = spec_from_config(_read_json(path / "config.json"), str(path / "config.json"))
    thresholds = _read_thresholds(path / "thresholds.json")
    found = [path / name for name in WEIGHTS if (path / name).is_file()]
    if not found:
        raise InputError(f"{path}: expected weights, {' or '.join(WEIGHTS)}, got neither")
    return SegmentationModel(spec, _read_weights(found[0], spec), thresholds, **_read_ours(path / OURS))


def write_model_folder(model: SegmentationModel, path: Path) -> None:
    """Writes a model as a folder that StarDist opens: StarDist3D(None, name=path.name, basedir=path.parent), or StarDist2D.

    Args:
        model: Weights on any device.
        path: A folder that does not exist yet.

    Raises:
        InputError: something lies at the path, it cannot be written, or weights do not fit the spec.
    """
    if path.exists():
        raise InputError(f"{path}: expected a free place for a model, got something that is there already")
    arrays = {name: tensor.detach().cpu().float().numpy() for name, tensor in model.weights.items()}
    half_made = path.with_name(path.name + ".partial")
    try:
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(parents=True)
        _write_json(half_made / "config.json", config_from_spec(model.spec))
        _write_json(half_made / "thresholds.json", {"prob": model.thresholds.prob, "nms": model.thresholds.nms})
        _write_json(half_made / OURS, _ours(model))
        _write_weights(half_made / WEIGHTS[0], model.spec, arrays)
        half_made.rename(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(half_made, ignore_errors=True)


def _ours(model: SegmentationModel) -> dict[str, Any]:
    return {"brightness": asdict(model.brightness), "voxel_size_um": model.voxel_size_um, "radius_um": model.radius_um}


def _read_ours(path: Path) -> dict[str, Any]:
    """Returns brightness, voxel_size_um and radius_um of a model we wrote; nothing for another's."""
    if not path.is_file():
        return {}
    said = _read_json(path)
    brightness = said.get("brightness", {})
    try:
        seen = Brightness(*(float(brightness[name]) for name in ("low", "high", "curve")))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: brightness: expected numbers low, high and curve, got {brightness} ({error})") from None
    if not (0 <= seen.low < seen.high <= 100 and 0 <= seen.curve < float("inf")):
        raise InputError(f"{path}: brightness: expected percentiles 0 <= low < high <= 100 and a curve of at least 0, got {brightness}")
    return {
        "brightness": seen,
        "voxel_size_um": _lengths(said.get("voxel_size_um"), 3, f"{path}: voxel_size_um"),
        "radius_um": _lengths(said.get("radius_um"), 2, f"{path}: radius_um"),
    }


def _lengths(said: Any, n: int, where: str) -> tuple[float, ...] | None:
    if said is None:
        return None
    good = isinstance(said, list) and len(said) == n and all(isinstance(v, (int, float)) and 1e-3 <= v <= 1e3 for v in said)
    if not good:
        raise InputError(f"{where}: expected {n} lengths in um, got {said}")
    return tuple(float(v) for v in said)


def _layers(spec: StarConvexSpec) -> list[_Layer]:
    """Returns the layers with weights in the order StarDist makes them; it numbers those without a name."""
    with torch.device("meta"):  # shapes alone
        net = StarConvexNet(spec)
    conv = f"conv{spec.n_dim}d"
    layers, made = [], {conv: 0, "batch_normalization": 0}
    for torch_name, module in net.named_modules():
        if not isinstance(module, (SameConv3d, nn.BatchNorm3d)):
            continue
        name = module.keras_name if isinstance(module, SameConv3d) else ""
        if not name:
            kind = conv if isinstance(module, SameConv3d) else "batch_normalization"
            name = f"{kind}_{made[kind]}" if made[kind] else kind
            made[kind] += 1
        layers.append(_Layer(name, torch_name, module, spec.n_dim))
    return layers


def _in_keras_order(spec: StarConvexSpec) -> list[_Layer]:
    """Returns the layers as Keras lists and, reading by place, expects them: a shortcut stands just before the last layer beside it."""
    layers = _layers(spec)
    with torch.device("meta"):
        blocks = [name for name, module in StarConvexNet(spec).named_modules() if isinstance(module, StarDistBlock)]
    for block in blocks:
        inner = [i for i, layer in enumerate(layers) if layer.torch_name.startswith(f"{block}.inner.")]
        shortcut = inner[-1] + 1
        if layers[shortcut].torch_name == f"{block}.shortcut":
            layers.insert(inner[-1], layers.pop(shortcut))
    return layers


def _read_weights(path: Path, spec: StarConvexSpec) -> dict[str, Tensor]:
    try:
        with h5py.File(path, "r", locking=False) as file:  # some network disks know no locks
            stored = _read_layers(file, path)
    except OSError as error:
        raise InputError(f"{path}: expected HDF5 weights, cannot be read: {error}") from None
    stored = {name: arrays for name, arrays in stored.items() if name not in _CLASS_HEAD}
    renumbered = _renumber(stored)
    weights: dict[str, Tensor] = {}
    for layer in _layers(spec):
        their_name, arrays = renumbered.pop(layer.keras_name, (layer.keras_name, {}))
        if not arrays:
            raise InputError(f"{path}: layer {their_name}: expected by config.json, got none")
        for name, part, shape in layer.parts():
            weights[name] = _convert(arrays.pop(part, None), shape, f"{path}: layer {their_name}: {part}")
        if arrays:
            raise InputError(f"{path}: layer {their_name}: expected no {', '.join(arrays)} by config.json, got some")
        if isinstance(layer.module, nn.BatchNorm3d):
            weights[f"{layer.torch_name}.num_batches_tracked"] = torch.tensor(0)
    if renumbered:
        raise InputError(f"{path}: layer {next(iter(renumbered.values()))[0]}: expected no such layer by config.json, got one")
    return weights


def _read_layers(file: h5py.File, path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """Returns the arrays of every layer that has any: kernel, bias, gamma ..."""
    group = file.get("model_weights", file)  # a whole Keras model keeps them one level down
    if "layer_names" not in group.attrs:
        raise InputError(f"{path}: expected weights as StarDist saves them (Keras HDF5 with layer_names), got another layout")
    layers = {}
    for name in map(_text, group.attrs["layer_names"]):
        try:
            layer = _inside(group, name)
            keys = [_text(key) for key in layer.attrs["weight_names"]]
            arrays = {key.rsplit("/", 1)[-1].removesuffix(":0"): _array(_inside(layer, key)) for key in keys}
        except (KeyError, TypeError, ValueError, RuntimeError, OSError, MemoryError) as error:
            raise InputError(f"{path}: layer {name}: damaged: {error.args[0] if error.args else error}") from None
        if arrays:
            layers[name] = arrays
    return layers


def _inside(group: Any, name: str) -> Any:
    """Returns what lies under a name in this very file: a link elsewhere would read what the model's hash does not cover."""
    for part in filter(None, name.split("/")):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise KeyError(f"{name}: expected in the file itself, got none, or a link")
        group = group[part]
    return group


def _array(dataset: Any) -> NDArray[Any]:
    """Reads weights that lie in the file itself."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f" or dataset.is_virtual or dataset.external is not None:
        raise ValueError(f"{dataset.name}: expected an array of numbers in the file itself, got something else")
    if dataset.size > _MOST_WEIGHTS:
        raise ValueError(f"{dataset.name}: expected at most {_MOST_WEIGHTS} weights, got {dataset.size}")
    return np.asarray(dataset[()])


def _renumber(stored: Mapping[str, dict[str, NDArray[Any]]]) -> dict[str, tuple[str, dict[str, NDArray[Any]]]]:
    """Counts unnamed layers from 0: Keras goes on counting where the session's last model ended."""
    counted: dict[str, list[tuple[int, str]]] = {}
    renumbered = {}
    for name, arrays in stored.items():
        unnamed = _UNNAMED.fullmatch(name)
        if unnamed:
            counted.setdefault(unnamed[1], []).append((int(unnamed[2] or 0), name))
        else:
            renumbered[name] = name, arrays
    for kind, names in counted.items():
        for i, (_, name) in enumerate(sorted(names)):
            renumbered[f"{kind}_{i}" if i else kind] = name, stored[name]
    return renumbered


def _convert(array: NDArray[Any] | None, shape: tuple[int, ...], where: str) -> Tensor:
    if array is None or array.shape != shape:
        raise InputError(f"{where}: expected shape {shape} by config.json, got {'none' if array is None else array.shape}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{where}: expected finite weights, got NaN or infinity")
    kernel = array[None] if array.ndim == 4 else array  # of a 2-D model: Y X in out
    ours = kernel.transpose(_FROM_KERAS) if kernel.ndim == 5 else kernel
    return torch.from_numpy(np.ascontiguousarray(ours, dtype=np.float32))


def _write_weights(path: Path, spec: StarConvexSpec, arrays: Mapping[str, NDArray[Any]]) -> None:
    layers = _in_keras_order(spec)
    with h5py.File(path, "w", locking=False) as file:
        file.attrs["layer_names"] = np.array([layer.keras_name.encode() for layer in layers])
        file.attrs["backend"] = np.bytes_(b"tensorflow")
        file.attrs["keras_version"] = np.bytes_(b"2.15.0")  # whose layout this is; later ones read it too
        for layer in layers:
            group, names = file.create_group(layer.keras_name), []
            for name, part, shape in layer.parts():
                array = arrays.get(name)
                theirs = array.transpose(_TO_KERAS) if array is not None and array.ndim == 5 else array
                if theirs is not None and theirs.ndim == 5 and spec.n_dim == 2 and len(theirs) == 1:
                    theirs = theirs[0]
                if theirs is None or theirs.shape != shape:
                    got = "none" if theirs is None else theirs.shape
                    raise InputError(f"weights: {name}: expected shape {shape} (as Keras has it) by the spec, got {got}")
                names.append(f"{layer.keras_name}/{part}:0")
                group.create_dataset(names[-1], data=np.ascontiguousarray(theirs, dtype=np.float32))
            group.attrs["weight_names"] = np.array([name.encode() for name in names])


def _read_thresholds(path: Path) -> Thresholds:
    if not path.exists():
        log.warning("%s: absent; StarDist's default thresholds are used", path)
        return Thresholds()
    said = _read_json(path)
    for name in ("prob", "nms"):
        value = said.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
            raise InputError(f"{path}: {name}: expected a number between 0 and 1, got {value}")
    return Thresholds(float(said["prob"]), float(said["nms"]))


def _read_json(path: Path) -> dict[str, Any]:
    refuse_endless(path)
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(said, dict):
        raise InputError(f"{path}: expected names and values, got {type(said).__name__}")
    return said


def _write_json(path: Path, said: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(said) + "\n", encoding="utf-8")


def _text(name: str | bytes) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
