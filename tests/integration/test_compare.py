"""Two runs of one recording side by side, and the film of a run: from the command line and from Python."""

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import barlowtrack as bt
from barlowtrack.cli.main import cli
from barlowtrack.errors import InputError, StorageError
from barlowtrack.io.tables import read_provenance, read_table, write_table


def call(*arguments):
    """What the command line says and raises; that its errors end with code 2 is test_cli's."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def stricter(tiny_run, tiny_worm, tmp_path_factory):
    """The tiny run again, with identities that must be surer, and one of them struck out by a person."""
    place = tmp_path_factory.mktemp("stricter")
    shutil.copytree(tiny_worm / "recording", place / "recording")
    shutil.copytree(tiny_run.path, place / "recording.barlowtrack")
    run = bt.Run(place / "recording.barlowtrack")
    counts = np.bincount(run.tracks.neuron[run.tracks.neuron >= 0])
    run.correct("not-a-neuron", neuron=str(int(np.argmax(counts))))
    bt.prepare(place / "recording", overrides=["track.min_probability=0.9"]).run(upto="trace")
    return run


def test_a_run_beside_itself_has_nothing_to_say(tiny_run):
    compared = bt.compare(tiny_run, tiny_run.path)
    assert compared.is_nothing
    assert compared.settings == ()
    assert "Nothing changed" in compared.html()


def test_the_command_line_says_what_changed_and_where_the_page_is(tiny_run, stricter, tmp_path):
    done = call("report", "--compare", tiny_run.path, stricter.path, "--out", tmp_path / "page.html")
    assert done.exception is None
    compared = bt.compare(tiny_run, stricter)
    counts = np.bincount(tiny_run.tracks.neuron[tiny_run.tracks.neuron >= 0])
    gone = int(np.argmax(counts))
    assert gone in compared.alone[0]
    assert (gone, -1, counts[gone]) in {(move.neuron_a, move.neuron_b, move.detections) for move in compared.moved}
    assert compared.n_another == 0
    assert done.output.startswith(f"None of {len(compared.row_a)} shared detections has another neuron in B. {compared.n_moved} (")
    assert done.output.splitlines()[-1] == f"compare: {tmp_path / 'page.html'}"
    assert compared.settings == ("track.min_probability 0.0 -> 0.9", "corrections 0 -> 1")
    assert (tmp_path / "page.html").read_text() == compared.html()


def test_without_out_the_page_lies_in_the_first_run_folder(tiny_run, stricter):
    assert call("report", "--compare", stricter.path.with_suffix(""), tiny_run.path).exception is None
    assert "Identities that moved" in (stricter.path / "compare.html").read_text()


def test_nuclei_are_the_same_under_another_voxel_size(tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "large")
    table, record = tmp_path / "large" / "detections.parquet", tmp_path / "large" / "keys" / "segment.json"
    frame, provenance = read_table(table), read_provenance(table)
    frame[["z_um", "y_um", "x_um"]] *= np.float32(2)
    write_table(frame, table, provenance=provenance)
    said = json.loads(record.read_text())
    said["recording"]["voxel_size_um"] = [2 * size for size in said["recording"]["voxel_size_um"]]
    record.write_text(json.dumps({name: value for name, value in said.items() if name != "digests"}))
    for compared in (bt.compare(tiny_run, tmp_path / "large"), bt.compare(tmp_path / "large", tiny_run)):
        assert compared.is_nothing
        assert len(compared.row_a) == len(tiny_run.detections)
        assert [text.split(" ")[:2] for text in compared.settings] == [["recording", "voxel_size_um"]]


REFUSED = {
    "another recording": (["--compare", "{run}", "{other}"], "two recordings"),
    "no tracks": (["--compare", "{run}", "{bare}"], "no tracks to compare; run 'barlowtrack run"),
    "tracks of other detections": (["--compare", "{old}", "{run}"], "older than its detections"),
    "no run folder": (["--compare", "{run}", "nowhere"], "no such run folder"),
    "neither": ([], "expected RECORDING or --compare A B, got neither"),
    "both": (["{run}", "--compare", "{run}", "{run}"], "got both"),
    "settings": (["--compare", "{run}", "{run}", "--voxel-size", "1", "1", "1"], "leave out --voxel-size"),
    "no place": (["--compare", "{run}", "{run}", "--out", "nowhere/page.html"], "existing folder"),
    "no page": (["--compare", "{run}", "{run}", "--out", "page.pdf"], "ends in .html"),
    "over a report": (["--compare", "{run}", "{run}", "--out", "{run}/report.html"], "is a part of the run folder"),
    "into a table of a run": (["--compare", "{run}", "{run}", "--out", "{run}/traces.zarr/page.html"], "a zarr that it would change"),
    "tracks that are gone": (["--compare", "{run}", "{gone}"], "not there any more; 'barlowtrack track"),
    "a file for a folder": (["{bare}/../worm", "--out", "other.html"], "--out is a folder here, and this is the name of a file (.html)"),
}


@pytest.fixture(scope="module")
def folders(tiny_run, tmp_path_factory):
    place = tmp_path_factory.mktemp("folders")
    for name in ("other", "bare", "old", "gone"):
        shutil.copytree(tiny_run.path, place / name, ignore=shutil.ignore_patterns("*.zarr"))
    change(place / "other", "segment", '"content": "', '"content": "0')
    (place / "bare" / "keys" / "track.json").unlink()
    (place / "gone" / "tracks.parquet").unlink()
    key = bt.Run(tiny_run.path).folder.record("segment").key
    change(place / "old", "track", key, "0" * len(key))
    return {"run": tiny_run.path, **{name: place / name for name in ("other", "bare", "old", "gone")}}


def change(folder, stage, old, new):
    record = folder / "keys" / f"{stage}.json"
    assert old in record.read_text()
    record.write_text(record.read_text().replace(old, new))


@pytest.mark.parametrize(("arguments", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_compared_is_refused_in_one_line(folders, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    done = call("report", *(text.format(**folders) for text in arguments))
    assert isinstance(done.exception, bt.BarlowtrackError), done.exception
    assert said in str(done.exception)
    assert len(str(done.exception).splitlines()) == 1
    assert done.output == ""
    assert not any(tmp_path.iterdir())


def test_a_run_whose_traces_are_gone_is_compared_without(tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "lost", ignore=shutil.ignore_patterns("*.zarr", "traces.parquet"))
    compared = bt.compare(tiny_run, tmp_path / "lost")
    assert compared.b.traces is None
    assert "Traces are not compared: B has none" in compared.html()


def test_a_page_that_cannot_be_written_is_said_before_any_result(tiny_run, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path.with_name(f".{path.name}.tmp")))

    monkeypatch.setattr("barlowtrack.storage.atomic.write_bytes", full)
    done = call("report", "--compare", tiny_run.path, tiny_run.path, "--out", tmp_path / "page.html")
    assert done.output == ""
    assert done.exception.filename == str(tmp_path / "page.html")


def test_a_film_never_lies_in_a_zarr_nor_over_a_part_of_a_run(tiny_run, tmp_path):
    (tmp_path / "worm.zarr" / "0").mkdir(parents=True)
    (tmp_path / "worm.zarr" / "zarr.json").write_text("{}")
    for place, said in ((tmp_path / "worm.zarr" / "0", "a zarr that it would change"), (tiny_run.path / "keys", "part of the run folder")):
        before = sorted(place.iterdir())
        with pytest.raises(StorageError, match=said):
            tiny_run.movie(place / "worm.webp")
        assert sorted(place.iterdir()) == before


def test_a_verb_that_fails_makes_no_folder(tiny_worm, tmp_path):
    done = call("report", tiny_worm / "recording", "--out", tmp_path / "new")
    assert isinstance(done.exception, StorageError)
    assert "report needs" in str(done.exception)
    assert not any(tmp_path.iterdir())


def test_a_film_of_a_run(tiny_run, tmp_path):
    done = call("movie", tiny_run.path, "--out", tmp_path / "worm.webp", "--max-frames", 5, "--width", 200)
    assert done.exception is None
    assert "5 of 8 volumes are shown, evenly chosen; --max-frames 8 shows all" in done.output
    assert re.search(r"movie: .*worm\.webp, 5 frames, 0\.5 s\n", done.output)
    with Image.open(tmp_path / "worm.webp") as film:
        assert (film.n_frames, film.size[0]) == (5, 200)
    assert tiny_run.movie(tmp_path / "worm.gif", volumes="2:4", names=True) == [2, 3]
    with pytest.raises(InputError, match=r"ends in one of \.webp, \.png, \.gif, \.mp4, got \.avi"):
        tiny_run.movie(tmp_path / "worm.avi")


def test_a_film_says_what_it_was_asked_for_in_vain_and_counts_one_frame(tiny_run, tmp_path):
    done = call("movie", tiny_run.path, "--out", tmp_path / "worm.webp", "--volumes", "7:1000", "--width", 100)
    assert "--volumes 7:1000: the recording has 8 volumes, the last is 7" in done.output
    assert "1 frame, 0.1 s" in done.output
    done = call("movie", tiny_run.path, "--out", tmp_path / "worm.webp", "--volumes", "7:8", "--width", 100)
    assert "the recording has" not in done.output


def test_a_film_wants_tracks_and_the_recording_that_they_are_of(folders, tiny_worm, tiny_run, tmp_path):
    with pytest.raises(StorageError, match="no tracks yet"):
        bt.Run(folders["bare"]).movie(tmp_path / "worm.webp")
    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack", ignore=shutil.ignore_patterns("*.zarr"))
    (sorted((tmp_path / "recording").iterdir())[-1]).unlink()
    about = tmp_path / "recording.barlowtrack" / "run.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "recording": "../recording"}))
    run = bt.Run(tmp_path / "recording.barlowtrack")
    with pytest.raises(InputError, match=r"the recording changed since its nuclei were found"):
        run.movie(tmp_path / "worm.webp")
    assert not list(tmp_path.glob("*worm*"))
