"""The form of the settings and what a run says, without a window."""

import json

import pytest

from barlowtrack import config
from barlowtrack.errors import ConfigError
from barlowtrack.pipeline import STAGES
from barlowtrack.plugin.roles import Role, metadata_of
from barlowtrack.plugin.running import chosen
from barlowtrack.plugin.running.form import Form, to_texts
from barlowtrack.plugin.running.heard import Heard, duration, event_of, forecast
from barlowtrack.plugin.running.settings import Kind, about_sections, read_settings
from barlowtrack.plugin.running.told import in_panel_words
from tests.conftest import FAST

SETTINGS = {setting.name: setting for setting in read_settings()}


def test_every_setting_is_in_the_form_and_says_what_it_does():
    known = {f"{section}.{key}" for section, model in config.sections() for key in model.model_fields}
    assert set(SETTINGS) == known | {"seed"}
    assert all(setting.help and setting.title for setting in SETTINGS.values())
    assert set(about_sections()) == {setting.section for setting in SETTINGS.values()}


KINDS = {
    "track.position": (Kind.SWITCH, False, ""),
    "train.mode": (Kind.CHOICE, False, ""),
    "train.alpha": (Kind.NUMBER, False, "0 to 1"),
    "track.max_error": (Kind.NUMBER, True, "0 to 1"),
    "segment.overlap": (Kind.NUMBER, True, "more than 0, up to 0.9"),
    "segment.probability": (Kind.NUMBER, True, "0.01 to less than 1"),
    "measure.shell_um": (Kind.NUMBER, False, "0.001 to 20"),
    "compute.memory_gb": (Kind.NUMBER, False, "more than 0"),
    "train.epochs": (Kind.NUMBER, True, "0 or more"),
    "seed": (Kind.NUMBER, False, "0 to 4294967295"),
    "segment.region_um": (Kind.NUMBERS, True, "-1000000 to 1000000"),
    "crop.grid": (Kind.NUMBERS, False, "1 to 4096"),
    "train.projector_dims": (Kind.LISTED, False, "1 to 4096"),
    "recording.channel_names": (Kind.LISTED, True, ""),
    "recording.reference_channel": (Kind.TEXT, True, ""),
    "segment.model": (Kind.TEXT, False, ""),
}


@pytest.mark.parametrize(("name", "told"), KINDS.items(), ids=KINDS.keys())
def test_kind_and_bounds_are_read_from_the_class(name, told):
    setting = SETTINGS[name]
    assert (setting.kind, setting.optional, setting.range) == told


def test_places_choices_and_titles():
    assert (SETTINGS["segment.region_um"].count, SETTINGS["segment.radius_um"].count) == (6, 2)
    assert SETTINGS["train.mode"].choices == ("zero-shot", "fine-tune", "scratch")
    assert (SETTINGS["segment.model"].path, SETTINGS["train.start"].path) == ("folder", "file")
    assert SETTINGS["segment.radius_um"].title == "radius (um)"
    assert SETTINGS["recording.rate_hz"].title == "rate (Hz)"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_default_put_in_as_texts_is_the_default(name):
    form = Form()
    assert form.put(name, to_texts(SETTINGS[name], SETTINGS[name].default)) == ""
    assert not form.is_changed(name)
    assert form.config() == config.Config()


MEANT = {
    "switch": ("track.position", ["false"], False),
    "number": ("train.learning_rate", ["1e-3"], 1e-3),
    "numbers": ("segment.radius_um", ["1", " 2.5 "], (1.0, 2.5)),
    "listed": ("train.projector_dims", ["32, 16"], (32, 16)),
    "names": ("recording.channel_names", ["red, 2"], ("red", "2")),
    "empty": ("track.max_error", [" "], None),
    "empty box": ("segment.region_um", [""] * 6, None),
    "index": ("recording.signal_channel", ["1"], 1),
    "name": ("recording.signal_channel", ["green"], "green"),
    "choice": ("train.mode", ["scratch"], "scratch"),
}


@pytest.mark.parametrize(("name", "texts", "value"), MEANT.values(), ids=MEANT.keys())
def test_texts_mean_what_a_person_means(name, texts, value):
    form = Form()
    assert form.put(name, texts) == ""
    section, _, key = name.partition(".")
    assert getattr(getattr(form.config(), section), key) == value
    assert form.is_changed(name) == (value != SETTINGS[name].default)


