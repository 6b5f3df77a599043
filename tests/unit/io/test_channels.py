"""Which of two channels is the constant one: seen in moving worms whichever way round they are stored, or asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import barlowtrack as bt
from barlowtrack.config import Config, RecordingConfig
from barlowtrack.data import VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.channels import RUN, constant_channel
from barlowtrack.pipeline import recording_card

SAMPLE = Path(__file__).parents[3] / "sample_data" / "recording"


@dataclass
class Changed:
    """Volumes of the sample, changed on the way."""

    change: Callable[[VoxelArray, int], VoxelArray]

    def __post_init__(self) -> None:
        self.recording = bt.open_recording(SAMPLE, to_look=True)
        self.n_read = 0

    def read(self, t: int) -> VoxelArray:
        self.n_read += 1
        return self.change(self.recording.read(t), t)


def seen(change: Callable[[VoxelArray, int], VoxelArray], n_volumes: int = 36) -> int | None:
    source = Changed(change)
    shape = (n_volumes, *source.recording.shape[1:])
    return constant_channel(source, shape, source.recording.voxel_size_um).constant


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("gain", [(1, 1), (1, 0.1), (0.1, 1)])
def test_the_constant_channel_is_seen_whatever_its_place_and_brightness(swapped: bool, gain: tuple[float, float]) -> None:
    def change(volume: VoxelArray, t: int) -> VoxelArray:
        scaled = volume.astype(np.float32) * np.array(gain, np.float32)[:, None, None, None] + 100
        return scaled[::-1] if swapped else scaled

    assert seen(change) == int(swapped)


def test_channels_that_are_alike_are_not_told_apart() -> None:
    rng = np.random.default_rng(0)
    for channel in (0, 1):
        assert seen(lambda volume, t, c=channel: volume[[c, c]] + rng.normal(0, 3, volume.shape), 20) is None


def test_a_channel_that_is_a_copy_of_the_other_tells_nothing() -> None:
    for gain in (1.0, 3.0):
        source = Changed(lambda volume, t, gain=gain: volume[[0, 0]] * np.array([1, gain], np.float32)[:, None, None, None])
        verdict = constant_channel(source, source.recording.shape, source.recording.voxel_size_um)
        assert (verdict.constant, verdict.reason) == (None, "both channels show the same picture")


def test_noise_and_too_few_volumes_are_not_told_apart() -> None:
    rng = np.random.default_rng(0)
    assert seen(lambda volume, t: rng.normal(100, 10, volume.shape), 20) is None
    assert seen(lambda volume, t: np.zeros_like(volume), 10) is None
    assert seen(lambda volume, t: volume, n_volumes=RUN - 1) is None


def unnamed(place: Path, order: list[int]) -> Path:
    import tifffile

    place.mkdir()
    recording = bt.open_recording(SAMPLE, to_look=True)
    for t in range(recording.n_volumes):
        tifffile.imwrite(place / f"{t}.tif", recording.read(t)[order], metadata={"axes": "CZYX"})
    return place


def test_a_recording_without_names(tmp_path: Path) -> None:
    """A swapped pair gives the opposite answer, with its reason; an opening only to look reads no volume and says so."""
    sized = RecordingConfig(voxel_size_um=bt.open_recording(SAMPLE, to_look=True).voxel_size_um)
    for order in ([0, 1], [1, 0]):
        path = unnamed(tmp_path / f"worm{order[0]}", order)
        recording = bt.open_recording(path, sized)
        assert (recording.reference, recording.signal) == (order[0], 1 - order[0])
        assert any("the constant one (of" in said for said in recording.assumptions)
        assert any("not known" in said for said in bt.open_recording(path, sized, to_look=True).assumptions)
    card = recording_card(recording) | {"reference": 0, "signal": 1}
    assert bt.open_recording(path, sized, known=card).reference == 0  # believed, as the content is the same
    assert bt.open_recording(path, sized, known=card | {"content": "another"}).reference == 1
    for few in list(path.glob("*.tif"))[5:]:
        few.unlink()
    with pytest.raises(InputError, match="too few to see which channel is constant") as error:
        bt.open_recording(path, sized)
    assert "--reference-channel" in str(error.value)
    told = bt.open_recording(path, sized.model_copy(update={"reference_channel": 1}))
    assert told.reference == 1


def test_check_notices_names_that_are_swapped() -> None:
    from dataclasses import replace

    from barlowtrack.check import check

    recording = bt.open_recording(SAMPLE)
    swapped = replace(recording, source=Changed(lambda volume, t: volume[::-1]))
    warned = [finding for finding in check(swapped, config=Config()) if finding.level == "warn" and "swapped" in finding.what]
    assert len(warned) == 1
    assert "changed more in channel 0" in warned[0].what
    good = [finding.what for finding in check(recording, config=Config())]
    assert not any("swapped" in what for what in good)
    assert any(what.startswith("red is the constant channel") for what in good)
