import logging
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from barlowtrack.config import TrainConfig
from barlowtrack.data import CropBatch, Crops, Detections
from barlowtrack.embedding.training import Training, _generator
from barlowtrack.errors import InputError
from barlowtrack.nn.encoder import Encoder, Projector
from barlowtrack.nn.objectives.table import OBJECTIVES
from barlowtrack.stages.train import HISTORY_COLUMNS, TrainState, train
from tests.unit.stages.trainings import COMPUTE, SMALL, Batches, make_crops, run, with_batches


def test_a_state_after_every_epoch_and_one_before(film: Callable) -> None:
    steps = []
    states = run(make_crops(film, [6] * 5), progress=lambda *at: steps.append(at))

    assert [state.epoch for state in states] == [0, 1, 2, 3, 4]
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    history = states[-1].history
    assert [row.epoch for row in history] == [0, 1, 2, 3, 4]
    assert HISTORY_COLUMNS == ("epoch", "loss", "feature_term", "object_term", "held_out_agreement", "effective_rank", "round_trips")
    for row in history:
        assert row.loss == pytest.approx(0.33 * row.feature_term + 0.67 * row.object_term, rel=1e-4)
        assert 0 <= row.held_out_agreement <= 1
        assert 1 < row.effective_rank <= 16
        assert 0 <= row.round_trips <= 1


def test_training_lowers_the_loss_and_tells_nuclei_apart_better_than_random_weights(film: Callable) -> None:
    history = run(make_crops(film, [12] * 8), SMALL.model_copy(update={"epochs": 12, "learning_rate": 3e-3}))[-1].history
    assert history[-1].loss < 0.8 * history[0].loss
    assert history[-1].held_out_agreement > history[0].held_out_agreement


@pytest.mark.parametrize(
    ("objective", "stop"), [("barlow-object", 0), ("barlow-object", 2), ("barlow-object", 3), ("moco", 2), ("dino", 1)]
)
def test_going_on_from_bytes_ends_with_the_same_bytes(film: Callable, objective: str, stop: int) -> None:
    crops, config = make_crops(film, [6, 3, 5, 6]), SMALL.model_copy(update={"objective": objective})
    whole = run(crops, config)
    again = TrainState.from_bytes(whole[stop].to_bytes())
    rest = run(crops, config, checkpoint=again)

    assert [state.epoch for state in rest] == list(range(stop + 1, 5))
    assert [state.to_bytes() for state in rest] == [state.to_bytes() for state in whole[stop + 1 :]]
    assert rest[-1].encoder().to_bytes() == whole[-1].encoder().to_bytes()


def test_the_seed_decides_and_nothing_else_does(film: Callable) -> None:
    crops = make_crops(film, [5] * 3)
    torch.manual_seed(1)
    first = run(crops)[-1].to_bytes()
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    assert run(crops)[-1].to_bytes() == first
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()
    assert run(crops, seed=6)[-1].to_bytes() != first


@pytest.mark.parametrize("epochs", [0, 4])
@pytest.mark.parametrize("counts", [[6], [2], [2, 2, 2], [2, 9]])
def test_few_volumes_and_few_nuclei_train(film: Callable, counts: list[int], epochs: int) -> None:
    last = run(make_crops(film, counts), SMALL.model_copy(update={"epochs": epochs}))[-1]
    assert last.epoch == epochs
    assert all(math.isfinite(value) for row in last.history for name, value in vars(row).items() if name != "round_trips")
    assert all(math.isnan(row.round_trips) == (len(counts) < 3) for row in last.history)
    assert last.best == epochs or len(counts) >= 3  # where nothing can be told, it is the last one


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_changes_the_encoder_and_starts_from_the_same(film: Callable, objective: str) -> None:
    crops, config = make_crops(film, [6, 1, 2, 7]), SMALL.model_copy(update={"epochs": 2, "objective": objective})
    start, *_, last = run(crops, config)
    before, after = start.part("learner.encoder"), last.part("learner.encoder")
    plain = run(crops, SMALL.model_copy(update={"epochs": 0}))[-1].part("learner.encoder")
    assert all(torch.equal(value, plain[name]) for name, value in before.items())
    assert all(not torch.equal(value, before[name]) for name, value in after.items() if name.endswith("weight"))
    assert all(math.isfinite(value) for row in last.history for value in vars(row).values())


