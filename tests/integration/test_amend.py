"""People add a nucleus that was missed, and divide two that were found as one: what follows, and what stays as it was."""

import inspect
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.spatial.distance import cdist

import barlowtrack as bt
from barlowtrack import pipeline
from barlowtrack.cli.main import cli
from barlowtrack.config import ComputeConfig, MeasureConfig
from barlowtrack.data import UNKNOWN, Light, Source
from barlowtrack.errors import InputError, StorageError
from barlowtrack.evaluate import evaluate, trace_correlation
from barlowtrack.io.tables import read_truth
from barlowtrack.seen import Seen
from barlowtrack.stages import segment as segmenting
from barlowtrack.stages.measure import measure

MERGED, MISSED = 3, 5
"""The volume in which two nuclei are found as one, and the one in which a nucleus is missed."""
AMENDED = ("labels", "detections", "embeddings", "identities", "light", "places")


def flawed(found):
    """What segmentation may do wrong: takes the nearest two nuclei of a volume for one, and misses the most lonely one of another."""
    detections, labels = found.detections, found.labels.copy()
    apart = cdist(detections.position_um, detections.position_um) + 1e3 * np.eye(len(detections))
    if found.t == MERGED:
        a, b = sorted(np.unravel_index(apart.argmin(), apart.shape))
        labels[labels == detections.label[b]] = detections.label[a]
        place, size = detections.position_um.copy(), detections.volume_um3.copy()
        place[a] = (place[a] * size[a] + place[b] * size[b]) / (size[a] + size[b])
        size[a] += size[b]
        detections = replace(detections, position_um=place, volume_um3=size)
    elif found.t == MISSED:
        b = int(apart.min(1).argmax())
        labels[labels == detections.label[b]] = 0
    else:
        return found
    return replace(found, labels=labels, detections=detections.subset(np.delete(np.arange(len(detections)), b)))


@pytest.fixture(scope="module")
def finished(tiny_worm, tmp_path_factory):
    """A run with two mistakes of segmentation, and its traces."""
    folder = tmp_path_factory.mktemp("flawed")
    shutil.copytree(tiny_worm / "recording", folder / "recording")
    segment = segmenting.segment

    def with_mistakes(*inputs, **aside):
        return (flawed(found) for found in segment(*inputs, **aside))

    with_mistakes.__signature__ = inspect.signature(segment)  # by which the pipeline knows what to hand over
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmenting, "segment", with_mistakes)
        bt.prepare(folder / "recording", overrides=["compute.workers=2"]).run(upto="trace")
    return folder


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return bt.Run(tmp_path / "recording.barlowtrack")


@pytest.fixture(scope="module")
def truth(tiny_worm):
    return read_truth(tiny_worm / "truth.csv")


@pytest.fixture(scope="module")
def clicks(finished, truth):
    """Where the person clicks: (first, second) of the two that were found as one, and the one that was missed; with their neurons."""
    run = bt.Run(finished / "recording.barlowtrack")
    size_um = run.folder.about()["card"]["voxel_size_um"]
    chosen = []
    for t in (MERGED, MISSED):
        rows = np.flatnonzero(truth.t == t)
        z, y, x = np.rint(truth.position_um[rows] / size_um).astype(int).T
        label = run.labels.read(t)[z, y, x].astype(int)
        here = (np.bincount(label)[label] == 2) & (label > 0) if t == MERGED else label == 0
        chosen += rows[here].tolist()
    assert len(chosen) == 3
    return {row: truth.position_um[row] for row in chosen}


def places(clicks):
    return [tuple(place.tolist()) for place in clicks.values()]


def say(run, clicks):
    first, second, alone = places(clicks)
    return run.correct("divide", t=MERGED, position_um=first, other_um=second), run.correct("add", t=MISSED, position_um=alone)


def solve(run, upto="trace"):
    bt.prepare(run.path).run(upto=upto)


def states(run):
    return {
        item.stage.name: "; ".join(item.reasons)
        for item in bt.prepare(run.path).plan()
        if item.state != "cached" and item.stage.name != "report"
    }