WRONG = {
    "bound": ("train.alpha", ["2"], "input should be less than or equal to 1, got 2"),
    "no number": ("train.alpha", ["much"], "unable to parse string as a number, got 'much'"),
    "nothing": ("train.alpha", [""], "got ''"),
    "fraction": ("train.rounds", ["1.5"], "valid integer"),
    "order": ("segment.radius_um", ["3", "2"], "expected the smaller radius first, got [3, 2]"),
    "one of two": ("segment.radius_um", ["1", ""], "number 2: "),
    "part of a box": ("segment.region_um", ["0", "0", "0", "1", "1", ""], "number 6: "),
    "pattern": ("recording.axes", ["abc"], "'^[TCZYX]{2,5}$'"),
    "infinite": ("recording.rate_hz", ["inf"], "finite number"),
}


@pytest.mark.parametrize(("name", "texts", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_in_the_words_of_the_settings(name, texts, said):
    form = Form()
    problem = form.put(name, texts)
    assert said in problem
    assert "settings:" not in problem  # where it is stands beside it
    assert form.problem(name) == problem
    assert form.is_changed(name)
    assert form.texts(name) == tuple(texts)  # what somebody typed is not taken away
    with pytest.raises(ConfigError, match=name):
        form.config()
    form.reset(name)
    assert (form.problems, form.changed, form.config()) == ([], [], config.Config())


def test_the_form_and_the_command_line_understand_texts_alike():
    form = Form()
    for override in FAST:
        name, _, value = override.partition("=")
        form.put(name, to_texts(SETTINGS[name], config.parse_value(value)))
    assert form.config() == config.load(None, FAST)
    assert sorted(form.changed) == sorted(override.partition("=")[0] for override in FAST)


def test_settings_go_to_a_file_and_come_back(tmp_path):
    form, again = Form(), Form()
    for name, texts in (("segment.region_um", "012345"), ("train.mode", ["scratch"]), ("recording.reference_channel", ["1"])):
        form.put(name, list(texts))
    (tmp_path / "mine.toml").write_text(form.to_toml())
    again.put("train.alpha", ["7"])
    again.read(tmp_path / "mine.toml")
    assert again.config() == form.config()
    assert again.problems == []
    (tmp_path / "wrong.toml").write_text("[train]\nalpha = 7\n")
    with pytest.raises(ConfigError, match="less than or equal to 1"):
        again.read(tmp_path / "wrong.toml")
    assert again.config() == form.config()


def test_settings_are_found_by_name_title_and_help():
    form = Form()
    assert {"segment.radius_um"} <= {setting.name for setting in form.found("nucleus RADIUS")}
    assert [setting.name for setting in form.found("train.epochs")] == ["train.epochs"]
    assert [setting.name for setting in form.found("cosine")] == ["train.schedule"]
    assert list(form.found("xylophone")) == []
    assert len(list(form.found(" "))) == len(SETTINGS)


def hear(*events, at=0.0):
    heard = Heard()
    for i, event in enumerate(events):
        heard.hear(event, at + i)
    return heard


def planned(**states):
    return {"event": "plan", "stages": [{"stage": name, "state": state, "reasons": ["why"]} for name, state in states.items()]}


def test_time_left_is_told_of_what_was_done_here_not_before():
    start = {"event": "started", "stage": "segment", "reasons": []}
    heard = hear(start, *({"event": "progress", "stage": "segment", "done": done, "total": 100} for done in (60, 62, 64)))
    seen = heard.stages["segment"]
    assert seen.left_s(3.0) == pytest.approx(18.0)  # goes on at 60; 2 a second
    assert seen.in_words(3.0) == "64 of 100, 18 s left"
    assert hear(start).stages["segment"].in_words(2.0) == "working, 2.0 s so far"
    heard.hear({"event": "finished", "stage": "segment", "cached": False, "seconds": 90}, 9.0)
    assert (seen.state, seen.in_words(9.0)) == ("done", "done in 90 s")


def test_ends_are_what_was_said_or_what_became_of_the_process():
    working = {"event": "started", "stage": "train", "reasons": []}
    for last, wanted, ended in (
        ({"event": "done", "run": "a/b", "text": "41 neurons", "exit": 0}, False, "done"),
        ({"event": "error", "text": "disk: full", "exit": 2}, False, "error"),
        ({"event": "stopped", "text": "", "exit": 130}, True, "stopped"),
        ({"event": "something new"}, True, "stopped"),
        ({"event": "something new"}, False, "error"),
    ):
        heard = hear(working, last)
        heard.end(wanted=wanted)
        assert heard.ended == ended
        assert heard.stages["train"].state == "stopped"
    assert str(hear({"event": "done", "run": "a/b", "text": None, "exit": 0}).run) == "a/b"
    assert "the log may say why" in heard.text


def test_a_plan_is_told_in_a_sentence():
    assert forecast(hear(planned(**{stage.name: "cached" for stage in STAGES})).stages).startswith("Nothing to do")
    assert f"all {len(STAGES)} stages" in forecast(hear(planned(**{stage.name: "missing" for stage in STAGES})).stages)
    begun = hear(planned(segment="cached", crop="missing", train="missing"))
    begun.stages["crop"].reasons = ("half done, goes on after part 3",)
    assert forecast({name: begun.stages[name] for name in ("segment", "crop", "train")}) == "Start will go on with crop, then run train."
    some = {stage.name: "stale" if stage.name in ("trace", "report") else "cached" for stage in STAGES}
    assert forecast(hear(planned(**some)).stages).startswith("Start will run trace, report; prepare, segment, crop,")


def test_a_line_that_is_no_event_is_none():
    assert event_of(json.dumps({"event": "plan", "stages": []})) == {"event": "plan", "stages": []}
    for line in ("hello", "[1]", "{}", '{"event": 3}', '{"event": "pl'):
        assert event_of(line) is None


def test_durations_are_said_as_people_do():
    assert [duration(seconds) for seconds in (0.04, 9.96, 99, 100, 3599, 4800)] == [
        "0.0 s",
        "10 s",
        "99 s",
        "2 min",
        "1 h 0 min",
        "1 h 20 min",
    ]


def test_recordings_of_layers_are_offered_once_the_newest_last(tmp_path):
    from types import SimpleNamespace

    layers = [SimpleNamespace(metadata=metadata_of(Role.IMAGE, None, tmp_path / name)) for name in "aba"]
    layers += [SimpleNamespace(metadata={}), SimpleNamespace(metadata=metadata_of(Role.MARKS, tmp_path / "run"))]
    assert chosen.recordings_of(layers) == [tmp_path / "b", tmp_path / "a"]


def test_a_run_folder_may_be_chosen_for_its_recording(tiny_run, tiny_worm):
    folder = str(tiny_run.path)
    for target, out in ((folder, ""), (folder, folder), (str(tiny_worm / "recording"), folder)):
        job = chosen.job_of(target, out, None)
        assert (job.folder, job.location.resolve()) == (tiny_run.path, (tiny_worm / "recording").resolve())
        assert job.config.train.epochs == 2  # its own settings
    assert chosen.default_folder(str(tiny_worm / "recording")) == str(tiny_worm / "recording.barlowtrack")
    assert {item.state for item in chosen.planned(folder, "", job.config)} == {"cached"}
    assert {finding.level for finding in chosen.looked_at(folder, "", job.config)} <= {"ok", "warn"}


def test_advice_for_the_command_line_is_told_in_words_of_the_panel():
    form = Form()
    told = in_panel_words("no voxel size; give it as --voxel-size Z Y X, or as [recording] voxel_size_um, in um", form.settings)
    assert told == ("no voxel size; give it as 'voxel size (um)' (Settings, recording), in um", "recording.voxel_size_um")
    told = in_panel_words("give --rate HZ, or [recording] rate_hz", form.settings)
    assert told == ("give 'rate (Hz)' (Settings, recording)", "recording.rate_hz")
    assert in_panel_words("make room, or give --out", form.settings) == ("make room, or choose another folder in 'Results in'", "")
    assert in_panel_words("shape [12] of [recording] nothing", form.settings) == ("shape [12] of [recording] nothing", "")
