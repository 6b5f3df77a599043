"""What a star-convex network learns from: StarDist's losses and targets, and patches whose image and labels stay together."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from barlowtrack.errors import InputError
from barlowtrack.nn.brightness import LINEAR
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, UNet
from barlowtrack.nn.starconvex_training import Pair, PatchMaker, forward, initialise, losses, targets

RAYS = {"name": "Rays_GoldenSpiral", "kwargs": {"n": 12, "anisotropy": (2.0, 1.0, 1.0)}}
SPEC = StarConvexSpec(UNet(n_filter_base=2), RAYS, (1, 2, 2), (2.0, 1.0, 1.0), conv_after=4)
EPSILON = 1e-7  # Keras'


def nuclei(shape=(12, 28, 30), seed=0, n=6):
    """Labels of some ellipsoids, a few touching the border."""
    rng, labels = np.random.default_rng(seed), np.zeros(shape, np.int32)
    place = np.indices(shape)
    for k in range(1, n + 1):
        centre, radius = rng.uniform(0, shape), rng.uniform((1.5, 3, 3), (3, 6, 6))
        labels[sum(((p - c) / r) ** 2 for p, c, r in zip(place, centre, radius, strict=True)) < 1] = k
    return labels


def maps(seed, unknown=0.0, n_rays=12):
    """Random predictions and targets, (N, 1, ...) and (N, R, ...)."""
    rng, shape = np.random.default_rng(seed), (2, 3, 5, 4)
    prob = np.where(rng.random(shape) < 0.5, rng.random(shape), 0.0)
    prob[rng.random(shape) < unknown] = -1
    dist = rng.uniform(0, 9, (2, n_rays, *shape[1:])) * (prob[:, None] > 0)
    return rng.normal(0, 2, (2, 1, *shape[1:])), rng.normal(3, 3, dist.shape), prob[:, None], dist


def slowly(logit, dist, prob_true, dist_true):
    """stardist 0.9.2: binary cross entropy where prob_true >= 0; masked_loss_mae(prob, reg_weight=1e-4), voxel by voxel."""
    entropy, error, mask, outside = [], [], [], []
    for n, z, y, x in np.ndindex(logit[:, 0].shape):
        true = prob_true[n, 0, z, y, x]
        if true >= 0:
            p = 1 / (1 + np.exp(-logit[n, 0, z, y, x]))
            entropy.append(-true * np.log(p) - (1 - true) * np.log(1 - p))
        weight = max(true, 0.0)
        mask.append(weight)
        for ray in range(dist.shape[1]):
            error.append(weight * abs(dist_true[n, ray, z, y, x] - dist[n, ray, z, y, x]))
            outside.append((1 - weight) * abs(dist[n, ray, z, y, x]) if true >= 0 else 0.0)
    away = np.mean(error) / (np.mean(mask) + EPSILON) + 1e-4 * np.mean(outside)
    return np.mean(entropy) + 0.2 * away, np.mean(entropy), away


def said(values):
    return losses(*(torch.from_numpy(v) for v in values))


@pytest.mark.parametrize("unknown", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_losses_equal_a_slow_obvious_recomputation(seed, unknown):
    values = maps(seed, unknown)
    np.testing.assert_allclose([float(v) for v in said(values)], slowly(*values), rtol=1e-9)


def test_losses_have_the_gradients_they_should():
    logit, dist, prob_true, dist_true = (torch.from_numpy(v) for v in maps(1, 0.2))
    torch.autograd.gradcheck(
        lambda a, b: losses(a, b, prob_true, dist_true).total, (logit.requires_grad_(), dist.requires_grad_()), atol=1e-6
    )


def test_nothing_is_learned_from_the_unknown():
    logit, dist, prob_true, dist_true = (torch.from_numpy(v) for v in maps(2, 0.3))
    losses(logit.requires_grad_(), dist.requires_grad_(), prob_true, dist_true).total.backward()
    unknown = prob_true < 0
    assert unknown.any()
    assert not logit.grad[unknown].any()
    assert not dist.grad[unknown.expand_as(dist)].any()
    assert logit.grad[~unknown].all()


def test_the_order_of_a_batch_does_not_matter_and_a_perfect_answer_costs_least():
    values = maps(3)
    total = float(said(values).total)
    assert float(said([v[::-1].copy() for v in values]).total) == pytest.approx(total)
    _, _, prob_true, dist_true = values
    right = np.log(np.clip(prob_true, 1e-9, 1) / np.clip(1 - prob_true, 1e-9, 1))
    assert float(said((right, dist_true, prob_true, dist_true)).dist) < 1e-3  # what is regularised: 1 - prob inside
    assert float(said((right, dist_true, prob_true, dist_true)).total) < total


def test_distances_are_those_of_a_slow_obvious_walk():
    """Each ray goes on a step at a time until the voxel under it is another's; the way there, in whole voxels, is its length."""
    labels = nuclei((8, 14, 14), n=3)
    _, dist = targets(labels, SPEC)
    assert dist.shape == (12, 8, 7, 7)
    for place in np.ndindex(8, 7, 7):
        start = np.array(place) * SPEC.grid
        for ray, direction in enumerate(SPEC.ray_table.vertices.astype(np.float32)):
            step, expected = 0, 0.0
            while labels[tuple(start)]:
                step += 1
                way = np.rint(step * direction).astype(int)
                there = start + way
                if np.any(there < 0) or np.any(there >= labels.shape) or labels[tuple(there)] != labels[tuple(start)]:
                    expected = float(np.linalg.norm(way))
                    break
            assert dist[(ray, *place)] == pytest.approx(expected, abs=1e-4)
    assert (dist > 0).any()


