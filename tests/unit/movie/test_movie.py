import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from barlowtrack.data import UNKNOWN, Tracks
from barlowtrack.errors import InputError
from barlowtrack.movie import Frames, choose_frames, film, formats
from barlowtrack.showing.colours import colour_of
from tests.unit.stages.conftest import make_film

COUNTS = [6, 5, 6, 0, 6, 4]


@pytest.fixture(scope="module")
def worm():
    """A recording, its nuclei, and tracks in which nucleus k is neuron k + 1 and the last one is nobody."""
    recording, detections = make_film(COUNTS)
    neuron = np.where(detections.label == 6, UNKNOWN, detections.label)
    return recording, detections, Tracks(neuron, np.full(len(detections), 0.9), 7)


def around(frames, picture, position):
    """The colours of the pixels on the ring around a position, right, left, above and below its centre."""
    x, y = frames.place_of(position)
    radius = round(max(3.0, 0.009 * frames.size[0]))
    return [picture.getpixel((x + dx * radius, y + dy * radius)) for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))]


def eight_bit(neuron):
    return tuple(round(255 * part) for part in colour_of(neuron))


def test_a_neuron_has_the_colour_of_the_report_in_every_picture(worm):
    recording, detections, tracks = worm
    frames = Frames(recording, detections, tracks, range(6), width=400)
    seen = set()
    for t in range(6):
        picture = frames.draw(t)
        rows = detections.rows_of(t)
        for position, neuron in zip(detections.position_um[rows], tracks.neuron[rows], strict=True):
            if neuron != UNKNOWN and eight_bit(neuron) in around(frames, picture, position):
                seen.add((t, int(neuron)))
            assert neuron != UNKNOWN or (150, 160, 170) in around(frames, picture, position)
    overlapping = {(t, k) for t in range(6) for k in range(1, min(COUNTS[t], 5) + 1)} - seen
    assert overlapping == set()


def test_names_cover_no_other_and_the_surest_is_written():
    recording, detections = make_film([2])
    close = replace(detections, position_um=np.array([[3.0, 10.0, 10.0], [3.0, 10.2, 10.2]], np.float32))

    def drawn(probability, names):
        tracks = Tracks(np.array([0, 1]), np.array(probability), 2)
        return np.asarray(Frames(recording, close, tracks, [0], width=400, names=names).draw(0), int)

    only = [drawn([0.9, 0.8], names) for names in (("AVAL", ""), ("", "AVAR"))]
    assert np.array_equal(drawn([0.9, 0.8], ("AVAL", "AVAR")), only[0])
    assert np.array_equal(drawn([0.8, 0.9], ("AVAL", "AVAR")), only[1])
    assert not np.array_equal(*only)


def test_a_brighter_volume_stays_brighter_and_one_without_nuclei_is_drawn():
    recording, detections = make_film([4, 4, 0, 4], offset=[0.0, 300.0, 0.0, 0.0])
    tracks = Tracks(np.full(len(detections), UNKNOWN), np.full(len(detections), 0.5), 0)
    pictures = [np.asarray(Frames(recording, detections, tracks, range(4)).draw(t), float).mean() for t in range(4)]
    assert pictures[1] > pictures[0] + 20
    assert pictures[2] > 0


@pytest.mark.parametrize("ending", ["webp", "png", "gif"])
def test_a_film_has_its_pictures_its_size_and_its_time_and_the_same_bytes_again(worm, tmp_path, ending):
    told, path = [], tmp_path / f"worm.{ending}"
    assert film(*worm, path, width=211, fps=5, progress=lambda done, n: told.append((done, n))) == [0, 1, 2, 3, 4, 5]
    with Image.open(path) as found:
        assert found.format == ending.upper()
        assert found.n_frames == 6
        assert found.size == Frames(*worm, range(6), width=211).size
        assert found.size[0] == 210
        found.seek(1)
        found.load()
        assert found.info.get("duration", 200) == 200
    assert told == [(n, 6) for n in range(1, 7)]  # every picture is drawn once, in order
    film(*worm, tmp_path / f"again.{ending}", width=211, fps=5)
    assert (tmp_path / f"again.{ending}").read_bytes() == path.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_what_is_written_is_what_was_drawn(worm, tmp_path, ending):
    """PNG pixel by pixel; a GIF keeps the colours of the rings, the same in every picture."""
    film(*worm, tmp_path / f"worm.{ending}", width=300)
    frames = Frames(*worm, range(6), width=300)
    with Image.open(tmp_path / f"worm.{ending}") as found:
        for t in range(6):
            found.seek(t)
            drawn, read = np.asarray(frames.draw(t), int), np.asarray(found.convert("RGB"), int)
            assert abs(drawn - read).max() <= (0 if ending == "png" else 130)
            for colour in (eight_bit(k) for k in range(1, 6)):
                assert np.all((drawn == colour).all(-1) <= (read == colour).all(-1))