def test_no_epochs_keep_the_random_weights(film: Callable) -> None:
    states = run(make_crops(film, [4] * 3), SMALL.model_copy(update={"epochs": 0}))
    assert [state.epoch for state in states] == [0]
    vectors = states[0].encoder()(torch.randn(3, 4, 16, 16))
    np.testing.assert_allclose(vectors.detach().norm(dim=1), 1, atol=1e-5)


def test_held_out_volumes_are_not_trained_on(film: Callable) -> None:
    crops = make_crops(film, [5] * 4)
    held = 2  # the middle of the only stretch: a quarter of four
    spoiled = [CropBatch(b.t, b.row, b.values * (0 if i == held else 1)) for i, b in enumerate(crops.source.batches)]
    plain, other = run(crops)[-1], run(with_batches(crops, spoiled))[-1]
    assert all(
        torch.equal(plain.part("learner.encoder")[name], other.part("learner.encoder")[name]) for name in plain.part("learner.encoder")
    )
    assert plain.history[-1].effective_rank != other.history[-1].effective_rank


@pytest.mark.parametrize("change", ["seed", "config", "crops"])
def test_a_checkpoint_of_another_training_is_refused(film: Callable, change: str) -> None:
    crops = make_crops(film, [4] * 3)
    checkpoint = run(crops, SMALL.model_copy(update={"epochs": 1}))[-1]
    config = SMALL.model_copy(update={"epochs": 1} | ({"alpha": 0.5} if change == "config" else {}))
    other = make_crops(film, [4] * 3, seed=1) if change == "crops" else crops
    with pytest.raises(InputError, match="other settings, seed or crops"):
        run(other, config, seed=6 if change == "seed" else 5, checkpoint=checkpoint)


def test_no_crops_are_refused() -> None:
    with pytest.raises(InputError, match="at least one volume with two nuclei"):
        run(Crops(Batches([], Detections.empty(3)), (4, 16, 16), (9.0, 8.0, 8.0)))


def test_nan_is_an_error_that_names_the_volume(film: Callable) -> None:
    crops = make_crops(film, [4] * 3)
    bad = crops.source.batches[0]
    bad.values[:] = np.nan
    with pytest.raises(InputError, match="volume 0: expected a finite loss"):
        run(crops)


def test_collapse_is_said(film: Callable, caplog: pytest.LogCaptureFixture) -> None:
    crops = make_crops(film, [4] * 3)
    same = [CropBatch(b.t, b.row, np.ones_like(b.values)) for b in crops.source.batches]
    still = SMALL.model_copy(update={"epochs": 1, "noise": 0.0, "brightness": 0.0})
    with caplog.at_level(logging.WARNING):
        run(with_batches(crops, same), still)
    assert "collapsed" in caplog.text


def test_collapse_is_said_while_training_goes_on_and_once(film: Callable, caplog: pytest.LogCaptureFixture) -> None:
    crops = make_crops(film, [4] * 3)
    same = [CropBatch(b.t, b.row, np.ones_like(b.values)) for b in crops.source.batches]
    still = SMALL.model_copy(update={"epochs": 4, "noise": 0.0, "brightness": 0.0})
    training = train(with_batches(crops, same), crops.source.detections, None, config=still, compute=COMPUTE, seed=5)
    said = [("collapsed" in caplog.text) for state in training if state.epoch >= 1]
    assert said == [False, True, True, True]
    assert caplog.text.count("collapsed") == 1


def test_weights_that_become_nan_are_said_before_anything_is_made_of_them(film: Callable) -> None:
    crops = make_crops(film, [4] * 3)
    training = Training(crops, crops.source.detections, None, SMALL, COMPUTE, seed=0)
    with torch.no_grad():
        next(iter(training.learner.encoder.parameters())).fill_(float("nan"))
    with pytest.raises(InputError, match="expected finite numbers"):
        training.watch()


def test_the_published_objective_is_the_default_and_the_rebalanced_one_a_setting(film: Callable) -> None:
    row = run(make_crops(film, [6] * 3), SMALL.model_copy(update={"epochs": 0}))[-1].history[0]
    rebalanced = SMALL.model_copy(update={"object_scale": "per_object", "epochs": 0})
    ours = run(make_crops(film, [6] * 3), rebalanced)[-1].history[0]
    assert ours.object_term == pytest.approx(6 * row.object_term, rel=1e-4)
    assert ours.feature_term == pytest.approx(row.feature_term, rel=1e-6)


