"""The look at a recording, in a terminal: by itself, and before a first run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from barlowtrack.cli.terminal import on_one_line

if TYPE_CHECKING:
    from barlowtrack.api import Job
    from barlowtrack.data import Recording
    from barlowtrack.findings import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "stop": "red"}


def in_colour(finding: Finding) -> str:
    """Returns a finding as a line."""
    said = on_one_line(finding.what + (f" -> {finding.fix}" if finding.fix else ""))
    return click.style(f"{finding.level:5}", fg=_COLOURS[finding.level]) + said


def look_and_tell(job: Job, recording: Recording, *, quiet: bool) -> None:
    """Looks at a recording of which no nuclei have been found yet; says what may make results poor, on standard error.

    Raises:
        InputError: the run would fail, or its results would mean nothing.
    """
    from barlowtrack.readiness import look_first

    for finding in look_first(recording, job.location, job.folder, job.config):
        if not quiet:
            click.echo(in_colour(finding), err=True)