def test_pictures_are_read_one_at_a_time_and_only_those_shown(worm, tmp_path):
    recording, detections, tracks = worm
    reads = []

    class Watched:
        def read(self, t):
            reads.append(t)
            return recording.source.read(t)

    film(replace(recording, source=Watched()), detections, tracks, tmp_path / "worm.webp", volumes="1:5", max_frames=3)
    assert set(reads) == {1, 2, 4}
    assert len(reads) <= 2 * 3  # once for the contrast, once to draw


@given(st.integers(1, 500), st.integers(1, 60))
def test_frames_are_chosen_evenly_first_and_last_included(n_volumes, most):
    chosen = choose_frames(n_volumes, None, most)
    assert len(chosen) == min(n_volumes, most)
    assert chosen[0] == 0
    assert chosen[-1] == n_volumes - 1 or most == 1
    steps = np.diff(chosen)
    assert len(steps) == 0 or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


@pytest.mark.parametrize(("volumes", "shown"), [("2:5", [2, 3, 4]), (":2", [0, 1]), ("8:", [8, 9]), ("7:99", [7, 8, 9])])
def test_volumes_are_given_as_from_and_to(volumes, shown):
    assert choose_frames(10, volumes) == shown


@pytest.mark.parametrize("volumes", ["5", "3:3", "10:", "a:b", "-2:4", "1:2:3", ":0"])
def test_volumes_that_are_none_are_refused(volumes):
    with pytest.raises(InputError, match="movie: volumes: expected"):
        choose_frames(10, volumes)


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("worm.avi", {}, r"ends in one of \.webp, \.png, \.gif, \.mp4, got \.avi"),
        ("worm", {}, "got no ending"),
        ("nowhere/worm.webp", {}, "existing folder"),
        ("worm.webp", {"width": 10}, "width: expected 64 to 4096"),
        ("worm.webp", {"fps": 0}, "fps: expected above 0"),
        ("worm.webp", {"max_frames": 0}, "max_frames: expected 1 or more"),
    ],
)
def test_what_cannot_be_filmed_is_refused_and_nothing_is_left(worm, tmp_path, name, wrong, said):
    with pytest.raises(InputError, match=said):
        film(*worm, tmp_path / name, **wrong)
    assert not list(tmp_path.iterdir())


def test_a_film_that_is_broken_off_leaves_the_old_one_and_nothing_else(worm, tmp_path, monkeypatch):
    path = tmp_path / "worm.webp"
    path.write_bytes(b"an older film")

    def killed(frames, half_made, fps, progress):
        half_made.write_bytes(b"half a film")
        assert path.read_bytes() == b"an older film"
        raise KeyboardInterrupt

    monkeypatch.setitem(formats._WRITERS, ".webp", killed)
    with pytest.raises(KeyboardInterrupt):
        film(*worm, path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("worm.webp", b"an older film")]


def test_mp4_without_its_extra_names_it(worm, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"extra 'movie', which is not installed; pip install 'barlowtrack\[movie\]'"):
        film(*worm, tmp_path / "worm.mp4")


def test_mp4_with_its_extra(worm, tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the extra 'movie' is not installed")
    film(*worm, tmp_path / "worm.mp4", width=300, fps=5)
    assert ffmpeg.count_frames_and_secs(str(tmp_path / "worm.mp4"))[0] == 6
    assert [path.name for path in tmp_path.iterdir()] == ["worm.mp4"]
