"""Whether a recording is ready to be run: the look that `check` takes, and what of it ends a run before anything is written."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from barlowtrack.check import check
from barlowtrack.config import Config
from barlowtrack.data import Recording
from barlowtrack.errors import InputError
from barlowtrack.findings import Finding
from barlowtrack.io.location import shown

log = logging.getLogger(__name__)


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
        raise InputError(f"{shown(location)}: not ready to run: {stops[0].what}{fix}{more}")


def look_first(recording: Recording, location: Path, folder: Path, config: Config) -> list[Finding]:
    """Looks at a recording of which no nuclei have been found yet.

    Args:
        recording: To look at; see check.
        location: Where it lies.
        folder: Where results will go.
        config: The settings of the run.

    Returns:
        What may make results poor; without what was assumed of the recording, which whoever runs it is told anyway.

    Raises:
        InputError: the run would fail, or its results would mean nothing.
    """
    findings = check(recording, config=config, free_bytes=free_bytes(folder))
    refuse_stops(location, findings)
    return [finding for finding in findings if finding.level == "warn" and finding.what not in recording.assumptions]


def look_and_log(recording: Recording, location: Path, folder: Path, config: Config) -> None:
    """Does the same, and logs what may make results poor; for scripts."""
    for finding in look_first(recording, location, folder, config):
        log.warning("%s: %s%s", shown(location), finding.what, f" -> {finding.fix}" if finding.fix else "")
