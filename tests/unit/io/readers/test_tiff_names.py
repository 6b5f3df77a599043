"""Folders of TIFFs in the namings that labs have, and what is refused because it could mean two things."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from barlowtrack.config import RecordingConfig
from barlowtrack.io import open_recording
from barlowtrack.io.readers.names import read_names

from .opening import SIZED, TOLD, VOXELS, agrees, bytes_read, refused

PLANES = {
    "worm_t{t:04d}_z{z:02d}_c{c}.tif": ("c0", "c1"),
    "img_channel{c:03d}_position000_time{t:09d}_z{z:03d}.tif": ("channel0", "channel1"),
    "wormT{t}Z{z}C{c}.tiff": ("C0", "C1"),
    "worm_Ch{c}/plane{z}_{t}.tif": ("Ch0", "Ch1"),
    "2026-01-02_w{c}_vol{t}_slice{z}.tif": ("w0", "w1"),
    "run7_{red}_{t}_z{z}.tif": ("red", "green"),
    "img_{t:09d}_{word}_{z:03d}.tif": ("Cy5 488_2", "x"),
}
VOLUMES = {
    "worm_Ch{c}/{t:05d}.tif": ("Ch0", "Ch1"),
    "Ch{c}/worm7_Ch{c}_{t}.tif": ("Ch0", "Ch1"),
    "{t}_{red}.tif": ("red", "green"),
    "{red}/volume_{t}.ome.tif": ("red", "green"),
    "worm_t{t}_ch{c}.tif": ("ch0", "ch1"),
    "{nm}nm_{t}.tif": ("488", "561"),
}


def write(folder: Path, pattern: str, t: int, c: int, z: int | None) -> None:
    said = {"t": t + 3, "c": c, "z": z, "red": ("red", "green")[c], "nm": (488, 561)[c], "word": ("Cy5 488_2", "x")[c]}
    path = folder / pattern.format(**said)
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, VOXELS[t, c] if z is None else VOXELS[t, c, z], metadata={"axes": "ZYX" if z is None else "YX"})


def written(folder: Path, pattern: str) -> Path:
    for t, c in np.ndindex(4, 2):
        for z in range(5) if pattern in PLANES else [None]:
            write(folder, pattern, t, c, z)
    (folder / "notes.txt").write_text("shutter stuck at 12:30")
    return folder


def channel_order(names: tuple[str, ...]) -> np.ndarray:
    """Names are sorted; so are channels."""
    return VOXELS[:, np.argsort(names, kind="stable")]


@pytest.mark.parametrize("pattern", [*PLANES, *VOLUMES])
def test_names_tell_times_planes_and_channels(tmp_path: Path, pattern: str) -> None:
    names = (PLANES | VOLUMES)[pattern]
    recording = agrees(written(tmp_path / "worm", pattern), SIZED, channel_order(names))
    assert recording.channel_names == tuple(sorted(names))
    assert not any("not numbered alike" in said for said in recording.assumptions)


def test_a_stack_a_channel(tmp_path: Path) -> None:
    folder = tmp_path / "worm"
    folder.mkdir()
    for c in range(2):
        tifffile.imwrite(folder / f"worm_Ch{c}.btf", VOXELS[:, c], bigtiff=True, metadata={"axes": "TZYX"})
    agrees(folder)
    alone = open_recording(folder / "worm_Ch1.btf", RecordingConfig(voxel_size_um=(1, 1, 1)))
    assert alone.shape[1] == 1
    assert any("worm_Ch0.btf lies beside it" in said for said in alone.assumptions)


def test_a_stack_a_channel_of_nothing_but_planes(tmp_path: Path) -> None:
    """As cameras stream them: 21 planes are 4 volumes of 5, and one plane of the fifth."""
    folder = tmp_path / "worm"
    for c in range(2):
        (folder / f"worm_Ch{c}").mkdir(parents=True)
        pile = np.concatenate([VOXELS[:, c].reshape(20, 14, 18), VOXELS[0, c, :1]])
        tifffile.imwrite(folder / f"worm_Ch{c}" / "bigtiff.btf", pile, bigtiff=True, photometric="minisblack", metadata=None)
    assert "[recording] axes" in refused(folder)
    recording = agrees(folder, SIZED.model_copy(update={"planes": 5}))
    assert any("the last 1 planes" in said for said in recording.assumptions)
    assert "planes = 22" in refused(folder, SIZED.model_copy(update={"planes": 22}))


def test_a_missing_plane_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "worm", "worm_t{t:04d}_z{z:02d}_c{c}.tif")
    (folder / "worm_t0004_z03_c1.tif").unlink()
    line = refused(folder)
    assert "4 times (t3, ..., t6); 2 channels (c0, c1); 5 planes (z0, ..., z4)" in line
    assert "expected 40 files, got 39; the first missing: t4, c1, z3" in line


def test_more_files_than_the_names_explain(tmp_path: Path) -> None:
    folder = written(tmp_path / "worm", "worm_t{t}_ch{c}_1.tif")
    for path in list(folder.glob("*.tif")):
        path.with_name(path.name.replace("_1.tif", "_2.tif")).write_bytes(path.read_bytes())
    line = refused(folder)
    assert "2 files are the same by that" in line
    assert "folders of their own" in line


def test_two_ways_of_naming(tmp_path: Path) -> None:
    folder = written(tmp_path / "worm", "worm_t{t}_ch{c}.tif")
    (folder / "worm_t3_ch0.tif").rename(folder / "overview.tif")
    assert "overview is named otherwise" in refused(folder)


def test_two_claims_on_one_axis(tmp_path: Path) -> None:
    folder = tmp_path / "worm"
    folder.mkdir()
    for z in range(3):
        tifffile.imwrite(folder / f"z{z}.tif", VOXELS[0, 0], metadata={"axes": "ZYX"})
    assert "this file holds 5 planes itself" in refused(folder)


def test_planes_without_a_number_of_their_own_are_said(tmp_path: Path) -> None:
    folder = tmp_path / "worm"
    folder.mkdir()
    for i in range(3):
        tifffile.imwrite(folder / f"{i}.tif", VOXELS[0, 0, i])
    assert any("single plane" in said for said in open_recording(folder, SIZED).assumptions)


def test_a_gap_in_time_and_a_file_unlike_the_others(tmp_path: Path) -> None:
    folder = written(tmp_path / "worm", "worm_t{t}_ch{c}.tif")
    for path in folder.glob("worm_t4_*.tif"):
        path.unlink()
    recording = open_recording(folder, SIZED)
    assert recording.n_volumes == 3
    assert any("jump from 3 to 5" in said for said in recording.assumptions)
    tifffile.imwrite(folder / "worm_t5_ch1.tif", VOXELS[0, 0, :, :7], metadata={"axes": "ZYX"})
    assert "volume 1: " in refused(folder)
    assert "worm_t5_ch1.tif" in refused(folder)


@pytest.mark.parametrize(
    "names",
    [
        ["v2", "v9", "v10"],
        ["2026_01_02_12_30_01", "2026_01_02_12_31_07", "2026_01_03_00_00_00"],
        ["a_1", "b_2"],
        ["worm1", "worm2"],
    ],
)
def test_names_that_only_count_are_volumes_as_ever(names: list[str]) -> None:
    assert read_names(Path("worm"), names) is None


def test_what_varies_beside_is_left_out_and_said(tmp_path: Path) -> None:
    names = [f"t{t}_z{z}_{1000 + 7 * t + z}" for t in range(3) for z in range(4)]
    grid = read_names(tmp_path, names)
    assert grid is not None
    assert grid.size == (3, 1, 4)
    assert any("is left out" in said for said in grid.remarks)


def test_ten_gigabytes_are_opened_by_reading_little(tmp_path: Path) -> None:
    """A sparse file of 10 GB: what is read to open it and for one volume is counted."""
    path = tmp_path / "worm.tif"
    shape = (2560, 1, 2, 1024, 1024)  # T C Z Y X, 10.7 GB
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(shape=shape, dtype=np.uint16, metadata={"axes": "TCZYX"}, photometric="minisblack")
    assert path.stat().st_size > 10e9
    config = TOLD.model_copy(update={"voxel_size_um": (1, 1, 1), "axes": "TCZYX"})
    open_recording(path, config, to_look=True)  # imports
    before = bytes_read()
    recording = open_recording(path, config)
    opened = bytes_read() - before
    recording.read(1234)
    assert recording.shape == shape
    assert opened < 2e6
    assert bytes_read() - before - opened < 1.1 * 2 * 1024**2 * 2


@pytest.mark.parametrize("patterns", [("worm_Ch0/left_{t:03d}.tif", "worm_Ch1/right_{t:03d}.tif"), ("Ch0/a.tif", "Ch1/b.tif")])
def test_folders_of_channels_whose_files_have_names_of_their_own(tmp_path: Path, patterns: tuple[str, str]) -> None:
    folder = tmp_path / "worm"
    for c, t in np.ndindex(2, 4 if "{t" in patterns[0] else 1):
        write(folder, patterns[c], t, c, None)
    recording = agrees(folder, SIZED, VOXELS[: 4 if "{t" in patterns[0] else 1])
    assert recording.channel_names == ("Ch0", "Ch1")
    assert any("named differently" in said for said in recording.assumptions)


def test_folders_of_channels_that_do_not_belong_together(tmp_path: Path) -> None:
    folder = tmp_path / "worm"
    for c, t in np.ndindex(2, 4):
        write(folder, ("Ch0/left_t{t}.tif", "Ch1/right_{t}_7.tif")[c], t, c, None)
    assert "numbered alike, got Ch0/left_t3 and Ch1/right_3_7" in refused(folder)
    for path in (folder / "Ch1").iterdir():
        path.unlink()
    assert "Ch1 is the folder of a channel by its name, but holds no TIFFs" in refused(folder)
    for t in range(3):
        write(folder, "Ch1/right_t{t}.tif", t, 1, None)
    assert "the first missing: t6, Ch1" in refused(folder)


def test_a_volume_with_other_axes_than_the_first(tmp_path: Path) -> None:
    """As many planes as channels: nothing but the axes tells that one volume is stored the other way round."""
    folder = tmp_path / "worm"
    folder.mkdir()
    volume = VOXELS[0, :, :2]
    for t, order in enumerate(("CZYX", "ZCYX")):
        turned = volume.transpose(["CZYX".index(axis) for axis in order])
        tifffile.imwrite(folder / f"v{t}.tif", turned, metadata={"axes": order}, photometric="minisblack")
    assert "volume 1: " in refused(folder)
    assert "expected axes CZYX like volume 0, got ZCYX" in refused(folder)
    assert open_recording(folder, SIZED.model_copy(update={"axes": "CZYX"})).read(1).shape == (2, 2, 14, 18)


@pytest.mark.parametrize("first", [488, 550])
def test_volumes_numbered_like_lasers_are_volumes(tmp_path: Path, first: int) -> None:
    folder = tmp_path / "worm"
    folder.mkdir()
    for t in range(4):
        tifffile.imwrite(folder / f"worm_{first + t:04d}.tif", VOXELS[t], metadata={"axes": "CZYX"}, photometric="minisblack")
    agrees(folder)


def test_lasers_need_a_time_beside_them() -> None:
    assert read_names(Path("worm"), ["worm_488_1", "worm_561_1", "worm_488_2", "worm_561_2"]).channels == ("488", "561")  # type: ignore[union-attr]
    assert read_names(Path("worm"), ["worm_488", "worm_561"]) is None


def test_planes_with_a_gap_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "worm", "worm_t{t:04d}_z{z:02d}_c{c}.tif")
    for path in folder.glob("*_z02_*"):
        path.unlink()
    assert "planes are missing between z1 and z3" in refused(folder)
    for path in folder.glob("*_z03_*"):
        path.unlink()
    assert "planes are missing between z1 and z4" in refused(folder)
    for path in folder.glob("*_z01_*"):
        path.unlink()
    assert any("count by 4" in said for said in open_recording(folder, SIZED).assumptions)


@pytest.mark.parametrize(
    "names", [("v1.tif", "v1.tiff", "v2.tif"), ("v1.tif", "v01.tif", "V001.tif"), ("t1_c0.tif", "t1_c1.tif", "t01_c0.tif")]
)
def test_a_number_that_is_there_twice(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = tmp_path / "worm"
    folder.mkdir()
    for name in names:
        tifffile.imwrite(folder / name, VOXELS[0, 0], metadata={"axes": "ZYX"})
    assert "say the same" in refused(folder)


def test_projections_beside_the_volumes_are_left_out(tmp_path: Path) -> None:
    for t in range(4):
        tifffile.imwrite(tmp_path / f"worm_{t}.tif", VOXELS[t], metadata={"axes": "CZYX"})
    tifffile.imwrite(tmp_path / "MAX_worm_0.tif", VOXELS[0, 0].max(axis=0))
    recording = agrees(tmp_path)
    assert "MAX_worm_0.tif: a projection by its name; left out" in recording.assumptions


def test_volumes_called_as_projections_are_read_where_nothing_else_is_there(tmp_path: Path) -> None:
    for t in range(4):
        tifffile.imwrite(tmp_path / f"MAX_worm_{t}.tif", VOXELS[t], metadata={"axes": "CZYX"})
    agrees(tmp_path)
