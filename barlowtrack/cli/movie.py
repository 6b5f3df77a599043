"""movie: the recording as a film, with its identities."""

from __future__ import annotations

from pathlib import Path

import click

from barlowtrack.api import Run, prepare
from barlowtrack.cli.terminal import Bars
from barlowtrack.movie import choose_frames
from barlowtrack.stages.report.words import counted


def film_here(
    run_folder: Path, out: Path, bars: Bars, *, volumes: str | None, width: int, fps: float, max_frames: int, names: bool
) -> None:
    """Writes the film, and says how long it is, and how many volumes were left out.

    Raises:
        StorageError, InputError: nothing to film, or no place to write it.
    """
    run = Run(prepare(run_folder).folder)
    progress = bars.follow("movie")
    try:
        shown = run.movie(out, volumes=volumes, width=width, fps=fps, max_frames=max_frames, names=names, progress=progress)
    finally:
        bars.close()
    n_volumes = run.detections.n_volumes
    wanted = len(choose_frames(n_volumes, volumes, n_volumes))
    last = (volumes or "").partition(":")[2].strip()
    if last and int(last) > n_volumes:
        click.echo(f"--volumes {volumes}: the recording has {counted(n_volumes, 'volume')}, the last is {n_volumes - 1}", err=True)
    if len(shown) < wanted:
        click.echo(f"{len(shown)} of {wanted} volumes are shown, evenly chosen; --max-frames {wanted} shows all", err=True)
    click.echo(f"movie: {out}, {counted(len(shown), 'frame')}, {len(shown) / fps:.1f} s")
