"""Jobs that a killed batch left on a cluster: cancelled where they are surely its own, told where they may be another's."""

import json
import os
import shutil

import pytest

from barlowtrack.batch.left_over import RECORD, SAID, begin, end, stop_left_over
from barlowtrack.errors import StorageError

GONE = 2**22 + 1  # no process has that number


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """squeue and scancel of a cluster on which one job, number 12, is at work; returns how to see what they were asked."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, does in (("squeue", 'test -e "$0.ended" || echo 12'), ("scancel", f"touch {tools}/squeue.ended")):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/asked\n{does}\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return lambda: (tmp_path / "asked").read_text().splitlines() if (tmp_path / "asked").exists() else []


@pytest.fixture
def state(tmp_path):
    """Folder of a batch whose controller was killed."""
    folder = tmp_path / "season" / "barlowtrack-batch"
    folder.mkdir(parents=True)
    begin(folder, GONE)
    (folder / SAID).write_text("Building DAG\nSLURM run ID: a-b\n")
    return folder


def change(state, **said):
    record = json.loads((state / RECORD).read_text())
    (state / RECORD).write_text(json.dumps(record | said))


def test_what_a_killed_batch_of_this_folder_left_is_cancelled_and_asked_for_no_more(cluster, state):
    assert stop_left_over(state) == ["12"]
    assert cluster()[:2] == ["squeue --noheader --name a-b --format %i", "scancel 12"]
    n = len(cluster())
    assert stop_left_over(state) == []
    assert len(cluster()) == n


def test_nothing_is_asked_where_no_batch_was_or_all_its_jobs_were_waited_for(cluster, state, tmp_path):
    (tmp_path / "new").mkdir()
    assert stop_left_over(tmp_path / "new") == []
    end(state)
    assert stop_left_over(state) == []
    assert cluster() == []


def test_a_copy_of_the_folder_cancels_nothing_and_goes_on(cluster, state, tmp_path):
    shutil.copytree(state.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / state.name
    assert stop_left_over(copy) == []
    begin(copy, GONE)
    assert stop_left_over(copy) == []
    assert cluster() == []
    assert stop_left_over(state) == ["12"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"host": "login2"}, "begun on login2"),
        ({"user": 987654}, "another user"),
        ({"inode": 1}, "may be a copy of, or have replaced"),
        ({"folder": "/elsewhere"}, "begun in /elsewhere"),
        (None, "nothing says of which folder"),
    ],
)
def test_what_may_be_of_others_is_told_and_not_cancelled(cluster, state, said, why):
    if said is None:
        (state / RECORD).unlink()
    else:
        change(state, **said)
    with pytest.raises(StorageError, match=rf"jobs 12 .*{why}.*Nothing was cancelled.*scancel 12"):
        stop_left_over(state)
    assert not [line for line in cluster() if line.startswith("scancel")]


def test_a_batch_that_is_at_work_yet_keeps_its_jobs(cluster, state):
    begin(state, os.getpid())
    with pytest.raises(StorageError, match=f"at work yet .process {os.getpid()}"):
        stop_left_over(state)


def test_a_cluster_that_does_not_answer_is_not_one_without_jobs(cluster, state, tmp_path):
    (tmp_path / "bin" / "squeue").write_text("#!/bin/sh\necho slurm_load_jobs error: Unable to contact >&2\nexit 1\n")
    with pytest.raises(StorageError, match=r"cannot be asked .*\(a-b\) are left: slurm_load_jobs error: Unable to contact"):
        stop_left_over(state)
    begin(state, GONE)  # whoever starts another batch all the same
    (state / SAID).write_text("SLURM run ID: c-d\n")
    begin(state, GONE)
    with pytest.raises(StorageError, match="a-b"):
        stop_left_over(state)
