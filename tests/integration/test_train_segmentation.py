"""train-segmentation, as a person types it: from labelled volumes to a model that segment uses."""

import shutil
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile

import barlowtrack as bt
from barlowtrack.config import ComputeConfig, SegmentationTrainingConfig, SegmentConfig, load_section
from barlowtrack.detect.agreement import Agreement, agreement
from barlowtrack.detect.training import brightness_of, train_segmentation
from barlowtrack.io.pairs import open_pairs
from barlowtrack.io.segmenter import SHIPPED
from barlowtrack.io.stardist_model import read_model_folder
from barlowtrack.stages.segment import finder, region, segment_volume
from barlowtrack.synthetic import preset, simulate

SIZE = (1.5, 0.35, 0.35)
WHERE = ["--axes", "ZYX", "--recording-voxel-size", *map(str, SIZE), "--device", "cpu", "--quiet"]
SMALL = "rays=32 features=16 filters=8 depth=2 batch=4 patch=[8,32,32] voxel_size_um=[1.5,0.5,0.5] held_out=0.34 half_precision=false"
TINY = "rays=16 features=4 filters=4 depth=1 batch=1 patch=[4,16,16] voxel_size_um=[1.5,0.7,0.7] epochs=3 steps=2 half_precision=false"
ENOUGH = "epochs=4 steps=100 learning_rate=0.002"


def settings(text):
    return [part for setting in text.split() for part in ("--set", setting)]


def worm(seed):
    return simulate(preset("easy", n_volumes=1, n_neurons=10, volume_shape=(12, 56, 64)), seed=seed)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Six small volumes and their labels, as TIFFs that say nothing of themselves."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for k in range(6):
        film = worm(k)
        tifffile.imwrite(folder / "images" / f"{k}.tif", film.recording.read(0)[0], photometric="minisblack")
        tifffile.imwrite(folder / "labels" / f"{k}.tif", film.labels.read(0).astype(np.uint16), photometric="minisblack")
    return folder


@pytest.fixture
def own_pairs(pairs, tmp_path):
    """A copy that may be damaged."""
    shutil.copytree(pairs, tmp_path / "pairs")
    return tmp_path / "pairs"


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    """A model of 400 steps; a quarter of a minute on one core."""
    from click.testing import CliRunner

    from barlowtrack.cli.main import cli

    out = tmp_path_factory.mktemp("trained") / "model"
    arguments = ["train-segmentation", str(pairs / "images"), str(pairs / "labels"), "--out", str(out), *WHERE]
    result = CliRunner().invoke(cli, [*arguments, *settings(f"{SMALL} {ENOUGH}")], standalone_mode=False)
    assert result.exception is None, result.exception
    return out, result.output


@pytest.mark.slow
def test_it_learns(trained):
    """Figure: IoU 0.60, F1 0.90 of the nuclei of two held-out volumes, after 400 steps with these settings."""
    out, said = trained
    history = pd.read_csv(out / "history.csv")
    assert history["held_out_iou"].iloc[0] < 0.1
    assert history["held_out_iou"].iloc[-1] >= 0.5
    assert history["held_out_loss"].iloc[-1] < 0.6 * history["held_out_loss"].iloc[0]
    assert f"held-out IoU {history.loc[history['held_out_loss'].idxmin(), 'held_out_iou']:.3f}" in said
    assert f"segment.model={out}" in said
    assert not out.with_name("model.training").exists()


@pytest.mark.slow
def test_what_it_has_learned_is_used(trained):
    out, _ = trained
    model, film = read_model_folder(out), worm(77)
    assert model.voxel_size_um == (1.5, 0.5, 0.5)
    assert model.brightness.curve == 20.0
    config = SegmentConfig(model=str(out))
    find = finder(film.recording, model, config, ComputeConfig(device="cpu"))
    found = segment_volume(film.recording.read(0), 0, film.recording, find, config, region(film.recording, config))
    said = Agreement.nothing() + agreement(film.labels.read(0), found.labels)
    assert said.f1_at(0.3) >= 0.6
    assert said.mean_iou >= 0.35


