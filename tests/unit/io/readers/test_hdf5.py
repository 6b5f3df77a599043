"""HDF5, as h5py writes it: which array is meant, what it says of itself, and what is refused."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from barlowtrack.config import RecordingConfig
from barlowtrack.io import open_recording

from .opening import SIZED, VOXELS, agrees, axes, bytes_read, refused


def with_(**settings: object) -> RecordingConfig:
    return RecordingConfig(**(SIZED.model_dump(exclude_none=True) | settings))


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 1, 2, 14, 18), "compression": "gzip", "shuffle": True}])
@pytest.mark.parametrize("order", ["TCZYX", "TXYZC"])
@pytest.mark.parametrize("dtype", [">u2", "<u2", "f4"])
def test_one_array(tmp_path: Path, options: dict[str, object], order: str, dtype: str) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(path, "w") as file:
        stored = axes(order).astype(dtype)
        file.create_dataset("data", data=stored, **(options if order == "TCZYX" else {}))
        file["time"] = np.arange(4.0)
    assert f"which axis is which in shape {stored.shape}" in refused(path)
    voxels = VOXELS.astype(np.dtype(dtype).newbyteorder("="))
    agrees(path, with_(axes=order), voxels)


def test_an_array_a_channel(tmp_path: Path) -> None:
    path = tmp_path / "worm.hdf5"
    with h5py.File(path, "w") as file:
        file["images/green"], file["images/red"] = VOXELS[:, 0], VOXELS[:, 1]
        file["mask"] = VOXELS[:, 0] > 9
    line = refused(path, with_(axes="TZYX"))
    assert "images/green (4, 5, 14, 18), images/red (4, 5, 14, 18); say which as --dataset NAME" in line
    config = RecordingConfig(voxel_size_um=(1, 1, 1), axes="TZYX", dataset=("/images/red", "images/green"))
    recording = agrees(path, config, VOXELS[:, ::-1])
    assert (recording.channel_names, recording.reference, recording.signal) == (("red", "green"), 0, 1)
    assert agrees(path, with_(axes="TZYX", dataset="images/red"), VOXELS[:, 1:]).fingerprint != recording.fingerprint
    assert "at images/blue, got nothing; there is images/green" in refused(path, with_(dataset="images/blue"))
    assert "got a group" in refused(path, with_(dataset="images"))


def test_an_array_a_volume(tmp_path: Path) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(path, "w") as file:
        for t in range(4):
            file[f"{t + 9}/frame"] = VOXELS[t].transpose(0, 3, 2, 1)
    agrees(path, with_(dataset="{t}/frame", axes="CXYZ"))
    assert "expected arrays at frame_{t}, got none" in refused(path, with_(dataset="frame_{t}", axes="CXYZ"))
    with h5py.File(path, "a") as file:
        del file["10/frame"]
        file["10/frame"] = VOXELS[1, :1]
    assert "volume 1: " in refused(path, with_(dataset="{t}/frame", axes="CXYZ"))


def test_what_arrays_say_of_themselves(tmp_path: Path) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(path, "w") as file:
        array = file.create_dataset("data", data=VOXELS[:, 0])
        array.attrs["element_size_um"] = [1.5, 0.3, 0.4]
        for dim, label in zip(array.dims, ("time", "z", "y", "x"), strict=True):
            dim.label = label
    assert open_recording(path).voxel_size_um == (1.5, 0.3, 0.4)
    agrees(path, RecordingConfig(), VOXELS[:, :1])
    with h5py.File(path, "w") as file:
        tags = {"axes": [{"key": key} for key in "tzyxc"]}
        file.create_dataset("exported_data", data=axes("TZYXC")).attrs["axistags"] = json.dumps(tags)
    agrees(path)


def test_what_lies_elsewhere_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = VOXELS
    layout = h5py.VirtualLayout(VOXELS.shape, np.uint16)
    layout[...] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "data", VOXELS.shape)
    with h5py.File(path, "w") as file:
        file["linked"] = h5py.ExternalLink("secret.h5", "data")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("raw", VOXELS.shape, "u2", external=[(str(tmp_path / "secret.h5"), 0, VOXELS.nbytes)])
    for name in ("linked", "virtual", "raw"):
        assert "not opened" in refused(path, with_(axes="TCZYX", dataset=name))


def test_volumes_that_were_never_written(tmp_path: Path) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(path, "w") as file:
        array = file.create_dataset("data", VOXELS.shape, "u2", chunks=(1, 1, 5, 14, 18))
        array[:2] = VOXELS[:2]
        array[3] = 0  # dark, but written
    config = with_(axes="TCZYX")
    assert "volume 2: " in refused(path, config)
    assert not open_recording(path, config).read(3).any()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_cut_off(tmp_path: Path, share: float) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(path, "w") as file:
        file["data"] = VOXELS
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "cannot be opened as HDF5" in refused(path, with_(axes="TCZYX"))


@pytest.mark.parametrize("dtype", ["c8", "S4", "bool"])
def test_what_are_no_grey_values(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(path, "w") as file:
        file["data"] = VOXELS.astype(dtype)
    assert "expected whole or floating numbers" in refused(path, with_(axes="TCZYX", dataset="data"))
    assert "expected one array" in refused(path, with_(axes="TCZYX"))


def test_ten_gigabytes_are_opened_by_reading_little(tmp_path: Path) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(path, "w") as file:
        array = file.create_dataset("data", (2560, 1, 2, 1024, 1024), "u2", chunks=(1, 1, 2, 1024, 1024))
        array[1234] = 7
        array[2559] = 9
    config = with_(axes="TCZYX")
    open_recording(path, config)  # imports
    before = bytes_read()
    volume = open_recording(path, config).read(1234)
    assert (volume == 7).all()
    assert bytes_read() - before < 6e6


def test_chunks_that_are_not_stored_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(path, "w") as file:
        array = file.create_dataset("data", VOXELS.shape, "u2", chunks=(1, 1, 1, 14, 18))
        array[:, :, :4] = VOXELS[:, :, :4]
    config = with_(axes="TCZYX")
    recording = open_recording(path, config)
    assert any("8 of 40 chunks are not stored and are read as 0" in said for said in recording.assumptions)
    assert recording.read(0)[:, :4].all()
    with h5py.File(path, "w") as file:
        file.create_dataset("data", VOXELS.shape, "u2", chunks=(1, 1, 5, 14, 18))[:, 0] = VOXELS[:, 0]
    assert "none stored of channel 1" in refused(path, config)


def test_arrays_a_volume_with_gaps_or_twice(tmp_path: Path) -> None:
    path = tmp_path / "worm.h5"
    config = with_(dataset="{t}/frame", axes="CZYX")
    with h5py.File(path, "w") as file:
        for t, number in enumerate((0, 1, 5, 6)):
            file[f"{number}/frame"] = VOXELS[t]
    assert any("jump from 1 to 5" in said for said in agrees(path, config).assumptions)
    with h5py.File(path, "a") as file:
        file["01/frame"] = VOXELS[0]
    assert "are both volume 1" in refused(path, config)


def test_links_are_looked_at_before_they_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["images/data"] = VOXELS
    with h5py.File(path, "w") as file:
        file["here/data"] = VOXELS
        file["out"] = h5py.ExternalLink("secret.h5", "/images")
        file["way"], file["round"] = h5py.SoftLink("/out/data"), h5py.SoftLink("round")
        file["here/near"] = h5py.SoftLink("data")
    assert "points into another file" in refused(path, with_(axes="TCZYX", dataset="way"))
    assert "points into another file" in refused(path, with_(axes="TCZYX", dataset="out/{t}"))
    assert "lead nowhere" in refused(path, with_(axes="TCZYX", dataset="round"))
    agrees(path, with_(axes="TCZYX", dataset="here/near"))


def test_axes_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(path, "w") as file:
        file["data"] = VOXELS
        file["data"].attrs["axes"] = np.array([b"t", b"c", b"z", b"y", b"x"])
    agrees(path)
    with h5py.File(path, "a") as file:
        file["data"].attrs["axes"] = np.bytes_("TCZYX")
    agrees(path)


def test_planes_say_nothing_of_an_array(tmp_path: Path) -> None:
    path = tmp_path / "worm.h5"
    with h5py.File(path, "w") as file:
        file["data"] = VOXELS
    assert "[recording] planes: expected none" in refused(path, with_(axes="TCZYX", planes=5))