def test_probability_is_the_distance_to_the_rim_over_its_largest():
    """Anisotropy is handed on as StarDist hands it on, as voxel sizes of the distance transform."""
    labels = nuclei(seed=1)
    labels[:, :, -3:] = labels[:, :, :2] = labels[:, :2] = labels[:, -2:] = labels[:2] = labels[-2:] = 0
    prob, _ = targets(labels, SPEC)
    expected = np.zeros(labels.shape)
    for k in np.unique(labels[labels > 0]):
        away = ndimage.distance_transform_edt(labels == k, sampling=SPEC.anisotropy)
        expected += away / away.max()
    np.testing.assert_allclose(prob, expected[:, ::2, ::2], atol=1e-5)
    assert prob.max() <= 1


def test_unknown_voxels_are_unknown_and_no_nucleus():
    labels = nuclei()
    labels[labels == 2] = -1
    labels[:, :6] = -5
    prob, dist = targets(labels, SPEC)
    on_grid = labels[:, ::2, ::2]
    assert np.all((prob == -1) == (on_grid < 0))
    assert not dist[:, on_grid < 0].any()
    assert np.all(prob[on_grid == 1] > 0)


def maker(**more):
    return PatchMaker(SPEC, LINEAR, **{"patch": (8, 16, 16), "gain": 1.0, "offset": 0.0, "noise": 0.0} | more)


def telling_pair(shape=(12, 28, 30)):
    """An image that says of every voxel what its label is, and where it lies."""
    labels = nuclei(shape)
    return Pair((labels + np.arange(labels.size).reshape(shape) / labels.size / 2).astype(np.float32), labels)


def test_image_and_labels_are_cut_and_turned_together():
    pair, rng, turned, starts = telling_pair(), np.random.default_rng(0), set(), set()
    made = maker()
    for _ in range(100):
        image, labels = made._turn(*made._cut(pair, rng), rng)
        assert image.shape == labels.shape == (8, 16, 16)
        np.testing.assert_array_equal(np.floor(image + 1e-6).astype(int), labels)
        place = np.rint((image - labels) * 2 * pair.labels.size).astype(int)
        z, y, x = np.unravel_index(place, pair.labels.shape)
        steps = tuple(tuple(int(np.sign(c[one] - c[0, 0, 0])) for c in (z, y, x)) for one in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
        turned.add(steps)
        starts.add((z.min(), y.min(), x.min()))
    assert len(turned) == 16  # eight mirror images, each with and without a turn in the plane
    assert len(starts) > 30


@pytest.mark.parametrize(
    "changes",
    [{"patch": (8, 16, 8)}, {"spec": StarConvexSpec(UNet(n_filter_base=2), RAYS | {"kwargs": {"n": 12}}, (1, 2, 2), (2.0, 1.0, 1.5))}],
)
def test_a_plane_that_is_not_square_is_not_turned(changes):
    made = maker()
    made = PatchMaker(changes.get("spec", SPEC), LINEAR, changes.get("patch", made.patch))
    pair, rng = telling_pair(), np.random.default_rng(0)
    image = np.arange(np.prod(made.patch)).reshape(made.patch).astype(np.float32)
    for _ in range(30):
        turned, _ = made._turn(image, np.zeros(made.patch, int), rng)
        assert turned.shape == made.patch
        assert abs(turned[0, 0, 1] - turned[0, 0, 0]) == 1
    assert made._cut(pair, rng)[0].shape == made.patch


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1, 2), "transposed"])
def test_targets_turn_with_the_labels(axes):
    """Rays that come in pairs of opposites along the axes make a mirrored nucleus' distances those of the nucleus, mirrored."""
    cross = {"name": "Rays_Octo", "kwargs": {}}
    spec = StarConvexSpec(UNet(n_filter_base=2), cross, (1, 1, 1), (2.0, 1.0, 1.0))
    labels = nuclei((9, 15, 15))
    prob, dist = targets(labels, spec)

    def turn(volume):
        return volume.swapaxes(-1, -2) if axes == "transposed" else np.flip(volume, tuple(a - 3 for a in axes))

    turned_prob, turned_dist = targets(np.ascontiguousarray(turn(labels)), spec)
    np.testing.assert_allclose(turned_prob, turn(prob), atol=1e-5)
    np.testing.assert_allclose(np.sort(turned_dist, axis=0), np.sort(turn(dist), axis=0), atol=1e-4)


