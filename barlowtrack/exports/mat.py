"""One MATLAB file of structs. Arrays of a column are columns; whatever is counted, is counted from 0, as in the run's own tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from barlowtrack.data import Flag, Source
from barlowtrack.exports.content import Content, corrections_table, detections_table
from barlowtrack.exports.formats import MATLAB_MADE_BY, Options
from barlowtrack.exports.mat73 import write_structs

LARGEST_V5 = 2**31 - 2**20
"""Bytes of one variable; a file of version 5 counts them in a signed 32-bit number."""


def structs(content: Content) -> dict[str, dict[str, Any]]:
    """Returns the variables of the file, each a struct: field -> number, text, array, or list of texts (a cell array)."""
    traces = content.traces
    values = {
        name: getattr(traces, name) for name in ("red", "green", "ratio", "dr_over_r0", "df_over_f0", "probability", "source", "flags")
    }
    place = content.matrix(content.detections.position_um.astype(np.float64))
    info = {
        "name": content.name,
        "shape_tczyx": np.array(content.shape, np.float64),
        "voxel_size_um": np.array(content.voxel_size_um, np.float64),
        "rate_hz": np.nan if content.rate_hz is None else content.rate_hz,
        "channel_names": list(content.channel_names),
        "reference_channel": content.reference,
        "signal_channel": np.nan if content.signal is None else content.signal,
        "version": str(content.about["version"]),
        "provenance_json": content.about_json,
        "settings_toml": content.settings,
        "note": "Neurons, volumes, voxels and channels count from 0: row k of traces is neuron k - 1. Places are z, y, x; NaN: no value."
        + (f" {content.where}" if content.where else ""),
    }
    return {
        "info": info,
        "neurons": _columns(content.neurons),
        "traces": {
            "time_s": traces.time_s,
            **values,
            "position_um": place,
            "position_vox": place / np.asarray(content.voxel_size_um),
            "source_codes": {source.name.lower(): int(source) for source in Source},
            "flag_bits": {flag.name.lower(): int(flag) for flag in Flag if flag.name},
        },
        "detections": _columns(detections_table(content)),
        "candidates": _columns(content.candidates),
        "absences": _columns(content.absences),
        "corrections": _columns(corrections_table(content.corrections)),
    }


def write(content: Content, path: Path, options: Options) -> None:
    """Writes the file: version 5, which everything reads, or -v7.3 where a struct is too large for it.

    Args:
        content: What to export.
        path: Of the file, which is not there.
        options: Its progress hears of the whole file.
    """
    from scipy.io import savemat

    variables = structs(content)
    if max(_size(fields) for fields in variables.values()) > LARGEST_V5:
        write_structs(path, variables)
        options.progress(1, 1)
        return
    ready = {name: {field: _v5(value) for field, value in fields.items()} for name, fields in variables.items()}
    savemat(str(path), ready, appendmat=False, oned_as="column", long_field_names=True, do_compression=True)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 5.0 MAT-file, Platform: GLNXA64, " + MATLAB_MADE_BY.ljust(76))
    options.progress(1, 1)


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Columns of a table as fields: texts as lists, whole numbers that may be empty as numbers with NaN."""
    fields: dict[str, Any] = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, (pd.StringDtype, pd.CategoricalDtype)) or column.dtype == object:
            fields[str(name)] = [text if isinstance(text, str) else "" for text in column]
        else:
            fields[str(name)] = column.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    return fields


def _v5(value: Any) -> Any:
    if isinstance(value, list):
        cells = np.empty((len(value), 1), object)
        cells[:, 0] = value
        return cells
    return value


def _size(fields: dict[str, Any]) -> int:
    """Bytes, about; those of a cell of text lie between 100 and what it says."""
    total = 0
    for value in fields.values():
        total += (
            value.nbytes if isinstance(value, np.ndarray) else sum(100 + 2 * len(t) for t in value) if isinstance(value, list) else 1000
        )
    return total
