"""A model folder from elsewhere may be wrong in any way: one line says how, nothing outside it is read, nothing aborts."""

import json

import h5py
import numpy as np
import pytest
import torch

from barlowtrack.errors import InputError
from barlowtrack.io.stardist_model import read_model_folder, write_model_folder
from barlowtrack.nn.segmentation_model import SegmentationModel
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, UNet, spec_from_config

SPEC = StarConvexSpec(UNet(n_depth=1, n_filter_base=2), {"name": "Rays_GoldenSpiral", "kwargs": {"n": 8}}, conv_after=0)
OCTAHEDRON = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]
FACES = [[0, 2, 4], [0, 4, 3], [0, 3, 5], [0, 5, 2], [1, 4, 2], [1, 3, 4], [1, 5, 3], [1, 2, 5]]


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    write_model_folder(SegmentationModel(SPEC, StarConvexNet(SPEC).state_dict()), tmp_path / "model")
    return tmp_path / "model"


def explicit(vertices, faces):
    return {"rays_json": {"name": "Rays_Explicit", "kwargs": {"vertices0": vertices, "faces0": faces}}}


def test_rays_that_span_space_are_taken():
    assert spec_from_config(explicit(OCTAHEDRON, FACES)).n_rays == 6


@pytest.mark.parametrize(
    "rays",
    [
        explicit([[0, y, x] for _, y, x in OCTAHEDRON], FACES),
        explicit(OCTAHEDRON, [*FACES[:-1], [1, 2, 10**6]]),
        explicit(OCTAHEDRON, [*FACES[:-1], [1, 2, -1]]),
        explicit([[float("nan"), 0, 0], *OCTAHEDRON[1:]], FACES),
        {"rays_json": {"name": "Rays_GoldenSpiral", "kwargs": {"n": 2 * 10**8}}},
    ],
    ids=["flat", "face beyond", "negative face", "nan", "too many"],
)
def test_rays_that_the_compiled_geometry_cannot_bear_are_refused(rays):
    with pytest.raises(InputError, match="rays_json"):
        spec_from_config(rays)


@pytest.mark.parametrize(
    "option", [{"unet_n_depth": 10**6}, {"unet_n_filter_base": 10**9}, {"unet_expansion": 1e308}, {"grid": [1e400, 1, 1]}]
)
def test_networks_beyond_all_bounds_are_refused(option):
    with pytest.raises(InputError, match=r"config\.json"):
        spec_from_config(option)


@pytest.mark.parametrize("how", ["external link", "soft link", "external storage", "virtual", "text", "group"])
def test_weights_lie_in_the_file_itself(folder, how):
    """What the model's hash does not cover is not read."""
    secret = folder.parent / "outside"
    with h5py.File(folder / "weights_best.h5", "a") as file:
        (where,) = [name for name in ("conv3d/conv3d", "down_level_0_no_0/down_level_0_no_0") if f"{name}/bias:0" in file][:1]
        shape = file[f"{where}/bias:0"].shape
        del file[f"{where}/bias:0"]
        if how == "external link":
            with h5py.File(secret, "w") as other:
                other["bias"] = np.zeros(shape, np.float32)
            file[f"{where}/bias:0"] = h5py.ExternalLink(str(secret), "bias")
        elif how == "soft link":
            file[f"{where}/bias:0"] = h5py.SoftLink(f"/{where}/bias:0")
        elif how == "external storage":
            secret.write_bytes(bytes(64))
            file.create_dataset(f"{where}/bias:0", shape, np.float32, external=[(str(secret), 0, 64)])
        elif how == "virtual":
            with h5py.File(secret, "w") as other:
                other["bias"] = np.zeros(shape, np.float32)
            layout = h5py.VirtualLayout(shape, np.float32)
            layout[:] = h5py.VirtualSource(str(secret), "bias", shape)
            file.create_virtual_dataset(f"{where}/bias:0", layout)
        elif how == "text":
            file[f"{where}/bias:0"] = ["no number"] * shape[0]
        else:
            file.create_group(f"{where}/bias:0")
    with pytest.raises(InputError, match=r"weights_best\.h5: layer .*: damaged: .*in the file itself"):
        read_model_folder(folder)


def test_weights_too_large_for_single_precision_are_refused(folder):
    with h5py.File(folder / "weights_best.h5", "a") as file:
        kernel = file["prob/prob/kernel:0"][()]
        del file["prob/prob/kernel:0"]
        file["prob/prob/kernel:0"] = kernel.astype(np.float64) + 1e300
    with pytest.raises(InputError, match="expected finite weights"):
        read_model_folder(folder)


def test_json_without_end_is_refused(folder):
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"config\.json: not JSON"):
        read_model_folder(folder)


def test_sizes_that_cannot_be_are_refused(folder):
    said = json.loads((folder / "barlowtrack.json").read_text())
    (folder / "barlowtrack.json").write_text(json.dumps(said | {"voxel_size_um": [1e-300, 1, 1]}))
    with pytest.raises(InputError, match=r"barlowtrack\.json: voxel_size_um: expected 3 lengths"):
        read_model_folder(folder)
