"""Jobs that failed: which, as Snakemake says it while it is at work, and why, as they said it themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from barlowtrack.batch.left_over import SAID

DONE, LOGS = "done", "logs"
LEFT_OUT = "left out"
"""Last line of a job of the workflow that failed, and that others go on without."""


class Failures:
    """Jobs that failed since one asked last, read from Snakemake's log.

    Args:
        state: Folder of the batch.
    """

    def __init__(self, state: Path) -> None:
        self._state, self._read, self._within = state, 0, False

    def new(self) -> Iterator[tuple[str, str]]:
        """Yields the name of each such job, as its log is called, and why it failed."""
        with (self._state / SAID).open("rb") as file:
            file.seek(self._read)
            lines = file.read().rpartition(b"\n")[0]  # of the last one more is to come
        self._read += len(lines) + bool(lines)
        for line in lines.decode("utf-8", "replace").splitlines():
            if line.startswith("Error in rule "):
                self._within = True
            elif not line.startswith(" "):
                self._within = False
            elif self._within and line.strip().startswith("log: "):
                self._within = False
                for log in (Path(word) for word in re.split(r"[ ,]+", line.strip())):  # a cluster's own log may stand beside ours
                    if log.parent.name == LOGS:
                        yield log.stem, last_word(self._state / LOGS / log.name)


def last_words(logs: Path, name: str, rule: str = "") -> str:
    """Returns what the job of a recording said that failed last; nothing where none failed.

    Args:
        logs: Folder.
        name: Of the recording.
        rule: Of the job, where it is one for all recordings.
    """
    # not those of a recording whose name begins like this one's
    ours_only = re.compile(rf"{rule}\.log" if rule else rf"{re.escape(name)}\.[a-z]+(\.\d+-\d+)?\.log")
    written = [path for path in logs.glob("*.log") if ours_only.fullmatch(path.name)]
    for path in sorted(written, key=lambda path: path.stat().st_mtime, reverse=True):
        left_out = why_left_out(path)
        if left_out or not (logs.parent / DONE / path.name.removesuffix(".log")).exists():
            return left_out or last_word(path)
    return ""


def last_word(path: Path) -> str:
    """Returns why the job with this log failed: our own line of an error, or whatever came last."""
    lines = _lines(path)
    ours = [line.removeprefix("barlowtrack: ") for line in lines if line.startswith("barlowtrack: ")]
    if ours:
        return ours[-1]
    where = f"see {path.parent.name}/{path.name}"
    stopped = _stopped_by_cluster(path.parent.parent / SAID, path.name)
    if stopped:
        return f"stopped by the cluster: {stopped} ({where}, and {SAID})"
    return f"{lines[-1]} ({where})" if lines else f"ended without a word; killed? ({where})"


def why_left_out(path: Path) -> str:
    """Returns why the job with this log failed, where others go on without it; nothing where it did not, or had nothing to do."""
    lines = _lines(path)
    return last_word(path) if len(lines) > 1 and lines[-1] == LEFT_OUT else ""


def _lines(path: Path) -> list[str]:
    try:
        said = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in said.splitlines() if line.strip()]


def _stopped_by_cluster(said: Path, log: str) -> str:
    """Returns the last state in which SLURM says the job with this log ended, such as "out of memory"; nothing where it says none."""
    state, found = "", ""
    try:
        lines = said.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        ended = re.search(r"SLURM status is: '([A-Z_]+)'", line)
        if ended:
            state = ended[1]
        elif state and line.strip().startswith("log: "):
            if f"{LOGS}/{log}" in re.split(r"[ ,]+", line):
                found = state
            state = ""
    return "" if found == "FAILED" else found.replace("_", " ").lower()
