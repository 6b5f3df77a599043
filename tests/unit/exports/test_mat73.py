"""MATLAB files of version 7.3: the marks that MATLAB looks for, and what another reader makes of them."""

import h5py
import numpy as np
import pytest

from barlowtrack.exports import mat
from barlowtrack.exports.mat73 import write_structs

STRUCTS = {
    "info": {"name": "Würm", "n": 3, "nothing": "", "names": ["a", "", "a"], "codes": {"none": 0, "seen": 1}},
    "traces": {"red": np.arange(6, dtype=np.float32).reshape(2, 3), "at": np.array([1.0, np.nan]), "empty": np.zeros(0), "cells": []},
}


@pytest.fixture
def path(tmp_path):
    write_structs(tmp_path / "worm.mat", STRUCTS)
    return tmp_path / "worm.mat"


def test_the_header_is_matlabs(path):
    head = path.read_bytes()[:512]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[124:128] == b"\x00\x02IM"
    assert head[128:] == bytes(384)


def test_arrays_are_transposed_and_say_their_class(path):
    with h5py.File(path) as file:
        assert file["traces"].attrs["MATLAB_class"] == b"struct"
        assert file["traces/red"].shape == (3, 2)
        assert file["traces/red"].attrs["MATLAB_class"] == b"single"
        assert file["traces/at"].shape == (1, 2)  # a column
        assert file["traces/empty"][()].tolist() == [0, 1] or file["traces/empty"].attrs["MATLAB_empty"] == 1
        name = file["info/name"]
        assert name.attrs["MATLAB_class"] == b"char"
        assert bytes(name[()].astype("<u2").tobytes()).decode("utf-16-le") == "Würm"
        cells = file["info/names"]
        assert cells.attrs["MATLAB_class"] == b"cell"
        assert file[cells[0, 0]] == file[cells[0, 2]]
        assert file[cells[0, 1]].attrs["MATLAB_empty"] == 1
        assert [b"".join(one).decode() for one in file["info"].attrs["MATLAB_fields"]] == list(STRUCTS["info"])


def test_another_reader_gets_it_back(path):
    mat73 = pytest.importorskip("mat73", reason="mat73 is not installed: pip install mat73")
    back = mat73.loadmat(path)
    assert back["info"]["name"] == "Würm"
    assert [cell[0] for cell in back["info"]["names"]] == ["a", "", "a"]
    np.testing.assert_array_equal(back["traces"]["red"], STRUCTS["traces"]["red"])
    np.testing.assert_array_equal(back["traces"]["at"], STRUCTS["traces"]["at"])


def test_what_is_too_large_for_version_5_is_written_in_7_3(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(mat, "LARGEST_V5", 10_000)
    path = tiny_run.export("mat", tmp_path / "large.mat")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["traces/red"][()].T, tiny_run.traces.red)
        np.testing.assert_array_equal(file["detections/label"][0], tiny_run.detections.label)
