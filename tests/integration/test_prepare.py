"""A harmed recording through the whole pipeline, prepared: keys, places, and what everybody sees."""

import json
import shutil

import numpy as np
import pytest

import barlowtrack as bt
from barlowtrack.cli.evaluation import evaluate_run
from barlowtrack.errors import ConfigError, InputError, StorageError
from barlowtrack.imports import Space, read_identities
from barlowtrack.io import open_recording
from barlowtrack.io.tables import read_truth
from barlowtrack.pipeline import Listener
from barlowtrack.preparing.view import seen_through
from tests.conftest import FAST

ASKED = [f"prepare.{step}=true" for step in ("background", "hot_pixels", "jitter", "alignment")] + [
    "prepare.mirror=y",
    "prepare.planes=[3, 12]",
]


def states(job):
    return {item.stage.name: item.state for item in job.plan()}


@pytest.fixture(scope="module")
def harmed(tmp_path_factory):
    """A folder with a harmed recording, its truth, and a run of it that was told to prepare it."""
    from click.testing import CliRunner

    from barlowtrack.cli.main import cli

    folder = tmp_path_factory.mktemp("harmed")
    words = f"simulate {folder / 'it'} --preset easy --volumes 6 --neurons 30 --shape 12 96 144 --quiet --jitter 1.5 --hot-pixels 0.001"
    words += " --offset 20 60 --camera-shift 3 -2 --camera-turn 1"
    result = CliRunner().invoke(cli, words.split(), standalone_mode=False)
    assert result.exception is None, result.exception
    bt.run(folder / "it" / "recording", overrides=[*FAST, *ASKED], check=False)
    return folder / "it"


def test_the_truth_about_the_faults_is_told(harmed):
    told = json.loads((harmed / "truth_faults.json").read_text())
    assert np.array(told["jitter_vox"]).shape == (6, 12, 2)
    assert len(told["alignment_matrix"]) == 6
    assert told["offset"] == [20, 60]
    found = bt.Run(harmed / "recording.barlowtrack").preparation
    assert {tuple(at) for at in told["hot_pixels"]} <= {tuple(at) for at in found.hot.tolist()}
    np.testing.assert_allclose(found.offset, (124, 164), atol=3)


def test_places_of_the_truth_are_taken_where_the_run_has_them(harmed):
    run = bt.Run(harmed / "recording.barlowtrack")
    figures = json.loads(evaluate_run(run.path, harmed / "truth.csv", None, None, as_json=True))
    assert figures["detection recall"] > 0.9  # in a mirrored picture
    truth = read_truth(harmed / "truth.csv")
    there = run.as_prepared(truth)
    shown = truth.position_um[:, 0] >= 2.5 * run.recording.voxel_size_um[0]
    assert len(there) == shown.sum() < len(truth)
    assert np.abs(there.position_um - truth.position_um[shown])[:, 1].max() > 5


def test_a_truth_in_planes_that_were_cut_off_is_said_to_lie_there(harmed, tmp_path):
    (tmp_path / "truth.csv").write_text("t,neuron,z_um,y_um,x_um\n0,1,0,10,10\n1,1,0,10,10\n")
    with pytest.raises(InputError, match=r"none of its 2 rows lies in the prepared pictures: .* \[prepare\] planes"):
        evaluate_run(harmed / "recording.barlowtrack", tmp_path / "truth.csv", None, None, as_json=True)


