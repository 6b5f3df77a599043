"""The encoder that training starts from: refused early, in one line, however wrong the file is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from barlowtrack.check import check
from barlowtrack.config import Config, CropConfig, TrainConfig, load
from barlowtrack.errors import InputError
from barlowtrack.io.start import SHIPPED, encoder_digest, open_start, refuse_misfit, start_path
from barlowtrack.nn.checkpoint import pack, unpack
from barlowtrack.nn.encoder import Encoder, EncoderSpec
from tests.unit.test_check import recording

SPEC = EncoderSpec((4, 16, 16), (9.0, 8.0, 8.0), 12, (8, 12))
CROP = CropConfig(grid=SPEC.window, size_um=SPEC.size_um)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "encoder.safetensors").write_bytes(Encoder(SPEC).to_bytes())
    return tmp_path / "encoder.safetensors"


def test_the_one_that_comes_along_sees_the_crops_of_the_defaults() -> None:
    assert start_path(TrainConfig()) == SHIPPED
    refuse_misfit(TrainConfig(), CropConfig())
    encoder = open_start(TrainConfig())
    assert encoder is not None
    assert (encoder.spec.window, encoder.spec.size_um) == (CropConfig().grid, CropConfig().size_um)


def test_a_file_of_ones_own(file: Path) -> None:
    config = TrainConfig(start=str(file))
    refuse_misfit(config, CROP)
    encoder = open_start(config)
    assert encoder is not None
    assert encoder.to_bytes() == file.read_bytes()


def test_from_scratch_no_file_is_asked_for(tmp_path: Path) -> None:
    config = TrainConfig(mode="scratch", start=str(tmp_path / "nowhere"))
    assert start_path(config) is open_start(config) is None
    refuse_misfit(config, CropConfig(grid=(3, 3, 3)))


def test_a_recording_named_by_mistake_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "recording.tif"
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no room, and more than any memory
    config = TrainConfig(start=str(path))
    for ask in (lambda: encoder_digest(path), lambda: refuse_misfit(config, CROP), lambda: open_start(config)):
        with pytest.raises(InputError, match=r"recording\.tif, which has 1099\.5 GB"):
            ask()


def test_crops_that_it_cannot_see_are_said_with_the_fix(file: Path) -> None:
    with pytest.raises(InputError) as caught:
        refuse_misfit(TrainConfig(start=str(file)), CropConfig())
    sees, fix = str(caught.value).split("; ")
    assert (
        sees == "train: the encoder to start from sees 4 x 16 x 16 voxels in 9 x 8 x 8 um (z y x), got crops of 8 x 32 x 32 in 12 x 24 x 24"
    )
    assert fix == 'set [crop] grid = [4, 16, 16] and size_um = [9.0, 8.0, 8.0], or [train] mode = "scratch"'
    as_told = load(overrides=[f"train.start={file}", "crop.grid=[4, 16, 16]", "crop.size_um=[9.0, 8.0, 8.0]"])
    refuse_misfit(as_told.train, as_told.crop)


def facts(file: Path, **changes: object) -> bytes:
    tensors, said = unpack("encoder", 1, file.read_bytes())
    return pack("encoder", 1, tensors, {**said, **changes})


def header(said: object) -> bytes:
    text = json.dumps({"__metadata__": {"barlowtrack": said if isinstance(said, str) else json.dumps(said)}}).encode()
    return len(text).to_bytes(8, "little") + text


DEEP = "[" * 100_000
WRONG = {
    "empty": lambda file: b"",
    "seven bytes": lambda file: b"1234567",
    "no safetensors": lambda file: b"\x80\x04\x95" * 100,
    "a header of exabytes": lambda file: b"\xff" * 8 + b"{}",
    "cut within the header": lambda file: file.read_bytes()[:60],
    "other weights": lambda file: header("none of ours"),
    "nested without end": lambda file: len(DEEP).to_bytes(8, "little") + DEEP.encode(),
    "nested without end, within": lambda file: header(DEEP),
    "a list": lambda file: header([1, 2]),
    "another kind": lambda file: pack("training state", 3, {}, {}),
    "another version": lambda file: pack("encoder", 2, {}, {}),
    "no spec": lambda file: facts(file, spec=None),
    "a spec of text": lambda file: facts(file, spec="large"),
    "sizes that are none": lambda file: facts(file, spec={"window": 4, "size_um": [1, 1, 1]}),
    "sizes that clear the terminal": lambda file: facts(file, spec={"window": ["\x1b[2J", 16, 16], "size_um": [9.0, 8.0, 8.0]}),
    "a kind that clears the terminal": lambda file: pack("\x1b[2J", 1, {}, {}),
    "a kind without end": lambda file: pack("e" * 10_000, 1, {}, {}),
    "a version of text": lambda file: header({"kind": "encoder", "version": "\x1b[2J", "facts": {}}),
    "four axes": lambda file: facts(file, spec={"window": [4, 16, 16, 16], "size_um": [9.0, 8.0, 8.0]}),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_encoder_is_refused_early_and_late(file: Path, make) -> None:
    file.write_bytes(make(file))
    for refuse in (lambda: refuse_misfit(TrainConfig(start=str(file)), CROP), lambda: open_start(TrainConfig(start=str(file)))):
        with pytest.raises(InputError, match="encoder: expected") as caught:
            refuse()
        assert str(caught.value).isprintable()  # one line, and no code that a terminal would follow
        assert len(str(caught.value)) < 1000


SPEC_FACTS = {"window": [4, 16, 16], "size_um": [9.0, 8.0, 8.0], "embedding_dim": 12, "channels": [8, 12]}
LATE = {
    "cut off": lambda file: file.read_bytes()[:-10],
    "a weight that changed": lambda file: file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]),
    "more dimensions than memory": lambda file: facts(file, spec=SPEC_FACTS | {"embedding_dim": 10**12}),
    "more dimensions than numbers": lambda file: facts(file, spec=SPEC_FACTS | {"embedding_dim": 10**40}),
    "more channels": lambda file: facts(file, spec=SPEC_FACTS | {"channels": [10**7, 10**7]}),
    "three channels": lambda file: facts(file, spec=SPEC_FACTS | {"channels": [8, 12, 3]}),
    "epochs of text": lambda file: facts(file, epoch="many"),
    "weights missing": lambda file: pack("encoder", 1, {"head.bias": torch.zeros(12)}, {"spec": SPEC_FACTS}),
}


@pytest.mark.parametrize("make", LATE.values(), ids=LATE.keys())
def test_weights_that_are_not_what_the_header_says_are_refused_with_the_file(file: Path, make) -> None:
    file.write_bytes(make(file))
    with pytest.raises(InputError, match=r"encoder\.safetensors: encoder: ") as caught:
        open_start(TrainConfig(start=str(file)))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(("name", "found"), [("nowhere", "not there"), (".", "a folder"), ("encoder.safetensors/deeper", "not there")])
def test_a_path_to_no_file_is_said(file: Path, name: str, found: str) -> None:
    config = TrainConfig(start=str(file.parent / name))
    path = start_path(config)
    assert path is not None
    for refuse in (lambda: refuse_misfit(config, CROP), lambda: open_start(config), lambda: encoder_digest(path)):
        with pytest.raises(InputError, match=rf"\[train\] start: expected the encoder\.safetensors of a run, .*, which is {found}"):
            refuse()


def test_a_misfit_stops_the_check(file: Path) -> None:
    assert {finding.level for finding in check(recording(), config=Config())} == {"ok"}
    first = check(recording(), config=load(overrides=[f"train.start={file}"]))[0]
    assert first.level == "stop"
    assert "sees 4 x 16 x 16 voxels" in first.what
    assert first.fix.startswith("set [crop] grid")
    gone = check(recording(), config=load(overrides=[f"train.start={file}.gone"]))[0]
    assert (gone.level, "which is not there" in gone.what) == ("stop", True)


def test_no_torch_for_a_look_at_the_header() -> None:
    code = (
        "import sys; from barlowtrack.io.start import refuse_misfit as r; from barlowtrack.config import *; r(TrainConfig(), CropConfig())"
    )
    said = subprocess.run([sys.executable, "-c", f"{code}; print(*sys.modules)"], capture_output=True, text=True, check=True).stdout
    assert "barlowtrack.nn.facts" in said.split()
    assert not {"torch", "safetensors"} & set(said.split())
