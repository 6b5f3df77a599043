"""A run killed anywhere, and run again, leaves the same bytes as one that nobody disturbed."""

import hashlib
import json
import signal
from pathlib import Path

from barlowtrack.stages.report.costs import without_costs
from barlowtrack.storage import RunFolder
from tests import nursery
from tests.conftest import FAST

ARGUMENTS = [text for override in FAST for text in ("--set", override)]


def fingerprints(folder: Path) -> dict[str, str]:
    """Hash of every file that a run leaves; the events, the lock and what the run cost tell of the machine, not of the recording."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("events.jsonl", "lock")]
    return {str(path.relative_to(folder)): hashlib.sha256(_lasting(path)).hexdigest() for path in files}


def _lasting(path: Path) -> bytes:
    if path.name == "report.html":
        html = path.read_text(encoding="utf-8")
        assert "Time and memory</h2>" in html
        assert "Time and memory</h2>" not in without_costs(html)
        return without_costs(html).encode()
    if path.name == "report.json":  # its key holds, but not the size and the digest of a page that says what it cost
        record = json.loads(path.read_bytes())
        del record["artefacts"], record["digests"]
        return json.dumps(record, sort_keys=True).encode()
    return path.read_bytes()


def how_far(folder: Path) -> list[str]:
    """What a run has done for good: its finished stages, and the parts of the one at work."""
    done = [path.name for path in folder.glob("keys/*.json")]
    return sorted(done + [f"{path.parent.name} {path.read_text()}" for path in folder.glob("partial/*/done")])


def same_as(run, folder: Path) -> set[str]:
    """Which files differ from those of an undisturbed run, but for the way to the recording."""
    ours, theirs = fingerprints(run.path), fingerprints(folder)
    return {name for name in ours | theirs if ours.get(name) != theirs.get(name)} - {"run.json"}


def test_a_run_killed_at_one_write_after_the_other_goes_on_to_the_same_bytes(tiny_worm, tiny_run, tmp_path):
    """SIGKILL just before a file is opened, renamed, linked or removed, all through the run; no two kills at the same place."""
    out = tmp_path / "run.barlowtrack"
    arguments = ["run", tiny_worm / "recording", "--out", out, "--no-check", "--quiet", *ARGUMENTS]
    number, kills, stages, before = 3, 0, set(), []
    while nursery.end_of(nursery.killed_before_write, number, out, *arguments) == -signal.SIGKILL:
        kills += 1
        after = how_far(out)
        stages |= {path.name for path in (out / "partial").glob("[a-z]*")}
        number = 2 * number + 1 if after == before else 17 + 13 * (kills % 4)
        before = after
    assert kills > 10
    assert len(stages) > 4
    assert same_as(tiny_run, out) == set()
    costs = RunFolder(out).costs()
    assert max(cost.parts for cost in costs.values()) > 3
    assert all(cost.seconds > 0 for cost in costs.values())


def test_a_run_killed_in_the_middle_of_its_files_goes_on_to_the_same_bytes(tiny_worm, tiny_run, tmp_path):
    """The system kills what writes beyond a limit, once the file has just so many bytes: tables, chunks, weights, and the events."""
    out = tmp_path / "run.barlowtrack"
    arguments = ["run", tiny_worm / "recording", "--out", out, "--no-check", "--quiet", *ARGUMENTS]
    most_bytes, kills = 50, 0
    while nursery.end_of(nursery.killed_in_a_file, most_bytes, *arguments) == -signal.SIGXFSZ:
        kills, most_bytes = kills + 1, 3 * most_bytes
    assert kills > 6
    assert same_as(tiny_run, out) == set()
    assert set(RunFolder(out).costs()) == set(RunFolder(tiny_run.path).costs())


def test_two_runs_with_one_seed_give_the_same_bytes(tiny_run, tiny_worm, tmp_path):
    import barlowtrack as bt

    again = bt.run(tiny_worm / "recording", tmp_path / "again.barlowtrack", overrides=[*FAST, "compute.workers=1"], check=False)
    ours, theirs = fingerprints(tiny_run.path), fingerprints(again.path)
    for name in ("settings.toml", "run.json"):  # workers differ, and so does the way to the recording
        ours.pop(name), theirs.pop(name)
    assert ours == theirs