@pytest.mark.parametrize("to", ["csv", "parquet", "mat", "ctc", "geff", "napari", "nwb"])
def test_exports_say_where_things_are_and_read_back_as_the_truth_that_they_are(harmed, tmp_path, to):
    """Masks are the prepared ones, with as many planes; whoever reads places as a truth gets those of the disk."""
    pytest.importorskip({"nwb": "pynwb", "geff": "geff"}.get(to, "numpy"), reason=f"what {to} needs is not installed")
    run = bt.Run(harmed / "recording.barlowtrack")
    path = run.export(to, tmp_path / f"worm.{to}", images=to in ("napari", "nwb"))
    masks, said = run.labels.read(2), "mirrored along y"
    if to == "mat":
        from scipy.io import loadmat

        file = loadmat(path, simplify_cells=True)
        assert said in file["info"]["note"]
        recorded = np.stack([file["detections"][f"recorded_{axis}_um"] for axis in "zyx"], 1)
        card = run.folder.about()["card"]
        back = run.preparation.prepared_um(run.detections.t, recorded, tuple(card["voxel_size_um"]))
        np.testing.assert_allclose(back, run.detections.position_um, atol=0.2)
    elif to == "nwb":
        import pynwb

        with pynwb.NWBHDF5IO(str(path), "r") as io:
            file = io.read()
            assert said in file.session_description
            assert said in file.processing["CalciumActivity"].description
            images = file.acquisition["CalciumImageSeries"]
            shown = images.data[2].transpose(3, 2, 1, 0) * images.conversion + images.offset
            assert np.abs(shown - run.recording.read(2)).max() <= 0.51  # rounded to whole camera units, below 0 too
            found = file.processing["CalciumActivity"]["CalciumSeriesSegmentationUntracked"].data[2].transpose(2, 1, 0)
            np.testing.assert_array_equal(found, masks)
        assert not pynwb.validate(path=str(path))
        again = open_recording(path)  # its images are a recording, of which the same file is the truth: where these show nuclei
        assert (again.shape, again.channel_names) == (run.recording.shape, run.recording.channel_names)
        itself, known = read_identities(path, Space(recording=path)), run.tracks.neuron >= 0
        order = np.lexsort([run.tracks.neuron[known], run.detections.t[known]])
        np.testing.assert_allclose(itself.position_um, run.detections.position_um[known][order], atol=1e-4)
        assert itself.told == ("the run is of the images in this file: places are taken as they lie in these",)
        assert np.abs(read_identities(path, Space(recording=tmp_path)).position_um - itself.position_um).max() > 5
    else:
        assert said in (path / "README.md").read_text()
    if to in ("geff", "napari"):
        import zarr

        np.testing.assert_array_equal(zarr.open_array(path / {"geff": "labels.zarr/0", "napari": "nuclei.zarr"}[to], mode="r")[2], masks)
    if to == "napari":
        np.testing.assert_array_equal(zarr.open_array(path / "channel-0.zarr", mode="r")[2], run.recording.read(2)[0])
    if to in ("csv", "parquet", "ctc", "nwb"):
        truth = path / f"detections.{to}" if to in ("csv", "parquet") else path
        figures = json.loads(evaluate_run(run.path, truth, None, None, as_json=True))
        assert figures["identity accuracy"] == figures["detection recall"] == 1
        other = bt.Run(shutil.copytree(run.path, tmp_path / "other.barlowtrack"))
        taken = other.take_identities(truth)
        assert (taken.matched, len(taken.rows)) == (taken.points, 0)


def test_identities_of_another_program_lie_as_the_disk_has_them(harmed, tmp_path):
    """What is given as corrections is taken to the prepared pictures as a truth is; what is not in them is lost, and said."""
    run = bt.Run(shutil.copytree(harmed / "recording.barlowtrack", tmp_path / "run.barlowtrack"))
    truth = read_truth(harmed / "truth.csv")
    taken = run.take_identities(harmed / "truth.csv")
    assert taken.points == len(truth)
    assert taken.matched > 0.85 * len(run.as_prepared(truth))
    assert f"{len(truth) - len(run.as_prepared(truth))} points lie outside the prepared pictures" in taken.told[-1]


def test_everybody_sees_the_same_pictures(harmed):
    run = bt.Run(harmed / "recording.barlowtrack")
    seen = run.recording
    assert seen.dtype == np.float32
    assert seen_through(seen) is not None
    raw = open_recording(harmed / "recording")
    assert seen.fingerprint == raw.fingerprint
    from barlowtrack.seen import at_hand

    np.testing.assert_array_equal(at_hand(run.folder).read(2), seen.read(2))
    red = [seen.read(2)[0], run.labels.read(2)]
    assert np.median(red[0][red[1] > 0]) > 5 * abs(np.median(red[0][red[1] == 0]))
    assert "What was done to the pictures" in run.report.read_text()


def test_napari_shows_what_the_run_sees(harmed):
    pytest.importorskip("napari")
    from barlowtrack.plugin.layers.opened import run_layers

    said = []
    layers = run_layers(harmed / "recording.barlowtrack", complain=said.append)
    assert not said
    np.testing.assert_array_equal(np.asarray(layers[0][0][2]), bt.Run(harmed / "recording.barlowtrack").recording.read(2)[0])


def test_a_second_run_has_nothing_to_do_and_another_wish_is_told(harmed):
    folder = harmed / "recording.barlowtrack"
    assert set(states(bt.prepare(folder)).values()) == {"cached"}
    [first, second, *_] = bt.prepare(folder, overrides=["prepare.mirror=x"]).plan()
    assert first.reasons == ('prepare.mirror "y" -> "x"',)
    assert "pictures prepared in another way (prepare)" in second.reasons


