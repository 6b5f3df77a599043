"""The part of the page about the encoder says where it comes from, whatever the mode."""

import numpy as np
import pytest

from barlowtrack.config import Config, TrainConfig, to_toml
from barlowtrack.nn.objectives.table import OBJECTIVES as TABLE
from barlowtrack.stages.report.charts import training_chart
from barlowtrack.stages.report.drawing import house_style
from barlowtrack.stages.report.training import OBJECTIVES, about_the_training, training_part
from tests.unit.stages.test_report import HISTORY, SCRATCH, Tags, case, page_of

START = {name: column[:1] for name, column in HISTORY.items()}
NAN = float("nan")


def with_(history: dict, **columns) -> dict:
    return history | {name: np.asarray(values, float) for name, values in columns.items()}


def part(history: dict, **settings) -> Tags:
    with house_style():
        return Tags(training_part(history, TrainConfig(**settings)))


def advised(history: dict, **settings) -> str:
    return "\n".join(about_the_training(history, TrainConfig(**settings)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "The encoder that comes with barlowtrack was taken as it is"),
        ({"mode": "fine-tune", "epochs": 0}, "The encoder that comes with barlowtrack was taken as it is"),
        ({"start": "/lab/monday/worm.barlowtrack/encoder.safetensors"}, "The encoder of worm.barlowtrack/encoder.safetensors was taken"),
        ({"mode": "scratch", "epochs": 0}, "that of random weights"),
    ],
)
def test_an_encoder_that_was_not_trained_has_no_curves_but_says_where_it_comes_from(settings: dict, said: str):
    for history in (START, {}):
        found = part(history, **settings)
        assert said in found.text
        assert "/lab" not in found.text
        assert not [tag for tag, _ in found.tags if tag == "img"]
        assert ("make round trips" in found.text) == bool(history)
    assert "30\u00a0% of the nuclei make round trips" in part(START, **settings).text
    assert "fewer than three volumes" in part(with_(START, round_trips=[NAN]), **settings).text


@pytest.mark.parametrize(
    ("mode", "begins"), [("scratch", "It began with random weights."), ("fine-tune", "It began with the encoder that comes")]
)
def test_a_training_says_its_objective_its_start_and_the_epoch_used(mode: str, begins: str):
    found = part(HISTORY, mode=mode, objective="simclr")
    assert "SimCLR on nuclei of single volumes" in found.text
    assert "Barlow" not in found.text
    assert begins in found.text
    assert "The encoder of epoch 5 is used: 80\u00a0% of the round trips close, and 30\u00a0% at the start." in found.text
    assert len([tag for tag, _ in found.tags if tag == "img"]) == 1
    assert "self-training" not in found.text
    lost = part(with_(HISTORY, round_trips=[0.9, 0.8, 0.7, 0.8, 0.6, 0.5]), mode=mode)
    assert "as the start (90\u00a0%), so the start is used" in lost.text
    unknown = part(with_(HISTORY, round_trips=[NAN] * 6), mode=mode)
    assert "The encoder of the last epoch, 5, is used" in unknown.text


def test_every_objective_has_its_words():
    assert set(OBJECTIVES) == set(TABLE)


def test_self_training_is_said_and_that_it_stopped():
    asked = {"mode": "fine-tune", "rounds": 3}
    assert "3 rounds of self-training" in part(HISTORY, epochs=5, **asked).text
    assert "also of different volumes where the tracker was sure" in part(HISTORY, epochs=5, **asked).text
    assert "stopped" not in part(HISTORY, epochs=5, **asked).text
    assert "It stopped after epoch 5 of 9" in part(HISTORY, epochs=9, **asked).text
    assert "2 rounds of self-training" in part(HISTORY, epochs=9, **asked).text  # those that had begun
    assert "5 rounds of self-training" in part(HISTORY, mode="fine-tune", rounds=20, epochs=5).text


def test_the_chart_tells_what_it_shows():
    alt = training_chart(HISTORY, 3).alt
    assert "over 5 epochs: round trips from 0.30 to 0.80, held-out agreement from 0.40 to 0.90, effective rank 12.0; epoch 3 is used" in alt
    assert "round trips" not in training_chart(with_(HISTORY, round_trips=[NAN] * 6), 5).alt
    assert training_chart(HISTORY, 3).source != training_chart(HISTORY, 5).source


def test_fine_tuning_is_advised_where_looks_say_little_and_not_elsewhere():
    assert "--set train.mode=fine-tune" in advised(START)
    assert advised(START, mode="scratch") == ""
    for trips in (0.5, 0.9, NAN):
        assert advised(with_(START, round_trips=[trips])) == ""
    assert advised({}) == ""


def test_a_training_that_gained_nothing_is_advised_about_by_what_it_is_judged_by():
    falling, rising, unknown = [0.6, 0.5, 0.5], [0.4, 0.5, 0.6], [NAN] * 3
    three = {name: column[:3] for name, column in HISTORY.items()}
    worse = with_(three, round_trips=falling, held_out_agreement=rising)
    assert "did not beat its random start: round trips on held-out volumes were 0.60 before it" in advised(worse, mode="scratch")
    assert "did not beat the encoder it started from" in advised(worse, mode="fine-tune")
    assert "the start is used as it was" in advised(worse, mode="fine-tune")
    assert advised(with_(three, round_trips=rising, held_out_agreement=falling), mode="scratch") == ""
    unseen = with_(three, round_trips=unknown, held_out_agreement=falling)
    assert "agreement on held-out volumes was 0.60 before it and 0.50 after it" in advised(unseen, mode="scratch")
    assert "or take the start as it is" in advised(unseen, mode="fine-tune")
    assert advised(with_(three, round_trips=[1.0, 0.9, 0.9]), mode="fine-tune") == ""  # nothing was to be gained


def test_the_page_reads_the_mode_from_the_settings_and_shows_the_start_as_text():
    evil = "<b>/</b><script>.safetensors"
    settings = to_toml(Config(train=TrainConfig(start=evil)))
    page = page_of(case(n_volumes=2) | {"history": START}, settings=settings)
    tags = Tags(page)
    assert f"The encoder of {'/'.join(evil.split('/')[-2:])} was taken as it is" in tags.text
    assert not {"b", "script"} & {tag for tag, _ in tags.tags}
    scratch = page_of(case(n_volumes=2), settings=to_toml(Config(train=SCRATCH)))
    assert "It began with random weights." in Tags(scratch).text