@pytest.mark.slow
def test_a_run_uses_it(trained, tiny_worm, tmp_path):
    out, _ = trained
    run = bt.prepare(tiny_worm / "recording", out=tmp_path / "run", overrides=[f"segment.model={out}", "compute.device=cpu"])
    run.run(upto="segment")
    assert 50 < len(bt.Run(tmp_path / "run").detections) < 300


def test_stopped_in_the_middle_it_goes_on_to_the_same_bytes(pairs, call, tmp_path):
    folders = [pairs / "images", pairs / "labels"]
    code, _, err = call("train-segmentation", *folders, "--out", tmp_path / "whole", *WHERE, *settings(TINY))
    assert code == 0, err
    config = load_section(SegmentationTrainingConfig, None, TINY.split())
    from barlowtrack.config import RecordingConfig

    source = open_pairs(
        *folders,
        voxel_size_um=config.voxel_size_um,
        brightness=brightness_of(config),
        memory_gb=1.0,
        config=RecordingConfig(voxel_size_um=SIZE, axes="ZYX"),
    )
    killed = list(islice(train_segmentation(source, config=config, compute=ComputeConfig(device="cpu")), 2))[-1]
    (tmp_path / "again.training").mkdir()
    (tmp_path / "again.training" / "state.safetensors").write_bytes(killed.to_bytes())
    code, _, err = call("train-segmentation", *folders, "--out", tmp_path / "again", *WHERE, *settings(TINY))
    assert code == 0
    assert "goes on after round 1" in err
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".training")] == []


def test_an_ome_zarr_and_the_labels_of_a_run_folder_are_pairs_too(tiny_worm, tiny_run, call, tmp_path):
    bt.write_recording(bt.open_recording(tiny_worm / "recording"), tmp_path / "worm.ome.zarr", layout="ome-zarr-0.5")
    arguments = [tmp_path / "worm.ome.zarr", tiny_run.path / "labels.zarr", "--out", tmp_path / "model", "--device", "cpu", "--quiet"]
    code, out, err = call("train-segmentation", *arguments, *settings(TINY))
    assert code == 0, err
    assert "held-out IoU" in out
    assert read_model_folder(tmp_path / "model").voxel_size_um == (1.5, 0.7, 0.7)


def said_in_one_line(code, out, err):
    assert code == 2, (out, err)
    lines = [line for line in err.splitlines() if line.startswith("barlowtrack: ")]
    assert len(lines) == 1, err
    assert err.splitlines()[-1] == lines[0], err
    assert "Traceback" not in err
    return lines[0]


def change(path, how):
    tifffile.imwrite(path, how(tifffile.imread(path)), photometric="minisblack")


def keep_one(folder):
    for path in [*sorted((folder / "images").iterdir())[1:], *sorted((folder / "labels").iterdir())[1:]]:
        path.unlink()


