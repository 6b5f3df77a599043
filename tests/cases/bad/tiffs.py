"""TIFFs, and folders of them."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile

from tests.cases.bad.case import SAID, SIZED, VOXELS, Command, bad, cut, fine, one, series


@bad("volume 3", "volume_03.ome.tif", "cut off")
def tiff_cut_off_in_the_middle_of_a_series(folder: Path) -> Command:
    cut(series(folder / "worm") / "volume_03.ome.tif", 0.7)
    return "check", folder / "worm"


@bad("volume_00.ome.tif", "cut off")
def tiff_cut_off_at_the_first(folder: Path) -> Command:
    cut(series(folder / "worm") / "volume_00.ome.tif", 0.7)
    return "run", folder / "worm", "--quiet"


@bad("volume 2", "volume_02.ome.tif")
def tiff_of_no_bytes_in_the_middle(folder: Path) -> Command:
    (series(folder / "worm") / "volume_02.ome.tif").write_bytes(b"")
    return "check", folder / "worm"


@bad("volume 4", "volume_04.ome.tif", "like volume 0", "2, 3, 32, 40")
def tiff_of_another_shape_in_the_middle(folder: Path) -> Command:
    one(series(folder / "worm") / "volume_04.ome.tif", VOXELS[4, :, :3])
    return "check", folder / "worm"


@bad("volume 4", "uint16 like volume 0", "float32")
def tiff_of_another_dtype_in_the_middle(folder: Path) -> Command:
    one(series(folder / "worm") / "volume_04.ome.tif", VOXELS[4].astype(np.float32))
    return "check", folder / "worm"


@bad("volume_01.ome.tif")
def tiff_that_is_a_link_to_nothing(folder: Path) -> Command:
    path = series(folder / "worm") / "volume_01.ome.tif"
    path.unlink()
    path.symlink_to("/nowhere/volume_01.ome.tif")
    return "run", folder / "worm", "--quiet"


@bad("volume_01.ome.tif")
def tiff_that_is_a_folder(folder: Path) -> Command:
    path = series(folder / "worm") / "volume_01.ome.tif"
    path.unlink()
    path.mkdir()
    return "run", folder / "worm", "--quiet"


@bad("volume_01.ome.tif", "a pipe, a socket or a device")
def tiff_that_is_a_pipe_nobody_writes_to(folder: Path) -> Command:
    path = series(folder / "worm") / "volume_01.ome.tif"
    path.unlink()
    os.mkfifo(path)
    return "check", folder / "worm"


@bad("worm.tif", "a pipe, a socket or a device")
def tiff_alone_that_is_a_pipe(folder: Path) -> Command:
    os.mkfifo(folder / "worm.tif")
    return "check", folder / "worm.tif"


@bad("worm.tif", "whole or floating numbers")
def tiff_of_complex_numbers(folder: Path) -> Command:
    tifffile.imwrite(folder / "worm.tif", VOXELS[0].astype(np.complex64), photometric="minisblack")
    return "run", folder / "worm.tif", "--axes", "CZYX", *SIZED, "--quiet"


@bad("worm.tif", "colour picture")
def tiff_in_colour(folder: Path) -> Command:
    tifffile.imwrite(folder / "worm.tif", np.zeros((4, 32, 40, 3), np.uint8), photometric="rgb")
    return "run", folder / "worm.tif", "--axes", "ZYX", *SIZED, "--quiet"


@bad("worm.tif", "colour picture")
def tiff_with_a_palette(folder: Path) -> Command:
    tifffile.imwrite(folder / "worm.tif", np.zeros((32, 40), np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    return "run", folder / "worm.tif", "--axes", "YX", *SIZED, "--quiet"


@bad("worm.tif", "got something else")
def tiff_that_is_a_text(folder: Path) -> Command:
    (folder / "worm.tif").write_text("dear all, the data are on the other disk\n" * 20)
    return "run", folder / "worm.tif", "--quiet"


@bad("worm.tif")
def tiff_that_is_a_header_alone(folder: Path) -> Command:
    (folder / "worm.tif").write_bytes(b"II*\0\x08\0\0\0")
    return "check", folder / "worm.tif"


@bad("worm.tif")
def tiff_whose_pages_go_in_a_circle(folder: Path) -> Command:
    entries = [(256, 4, 1, 40), (257, 4, 1, 32), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 200), (279, 4, 1, 2560)]
    page = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", 8)
    (folder / "worm.tif").write_bytes((b"II*\0\x08\0\0\0" + page).ljust(200, b"\0") + bytes(2560))
    return "check", folder / "worm.tif"


def _with_tag(path: Path, tag: str, value: int) -> None:
    with tifffile.TiffFile(path) as tif:
        place = tif.pages[0].tags[tag]  # type: ignore[union-attr]
        offset, dtype = place.valueoffset, place.dtype
    content = bytearray(path.read_bytes())
    struct.pack_into({3: "<H", 4: "<I"}[int(dtype)], content, offset, value)
    path.write_bytes(content)


@bad("worm.tif")
def tiff_of_sixteen_million_columns(folder: Path) -> Command:
    tifffile.imwrite(folder / "worm.tif", VOXELS[0, 0], photometric="minisblack", compression="zlib", metadata=None)
    for tag in ("ImageWidth", "ImageLength"):
        _with_tag(folder / "worm.tif", tag, 2**24 if tag == "ImageWidth" else 2**14)
    return "check", folder / "worm.tif", "--axes", "YX", *SIZED


@bad("volume 0", "worm.tif", "plane 0")
def tiff_whose_strip_is_a_bomb(folder: Path) -> Command:
    packer = zlib.compressobj(9)
    bomb = b"".join([*(packer.compress(bytes(2**20)) for _ in range(60)), packer.flush()])
    tifffile.imwrite(folder / "worm.tif", VOXELS[0, 0], photometric="minisblack", compression="zlib", metadata=None, rowsperstrip=32)
    with tifffile.TiffFile(folder / "worm.tif") as tif:
        where = tif.pages[0].dataoffsets[0]  # type: ignore[union-attr]
    content = (folder / "worm.tif").read_bytes()
    (folder / "worm.tif").write_bytes(content[:where].ljust(where, b"\0") + content[where:] + bomb)
    with tifffile.TiffFile(folder / "worm.tif") as tif:
        if any(tif.pages[i].tags["StripOffsets"].count != 1 for i in range(4)):  # type: ignore[union-attr]
            raise AssertionError("one strip a plane")
    _with_tag(folder / "worm.tif", "StripOffsets", len(content))
    _with_tag(folder / "worm.tif", "StripByteCounts", len(bomb))
    return "check", folder / "worm.tif", "--axes", "ZYX", *SIZED


@bad("worm.ome.tif")
def ome_text_cut_off(folder: Path) -> Command:
    path = one(folder / "worm.ome.tif", VOXELS[0])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"</OME>", b"     <"))
    return "check", path


@bad("worm.ome.tif")
def ome_text_that_explodes(folder: Path) -> Command:
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    text = f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY l0 "ha">{laughs}]><OME><Image Name="&l11;"/></OME>'
    tifffile.imwrite(folder / "worm.ome.tif", VOXELS[0, 0], description=text, metadata=None, photometric="minisblack")
    return "check", folder / "worm.ome.tif", "--axes", "ZYX"


@bad("worm.ome.tif", "cut off, or spread over files")
def ome_series_whose_other_files_are_missing(folder: Path) -> Command:
    path = one(folder / "worm.ome.tif", VOXELS[0])
    content = path.read_bytes()
    path.write_bytes(content.replace(b'SizeZ="4"', b'SizeZ="9"'))
    return "check", path


@bad("worm.tif", "no voxel size", "--voxel-size")
def tiff_that_says_no_voxel_size(folder: Path) -> Command:
    tifffile.imwrite(folder / "worm.tif", VOXELS[0, 0], photometric="minisblack")
    return "run", folder / "worm.tif", "--axes", "ZYX", "--quiet"


@bad("worm.tif", "which axis is which")
def tiff_that_says_no_axes(folder: Path) -> Command:
    tifffile.imwrite(folder / "worm.tif", VOXELS[0], photometric="minisblack", metadata=None)
    return "run", folder / "worm.tif", *SIZED, "--quiet"


@bad("worm", "expected 16 files, got 15", "the first missing: t2, c1, z1")
def names_with_a_hole(folder: Path) -> Command:
    _grid(folder / "worm", [(t, c, z) for t in range(4) for c in range(2) for z in range(2) if (t, c, z) != (2, 1, 1)])
    return "run", folder / "worm", *SIZED, "--quiet"


def _grid(folder: Path, places: list[tuple[int, int, int]]) -> None:
    folder.mkdir()
    for t, c, z in places:
        tifffile.imwrite(folder / f"worm_t{t}_c{c}_z{z}.tif", VOXELS[t, c, z], photometric="minisblack")


@bad("worm", "say the same: which of the two is meant?")
def names_with_a_plane_twice(folder: Path) -> Command:
    _grid(folder / "worm", [(t, 0, z) for t in range(3) for z in range(3)])
    (folder / "worm" / "worm_t1_c0_z01.tif").write_bytes((folder / "worm" / "worm_t1_c0_z1.tif").read_bytes())
    return "run", folder / "worm", *SIZED, "--quiet"


@bad("worm", "expected 12 files, got 11")
def channel_folders_of_different_lengths(folder: Path) -> Command:
    for c in range(2):
        (folder / "worm" / f"worm_Ch{c}").mkdir(parents=True)
        for t in range(6 - c):
            tifffile.imwrite(
                folder / "worm" / f"worm_Ch{c}" / f"{t:03d}.tif", VOXELS[t, c], photometric="minisblack", metadata={"axes": "ZYX"}
            )
    return "run", folder / "worm", *SIZED, "--quiet"


@bad("worm", "expected one volume in each of 2 files, got 6")
def files_of_several_volumes_each(folder: Path) -> Command:
    (folder / "worm").mkdir()
    for i in range(2):
        one = {**SAID, "axes": "TCZYX"}
        tifffile.imwrite(folder / "worm" / f"part{i}.ome.tif", VOXELS, ome=True, metadata=one, photometric="minisblack")
    return "run", folder / "worm", "--quiet"


@bad("worm.tif", "planes = 9")
def more_planes_a_volume_than_there_are(folder: Path) -> Command:
    tifffile.imwrite(folder / "worm.tif", VOXELS[0, 0], photometric="minisblack", metadata=None)
    return "run", folder / "worm.tif", "--planes", 9, *SIZED, "--quiet"


@fine
def big_endian_tiff(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return series(folder / "worm", byteorder=">"), (), VOXELS


@fine
def big_endian_tiff_packed_with_a_predictor(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return series(folder / "worm", byteorder=">", compression="zlib", predictor=True), (), VOXELS


@fine
def tiled_bigtiff(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return series(folder / "worm", bigtiff=True, tile=(16, 16)), (), VOXELS


@fine
def one_volume(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return one(folder / "worm.ome.tif", VOXELS[0]), (), VOXELS[:1]


@fine
def one_plane_a_volume(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return series(folder / "worm", VOXELS[:, :, :1]), (), VOXELS[:, :, :1]


@fine
def one_channel(folder: Path) -> tuple[Path, Command, np.ndarray]:
    (folder / "worm").mkdir()
    for t in range(6):
        path = folder / "worm" / f"{t}.tif"
        tifffile.imwrite(path, VOXELS[t, 0], photometric="minisblack", metadata={"axes": "ZYX"})
    return folder / "worm", ("--voxel-size", 1.5, 0.4, 0.4), VOXELS[:, :1]


@fine
def negative_values(folder: Path) -> tuple[Path, Command, np.ndarray]:
    voxels = VOXELS.astype(np.int16) - 500
    return series(folder / "worm", voxels), (), voxels


@fine
def doubles(folder: Path) -> tuple[Path, Command, np.ndarray]:
    voxels = VOXELS.astype(np.float64) / 7
    return series(folder / "worm", voxels), (), voxels


@fine
def litter_of_other_systems_beside(folder: Path) -> tuple[Path, Command, np.ndarray]:
    path = series(folder / "worm")
    for name in ("._volume_00.ome.tif", ".DS_Store", "Thumbs.db", "notes.txt", "settings.xml"):
        (path / name).write_bytes(b"\0\x05\x16\x07litter")
    return path, (), VOXELS


@fine
def capital_endings(folder: Path) -> tuple[Path, Command, np.ndarray]:
    path = series(folder / "worm")
    for file in list(path.iterdir()):
        file.rename(file.with_name(file.name.replace(".ome.tif", ".TIF")))
    return path, (), VOXELS


@fine
def links_to_files_elsewhere(folder: Path) -> tuple[Path, Command, np.ndarray]:
    (folder / "worm").mkdir()
    for file in sorted(series(folder / "elsewhere").iterdir()):
        (folder / "worm" / file.name).symlink_to(file)
    return folder / "worm", (), VOXELS


@fine
def path_with_spaces_and_umlauts(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return series(folder / "Würmer von 'Jörg' (neu) 100%" / "線虫 #1 & $HOME"), (), VOXELS


@fine
def path_with_a_newline(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return series(folder / "two\nlines" / "worm\n7"), (), VOXELS


@fine
def path_that_begins_with_a_dash_inside(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return series(folder / "-worm" / "{t} *[0]?"), (), VOXELS