def test_what_is_mirrored_beyond_the_volume_is_unknown():
    pair = telling_pair((5, 28, 30))
    made, rng = maker(), np.random.default_rng(0)
    for _ in range(10):
        image, labels = made._cut(pair, rng)
        assert np.all(labels[5:] == -1)
        assert np.all(labels[:5] >= 0)
        np.testing.assert_array_equal(image[5], image[3])  # mirrored about the last plane
        prob, dist = targets(labels, SPEC)
        assert np.all(prob[5:] == -1)
        assert not dist[:, 5:].any()


def test_foreground_is_sought_as_often_as_asked():
    labels = np.zeros((12, 60, 60), np.int32)
    labels[4:9, 3:10, 3:10] = 1
    pair = Pair(labels.astype(np.float32), labels)
    rng = np.random.default_rng(0)
    often, never = (np.mean([bool(maker(foreground=f)._cut(pair, rng)[1].any()) for _ in range(80)]) for f in (1.0, 0.0))
    assert often == 1.0
    assert never < 0.6


def test_brightness_varies_within_bounds_and_can_be_left_alone():
    pair, rng = Pair(np.ones((12, 28, 30), np.float32), nuclei()), np.random.default_rng(0)
    assert {float(maker().draw(pair, rng)[0].std()) for _ in range(3)} == {0.0}
    seen = np.array([maker(gain=3.0, offset=0.1).draw(pair, rng)[0].mean() for _ in range(60)])
    assert 1 / 3 - 0.1 <= seen.min() < 0.6
    assert 1.8 < seen.max() <= 3.1
    noise = np.array([maker(noise=0.2).draw(pair, rng)[0].std() for _ in range(30)])
    assert 0.1 < noise.max() < 0.22


def test_a_batch_is_its_patches_and_the_same_seed_gives_the_same():
    pair = telling_pair()
    one, two = (maker().batch([pair, pair, pair], np.random.default_rng(7)) for _ in range(2))
    assert one.image.shape == (3, 1, 8, 16, 16)
    assert one.prob.shape == (3, 1, 8, 8, 8)
    assert one.dist.shape == (3, 12, 8, 8, 8)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    rng = np.random.default_rng(7)
    for k in range(3):
        image, prob, dist = maker().draw(pair, rng)
        np.testing.assert_array_equal(one.image[k, 0], image)
        np.testing.assert_array_equal(one.prob[k, 0], prob)
        np.testing.assert_array_equal(one.dist[k], dist)


def test_a_patch_the_network_cannot_take_is_refused():
    with pytest.raises(InputError, match=r"patch: expected multiples of \(4, 8, 8\), got \(8, 16, 12\)"):
        maker(patch=(8, 16, 12))


def test_a_network_starts_unsure_and_alike_from_one_seed():
    nets = []
    for seed in (0, 0, 1):
        net = StarConvexNet(SPEC)
        initialise(net, torch.Generator().manual_seed(seed))
        nets.append(net)
    a, b, c = (torch.cat([p.flatten() for p in net.parameters()]) for net in nets)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    logit, dist = forward(nets[0].eval(), torch.rand(1, 1, 8, 16, 16), half=False)
    assert 0.01 < float(torch.sigmoid(logit).mean().detach()) < 0.2
    assert dist.shape == (1, 12, 8, 8, 8)


def test_training_sees_what_prediction_sees():
    net = StarConvexNet(SPEC)
    initialise(net, torch.Generator().manual_seed(0))
    image = torch.rand(1, 1, 8, 16, 16)
    logit, dist = forward(net.eval(), image, half=False)
    with torch.no_grad():
        prob, again = net(image)
    torch.testing.assert_close(torch.sigmoid(logit), prob, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(dist, again, atol=1e-4, rtol=1e-4)
    half_logit, half_dist = forward(net, image, half=True)
    assert half_logit.dtype == half_dist.dtype == torch.float32
    torch.testing.assert_close(half_logit, logit, atol=0.1, rtol=0.1)


def test_where_nothing_is_known_nothing_is_lost():
    unknown = -torch.ones(1, 1, 2, 3, 3)
    logit, dist = torch.randn(1, 1, 2, 3, 3, requires_grad=True), torch.randn(1, 4, 2, 3, 3, requires_grad=True)
    said = losses(logit, dist, unknown, torch.zeros(1, 4, 2, 3, 3))
    said.total.backward()
    assert said.total == 0
    assert (logit.grad == 0).all()
    assert (dist.grad == 0).all()