WRONG_PAIRS = {
    "labels of another shape": (lambda f: change(f / "labels" / "3.tif", lambda v: v[:, :-1]), [], r"3.tif: expected 1 volume(s) of shape"),
    "a label file is missing": (
        lambda f: (f / "labels" / "3.tif").unlink(),
        [],
        "expected a label image of the same name for every image, got none for 3.tif",
    ),
    "one pair": (keep_one, [], "at least two pairs"),
    "labels that are shares": (
        lambda f: change(f / "labels" / "3.tif", lambda v: v.astype(np.float32) / 2),
        [],
        "expected labels that are whole numbers",
    ),
    "labels that are no numbers": (
        lambda f: change(f / "labels" / "3.tif", lambda v: np.full(v.shape, np.nan, np.float32)),
        [],
        "expected labels that are whole numbers",
    ),
    "labels without end": (
        lambda f: change(f / "labels" / "3.tif", lambda v: np.full(v.shape, np.inf, np.float32)),
        [],
        "expected labels that are whole numbers",
    ),
    "an image that is no number": (
        lambda f: change(f / "images" / "3.tif", lambda v: np.full(v.shape, np.nan, np.float32)),
        [],
        "NaN or infinity",
    ),
    "no images": (lambda f: [p.unlink() for p in (f / "images").iterdir()], [], "expected TIFFs, got none"),
    "no folder": (lambda f: shutil.rmtree(f / "images"), [], "images"),
    "wrong axes": (lambda f: None, ["--axes", "TCZYX"], "axes"),
    "axes that are none": (lambda f: None, ["--axes", "ABC"], "axes"),
    "voxels of nothing": (lambda f: None, ["--recording-voxel-size", "0", "1", "1"], "voxel_size_um"),
    "unknown setting": (lambda f: None, ["--set", "epoch=3"], "did you mean epochs?"),
    "setting out of bounds": (lambda f: None, ["--set", "rays=3"], "greater than or equal to 16"),
    "a patch that does not fit": (lambda f: None, ["--set", "patch=[5,16,16]"], "patch: expected multiples of"),
    "no such file of settings": (lambda f: None, ["--config", "nowhere.toml"], "nowhere.toml"),
    "exploding": (lambda f: None, ["--set", "learning_rate=1e30"], "finite loss"),
    "a place that is taken": (lambda f: (f.parent / "model").mkdir(), [], "expected a free place for the model"),
}


@pytest.mark.parametrize(("damage", "more", "said"), WRONG_PAIRS.values(), ids=WRONG_PAIRS.keys())
def test_wrong_pairs_or_settings_are_one_line(own_pairs, call, tmp_path, damage, more, said):
    damage(own_pairs)
    arguments = [own_pairs / "images", own_pairs / "labels", "--out", tmp_path / "model", *WHERE, *settings(TINY), *more]
    assert said in said_in_one_line(*call("train-segmentation", *arguments))
    assert not (tmp_path / "model" / "config.json").exists()


@pytest.mark.parametrize("content", ["another", b"12345678{"])
def test_a_state_that_cannot_be_used_says_where_it_lies(pairs, call, tmp_path, content):
    (tmp_path / "model.training").mkdir()
    if content == "another":
        config = load_section(SegmentationTrainingConfig, None, [*TINY.split(), "seed=4"])
        film = open_pairs(
            pairs / "images" / "0.tif",
            pairs / "labels" / "0.tif",
            voxel_size_um=None,
            brightness=brightness_of(config),
            memory_gb=1.0,
            config=bt.config.RecordingConfig(voxel_size_um=SIZE, axes="ZYX"),
        )
        film.items = film.items * 2
        content = next(train_segmentation(film, config=config, compute=ComputeConfig(device="cpu"))).to_bytes()
    (tmp_path / "model.training" / "state.safetensors").write_bytes(content)
    arguments = [pairs / "images", pairs / "labels", "--out", tmp_path / "model", *WHERE, *settings(TINY)]
    said = said_in_one_line(*call("train-segmentation", *arguments))
    assert "model.training" in said
    assert "delete it to start over" in said


def test_all_settings_are_explained_and_can_be_read_again(call, tmp_path):
    code, out, _ = call("train-segmentation", "--default")
    assert code == 0
    (tmp_path / "all.toml").write_text(out)
    assert load_section(SegmentationTrainingConfig, tmp_path / "all.toml") == SegmentationTrainingConfig()
    assert all(f"{name} =" in out for name in SegmentationTrainingConfig.model_fields)


@pytest.fixture
def model(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "lab")
    return tmp_path / "lab"


