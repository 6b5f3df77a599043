"""The sample is what its README says it is."""

import hashlib

from barlowtrack.config import RecordingConfig
from barlowtrack.io import open_recording
from barlowtrack.io.tables import read_truth
from barlowtrack.synthetic import preset, simulate
from tests.conftest import SAMPLE


def test_the_checksums_hold_and_name_every_file():
    sums = dict(line.split(maxsplit=1)[::-1] for line in (SAMPLE / "SHA256SUMS").read_text().splitlines())
    files = [
        path
        for path in SAMPLE.rglob("*")
        if path.is_file() and path.name not in ("SHA256SUMS", "README.md") and ".barlowtrack" not in str(path)
    ]
    assert {f"./{path.relative_to(SAMPLE)}" for path in files} == set(sums)
    for name, expected in sums.items():
        assert hashlib.sha256((SAMPLE / name).read_bytes()).hexdigest() == expected, name


def test_it_stays_small():
    assert sum(path.stat().st_size for path in (SAMPLE / "recording").iterdir()) < 15e6


def test_it_is_what_its_command_makes():
    recording = open_recording(SAMPLE / "recording", RecordingConfig())
    made = simulate(preset("easy", n_volumes=36, n_neurons=40, volume_shape=(16, 96, 168)), seed=1)
    assert recording.shape == made.recording.shape
    for t in (0, 35):
        difference = recording.read(t).astype(int) - made.recording.read(t)
        assert abs(difference).max() <= 1, "the sample was made by another simulator: make it again, or raise the simulator's version"
        assert (difference != 0).mean() < 1e-3
    assert len(read_truth(SAMPLE / "truth.csv")) == len(made.truth)