def contents(run, *names):
    return {path.name: path.read_bytes() for path in run.path.glob("*") if path.is_file() and path.name.startswith(names)}


def test_the_missed_and_the_divided_get_their_identities_and_their_light(run, clicks, truth):
    before = evaluate(run.detections, run.tracks, truth)
    traced = trace_correlation(run.traces, truth, before.mapping, sources=(Source.SEEN,))
    said_before = run.tracks.neuron[~np.isin(run.detections.t, [MERGED, MISSED])]
    say(run, clicks)
    assert list(states(run)) == ["amend", "track", "trace"]
    assert states(run)["amend"] == "edits of detections changed: 2 added"
    solve(run)
    after = evaluate(run.detections, run.tracks, truth)
    elsewhere = ~np.isin(run.detections.t, [MERGED, MISSED])
    assert np.array_equal(run.tracks.neuron[elsewhere], said_before)  # ids stay
    ours_of = {true: ours for ours, true in before.mapping.items()}
    for row, place in clicks.items():
        t, neuron = int(truth.t[row]), int(truth.neuron[row])
        part = run.detections.rows_of(t)
        nearest = part.start + int(np.linalg.norm(run.detections.position_um[part] - place, axis=1).argmin())
        assert np.linalg.norm(run.detections.position_um[nearest] - place) < 1.0
        assert run.tracks.neuron[nearest] == ours_of[neuron]
        assert run.tracks.probability[nearest] <= 0.95
        assert run.traces.source[ours_of[neuron], t] == Source.SEEN
    assert after.recall > before.recall
    assert after.identity_accuracy > before.identity_accuracy
    now = trace_correlation(run.traces, truth, before.mapping, sources=(Source.SEEN,))
    assert np.nanmean(now) > np.nanmean(traced)


def test_rows_of_all_tables_line_up_and_nothing_else_has_changed(run, clicks):
    old = {name: pipeline.read(name, run.folder) for name in AMENDED}
    say(run, clicks)
    solve(run)
    new = {name: pipeline.read(name, run.folder) for name in AMENDED}
    n = len(old["detections"]) + 2
    assert {len(new[name]) for name in ("detections", "embeddings", "identities", "light")} == {n} == {len(run.tracks)}
    assert [volume.t for volume in run.amendments.volumes] == [MERGED, MISSED]
    origin = run.amendments.origin(old["detections"])
    stays, elsewhere = origin >= 0, ~np.isin(new["detections"].t, [MERGED, MISSED])
    assert (~stays).sum() == 3
    for column in ("t", "label", "position_um", "red_peak", "quality"):
        assert np.array_equal(getattr(new["detections"], column)[stays], getattr(old["detections"], column)[origin[stays]])
    assert np.array_equal(new["embeddings"].vectors[stays], old["embeddings"].vectors[origin[stays]])
    assert np.array_equal(new["identities"].neuron[stays], old["identities"].neuron[origin[stays]])
    assert np.array_equal(new["light"].mean[:, elsewhere], old["light"].mean[:, origin[elsewhere]])
    for t in range(new["detections"].n_volumes):
        labels, part = new["labels"].read(t), new["detections"].rows_of(t)
        assert set(np.unique(labels)) - {0} == set(new["detections"].label[part].tolist())
        assert np.array_equal(labels, old["labels"].read(t)) == (t not in (MERGED, MISSED))
        assert labels.dtype == old["labels"].read(t).dtype
    table = pd.read_parquet(run.path / "tracks.parquet")
    assert np.array_equal(table["label"], new["detections"].label)
    assert np.allclose(table[["z_um", "y_um", "x_um"]], new["detections"].position_um)
    run.write_csv()
    assert len(pd.read_csv(run.path / "detections.csv")) == len(pd.read_csv(run.path / "light.csv")) == n
    assert len(pd.read_parquet(run.path / "detections.parquet")) == n - 2  # what segment made


