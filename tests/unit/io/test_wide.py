"""Traces as matrices: what other programs find in them, and the same bytes for the same traces."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import zarr

from barlowtrack.data import Flag, Source, Traces
from barlowtrack.io.wide import VALUES, write_wide


def traces(n_neurons: int = 3, n_volumes: int = 4) -> Traces:
    grids = np.random.default_rng(2).random((6, n_neurons, n_volumes), dtype=np.float32)
    grids[:, 1:2, 2:3] = np.nan
    source = np.full((n_neurons, n_volumes), Source.PREDICTED, np.uint8)
    return Traces(np.arange(n_volumes) / 5, *grids, source, np.full_like(source, Flag.DIM))


def digest(path: Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return hashlib.sha256(b"".join(file.relative_to(path).as_posix().encode() + file.read_bytes() for file in files)).hexdigest()


@pytest.mark.parametrize("n_neurons", [0, 3])
def test_matrices_say_what_they_are(tmp_path: Path, n_neurons: int) -> None:
    names = ["", "AVAL", "<b>"][:n_neurons]
    write_wide(tmp_path / "traces.zarr", traces(n_neurons), names, about={"settings": {"reading": "soft"}})
    found = zarr.open_group(tmp_path / "traces.zarr", mode="r")
    for name in VALUES:
        np.testing.assert_array_equal(found[name][:], getattr(traces(n_neurons), name), err_msg=name)
        assert found[name].metadata.dimension_names == ("neuron", "volume")
    np.testing.assert_array_equal(found["time_s"][:], np.arange(4) / 5)
    np.testing.assert_array_equal(found["neuron"][:], np.arange(n_neurons))
    assert dict(found["red"].attrs)["unit"] == "camera units"
    assert found.attrs["names"] == names
    assert found.attrs["source_codes"] == {"none": 0, "seen": 1, "predicted": 2, "interpolated": 3}
    assert found.attrs["flag_bits"]["dim"] == Flag.DIM
    assert found.attrs["settings"] == {"reading": "soft"}


def test_the_same_traces_are_the_same_bytes_and_replace_others(tmp_path: Path) -> None:
    for name in "ab":
        write_wide(tmp_path / name, traces(), ["", "AVAL", ""], about={"settings": {"reading": "soft"}})
    write_wide(tmp_path / "c", traces(5, 9), [""] * 5, about={})
    write_wide(tmp_path / "c", traces(), ["", "AVAL", ""], about={"settings": {"reading": "soft"}})
    assert digest(tmp_path / "a") == digest(tmp_path / "b") == digest(tmp_path / "c")
