"""recording.toml: found, counted between the metadata and the settings, and refused where it says nonsense."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from barlowtrack.config import RecordingConfig
from barlowtrack.errors import InputError
from barlowtrack.io import open_recording

VOXELS = np.random.default_rng(1).integers(0, 999, (3, 2, 4, 8, 9), dtype=np.uint16)


def folder(place: Path) -> Path:
    place.mkdir()
    for t in range(3):
        tifffile.imwrite(place / f"v{t}.tif", VOXELS[t], metadata={"axes": "CZYX"}, photometric="minisblack")
    return place


@pytest.mark.parametrize("where", ["worm/recording.toml", "worm.recording.toml", "recording.toml"])
@pytest.mark.parametrize("heading", ["", "[recording]\n"])
def test_what_is_written_down_counts(tmp_path: Path, where: str, heading: str) -> None:
    path = folder(tmp_path / "worm")
    (tmp_path / where).write_text(f'{heading}voxel_size_um = [1.5, 0.3, 0.4]\nrate_hz = 4\nchannel_names = ["GCaMP", "mNeptune"]\n')
    recording = open_recording(path)
    assert (recording.voxel_size_um, recording.rate_hz, recording.reference) == ((1.5, 0.3, 0.4), 4, 1)
    assert open_recording(path, RecordingConfig(rate_hz=5)).rate_hz == 5


def test_the_nearest_counts(tmp_path: Path) -> None:
    path = folder(tmp_path / "worm")
    (tmp_path / "recording.toml").write_text("voxel_size_um = [3, 3, 3]\nreference_channel = 0\n")
    (path / "recording.toml").write_text("voxel_size_um = [1, 1, 1]\nreference_channel = 0\n")
    assert open_recording(path).voxel_size_um == (1, 1, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("voxel_sise_um = [1, 1, 1]", "did you mean"),
        ("rate_hz = 'fast'", "rate_hz"),
        ("rate_hz = ", "not TOML"),
        ("[track]\nmax = 1", "track"),
        ("[recording]\nrate_hz = 4\n[segment]\nmethod = 'log'", "segment does not belong here"),
        ("reference_channel = true", "reference_channel"),
        ("reference_channel = 1.0", "reference_channel"),
        ("signal_channel = -1", "signal_channel"),
        ("channel_names = ['a', 'A']", "each another"),
        ("channel_names = ['a', '']", "each another"),
        ("dataset = ['']", "not empty"),
    ],
)
def test_nonsense_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = folder(tmp_path / "worm")
    (path / "recording.toml").write_text(text)
    with pytest.raises(InputError) as error:
        open_recording(path)
    assert str(path / "recording.toml") in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("where", ["worm/recording.toml", "worm.recording.toml", "recording.toml"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "a pipe, a socket or a device"),
        (os.mkdir, "a folder"),
        (lambda place: place.symlink_to("gone.toml"), "a link that leads nowhere"),
    ],
)
def test_what_is_no_file_is_not_passed_over(tmp_path: Path, where: str, make: Callable[[Path], None], said: str) -> None:
    path = folder(tmp_path / "worm")
    make(tmp_path / where)
    with pytest.raises(InputError) as error:
        open_recording(path, RecordingConfig(voxel_size_um=(1, 1, 1), reference_channel=0))
    assert str(error.value).startswith(f"{tmp_path / where}: ")
    assert said in str(error.value)
