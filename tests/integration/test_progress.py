"""What a program hears of a run: an object a line, nothing else on standard output."""

import json
import shutil
import subprocess
import sys

import click
import pytest
from click.exceptions import Abort

from barlowtrack.cli.main import cli
from barlowtrack.pipeline import STAGES
from tests.conftest import FAST, ROOT

NAMES = [stage.name for stage in STAGES]


@pytest.fixture
def tell(capsys):
    """Does what a command line says; returns standard output, standard error, and what ended it."""

    def call(*arguments):
        error = None
        try:
            cli.main([*map(str, arguments)], standalone_mode=False)
        except (Exception, Abort) as ended:
            error = ended
        out, err = capsys.readouterr()
        return out, err, error

    return call


@pytest.fixture
def told(tell):
    """What is said on standard output, read as JSON, line by line; and what ended it."""

    def call(*arguments):
        out, _, error = tell(*arguments, "--progress", "json")
        return [json.loads(line) for line in out.splitlines()], error

    return call


def of(events, kind):
    return [event for event in events if event["event"] == kind]


@pytest.fixture
def again(tiny_run, tmp_path):
    """A run folder that may be changed."""
    return shutil.copytree(tiny_run.path, tmp_path / "run.barlowtrack")


def test_a_run_says_its_plan_every_stage_and_its_end(tiny_worm, again):
    command = [sys.executable, "-m", "barlowtrack", "run", tiny_worm / "recording", "--out", again, "--to", "measure", "--progress", "json"]
    settings = [text for override in FAST for text in ("--set", override)]
    done = subprocess.run([*command, *settings, "--set", "measure.shell_um=3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events[:2]] == ["opened", "plan"]
    assert events[0]["volumes"] == 8
    states = {stage["stage"]: (stage["state"], stage["reasons"]) for stage in events[1]["stages"]}
    assert list(states) == NAMES[: NAMES.index("measure") + 1]
    assert states["embed"] == ("cached", [])
    assert states["measure"] == ("stale", ["measure.shell_um 2.0 -> 3.0"])
    assert [event["stage"] for event in of(events, "started")] == ["measure"]
    assert of(events, "started")[0]["reasons"] == states["measure"][1]
    finished = [(event["stage"], event["cached"]) for event in of(events, "finished")]
    assert finished == [(name, states[name][0] == "cached") for name in states]
    assert all(0 <= event["done"] <= event["total"] for event in of(events, "progress"))
    last = {event["stage"]: event for event in of(events, "progress")}
    assert last
    assert all(event["done"] == event["total"] for event in last.values())
    assert events[-1]["event"] == "done"
    assert (events[-1]["exit"], events[-1]["run"], events[-1]["report"]) == (0, str(again), None)

    page = (ROOT / "docs" / "reference" / "progress.md").read_text()
    for event in events:
        assert f"`{event['event']}`" in page
        assert all(f"`{name}`" in page for name in event)


def test_a_whole_run_says_what_came_out(told, again):
    events, error = told("run", again)
    assert error is None
    assert [event["stage"] for event in of(events, "finished") if event["cached"]] == NAMES
    assert (events[-1]["event"], events[-1]["report"]) == ("done", str(again / "report.html"))
    assert "identified" in events[-1]["text"]


def test_a_dry_run_says_the_plan_alone(told, again):
    events, error = told("run", again, "--set", "trace.smooth=2", "--dry-run")
    assert error is None
    assert [event["event"] for event in events] == ["plan"]
    assert [stage["stage"] for stage in events[0]["stages"] if stage["state"] != "cached"] == ["trace", "report"]


def test_one_verb_says_its_own_stage_and_no_result(told, again):
    events, _ = told("trace", again)
    assert [stage["stage"] for stage in of(events, "plan")[0]["stages"]] == ["trace"]
    assert (events[-1]["event"], events[-1]["report"], events[-1]["text"]) == ("done", None, None)


@pytest.mark.parametrize(
    ("setting", "said"), [("track.positoin=1", "did you mean position?"), ("train.alpha=2", "less than or equal to 1")]
)
def test_what_goes_wrong_is_the_last_event(told, again, setting, said):
    events, error = told("run", again, "--set", setting)
    assert [(event["event"], event["exit"]) for event in events] == [("error", 2)]
    assert said in events[0]["text"]
    assert str(error) == events[0]["text"]


ENDS = {
    "bug": (KeyError("k"), ("error", 1)),
    "Ctrl-C": (KeyboardInterrupt(), ("stopped", 130)),
    "full disk": (OSError(28, "full"), ("error", 2)),
}


@pytest.mark.parametrize(("raised", "event"), ENDS.values(), ids=ENDS.keys())
def test_ends_are_told_apart(told, again, monkeypatch, raised, event):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr("barlowtrack.api.Job.run", fail)
    events, error = told("run", again)
    assert [(said["event"], said["exit"]) for said in events] == [event]
    assert error is not None


def test_steps_are_told_now_and_then(monkeypatch, capsys):
    from barlowtrack.cli import telling

    clock = iter([0.0, 0.05, 0.1, 0.25, 0.3, 0.31])
    monkeypatch.setattr(telling.time, "monotonic", lambda: next(clock))
    follow = telling._Throttled("train", telling.JsonLines()._say)
    for done in range(1, 7):
        follow(done, 6)
    assert [json.loads(line)["done"] for line in capsys.readouterr().out.splitlines()] == [1, 4, 6]


def test_what_libraries_print_is_no_event():
    lines = ["import os", "from barlowtrack.cli.telling import JsonLines", "with JsonLines() as told:", " os.write(1, b'AA ')"]
    lines += [" print('BB')", " told._say('x')", "print('after')"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.stdout.splitlines() == ['{"event": "x"}', "after"]
    assert done.stderr == "AA BB\n"


def test_lines_are_lines_and_quiet_does_not_tell(tell, again, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    out, err, error = tell("trace", again, "--progress", "lines")
    assert (out, click.unstyle(err), error) == ("", "trace    cached\n", None)
    assert "--quiet or --progress json" in str(tell("trace", again, "--progress", "json", "--quiet")[2])
    assert "takes no --progress" in str(tell("report", "--compare", again, again, "--progress", "json")[2])
