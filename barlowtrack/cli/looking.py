"""The look at a recording, in a terminal: by itself, and before a first run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from barlowtrack.cli.terminal import on_one_line
from barlowtrack.errors import InputError

if TYPE_CHECKING:
    from barlowtrack.api import Job
    from barlowtrack.check import Finding
    from barlowtrack.data import Recording

_COLOURS = {"ok": "green", "warn": "yellow", "stop": "red"}


def in_colour(finding: Finding) -> str:
    """Returns a finding as a line."""
    said = on_one_line(finding.what + (f" -> {finding.fix}" if finding.fix else ""))
    return click.style(f"{finding.level:5}", fg=_COLOURS[finding.level]) + said


def free_bytes(folder: Path) -> int | None:
    """Returns the room on the disk where a run folder lies, or will lie; None where the system does not say."""
    there = next(place for place in folder.absolute().parents if place.is_dir())
    disk = shutil.disk_usage(there)
    return disk.free if disk.total else None


def refuse_stops(location: Path, findings: Sequence[Finding]) -> None:
    """Raises InputError where a finding says stop; tells the first."""
    stops = [finding for finding in findings if finding.level == "stop"]
    if stops:
        more = f" (and {len(stops) - 1} more; 'barlowtrack check' tells them)" if len(stops) > 1 else ""
        fix = f" -> {stops[0].fix}" if stops[0].fix else ""
        raise InputError(f"{location}: not ready to run: {stops[0].what}{fix}{more}")


def look_first(job: Job, recording: Recording, *, quiet: bool) -> None:
    """Looks at a recording of which no nuclei have been found yet; says what may make results poor, on standard error.

    Raises:
        InputError: the run would fail, or its results would mean nothing.
    """
    from barlowtrack.check import check

    findings = check(recording, config=job.config, free_bytes=free_bytes(job.folder))
    refuse_stops(job.location, findings)
    for finding in findings:
        if finding.level == "warn" and not quiet and finding.what not in recording.assumptions:  # those are told anyway
            click.echo(in_colour(finding), err=True)
