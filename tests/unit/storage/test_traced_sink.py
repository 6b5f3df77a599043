"""What traces say of themselves: units, what they were made of and how; the same each time, and nothing of where or when."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import zarr

from barlowtrack.config import Config
from barlowtrack.data import Bleaching, Recording, Swaps, Traced, Traces
from barlowtrack.io.columns import TABLES
from barlowtrack.io.tables import read_provenance
from barlowtrack.storage import open_sink

K, T = 2, 3


def written(partial: Path, name: str = "worm") -> Path:
    """The folder in which the sink of trace has left its files."""
    partial.mkdir()
    recording = Recording(name, None, (T, 2, 1, 2, 2), np.dtype(np.uint16), (2.0, 0.5, 0.5), 4.0, ("a", "b"), 0, 1, "print")
    values = np.ones((K, T), np.float32)
    traces = Traces.of_seen(np.arange(T) / 4, values, values, values, values, values)
    swaps = Swaps(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2), int), np.zeros(0))
    sink = open_sink("trace", partial, {"recording": recording, "neurons": pd.DataFrame({"name": [""] * K})}, Config())
    sink.add(Traced(traces, Bleaching(np.ones((2, T)), np.ones((2, T)), ("none", "bi")), swaps))
    sink.finish()
    return partial


def test_traces_say_what_they_were_made_of(tmp_path: Path):
    made = written(tmp_path / "a")
    said, group = read_provenance(made / "traces.parquet"), dict(zarr.open_group(made / "traces.zarr", mode="r").attrs)
    for name in ("rate_hz", "voxel_size_um", "settings", "bleaching"):
        assert json.loads(said[name]) == group[name], name
    assert said["recording_fingerprint"] == group["recording_fingerprint"] == "print"
    assert (group["rate_hz"], group["voxel_size_um"], group["bleaching"]) == (4.0, [2.0, 0.5, 0.5], {"red": "none", "green": "bi"})
    assert group["settings"]["trace"]["reading"] == Config().trace.reading
    assert group["settings"]["measure"]["shell_um"] == Config().measure.shell_um
    assert json.loads(said["units"])["time_s"] == "s"
    for name in ("traces", "swaps", "bleaching"):
        units = {field.name: field.metadata[b"unit"].decode() for field in pq.read_schema(made / f"{name}.parquet")}
        assert units == {column: unit for column, (unit, _) in TABLES[name].items()}


def test_the_same_traces_are_the_same_bytes_whatever_the_recording_is_called_and_wherever_it_lies(tmp_path: Path):
    one, other = written(tmp_path / "a"), written(tmp_path / "b", name="another")
    for path in sorted(file.relative_to(one) for file in one.rglob("*") if file.is_file()):
        assert (one / path).read_bytes() == (other / path).read_bytes(), path
        assert str(tmp_path).encode() not in (one / path).read_bytes(), path
