"""Settings: strict at every level, and the same whichever way they are written down."""

import contextlib
import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barlowtrack import config
from barlowtrack.errors import ConfigError

WRONG = {
    "unknown": ("track.min_probabilty=0.5", "--set: [track] min_probabilty is not a setting; did you mean min_probability?"),
    "unknown section": ("tarck.position=false", "--set: tarck is not a setting; did you mean track?"),
    "out of bounds": ("track.min_probability=7", "less than or equal to 1, got 7"),
    "wrong type": ("segment.radius_um=fat", "[segment] radius_um"),
    "negative in a list": ("recording.voxel_size_um=[1, -1, 1]", "greater than or equal to 0.001, got -1"),
    "nanometres": ("recording.voxel_size_um=[1500, 350, 350]", "[recording] voxel_size_um, number 1: input should be less"),
    "nanometres, hint": ("recording.voxel_size_um=[1500, 350, 350]", "sizes are in um, in the order z y x"),
    "not a number": ("train.learning_rate=nan", "finite"),
    "not a choice": ("train.objective=barlov", "[train] objective: input should be 'barlow-object', 'barlow', "),
    "section as a value": ("track=3", "track is a section"),
    "no value": ("track.position", "expected section.setting=value"),
    "too few": ("recording.voxel_size_um=[1, 2]", "recording"),
}


@pytest.mark.parametrize(("override", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_setting_is_refused_in_one_line_that_names_it(override, said):
    with pytest.raises(ConfigError) as caught:
        config.load(overrides=[override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "value"), [("1e-6", 1e-6), ("1E-3", 1e-3), ("0.5", 0.5)])
def test_numbers_in_any_notation_are_numbers(text, value):
    assert config.load(overrides=[f"train.learning_rate={text}"]).train.learning_rate == value


def test_a_file_goes_over_defaults_and_overrides_over_the_file(tmp_path):
    path = tmp_path / "worm.toml"
    path.write_text("seed = 3\n[train]\nepochs = 7\nalpha = 0.1\n")
    loaded = config.load(path, ["train.alpha=0.9"])
    assert (loaded.seed, loaded.train.epochs, loaded.train.alpha) == (3, 7, 0.9)
    assert loaded.crop == config.Config().crop


def test_a_file_of_an_older_version_keeps_what_is_in_another_section_now(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("[trace]\nshell_um = 3.5\nbackground_percentile = 7\nr0_percentile = 50\n[measure]\nbackground_percentile = 9\n")
    read = config.load(path)
    assert (read.measure.shell_um, read.measure.background_percentile, read.trace.r0_percentile) == (3.5, 9, 50)
    with pytest.raises(ConfigError, match="shell_um is not a setting"):
        config.load(None, ["trace.shell_um=3"])


def test_an_error_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "worm.toml"
    path.write_text("[track]\npositoin = true\n")
    with pytest.raises(ConfigError, match=r"worm\.toml: \[track\] positoin is not a setting; did you mean position\?"):
        config.load(path)


@pytest.mark.parametrize("content", [b"[track\n", b"\xff\xfe"])
def test_what_is_no_toml_is_said(tmp_path, content):
    path = tmp_path / "worm.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"worm\.toml"):
        config.load(path)
    with pytest.raises(ConfigError, match="nowhere"):
        config.load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("commented", [False, True])
def test_settings_survive_being_written_and_read(commented):
    changed = config.load(
        overrides=['recording.channel_names=["a \\"b\\"", "ü"]', "train.epochs=0", "recording.voxel_size_um=[1.5, 0.3, 0.3]"]
    )
    for settings in (config.Config(), changed):
        assert config.validate(tomllib.loads(config.to_toml(settings, commented=commented))) == settings


@given(st.text())
def test_any_override_gives_settings_or_a_config_error(text):
    with contextlib.suppress(ConfigError):
        config.load(overrides=[text])


@pytest.mark.parametrize(
    ("overrides", "n_epochs"),
    [
        ([], 0),
        (["train.epochs=7"], 0),
        (["train.mode=fine-tune"], 5),
        (["train.mode=scratch"], 20),
        (["train.mode=fine-tune", "train.epochs=7"], 7),
        (["train.mode=scratch", "train.epochs=0"], 0),
    ],
)
def test_epochs_depend_on_the_mode_and_zero_shot_makes_none(overrides, n_epochs):
    assert config.load(overrides=overrides).train.n_epochs == n_epochs


def test_every_setting_is_explained():
    for name, section in config.sections():
        for key, info in section.model_fields.items():
            assert info.description, f"{name}.{key}"
            assert info.description.endswith("."), f"{name}.{key}"


def test_schema_is_json_and_refuses_extra_keys():
    schema = json.loads(config.to_schema())
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {"seed", *(name for name, _ in config.sections())}


def test_differences_are_said_as_a_person_would():
    old, new = config.Config().model_dump(), config.load(overrides=["train.alpha=0.5", "seed=2"]).model_dump()
    assert config.differences(old, new) == ["seed 0 -> 2", "train.alpha 0.67 -> 0.5"]
