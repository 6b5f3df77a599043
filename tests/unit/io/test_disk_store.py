"""What is written as zarr, on a disk without hard links: the same bytes."""

import subprocess
import sys

WRITE = """
import os, sys
from pathlib import Path
import numpy as np
import zarr
from barlowtrack.io.disk_store import DiskStore
from barlowtrack.io.wide import write_wide
from barlowtrack.io.write import write_recording
from barlowtrack.data import Traces
from barlowtrack.synthetic import preset, simulate

for links in ("yes", "no"):
    os.environ["LINKS"] = links
    place = Path(sys.argv[1]) / links
    place.mkdir()
    values = np.ones((2, 3), np.float32)
    write_wide(place / "wide", Traces.of_seen(np.arange(3) / 4, values, values, values, values, values), ["", "AVA"], about={})
    film = simulate(preset("easy", n_volumes=1, n_neurons=3, volume_shape=(4, 16, 16)), seed=0).recording
    write_recording(film, place / "worm", layout="ome-zarr-0.4")
    for n in range(2):  # goes on in what is there
        group = zarr.open_group(DiskStore(place / "crops"), mode="a", zarr_format=3)
        group.update_attributes({"window": [1]})
        group.create_array(str(n), data=values)
"""


def files(place):
    return {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_zarrs_are_the_same_without_hard_links(network, tmp_path):
    done = subprocess.run([sys.executable, "-c", WRITE, tmp_path], env=network, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usual, ours = (files(tmp_path / links) for links in ("yes", "no"))
    assert len(usual) > 20
    assert ours == usual
