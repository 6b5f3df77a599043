from dataclasses import replace

import numpy as np
import pytest

from barlowtrack.data import Truth
from barlowtrack.plugin.layers.arrays import UNKNOWN_VALUE, NeuronArray, value_of
from barlowtrack.plugin.layers.axes import GREY
from barlowtrack.plugin.layers.dots import DotsOfRun, DotsOfTruth, truth_layer
from barlowtrack.plugin.layers.images import contrast, image_layers
from barlowtrack.plugin.layers.labels import colours_of_values, features_of_values, labels_layer
from barlowtrack.plugin.layers.opened import kind_of, recording_layers, run_layers
from barlowtrack.plugin.layers.tracks import REACH, TAIL, tracks_around
from barlowtrack.plugin.roles import KEY
from barlowtrack.plugin.solution import Solution
from barlowtrack.showing.colours import colour_of


@pytest.fixture(scope="module")
def solution(tiny_run):
    return Solution.read(tiny_run.path)


@pytest.fixture
def nuclei(tiny_run, solution):
    return labels_layer(tiny_run.labels, solution.voxel_size_um, tiny_run.path, None)[0]


def test_a_neuron_has_one_value_in_all_volumes_and_what_is_none_another(tiny_run, solution, nuclei):
    labels = tiny_run.labels.read(3)
    assert set(np.unique(nuclei[3])) == {0, UNKNOWN_VALUE}, "before a solution is known"
    nuclei.show(solution)
    for t in (0, 3, 7):
        labels, values = tiny_run.labels.read(t), nuclei[t]
        assert values.dtype == np.uint16
        for label in np.unique(labels):
            here = np.unique(values[labels == label])
            assert here.tolist() == [0 if label == 0 else value_of(solution.neuron_at(t, int(label)))]
    np.testing.assert_array_equal(nuclei[3, 5], nuclei[3][5])


def test_another_solution_of_the_same_nuclei_reads_no_label_again(solution, nuclei):
    nuclei.show(solution)
    before = nuclei[2]
    held = nuclei.volumes.held
    swapped = np.where(solution.tracks.neuron >= 0, (solution.tracks.neuron + 1) % solution.n_neurons, -1)
    nuclei.show(replace(solution, tracks=replace(solution.tracks, neuron=swapped.astype(solution.tracks.neuron.dtype))))
    assert nuclei.volumes.held == held
    known = (before > 0) & (before < UNKNOWN_VALUE)
    np.testing.assert_array_equal(nuclei[2][known], before[known] % solution.n_neurons + 1)
    np.testing.assert_array_equal(nuclei[2][~known], before[~known])


def test_labels_are_read_again_where_the_nuclei_are_others(solution, nuclei):
    nuclei.show(solution)
    nuclei[2]
    nuclei.show(replace(solution, detections=replace(solution.detections, volume_um3=solution.detections.volume_um3 * 2)))
    assert nuclei.volumes.held == ()


def test_labels_of_which_no_table_knows_are_grey(solution):
    from barlowtrack.plugin.layers.volumes import Volumes

    stray = NeuronArray(Volumes(lambda t: np.full((1, 1, 2), 60_000 + t, np.uint32), 8, (1, 1, 2), np.dtype(np.uint32)))
    stray.show(solution)
    assert np.unique(stray[:]).tolist() == [UNKNOWN_VALUE]


@pytest.mark.parametrize("n_neurons", [0, 1, 20, 254, 255, 300, 1000])
def test_colours_are_those_of_the_report_and_unknown_nuclei_are_grey(n_neurons):
    colours = colours_of_values(n_neurons)
    n = len(colours) - 1

    def shown(value):  # as napari walks through a cycle
        return colours[0 if value == 0 else (value - 1) % n + 1]

    assert shown(0)[3] == 0
    np.testing.assert_allclose(shown(UNKNOWN_VALUE), (*GREY, 1))
    for neuron in range(n_neurons):
        np.testing.assert_allclose(shown(value_of(neuron)), (*colour_of(neuron), 1))


def test_what_the_mouse_is_told(solution):
    features = features_of_values(solution)
    said = dict(zip(features["index"], features["neuron"], strict=True))
    assert said[value_of(4)] == solution.names.text(4)
    assert (said[0], said[UNKNOWN_VALUE]) == ("none", "unknown")


