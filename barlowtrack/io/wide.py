"""Traces as matrices, neurons x volumes: a zarr group that other programs open in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from barlowtrack.data import Flag, Source, Traces
from barlowtrack.io.columns import TABLES
from barlowtrack.io.disk_store import DiskStore

VALUES = ("red", "green", "ratio", "dr_over_r0", "df_over_f0", "probability", "source", "flags")


def write_wide(path: Path, traces: Traces, names: Sequence[str], *, about: Mapping[str, Any]) -> None:
    """Writes traces as a group of arrays; what lies there is replaced. The same traces give the same bytes.

    An array each for red to flags, (K, T), with unit and meaning as attributes; time_s, (T,); neuron, (K,). Names are an attribute of
    the group, since arrays of text are stored in many ways; so are the codes of source and flags, and what the traces were made of.

    Args:
        path: Of the group.
        traces: Of K neurons over T volumes.
        names: K of them; "" where nobody said.
        about: What they were made of, and how; anything that JSON knows, under names of its own.
    """
    group = zarr.open_group(DiskStore(path), mode="w", zarr_format=3)
    said = {
        "axes": ["neuron", "volume"],
        "names": list(names),
        "source_codes": {source.name.lower(): int(source) for source in Source},
        "flag_bits": {flag.name.lower(): int(flag) for flag in Flag if flag.name},
        **json.loads(json.dumps(about)),
    }
    group.update_attributes(said)
    arrays: dict[str, NDArray[Any]] = {
        "neuron": np.arange(len(traces.red), dtype=np.int32),
        "time_s": np.asarray(traces.time_s, np.float64),
    }
    arrays |= {name: getattr(traces, name) for name in VALUES}
    for name, values in arrays.items():
        unit, meaning = TABLES["traces"][name]
        axes = {"neuron": ("neuron",), "time_s": ("volume",)}.get(name, ("neuron", "volume"))
        chunks = tuple(max(length, 1) for length in values.shape)
        array = group.create_array(
            name, shape=values.shape, dtype=values.dtype, chunks=chunks, dimension_names=axes, attributes={"unit": unit, "meaning": meaning}
        )
        if values.size:
            array[:] = values
