"""Recordings on servers: what opens an address is neither printed, nor logged, nor written down by any verb."""

import gc
import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
import zarr

import barlowtrack as bt
from barlowtrack.errors import BarlowtrackError
from tests.conftest import FAST
from tests.servers import signed_server

TOKEN = "token=s%2Fecret"
SECRET = "ecret"
SIZED = ("--voxel-size", 1.5, 0.4, 0.4, "--axes", "TCZYX", "--reference-channel", 0)

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("aiohttp"),
]


@pytest.fixture
def aiohttp():
    """Sessions that fsspec leaves to the collector are collected here: what they say of it would fall on any later test."""
    pytest.importorskip("aiohttp", reason="aiohttp, which asks servers, is not installed")
    said = logging.getLogger("asyncio")
    said.setLevel(logging.CRITICAL)
    yield
    gc.collect()
    said.setLevel(logging.NOTSET)


@pytest.fixture
def gone():
    """Parts of names for which the server answers once more, and then not any more."""
    return {}


def is_gone(name, gone):
    part = next((part for part in gone if part in name), None)
    if part is not None:
        gone[part] += 1
    return part is not None and gone[part] > 1


@pytest.fixture
def address(tmp_path, gone):
    """The signed address of a small recording."""
    folder = tmp_path / "server"
    voxels = np.random.default_rng(0).integers(90, 2000, (6, 2, 4, 64, 72), dtype=np.uint16)
    zarr.create_array(str(folder / "worm.zarr"), data=voxels, chunks=(1, 2, 4, 64, 72))
    with signed_server(folder, TOKEN, lambda name: is_gone(name, gone)) as server:
        yield f"{server}/worm.zarr?{TOKEN}"


def written(folder):
    """Returns all that lies in a folder: names and contents."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb") as file:
                found.append(os.fsencode(name) + b"\n" + file.read())
    return b"\n".join(found)


def discreet(said, folder):
    """What a verb said, and what lies in a folder now, tells no secret."""
    assert SECRET not in "".join(map(str, said))
    assert SECRET.encode() not in written(folder)


def test_a_run_that_the_server_lets_down(address, gone, call, tmp_path):
    out = tmp_path / "run.barlowtrack"
    fast = [part for setting in ["segment.method=log", *FAST] for part in ("--set", setting)]
    begun = call("-v", "run", address, "--out", out, "--to", "prepare", "--no-check", *SIZED, *fast)
    assert begun[0] == 0, begun
    assert json.loads((out / "run.json").read_text())["recording"] == address.partition("?")[0]
    discreet(begun, out)
    gone["/c/5/"] = 0  # it is there when the recording is opened, and not when its volumes are read
    stopped = call("-v", "segment", address, "--out", out, *SIZED, *fast, "--progress", "json")
    assert stopped[0] == 2, stopped
    assert "worm.zarr" in stopped[1]
    discreet(stopped, out)
    assert '"stopped"' in (out / "events.jsonl").read_text()
    for verb in (("status", address, "--out", out), ("status", out), ("config", address)):
        discreet(call("-v", *verb), out)


def test_a_look_that_says_stop(address, call, tmp_path):
    said = call("-v", "check", address, "--voxel-size", 500, 400, 400, "--axes", "TCZYX", "--reference-channel", 0)
    assert said[0] == 2
    assert "worm.zarr?...: not ready to run" in said[2]
    discreet(said, tmp_path / "none")


@pytest.mark.parametrize("login", ["", "user:s%2Fecret@"], ids=["token", "password"])
@pytest.mark.parametrize(
    "verb",
    [
        ("check",),
        ("run",),
        ("status",),
        ("segment",),
        ("segment", "--volumes", "0:2"),
        ("review",),
        ("correct", "--undo", 2),
        ("export", "--to", "csv"),
        ("movie", "--out", "it.png"),
        ("open",),
        ("train-encoder", "--out", "it.safetensors"),
        ("evaluate", "--truth", "https://user:s%2Fecret@host.org/truth.csv?token=s%2Fecret"),
        ("batch",),
        ("run", "--out", "https://user:s%2Fecret@host.org/run?token=s%2Fecret"),
        ("run", "--config", "https://user:s%2Fecret@host.org/it.toml?token=s%2Fecret"),
    ],
    ids=lambda verb: "-".join(map(str, verb[:2])),
)
def test_what_cannot_be_opened_is_not_given_away(login, verb, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = f"http://{login}127.0.0.1:9/worm.zarr?token=s%2Fecret"  # a port on which nobody listens
    code, out, err = call("-v", verb[0], target, *verb[1:])
    assert code == 2
    assert len([line for line in err.splitlines() if line.startswith("barlowtrack: ")]) == 1
    discreet((out, err), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_script_is_told_no_more(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    for login in ("", "user:s%2Fecret@"):
        with pytest.raises(BarlowtrackError) as error:
            bt.run(f"http://{login}127.0.0.1:9/worm.zarr?token=s%2Fecret")
        assert SECRET not in str(error.value) + caplog.text


def test_the_last_line_is_not_of_a_connection(address, tmp_path):
    """In a process of its own, as connections are left to its end."""
    command = [sys.executable, "-m", "barlowtrack", "check", address, *map(str, SIZED)]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert "Unclosed" not in said.stderr
    assert "volumes     6 of" in said.stdout


def test_a_mistyped_verb_gives_nothing_away(tmp_path):
    command = [sys.executable, "-m", "barlowtrack", "status", "a", "https://bob:s%2Fecret@host.org/worm.zarr"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert said.returncode == 2
    assert "host.org" in said.stderr
    assert SECRET not in said.stderr
