"""Every case of bad input: one line that says what and where, exit 2, no traceback, nothing left behind; what is only odd is read right."""

import ctypes
import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests import nursery
from tests.cases.bad_inputs import BAD, BAD_RUNS, FINE

DIARY = ("lock", "events.jsonl")
"""Of a run folder: who was at work and what became of it, which is written down whatever happens."""


def tree(folder):
    """Returns all that lies in a folder, by name: what it is, its mode, and its content."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *names) if name not in DIARY):
            content = hashlib.blake2b(path.read_bytes()).digest() if path.is_file() and not path.is_symlink() else b""
            found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


def one_line(code, out, err, says):
    assert code == 2, (out, err)
    assert "Traceback" not in out + err
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("barlowtrack: ")
    for part in says:
        assert part in lines[0]
    assert lines[0].isprintable(), lines[0]


CAPABILITIES = 0x20080522  # version 3 of the call


@contextmanager
def without_privilege():
    """Takes from this thread what lets root open what is forbidden, for a while."""
    system = ctypes.CDLL(None, use_errno=True)
    header, before = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    if not hasattr(system, "capget") or system.capget(header, before):
        pytest.skip("this system does not say what this process may do")
    now = (ctypes.c_uint32 * 6)(*before)
    now[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if system.capset(header, now):
        pytest.skip("this system does not let a process do less than it may")
    try:
        yield
    finally:
        system.capset(header, before)


def test_the_catalogue_is_as_large_as_was_promised():
    assert len(BAD) + len(BAD_RUNS) >= 60
    assert len(FINE) >= 15


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name, call, tmp_path):
    case = BAD[name]
    command = case.make(tmp_path)
    before = tree(tmp_path)
    if case.unprivileged:
        with without_privilege():
            said = call(*command)
    else:
        said = call(*command)
    one_line(*said, case.says)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", BAD_RUNS)
def test_bad_input_about_a_run_is_one_line(name, call, tmp_path, tiny_run, tiny_worm):
    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")
    about = tmp_path / "recording.barlowtrack" / "run.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"recording": "../recording"}))
    case = BAD_RUNS[name]
    command = case.make(tmp_path)
    before = tree(tmp_path)
    one_line(*call(*command), case.says)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", FINE)
def test_what_is_only_odd_is_read_right(name, call, tmp_path):
    import barlowtrack as bt
    from barlowtrack.config import load

    path, typed, right = FINE[name].make(tmp_path)
    before = tree(tmp_path)
    typed = typed if typed[:1] == ("--voxel-size",) else (*typed, "--voxel-size", 1.5, 0.4, 0.4)
    code, _, err = call("check", path, *typed, *(("--reference-channel", 0) if "--reference-channel" not in typed else ()))
    assert (code, err) == (0, "")
    told = dict(zip(typed[::2], typed[1::2], strict=False))
    settings = [f'recording.{name}="{told[f"--{name}"]}"' for name in ("axes", "dataset") if f"--{name}" in told]
    config = load(None, [*settings, "recording.voxel_size_um=[1.5, 0.4, 0.4]", "recording.reference_channel=0"])
    recording = bt.open_recording(path, config.recording)
    assert recording.shape == right.shape
    np.testing.assert_array_equal(np.stack([recording.read(t) for t in range(len(right))]), right)
    assert recording.dtype == right.dtype.newbyteorder("=")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("layout", ["ome-tiff", "bigtiff"])
def test_a_disk_that_fills_while_a_recording_is_written_leaves_none_of_it(layout, tmp_path):
    wish = ("--volumes", 2, "--neurons", 3, "--shape", 6, 40, 60, "--layout", layout, "--quiet")
    command = ("simulate", tmp_path / "made", *wish)
    assert nursery.end_of(nursery.with_small_files, 5000, tmp_path / "said", *command) == 2
    one_line(2, "", (tmp_path / "said").read_text(), ("recording", "File too large"))
    assert list((tmp_path / "made").rglob("*")) == []