def test_light_is_what_measure_would_have_read_of_the_new_labels(run, clicks):
    say(run, clicks)
    solve(run)
    recording = bt.prepare(run.path).recording()
    originals = {name: pipeline.read(name, run.folder, amended=False) for name in ("detections", "identities")}
    usual = replace(run.identities, neuron=np.where(run.identities.amended.fresh, UNKNOWN, run.identities.neuron), amended=None)
    read = list(measure(recording, run.labels, run.detections, usual, config=MeasureConfig(), compute=ComputeConfig(workers=1)))
    light = Light.concatenate([part.light for part in read])
    for name in ("mean", "soft", "background", "voxels", "crowding", "edge"):
        assert np.allclose(getattr(light, name), getattr(run.light, name), equal_nan=True), name
    assert len(originals["detections"]) == len(originals["identities"]) == len(run.detections) - 2


def test_what_is_undone_was_never_said(run, clicks):
    names = ("tracks", "traces", "candidates", "neurons", "absences", "swaps", "bleaching", "amendments", "detections", "light")
    before, keys = contents(run, *names), {path.name: path.read_bytes() for path in (run.path / "keys").iterdir()}
    say(run, clicks)
    solve(run)
    assert contents(run, "tracks") != {"tracks.parquet": before["tracks.parquet"]}
    once = contents(run, *names)
    assert {name for name in names if once.get(f"{name}.parquet") != before.get(f"{name}.parquet")} >= {"tracks", "candidates", "absences"}
    assert once["detections.parquet"] == before["detections.parquet"]
    run.undo_correction(2)
    run.undo_correction(3)
    assert states(run)["amend"] == "edits of detections changed: 2 taken back"
    solve(run)
    assert contents(run, *names) == before
    assert {path.name: path.read_bytes() for path in (run.path / "keys").iterdir()} == keys


def test_who_a_nucleus_is_makes_no_detection_stale(run, clicks):
    say(run, clicks)
    solve(run)
    run.correct("name", neuron=1, other="AVAL")
    assert states(run) == {
        "track": "corrections changed: 1 added",
        "trace": "other tracks (track); other neurons (track); other absences (track)",
    }


def test_a_run_that_is_killed_between_two_volumes_goes_on_to_the_same_bytes(run, clicks):
    class Dies(pipeline.Listener):
        def started(self, item):
            def progress(done, total):
                if item.stage.name == "amend" and done == 1:
                    raise KeyboardInterrupt

            return progress

    say(run, clicks)
    folder = shutil.copytree(run.path, run.path.with_name("undisturbed.barlowtrack"))
    solve(bt.Run(folder))
    with pytest.raises(KeyboardInterrupt):
        bt.prepare(run.path).run(upto="trace", listener=Dies())
    (run.path / "keys" / "amend.json").unlink()  # of when nobody had edited anything
    solve(run)
    for name in ("amendments", "tracks", "traces"):
        assert contents(run, name) == contents(bt.Run(folder), name)


def test_the_new_can_be_spoken_of_at_once_and_is_who_a_person_says(run, clicks):
    divided, _ = say(run, clicks)
    _, second, alone = places(clicks)
    added = run.correct("is", t=MISSED, position_um=alone, neuron="newcomer", new=True)
    part = run.correct("not-a-neuron", t=MERGED, position_um=second)
    found = pipeline.read("detections", run.folder)
    assert added.label == found.label[found.rows_of(MISSED)].max() + 1
    assert divided.label in found.label[found.rows_of(MERGED)]
    assert part.label == found.label[found.rows_of(MERGED)].max() + 1
    solve(run)
    rows = [
        np.flatnonzero((run.detections.t == t) & (run.detections.label == row.label))[0] for t, row in ((MISSED, added), (MERGED, part))
    ]
    assert run.neurons["name"][run.tracks.neuron[rows[0]]] == "newcomer"
    assert run.tracks.neuron[rows[1]] == UNKNOWN
    assert (run.tracks.probability[rows] == 1).all()
    with pytest.raises(InputError, match=r"line 4: volume 5 has no detection within .* once line 3 is undone; undo that one first"):
        run.undo_correction(3)
    with pytest.raises(InputError, match="line 5 speaks of a detection that line 2 made; undo that one first"):
        run.undo_correction(2)
    run.undo_correction(4)
    assert run.undo_correction(3).other == "3"


