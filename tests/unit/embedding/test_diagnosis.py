"""Trouble is said early, in plain words, and once."""

import logging

import numpy as np
import pytest

from barlowtrack.embedding import Health, Watch, diagnose
from barlowtrack.nn.state import Epoch

SOUND = Health(n=200, dims=64, rank=20.0, dead=0, shared=0.02)
RISING = [0.1, 0.4, 0.5, 0.6]


def with_(**changes: float) -> Health:
    return Health(**vars(SOUND) | changes)


@pytest.mark.parametrize(
    ("now", "agreement", "kinds"),
    [
        (SOUND, RISING, []),
        (with_(rank=1.2), RISING, ["collapse"]),
        (with_(rank=1.2, dead=64, shared=float("nan")), RISING, ["collapse"]),
        (with_(dead=10), RISING, ["dead"]),
        (with_(dead=6), RISING, []),
        (with_(shared=0.3), RISING, ["shared"]),
        (with_(shared=0.11), RISING, []),
        (SOUND, [0.5, 0.4, 0.5], ["no gain"]),
        (SOUND, [0.5, 0.6, 0.4], []),
        (SOUND, [1.0, 1.0, 1.0], []),
        (with_(rank=1.2, shared=0.4), [0.5, 0.4, 0.3], ["collapse", "shared", "no gain"]),
    ],
)
def test_each_trouble_is_told_from_the_others(now: Health, agreement: list[float], kinds: list[str]):
    assert list(diagnose(agreement, now, SOUND, 6)) == kinds


def test_a_volume_component_that_was_there_from_the_start_did_not_grow():
    assert diagnose(RISING, with_(shared=0.3), with_(shared=0.25), 6) == {}


def test_patience_is_a_third_of_the_epochs_and_the_first_epoch_says_nothing():
    for epoch in range(10):
        said = diagnose([0.5] + [0.4] * epoch, with_(rank=0.5), SOUND, 20)
        assert ("no gain" in said) == (epoch >= 7)
        assert ("collapse" in said) == (epoch >= 2)
    assert "collapse" in diagnose([0.5, 0.4], with_(rank=0.5), SOUND, 1)  # there is no second one
    assert diagnose([0.5], with_(rank=0.5), SOUND, 0) == {}


def test_a_training_that_fell_below_its_start_is_told_at_the_end():
    assert list(diagnose([0.5, 0.6, 0.4], SOUND, SOUND, 2)) == ["no help"]
    assert "no help" not in diagnose([0.5, 0.6, 0.4], SOUND, SOUND, 3)


def test_the_start_is_called_the_start_whatever_it_was():
    for kind, sentence in diagnose([0.5, 0.4, 0.4], SOUND, SOUND, 2, "round trips").items():
        assert "round trips" in sentence, kind
        assert "0.500 at the start" in sentence, kind
        assert "random" not in sentence, kind


def history(agreement: list[float]) -> list[Epoch]:
    return [Epoch(k, 0.0, 0.0, 0.0, value, 0.0) for k, value in enumerate(agreement)]


def test_every_trouble_is_said_once(caplog: pytest.LogCaptureFixture):
    rng = np.random.default_rng(0)
    sound, flat = rng.normal(size=(3, 20, 8)).astype(np.float32), np.ones((3, 20, 8), np.float32)
    watch, agreement = Watch(20), [0.2]
    with caplog.at_level(logging.WARNING):
        watch.look(list(sound), history(agreement))
        for epoch in range(1, 12):
            agreement.append(0.3 if epoch < 5 else 0.1)
            watch.look(list(sound if epoch < 5 else flat), history(agreement))
            assert len(caplog.records) == (epoch >= 5)
    assert "epoch 5: the embedding has collapsed: it uses 0 of 8 directions" in caplog.text


def test_the_watch_remembers_how_it_started(caplog: pytest.LogCaptureFixture):
    rng = np.random.default_rng(0)
    common = 2 * rng.normal(size=(6, 1, 8))
    sound = rng.normal(size=(6, 20, 8))
    shared = sound + common
    for start, n_said in ((sound, 1), (shared, 0)):
        caplog.clear()
        watch = Watch(20)
        for epoch in range(4):
            watch.look(list(start if epoch == 0 else shared), history([0.1, 0.2, 0.3, 0.4][: epoch + 1]))
        assert len(caplog.records) == n_said


def test_what_should_rise_is_round_trips_where_they_are_known(caplog: pytest.LogCaptureFixture):
    sound = list(np.random.default_rng(0).normal(size=(3, 20, 8)).astype(np.float32))
    falling, rising = [0.9, 0.8, 0.7], [0.3, 0.4, 0.5]
    for trips, agreement, said in ((falling, rising, "round trips"), (rising, falling, ""), ([float("nan")] * 3, falling, "agreement")):
        caplog.clear()
        watch = Watch(2)
        for epoch in range(3):
            pairs = zip(agreement[: epoch + 1], trips, strict=False)
            watch.look(sound, [Epoch(k, 0.0, 0.0, 0.0, views, 0.0, closed) for k, (views, closed) in enumerate(pairs)])
        assert (said in caplog.text) if said else not caplog.records