def test_taken_back_it_is_as_if_it_had_never_been(tiny_run, tiny_worm, tmp_path):
    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")
    folder = tmp_path / "recording.barlowtrack"
    (folder / "keys" / "prepare.json").unlink()  # as folders are that are older than the stage
    (folder / "preparation.safetensors").unlink()
    assert set(states(bt.prepare(folder)).values()) == {"cached"}
    before = bt.Run(folder).recording.read(0)
    bt.prepare(folder, overrides=["prepare.mirror=x"]).run(only="prepare")
    # the nuclei were found in pictures that were not mirrored: these are shown until they are found anew
    np.testing.assert_array_equal(bt.Run(folder).recording.read(0), before)
    assert states(bt.prepare(folder))["segment"] == "stale"
    bt.prepare(folder).run(upto="segment")
    np.testing.assert_array_equal(bt.Run(folder).recording.read(0), before[..., ::-1])
    bt.prepare(folder, overrides=["prepare.mirror=none"]).run(only="prepare")
    with pytest.raises(StorageError, match="prepared in another way"):
        _ = bt.Run(folder).recording
    assert states(bt.prepare(folder))["segment"] == "stale"


def test_a_run_that_was_cut_off_goes_on(harmed, tmp_path):
    """Killed between two volumes, it measures only those that are left, and says the same."""
    job = bt.prepare(harmed / "recording", out=tmp_path / "again", overrides=[*FAST, *ASKED])

    class Cut(Listener):
        def started(self, item):
            def progress(done, total):
                if done == 3:
                    raise KeyboardInterrupt

            return progress

    with pytest.raises(KeyboardInterrupt):
        job.run(only="prepare", listener=Cut())
    assert "goes on after part 3" in job.plan()[0].reasons[0]
    job.run(only="prepare")
    whole = (harmed / "recording.barlowtrack" / "preparation.safetensors").read_bytes()
    assert (tmp_path / "again" / "preparation.safetensors").read_bytes() == whole


def test_corrections_hold_in_the_pictures_in_which_they_were_said(harmed, tmp_path):
    """Mirrored afterwards, what was said of one nucleus would be taken for another: refused, in all three ways that lead there."""
    for name in ("one", "two"):
        shutil.copytree(harmed, tmp_path / name)
    one, two = (tmp_path / name / "recording.barlowtrack" for name in ("one", "two"))
    before = (one / "settings.toml").read_text()
    bt.Run(one).correct("name", neuron=1, other="AVAL", who="Bo")
    for only in ("prepare", None):
        with pytest.raises(StorageError, match=r'corrections \(1\) hold where nuclei lie now, .*prepare.mirror "y" -> "x"'):
            bt.prepare(one, overrides=["prepare.mirror=x"]).run(only=only)
    assert (one / "settings.toml").read_text() == before
    bt.prepare(one, overrides=["prepare.hot_pixels=false"]).run(only="prepare")  # moves nothing
    with pytest.raises(StorageError, match="prepared in another way now"):
        bt.Run(one).correct("name", neuron=2, other="AVAR", who="Bo")  # of labels that lie in the pictures before
    bt.prepare(one, overrides=["prepare.hot_pixels=true"]).run(only="prepare")
    assert bt.Run(two).take_corrections(one) == 1
    bt.Run(two).undo_correction(2, who="Bo")
    bt.prepare(two, overrides=["prepare.mirror=x"]).run(upto="trace")
    with pytest.raises(InputError, match="nuclei lie elsewhere there"):
        bt.Run(two).take_corrections(one)
    assert states(bt.prepare(two))["trace"] == "cached"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("prepare.planes=[3, 40]", "expected some of 0 to 12"),
        ("prepare.offset=[1, 2, 3]", "expected 2 numbers"),
        ("prepare.deconvolution=nothing-like-it", "nothing installed is called"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(tiny_worm, tmp_path, override, said):
    with pytest.raises(InputError, match=said):
        bt.prepare(tiny_worm / "recording", out=tmp_path / "run", overrides=[override]).run(only="prepare")


@pytest.mark.parametrize("override", ["prepare.planes=[5, 5]", "prepare.alignment_matrix=[0, 0, 0, 0, 0, 0]", "prepare.deconvolution=a:b"])
def test_wishes_that_mean_nothing_are_refused_at_once(override):
    with pytest.raises(ConfigError):
        bt.prepare("nowhere", overrides=[override])