@pytest.mark.parametrize("at_hand", [True, False], ids=["recording at hand", "recording away"])
def test_a_row_about_what_was_made_speaks_of_the_click_and_has_the_voxels_that_a_run_gives_it(run, clicks, at_hand):
    """Where light puts a nucleus is known before the run only where the recording is; what a row means must not hang on it."""
    recording = run.path.parent / "recording"
    if not at_hand:
        recording.rename(run.path.parent / "away")
    first, second, alone = (tuple(np.round(place, 4)) for place in places(clicks))
    divided, _ = say(run, clicks)
    labels = [pipeline.read("detections", run.folder).label[run.detections.rows_of(t)].max() + 1 for t in (MERGED, MISSED)]
    rows = [
        run.correct("is", t=t, label=int(label), neuron=name, new=True)
        for t, label, name in zip((MERGED, MISSED), labels, "VW", strict=True)
    ]
    assert [row.position_um for row in rows] == [second, alone]
    seen = Seen(run.folder).edition(run.corrections).amendments
    if not at_hand:
        (run.path.parent / "away").rename(recording)
    solve(run, "track")
    now = run.detections
    for row, name in zip(rows, "VW", strict=True):
        at = np.flatnonzero((now.t == row.t) & (now.label == row.label))[0]
        assert run.neurons["name"][run.tracks.neuron[at]] == name
    pairs = list(zip(seen.volumes, run.amendments.volumes, strict=True))
    same = [np.array_equal(a.voxels, b.voxels) and np.array_equal(a.labels, b.labels) for a, b in pairs]
    assert same == [True, True] if at_hand else not all(same)
    assert run.correct("not-a-neuron", t=MERGED, label=divided.label).position_um == first


def test_what_cannot_be_is_refused_before_it_is_written(run, clicks):
    first, second, alone = places(clicks)
    whole = run.correct("is", t=MERGED, position_um=first, neuron=0)
    with pytest.raises(
        InputError, match=rf"lines 2 and 3 clash: one detection of volume {MERGED} is 0 and is two; undo one of them .*line 3 is the new"
    ):
        run.correct("divide", t=MERGED, position_um=first, other_um=second)
    run.undo_correction(2)
    with pytest.raises(InputError, match=rf"label \d+ of volume {MERGED} does not hold both places; label {whole.label} does"):
        run.correct("divide", t=MERGED, label=whole.label + 1, position_um=first, other_um=second)
    with pytest.raises(InputError, match=rf"label \d+ of volume {MERGED} lies there already; if it is two nuclei, divide it"):
        run.correct("add", t=MERGED, position_um=first)
    with pytest.raises(InputError, match="t: expected a volume from 0 to 7, got 8"):
        run.correct("add", t=8, position_um=alone)
    with pytest.raises(InputError, match="both places are one voxel"):
        run.correct("divide", t=MERGED, position_um=first, other_um=first)
    say(run, clicks)
    for again in range(2):
        with pytest.raises(InputError, match=r"lines 5 and 6 clash: what is to be added to volume 5 is there already"):
            run.correct("add", t=MISSED, position_um=alone)
        if not again:
            solve(run)
    assert len(run.corrections.rows) == 4


def test_two_people_may_not_add_one_nucleus_twice(run, clicks, tmp_path):
    *_, alone = places(clicks)
    bo = bt.Run(shutil.copytree(run.path, tmp_path / "bo.barlowtrack"))
    run.correct("add", t=MISSED, position_um=alone, who="ada")
    bo.correct("add", t=MISSED, position_um=tuple(np.add(alone, 0.3)), who="bo")
    with pytest.raises(
        InputError, match=r"lines 2 and 3 clash: what is to be added .*lines of both tables, ours first; nothing was written"
    ):
        run.take_corrections(bo.path)
    run.undo_correction(2)
    assert run.take_corrections(bo.path) == 1


