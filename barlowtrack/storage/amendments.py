"""amendments.safetensors of a run folder: the volumes whose detections people changed, whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from barlowtrack.data import AmendedVolume, Amendments, Detections, Light, Places
from barlowtrack.errors import InputError

_PLAIN = ("origin", "vectors", "voxels", "labels", "clicks_um", "clicked")
_COLUMNS = tuple(name for name in Detections.__dataclass_fields__ if name != "n_volumes")


def to_bytes(volumes: Iterable[AmendedVolume]) -> bytes:
    """Returns the content of the file; the same volumes give the same bytes."""
    arrays = {f"{volume.t:08}.{name}": np.ascontiguousarray(array) for volume in volumes for name, array in _flat(volume).items()}
    return save(dict(sorted(arrays.items())))


def from_bytes(content: bytes) -> Amendments:
    """Reads what to_bytes wrote.

    Raises:
        InputError: it is something else. What a file that is none makes safetensors raise is passed on.
    """
    by_volume: dict[int, dict[str, NDArray[Any]]] = {}
    for key, array in load(content).items():
        t, _, name = key.partition(".")
        if not t.isdecimal():
            raise InputError(f"amendments: expected arrays of volumes, got {key}")
        by_volume.setdefault(int(t), {})[name] = array
    try:
        return Amendments(tuple(_volume(t, by_volume[t]) for t in sorted(by_volume)))
    except KeyError as error:
        raise InputError(f"amendments: expected an array {error.args[0]}, got none") from None


def light_arrays(light: Light, places: Places) -> dict[str, NDArray[Any]]:
    """Names the arrays of the light of one volume."""
    arrays = {f"light.{name}": array for name, array in vars(light).items()}
    arrays |= {f"there.{name}": array for name, array in vars(places.light).items()}
    return arrays | {name: getattr(places, name) for name in ("t", "entry", "position_um")}


def light_from(arrays: Mapping[str, NDArray[Any]]) -> tuple[Light, Places]:
    """The way back."""
    light, there = (Light(**{name: arrays[f"{of}.{name}"] for name in Light.__dataclass_fields__}) for of in ("light", "there"))
    return light, Places(arrays["t"], arrays["entry"], arrays["position_um"], there)


def _flat(volume: AmendedVolume) -> dict[str, NDArray[Any]]:
    arrays = light_arrays(volume.light, volume.places) | {name: getattr(volume, name) for name in _PLAIN}
    arrays |= {f"detections.{name}": getattr(volume.detections, name) for name in _COLUMNS}
    return arrays | {"said": np.frombuffer(volume.said.encode(), np.uint8), "n_volumes": np.array([volume.detections.n_volumes])}


def _volume(t: int, arrays: Mapping[str, NDArray[Any]]) -> AmendedVolume:
    detections = Detections(int(arrays["n_volumes"][0]), **{name: arrays[f"detections.{name}"] for name in _COLUMNS})
    light, places = light_from(arrays)
    plain = {name: arrays[name] for name in _PLAIN}
    return AmendedVolume(t=t, said=arrays["said"].tobytes().decode(), detections=detections, light=light, places=places, **plain)