def test_dots_are_the_nuclei_of_a_volume(solution):
    dots = DotsOfRun(solution).at(5)
    part = solution.detections.rows_of(5)
    assert dots.shown.sum() == part.stop - part.start
    assert (DotsOfRun(solution).at(2).features["index"] == dots.features["index"]).all(), "names need not be written anew"
    for row in range(part.start, part.stop):
        neuron = int(solution.tracks.neuron[row])
        (i,) = np.flatnonzero(dots.shown & (dots.features["label"] == solution.detections.label[row]))
        np.testing.assert_allclose(dots.position_um[i], solution.detections.position_um[row])
        np.testing.assert_allclose(dots.colour[i], colour_of(neuron) if neuron >= 0 else GREY)
        assert dots.features["index"][i] == (solution.names.short(neuron) if neuron >= 0 else "")
        assert dots.features["neuron"][i] == (solution.names.text(neuron) if neuron >= 0 else "nobody")
    assert len(DotsOfRun(solution).at(99).position_um) == len(DotsOfRun().at(0).position_um) == 0


@pytest.mark.parametrize("t", [5, 99])
def test_dots_fill_up_with_what_is_not_shown(solution, t):
    dots = DotsOfRun(solution).at(t)
    n = len(dots.shown)
    more = dots.filled_up(n + 3)
    assert more.shown.tolist() == [*dots.shown, False, False, False]
    assert len(more.features) == len(more.position_um) == len(more.colour) == n + 3
    assert list(more.features.columns) == list(dots.features.columns)
    assert dots.filled_up(n) is dots


def test_truth_keeps_its_own_names():
    t, neuron = np.array([3, 1, 3]), np.array([70, 12, 11])
    dots = DotsOfTruth(t, neuron, np.arange(9.0).reshape(3, 3)).at(3)
    assert dots.features["index"].tolist() == ["70", "11"]
    assert dots.position_um.tolist() == [[0, 1, 2], [6, 7, 8]]
    _, keywords, kind = truth_layer(Truth(t, neuron, np.zeros((3, 3))), (1.5, 0.35, 0.35), None)
    assert (kind, keywords["ndim"], keywords["metadata"][KEY]["role"]) == ("points", 3, "truth")


def test_ways_reach_as_far_as_can_be_seen(solution):
    ways = tracks_around(solution, 2)
    known = np.flatnonzero(solution.tracks.neuron >= 0)
    assert len(ways.vertices) == len(known), "all 8 volumes are within reach"
    order = np.lexsort((ways.vertices[:, 1], ways.vertices[:, 0]))
    assert (np.diff(order) == 1).all()
    for neuron, t, *place in ways.vertices[::17]:
        row = solution.row_of[int(neuron), int(t)]
        np.testing.assert_allclose(np.multiply(place, solution.voxel_size_um), solution.detections.position_um[row])
    np.testing.assert_allclose(ways.colour[0, :3], colour_of(int(ways.vertices[0, 0])))
    assert len(tracks_around(solution, 8 + TAIL + REACH).vertices) == 0


def test_contrast_is_robust_and_never_empty():
    rng = np.random.default_rng(0)
    volume = rng.normal(100, 2, (10, 100, 100)).astype(np.float32)
    volume[4:6, 40:60, 40:60] = 500
    volume[0, 0, 0] = 60_000  # a hot pixel
    low, high, most = contrast([volume])
    assert 100 < low < 110
    assert 400 < high <= 500
    assert most == 60_000
    assert low > np.percentile(volume, 97), "in 3-D, where the brightest voxel of a line is shown, noise stays black"
    assert contrast([volume], 300.0)[1] == 300
    assert contrast([volume], 90.0)[1] > 400, "of nuclei that do not shine nothing is learned"
    for odd in (np.zeros((2, 4, 4)), np.full((2, 4, 4), 7), np.full((2, 4, 4), np.nan)):
        low, high, most = contrast([odd.astype(np.float32)])
        assert low < high <= most


def test_channels_have_their_colour_size_and_name(tiny_worm):
    from barlowtrack.io import open_recording

    recording = open_recording(tiny_worm / "recording")
    red, green = image_layers(recording)
    assert [layer[1]["name"] for layer in (red, green)] == ["red", "green"]
    assert [layer[1]["colormap"] for layer in (red, green)] == ["magenta", "green"]
    assert red[1]["scale"] == (1.0, *recording.voxel_size_um)
    assert red[1]["units"] == ("pixel", "um", "um", "um")
    assert red[0].volumes is green[0].volumes
    np.testing.assert_array_equal(green[0][4], recording.read(4)[1])
    alone = replace(recording, shape=(8, 1, *recording.volume_shape), channel_names=("red",), signal=None)
    assert image_layers(alone, complain=lambda _: None)[0][1]["colormap"] == "gray"