def test_the_queue_leaves_edited_volumes_alone_until_they_are_solved_again(run, clicks, monkeypatch):
    monkeypatch.setattr("barlowtrack.identity.review.LEAST_DOUBT", 0.0)
    assert {MERGED, MISSED} <= {question.t for question in run.review_queue(50)}
    say(run, clicks)
    asked = run.review_queue(50)
    assert asked
    assert not {MERGED, MISSED} & {question.t for question in asked if question.kind in ("who", "anchor")}
    solve(run)
    assert {MERGED, MISSED} & {question.t for question in run.review_queue(50)}


def test_tracks_that_are_older_than_the_amended_detections_cannot_be_corrected_scored_or_shown(run, clicks, tiny_worm, tmp_path):
    say(run, clicks)
    solve(run, "amend")
    n = len(run.detections)
    assert len(run.light) == len(run.embeddings) == len(run.identities) == n
    for name in ("tracks", "candidates", "absences", "neurons", "traces"):
        with pytest.raises(StorageError, match=rf"{name} are older than the detections; run 'barlowtrack run .*' first"):
            getattr(run, name)
    scored = CliRunner().invoke(cli, ["evaluate", str(run.path), "--truth", str(tiny_worm / "truth.csv")])
    assert isinstance(scored.exception, StorageError)
    assert "tracks are older than the detections" in str(scored.exception)
    with pytest.raises(StorageError, match="older than the detections"):
        run.movie(tmp_path / "film.webp")
    with pytest.raises(StorageError, match="tracks are older than the detections; run 'barlowtrack run' first"):
        run.correct("name", neuron=1, other="AVAL")
    solve(run, "track")
    assert len(run.tracks) == n
    with pytest.raises(StorageError, match=r"traces are older than the (tracks|detections)"):
        assert run.traces
    scored = CliRunner().invoke(cli, ["evaluate", str(run.path), "--truth", str(tiny_worm / "truth.csv")])
    assert scored.exit_code == 0
    assert "identity accuracy" in scored.stdout
    assert "traces" not in scored.stdout


def test_a_stage_alone_wants_the_amended_detections_first(run, clicks):
    say(run, clicks)
    with pytest.raises(
        StorageError, match=r"track needs amendments, stale \(edits of detections changed: 2 added\); run 'barlowtrack amend' first"
    ):
        bt.prepare(run.path).run(only="track")
    bt.prepare(run.path).run(only="amend")
    bt.prepare(run.path).run(only="track")
    run.undo_correction(2)
    run.undo_correction(3)
    with pytest.raises(StorageError, match="track needs amendments, stale"):
        bt.prepare(run.path).run(only="track")


def test_amendments_of_what_was_made_anew_do_not_count(run, clicks):
    say(run, clicks)
    solve(run)
    n = len(run.detections)
    bt.prepare(run.path, overrides=["measure.shell_um=3"]).run(only="measure")
    assert len(run.detections) == len(run.light) == n - 2
    solve(run)
    assert len(run.detections) == len(run.light) == len(run.tracks) == n


def said(*arguments):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_it_can_be_typed(run, clicks):
    first, second, alone = places(clicks)
    text = said("correct", run.path, "--volume", MERGED, "--divide", *first, *second)
    assert f"line 2: volume {MERGED}: label " in text
    assert " is two nuclei, at " in text
    assert "there is a nucleus at" in said("correct", run.path, "--volume", MISSED, "--add", *alone)
    assert len(said("correct", run.path, "--list").splitlines()) == 2
    for arguments, why in (
        (["--add", *alone], "--add: expected --volume beside it, got nothing"),
        (["--volume", 1, "--label", 3, "--add", *alone], "--add: expected --volume beside it, got --volume and --label or --at"),
        (["--volume", 1, "--divide", *first, *second, "--at", *first], "--divide: expected --volume beside it, got --volume and --at"),
    ):
        with pytest.raises(InputError, match=why):
            said("correct", run.path, *arguments)
