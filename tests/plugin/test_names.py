"""Names in the picture: which have room, and that they are written."""

import time

import numpy as np
import pytest

from barlowtrack.plugin.roles import Role, layers_of
from barlowtrack.plugin.room import size_px, with_room


def slow(corner, size):
    """One after the other, by hand."""
    written = []
    for i, (at, extent) in enumerate(zip(corner, size, strict=True)):
        apart = all((at >= corner[j] + size[j]).any() or (corner[j] >= at + extent).any() for j in written)
        if extent[1] > 0 and apart:
            written.append(i)
    return written


@pytest.mark.parametrize("n", [0, 1, 2, 40, 150])
def test_the_more_important_of_two_names_that_overlap_is_written(n):
    rng = np.random.default_rng(n)
    corner, size = rng.uniform(0, 300, (n, 2)), size_px([""] * (n // 10) + ["17"] * (n - n // 10), 8)
    written = with_room(corner, size)
    assert np.flatnonzero(written).tolist() == slow(corner, size)
    assert not written[: n // 10].any(), "who has no name takes no room"
    assert with_room(10 * corner, size).sum() >= written.sum()
    if n > 1:
        assert written[n // 10]
        assert 0 < written.sum() < n or n == 2


def test_names_are_chosen_in_less_than_two_ms():
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(0, 600, (150, 2)), size_px(["117"] * 150, 8)
    took = []
    for _ in range(20):
        start = time.process_time()
        with_room(corner, size)
        took.append(time.process_time() - start)
    assert np.median(took) < 0.002


def test_who_is_chosen_is_named_and_all_are_to_whoever_comes_near(viewer, qt, tiny_run):
    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.opening import open_run

    open_run(viewer, tiny_run.path)
    session = session_of(viewer)
    qt.wait(lambda: session.solution is not None, what="the solution")
    qt.spin(0.3)
    (dots,) = layers_of(viewer.layers, Role.NEURONS)
    margin = [0.0] * 4
    margin[1] = 100.0  # all planes at once
    viewer.dims.margin_left = viewer.dims.margin_right = tuple(margin)
    viewer.scene.camera.zoom = 1.0
    qt.spin(0.05)

    def written():
        node = viewer.window._qt_viewer.layer_to_visual[dots].node.text  # as it is drawn
        return [str(text) for text in node.text if text]

    names = sorted(dots.features["index"][dots.shown])
    few = written()
    assert 0 < len(few) < len(names)
    hidden = next(name for name in names if name not in few)
    session.choose([int(hidden)])
    assert hidden in written()
    session.choose([])
    assert written() == few, "the same names for the same picture"
    size, dots.text.size = dots.text.size, 3 * dots.text.size
    assert len(written()) < len(few), "larger names are fewer"
    dots.text.size = size
    assert written() == few
    viewer.scene.camera.zoom = 400.0
    assert sorted(written()) == names
    viewer.scene.camera.zoom = 1.0
    viewer.dims.set_current_step(0, 3)
    qt.spin(0.05)
    viewer.dims.set_current_step(0, 0)
    qt.spin(0.05)
    assert written() == few
    viewer.dims.margin_left = viewer.dims.margin_right = (0.0, 1.5, 0.0, 0.0)
    viewer.scene.camera.zoom = 3.0
    for z in (3, 6, 9):
        viewer.dims.set_current_step(1, z)
        qt.spin(0.05)
        in_plane = dots.features["index"].to_numpy()[dots._view_indices]
        assert 0 < len(written()) <= len(in_plane)
        assert set(written()) <= set(in_plane), "what is drawn is of this plane"
    dots.text = {"string": "{probability}"}  # somebody's own
    viewer.scene.camera.zoom = 2.9
    assert len(written()) == len(in_plane)
