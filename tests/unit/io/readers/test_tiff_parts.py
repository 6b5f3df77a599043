"""TIFFs that are spread over files, or that hold fewer planes than they say."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from barlowtrack.config import RecordingConfig
from barlowtrack.io import open_recording

from .opening import SIZED, TOLD, VOXELS, agrees, axes, refused

PAGES = axes("TZCYX").reshape(-1, 14, 18)
NAMES = ("worm_MMStack_Pos0.ome.tif", "worm_MMStack_Pos0_1.ome.tif")
OME = """<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{own}">
{images}</OME>"""
IMAGE = """<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="18" SizeY="14" SizeZ="5" SizeC="2"
SizeT="4" PhysicalSizeX="0.4" PhysicalSizeY="0.3" PhysicalSizeZ="1.5"><Channel ID="Channel:0:0" Name="red"/>
<Channel ID="Channel:0:1" Name="green"/>
{data}</Pixels></Image>"""
EARLY = "the file says 4 volumes; the {} that are whole are read"


def pointers(counts: tuple[int, ...], names: tuple[str, ...] = NAMES, start: int = 0) -> str:
    """Returns where every plane lies, as Micro-Manager writes it: counts volumes in each file."""
    said, t = [], 0
    for number, (count, name) in enumerate(zip(counts, names, strict=True)):
        for page, (_, z, c) in enumerate(np.ndindex(count, 5, 2)):
            place = f'FirstT="{t + page // 10}" FirstZ="{z}" FirstC="{c}" IFD="{page}" PlaneCount="1"'
            said.append(f'<TiffData {place}><UUID FileName="{name}">urn:uuid:{start + number}</UUID></TiffData>')
        t += count
    return "".join(said)


def write(path: Path, pages: np.ndarray, own: int = 0, data: str = "<TiffData/>", before: str = "", **options: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    text = OME.format(own=own, images=before + IMAGE.format(data=data))
    tifffile.imwrite(path, pages, description=text.encode(), metadata=None, photometric="minisblack", **options)
    return path


def micro_manager(folder: Path, counts: tuple[int, ...] = (3, 1), **options: object) -> Path:
    first = 0
    for own, (name, count) in enumerate(zip(NAMES, counts, strict=True)):
        write(folder / name, PAGES[first : first + 10 * count], own, pointers(counts), **options)
        first += 10 * count
    return folder


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_a_stack_that_micro_manager_went_on_with_in_another_file(tmp_path: Path, options: dict[str, object]) -> None:
    folder = micro_manager(tmp_path / "worm", **options)
    for path in (folder, *(folder / name for name in NAMES)):
        recording = agrees(path, RecordingConfig())
        assert (recording.channel_names, recording.voxel_size_um) == (("red", "green"), (1.5, 0.3, 0.4))
        assert not any("whole" in said or "beside" in said for said in recording.assumptions)
    before = open_recording(folder).fingerprint
    content = bytearray((folder / NAMES[1]).read_bytes())
    content[-3] ^= 1
    (folder / NAMES[1]).write_bytes(content)
    assert open_recording(folder).fingerprint != before


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    folder = micro_manager(tmp_path / "worm")
    (folder / NAMES[1]).rename(tmp_path / "away.tif")
    recording = agrees(folder / NAMES[0], RecordingConfig(), VOXELS[:3])
    assert f"{EARLY.format(3)}; {NAMES[1]} is not beside it" in recording.assumptions
    (folder / NAMES[0]).unlink()
    (tmp_path / "away.tif").rename(folder / NAMES[1])
    assert f"{NAMES[0]} is not beside it" in refused(folder)


@pytest.mark.parametrize("harm", ["cut off", "of another size", "a pipe"])
def test_a_part_that_is_no_good(tmp_path: Path, harm: str) -> None:
    folder = micro_manager(tmp_path / "worm")
    part = folder / NAMES[1]
    if harm == "cut off":
        part.write_bytes(part.read_bytes()[:-2000])
    elif harm == "of another size":
        tifffile.imwrite(part, PAGES[:10, :5], photometric="minisblack")
    else:
        part.unlink()
        os.mkfifo(part)
    assert NAMES[1] in refused(folder / NAMES[0])


@pytest.mark.parametrize("name", ["../secret.tif", "/tmp/secret.tif", "..", "a\\secret.tif"])
def test_parts_outside_the_folder_stay_closed(tmp_path: Path, name: str) -> None:
    tifffile.imwrite(tmp_path / "secret.tif", PAGES[:10], photometric="minisblack")
    path = write(tmp_path / "worm" / NAMES[0], PAGES[:30], 0, pointers((3, 1), (NAMES[0], name)))
    assert "all parts in the folder of the first" in refused(path)


def test_the_position_that_lies_in_the_file_counts(tmp_path: Path) -> None:
    other = IMAGE.format(data=pointers((4,), ("worm_MMStack_Pos9.ome.tif",), 9)).replace('Name="red"', 'Name="blue"')
    path = write(tmp_path / "worm" / NAMES[0], PAGES, 0, pointers((4,), NAMES[:1]), other)
    recording = agrees(path, RecordingConfig())
    assert recording.channel_names == ("red", "green")
    assert "the file describes 2 images; the one it holds is used" in recording.assumptions


def test_a_part_that_describes_nothing_names_the_one_that_does(tmp_path: Path) -> None:
    path = tmp_path / "worm_1.ome.tif"
    text = OME.format(own=1, images='<BinaryOnly MetadataFile="worm.ome.tif" UUID="urn:uuid:0"/>')
    tifffile.imwrite(path, PAGES, description=text.encode(), metadata=None, photometric="minisblack")
    assert "worm.ome.tif describes" in refused(path)


@pytest.mark.parametrize("data", ["<TiffData/>", pointers((4,), NAMES[:1])])
@pytest.mark.parametrize(("n_pages", "n_whole"), [(30, 3), (37, 3), (10, 1)])
def test_an_ome_tiff_that_was_ended_early(tmp_path: Path, data: str, n_pages: int, n_whole: int) -> None:
    path = write(tmp_path / "worm" / "worm.ome.tif", PAGES[:n_pages], 0, data)
    recording = agrees(path, RecordingConfig(), VOXELS[:n_whole])
    assert any(said.startswith(EARLY.format(n_whole)) for said in recording.assumptions)
    write(path, PAGES[:9], 0, data)
    assert "cut off, or spread over files" in refused(path)


def test_the_clock_of_a_recording_that_was_ended_early(tmp_path: Path) -> None:
    planes = "".join(f'<Plane TheC="0" TheZ="0" TheT="{t}" DeltaT="{0.5 * t}"/>' for t in range(3))
    assert open_recording(write(tmp_path / "worm.ome.tif", PAGES[:30], 0, "<TiffData/>" + planes)).rate_hz == 2


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_an_imagej_stack_that_was_ended_early(tmp_path: Path, options: dict[str, object]) -> None:
    said = "ImageJ=1.53\nimages=40\nchannels=2\nslices=5\nframes=4\nhyperstack=true\nunit=um\nspacing=1.5\nloop=false\n"
    path, size = tmp_path / "worm.tif", (1 / 0.4, 1 / 0.3)
    tifffile.imwrite(path, PAGES[:36], description=said, metadata=None, photometric="minisblack", resolution=size, **options)
    recording = agrees(path, TOLD, VOXELS[:3])
    assert recording.voxel_size_um == pytest.approx((1.5, 0.3, 0.4))
    assert any(said.startswith(EARLY.format(3)) for said in recording.assumptions)


def test_files_that_go_on_with_each_other(tmp_path: Path) -> None:
    said = {"axes": "TCZYX", "PhysicalSizeX": 0.4, "PhysicalSizeY": 0.3, "PhysicalSizeZ": 1.5, "Channel": {"Name": ["red", "green"]}}
    folder = tmp_path / "worm"
    folder.mkdir()
    for name, part in zip((*NAMES, "worm_MMStack_Pos0_2.ome.tif"), (VOXELS[:2], VOXELS[2:3], VOXELS[3:]), strict=True):
        tifffile.imwrite(folder / name, part, ome=True, metadata=said)
    recording = agrees(folder, RecordingConfig())
    assert any("taken as one recording, one after another" in said for said in recording.assumptions)
    alone = agrees(folder / NAMES[0], RecordingConfig(), VOXELS[:2])
    assert any(f"{NAMES[1]}, worm_MMStack_Pos0_2.ome.tif beside it seems to go on with it" in said for said in alone.assumptions)
    tifffile.imwrite(folder / NAMES[1], VOXELS[2:3, :, :4], ome=True, metadata=said)
    assert "seems to go on with" in refused(folder)


def test_two_worms_are_not_joined_by_their_names(tmp_path: Path) -> None:
    for name in ("worm.tif", "worm_1.tif"):
        tifffile.imwrite(tmp_path / name, VOXELS, metadata={"axes": "TCZYX"}, ome=True)
    assert "expected one volume in each of 2 files" in refused(tmp_path)


@pytest.mark.parametrize("order", ["TCZYX", "TZCYX", "CTZYX"])
@pytest.mark.parametrize("imagej", [False, True])
def test_a_pile_of_planes_of_two_channels(tmp_path: Path, order: str, imagej: bool) -> None:
    path = tmp_path / "worm.tif"
    tifffile.imwrite(path, axes(order).reshape(-1, 14, 18), imagej=imagej, metadata={"axes": "ZYX"} if imagej else None)
    folded = SIZED.model_copy(update={"planes": 5, "axes": order})
    assert "--channel-names" in refused(path, folded)
    agrees(path, folded.model_copy(update={"channel_names": ("red", "green")}))


def test_a_pile_that_ends_within_a_volume(tmp_path: Path) -> None:
    path, two = tmp_path / "worm.tif", {"channel_names": ("red", "green"), "planes": 5}
    tifffile.imwrite(path, PAGES[:37], metadata=None)
    recording = agrees(path, SIZED.model_copy(update={"axes": "TZCYX", **two}), VOXELS[:3])
    assert "the last 7 planes make no whole volume and are left out" in recording.assumptions
    assert "expected a multiple of 10 planes" in refused(path, SIZED.model_copy(update={"axes": "CTZYX", **two}))
    assert "expected [recording] axes TZYX" in refused(path, SIZED.model_copy(update={"axes": "CZYX", **two}))


def test_channels_that_imagej_has_among_the_planes(tmp_path: Path) -> None:
    path = tmp_path / "worm.tif"
    tifffile.imwrite(path, PAGES.reshape(4, 10, 14, 18), imagej=True, metadata={"axes": "TZYX"})
    agrees(path, SIZED.model_copy(update={"planes": 5, "axes": "TZCYX"}))
    assert "expected times of as many planes" in refused(path, SIZED.model_copy(update={"planes": 4, "axes": "TZCYX"}))


def test_what_may_be_a_pile_of_volumes_is_told_how_to_fold_it(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "worm.tif", PAGES, metadata=None)
    assert "--planes N" in refused(tmp_path / "worm.tif")
    tifffile.imwrite(tmp_path / "worm.tif", PAGES, imagej=True, metadata={"axes": "ZYX"})
    said = open_recording(tmp_path / "worm.tif", SIZED).assumptions
    assert "one volume of 40 planes, as the file has it; if they are several, one after another, give --planes N" in said


def test_channels_in_files_of_their_own_of_which_one_dropped_volumes(tmp_path: Path) -> None:
    said = {"axes": "TZYX", "PhysicalSizeX": 0.4, "PhysicalSizeY": 0.3, "PhysicalSizeZ": 1.5}
    for name, c, times_s in (("red", 0, [0, 0.25, 0.5, 0.75]), ("green", 1, [0, 0.25, 0.75, 1])):
        delta = [time + 0.01 * z for time in times_s for z in range(5)]
        tifffile.imwrite(tmp_path / f"worm_{name}.ome.tif", VOXELS[:, c], ome=True, metadata=said | {"Plane": {"DeltaT": delta}})
    assert "part after volume 1" in refused(tmp_path, RecordingConfig())
    agrees(tmp_path, RecordingConfig(rate_hz=4), VOXELS[:, ::-1])


def test_a_rate_that_is_given_counts_more_than_the_clock_and_is_said_to(tmp_path: Path) -> None:
    delta = [0.5 * t for t in range(4) for _ in range(10)]
    said = {"axes": "TCZYX", "TimeIncrement": 0.25, "Plane": {"DeltaT": delta}}
    tifffile.imwrite(tmp_path / "worm.ome.tif", VOXELS, ome=True, metadata=said)
    for rate_hz, taken in ((None, "taken as they came"), (5.0, "5 are taken, as you say")):
        recording = open_recording(tmp_path / "worm.ome.tif", SIZED.model_copy(update={"rate_hz": rate_hz}))
        assert f"DeltaT of the planes: 2 volumes a second, where 4 were planned; {taken}" in recording.assumptions
        assert recording.rate_hz == (rate_hz or 2)


def test_pages_that_are_named_over_and_over(tmp_path: Path) -> None:
    data = '<TiffData FirstT="1"/>' * 2000 + '<TiffData IFD="-3" PlaneCount="1"/>'
    assert "expected 40 planes" in refused(write(tmp_path / "worm.ome.tif", PAGES[:30], 0, data))
