"""StarDist's model folders: read, written, and refused where something is wrong."""

import json
import logging
import shutil

import h5py
import numpy as np
import pytest
import torch

from barlowtrack.errors import InputError
from barlowtrack.io.stardist_model import read_model_folder, write_model_folder
from barlowtrack.nn.segmentation_model import SegmentationModel, Thresholds
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import ResNet, StarConvexSpec, UNet

RAYS = {"name": "Rays_GoldenSpiral", "kwargs": {"n": 8, "anisotropy": (2.0, 1.0, 1.0)}}
FLAT = UNet(n_filter_base=2, kernel_size=(1, 3, 5), pool=(1, 2, 2))
SPECS = {
    "unet": StarConvexSpec(UNet(n_filter_base=2), RAYS, (1, 2, 2), (2.0, 1.0, 1.0), conv_after=4),
    "unet with batch norm": StarConvexSpec(UNet(n_filter_base=2, batch_norm=True, prefix="p_"), RAYS, conv_after=0),
    "2-D": StarConvexSpec(FLAT, {"name": "circle", "kwargs": {"n": 8}}, (1, 4, 2), conv_after=4),
    "resnet": StarConvexSpec(ResNet(n_filter_base=2, n_blocks=2), RAYS, (1, 2, 2), conv_after=4),
    "resnet with batch norm": StarConvexSpec(ResNet(n_filter_base=2, n_blocks=2, batch_norm=True), RAYS, (1, 2, 2), conv_after=4),
}


def random_weights(spec):
    torch.manual_seed(0)
    return {name: torch.rand_like(t) if t.is_floating_point() else t for name, t in StarConvexNet(spec).state_dict().items()}


@pytest.fixture
def folder(tmp_path):
    """A small U-Net's folder, to be damaged."""
    write_model_folder(SegmentationModel(SPECS["unet"], random_weights(SPECS["unet"]), Thresholds(0.6, 0.3)), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_written_then_read_is_the_same(spec, tmp_path):
    weights = random_weights(spec)
    write_model_folder(SegmentationModel(spec, weights, Thresholds(0.61, 0.29)), tmp_path / "model")
    model = read_model_folder(tmp_path / "model")
    assert model.spec == spec
    assert model.thresholds == Thresholds(0.61, 0.29)
    assert model.weights.keys() == weights.keys()
    assert all(torch.equal(model.weights[name], tensor) for name, tensor in weights.items())
    model.network()


@pytest.mark.parametrize("kind", ["unet", "resnet", "planes"])
def test_stardists_own_folder_survives_reading_and_writing(kind, stardist_says, tmp_path):
    first = stardist_says(kind).model
    write_model_folder(first, tmp_path / "again")
    second = read_model_folder(tmp_path / "again")
    assert (second.spec, second.thresholds) == (first.spec, first.thresholds)
    assert all(torch.equal(first.weights[name], tensor) for name, tensor in second.weights.items())


@pytest.mark.parametrize("kind", ["unet", "resnet", "planes"])
def test_layers_are_written_in_the_order_stardist_writes(kind, stardist_says, tmp_path):
    """Keras reads by place, not by name: shapes and values must follow each other as in StarDist's own file."""
    said = stardist_says(kind)
    write_model_folder(said.model, tmp_path / "again")

    def in_order(path):
        with h5py.File(path) as file:
            layers = [file[name] for name in file.attrs["layer_names"]]
            return [layer[name][()] for layer in layers for name in layer.attrs["weight_names"]]

    theirs, ours = in_order(said.folder / "weights_best.h5"), in_order(tmp_path / "again" / "weights_best.h5")
    assert len(theirs) == len(ours)
    assert all(np.array_equal(a, b) for a, b in zip(theirs, ours, strict=True))


def test_equal_models_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_model_folder(SegmentationModel(SPECS["resnet"], random_weights(SPECS["resnet"]), Thresholds()), tmp_path / name)
    for file in ("config.json", "thresholds.json", "weights_best.h5"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_keras_may_go_on_counting(folder):
    """A second model of a session has conv3d_7 for its first layer; the order says which is which, and 10 comes after 9."""
    before = read_model_folder(folder).weights
    with h5py.File(folder / "weights_best.h5", "r+") as file:
        file.move("conv3d", "conv3d_9")
        file.move("conv3d_1", "conv3d_10")
        names = {b"conv3d": b"conv3d_9", b"conv3d_1": b"conv3d_10"}
        file.attrs["layer_names"] = np.array([names.get(bytes(n), bytes(n)) for n in file.attrs["layer_names"]])
    after = read_model_folder(folder).weights
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())


def test_kernels_of_a_2d_model_have_two_axes(tmp_path):
    weights = random_weights(SPECS["2-D"])
    write_model_folder(SegmentationModel(SPECS["2-D"], weights, Thresholds()), tmp_path / "model")
    with h5py.File(tmp_path / "model" / "weights_best.h5") as file:
        kernel = file["conv2d/conv2d/kernel:0"][()]
    assert kernel.shape == (3, 5, 1, 2)
    np.testing.assert_array_equal(kernel[1, 4, 0, 1], weights["backbone.to_grid.0.weight"][1, 0, 0, 1, 4])


def test_weights_of_a_3d_model_do_not_fit_a_2d_one(folder):
    write_model_folder(SegmentationModel(SPECS["2-D"], random_weights(SPECS["2-D"]), Thresholds()), folder.parent / "flat")
    shutil.copy(folder / "weights_best.h5", folder.parent / "flat" / "weights_best.h5")
    with pytest.raises(InputError, match=r"layer conv2d: expected by config\.json, got none"):
        read_model_folder(folder.parent / "flat")


def test_the_last_weights_serve_where_there_are_no_best(folder):
    best = read_model_folder(folder).weights
    (folder / "weights_best.h5").rename(folder / "weights_last.h5")
    assert all(torch.equal(best[name], tensor) for name, tensor in read_model_folder(folder).weights.items())


def test_without_thresholds_stardists_defaults_hold(folder, caplog):
    (folder / "thresholds.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert read_model_folder(folder).thresholds == Thresholds(0.5, 0.4)
    assert "thresholds.json" in caplog.text


def test_a_head_for_kinds_of_objects_is_left_out(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "n_classes": 2}))
    before = read_model_folder(folder).weights
    with h5py.File(folder / "weights_best.h5", "r+") as file:
        file.copy("features", "features_class")
        file.attrs["layer_names"] = np.append(file.attrs["layer_names"], [b"features_class"])
    assert read_model_folder(folder).weights.keys() == before.keys()