def other_weights(folder):
    with h5py.File(folder / "weights_best.h5", "r+") as file:
        name = next(n for n in file.attrs["layer_names"] if b"down" in n).decode()
        del file[f"{name}/{name}/kernel:0"]
        file[f"{name}/{name}/kernel:0"] = np.zeros((3, 3, 3, 1, 5), np.float32)


PLANES = Path(__file__).parents[1] / "data" / "stardist" / "planes"
WRONG_MODELS = {
    "gone": (shutil.rmtree, "is not there"),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json: cannot be read"),
    "no weights": (lambda f: (f / "weights_best.h5").unlink(), "expected weights"),
    "weights that do not fit": (other_weights, "weights_best.h5: layer"),
    "2-D with the weights of 3-D": (lambda f: shutil.copy(PLANES / "config.json", f), "weights_best.h5: layer"),
    "damaged config": (lambda f: (f / "config.json").write_text("{"), "config.json: not JSON"),
    "damaged barlowtrack.json": (lambda f: (f / "barlowtrack.json").write_text("{"), "barlowtrack.json: not JSON"),
    "barlowtrack.json of a list": (lambda f: (f / "barlowtrack.json").write_text("[]"), "barlowtrack.json: expected names"),
    "no brightness": (lambda f: (f / "barlowtrack.json").write_text("{}"), "barlowtrack.json: brightness: expected"),
    "percentiles beyond": (
        lambda f: (f / "barlowtrack.json").write_text('{"brightness": {"low": -5, "high": 120, "curve": 0}}'),
        "barlowtrack.json: brightness: expected",
    ),
    "brightness that is no number": (
        lambda f: (f / "barlowtrack.json").write_text('{"brightness": {"low": NaN, "high": 99, "curve": 0}}'),
        "barlowtrack.json: brightness: expected",
    ),
    "two sizes": (
        lambda f: (f / "barlowtrack.json").write_text('{"brightness": {"low": 1, "high": 99, "curve": 0}, "voxel_size_um": [1, 2]}'),
        "barlowtrack.json: voxel_size_um: expected 3 lengths",
    ),
}


@pytest.mark.parametrize(("damage", "said"), WRONG_MODELS.values(), ids=WRONG_MODELS.keys())
def test_a_model_that_cannot_be_used_is_one_line(pairs, model, call, tmp_path, damage, said):
    damage(model)
    arguments = [
        pairs / "images" / "0.tif",
        "--out",
        tmp_path / "run",
        "--axes",
        "ZYX",
        "--voxel-size",
        *SIZE,
        "--device",
        "cpu",
        "--quiet",
    ]
    line = said_in_one_line(*call("segment", *arguments, "--set", f"segment.model={model}"))
    assert said in line
    assert str(model) in line


VOLUMES = {
    "zeros": (np.zeros((6, 40, 40), np.uint16), 0, ""),
    "saturated": (np.full((6, 40, 40), 65535, np.uint16), 0, ""),
    "not a number": (np.full((6, 40, 40), np.nan, np.float32), 2, "volume 0: expected finite numbers, got NaN or infinity"),
    "one plane": (np.eye(40, dtype=np.uint16)[None] * 100, 2, "expected at least 2 planes"),
}


@pytest.mark.parametrize(("volume", "code", "said"), VOLUMES.values(), ids=VOLUMES.keys())
def test_odd_volumes(call, tmp_path, volume, code, said):
    tifffile.imwrite(tmp_path / "worm.tif", volume, photometric="minisblack")
    arguments = [tmp_path / "worm.tif", "--axes", "ZYX"[len(volume) == 1 :], "--voxel-size", *SIZE, "--device", "cpu", "--quiet"]
    arguments += ["--out", tmp_path / "run"]
    done = call("segment", *arguments)
    if code:
        assert said in said_in_one_line(*done)
    else:
        assert done[0] == 0, done
        assert len(bt.Run(tmp_path / "run").detections) == 0
        assert not bt.Run(tmp_path / "run").labels.read(0).any()
