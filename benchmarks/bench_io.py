"""Opening, reading and writing a recording in every layout, beside the libraries themselves.

    python benchmarks/bench_io.py --volumes 100 --shape 2 24 256 256

Quality is that every voxel comes back. Peak memory is that of the whole process, so run one layout alone to compare: --layouts bigtiff.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import tifffile
import zarr

from barlowtrack.data import Recording
from barlowtrack.io import open_recording, write_recording
from barlowtrack.io.write import Layout


@dataclass(frozen=True)
class Camera:
    """Dark noise and a moving bright block; compresses about as real volumes do."""

    shape: tuple[int, ...]

    def read(self, t: int) -> np.ndarray:
        volume = np.random.default_rng(t).poisson(8, self.shape).astype(np.uint16) + 100
        volume[:, :, t % 64 : t % 64 + 40, 20:90] *= 5
        return volume


def peers(layout: str, path: Path, n_volumes: int) -> None:
    """Reads the same with the library that the format comes from."""
    if layout == "ome-tiff":
        for file in sorted(path.iterdir()):
            tifffile.imread(file)
    elif layout == "bigtiff":
        with tifffile.TiffFile(path) as tif:
            pages = len(tif.pages) // n_volumes
            for t in range(n_volumes):
                tif.asarray(key=slice(t * pages, (t + 1) * pages), maxworkers=1)
    else:
        array = zarr.open_array(path / "0", mode="r")
        for t in range(n_volumes):
            array[t]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=100)
    parser.add_argument("--shape", type=int, nargs=4, default=(2, 24, 256, 256), metavar=("C", "Z", "Y", "X"))
    parser.add_argument("--layouts", nargs="+", choices=get_args(Layout), default=get_args(Layout))
    given = parser.parse_args()
    shape = (given.volumes, *given.shape)
    names = tuple(f"c{c}" for c in range(given.shape[0]))
    made = Recording(
        "bench", Camera(shape[1:]), shape, np.dtype(np.uint16), (1.5, 0.3, 0.3), 5.0, names, 0, 1 if len(names) > 1 else None, "f"
    )
    volume_mb = np.prod(shape[1:]) * 2 / 1e6
    print(f"{shape} uint16, {volume_mb:.1f} MB a volume; write, read, peer: ms a volume")
    print(f"{'layout':14}{'write':>8}{'open ms':>9}{'read':>8}{'peer':>8}{'size MB':>9}{'peak MB':>9}  same voxels")
    with tempfile.TemporaryDirectory() as place:
        for layout in given.layouts:
            path = Path(place) / {"ome-tiff": "a", "bigtiff": "a.ome.tif"}.get(layout, f"{layout}.zarr")
            marks = [time.perf_counter()]
            write_recording(made, path, layout=layout)
            marks.append(time.perf_counter())
            recording = open_recording(path)
            marks.append(time.perf_counter())
            for t in range(given.volumes):
                recording.read(t)
            marks.append(time.perf_counter())
            peers(layout, path, given.volumes)
            marks.append(time.perf_counter())
            same = all(np.array_equal(recording.read(t), made.read(t)) for t in (0, given.volumes // 2, given.volumes - 1))
            write, opened, read, peer = np.diff(marks)
            size = sum(f.stat().st_size for f in ([path] if path.is_file() else path.rglob("*"))) / 1e6
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            each_ms = write / given.volumes * 1e3, opened * 1e3, read / given.volumes * 1e3, peer / given.volumes * 1e3
            times = "".join(f"{ms:{width}.1f}" for ms, width in zip(each_ms, (8, 9, 8, 8), strict=True))
            print(f"{layout:14}{times}{size:9.1f}{peak:9.0f}  {same}")


if __name__ == "__main__":
    main()
