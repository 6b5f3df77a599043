"""preparation.safetensors of a run folder: how the pictures are put right."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
from safetensors.numpy import load, save

from barlowtrack.data import Deconvolution, Preparation, Shifts
from barlowtrack.errors import InputError

_ARRAYS = ("offset", "dark", "hot", "jitter", "drift", "matrix")
_ABOUT = "preparation"


def to_bytes(preparation: Preparation) -> bytes:
    """Returns the content of the file; the same preparation gives the same bytes."""
    arrays = {name: np.ascontiguousarray(array) for name in _ARRAYS if (array := getattr(preparation, name)) is not None}
    about = {name: value for name, value in asdict(preparation).items() if name not in _ARRAYS}
    said = json.dumps(about, sort_keys=True).encode()
    return save(arrays | {_ABOUT: np.frombuffer(said, np.uint8)})


def from_bytes(content: bytes) -> Preparation:
    """Reads what to_bytes wrote.

    Raises:
        InputError: it is something else. What a file that is none makes safetensors raise is passed on.
    """
    arrays = load(content)
    try:
        about = json.loads(arrays.pop(_ABOUT).tobytes())
        how = about["deconvolution"]
        sharpen = None if how is None else Deconvolution(how["name"], how["made_by"], tuple(how["psf_um"]), how["iterations"])
        shape, planes = (None if about[name] is None else tuple(about[name]) for name in ("shape", "planes"))
        kept = {name: arrays.get(name) for name in _ARRAYS}
        return Preparation(
            shape=shape, planes=planes, mirror=about["mirror"], interpolation=about["interpolation"], deconvolution=sharpen, **kept
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"preparation: is damaged ({error!r})") from None


def shifts_to_bytes(shifts: Shifts) -> bytes:
    """Returns what was measured in one volume, as it is kept while the others are measured."""
    arrays = {"t": np.array([shifts.t]), "planes": shifts.planes, "sure": shifts.sure, "field": shifts.field}
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def shifts_from_bytes(content: bytes) -> Shifts:
    """The way back."""
    arrays = load(content)
    return Shifts(int(arrays["t"][0]), arrays["planes"], arrays["sure"], arrays["field"])
