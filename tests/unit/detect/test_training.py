"""Training of a star-convex network: what it learns from, where it stands, and that it goes on as if it had never stopped."""

from itertools import islice

import numpy as np
import pytest
import torch
from stardist.rays3d import Rays_GoldenSpiral

from barlowtrack.config import ComputeConfig, SegmentationTrainingConfig
from barlowtrack.detect.state import SegmentationState
from barlowtrack.detect.thresholds import choose_thresholds
from barlowtrack.detect.training import brightness_of, middle_of, spec_of, split, train_segmentation
from barlowtrack.errors import InputError
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_training import Pair

TINY = {"rays": 16, "filters": 4, "depth": 1, "features": 8, "patch": (4, 16, 16), "batch": 2, "steps": 3, "epochs": 4}
CONFIG = SegmentationTrainingConfig(**TINY, learning_rate=3e-3, half_precision=False)
CPU = ComputeConfig(device="cpu", workers=1)


class Pairs(list):
    def read(self, index):
        return self[index]


def pairs(n=3, shape=(6, 20, 24), seed=0):
    """Bright balls on noise."""
    made = Pairs()
    for k in range(n):
        rng, place = np.random.default_rng([seed, k]), np.indices(shape)
        labels = np.zeros(shape, np.int16)
        for label in (1, 2, 3):
            centre = rng.uniform((1, 4, 4), np.array(shape) - (1, 4, 4))
            labels[sum(((p - c) / r) ** 2 for p, c, r in zip(place, centre, (2, 4, 4), strict=True)) < 1] = label
        made.append(Pair(((labels > 0) + rng.normal(0, 0.05, shape)).astype(np.float16), labels))
    return made


def train(config=CONFIG, checkpoint=None, source=None):
    return train_segmentation(source or pairs(), config=config, compute=CPU, checkpoint=checkpoint)


def test_every_round_is_yielded_the_random_start_first():
    states = list(train())
    assert [s.epoch for s in states] == [0, 1, 2, 3, 4]
    assert [len(s.history) for s in states] == [1, 2, 3, 4, 5]
    assert states[-1].history[:3] == states[2].history
    first, last = states[0].history[0], states[-1].history[-1]
    assert last.held_out_loss < first.held_out_loss
    assert not torch.equal(states[0].part("net")["prob.weight"], states[-1].part("net")["prob.weight"])


def test_the_best_round_is_kept():
    states = list(train(CONFIG.model_copy(update={"learning_rate": 0.05, "epochs": 6})))
    losses = [row.held_out_loss for row in states[-1].history]
    best = int(np.argmin(losses))
    assert states[-1].best.epoch == best
    for name, value in states[-1].part("best").items():
        assert torch.equal(value, states[best].part("net")[name])


@pytest.mark.parametrize("after", [0, 1, 3])
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(after):
    whole = [s.to_bytes() for s in train()]
    stopped = next(islice(train(), after, None)).to_bytes()
    assert stopped == whole[after]
    rest = [s.to_bytes() for s in train(checkpoint=SegmentationState.from_bytes(stopped))]
    assert rest == whole[after + 1 :]


def test_every_round_sees_other_patches():
    losses = [row.loss for row in list(train(CONFIG.model_copy(update={"learning_rate": 1e-12})))[-1].history[1:]]
    assert np.diff(np.sort(losses)).min() > 1e-4  # of weights that do not move


def test_another_seed_is_another_training():
    one, other = (list(train(CONFIG.model_copy(update={"seed": seed})))[-1].part("net") for seed in (0, 1))
    assert not torch.equal(one["prob.weight"], other["prob.weight"])


@pytest.mark.parametrize(
    "another", [{"config": CONFIG.model_copy(update={"learning_rate": 1e-4})}, {"source": pairs(4)}, {"source": pairs(3, seed=1)}]
)
def test_a_state_of_another_training_is_refused(another):
    state = next(train())
    with pytest.raises(InputError, match="expected a state of this training, got one with other settings or pairs"):
        next(train(checkpoint=state, **another))


@pytest.mark.parametrize("content", [b"", b"12345678{", b"x" * 100])
def test_a_state_that_is_none_is_refused(content):
    with pytest.raises(InputError, match="segmentation training"):
        SegmentationState.from_bytes(content)


