"""Training that begins with an encoder, and that is taught by its own sure decisions."""

import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch

from barlowtrack.config import TrainConfig
from barlowtrack.data import UNKNOWN, CropBatch, Crops
from barlowtrack.embedding.training import LEAST_ROTATION_DEG, ROTATION_DEG, Training
from barlowtrack.errors import InputError
from barlowtrack.nn.encoder import Encoder, EncoderSpec
from barlowtrack.stages.train import TrainState, train
from tests.cases import arrangement, detections_at
from tests.unit.stages.trainings import COMPUTE, Batches, changed, make_crops, run, with_batches

SPEC = EncoderSpec((4, 16, 16), (9.0, 8.0, 8.0), embedding_dim=12, channels=(8, 12))
TAKEN = changed(mode="zero-shot")
TUNED = changed(mode="fine-tune", epochs=2)
TAUGHT = changed(mode="fine-tune", epochs=4, rounds=2, held_out=0.2)


def some_encoder(seed: int = 3, spec: EncoderSpec = SPEC) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(spec).eval()


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def training(crops: Crops, config: TrainConfig = TUNED, start: Encoder | None = None) -> Training:
    return Training(crops, crops.source.detections, start or some_encoder(), config, COMPUTE, seed=5)


def test_zero_shot_is_the_start_and_one_row(film: Callable, caplog: pytest.LogCaptureFixture) -> None:
    start, steps = some_encoder(), []
    (state,) = run(make_crops(film, [6] * 4), TAKEN, start=start, progress=lambda *at: steps.append(at))
    assert [row.epoch for row in state.history] == [0]
    assert steps == [(0, 0)]
    assert state.encoder().to_bytes() == start.to_bytes()
    assert "not used in mode" in caplog.text  # four epochs were asked for

    caplog.clear()
    run(make_crops(film, [6] * 4), changed(mode="zero-shot", epochs=None), start=start)
    assert "not used in mode" not in caplog.text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mode": "scratch", "epochs": 1, "start": "/lab/encoder.safetensors"}, "start is not used"),
        ({"mode": "scratch", "epochs": 1, "rounds": 3}, "3 rounds of self-training are asked for in 1 epochs"),
    ],
)
def test_settings_that_contradict_each_other_are_said(film: Callable, caplog: pytest.LogCaptureFixture, settings: dict, said: str) -> None:
    crops = make_crops(film, [4] * 3)
    next(train(crops, crops.source.detections, None, config=changed(**settings), compute=COMPUTE, seed=0))
    assert said in caplog.text


@pytest.mark.parametrize(("n_volumes", "mode", "warns"), [(2, "fine-tune", True), (3, "fine-tune", False), (2, "zero-shot", False)])
def test_a_training_that_cannot_be_judged_is_said(film: Callable, caplog: pytest.LogCaptureFixture, n_volumes: int, mode: str, warns: bool):
    run(make_crops(film, [6] * n_volumes), changed(mode=mode, epochs=1), start=some_encoder())
    assert ("nobody can say whether training helped" in caplog.text) == warns


def test_zero_shot_does_not_depend_on_the_seed(film: Callable) -> None:
    crops = make_crops(film, [6] * 4)
    kept = {run(crops, TAKEN, seed=seed, start=some_encoder())[-1].encoder().to_bytes() for seed in (1, 2)}
    assert len(kept) == 1


def test_fine_tuning_begins_with_the_start_and_leaves_it_as_it_was(film: Callable) -> None:
    start = some_encoder()
    before = {name: value.clone() for name, value in start.state_dict().items()}
    first, *_, last = run(make_crops(film, [6] * 4), TUNED, start=start)
    assert same(first.part("learner.encoder"), before)
    assert same(first.encoder().state_dict(), before)
    assert all(not torch.equal(value, before[name]) for name, value in last.part("learner.encoder").items() if name.endswith("weight"))
    assert same(start.state_dict(), before)
    assert last.spec == SPEC
    assert SPEC.embedding_dim != TUNED.embedding_dim  # which is for scratch