def test_what_lies_at_a_path_is_known_by_its_names(tiny_worm, tiny_run, tmp_path):
    assert kind_of(tiny_run.path) == "run"
    assert kind_of(tiny_worm / "recording") == "recording"
    assert kind_of(tiny_run.path / "labels.zarr") == "recording"
    assert kind_of(next((tiny_worm / "recording").iterdir())) == "recording"
    (tmp_path / "notes.txt").write_text("x")
    for nothing in (tmp_path, tmp_path / "notes.txt", tmp_path / "gone", tmp_path / "gone.ome.tif"):
        assert kind_of(nothing) is None


def test_opening_only_to_look_reads_the_same_volumes_without_a_fingerprint(tiny_worm, tmp_path):
    from barlowtrack.data import silent
    from barlowtrack.io import open_recording, write_recording

    known = open_recording(tiny_worm / "recording")
    write_recording(known, tmp_path / "r.ome.zarr", layout="ome-zarr-0.5", progress=silent)
    for path in (tiny_worm / "recording", tmp_path / "r.ome.zarr"):
        seen = open_recording(path, to_look=True)
        assert seen.fingerprint == ""
        assert open_recording(path).fingerprint
        assert replace(seen, fingerprint="", source=None, name="") == replace(known, fingerprint="", source=None, name="")
        np.testing.assert_array_equal(seen.read(5), known.read(5))


def test_a_run_is_shown_without_its_recording_and_says_where_that_was(tiny_worm, tiny_run, tmp_path):
    import shutil

    assert [kind for *_, kind in run_layers(tiny_run.path)] == ["image", "image", "labels", "tracks", "points"]
    recording = shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    run = shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")
    about = run / "run.json"
    about.write_text(about.read_text().replace(tiny_run.folder.about()["recording"], "../recording"))
    said = []
    assert [kind for *_, kind in run_layers(run, complain=said.append)][:2] == ["image", "image"]
    recording.rename(tmp_path / "elsewhere")
    assert [kind for *_, kind in run_layers(run, complain=said.append)] == ["labels", "tracks", "points"]
    assert len(said) == 1
    assert str(recording) in said[0]
    (tmp_path / "recording").mkdir()
    for file in sorted((tmp_path / "elsewhere").iterdir())[:5]:
        shutil.copy(file, tmp_path / "recording")
    run_layers(run, complain=said.append)
    assert "its shape is not that of the recording" in said[-1]


def test_a_voxel_size_that_nobody_gives_says_what_to_do(tmp_path):
    import tifffile

    from barlowtrack.config import RecordingConfig
    from barlowtrack.errors import InputError

    path = tmp_path / "r.ome.tif"
    tifffile.imwrite(path, np.zeros((3, 4, 8, 8), np.uint16), ome=True, metadata={"axes": "TZYX"})
    with pytest.raises(InputError, match=r"barlowtrack open .*r\.ome\.tif --voxel-size Z Y X"):
        recording_layers(path, RecordingConfig())
    assert len(recording_layers(path, RecordingConfig(voxel_size_um=(1, 1, 1)))) == 1


def test_what_is_damaged_in_a_run_keeps_nobody_from_seeing_the_rest(tiny_run, tiny_worm, tmp_path):
    import shutil

    import pandas as pd

    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    run, said = shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack"), []
    about = run / "run.json"
    about.write_text(about.read_text().replace(tiny_run.folder.about()["recording"], "../recording"))
    table = pd.read_parquet(run / "detections.parquet")
    table["green_peak"] = "bright"
    table.to_parquet(run / "detections.parquet")
    assert [kind for *_, kind in run_layers(run, complain=said.append)] == ["image", "image", "labels", "tracks", "points"]
    assert len(said) == 1
    assert "green_peak should be numbers" in said[0]
    for part in (run / "labels.zarr").rglob("zarr.json"):
        part.write_text("{")
    assert [kind for *_, kind in run_layers(run, complain=said.append)] == ["image", "image", "tracks", "points"]
    assert any("The nuclei cannot be shown" in text for text in said[1:])
