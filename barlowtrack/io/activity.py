"""The tables of light and of what neurons do, and the way to the nouns and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from barlowtrack.data import Bleaching, Detections, Flag, IntArray, Light, Places, Source, Swaps, Traces
from barlowtrack.data.light import READINGS
from barlowtrack.errors import InputError
from barlowtrack.io.columns import TABLES
from barlowtrack.io.tables import numbers, position_columns, positions, require, whole

_COLOURS = ("red", "green")


def light_to_frame(detections: Detections, light: Light) -> pd.DataFrame:
    """Returns the table of light: one row a detection, in their order.

    Raises:
        InputError: detections and light of different length.
    """
    if len(detections) != len(light):
        raise InputError(f"light: expected {len(detections)} rows, one a detection, got {len(light)}")
    return pd.DataFrame({"t": detections.t, "label": detections.label, **_light_columns(light)})


def light_from_frame(frame: pd.DataFrame) -> Light:
    """Makes Light of the table of light, or of places, row by row.

    Raises:
        InputError: columns missing, or no numbers.
    """
    require(frame, list(TABLES["light"])[2:], "light")
    readings = {name: np.stack([numbers(frame, f"{colour}_{name}") for colour in _COLOURS]) for name in READINGS}
    rest = {name: numbers(frame, name) for name in ("crowding", "saturated")}
    return Light(**readings, **rest, voxels=whole(frame, "voxels"), edge=whole(frame, "edge").astype(bool))


def places_to_frame(places: Places) -> pd.DataFrame:
    """Returns the table of places, one row each."""
    columns = {"t": places.t, "entry": places.entry, **position_columns(places.position_um)}
    return pd.DataFrame({**columns, **_light_columns(places.light)})


def places_from_frame(frame: pd.DataFrame) -> Places:
    """Makes Places of their table.

    Raises:
        InputError: columns missing, or no numbers.
    """
    require(frame, TABLES["places"], "places")
    return Places(whole(frame, "t"), whole(frame, "entry"), positions(frame), light_from_frame(frame))


def bleaching_to_frame(bleaching: Bleaching) -> pd.DataFrame:
    """Returns the table of bleaching, one row a volume."""
    n_volumes = bleaching.level.shape[1]
    columns: dict[str, Any] = {"t": np.arange(n_volumes, dtype=np.int32)}
    for colour, level, fit, kind in zip(_COLOURS, bleaching.level, bleaching.fit, bleaching.kind, strict=True):
        columns |= {f"{colour}_level": level, f"{colour}_fit": fit, f"{colour}_kind": pd.Categorical([kind] * n_volumes)}
    return pd.DataFrame(columns)


def bleaching_from_frame(frame: pd.DataFrame) -> Bleaching:
    """Makes Bleaching of its table, of at least one volume.

    Raises:
        InputError: columns missing, or no row.
    """
    require(frame, TABLES["bleaching"], "bleaching")
    if not len(frame):
        raise InputError("bleaching: expected a row for every volume, got none")
    level, fit = (np.stack([numbers(frame, f"{colour}_{name}") for colour in _COLOURS]) for name in ("level", "fit"))
    red, green = (str(frame[f"{colour}_kind"].iloc[0]) for colour in _COLOURS)
    return Bleaching(level, fit, (red, green))


def swaps_to_frame(swaps: Swaps) -> pd.DataFrame:
    """Returns the table of swaps, one row each."""
    columns = {"first": swaps.first, "last": swaps.last, "neuron": swaps.neuron[:, 0], "other": swaps.neuron[:, 1]}
    return pd.DataFrame({**{name: column.astype(np.int32) for name, column in columns.items()}, "evidence": swaps.evidence})


def swaps_from_frame(frame: pd.DataFrame) -> Swaps:
    """Makes Swaps of their table.

    Raises:
        InputError: columns missing, or no numbers.
    """
    require(frame, TABLES["swaps"], "swaps")
    neuron = np.stack([whole(frame, "neuron"), whole(frame, "other")], axis=1)
    return Swaps(whole(frame, "first"), whole(frame, "last"), neuron, numbers(frame, "evidence"))


def traces_to_frame(traces: Traces, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Returns the table of traces: neurons x volumes rows, sorted by neuron, then t; empty where there is no value.

    Args:
        traces: Of K neurons.
        names: K of them, "" where nobody said; all so where not given.
    """
    n_neurons, n_volumes = traces.red.shape
    columns: dict[str, Any] = {
        "t": np.tile(np.arange(n_volumes, dtype=np.int32), n_neurons),
        "neuron": pd.array(np.repeat(np.arange(n_neurons, dtype=np.int32), n_volumes), dtype="Int32"),
        "name": pd.array(np.repeat(np.array(names or [""] * n_neurons, object), n_volumes), dtype="str"),
        "time_s": np.tile(traces.time_s, n_neurons),
    }
    values = {name: getattr(traces, name).ravel() for name in _TRACE_VALUES}
    words = {"source": _SOURCES[traces.source.ravel()], "flags": _FLAGS[traces.flags.ravel()]}
    return pd.DataFrame(columns | values | {name: pd.Categorical(column) for name, column in words.items()})


