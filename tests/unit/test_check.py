"""The check before a run: every fault is found and named, and a good recording passes."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barlowtrack import volume_look
from barlowtrack.check import CHANNEL_RUNS, _duration, _gb, check, describe
from barlowtrack.config import Config, validate
from barlowtrack.data import Recording
from barlowtrack.errors import InputError
from barlowtrack.findings import Finding
from barlowtrack.first_look import N_PAIRS, look_at_nuclei
from barlowtrack.io.channels import RUN
from barlowtrack.needs import stage_needs
from barlowtrack.nucleus_size import judge_size
from barlowtrack.synthetic import preset, simulate

SHAPE = (40, 2, 5, 32, 40)
_PLACES = np.array([(z, y, x) for z in (2,) for y in (5, 16, 27) for x in (5, 15, 25, 35)])
_VOXELS = np.stack(np.mgrid[:5, :32, :40], axis=-1)
NUCLEI = sum(np.exp(-(((_VOXELS - place) * (1.5, 0.4, 0.4)) ** 2).sum(-1)) for place in _PLACES)
"""(Z, Y, X) of 12 nuclei of 0.8 um radius."""


@dataclass
class Noise:
    """Volumes of noise with nuclei in it; some are spoilt."""

    spoil: dict[int, Any] = field(default_factory=dict)
    dtype: str = "uint16"
    light: int = 100
    asked: set[int] = field(default_factory=set)

    def read(self, t: int) -> np.ndarray:
        self.asked.add(t)
        volume = (np.random.default_rng(t).integers(90, 140, SHAPE[1:]) + self.light * NUCLEI).astype(self.dtype)
        return self.spoil.get(t, lambda v: v)(volume)


def recording(source: Noise | None = None, **changes: Any) -> Recording:
    source = source or Noise()
    made = Recording("worm", source, SHAPE, np.dtype(source.dtype), (1.5, 0.4, 0.4), 5.0, ("red", "green"), 0, 1, "f")
    return replace(made, **changes)


def levels(made: Recording, said: str, config: Config | None = None, **kwargs: Any) -> set[str]:
    found = {f.level for f in check(made, config=config or Config(), **kwargs) if said in f.what}
    assert found, f"nothing said about {said}"
    return found


def test_a_good_recording_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_look, "LOOK_BYTES", 0)
    source = Noise()
    findings = check(recording(source), config=Config(), free_bytes=10**12)
    assert {f.level for f in findings} == {"ok"}
    assert len(findings) >= 3
    assert len(source.asked) <= 2 * volume_look.N_PAIRS + CHANNEL_RUNS * RUN + 2 * N_PAIRS
    assert {0, SHAPE[0] - 1} <= source.asked


def _cut(volume: np.ndarray) -> np.ndarray:
    raise InputError("v0000.tif: cut off")


def _with(value: float, *where: Any) -> Any:
    def spoil(volume: np.ndarray) -> np.ndarray:
        volume[where] = value
        return volume

    return spoil


@pytest.mark.parametrize(
    ("spoil", "dtype", "said", "level"),
    [
        (_cut, "uint16", "v0000.tif: cut off", "stop"),
        (_with(np.nan, 1, 2, 3, 4), "float32", "volume 0, green: 1 voxels are no number", "stop"),
        (_with(np.inf, 0, 2), "float32", "volume 0, red: 1280 voxels are no number", "stop"),
        (_with(7, 0, slice(1, 3)), "uint16", "volume 0, red: plane 1, 2 are empty", "warn"),
        (_with(0, 1), "uint16", "volume 0, green: every plane is empty", "warn"),
        (_with(4095, 0, 0, slice(9)), "uint16", "volume 0, red: over 0.1% of the voxels are saturated at 4095", "warn"),
        (_with(255, 0, 0, slice(9)), "uint8", "saturated at 255", "warn"),
    ],
)
def test_a_spoilt_volume_is_found(spoil: Any, dtype: str, said: str, level: str) -> None:
    assert levels(recording(Noise({0: spoil}, dtype)), said) == {level}


def test_a_fault_of_many_volumes_is_said_once() -> None:
    findings = check(recording(Noise({t: _with(0, 0, 3) for t in range(SHAPE[0])})), config=Config())
    said = [f.what for f in findings if "plane" in f.what]
    assert said == ["40 of 40 sampled volumes (0, 1, ...), red: plane 3 is empty or of one value"]


def test_one_bright_voxel_is_not_saturation() -> None:
    findings = check(recording(Noise({0: _with(4095, 0, 0, 0, 0)})), config=Config())
    assert not any("saturated at" in f.what for f in findings)


def test_repeated_volumes() -> None:
    first = Noise().read(0)
    assert levels(recording(Noise({1: lambda v: first})), "volumes 0 and 1 are the same") == {"warn"}


def test_volumes_that_come_back_are_found_wherever_they_are() -> None:
    made = Noise({t: (lambda v, t=t: Noise().read(t - 10)) for t in range(20, 26)})
    assert levels(recording(made), "6 of 40 volumes that were looked at repeat another, voxel by voxel (10 and 20, 11 and 21, ") == {"warn"}


@pytest.mark.parametrize("channels", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize(
    ("off", "said"), [(range(13, 23), "volumes 13 to 22 show"), (range(30, 40), "volumes 30 to 39 show"), ((7,), "volume 7 shows")]
)
def test_volumes_without_light_are_found_though_the_camera_makes_noise(channels: tuple[int, ...], off: Any, said: str) -> None:
    def dark(volume: np.ndarray) -> np.ndarray:
        volume[list(channels)] = np.random.default_rng(int(volume[0, 0, 0, 0])).integers(90, 140, volume[list(channels)].shape)
        return volume

    found = [f.what for f in check(recording(Noise(dict.fromkeys(off, dark))), config=Config()) if "little but noise" in f.what]
    assert [what.split(" little")[0] for what in found] == [f"{('red', 'green')[channel]}: {said}" for channel in channels]


@pytest.mark.parametrize("name", ["still", "hard"])
def test_time_and_depth_exchanged(name: str) -> None:
    made = simulate(preset(name, n_volumes=18, volume_shape=(12, 64, 96), n_neurons=20), seed=1).recording
    volumes = np.stack([made.read(t) for t in range(18)])  # (T, C, Z, Y, X)

    class Exchanged:
        def read(self, t: int) -> np.ndarray:
            return volumes[:, :, t].swapaxes(0, 1)

    swapped = replace(made, source=Exchanged(), shape=(12, 2, 18, 64, 96))
    assert ["are time and depth exchanged?" in f.what for f in volume_look.look_at_volumes(swapped)] == [True]
    for right in (made, replace(made, shape=(12, *made.shape[1:]))):
        assert {f.level for f in volume_look.look_at_volumes(right)} == {"ok"}


def test_one_channel_stored_twice() -> None:
    def twice(volume: np.ndarray) -> np.ndarray:
        volume[1] = volume[0]
        return volume

    findings = check(recording(Noise(dict.fromkeys(range(SHAPE[0]), twice))), config=Config())
    assert [f.level for f in findings if "red and green are the same picture" in f.what] == ["warn"]
    assert not any("is the constant channel" in f.what or "channels swapped" in f.what for f in findings)


@pytest.mark.parametrize(
    ("size", "said", "level"),
    [
        ((1.5, 0.4, 0.4), "resolve", "ok"),
        ((1500, 400, 400), "less than two voxels", "stop"),
        ((3, 2, 2), "less than two voxels", "warn"),
        ((0.15, 0.04, 0.04), "over 60 voxels", "warn"),
        ((0.1, 0.1, 0.1), "a nucleus fills it", "stop"),
        ((0.4, 0.4, 1.5), "not square", "warn"),
        ((0.3, 0.4, 0.4), "finer along z", "warn"),
        ((12, 0.4, 0.4), "um long along z and 1.5 um wide", "warn"),
        ((0.3, 0.8, 0.8), "um long along z and 3", "warn"),
        ((1.5, 1.2, 1.2), "nuclei look 4.6 um wide in the plane", "warn"),
        ((0.9, 0.4, 0.4), "the stack is 4.5 um thick", "warn"),
    ],
)
def test_voxel_sizes(size: tuple[float, float, float], said: str, level: str) -> None:
    assert levels(recording(voxel_size_um=size), said) == {level}


@pytest.mark.parametrize(("rate_hz", "odd"), [(5000.0, True), (0.001, True), (0.1, False), (3.0, False), (50.0, False)])
def test_rates_that_no_microscope_has(rate_hz: float, odd: bool) -> None:
    said = [f.level for f in check(recording(rate_hz=rate_hz), config=Config()) if "are usual" in f.what]
    assert said == ["warn"] * odd


@pytest.mark.parametrize("name", ["easy", "hard"])
def test_a_voxel_size_that_is_wrong_shows_in_the_nuclei(name: str) -> None:
    made = simulate(preset(name, n_volumes=2, volume_shape=(14, 96, 128), n_neurons=25), seed=1).recording
    z, y, x = made.voxel_size_um
    for right in (1.0, 0.8, 1.3):
        assert not any("nuclei look" in f.what for f in _of_size(made, (z * right, y * right, x * right)))
    for wrong in ((10 * z, y, x), (z / 10, y, x), (3 * z, 3 * y, 3 * x), (z / 3, y / 3, x / 3), (z, 2 * y, 2 * x)):
        assert [f.level for f in _of_size(made, wrong) if "nuclei look" in f.what] == ["warn"], wrong


def _of_size(made: Recording, size_um: tuple[float, float, float]) -> list[Finding]:
    sight = look_at_nuclei(replace(made, voxel_size_um=size_um), Config().segment)
    assert sight is not None
    return list(judge_size(sight.width_vox, size_um, Config().segment.radius_um, made.volume_shape[0]))


def test_what_metadata_did_not_say() -> None:
    assert levels(recording(rate_hz=None), "volumes a second: unknown") == {"warn"}
    assert levels(recording(assumptions=("reference channel: guessed",)), "reference channel: guessed") == {"warn"}
    unknown = recording(rate_hz=None, assumptions=("volumes a second: unknown, so traces have no seconds",))
    assert sum("volumes a second" in f.what for f in check(unknown, config=Config())) == 1
    assert levels(recording(shape=(1, *SHAPE[1:])), "one volume only") == {"warn"}


def test_sizes_are_written_as_a_person_writes_them() -> None:
    assert [_gb(size) for size in (0.0066, 0.37, 2.5, 123.4, 4200.0)] == ["0.0066", "0.37", "2.5", "123", "4200"]


def test_room_on_the_disk() -> None:
    for free, level in ((10**3, "stop"), (10**12, "ok")):
        assert levels(recording(), "the run needs about", free_bytes=free) == {level}
    more = validate({"crop": {"training_volumes": 40, "grid": [64, 64, 64]}})
    need = [f.what for config in (Config(), more) for f in check(recording(), config=config) if "needs about" in f.what]
    assert need[0] != need[1]


def test_the_worst_comes_first() -> None:
    order = [f.level for f in check(recording(Noise({0: _cut}), rate_hz=None), config=Config())]
    assert order == sorted(order, key=["stop", "warn", "ok"].index)
    assert set(order) == {"stop", "warn", "ok"}


def test_description() -> None:
    said = describe(recording(assumptions=("the moon is a cheese",)))
    for part in ("40 of 5 x 32 x 40 voxels", "red (reference), green (signal)", "1.5 x 0.4 x 0.4 um", "5 volumes a second, 8 s", "moon"):
        assert part in said
    assert "unknown" in describe(recording(rate_hz=None))


@pytest.mark.real_data
def test_real_worm() -> None:
    from barlowtrack.config import RecordingConfig
    from barlowtrack.io import open_recording

    path = Path(__file__).parents[2] / "../shared/data/targettrack_worm/recording"
    if not path.exists():
        pytest.skip("../shared/data is not here: the real recordings are not part of the project")
    findings = check(open_recording(path, RecordingConfig(voxel_size_um=(1.5, 0.3, 0.3))), config=Config())
    assert "stop" not in {f.level for f in findings}


def test_it_says_what_a_run_will_take():
    def said(n):
        return next(f.what for f in check(recording(shape=(n, *SHAPE[1:])), config=Config()) if "of one core" in f.what)

    assert " min of one core" in said(40)
    assert said(40) != said(4000)
    assert "with 12 nuclei in a volume" in said(40)


def test_times_are_told_as_people_say_them():
    assert [_duration(seconds) for seconds in (5, 80 * 60, 5 * 3600, 50 * 3600)] == ["1 min", "80 min", "5.0 h", "2.1 days"]


def test_one_volume_is_foretold_whole_however_little_memory_there_may_be():
    shape = (10, 2, 100, 1000, 1000)

    def told(memory_gb, workers):
        return stage_needs(shape, Config(compute={"memory_gb": memory_gb, "workers": workers}))["segment"].mem_mb

    one = told(1000, 1)
    assert one > 13_000
    assert told(4, 8) == told(0.05, 8) == one
    assert told(20, 8) == pytest.approx(one - 13_000 + 20_000)
    assert told(1000, 8) > 100_000
