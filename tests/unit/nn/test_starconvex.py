"""The network's layers, and both its backbones against what StarDist itself said (benchmarks/make_stardist_golden.py)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from barlowtrack.errors import InputError
from barlowtrack.nn.instances import predict
from barlowtrack.nn.local import SameConv3d, same_padding
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import ResNet, StarConvexSpec, UNet, config_from_spec, spec_from_config

FLAT = {"name": "circle", "kwargs": {"n": 8}}
RAYS = {"name": "Rays_GoldenSpiral", "kwargs": {"n": 8, "anisotropy": None}}
VERSATILE = {
    "n_dim": 2,
    "axes": "YXC",
    "n_channel_in": 1,
    "n_channel_out": 33,
    "train_checkpoint": "weights_best.h5",
    "train_checkpoint_last": "weights_last.h5",
    "train_checkpoint_epoch": "weights_now.h5",
    "n_rays": 32,
    "grid": [2, 2],
    "backbone": "unet",
    "unet_n_depth": 3,
    "unet_kernel_size": [3, 3],
    "unet_n_filter_base": 32,
    "unet_n_conv_per_depth": 2,
    "unet_pool": [2, 2],
    "unet_activation": "relu",
    "unet_last_activation": "relu",
    "unet_batch_norm": False,
    "unet_dropout": 0.0,
    "unet_prefix": "",
    "net_conv_after_unet": 128,
    "net_input_shape": [None, None, 1],
    "net_mask_shape": [None, None, 1],
    "train_shape_completion": False,
    "train_completion_crop": 32,
    "train_patch_size": [256, 256],
    "train_reduce_lr": {"factor": 0.5, "patience": 80, "min_delta": 0},
    "use_gpu": True,
}
SMALL = StarConvexSpec(UNet(n_filter_base=2), RAYS, conv_after=4)


def same_slowly(signal, kernel, stride):
    """TensorFlow's definition: an output a started stride; the padding it takes, the odd one behind."""
    n_out = -(-len(signal) // stride)
    total = max((n_out - 1) * stride + len(kernel) - len(signal), 0)
    padded = np.concatenate([np.zeros(total // 2), signal, np.zeros(total - total // 2)])
    return np.array([padded[i * stride : i * stride + len(kernel)] @ kernel for i in range(n_out)])


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_convolutions_pad_as_tensorflow_does(size, kernel, stride, dtype, close):
    rng = np.random.default_rng(0)
    signal, weight = rng.normal(size=size), rng.normal(size=kernel)
    conv = SameConv3d(1, 1, (1, 1, kernel), (1, 1, stride), bias=False).to(dtype)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(weight).reshape(conv.weight.shape))
        answer = conv(torch.from_numpy(signal).to(dtype).reshape(1, 1, 1, 1, -1)).numpy().ravel()
    np.testing.assert_allclose(answer, same_slowly(signal, weight, stride), atol=close)


def test_padding_of_a_stride_is_lopsided():
    assert same_padding(8, 3, 2) == (0, 1)
    assert same_padding(7, 3, 2) == (1, 1)
    assert same_padding(8, 1, 2) == (0, 0)


@pytest.mark.parametrize("kind", ["unet", "resnet", "planes"])
def test_maps_are_those_of_stardist(kind, stardist_says):
    said = stardist_says(kind)
    prob, dist = predict(said.model.network(), said.volume)
    assert prob.shape == said.prob.shape
    np.testing.assert_allclose(prob, said.prob, atol=1e-4, rtol=0)
    every = 23 if kind == "planes" else 7  # of the voxels were kept
    np.testing.assert_allclose(dist.reshape(-1, dist.shape[-1])[::every], said.dist, atol=1e-4, rtol=0)
    assert said.dist.std() > 0.5  # an agreement on nothing would prove nothing
    assert said.prob.max() > 0.5


@pytest.mark.parametrize("backbone", [UNet(n_filter_base=2, batch_norm=True), ResNet(n_filter_base=2, n_blocks=2)])
def test_training_and_prediction_see_the_same_maps(backbone):
    """Without gradients another convolution is used, and activations overwrite what they are given."""
    net = StarConvexNet(replace(SMALL, backbone=backbone, grid=(1, 2, 2))).eval()
    x = torch.randn(1, 1, 8, 16, 16)
    trained = net(x)
    (trained[0].sum() + trained[1].square().sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    with torch.no_grad():
        predicted = net(x)
    for a, b in zip(trained, predicted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "spec",
    [
        SMALL,
        replace(SMALL, grid=(1, 2, 4), conv_after=0),
        replace(SMALL, backbone=UNet(n_filter_base=2, n_depth=3, pool=(1, 2, 2), n_conv_per_depth=1, batch_norm=True, expansion=1.5)),
        replace(SMALL, backbone=UNet(n_filter_base=2, n_depth=0), n_channel_in=2),
        replace(SMALL, backbone=ResNet(n_filter_base=2, n_blocks=2, batch_norm=True), grid=(2, 4, 1)),
    ],
)
def test_maps_lie_on_the_grid(spec):
    shape = tuple(2 * d for d in spec.divisor)
    net = StarConvexNet(spec).eval()
    with torch.no_grad():
        prob, dist = net(torch.randn(2, spec.n_channel_in, *shape))
    on_grid = tuple(s // g for s, g in zip(shape, spec.grid, strict=True))
    assert prob.shape == (2, 1, *on_grid)
    assert dist.shape == (2, 8, *on_grid)
    assert 0 <= prob.min() <= prob.max() <= 1


@pytest.mark.parametrize("backbone", [UNet(prefix="a_", dropout=0.2), ResNet(n_blocks=3, activation="elu")])
def test_a_spec_survives_its_config(backbone):
    rays = {"name": "Rays_GoldenSpiral", "kwargs": {"n": 12, "anisotropy": [3.0, 1.0, 1.0]}}
    spec = StarConvexSpec(backbone, rays, (1, 4, 2), (3.0, 1.0, 1.0), conv_after=16)
    assert spec_from_config(config_from_spec(spec)) == spec


def test_a_flat_spec_survives_its_config():
    spec = StarConvexSpec(UNet(kernel_size=(1, 5, 3), pool=(1, 4, 2), prefix="a_"), FLAT, (1, 4, 2), n_channel_in=2, conv_after=16)
    config = config_from_spec(spec)
    assert (config["n_dim"], config["axes"], config["grid"], config["unet_kernel_size"]) == (2, "YXC", (4, 2), (5, 3))
    assert not {"rays_json", "anisotropy"} & config.keys()  # which StarDist's Config2D does not know
    assert spec_from_config(config) == spec


def test_the_config_of_a_well_known_2d_model_is_understood():
    """2D_versatile_fluo, as it was published: older than some options."""
    spec = spec_from_config(VERSATILE)
    assert spec.backbone == UNet(n_depth=3, kernel_size=(1, 3, 3), pool=(1, 2, 2))
    assert (spec.n_dim, spec.n_rays, spec.grid, spec.conv_after) == (2, 32, (1, 2, 2), 128)
    assert spec.divisor == (1, 16, 16)


def test_a_2d_config_of_nothing_else_is_stardists_default():
    assert spec_from_config({"n_dim": 2}) == spec_from_config({"axes": "YXC"}) == spec_from_config({**VERSATILE, "grid": [1, 1]})


def test_planes_do_not_see_each_other():
    net = StarConvexNet(replace(SMALL, backbone=UNet(n_filter_base=2, kernel_size=(1, 3, 3), pool=(1, 2, 2)), rays=FLAT)).eval()
    volume = np.random.default_rng(0).random((5, 16, 16), np.float32)
    prob, dist = predict(net, volume)
    alone = [predict(net, plane[None]) for plane in volume]
    np.testing.assert_allclose(prob, np.concatenate([p for p, _ in alone]), atol=1e-6)
    np.testing.assert_allclose(dist, np.concatenate([d for _, d in alone]), atol=1e-6)


def test_an_empty_config_is_stardists_default():
    spec = spec_from_config({})
    assert spec == StarConvexSpec()
    assert spec.n_rays == 96
    assert spec.divisor == (4, 4, 4)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("backbone", "vgg", "backbone"),
        ("unet_colour", 1, "unet_colour"),
        ("resnet_n_blocks", 4, "resnet_n_blocks"),
        ("unet_activation", "leaky_relu", "unet_activation"),
        ("unet_kernel_size", [3, 3], "unet_kernel_size"),
        ("unet_n_depth", -1, "unet_n_depth"),
        ("unet_n_filter_base", "many", "unet_n_filter_base"),
        ("unet_batch_norm", "yes", "unet_batch_norm"),
        ("grid", [1, 3, 1], "grid"),
        ("grid", 2, "options of a StarDist model"),
        ("n_dim", 2, "3-D"),
        ("axes", "CZYX", "channels last"),
        ("n_rays", 7, "n_rays"),
        ("n_channel_in", 0, "n_channel_in"),
        ("rays_json", {"name": "__import__('os').getcwd", "kwargs": {}}, "rays_json.name"),
        ("rays_json", {"name": "Rays_GoldenSpiral", "kwargs": {"n": 2}}, "rays_json"),
        ("rays_json", {"name": "Rays_GoldenSpiral", "kwargs": {"m": 9}}, "rays_json"),
    ],
)
def test_options_that_cannot_be_are_named_in_one_line(option, value, said):
    with pytest.raises(InputError, match=said) as error:
        spec_from_config({**config_from_spec(StarConvexSpec()), option: value}, "model/config.json")
    assert str(error.value).startswith("model/config.json: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("grid", [1, 2, 2], "grid: expected two"),
        ("grid", [3, 2], "grid: expected three powers of 2"),
        ("unet_pool", 2, "unet_pool: expected two"),
        ("unet_kernel_size", [3, 0], "unet_kernel_size: expected two"),
        ("backbone", "resnet", "backbone: expected unet"),
        ("anisotropy", None, "anisotropy: is not an option of a StarDist 2-D model"),
        ("rays_json", RAYS, "rays_json: is not an option of a StarDist 2-D model"),
        ("unet_colour", 1, "unet_colour: is not an option of a StarDist 2-D model"),
        ("n_rays", 2, "n_rays"),
        ("n_rays", None, "n_rays"),
        ("axes", "CYX", "channels last"),
        ("axes", "ZYXC", "ZYXC of a 2-D model"),
        ("n_dim", 3, "YXC of a 3-D model"),
    ],
)
def test_options_that_a_2d_model_cannot_have_are_named_in_one_line(option, value, said):
    with pytest.raises(InputError, match=said) as error:
        spec_from_config({**VERSATILE, option: value}, "model/config.json")
    assert str(error.value).startswith("model/config.json: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"backbone": UNet()}, "kernel_size: expected 1 along z"),
        ({"backbone": UNet(kernel_size=(1, 3, 3))}, "pool: expected 1 along z"),
        ({"backbone": ResNet(kernel_size=(1, 3, 3))}, "backbone: expected unet"),
        ({"grid": (2, 2, 2)}, "grid: expected 1 along z"),
        ({"anisotropy": (1.0, 1.0, 1.0)}, "anisotropy"),
    ],
)
def test_a_2d_spec_is_flat(changed, said):
    flat = {"backbone": UNet(kernel_size=(1, 3, 3), pool=(1, 2, 2)), "rays": FLAT}
    with pytest.raises(InputError, match=said):
        StarConvexSpec(**{**flat, **changed})


def test_a_3d_config_cannot_name_the_rays_of_a_plane():
    flat = {"unet_kernel_size": [1, 3, 3], "unet_pool": [1, 2, 2]}
    with pytest.raises(InputError, match=r"rays_json\.name"):
        spec_from_config({**flat, "rays_json": FLAT})


def test_too_few_blocks_for_the_grid():
    with pytest.raises(InputError, match="at least 2"):
        StarConvexSpec(ResNet(n_blocks=1), RAYS, grid=(1, 4, 1))