def traces_from_frame(frame: pd.DataFrame) -> Traces:
    """Makes Traces of their table, in any order of rows.

    Raises:
        InputError: columns missing, or not every neuron at every volume exactly once.
    """
    require(frame, TABLES["traces"], "traces")
    frame = frame.sort_values(["neuron", "t"], kind="stable")
    t, neuron = whole(frame, "t"), whole(frame, "neuron")
    n_volumes, n_neurons = int(t.max(initial=-1)) + 1, int(neuron.max(initial=-1)) + 1
    every_neuron, every_t = np.repeat(np.arange(n_neurons), n_volumes), np.tile(np.arange(n_volumes), n_neurons)
    if not (np.array_equal(t, every_t) and np.array_equal(neuron, every_neuron)):
        raise InputError(f"traces: expected each of {n_neurons} neurons once at each of {n_volumes} volumes, got {len(frame)} rows")
    shape = (n_neurons, n_volumes)
    red, green, ratio, dr_over_r0, df_over_f0, probability = (numbers(frame, name).reshape(shape) for name in _TRACE_VALUES)
    source, flags = (_codes(frame, name, words).reshape(shape) for name, words in (("source", _SOURCES), ("flags", _FLAGS)))
    time_s = numbers(frame, "time_s")[:n_volumes]
    return Traces(time_s, red, green, ratio, dr_over_r0, df_over_f0, probability, source, flags)


def _codes(frame: pd.DataFrame, name: str, words: np.ndarray[Any, Any]) -> IntArray:
    """Returns the place of each word of a column among those that it may hold."""
    found = frame[name].astype("str").fillna("")  # CSV cannot tell an empty word from none
    code = pd.Index(words).get_indexer(pd.Index(found))
    if (code < 0).any():
        raise InputError(f"traces: {name}: expected words such as {words[1]}, got {found[code < 0].iloc[0]}")
    return np.asarray(code, np.uint8)


_TRACE_VALUES = ("red", "green", "ratio", "dr_over_r0", "df_over_f0", "probability")
_SOURCES = np.array([source.name.lower() for source in Source], object)
_FLAGS = np.array([" ".join(flag.name.lower() for flag in Flag if flag.name and flags & flag) for flags in range(2 * max(Flag))], object)


def _light_columns(light: Light) -> dict[str, Any]:
    read = [(name, channel, colour) for name in READINGS for channel, colour in enumerate(_COLOURS)]
    columns: dict[str, Any] = {f"{colour}_{name}": getattr(light, name)[channel].astype(np.float32) for name, channel, colour in read}
    columns |= {"voxels": light.voxels.astype(np.int32), "crowding": light.crowding.astype(np.float32)}
    return columns | {"edge": light.edge.astype(np.int8), "saturated": light.saturated.astype(np.float32)}
