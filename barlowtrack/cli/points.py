"""track --points: neurons from somebody's table of places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from barlowtrack.cli.options import make_overrides
from barlowtrack.cli.terminal import Bars, show_tracks
from barlowtrack.errors import InputError
from barlowtrack.points import open_points, refuse_folder, settings_of, track_points


def track_points_here(path: Path, given: dict[str, Any], bars: Bars, *, csv: bool, dry_run: bool) -> None:
    """Tracks the points of a table, and says what came out.

    Raises:
        InputError, ConfigError, StorageError: see track_points.
    """
    folder = given["out"]
    if folder is None:
        raise InputError("track: expected --out FOLDER beside --points, got none")
    refuse_folder(folder)
    settings = settings_of(given["config_file"], make_overrides(given))
    points = open_points(path, settings)
    if points.planar:
        click.echo(f"assumed: {path} has no column z: all points lie in one plane", err=True)
    if dry_run:
        click.echo(f"track    would identify {len(points.row)} points in {len(points.number)} volumes, and write to {folder}")
        return
    progress = bars.follow("track")
    try:
        found = track_points(points, config=settings, progress=progress)
    finally:
        bars.close()
    found.write(folder, csv=csv)
    show_tracks(found.tracked.tracks, points.detections)
    click.echo(f"tables: {folder}")
