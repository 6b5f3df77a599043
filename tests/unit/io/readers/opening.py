"""What the tests of all readers share: voxels that differ everywhere, and how a recording is held against them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from barlowtrack.config import RecordingConfig
from barlowtrack.data import Recording
from barlowtrack.errors import InputError
from barlowtrack.io import open_recording

VOXELS = np.random.default_rng(0).integers(1, 60000, (4, 2, 5, 14, 18), dtype=np.uint16)  # T C Z Y X
TOLD = RecordingConfig(reference_channel=0)
SIZED = RecordingConfig(voxel_size_um=(1.5, 0.3, 0.4), reference_channel=0)


def axes(order: str) -> np.ndarray:
    """Returns VOXELS in another order of axes."""
    return VOXELS.transpose(["TCZYX".index(axis) for axis in order])


def agrees(path: Path | str, config: RecordingConfig = SIZED, voxels: np.ndarray = VOXELS) -> Recording:
    """Opens a recording and compares every volume, read by four threads at once in no order, with what was written."""
    recording = open_recording(path, config)
    assert recording.shape == voxels.shape
    assert recording.fingerprint == open_recording(path, config).fingerprint
    times = [t for _ in range(3) for t in (2, 0, 3, 1) if t < len(voxels)]
    with ThreadPoolExecutor(4) as pool:
        for t, volume in zip(times, pool.map(recording.read, times), strict=True):
            assert volume.dtype == recording.dtype == voxels.dtype.newbyteorder("=")
            assert volume.dtype.isnative
            assert volume.flags.c_contiguous
            np.testing.assert_array_equal(volume, voxels[t])
    return recording


def refused(path: Path | str, config: RecordingConfig = SIZED) -> str:
    """Returns the one line that a recording is refused with, when it is opened or when it is read."""
    with pytest.raises(InputError) as error:
        _read_all(path, config)
    line = str(error.value)
    assert "\n" not in line
    assert Path(str(path)).name.partition(".")[0] in line
    return line


def _read_all(path: Path | str, config: RecordingConfig) -> None:
    recording = open_recording(path, config)
    for t in range(recording.n_volumes):
        recording.read(t)


def bytes_read() -> int:
    """Returns how many bytes this process has asked of files until now, whatever the cache had of them."""
    said = Path("/proc/self/io").read_text()
    return int(next(line.split()[1] for line in said.splitlines() if line.startswith("rchar")))