@pytest.mark.parametrize("objective", ["moco", "byol", "dino"])
def test_a_teacher_knows_what_the_start_knows(film: Callable, objective: str) -> None:
    made = training(make_crops(film, [4] * 3), changed(TUNED, objective=objective))
    assert made.learner.teacher is not None
    assert same(made.learner.teacher.encoder.state_dict(), some_encoder().state_dict())


def test_from_scratch_a_start_is_not_used(film: Callable) -> None:
    crops = make_crops(film, [4] * 3)
    assert run(crops, start=some_encoder())[-1].to_bytes() == run(crops)[-1].to_bytes()


@pytest.mark.parametrize("mode", ["zero-shot", "fine-tune"])
def test_without_a_start_there_is_nothing_to_take(film: Callable, mode: str) -> None:
    with pytest.raises(InputError, match=f"encoder to start from in mode {mode}, got none"):
        run(make_crops(film, [4] * 3), changed(mode=mode))


OTHERS = {
    "another grid": EncoderSpec((4, 16, 18), (9.0, 8.0, 8.0), 12, (8, 12)),
    "another size": EncoderSpec((4, 16, 16), (9.0, 8.0, 9.0), 12, (8, 12)),
}


@pytest.mark.parametrize("spec", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("config", [TAKEN, TUNED], ids=["zero-shot", "fine-tune"])
def test_a_start_that_sees_something_else_is_refused(film: Callable, spec: EncoderSpec, config) -> None:
    with pytest.raises(InputError, match=r"got crops of 4 x 16 x 16 in 9 x 8 x 8; set \[crop\] grid = \[4, 16, 1") as caught:
        run(make_crops(film, [4] * 3), config, start=some_encoder(spec=spec))
    assert str(list(spec.window)) in str(caught.value)
    assert str(list(spec.size_um)) in str(caught.value)


def test_a_start_with_weights_that_are_no_numbers_is_an_error_of_ours(film: Callable) -> None:
    start = some_encoder()
    with torch.no_grad():
        start.head.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="expected finite numbers"):
        run(make_crops(film, [4] * 3), TAKEN, start=start)


@pytest.fixture(scope="module")
def many(film: Callable) -> Crops:
    """Enough volumes for self-training."""
    return make_crops(film, [9] * 14)


@pytest.fixture(scope="module")
def taught(many: Crops) -> list[TrainState]:
    """Two rounds, which begin after epochs 0 and 2."""
    states = run(many, TAUGHT, start=some_encoder())
    assert bool((states[1].weights["believed"] != UNKNOWN).any())
    return states


@pytest.mark.parametrize("stop", [1, 2])
def test_going_on_with_self_training_ends_with_the_same_bytes(many: Crops, taught: list[TrainState], stop: int) -> None:
    """At the beginning of a round, and within one, where what is believed has to come from the checkpoint."""
    assert [state.epoch for state in taught] == [0, 1, 2, 3, 4]
    again = TrainState.from_bytes(taught[stop].to_bytes())
    rest = run(many, TAUGHT, start=some_encoder(), checkpoint=again)
    assert [state.to_bytes() for state in rest] == [state.to_bytes() for state in taught[stop + 1 :]]


def test_where_the_start_lies_is_nothing_to_a_training_that_goes_on(film: Callable) -> None:
    crops = make_crops(film, [4] * 4)
    states = run(crops, changed(TUNED, start="here/encoder.safetensors"), start=some_encoder())
    rest = run(crops, changed(TUNED, start="there/encoder.safetensors"), start=some_encoder(), checkpoint=states[1])
    assert rest[-1].to_bytes() == states[-1].to_bytes()


@pytest.mark.parametrize("other", ["start", "detections"])
def test_a_checkpoint_of_another_start_or_other_detections_is_refused(film: Callable, other: str) -> None:
    crops = make_crops(film, [4] * 4)
    checkpoint = run(crops, TUNED, start=some_encoder())[0]
    if other == "detections":
        crops.source.detections.position_um[5] += 1
    with pytest.raises(InputError, match="other settings, seed or crops"):
        run(crops, TUNED, start=some_encoder(4 if other == "start" else 3), checkpoint=checkpoint)


