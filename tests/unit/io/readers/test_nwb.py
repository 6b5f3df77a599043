"""NWB, as pynwb and ndx-multichannel-volume write it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barlowtrack.config import RecordingConfig
from barlowtrack.io import open_recording

from .opening import SIZED, TOLD, VOXELS, agrees, axes, refused

pynwb = pytest.importorskip("pynwb", reason="pynwb, which writes NWB, is not installed")


def empty() -> Any:
    return pynwb.NWBFile(session_description="a worm", identifier="1", session_start_time=datetime(2026, 1, 2, tzinfo=UTC))


def write(path: Path, file: Any) -> Path:
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


def plane(file: Any, **options: Any) -> Any:
    device = file.create_device(name="microscope")
    light = pynwb.ophys.OpticalChannel(name="green", description="GCaMP", emission_lambda=510.0)
    return file.create_imaging_plane(
        name="volume", optical_channel=light, description="head", device=device, excitation_lambda=488.0, indicator="GCaMP",
        location="head", **options,
    )  # fmt: skip


def series(name: str, channel: int, **options: Any) -> Any:
    return pynwb.image.ImageSeries(name=name, data=axes("TXYZC")[..., channel], unit="n.a.", format="raw", **({"rate": 4.0} | options))


def test_a_series_of_volumes_a_channel(tmp_path: Path) -> None:
    file = empty()
    file.add_acquisition(series("GCaMP", 1))
    file.add_acquisition(series("mCherry", 0, rate=None, timestamps=np.arange(4) / 4.0))
    path = write(tmp_path / "worm.nwb", file)
    assert "acquisition/GCaMP (4, 18, 14, 5), acquisition/mCherry (4, 18, 14, 5); say which as --dataset" in refused(path)
    config = RecordingConfig(voxel_size_um=(1, 1, 1), dataset=("GCaMP", "acquisition/mCherry"))
    recording = agrees(path, config, VOXELS[:, ::-1])
    assert (recording.channel_names, recording.reference, recording.rate_hz) == (("GCaMP", "mCherry"), 1, 4)
    one = open_recording(path, RecordingConfig(voxel_size_um=(1, 1, 1), dataset="mCherry"))
    assert (one.shape, one.rate_hz) == ((4, 1, 5, 14, 18), 4)
    assert "named red" in refused(path, RecordingConfig(dataset="red"))


def test_a_series_that_knows_its_plane(tmp_path: Path) -> None:
    file = empty()
    imaged = plane(file, grid_spacing=[0.4, 0.3, 1.5], grid_spacing_unit="micrometers")
    file.add_acquisition(
        pynwb.ophys.TwoPhotonSeries(name="calcium", data=axes("TXYZC")[..., 0].astype(">u2"), unit="n.a.", imaging_plane=imaged, rate=4.0)
    )
    recording = agrees(write(tmp_path / "worm.nwb", file), RecordingConfig(), VOXELS[:, :1])
    assert recording.voxel_size_um == pytest.approx((1.5, 0.3, 0.4))
    assert any("T, X, Y, Z as NWB has them" in said for said in recording.assumptions)


def test_writers_that_turn_the_axes(tmp_path: Path) -> None:
    file = empty()
    file.add_acquisition(pynwb.image.ImageSeries(name="calcium", data=VOXELS[:, 0], unit="n.a.", format="raw", rate=4.0))
    path = write(tmp_path / "worm.nwb", file)
    agrees(path, RecordingConfig(voxel_size_um=(1, 1, 1), axes="TZYX"), VOXELS[:, :1])


def test_images_that_lie_elsewhere(tmp_path: Path) -> None:
    file = empty()
    times = np.arange(4) / 4.0
    film = {"external_file": ["film.avi"], "format": "external", "starting_frame": [0], "dimension": [9, 9]}
    file.add_acquisition(pynwb.image.ImageSeries(name="film", timestamps=times, unit="n.a.", **film))
    path = write(tmp_path / "worm.nwb", file)
    assert "worm.nwb: " in refused(path)
    path.write_bytes(b"not HDF5")
    assert "cannot be opened as NWB" in refused(path)


def test_volumes_of_many_channels(tmp_path: Path) -> None:
    ndx = pytest.importorskip("ndx_multichannel_volume", reason="ndx-multichannel-volume is not installed: it wants a pynwb of its own")
    if int(pynwb.__version__.partition(".")[0]) > 2:
        pytest.skip(f"ndx-multichannel-volume does not work with pynwb {pynwb.__version__}")
    file = empty()
    device = file.create_device(name="microscope")
    lights = [
        ndx.OpticalChannelPlus(
            name=name, description=name, emission_lambda=510.0, emission_range=[500.0, 520.0], excitation_range=[480.0, 490.0],
            excitation_lambda=488.0,
        )
        for name in ("GCaMP", "mNeptune")
    ]  # fmt: skip
    order = ndx.OpticalChannelReferences(name="order_optical_channels", channels=["mNeptune", "GCaMP"])
    imaged = ndx.ImagingVolume(
        name="volume", optical_channel_plus=lights, order_optical_channels=order, description="head", device=device, location="head",
        grid_spacing=[0.4e-6, 0.3e-6, 1.5e-6],
    )  # fmt: skip
    file.add_imaging_plane(imaged)
    made = ndx.MultiChannelVolumeSeries(
        name="CalciumImageSeries", data=axes("TXYZC"), unit="n.a.", rate=4.0, device=device, imaging_volume=imaged,
        dimension=np.array([18, 14, 5], np.int32),
    )  # fmt: skip
    file.add_acquisition(made)
    file.add_acquisition(
        ndx.MultiChannelVolume(name="NeuroPAL", description="stained", RGBW_channels=[0, 1], data=axes("TXYZC")[0], imaging_volume=imaged)
    )
    path = write(tmp_path / "worm.nwb", file)
    recording = agrees(path, RecordingConfig())
    assert recording.voxel_size_um == pytest.approx((1.5, 0.3, 0.4))
    assert (recording.channel_names, recording.reference, recording.rate_hz) == (("mNeptune", "GCaMP"), 0, 4)
    assert open_recording(path, TOLD.model_copy(update={"dataset": ("NeuroPAL",)})).n_volumes == 1
    assert SIZED.dataset is None


def test_uneven_timestamps_are_said_and_numbers_are_no_seconds(tmp_path: Path) -> None:
    times = {"rate": None, "timestamps": np.array([0.0, 0.25, 0.5, 100.0])}
    file = empty()
    file.add_acquisition(series("GCaMP", 1, **times))
    recording = open_recording(write(tmp_path / "worm.nwb", file), SIZED)
    assert recording.rate_hz == 4
    assert any("dropped volumes: after 1 of 4" in said for said in recording.assumptions)
    file = empty()
    file.add_acquisition(
        series("GCaMP", 1, rate=None, timestamps=np.arange(4.0), comments="barlowtrack: rate unknown, timestamps count volumes")
    )
    assert open_recording(write(tmp_path / "ours.nwb", file), SIZED).rate_hz is None


@pytest.mark.parametrize(
    ("spacing", "unit", "odd"),
    [([0.4, 0.3, 1.5], "meters", True), ([0.4e-6, 0.3e-6, 1.5e-6], "meters", False), ([0.4e-6, 0.3e-6, 1.5e-6], "um", True)],
)
def test_units_that_cannot_be(tmp_path: Path, spacing: list[float], unit: str, odd: bool) -> None:
    file = empty()
    imaged = plane(file, grid_spacing=spacing, grid_spacing_unit=unit)
    file.add_acquisition(
        pynwb.ophys.TwoPhotonSeries(name="calcium", data=axes("TXYZC")[..., 0], unit="n.a.", imaging_plane=imaged, rate=4.0)
    )
    recording = open_recording(write(tmp_path / "worm.nwb", file))
    assert recording.voxel_size_um == pytest.approx((1.5, 0.3, 0.4))
    assert any("which 1.5" in said for said in recording.assumptions) == odd


def test_what_was_made_of_the_pictures_is_no_recording(tmp_path: Path) -> None:
    file = empty()
    file.add_acquisition(series("GCaMP", 1))
    file.create_processing_module(name="ophys", description="masks").add(series("masks", 0))
    assert agrees(write(tmp_path / "worm.nwb", file), SIZED, VOXELS[:, 1:]).n_volumes == 4


def test_channels_of_which_one_dropped_volumes(tmp_path: Path) -> None:
    both = SIZED.model_copy(update={"dataset": ("mCherry", "GCaMP"), "reference_channel": None})
    for name, second, said in (
        ("dropped", {"rate": None, "timestamps": np.array([0, 0.25, 0.75, 1])}, "part after volume 1"),
        ("slower", {"rate": 2.0}, "mCherry has 4 volumes a second and acquisition/GCaMP 2"),
    ):
        file = empty()
        file.add_acquisition(series("mCherry", 0, rate=None, timestamps=np.arange(4) / 4.0))
        file.add_acquisition(series("GCaMP", 1, **second))
        path = write(tmp_path / f"{name}.nwb", file)
        assert said in refused(path, both)
        agrees(path, both.model_copy(update={"rate_hz": 4.0}))


def test_what_would_make_physical_numbers_is_said(tmp_path: Path) -> None:
    file = empty()
    file.add_acquisition(series("GCaMP", 1, conversion=2.0, offset=-100.0))
    recording = agrees(write(tmp_path / "worm.nwb", file), SIZED, VOXELS[:, 1:])
    assert any("without its conversion 2 and offset -100" in said for said in recording.assumptions)
