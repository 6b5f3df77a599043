import math
from typing import get_args

import pytest
import torch

from barlowtrack.config import TrainConfig
from barlowtrack.nn.encoder import Encoder, EncoderSpec, Projector
from barlowtrack.nn.heads import Predictor, Prototypes
from barlowtrack.nn.learner import Learner, momentum_at
from barlowtrack.nn.objectives.barlow import barlow_terms
from barlowtrack.nn.objectives.contrastive import info_nce
from barlowtrack.nn.objectives.distillation import dino
from barlowtrack.nn.objectives.table import OBJECTIVES
from barlowtrack.nn.queue import Queue

SPEC = EncoderSpec((2, 8, 8), (2.0, 4.0, 4.0), embedding_dim=6, channels=(2, 3))
WITH_TEACHER = [name for name, objective in OBJECTIVES.items() if objective.momentum]


def barlow(z1, z2):
    return barlow_terms(z1, z2, alpha=0.67, lambda_off_diagonal=0.0051)


def make(name: str, temperature: float | None = None) -> Learner:
    torch.manual_seed(0)
    return Learner(Encoder(SPEC), Projector(6, (8, 5)), OBJECTIVES[name], barlow, temperature)


def views(n: int = 4, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 2, 8, 8, generator=generator), torch.rand(n, 2, 8, 8, generator=generator)


def step(learner: Learner, at: int = 0, n_steps: int = 10) -> None:
    optimiser = torch.optim.SGD(learner.taught(), lr=0.1)
    learner.loss(*views(seed=at)).loss.backward()
    optimiser.step()
    learner.after_step(at, n_steps)