@pytest.mark.parametrize("stop", [None, 2])
def test_a_training_that_ruins_the_encoder_leaves_the_start(film: Callable, stop: int | None) -> None:
    crops, ruinous = make_crops(film, [12] * 8), changed(TUNED, learning_rate=3.0, epochs=3, schedule="constant")
    start = run(make_crops(film, [12] * 8), changed(epochs=10, learning_rate=3e-3))[-1].encoder()  # one that is worth keeping
    states = run(crops, ruinous, start=start)
    if stop is not None:
        states = [*states[: stop + 1], *run(crops, ruinous, start=start, checkpoint=TrainState.from_bytes(states[stop].to_bytes()))]
    trips = [row.round_trips for row in states[-1].history]
    assert max(trips[1:]) < trips[0]
    assert [state.best for state in states] == [0, 0, 0, 0]
    assert same(states[-1].encoder().state_dict(), start.state_dict())
    assert not same(states[-1].part("learner.encoder"), start.state_dict())


def test_the_best_is_the_later_one_of_equals(film: Callable) -> None:
    states = run(make_crops(film, [6] * 8), changed(epochs=6, learning_rate=3e-3))
    for state in states:
        trips = [row.round_trips for row in state.history]
        assert state.best == max(k for k, value in enumerate(trips) if value == max(trips))
        assert same(state.encoder().state_dict(), states[state.best].part("learner.encoder"))
        assert state.encoder().epoch == state.best


def believing(film: Callable, who: list[list[int]]) -> tuple[Crops, Training]:
    """A training that believes of each volume's nuclei who they are."""
    crops = make_crops(film, [len(volume) for volume in who])
    made = training(crops, TAUGHT)
    made.believed = torch.cat([torch.tensor(volume) for volume in who])
    return crops, made


def test_the_partner_shows_those_who_are_surely_the_same_and_nobody_else(film: Callable) -> None:
    crops, made = believing(film, [[0, UNKNOWN, 2, 3, UNKNOWN], [3, 0, UNKNOWN, 7, UNKNOWN], [UNKNOWN] * 5])
    own, other = crops.read(0).values, crops.read(1).values
    batch, again = made.read(0, 1)
    assert batch is crops.read(0)
    for row, source in enumerate([other[1], own[1], own[2], other[0], own[4]]):
        assert np.array_equal(again[row], source), row
    assert not np.array_equal(own[0], other[1])

    assert np.array_equal(made.read(0, 2)[1], own)  # nobody is sure there
    assert np.array_equal(made.read(0, 0)[1], own)
    assert np.array_equal(crops.read(0).values, own)  # nothing was written into it


def test_without_rounds_no_partner_is_read(film: Callable) -> None:
    crops, made = believing(film, [[0, 1, 2]] * 3)
    made.config = TUNED
    assert np.array_equal(made.read(0, 1)[1], crops.read(0).values)


def test_sure_decisions_are_asked_of_the_training_volumes_alone(many: Crops, taught: list[TrainState]) -> None:
    t, believed = many.source.detections.t, taught[1].weights["believed"].numpy()
    held_out = np.isin(t, [many.read(int(index)).t for index in training(many, TAUGHT).watched])
    assert held_out.any()
    assert np.all(believed[held_out] == UNKNOWN)
    assert np.mean(believed[~held_out] != UNKNOWN) > 0.5
    # blobs keep their place, and their row: a neuron is the same number everywhere
    of_row = believed.reshape(14, 9)
    for column in of_row.T:
        assert len(set(column) - {UNKNOWN}) <= 1


def first_epoch(crops: Crops, config: TrainConfig = TAUGHT) -> TrainState:
    steps = train(crops, crops.source.detections, some_encoder(), config=config, compute=COMPUTE, seed=5)
    return [next(steps) for _ in range(2)][-1]