def slow_term(a: np.ndarray, b: np.ndarray, weight: float) -> float:
    """Of the correlation of every row of a with every row of b: the mean over all pairs, as published."""
    c = np.array([[np.corrcoef(x, y)[0, 1] for y in b] for x in a])
    return float(np.mean([(1 - c[i, j]) ** 2 if i == j else weight * c[i, j] ** 2 for i in range(len(c)) for j in range(len(c))]))


def test_the_published_objective_is_the_published_formula_over_one_volume(film: Callable) -> None:
    crops = make_crops(film, [7, 5])
    config = TrainConfig(mode="scratch", objective="barlow-object", projector_dims=(32, 24))
    training = Training(crops, crops.source.detections, None, config, COMPUTE, seed=0)
    for index, n in enumerate((7, 5)):
        values, generator = crops.read(index).values, _generator(torch.device("cpu"), 0, 1)
        views = training.view(values, generator), training.view(values, generator)
        z1, z2 = (training.learner.projector(training.learner.encoder.represent(v)).detach().double().numpy() for v in views)
        assert len(z1) == n
        expected = (1 - 0.67) * slow_term(z1.T, z2.T, 0.0051) + 0.67 * slow_term(z1, z2, 0.0051)
        assert float(training.learner.loss(*views).loss.detach()) == pytest.approx(expected, rel=1e-4)


def test_learning_is_in_training_mode_and_watching_is_not(film: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, bool, bool]] = []
    for module, method in ((Encoder, "represent"), (Projector, "forward")):
        original = getattr(module, method)

        def spy(self, x, original=original, name=module.__name__):
            said.append((name, torch.is_grad_enabled(), self.training))
            return original(self, x)

        monkeypatch.setattr(module, method, spy)
    run(make_crops(film, [4] * 4), SMALL.model_copy(update={"epochs": 2}))
    assert set(said) == {(name, mode, mode) for name in ("Encoder", "Projector") for mode in (True, False)}


def test_garbage_and_other_kinds_are_refused(film: Callable) -> None:
    state = run(make_crops(film, [4] * 2), SMALL.model_copy(update={"epochs": 0}))[-1]
    for data in (b"", b"no", b"\x80\x04\x95" * 20, state.encoder().to_bytes(), state.to_bytes()[:-50]):
        with pytest.raises(InputError):
            TrainState.from_bytes(data)


def test_views_that_reach_beyond_the_crops_are_said_with_the_fix(film: Callable, caplog: pytest.LogCaptureFixture) -> None:
    crops = make_crops(film, [6] * 3)
    run(crops, SMALL.model_copy(update={"epochs": 0}))
    assert "reach beyond" not in caplog.text
    wide = SMALL.model_copy(update={"epochs": 0, "rotation_deg": 180.0, "scale": 0.4})
    run(crops, wide)
    said = re.search(r"reach beyond the crops.* set crop\.margin to (\d\.\d\d)", caplog.text)
    assert said is not None

    caplog.clear()
    run(make_crops(film, [6] * 3, margin=float(said[1])), wide)
    assert "reach beyond" not in caplog.text

    run(crops, wide.model_copy(update={"scale": 0.5, "tilt_deg": 30.0}))
    assert "set less rotation_deg" in caplog.text  # no margin that crop.margin allows is enough


def test_every_view_setting_reaches_the_views(film: Callable) -> None:
    crops = make_crops(film, [6] * 3)
    settings = {"tilt_deg": 5.0, "scale": 0.1, "shift_z_vox": 0.5, "blur_vox": 1.0, "neighbour_dropout": 1.0, "missing_planes": 0.3}
    plain = start_loss(crops, SMALL)
    assert plain == start_loss(crops, SMALL)
    for changed in [*({name: value} for name, value in settings.items()), {"rotation": "shared"}]:
        assert start_loss(crops, SMALL.model_copy(update=changed)) != plain, changed


def start_loss(crops: Crops, config: TrainConfig) -> float:
    return run(crops, config.model_copy(update={"epochs": 0}))[0].history[0].loss