def test_the_table_and_the_settings_name_the_same_objectives() -> None:
    assert list(OBJECTIVES) == list(get_args(TrainConfig.model_fields["objective"].annotation))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_terms_beside_the_loss_are_barlows_whatever_the_objective(name: str) -> None:
    learner = make(name)
    terms = learner.loss(*views())
    z1, z2 = (learner.projector(learner.encoder.represent(view)) for view in views())
    expected = barlow(z1, z2)
    assert terms.feature.item() == pytest.approx(expected.feature.item(), rel=1e-4)
    assert terms.object.item() == pytest.approx(expected.object.item(), rel=1e-4)
    alone = {"barlow-object": expected.loss, "barlow": expected.feature, "object": expected.object}
    if name in alone:
        assert terms.loss.item() == pytest.approx(alone[name].item(), rel=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_all_that_is_to_learn_gets_a_gradient_and_nothing_else_does(name: str) -> None:
    learner = make(name)
    for at in range(2):  # the queue of moco is empty at first
        learner.zero_grad()
        learner.loss(*views(seed=at)).loss.backward()
        learner.after_step(at, 10)
    taught = {id(parameter) for parameter in learner.taught()}
    for key, parameter in learner.named_parameters():
        assert (id(parameter) in taught) == (not key.startswith("teacher.")), key
        assert (parameter.grad is not None) == (id(parameter) in taught), key


@pytest.mark.parametrize("name", WITH_TEACHER)
def test_the_teacher_is_the_running_mean_of_the_network(name: str) -> None:
    learner = make(name)
    assert learner.teacher is not None
    names = [key for key, _ in learner.teacher.named_parameters()]
    assert any(key.startswith("head.") for key in names) == (name == "dino")
    expected = {key: value.clone() for key, value in learner.teacher.named_parameters()}
    assert all(torch.equal(value, learner.get_parameter(key)) for key, value in expected.items())
    for at in range(3):
        step(learner, at)
        start, end = OBJECTIVES[name].momentum or (0, 0)
        momentum = end - (end - start) * (math.cos(math.pi * at / 10) + 1) / 2
        for key in names:
            expected[key] = momentum * expected[key] + (1 - momentum) * learner.get_parameter(key).detach()
    for key, value in learner.teacher.named_parameters():
        torch.testing.assert_close(value.detach(), expected[key])
        assert key.endswith("bias") or not torch.equal(value, learner.get_parameter(key))


def test_momentum_rises_as_published() -> None:
    assert momentum_at(0, 0.996, 1) == pytest.approx(0.996)
    assert momentum_at(0.5, 0.996, 1) == pytest.approx(0.998)
    assert momentum_at(1, 0.996, 1) == 1
    assert momentum_at(0.3, 0.99, 0.99) == 0.99


def test_the_queue_is_first_in_first_out() -> None:
    queue = Queue(5, 2)
    assert queue.held().shape == (0, 2)
    rows = torch.arange(16.0).reshape(8, 2)
    queue.push(rows[:2])
    assert torch.equal(queue.held(), rows[:2])
    queue.push(rows[2:4])
    assert torch.equal(queue.held(), rows[[2, 3, 0, 1]])
    queue.push(rows[4:6])
    assert torch.equal(queue.held(), rows[[4, 5, 2, 3, 0]])
    queue.push(torch.cat([rows, rows]))
    assert torch.equal(queue.held(), rows[:5])


def test_moco_sees_the_keys_of_the_steps_before_and_not_its_own() -> None:
    learner = make("moco")
    assert learner.teacher is not None
    assert learner.loss(*views(seed=5)).loss.item() == 0
    keys = learner.teacher(torch.cat(views(seed=5)))[1]
    learner.after_step(0, 10)
    assert learner.queue is not None
    torch.testing.assert_close(learner.queue.held(), keys)

    (q1, _), (q2, _) = (learner(view) for view in views(seed=6))
    k1, k2 = (learner.teacher(view)[1] for view in views(seed=6))
    expected = (info_nce(q1, k2, keys, 0.07) + info_nce(q2, k1, keys, 0.07)) / 2
    torch.testing.assert_close(learner.loss(*views(seed=6)).loss, expected)


def test_dino_compares_heads_and_centres_on_the_teachers_mean_over_the_volume() -> None:
    learner = make("dino")
    step(learner)
    assert learner.teacher is not None
    s1, s2 = (learner(view)[1] for view in views())
    t1, t2 = (learner.teacher(view)[1] for view in views())
    centre = (t1.sum(dim=0) + t2.sum(dim=0))[None] / 8
    expected = dino((s1, s2), (t1, t2), centre, temperature=0.1, teacher_temperature=0.01)
    torch.testing.assert_close(learner.loss(*views()).loss, expected)


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_predictions_are_compared_with_targets_less_what_all_objects_share(name: str) -> None:
    learner = make(name)
    step(learner)
    (z1, p1), (z2, p2) = (learner(view) for view in views())
    if learner.teacher is not None:
        z1, z2 = (learner.teacher(view)[1] for view in views())
    distance = 0.0
    for p, z in ((p1, z2), (p2, z1)):
        cosine = torch.nn.functional.cosine_similarity(p, z - z.mean(dim=0)).mean().item()
        distance += 2 - 2 * cosine if name == "byol" else -cosine / 2
    assert learner.loss(*views()).loss.item() == pytest.approx(distance, rel=1e-4)


@pytest.mark.parametrize("name", ["moco", "dino"])
def test_watching_leaves_no_trace(name: str) -> None:
    learner = make(name)
    step(learner)
    before = {key: value.clone() for key, value in learner.state_dict().items()}
    learner.eval()
    with torch.no_grad():
        learner.loss(*views(seed=3))
    learner.train()
    assert learner._fresh is None
    assert all(torch.equal(value, before[key]) for key, value in learner.state_dict().items())


@pytest.mark.parametrize("name", ["simclr", "moco", "swav", "dino"])
def test_the_temperature_of_the_settings_goes_before_the_published_one(name: str) -> None:
    said = []
    for temperature in (None, OBJECTIVES[name].temperature, 3.0):
        learner = make(name, temperature)
        step(learner)
        said.append(learner.loss(*views()).loss.item())
    assert said[0] == said[1]
    assert said[2] != pytest.approx(said[0], rel=1e-6)


def test_prototypes_are_compared_by_cosine_and_predictors_keep_the_width() -> None:
    prototypes, z = Prototypes(5, 7), torch.randn(4, 5)
    expected = torch.nn.functional.cosine_similarity(z[:, None], prototypes.weight[None], dim=2)
    torch.testing.assert_close(prototypes(30 * z), expected)
    assert Predictor(5, 3)(z).shape == (4, 5)
