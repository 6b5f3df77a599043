"""NDTiff, as its own package writes it."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barlowtrack.config import RecordingConfig
from barlowtrack.io import open_recording

from .opening import SIZED, agrees, bytes_read, refused
from .opening import VOXELS as SMALL

# its writer leaves files open
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
ndtiff = pytest.importorskip("ndtiff", reason="ndtiff, which writes this format, is not installed")


# its writer cannot read back what is smaller than a buffer of the disk
VOXELS = np.tile(SMALL, (1, 1, 1, 4, 5))


def write(
    folder: Path,
    voxels: np.ndarray = VOXELS,
    *,
    positions: int = 1,
    skip: tuple[int, ...] = (),
    summary: dict[str, Any] | None = None,
    times_s: Sequence[float] | None = None,
) -> Path:
    said = {"z-step_um": 1.5, "Interval_ms": 250} if summary is None else summary
    data = ndtiff.NDTiffDataset(str(folder), name="worm", summary_metadata=said, writable=True)
    for t, z, c, p in np.ndindex(len(voxels), voxels.shape[2], voxels.shape[1], positions):
        if (t, c, z) != skip:
            place = {"time": t, "channel": ("mCherry", "GCaMP")[c], "z": z} | ({"position": p} if positions > 1 else {})
            noted = {} if times_s is None else {"ElapsedTime-ms": 1000 * times_s[t] + 10 * z}
            data.put_image(place, voxels[t, c, z] + p, {"PixelSizeUm": 0.35, "ZPositionUm": 1.5 * z, **noted})
    data.finish()
    data.close()
    return Path(data.path)


def test_what_its_own_package_wrote(tmp_path: Path) -> None:
    recording = agrees(write(tmp_path), RecordingConfig(), VOXELS)
    assert recording.voxel_size_um == pytest.approx((1.5, 0.35, 0.35))
    assert recording.rate_hz == 4
    assert (recording.channel_names, recording.reference, recording.signal) == (("mCherry", "GCaMP"), 0, 1)


def test_steps_by_the_positions_of_planes(tmp_path: Path) -> None:
    assert open_recording(write(tmp_path, summary={})).voxel_size_um == pytest.approx((1.5, 0.35, 0.35))


def test_one_of_several_positions(tmp_path: Path) -> None:
    folder = write(tmp_path, VOXELS[:2], positions=2)
    assert "got 2 along position too; say which as --dataset NUMBER" in refused(folder)
    agrees(folder, SIZED.model_copy(update={"dataset": ("1",)}), VOXELS[:2] + 1)
    assert "got 7" in refused(folder, SIZED.model_copy(update={"dataset": ("7",)}))


def test_a_plane_that_was_never_written(tmp_path: Path) -> None:
    folder = write(tmp_path, skip=(2, 1, 3))
    assert any("1 of 40 planes were never written" in said for said in open_recording(folder).assumptions)
    assert "volume 2: " in refused(folder)
    assert "plane 3 of channel 1" in refused(folder)


@pytest.mark.parametrize("share", [0.0, 0.51, 0.99])
def test_cut_off(tmp_path: Path, share: float) -> None:
    folder = write(tmp_path)
    index, stack = folder / "NDTiff.index", next(folder.glob("*.tif"))
    whole = index.read_bytes()
    index.write_bytes(whole[: int(share * len(whole))])
    assert "NDTiff.index: " in refused(folder)
    index.write_bytes(whole)
    stack.write_bytes(stack.read_bytes()[: int(share * stack.stat().st_size)])
    assert "cut off" in refused(folder)


def test_names_that_lead_out_of_the_folder(tmp_path: Path) -> None:
    folder = write(tmp_path)
    index = folder / "NDTiff.index"
    name = next(folder.glob("*.tif")).name.encode()
    index.write_bytes(index.read_bytes().replace(name, b"../" + name[3:]))
    assert "lies elsewhere" in refused(folder)


def test_only_the_planes_of_a_volume_are_read(tmp_path: Path) -> None:
    voxels = np.zeros((40, 2, 4, 128, 128), np.uint16)
    recording = open_recording(write(tmp_path, voxels))
    before = bytes_read()
    recording.read(17)
    assert bytes_read() - before < 1.2 * voxels[0].nbytes + 1e4


def index_of(folder: Path, planes: list[tuple[Any, str, int]]) -> Path:
    """Writes an index of planes: axes, name of the file, sides."""
    folder.mkdir(exist_ok=True)
    (folder / "x.tif").write_bytes(b"II*\0" + bytes(500))
    parts = []
    for place, name, side in planes:
        for text in (json.dumps(place).encode(), name.encode()):
            parts += [struct.pack("<I", len(text)), text]
        parts.append(struct.pack("<8I", 0, side, side, 1, 0, 0, 10, 0))
    (folder / "NDTiff.index").write_bytes(b"".join(parts))
    return folder


@pytest.mark.parametrize(
    ("planes", "said"),
    [
        ([({"time": 0}, "x.tif", 4_000_000_000)], "fit into memory"),
        ([({"time": [0]}, "x.tif", 5)], "expected whole numbers or names"),
        ([({"time": None}, "x.tif", 5), ({"time": 1}, "x.tif", 5)], "expected whole numbers or names"),
        ([({"time": 0}, "x\0y.tif", 5)], "lies elsewhere"),
        ([({"time": 0}, "x.tif", 5)] * 2, "written twice"),
        ([({"z": z}, "x.tif", 5) for z in (0, 1, 3)], "planes are missing"),
    ],
)
def test_an_index_that_cannot_be(tmp_path: Path, planes: list[tuple[Any, str, int]], said: str) -> None:
    assert said in refused(index_of(tmp_path / "worm", planes))


def test_a_gap_in_time_is_said(tmp_path: Path) -> None:
    folder = index_of(tmp_path / "worm", [({"time": t}, "x.tif", 5) for t in (0, 5)])
    assert any("jump from 0 to 5" in said for said in open_recording(folder, SIZED).assumptions)


def test_volumes_that_were_dropped(tmp_path: Path) -> None:
    times_s = [0.25 * t for t in range(14) if t not in (5, 6)]
    recording = open_recording(write(tmp_path, np.concatenate([VOXELS] * 3), times_s=times_s))
    assert recording.rate_hz == pytest.approx(4)
    assert any("dropped volumes: after 1 of 12 volumes the clock jumps, by 2 volumes" in said for said in recording.assumptions)


def test_volumes_that_came_slower_than_planned(tmp_path: Path) -> None:
    recording = open_recording(write(tmp_path, times_s=[0, 0.5, 1, 1.5]))
    assert recording.rate_hz == pytest.approx(2)
    assert "ElapsedTime-ms: 2 volumes a second, where 4 were planned; taken as they came" in recording.assumptions
