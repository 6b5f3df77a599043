"""Settings, recording.toml, and the models and encoders that settings name."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np

from tests.cases.bad.case import SIZED, VOXELS, Command, bad, fine, series
from tests.cases.bad.zarrs import evil


def told(folder: Path, text: str | bytes) -> Command:
    """Writes a recording.toml beside volumes."""
    path = series(folder / "worm")
    (path / "recording.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return "run", path, "--quiet"


@bad("recording.toml", "not TOML")
def recording_toml_that_is_none(folder: Path) -> Command:
    return told(folder, "voxel size: 1.5 by 0.4")


@bad("recording.toml")
def recording_toml_that_is_binary(folder: Path) -> Command:
    return told(folder, bytes(range(256)))


@bad("recording.toml")
def recording_toml_nested_without_end(folder: Path) -> Command:
    return told(folder, "a = " + "[" * 100_000)


@bad("recording.toml", "voxel_size_um")
def recording_toml_with_a_slip_of_the_pen(folder: Path) -> Command:
    return told(folder, "[recording]\nvoxelsize_um = [1.5, 0.4, 0.4]\n")


@bad("recording.toml", "voxel_size_um")
def recording_toml_of_a_wrong_type(folder: Path) -> Command:
    return told(folder, '[recording]\nvoxel_size_um = "1.5 0.4 0.4"\n')


@bad("recording.toml", "voxel_size_um")
def recording_toml_of_two_sizes(folder: Path) -> Command:
    return told(folder, "[recording]\nvoxel_size_um = [1.5, 0.4]\n")


@bad("recording.toml", "voxel_size_um")
def recording_toml_of_negative_size(folder: Path) -> Command:
    return told(folder, "[recording]\nvoxel_size_um = [1.5, -0.4, 0.4]\n")


@bad("recording.toml", "voxel_size_um")
def recording_toml_of_infinite_size(folder: Path) -> Command:
    return told(folder, "[recording]\nvoxel_size_um = [inf, 0.4, nan]\n")


@bad("recording.toml", "rate_hz")
def recording_toml_of_no_volumes_a_second(folder: Path) -> Command:
    return told(folder, "[recording]\nrate_hz = 0\n")


@bad("reference_channel", "red, green")
def recording_toml_of_a_channel_that_is_not_there(folder: Path) -> Command:
    return told(folder, '[recording]\nreference_channel = "mCherry"\n')


@bad("expected 2 channel names")
def recording_toml_of_too_many_channel_names(folder: Path) -> Command:
    return told(folder, '[recording]\nchannel_names = ["a", "b", "c"]\n')


@bad("dataset", "holds one image")
def recording_toml_that_asks_for_a_file_elsewhere(folder: Path) -> Command:
    return told(folder, '[recording]\ndataset = "../../../etc/passwd"\n')


@bad("recording.toml", "got 1000000000000000000000")
def recording_toml_of_more_planes_than_memory(folder: Path) -> Command:
    return told(folder, "[recording]\nplanes = 1000000000000000000000\n")


@bad("voxel_size_um", "sizes are in um")
def unit_mismatch_nanometres_given_as_um(folder: Path) -> Command:
    return "check", series(folder / "worm"), "--voxel-size", 1500, 400, 400


@bad("worm", "less than two voxels wide", "check the voxel size")
def unit_mismatch_hundredths_given_as_um(folder: Path) -> Command:
    return "run", series(folder / "worm"), "--voxel-size", 150, 40, 40, "--quiet"


@bad("voxel_size_um", "sizes are in um")
def unit_mismatch_millimetres_given_as_um(folder: Path) -> Command:
    return "check", series(folder / "worm"), "--voxel-size", 0.0015, 0.0004, 0.0004


@bad("worm", "a nucleus fills it")
def unit_mismatch_tenths_given_as_um(folder: Path) -> Command:
    return "run", series(folder / "worm"), "--voxel-size", 0.15, 0.04, 0.04, "--quiet"


@bad("axes", "expected")
def axes_given_twice(folder: Path) -> Command:
    return "run", series(folder / "worm"), "--axes", "ZZYX", "--quiet"


def _config(folder: Path, content: bytes) -> Command:
    (folder / "lab.toml").write_bytes(content)
    return "run", series(folder / "worm"), "--config", folder / "lab.toml", "--quiet"


@bad("lab.toml", "[train] epochs")
def settings_of_a_wrong_type(folder: Path) -> Command:
    return _config(folder, b'[train]\nepochs = "many"\n')


@bad("lab.toml", "min_probability")
def settings_that_are_none(folder: Path) -> Command:
    return _config(folder, b"[track]\nmin_probabilty = 0.5\n")


@bad("lab.toml")
def settings_that_are_binary(folder: Path) -> Command:
    return _config(folder, b"\xff\xfe" + bytes(range(256)))


@bad("lab.toml", "segment")
def settings_whose_section_is_a_number(folder: Path) -> Command:
    return _config(folder, b"segment = 3\n")


@bad("lab.toml")
def settings_that_are_a_folder(folder: Path) -> Command:
    (folder / "lab.toml").mkdir()
    return "run", series(folder / "worm"), "--config", folder / "lab.toml", "--quiet"


@bad("lab.toml")
def settings_that_are_not_there(folder: Path) -> Command:
    return "run", series(folder / "worm"), "--config", folder / "lab.toml", "--quiet"


def _start(folder: Path, name: str) -> Command:
    return "check", series(folder / "worm"), "--set", f"train.start={folder / name}"


@bad("start.npy", "safetensors")
def encoder_that_is_a_pickled_array(folder: Path) -> Command:
    (folder / "start.npy").write_bytes(b"\x93NUMPY\x01\x00" + b"v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n")
    (folder / "start.npy").write_bytes((folder / "start.npy").read_bytes() + evil(folder / "unpickled"))
    return _start(folder, "start.npy")


@bad("start.pt", "safetensors")
def encoder_that_is_a_checkpoint_of_torch(folder: Path) -> Command:
    with zipfile.ZipFile(folder / "start.pt", "w") as archive:
        archive.writestr("archive/data.pkl", evil(folder / "unpickled"))
    return _start(folder, "start.pt")


@bad("start.pkl", "safetensors")
def encoder_that_is_a_pickle(folder: Path) -> Command:
    (folder / "start.pkl").write_bytes(evil(folder / "unpickled"))
    return _start(folder, "start.pkl")


@bad("start.safetensors", "safetensors")
def encoder_whose_header_has_10_to_18_bytes(folder: Path) -> Command:
    (folder / "start.safetensors").write_bytes((10**18).to_bytes(8, "little") + b'{"a":{}}')
    return _start(folder, "start.safetensors")


@bad("start.safetensors", "safetensors")
def encoder_whose_header_is_nested_without_end(folder: Path) -> Command:
    (folder / "start.safetensors").write_bytes((200_000).to_bytes(8, "little") + b"[" * 200_000)
    return _start(folder, "start.safetensors")


@bad("start.safetensors", "other weights")
def encoder_of_somebody_else(folder: Path) -> Command:
    header = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "start.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    return _start(folder, "start.safetensors")


@bad("start.safetensors", "not there")
def encoder_that_is_not_there(folder: Path) -> Command:
    return _start(folder, "start.safetensors")


def _model(folder: Path, name: str) -> Command:
    return "run", series(folder / "worm"), "--set", f"segment.model={folder / name}", "--quiet"


@bad("model")
def model_that_is_an_empty_folder(folder: Path) -> Command:
    (folder / "model").mkdir()
    return _model(folder, "model")


@bad("model.pt")
def model_that_is_a_pickle(folder: Path) -> Command:
    (folder / "model.pt").write_bytes(evil(folder / "unpickled"))
    return _model(folder, "model.pt")


@bad("model")
def model_whose_config_is_a_list(folder: Path) -> Command:
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("[1, 2, 3]")
    with h5py.File(folder / "model" / "weights_best.h5", "w") as file:
        file["a"] = np.zeros(3)
    return _model(folder, "model")


@fine
def recording_toml_of_a_windows_editor(folder: Path) -> tuple[Path, Command, np.ndarray]:
    path = series(folder / "worm")
    (path / "recording.toml").write_bytes(b"\xef\xbb\xbf[recording]\r\nrate_hz = 4.0\r\n")
    return path, SIZED, VOXELS