@pytest.mark.parametrize("name", ["config.json", "weights_best.h5"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=name):
        read_model_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "thresholds.json", "weights_best.h5"])
@pytest.mark.parametrize("content", [b"", b"no such thing", b"[1]"])
def test_a_damaged_file_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=name) as error:
        read_model_folder(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("said", [{"prob": 0.5}, {"prob": 2, "nms": 0.3}, {"prob": "a", "nms": 0.3}, {"prob": None, "nms": 0.3}])
def test_thresholds_that_cannot_be_are_named(folder, said):
    (folder / "thresholds.json").write_text(json.dumps(said))
    with pytest.raises(InputError, match=r"thresholds\.json: (prob|nms): expected"):
        read_model_folder(folder)


def drop_layer(file):
    del file["middle_0"]


def drop_name(file):
    file.attrs["layer_names"] = np.array([n for n in file.attrs["layer_names"] if n != b"middle_0"])


def reshape(file):
    del file["middle_0/middle_0/kernel:0"]
    file["middle_0/middle_0/kernel:0"] = np.zeros((3, 3, 3, 4, 9), np.float32)


def add_layer(file):
    file.copy("middle_0", "extra")
    file.attrs["layer_names"] = np.append(file.attrs["layer_names"], [b"extra"])


def drop_bias(file):
    file["middle_0"].attrs["weight_names"] = np.array([b"middle_0/kernel:0"])


def not_a_number(file):
    file["middle_0/middle_0/kernel:0"][0, 0, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop_layer, "layer middle_0: damaged"),
        (drop_name, "layer middle_0: expected by config.json, got none"),
        (reshape, r"layer middle_0: kernel: expected shape \(3, 3, 3, 4, 8\) by config.json, got \(3, 3, 3, 4, 9\)"),
        (add_layer, "layer extra: expected no such layer"),
        (drop_bias, "layer middle_0: bias: expected shape"),
        (not_a_number, "layer middle_0: kernel: expected finite"),
    ],
)
def test_a_layer_that_does_not_fit_is_named(folder, damage, said):
    with h5py.File(folder / "weights_best.h5", "r+") as file:
        damage(file)
    with pytest.raises(InputError, match=f"weights_best.h5: {said}"):
        read_model_folder(folder)


def test_a_config_of_another_model_is_named(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "unet_n_depth": 3}))
    with pytest.raises(InputError, match=r"weights_best\.h5: layer"):
        read_model_folder(folder)


def test_another_layout_of_weights_is_refused(folder):
    with h5py.File(folder / "weights_best.h5", "w") as file:
        file["layers/conv3d/vars/0"] = np.zeros(3)
    with pytest.raises(InputError, match="layer_names"):
        read_model_folder(folder)


def test_nothing_is_overwritten(folder):
    with pytest.raises(InputError, match="free place"):
        write_model_folder(SegmentationModel(SPECS["unet"], random_weights(SPECS["unet"]), Thresholds()), folder)


def test_weights_that_do_not_fit_leave_nothing_behind(tmp_path):
    with pytest.raises(InputError, match="expected shape"):
        write_model_folder(SegmentationModel(SPECS["unet"], random_weights(SPECS["resnet"]), Thresholds()), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_folder_is_replaced(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "new.partial")
    write_model_folder(SegmentationModel(SPECS["unet"], random_weights(SPECS["unet"]), Thresholds()), tmp_path / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "new"]
