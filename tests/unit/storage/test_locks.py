"""Locks on a disk without locks and hard links: real processes, some of which die inside, and never two of them inside."""

import json
import os
import socket
import subprocess
import sys

import pytest

RACE = """
import ctypes, os, random, sys, time
from pathlib import Path
from barlowtrack.errors import InUseError
from barlowtrack.storage import locks

libc = ctypes.CDLL(None)
place, locks.PAUSE_S = Path(sys.argv[1]), 0.001


def one(seed):
    draw = random.Random(seed)
    libc.srand48(seed)
    for _ in range(12):
        alone, dies = draw.random() < 0.7, draw.random() < 0.8
        try:
            with locks.locked(place / "lock", "", alone=alone):
                mine = place / f"inside-{alone}-{os.getpid()}"
                mine.touch()
                seen = sorted(path.name for path in place.glob("inside-*" if alone else "inside-True-*"))
                time.sleep(0.002 * draw.random())
                mine.unlink()
                os.write(1, b"." if seen == ([mine.name] if alone else []) else f"not alone: {seen}\\n".encode())
                if dies:
                    os._exit(0)
        except InUseError:
            time.sleep(0.002 * draw.random())
    os._exit(0)


def start(seed):
    child = os.fork()
    return child if child else one(seed)


at_work = {start(seed) for seed in range(8)}
for seed in range(8, 120):
    at_work.remove(os.wait()[0])
    at_work.add(start(seed))
for _ in at_work:
    os.wait()
with locks.locked(place / "lock", ""):
    print(sorted(path.name.split("-")[0] for path in place.iterdir()))
"""

HOLDERS = """
import json, os, resource, signal, subprocess, sys
from dataclasses import replace
from pathlib import Path
from barlowtrack.storage import locks

place = Path(sys.argv[1])
me = locks._myself()
buried = subprocess.Popen(["true"])
buried.wait()
unburied = subprocess.Popen(["true"])
os.waitid(os.P_PID, unburied.pid, os.WEXITED | os.WNOWAIT)
holders = {
    "alive": me,
    "of the same number": replace(me, began="1"),
    "buried": replace(me, pid=buried.pid),
    "not buried": replace(me, pid=unburied.pid),
    "before a restart": replace(me, pid=buried.pid, boot="another"),
    "in a container": replace(me, pid=buried.pid, space="pid:[1]"),
    "on another machine": replace(me, pid=buried.pid, host="node12"),
    "of whom nothing is known": replace(me, pid=buried.pid, boot="", space=""),
    "nobody": None,
}
for name, holder in holders.items():
    file = place / "lock.alone-somebody"
    file.write_text("" if holder is None else json.dumps(holder.__dict__))
    try:
        with locks.locked(place / "lock", "in use by {holder}"):
            said = "got it"
    except locks.InUseError as error:
        said = str(error)
    print(json.dumps([name, said, file.exists()]))
    file.unlink(missing_ok=True)

limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (9, limits[1]))
try:
    with locks.locked(place / "lock", ""):
        said = "got it"
except OSError as error:
    said = error.strerror
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
print(json.dumps(["full", said, bool(list(place.glob("lock.*")))]))
"""


def run(program, place, network):
    done = subprocess.run([sys.executable, "-c", program, place], env=network, capture_output=True, text=True)
    assert not done.stderr
    return done.stdout


def test_of_many_that_come_and_die_never_two_are_inside(network, tmp_path):
    went, left = run(RACE, tmp_path, network | {"LINKS": "no", "SLOW": "lock.", "SLOW_MS": "4"}).split("[", 1)
    assert set(went) == {"."}, went
    assert len(went) > 60
    assert left == "'lock', 'lock.alone']\n"


@pytest.fixture(scope="module")
def said(network, tmp_path_factory):
    lines = run(HOLDERS, tmp_path_factory.mktemp("holders"), network | {"LINKS": "no"}).splitlines()
    return {name: (text, stays) for name, text, stays in map(json.loads, lines)}


@pytest.mark.parametrize("who", ["of the same number", "buried", "not buried"])
def test_one_that_is_known_to_be_gone_is_passed_over(said, who):
    assert said[who] == ("got it", False)


@pytest.mark.parametrize("who", ["before a restart", "in a container", "on another machine", "of whom nothing is known", "nobody"])
def test_of_one_that_nobody_can_know_of_a_person_is_asked(said, who):
    text, stays = said[who]
    assert stays
    assert text.endswith("lock.alone-somebody")
    assert "; if it is surely not at work any more, delete /" in text
    if who not in ("nobody", "on another machine"):
        assert f"on {socket.gethostname()}, since" in text


def test_one_that_is_there_is_not_to_be_deleted(said):
    text, stays = said["alive"]
    assert stays
    assert text.startswith("in use by process ")
    assert "delete" not in text


def test_a_lock_for_which_there_is_no_room_leaves_nothing(said):
    assert said["full"] == (os.strerror(27), False)
