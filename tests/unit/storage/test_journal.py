"""events.jsonl, whatever lies in it."""

import json
import threading
import time

import pytest

from barlowtrack.cli.watching import rows
from barlowtrack.pipeline import STAGES, PlannedStage
from barlowtrack.storage import RunFolder, StageRecord

GOOD = {
    "time": 1.7e9,
    "stage": "segment",
    "event": "progress",
    "part": "a",
    "key": "k",
    "done": 3,
    "total": 8,
    "seconds": 2.0,
    "peak_mb": 9,
}
BAD = {
    "time": [float("nan"), float("inf"), -1.0, 10**400, 1e300, "soon", None, [1]],
    "seconds": [float("nan"), 10**400, -2, "x", {}],
    "peak_mb": [float("inf"), 10**400, None],
    "done": [float("nan"), 10**400, "3", -1, True, None],
    "total": [float("inf"), [8], "8"],
    "volumes": [3, [1], [1, 2, 3], ["a", "b"], [float("nan"), 2], {}, "12", None, [0, 10**400]],
    "pid": ["../..", -1, 10**400, 1.5],
}


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "worm.barlowtrack", create=True)
    made.describe(tmp_path / "worm", {"content": "c1"}, "seed = 0\n")
    return made


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("event", ["start", "progress", "finish", "stopped"])
def test_no_line_makes_status_fail(folder, name, event):
    start = {"time": time.time(), "stage": "segment", "event": "start", "part": "a", "key": "k"}
    planned = [PlannedStage(stage, "missing", (), StageRecord(stage.name, "k", 1, None, {}, {}, {}, {})) for stage in STAGES]
    for value in BAD[name]:
        lines = [start, {**GOOD, "event": event, name: value}]
        folder.journal.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert [said["event"] for said in folder.journal.events()] == ["start"], value
        with folder.lock():
            assert rows(folder, planned)[1].state == "at work"
        assert "segment" not in folder.costs()


def test_a_stage_goes_on_where_no_thread_can_be_started_to_watch_it(folder, caplog):
    usual = threading.stack_size(2**46)  # which no machine has room for
    try:
        with folder.journal.at_work("segment", "k"):
            pass
    finally:
        threading.stack_size(usual)
    assert "how far segment is will not be written down (can't start new thread)" in caplog.text
    assert [said["event"] for said in folder.journal.events()] == ["start", "finish"]


def test_how_much_there_is_to_do_is_not_told_before_it_is_known(folder):
    with folder.journal.at_work("measure", "k") as part:
        part.note()
        part.steps = (3, 8)
        part.note()
    told = [event for event in folder.journal.events() if event["event"] == "progress" and event["key"] == "k"]
    assert [(event.get("done"), event.get("total")) for event in told] == [(None, None), (3, 8)]