def test_one_pair_is_too_few():
    with pytest.raises(InputError, match="at least two pairs, one to learn from and one to watch, got 1"):
        next(train(source=pairs(1)))


def test_a_loss_that_explodes_is_refused():
    with pytest.raises(InputError, match=r"expected a finite loss, .*; try a smaller learning_rate"):
        list(train(CONFIG.model_copy(update={"learning_rate": 1e30})))


@pytest.mark.parametrize(("n", "share"), [(2, 0.0), (2, 1.0), (10, 0.1), (10, 0.34), (57, 0.2)])
def test_pairs_are_split_once_and_evenly(n, share):
    used, watched = split(n, share)
    assert sorted([*used, *watched]) == list(range(n))
    assert len(used) >= 1
    assert len(watched) == min(max(1, round(share * n)), n - 1)
    if len(watched) > 1:
        assert np.ptp(np.diff(watched)) <= 1


def test_nothing_is_learned_from_what_is_watched():
    """Another image at the held-out place changes what is said of it, and no weight."""
    source, other = pairs(), pairs()
    watched = int(split(3, CONFIG.held_out)[1][0])
    other[watched] = Pair(other[watched].image[:, ::-1].copy(), other[watched].labels)
    one, two = (list(train(source=s))[-1] for s in (source, other))
    assert watched == 1  # neither first nor last: those tell trainings apart
    assert all(torch.equal(value, two.part("net")[name]) for name, value in one.part("net").items())
    assert one.history[-1].held_out_loss != two.history[-1].held_out_loss


def test_the_middle_is_cut_in_the_plane():
    image = np.arange(6 * 20 * 24).reshape(6, 20, 24)
    cut = middle_of(Pair(image, image), 6 * 20 * 24 // 4)
    assert cut.image.shape == cut.labels.shape == (6, 10, 12)
    np.testing.assert_array_equal(cut.image, image[:, 5:15, 6:18])
    assert middle_of(Pair(image, image), 10**9).labels.shape == image.shape


def test_the_network_is_what_the_settings_say():
    config = SegmentationTrainingConfig(voxel_size_um=(2.0, 0.5, 1.0), grid=(1, 4, 2), rays=40, filters=6, depth=3, features=12)
    spec = spec_of(config)
    assert (spec.grid, spec.n_rays, spec.anisotropy, spec.conv_after) == ((1, 4, 2), 40, (4.0, 1.0, 2.0), 12)
    assert (spec.backbone.n_filter_base, spec.backbone.n_depth) == (6, 3)
    rays_um = spec.ray_table.vertices * config.voxel_size_um
    directions = rays_um / np.linalg.norm(rays_um, axis=1, keepdims=True)
    np.testing.assert_allclose(directions, Rays_GoldenSpiral(40).vertices, atol=1e-6)  # evenly in um
    assert (brightness_of(config).low, brightness_of(config).high, brightness_of(config).curve) == (1.0, 99.8, 20.0)


def test_thresholds_are_those_of_about_the_largest_f2():
    """Against running every pair of thresholds by itself."""
    from barlowtrack.detect.agreement import agreement
    from barlowtrack.detect.thresholds import NMS
    from barlowtrack.nn.instances import instances, predict

    held_out = list(pairs(2, seed=3))
    state = list(train(CONFIG.model_copy(update={"epochs": 2, "steps": 80, "learning_rate": 0.01})))[-1]
    net = StarConvexNet(spec_of(CONFIG))
    net.load_state_dict(state.part("net"))
    chosen, f2 = choose_thresholds(net.eval(), held_out, brightness_of(CONFIG))

    def reached(prob, nms):
        said = []
        for pair in held_out:
            seen = brightness_of(CONFIG).lift(np.asarray(pair.image, np.float32))
            found = agreement(pair.labels, instances(*predict(net, seen), net.spec, prob, nms, pair.labels.shape, border=0).labels)
            for least in (0.3, 0.5, 0.7):
                right = int((found.iou >= least).sum())
                said.append(5 * right / max(4 * found.n_true + found.n_found, 1))
        return float(np.mean(said))

    others = [reached(prob, nms) for prob in (0.15, 0.3, 0.5, 0.7, 0.9) for nms in NMS]
    assert f2 > 0.2
    assert reached(chosen.prob, chosen.nms) == pytest.approx(f2, abs=0.1)
    assert f2 >= max(others) - 0.05
