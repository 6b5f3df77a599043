"""HDF5 and NWB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.cases.bad.case import SIZED, VOXELS, Command, bad, cut, fine

LAID = ("--axes", "TCZYX", *SIZED)


def stored(path: Path, voxels: np.ndarray = VOXELS, name: str = "images", **options: Any) -> Path:
    """Writes one array."""
    with h5py.File(path, "a") as file:
        file.create_dataset(name, data=voxels, **options)
    return path


def nwb(path: Path, data: np.ndarray, timestamps: np.ndarray | None = None) -> Path:
    """Writes what the reader looks at of an NWB with one ImageSeries."""
    with h5py.File(path, "w") as file:
        series = file.create_group("acquisition/calcium")
        series.attrs["neurodata_type"] = "ImageSeries"
        series["data"] = data
        if timestamps is not None:
            series["timestamps"] = timestamps
    return path


@bad("worm.h5", "cannot be opened as HDF5")
def hdf5_that_is_a_text(folder: Path) -> Command:
    (folder / "worm.h5").write_text("see the lab book, page 7\n" * 50)
    return "run", folder / "worm.h5", "--quiet"


@bad("worm.h5", "cannot be opened as HDF5")
def hdf5_cut_off(folder: Path) -> Command:
    return "run", cut(stored(folder / "worm.h5")), *LAID, "--quiet"


@bad("worm.h5", "points into another file")
def hdf5_that_links_into_another_file(folder: Path) -> Command:
    stored(folder / "secret.h5")
    with h5py.File(folder / "worm.h5", "w") as file:
        file["images"] = h5py.ExternalLink(str(folder / "secret.h5"), "/images")
    return "run", folder / "worm.h5", "--dataset", "images", *LAID, "--quiet"


@bad("worm.h5", "voxels lie in other files")
def hdf5_whose_voxels_lie_in_another_file(folder: Path) -> Command:
    (folder / "passwords").write_bytes(VOXELS.tobytes())
    with h5py.File(folder / "worm.h5", "w") as file:
        file.create_dataset("images", VOXELS.shape, "<u2", external=[(str(folder / "passwords"), 0, VOXELS.nbytes)])
    return "run", folder / "worm.h5", *LAID, "--quiet"


@bad("worm.h5", "voxels lie in other files")
def hdf5_that_is_virtual(folder: Path) -> Command:
    layout = h5py.VirtualLayout(VOXELS.shape, VOXELS.dtype)
    layout[:] = h5py.VirtualSource(str(stored(folder / "secret.h5")), "images", VOXELS.shape)
    with h5py.File(folder / "worm.h5", "w") as file:
        file.create_virtual_dataset("images", layout)
    return "run", folder / "worm.h5", *LAID, "--quiet"


@bad("worm.h5", "expected an array at images")
def hdf5_whose_link_leads_nowhere(folder: Path) -> Command:
    with h5py.File(folder / "worm.h5", "w") as file:
        file["images"] = h5py.SoftLink("/gone")
    return "run", folder / "worm.h5", "--dataset", "images", *LAID, "--quiet"


@bad("worm.h5")
def hdf5_whose_links_go_in_a_circle(folder: Path) -> Command:
    with h5py.File(folder / "worm.h5", "w") as file:
        file["images"], file["other"] = h5py.SoftLink("/other"), h5py.SoftLink("/images")
        file.create_group("deep")["self"] = h5py.SoftLink("/deep")
    return "run", folder / "worm.h5", "--dataset", "images", *LAID, "--quiet"


@bad("worm.h5", "whole or floating numbers")
def hdf5_of_records(folder: Path) -> Command:
    stored(folder / "worm.h5", np.zeros(VOXELS.shape, [("red", "<u2"), ("green", "<u2")]))
    return "run", folder / "worm.h5", "--dataset", "images", *LAID, "--quiet"


@bad("worm.h5", "whole or floating numbers")
def hdf5_of_complex_numbers(folder: Path) -> Command:
    return "run", stored(folder / "worm.h5", VOXELS.astype(complex)), "--dataset", "images", *LAID, "--quiet"


@bad("worm.h5", "expected one array of three axes or more, got none")
def hdf5_of_texts(folder: Path) -> Command:
    stored(folder / "worm.h5", np.full((2, 2, 2), "worm", h5py.string_dtype()))
    return "run", folder / "worm.h5", *LAID, "--quiet"


@bad("worm.h5", "expected voxels", "(0, 2, 4, 32, 40)")
def hdf5_of_no_volumes(folder: Path) -> Command:
    return "run", stored(folder / "worm.h5", VOXELS[:0]), *LAID, "--quiet"


@bad("worm.h5", "say which as --dataset")
def hdf5_of_several_arrays(folder: Path) -> Command:
    stored(stored(folder / "worm.h5"), name="smoothed")
    return "run", folder / "worm.h5", *LAID, "--quiet"


@bad("worm.h5", "expected an array at ../images")
def hdf5_array_that_is_asked_for_outside(folder: Path) -> Command:
    return "run", stored(folder / "worm.h5"), "--dataset", "../images", *LAID, "--quiet"


@bad("worm.h5", "expected 5 axes")
def hdf5_with_an_axis_too_few_told(folder: Path) -> Command:
    return "run", stored(folder / "worm.h5"), "--axes", "ZYX", *SIZED, "--quiet"


@bad("axes", "TQZYX")
def hdf5_with_axes_nobody_knows(folder: Path) -> Command:
    return "run", stored(folder / "worm.h5"), "--axes", "TQZYX", *SIZED, "--quiet"


@bad("worm.h5", "GB")
def hdf5_that_declares_a_volume_of_10_to_15_voxels(folder: Path) -> Command:
    with h5py.File(folder / "worm.h5", "w") as file:
        file.create_dataset("images", (6, 2, 1000, 10**6, 10**6), "<u2", chunks=(1, 1, 4, 32, 40))
    return "check", folder / "worm.h5", *LAID


@bad("worm.h5", "never written")
def hdf5_that_was_never_written(folder: Path) -> Command:
    with h5py.File(folder / "worm.h5", "w") as file:
        file.create_dataset("images", VOXELS.shape, "<u2", chunks=(1, *VOXELS.shape[1:]))
    return "check", folder / "worm.h5", *LAID


@bad("worm.h5", "volume ", "cannot be read")
def hdf5_whose_packed_voxels_are_damaged(folder: Path) -> Command:
    path = stored(folder / "worm.h5", chunks=(1, *VOXELS.shape[1:]), compression="gzip")
    with h5py.File(path) as file:
        places = [file["images"].id.get_chunk_info(i) for i in range(6)]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place.byte_offset + 9 : place.byte_offset + place.size - 9] = bytes(place.size - 18)
    path.write_bytes(content)
    return "check", path, *LAID


@bad("worm.h5", "expected arrays of the same volumes")
def hdf5_of_a_volume_an_array_with_one_lacking(folder: Path) -> Command:
    for t in range(4):
        stored(folder / "worm.h5", VOXELS[t, 0], f"red/{t}")
        if t != 2:
            stored(folder / "worm.h5", VOXELS[t, 1], f"green/{t}")
    command = ("--dataset", "red/{t}", "--dataset", "green/{t}", "--axes", "ZYX", *SIZED, "--quiet")
    return "run", folder / "worm.h5", *command


@bad("volume 2", "worm.h5", "like volume 0")
def hdf5_of_a_volume_an_array_with_one_of_another_shape(folder: Path) -> Command:
    for t in range(4):
        stored(folder / "worm.h5", VOXELS[t, :, : 4 if t != 2 else 3], f"{t}/frame")
    return "check", folder / "worm.h5", "--dataset", "{t}/frame", "--axes", "CZYX", *SIZED


@bad("worm.nwb", "cannot be opened as NWB")
def nwb_that_is_a_text(folder: Path) -> Command:
    (folder / "worm.nwb").write_text("see the lab book, page 7\n" * 50)
    return "run", folder / "worm.nwb", "--quiet"


@bad("worm.nwb", "got none")
def nwb_without_a_series(folder: Path) -> Command:
    return "run", stored(folder / "worm.nwb"), *SIZED, "--quiet"


@bad("worm.nwb", "images lie in other files")
def nwb_whose_images_lie_in_other_files(folder: Path) -> Command:
    return "run", nwb(folder / "worm.nwb", np.zeros((0, 0, 0, 0), np.uint16)), *SIZED, "--quiet"


@bad("worm.nwb", "the clock", "timestamps")
def nwb_whose_clock_goes_backwards(folder: Path) -> Command:
    times = np.array([0.0, 0.5, 1.0, 0.2, 0.7, 1.2])
    return "check", nwb(folder / "worm.nwb", VOXELS[:, 0].transpose(0, 3, 2, 1), times), *SIZED[:4]


@bad("worm.nwb", "the clock", "timestamps")
def nwb_whose_clock_stands(folder: Path) -> Command:
    return "check", nwb(folder / "worm.nwb", VOXELS[:, 0].transpose(0, 3, 2, 1), np.zeros(6)), *SIZED[:4]


@fine
def big_endian_hdf5(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return stored(folder / "worm.h5", VOXELS.astype(">u2")), ("--axes", "TCZYX"), VOXELS


@fine
def hdf5_whose_group_holds_itself(folder: Path) -> tuple[Path, Command, np.ndarray]:
    with h5py.File(stored(folder / "worm.h5"), "a") as file:
        file["again"] = file["/"]
    return folder / "worm.h5", ("--axes", "TCZYX", "--dataset", "images"), VOXELS


@fine
def nwb_of_one_channel(folder: Path) -> tuple[Path, Command, np.ndarray]:
    return nwb(folder / "worm.nwb", VOXELS[:, 0].transpose(0, 3, 2, 1), np.arange(6) / 2), (), VOXELS[:, :1]
