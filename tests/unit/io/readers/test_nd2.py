"""ND2: see nd2_file.py for what these tests show, and what they cannot."""

from pathlib import Path

import numpy as np
import pytest

from barlowtrack.config import RecordingConfig
from barlowtrack.io import open_recording

from .nd2_file import write
from .opening import SIZED, VOXELS, agrees, refused

pytest.importorskip("nd2", reason="the extra barlowtrack[nd2] is not installed")
NAMES = ("GCaMP6s", "mNeptune")


def test_volumes_and_metadata(tmp_path: Path) -> None:
    recording = agrees(write(tmp_path / "worm.nd2", VOXELS, names=NAMES), RecordingConfig())
    assert recording.voxel_size_um == pytest.approx((1.5, 0.35, 0.35))
    assert recording.rate_hz == pytest.approx(4)
    assert (recording.channel_names, recording.reference, recording.signal) == (NAMES, 1, 0)
    assert recording.assumptions == ()


def test_one_of_several_positions(tmp_path: Path) -> None:
    path = write(tmp_path / "worm.nd2", VOXELS, names=NAMES, positions=3)
    assert "expected one position, got 3; say which as --dataset NUMBER, 0 to 2" in refused(path)
    agrees(path, SIZED.model_copy(update={"dataset": ("2",)}), VOXELS + 2)
    assert "got 3" in refused(path, SIZED.model_copy(update={"dataset": ("3",)}))


def test_volumes_that_were_planned_and_not_recorded(tmp_path: Path) -> None:
    path = write(tmp_path / "worm.nd2", VOXELS, names=NAMES, recorded=13)
    recording = agrees(path, RecordingConfig(), VOXELS[:2])
    assert any("2 of 4 volumes were planned" in said for said in recording.assumptions)
    assert "not one whole volume" in refused(write(tmp_path / "short.nd2", VOXELS, names=NAMES, recorded=3))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_cut_off(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "worm.nd2", VOXELS, names=NAMES)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert any(said in refused(path) for said in ("expected an ND2", "not recognized as ND2"))


def test_axes_are_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "worm.nd2", VOXELS, names=NAMES)
    assert "[recording] axes" in refused(path, RecordingConfig(axes="TCZYX"))
    assert open_recording(path, to_look=True).n_volumes == 4


def test_volumes_that_were_dropped(tmp_path: Path) -> None:
    voxels = np.concatenate([VOXELS, VOXELS, VOXELS])
    times_s = [0.25 * t for t in range(14) if t not in (5, 6)]
    recording = open_recording(write(tmp_path / "worm.nd2", voxels, names=NAMES, times_s=times_s))
    assert recording.rate_hz == pytest.approx(4)
    assert any("dropped volumes: after 1 of 12 volumes the clock jumps, by 2 volumes" in said for said in recording.assumptions)
