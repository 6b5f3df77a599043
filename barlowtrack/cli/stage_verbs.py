"""run, and a verb for every stage of the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from barlowtrack.cli.looking import look_and_tell
from barlowtrack.cli.options import (
    comparing_options,
    job_options,
    make_job,
    piece_option,
    points_options,
    progress_options,
    refuse_settings,
)
from barlowtrack.cli.telling import JsonLines, make_teller, refuse_progress
from barlowtrack.cli.terminal import Bars
from barlowtrack.cli.waiting import patiently, wait_option
from barlowtrack.errors import InputError
from barlowtrack.pipeline import STAGES, Stage

if TYPE_CHECKING:
    from barlowtrack.api import Job
    from barlowtrack.data import Recording


@click.command()
@job_options
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--to", "upto", type=click.Choice([stage.name for stage in STAGES]), help="Stop after this stage.")
@click.option("--csv", is_flag=True, help="Write the tables as CSV too.")
@click.option("--no-check", is_flag=True, help="Begin without the look that 'check' takes.")
@wait_option
@progress_options
def run(
    dry_run: bool, upto: str | None, csv: bool, no_check: bool, wait_min: float, quiet: bool, progress: str | None, **given: Any
) -> None:
    """Run the whole pipeline on a recording; what is done already is left alone.

    Before a first run the recording is looked at, as 'check' does: what says stop stops it before anything is written.

    RECORDING is a folder of TIFFs, a TIFF, an OME-Zarr, NDTiff, HDF5, NWB, ND2 or what bioio reads, or a run folder.
    """
    look = None if no_check else partial(look_and_tell, quiet=quiet)
    _run(given, None, upto, dry_run=dry_run, csv=csv, teller=make_teller(quiet, progress), look=look, wait_min=wait_min)


def stage_verbs() -> list[click.Command]:
    """Returns a verb for every stage, in the order of the table."""
    made = {"track": _track, "report": _report}
    return [made.get(stage.name, _verb_of)(stage) for stage in STAGES]


def _verb_of(stage: Stage) -> click.Command:
    @click.command(stage.name, help=_told(stage), short_help=stage.does)
    @job_options
    @piece_option(stage.by_volume)
    @click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
    @click.option("--csv", is_flag=True, help="Write the tables as CSV too.")
    @wait_option
    @progress_options
    def verb(
        dry_run: bool, csv: bool, wait_min: float, quiet: bool, progress: str | None, volumes: str | None = None, **given: Any
    ) -> None:
        teller = make_teller(quiet, progress)
        if volumes is None:
            _run(given, stage.name, None, dry_run=dry_run, csv=csv, teller=teller, wait_min=wait_min)
            return
        if not stage.by_volume:
            able = ", ".join(row.name for row in STAGES if row.by_volume)
            raise InputError(
                f"{stage.name}: --volumes: is made of the whole recording at once, in one job, and goes on where it was stopped; "
                f"stages that can be made in pieces: {able}"
            )
        if dry_run or csv:
            raise InputError(f"{stage.name}: --volumes makes a piece of a result, so it takes no {'--dry-run' if dry_run else '--csv'}")
        _make_piece(given, stage.name, volumes, teller, partial(look_and_tell, quiet=quiet), wait_min)

    return verb


def _track(stage: Stage) -> click.Command:
    """Track has a second way in: points that another program found."""

    @click.command(stage.name, help=f"{_told(stage)} Or give --points and --out instead of RECORDING.", short_help=stage.does)
    @points_options
    @click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
    @click.option("--csv", is_flag=True, help="Write the tables as CSV too.")
    @progress_options
    def verb(points: Path | None, dry_run: bool, csv: bool, quiet: bool, progress: str | None, **given: Any) -> None:
        if (points is None) == (given["target"] is None):
            raise InputError(f"track: expected RECORDING or --points POINTS, got {'both' if points else 'neither'}")
        if points is None:
            _run(given, stage.name, None, dry_run=dry_run, csv=csv, teller=make_teller(quiet, progress))
            return
        from barlowtrack.cli.points import track_points_here

        refuse_progress(progress, "track --points")
        track_points_here(points, given, Bars(quiet=quiet), csv=csv, dry_run=dry_run)

    return verb


def _report(stage: Stage) -> click.Command:
    """Report can also put two finished runs side by side."""

    @click.command(stage.name, help=f"{_told(stage)} Or give --compare A B instead of RECORDING.", short_help=stage.does)
    @comparing_options
    @click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
    @click.option("--csv", is_flag=True, help="Write the tables as CSV too.")
    @progress_options
    def verb(compare: tuple[Path, Path] | None, dry_run: bool, csv: bool, quiet: bool, progress: str | None, **given: Any) -> None:
        if (compare is None) == (given["target"] is None):
            raise InputError(f"report: expected RECORDING or --compare A B, got {'both' if compare else 'neither'}")
        if compare is None:
            _run(given, stage.name, None, dry_run=dry_run, csv=csv, teller=make_teller(quiet, progress))
            return
        from barlowtrack.cli.comparing import compare_here

        refuse_settings(given, "report --compare")
        refuse_progress(progress, "report --compare")
        compare_here(*compare, given["out"], dry_run=dry_run)

    return verb


def _told(stage: Stage) -> str:
    """Says what a stage does, needs and makes; of what it needs, what a user gives or a stage makes: the model is a matter of settings."""
    needs = [name for name in stage.needs if name not in ("deconvolver", "segmenter", "start")]
    return f"{stage.does} Needs {', '.join(needs)}; makes {', '.join(stage.makes)}."


def _run(
    given: dict[str, Any],
    only: str | None,
    upto: str | None,
    *,
    dry_run: bool,
    csv: bool,
    teller: Bars | JsonLines,
    look: Callable[[Job, Recording], None] | None = None,
    wait_min: float = 0.0,
) -> None:
    from barlowtrack.api import Run

    with teller:
        job = make_job(given)
        if dry_run:
            teller.show_plan([item for item in job.plan() if only in (None, item.stage.name)])
            return
        patiently(lambda: job.run(only=only, upto=upto, listener=teller, look=look), wait_min)
        done = Run(job.folder)
        done.write_csv(always=csv)
        teller.show_result(done, whole=only is None and upto in (None, "report"))


def _make_piece(
    given: dict[str, Any], stage: str, volumes: str, teller: Bars | JsonLines, look: Callable[[Job, Recording], None], wait_min: float
) -> None:
    from barlowtrack.api import Run
    from barlowtrack.data import span_of

    with teller:
        job = make_job(given)
        span = span_of(volumes, job.recording().n_volumes, stage, within=True)
        patiently(lambda: job.run_piece(stage, span, teller, look), wait_min)
        teller.show_result(Run(job.folder), whole=False)
