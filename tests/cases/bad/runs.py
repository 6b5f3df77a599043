"""Run folders, truths and corrections; each case gets a folder with `recording` and its finished run, `recording.barlowtrack`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from tests.cases.bad.case import Command, bad_run, cut, series
from tests.cases.bad.zarrs import evil

RUN = "recording.barlowtrack"


@bad_run("run.json")
def run_json_cut_off(folder: Path) -> Command:
    cut(folder / RUN / "run.json")
    return "run", folder / RUN, "--quiet"


@bad_run("run.json")
def run_json_nested_without_end(folder: Path) -> Command:
    (folder / RUN / "run.json").write_text("[" * 100_000)
    return "status", folder / RUN


@bad_run("run.json")
def run_json_whose_recording_is_a_number(folder: Path) -> Command:
    path = folder / RUN / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"recording": 7}))
    return "run", folder / RUN, "--quiet"


@bad_run("run.json")
def run_json_whose_card_is_a_list(folder: Path) -> Command:
    path = folder / RUN / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"card": [1, 2]}))
    return "status", folder / RUN


@bad_run("format 99")
def run_json_of_a_later_version(folder: Path) -> Command:
    path = folder / RUN / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    return "run", folder / RUN, "--quiet"


@bad_run(RUN)
def run_folder_of_another_recording(folder: Path) -> Command:
    return "run", series(folder / "other"), "--out", folder / RUN, "--quiet"


@bad_run("photos")
def folder_of_somebody_else_for_results(folder: Path) -> Command:
    (folder / "photos").mkdir()
    (folder / "photos" / "holiday.jpg").write_bytes(b"sun")
    return "run", folder / "recording", "--out", folder / "photos", "--quiet"


@bad_run("recording.txt")
def file_for_results(folder: Path) -> Command:
    (folder / "recording.txt").write_text("notes")
    return "run", folder / "recording", "--out", folder / "recording.txt", "--quiet"


@bad_run("settings.toml")
def settings_of_a_run_cut_off(folder: Path) -> Command:
    (folder / RUN / "settings.toml").write_text("[segment\nmethod = ")
    return "run", folder / RUN, "--quiet"


@bad_run("the recording of this run is not at")
def run_whose_recording_is_gone(folder: Path) -> Command:
    shutil.rmtree(folder / "recording")
    (folder / RUN / "keys" / "segment.json").unlink()
    return "segment", folder / RUN, "--quiet"


@bad_run("embeddings.npy")
def embeddings_that_are_a_pickle(folder: Path) -> Command:
    (folder / RUN / "embeddings.npy").write_bytes(evil(folder / "unpickled"))
    (folder / RUN / "keys" / "identify.json").unlink()
    return "identify", folder / RUN, "--quiet"


@bad_run("detections.parquet")
def detections_that_are_a_pickle(folder: Path) -> Command:
    size = (folder / RUN / "detections.parquet").stat().st_size
    (folder / RUN / "detections.parquet").write_bytes(evil(folder / "unpickled").ljust(size, b"\0"))
    return "evaluate", folder / RUN, "--truth", folder / RUN / "detections.parquet"


def _corrected(folder: Path, content: bytes) -> Command:
    (folder / RUN / "corrections.csv").write_bytes(content)
    return "track", folder / RUN, "--quiet"


HEAD = b"line,what,t,until,label,z_um,y_um,x_um,neuron,other,name,new,who,when,fingerprint\n"


@bad_run("corrections.csv")
def corrections_that_are_binary(folder: Path) -> Command:
    return _corrected(folder, np.random.default_rng(1).bytes(3000))


@bad_run("corrections.csv")
def corrections_of_other_columns(folder: Path) -> Command:
    return _corrected(folder, b"worm,colour\n7,red\n")


@bad_run("corrections.csv")
def corrections_torn_in_the_middle_of_a_row(folder: Path) -> Command:
    from barlowtrack.api import Run

    Run(folder / RUN).correct("name", neuron=0, other="AVAL", who="me")
    path = folder / RUN / "corrections.csv"
    text = path.read_text().splitlines()
    path.write_text("\n".join([*text, text[-1][: len(text[-1]) // 3]]) + "\n")
    return "track", folder / RUN, "--quiet"


def _against(folder: Path, content: bytes, name: str = "truth.csv") -> Command:
    (folder / name).write_bytes(content)
    return "evaluate", folder / RUN, "--truth", folder / name


COLUMNS = b"t,neuron,z_um,y_um,x_um\n"


@bad_run("truth.csv", "row 2")
def truth_at_no_place(folder: Path) -> Command:
    return _against(folder, COLUMNS + b"0,1,2,3,4\n0,2,nan,3,4\n")


@bad_run("truth.csv", "row 1")
def truth_in_words(folder: Path) -> Command:
    return _against(folder, COLUMNS + b"first,AVAL,near,up,left\n")


@bad_run("truth.csv")
def truth_that_has_a_neuron_twice_in_a_volume(folder: Path) -> Command:
    return _against(folder, COLUMNS + b"0,1,2,3,4\n0,1,5,6,7\n")


@bad_run("truth.csv")
def truth_that_is_binary(folder: Path) -> Command:
    return _against(folder, np.random.default_rng(2).bytes(3000))


@bad_run("truth.csv")
def truth_of_no_bytes(folder: Path) -> Command:
    return _against(folder, b"")


@bad_run("truth.csv")
def truth_without_columns_we_know(folder: Path) -> Command:
    return _against(folder, b"a;b;c\n1;2;3\n")


@bad_run("truth.parquet")
def truth_that_is_a_pickle(folder: Path) -> Command:
    return _against(folder, evil(folder / "unpickled"), "truth.parquet")


@bad_run("truth.npy")
def truth_in_a_format_nobody_reads(folder: Path) -> Command:
    return _against(folder, evil(folder / "unpickled"), "truth.npy")


@bad_run("truth.h5")
def truth_of_zephir_that_is_a_text(folder: Path) -> Command:
    return _against(folder, b"annotations\n" * 40, "truth.h5")


@bad_run("truth.csv", "No such file")
def truth_that_is_not_there(folder: Path) -> Command:
    return "evaluate", folder / RUN, "--truth", folder / "truth.csv"
