"""What many tests share: a tiny worm on disk, and settings under which the whole pipeline takes seconds."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# as many threads as the test machine has cores would fight with pytest's own workers
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # which napari starts, and which sets the threads of everybody in the process
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
SAMPLE = ROOT / "sample_data"

FAST = [
    "train.mode=scratch",
    "train.epochs=2",
    "train.projector_dims=[32, 16]",
    "train.embedding_dim=8",
    "crop.training_volumes=4",
    "crop.grid=[4, 16, 16]",
    "compute.workers=2",
]


def pytest_configure() -> None:
    """Takes Ctrl-C back where a shell that put the tests into its background has told them, and all they start, to ignore it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_worm(tmp_path_factory):
    """A folder with recording/ and truth.csv: 8 volumes of a small, easy worm."""
    from click.testing import CliRunner

    from barlowtrack.cli.main import cli

    folder = tmp_path_factory.mktemp("tiny")
    arguments = ["simulate", str(folder), "--preset", "easy", "--volumes", "8", "--neurons", "20", "--shape", "12", "72", "120", "--quiet"]
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert result.exception is None, result.exception
    return folder


@pytest.fixture(scope="session")
def tiny_run(tiny_worm, tmp_path_factory):
    """A finished run of the tiny worm; not to be changed."""
    import barlowtrack as bt

    return bt.run(tiny_worm / "recording", tmp_path_factory.mktemp("runs") / "tiny.barlowtrack", overrides=FAST, check=False)


@pytest.fixture
def real_worm():
    """The real volumes with neuron identities."""
    path = SHARED / "targettrack_worm"
    if not path.is_dir():
        pytest.skip("real data: ../shared/data/targettrack_worm is absent")
    return path


@pytest.fixture(scope="session")
def stardist_says():
    """What real StarDist said of a small volume, and its model folder; made by benchmarks/make_stardist_golden.py."""
    from types import SimpleNamespace

    import numpy as np

    from barlowtrack.io.stardist_model import read_model_folder

    def read(kind):
        folder = ROOT / "tests" / "data" / "stardist"
        with np.load(folder / "volume.npz") as volume, np.load(folder / f"{kind}.npz") as said:
            return SimpleNamespace(folder=folder / kind, model=read_model_folder(folder / kind), volume=volume["volume"], **said)

    return read


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """The environment of a process whose disk is one."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler, with which the disk is made")
    library = tmp_path_factory.mktemp("network") / "disk.so"
    source = ROOT / "tests" / "data" / "network_disk.c"
    made = subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"the C compiler does not make the disk: {made.stderr}")
    return {**os.environ, "LD_PRELOAD": str(library)}


@pytest.fixture
def call(monkeypatch, capsys):
    """Calls the command line in this process: exit code, what it printed, what it said."""
    from barlowtrack.cli import main

    def done(*arguments):
        monkeypatch.setattr(sys, "argv", ["barlowtrack", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return done