def test_held_out_volumes_are_not_shown_in_self_training(many: Crops, taught: list[TrainState]) -> None:
    held = set(training(many, TAUGHT).watched.tolist())
    spoiled = [CropBatch(b.t, b.row, b.values * (0 if i in held else 1)) for i, b in enumerate(many.source.batches)]
    other = first_epoch(with_batches(many, spoiled))
    assert other.history[0].round_trips != taught[0].history[0].round_trips
    assert same(taught[1].part("learner"), other.part("learner"))


def test_self_training_shows_other_pairs(many: Crops, taught: list[TrainState]) -> None:
    plain = first_epoch(many, changed(TAUGHT, rounds=0))
    assert not same(taught[1].part("learner"), plain.part("learner"))


def test_a_random_encoder_has_no_say_in_the_first_round(film: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def spy(detections, used, vectors, **_):
        asked.append(vectors)
        return np.full(len(detections), UNKNOWN)

    monkeypatch.setattr("barlowtrack.embedding.training.sure_identities", spy)
    crops = make_crops(film, [4] * 4)
    run(crops, changed(epochs=4, rounds=2))
    assert [vectors is None for vectors in asked] == [True, False]
    asked.clear()
    run(crops, changed(TUNED, rounds=1), start=some_encoder())
    assert [vectors is None for vectors in asked] == [False]


def test_too_few_volumes_for_self_training_are_said(film: Callable, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        states = run(make_crops(film, [5] * 6), changed(TUNED, rounds=1), start=some_encoder())
    assert "self-training adds nothing" in caplog.text
    assert [state.epoch for state in states] == [0, 1, 2]


def test_self_training_that_leads_astray_ends(film: Callable, caplog: pytest.LogCaptureFixture) -> None:
    steps: list[tuple[int, int]] = []
    crops = make_crops(film, [14] * 12, seed=2)
    config = changed(TAUGHT, learning_rate=1.0, schedule="constant", held_out=0.1)
    start = run(crops, changed(epochs=6, learning_rate=3e-3))[-1].encoder()
    with caplog.at_level(logging.INFO):
        states = run(crops, config, start=start, progress=lambda *at: steps.append(at))
    assert [state.epoch for state in states] == [0, 1, 2]  # after the first of two rounds
    assert "self-training stops after epoch 2" in caplog.text
    assert steps[-1] == (4, 4)
    assert same(states[-1].encoder().state_dict(), start.state_dict())
    # killed between the last epoch and the end: nothing is left to do
    assert run(crops, config, start=start, checkpoint=TrainState.from_bytes(states[-1].to_bytes())) == []


def views_turn(config: TrainConfig, degrees: float, n: int = 20) -> float:
    """How far views are turned of 12 volumes of n nuclei that turn as a whole by up to so much either way."""
    rng = np.random.default_rng(0)
    rest, angles = 4 * arrangement(n, rng), np.deg2rad(rng.uniform(-degrees, degrees, 12))
    turned = [rest @ np.array([[1, 0, 0], [0, np.cos(a), np.sin(a)], [0, -np.sin(a), np.cos(a)]]) for a in angles]
    detections = detections_at(np.repeat(np.arange(12), n), np.concatenate(turned), 12)
    values = np.zeros((n, 6, 24, 24), np.float32)
    crops = Crops(
        Batches([CropBatch(t, np.arange(t * n, (t + 1) * n), values) for t in range(12)], detections), (4, 16, 16), (9.0, 8.0, 8.0)
    )
    return Training(crops, detections, None, config, COMPUTE, 0).augmentation.rotation_deg


def test_views_turn_as_far_as_the_recording_unless_told() -> None:
    free = changed(rotation_deg=None)
    assert 15 < views_turn(free, 30) < 31  # differences are up to 60; 95 % of them are less
    assert views_turn(free, 0) == LEAST_ROTATION_DEG
    assert views_turn(free, 30, n=5) == ROTATION_DEG  # too few neighbours to measure anything
    assert views_turn(changed(rotation_deg=12.0), 30) == 12.0
    assert views_turn(changed(rotation_deg=None, epochs=0), 30) == ROTATION_DEG  # nothing is trained
