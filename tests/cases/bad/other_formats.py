"""What is no recording at all, other formats, and the places where recordings lie."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from tests.cases.bad.case import VOXELS, Command, bad, fine, series
from tests.cases.bad.zarrs import image


@bad("nowhere", "No such file")
def nothing_there(folder: Path) -> Command:
    return "run", folder / "nowhere", "--quiet"


@bad("worm", "an empty folder")
def empty_folder(folder: Path) -> Command:
    (folder / "worm").mkdir()
    return "run", folder / "worm", "--quiet"


@bad("worm", "got a.txt, b.doc")
def folder_of_other_files(folder: Path) -> Command:
    (folder / "worm").mkdir()
    for name in ("a.txt", "b.doc"):
        (folder / "worm" / name).write_text(name)
    return "run", folder / "worm", "--quiet"


@bad("worm.mp4", "expected a folder of TIFFs")
def a_film_for_a_phone(folder: Path) -> Command:
    (folder / "worm.mp4").write_bytes(b"\0\0\0\x20ftypisom" * 9)
    return "run", folder / "worm.mp4", "--quiet"


@bad("worm.zip", "archive")
def archive_with_a_path_out_of_it(folder: Path) -> Command:
    with zipfile.ZipFile(folder / "worm.zip", "w") as archive:
        archive.writestr("../escaped.tif", "x")
    return "run", folder / "worm.zip", "--quiet"


@bad("worm.tar.gz", "archive")
def archive_with_an_absolute_path(folder: Path) -> Command:
    with tarfile.open(folder / "worm.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo(str(folder / "escaped.tif"))
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    return "run", folder / "worm.tar.gz", "--quiet"


@bad("worm.zarr.zip", "archive")
def archive_that_is_a_bomb(folder: Path) -> Command:
    with zipfile.ZipFile(folder / "worm.zarr.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("0/0.0.0.0.0", "w") as file:
        for _ in range(100):
            file.write(bytes(2**20))
    return "check", folder / "worm.zarr.zip"


@bad("worm", "symbolic links")
def links_in_a_circle(folder: Path) -> Command:
    (folder / "worm").symlink_to("other")
    (folder / "other").symlink_to("worm")
    return "run", folder / "worm", "--quiet"


@bad("worm", "got self")
def folder_that_holds_itself(folder: Path) -> Command:
    (folder / "worm").mkdir()
    (folder / "worm" / "self").symlink_to(folder / "worm")
    return "run", folder / "worm", "--quiet"


@bad("volume_00.ome.tif", "Permission denied", unprivileged=True)
def files_that_may_not_be_read(folder: Path) -> Command:
    for file in series(folder / "worm").iterdir():
        file.chmod(0)
    return "run", folder / "worm", "--quiet"


@bad("volume_03.ome.tif", "Permission denied", unprivileged=True)
def one_file_that_may_not_be_read(folder: Path) -> Command:
    (series(folder / "worm") / "volume_03.ome.tif").chmod(0)
    return "check", folder / "worm"


@bad("worm", "Permission denied", unprivileged=True)
def folder_that_may_not_be_read(folder: Path) -> Command:
    series(folder / "worm").chmod(0)
    return "run", folder / "worm", "--quiet"


@bad("worm.barlowtrack", "Permission denied", unprivileged=True)
def place_of_results_that_may_not_be_written(folder: Path) -> Command:
    series(folder / "lab" / "worm")
    (folder / "lab").chmod(0o500)
    return "run", folder / "lab" / "worm", "--quiet"


@bad("worm.zarr", unprivileged=True)
def zarr_that_may_not_be_read(folder: Path) -> Command:
    (image(folder / "worm.zarr") / "0" / ".zarray").chmod(0)
    return "run", folder / "worm.zarr", "--quiet"


@bad("/proc/", "No such file")
def results_into_a_file_system_that_takes_none(folder: Path) -> Command:
    return "run", series(folder / "worm"), "--out", "/proc/worm.barlowtrack", "--quiet"


@bad("results", "Not a directory")
def results_below_a_file(folder: Path) -> Command:
    (folder / "results").write_text("a file")
    return "run", series(folder / "worm"), "--out", folder / "results" / "worm.barlowtrack", "--quiet"


@bad("too long")
def name_beyond_what_a_disk_takes(folder: Path) -> Command:
    return "run", folder / ("w" * 300 + ".tif"), "--quiet"


@bad("worm?7.tif", "got something else")
def line_that_would_be_two(folder: Path) -> Command:
    (folder / "worm\n7.tif").write_text("no TIFF")
    return "run", folder / "worm\n7.tif", "--quiet"


@bad("worm?[2J.tif", "got something else")
def name_that_would_clear_the_screen(folder: Path) -> Command:
    (folder / "worm\x1b[2J.tif").write_text("no TIFF")
    return "run", folder / "worm\x1b[2J.tif", "--quiet"


@bad("worm.nd2")
def nd2_that_is_a_text(folder: Path) -> Command:
    (folder / "worm.nd2").write_text("ask Nikon\n" * 50)
    return "run", folder / "worm.nd2", "--quiet"


@bad("worm.nd2")
def nd2_that_is_its_first_bytes(folder: Path) -> Command:
    (folder / "worm.nd2").write_bytes(b"\xda\xce\xbe\x0a" + struct.pack("<IQ", 32, 2**60) + b"ND2 FILE SIGNATURE CHUNK NAME01!Ver3.0")
    return "run", folder / "worm.nd2", "--quiet"


@bad("worm.czi")
def czi_that_is_a_text(folder: Path) -> Command:
    (folder / "worm.czi").write_text("ask Zeiss\n" * 50)
    return "run", folder / "worm.czi", "--quiet"


def _entry(axes: object, name: bytes, width: int = 40, height: int = 32, kind: int = 1, length: int | None = None) -> bytes:
    said = json.dumps(axes).encode()
    head = struct.pack("<I", len(said) if length is None else length) + said + struct.pack("<I", len(name)) + name
    return head + struct.pack("<8I", 0, width, height, kind, 0, 0, 2, 0)


def ndtiff(folder: Path, *entries: bytes) -> Path:
    """Writes an index, and one file of planes."""
    path = folder / "worm"
    path.mkdir()
    (path / "planes.tif").write_bytes(VOXELS[0, 0].tobytes())
    (path / "NDTiff.index").write_bytes(b"".join(entries))
    return path


@bad("NDTiff.index", "damaged after 1 planes")
def ndtiff_whose_index_is_cut_off(folder: Path) -> Command:
    first = _entry({"time": 0}, b"planes.tif")
    return "run", ndtiff(folder, first, _entry({"time": 1}, b"planes.tif")[:-5]), "--quiet"


@bad("NDTiff.index", "damaged after 0 planes")
def ndtiff_whose_index_asks_for_all_memory(folder: Path) -> Command:
    return "run", ndtiff(folder, _entry({"time": 0}, b"planes.tif", length=2**32 - 1)), "--quiet"


@bad("NDTiff.index", "lies elsewhere")
def ndtiff_that_points_out_of_its_folder(folder: Path) -> Command:
    (folder / "secret.tif").write_bytes(VOXELS[0, 0].tobytes())
    return "run", ndtiff(folder, _entry({"time": 0}, b"../secret.tif")), "--quiet"


@bad("planes.tif", "cut off")
def ndtiff_of_planes_that_are_larger_than_their_file(folder: Path) -> Command:
    entries = [_entry({"time": t}, b"planes.tif", 400, 320) for t in range(3)]
    return "check", ndtiff(folder, *entries), "--voxel-size", 1.5, 0.4, 0.4


@bad("planes.tif", "cut off")
def ndtiff_of_planes_without_end(folder: Path) -> Command:
    entries = [_entry({"time": t}, b"planes.tif", 2**31, 2**31) for t in range(3)]
    return "check", ndtiff(folder, *entries), "--voxel-size", 1.5, 0.4, 0.4


@bad("NDTiff.index")
def ndtiff_whose_axes_are_lists(folder: Path) -> Command:
    entries = [_entry({"time": [t]}, b"planes.tif") for t in range(3)]
    return "run", ndtiff(folder, *entries), "--voxel-size", 1.5, 0.4, 0.4, "--quiet"


@bad("server/worm.zarr", "got ftp://")
def address_of_a_server_nobody_asks(folder: Path) -> Command:
    return "run", "ftp://server/worm.zarr", "--out", folder / "out", "--quiet"


@fine
def link_to_a_recording(folder: Path) -> tuple[Path, Command, np.ndarray]:
    (folder / "worm").symlink_to(series(folder / "disk" / "rec_42"))
    return folder / "worm", (), VOXELS
