"""The folder that is exported for napari opens in a real window, by napari's own readers."""

import sys

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def main_module():
    """napari leaves the path of a script that it ran in __main__, and every process forked by a server would run that script first."""
    main = vars(sys.modules["__main__"])
    before = dict(main)
    yield
    main.clear()
    main.update(before)


def test_the_script_puts_the_layers_together(qt, viewer, raised, tiny_run, tmp_path):
    folder = tiny_run.export("napari", tmp_path / "worm", images=True)
    viewer.open(folder / "open_in_napari.py", plugin="napari")
    qt.spin(0.2)
    kinds = {layer.name: type(layer).__name__ for layer in viewer.layers}
    assert kinds == {
        "red": "Image", "green": "Image", "neurons": "Labels", "all nuclei": "Labels", "tracks": "Tracks", "nuclei": "Points",
    }  # fmt: skip
    size = tiny_run.folder.about()["card"]["voxel_size_um"]
    assert all(np.allclose(layer.scale, [1, *size]) for layer in viewer.layers)
    found, tracks = tiny_run.detections, tiny_run.tracks
    points = viewer.layers["nuclei"]
    np.testing.assert_allclose(points.data[:, 1:] * size, found.position_um, rtol=1e-6)
    at = int(np.flatnonzero(tracks.neuron >= 0)[0])
    place = np.round(points.data[at]).astype(int)
    assert np.asarray(viewer.layers["neurons"].data[tuple(place)]) == tracks.neuron[at] + 1
    assert viewer.layers["tracks"].data.shape == ((tracks.neuron >= 0).sum(), 5)
    assert not raised


def test_points_are_a_layer_without_the_script(qt, viewer, raised, tiny_run, tmp_path):
    folder = tiny_run.export("napari", tmp_path / "worm")
    viewer.open(folder / "points.csv", plugin="napari")
    [layer] = viewer.layers
    assert type(layer).__name__ == "Points"
    assert len(layer.data) == len(pd.read_csv(folder / "points.csv")) == len(tiny_run.detections)
    assert not raised
