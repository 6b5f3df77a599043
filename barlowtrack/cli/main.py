"""The verbs."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from barlowtrack import __version__
from barlowtrack.cli.batching import batch
from barlowtrack.cli.correcting import correct, review
from barlowtrack.cli.encoder_training import train_encoder
from barlowtrack.cli.exporting import export
from barlowtrack.cli.looking import in_colour, look_and_tell
from barlowtrack.cli.options import (
    FAULTS,
    comparing_options,
    fault_options,
    job_options,
    look_options,
    make_job,
    make_overrides,
    piece_option,
    points_options,
    progress_options,
    refuse_settings,
    settings_options,
)
from barlowtrack.cli.telling import JsonLines, make_teller, refuse_progress
from barlowtrack.cli.terminal import STOPPED, Bars, Discreet, in_a_line, on_one_line
from barlowtrack.errors import BarlowtrackError, InputError
from barlowtrack.pipeline import STAGES, Stage

if TYPE_CHECKING:
    from barlowtrack.api import Job
    from barlowtrack.data import Recording

log = logging.getLogger(__name__)

PRESETS = ("still", "easy", "mid", "hard")
LAYOUTS = ("ome-tiff", "bigtiff", "ome-zarr-0.4", "ome-zarr-0.5")


class _Verbs(click.Group):
    """Lists the verbs in the order a user needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
@click.option("-v", "--verbose", is_flag=True, help="Say more about what is done.")
def cli(verbose: bool) -> None:
    """From a whole-brain recording to activity traces of identified neurons, without labels.

    Start with: barlowtrack check RECORDING, then barlowtrack run RECORDING.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Discreet("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler], force=True)


def main() -> NoReturn:
    """Runs the command line: 0 all went well, 2 wrong input or settings, or a machine that failed (a line says which), 130 stopped."""
    # Threads of OpenMP wait for each other by spinning, long enough to starve a shared machine: see docs/decisions/0007.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo(f"barlowtrack: {STOPPED}", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the last flush would complain
        sys.exit(1)
    except (BarlowtrackError, OSError, MemoryError) as error:
        if not isinstance(error, BarlowtrackError):
            log.info("where it happened", exc_info=True)
        click.echo(f"barlowtrack: {in_a_line(error)}", err=True)
        sys.exit(2)
    sys.exit(0)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--preset", type=click.Choice(PRESETS), default="easy", show_default=True, help="How much the worm moves, and how noisy it is."
)
@click.option("--volumes", type=click.IntRange(min=1), help="Number of volumes.")
@click.option("--neurons", type=click.IntRange(1, 10_000), help="Number of nuclei.")
@click.option("--shape", nargs=3, type=click.IntRange(min=1), metavar="Z Y X", help="Voxels of a volume.")
@click.option("--voxel-size", nargs=3, type=float, metavar="Z Y X", help="Distance between voxel centres, in um.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--layout", type=click.Choice(LAYOUTS), default="ome-tiff", show_default=True, help="File format of the recording.")
@click.option("--labels", is_flag=True, help="Write the true instance labels too.")
@fault_options
@click.option("--quiet", is_flag=True, help="No bars.")
def simulate(folder: Path, preset: str, seed: int, layout: str, labels: bool, quiet: bool, **wishes: Any) -> None:
    """Make a recording of a moving worm whose truth is known: FOLDER/recording and FOLDER/truth.csv.

    With faults of the microscope, FOLDER/truth_faults.json says what they are.
    """
    from barlowtrack.cli.simulation import write_simulation

    given = {name: value for name, value in wishes.items() if value is not None}
    faults = {name: given.pop(name) for name in FAULTS if name in given}
    for path in write_simulation(folder, preset, seed, layout, labels, given, faults, Bars(quiet=quiet)):  # type: ignore[arg-type]
        click.echo(path)


@cli.command()
@job_options
def check(**given: Any) -> None:
    """Look at a recording before hours are spent on it."""
    from barlowtrack.check import check as check_recording
    from barlowtrack.check import describe
    from barlowtrack.readiness import free_bytes, refuse_stops

    job = make_job(given)
    recording = job.recording()
    for line in describe(recording).split("\n"):
        click.echo(on_one_line(line))
    findings = check_recording(recording, config=job.config, free_bytes=free_bytes(job.folder))
    for finding in findings:
        click.echo(in_colour(finding))
    refuse_stops(job.location, findings)


@cli.command()
@job_options
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--to", "upto", type=click.Choice([stage.name for stage in STAGES]), help="Stop after this stage.")
@click.option("--csv", is_flag=True, help="Write the tables as CSV too.")
@click.option("--no-check", is_flag=True, help="Begin without the look that 'check' takes.")
@progress_options
def run(dry_run: bool, upto: str | None, csv: bool, no_check: bool, quiet: bool, progress: str | None, **given: Any) -> None:
    """Run the whole pipeline on a recording; what is done already is left alone.

    Before a first run the recording is looked at, as 'check' does: what says stop stops it before anything is written.

    RECORDING is a folder of TIFFs, a TIFF, an OME-Zarr, NDTiff, HDF5, NWB, ND2 or what bioio reads, or a run folder.
    """
    look = None if no_check else partial(look_and_tell, quiet=quiet)
    _run(given, None, upto, dry_run=dry_run, csv=csv, teller=make_teller(quiet, progress), look=look)


def _told(needs: tuple[str, ...]) -> tuple[str, ...]:
    """Returns what a stage needs of what a user gives or a stage makes: the model is a matter of settings."""
    return tuple(name for name in needs if name not in ("deconvolver", "segmenter", "start"))


def _add_verb(stage: Stage) -> None:
    @cli.command(
        stage.name, help=f"{stage.does} Needs {', '.join(_told(stage.needs))}; makes {', '.join(stage.makes)}.", short_help=stage.does
    )
    @job_options
    @piece_option(stage.by_volume)
    @click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
    @click.option("--csv", is_flag=True, help="Write the tables as CSV too.")
    @progress_options
    def verb(dry_run: bool, csv: bool, quiet: bool, progress: str | None, volumes: str | None = None, **given: Any) -> None:
        teller = make_teller(quiet, progress)
        if volumes is None:
            _run(given, stage.name, None, dry_run=dry_run, csv=csv, teller=teller)
            return
        if not stage.by_volume:
            able = ", ".join(row.name for row in STAGES if row.by_volume)
            raise InputError(
                f"{stage.name}: --volumes: is made of the whole recording at once, in one job, and goes on where it was stopped; "
                f"stages that can be made in pieces: {able}"
            )
        if dry_run or csv:
            raise InputError(f"{stage.name}: --volumes makes a piece of a result, so it takes no {'--dry-run' if dry_run else '--csv'}")
        _make_piece(given, stage.name, volumes, teller)


def _make_piece(given: dict[str, Any], stage: str, volumes: str, teller: Bars | JsonLines) -> None:
    from barlowtrack.api import Run
    from barlowtrack.data import span_of

    with teller:
        job = make_job(given)
        job.run_piece(stage, span_of(volumes, job.recording().n_volumes, stage), teller)
        teller.show_result(Run(job.folder), whole=False)


def _show_defaults(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from barlowtrack.config import SegmentationTrainingConfig, section_to_toml

        click.echo(section_to_toml(SegmentationTrainingConfig()), nl=False)
        context.exit()


def _add_track(stage: Stage) -> None:
    """Track has a second way in: points that another program found."""
    told = f"{stage.does} Needs {', '.join(_told(stage.needs))}; makes {', '.join(stage.makes)}."

    @cli.command(stage.name, help=f"{told} Or give --points and --out instead of RECORDING.", short_help=stage.does)
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


def _add_report(stage: Stage) -> None:
    """Report can also put two finished runs side by side."""
    told = f"{stage.does} Needs {', '.join(_told(stage.needs))}; makes {', '.join(stage.makes)}."

    @cli.command(stage.name, help=f"{told} Or give --compare A B instead of RECORDING.", short_help=stage.does)
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


_ADD = {"track": _add_track, "report": _add_report}

for _stage in STAGES:
    _ADD.get(_stage.name, _add_verb)(_stage)


def _run(
    given: dict[str, Any],
    only: str | None,
    upto: str | None,
    *,
    dry_run: bool,
    csv: bool,
    teller: Bars | JsonLines,
    look: Callable[[Job, Recording], None] | None = None,
) -> None:
    from barlowtrack.api import Run

    with teller:
        job = make_job(given)
        if dry_run:
            teller.show_plan([item for item in job.plan() if only in (None, item.stage.name)])
            return
        job.run(only=only, upto=upto, listener=teller, look=look)
        done = Run(job.folder)
        done.write_csv(always=csv)
        teller.show_result(done, whole=only is None and upto in (None, "report"))


@cli.command("train-segmentation")
@click.argument("images", type=click.Path(path_type=Path))
@click.argument("labels", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where the model goes; must not exist yet.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="TOML file of training settings.")
@click.option("--set", "overrides", multiple=True, metavar="SETTING=VALUE", help="One setting, such as epochs=20; may be repeated.")
@click.option("--recording-voxel-size", nargs=3, type=float, metavar="Z Y X", help="In um, where the images do not say it.")
@click.option("--axes", help="Order of the images' axes, such as ZYX, where they do not say it.")
@click.option(
    "--reference-channel", metavar="NAME_OR_INDEX", help="The channel of the images that shows nuclei, where names do not say it."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--memory-gb", type=click.FloatRange(min=0.1), default=4.0, show_default=True, help="Pairs kept in memory.")
@click.option("--default", is_flag=True, is_eager=True, expose_value=False, callback=_show_defaults, help="Print all settings, explained.")
@click.option("--quiet", is_flag=True, help="No bars.")
def train_segmentation(images: Path, labels: Path, out: Path, quiet: bool, **given: Any) -> None:
    """Teach a star-convex network from labelled volumes, for 'segment' with segment.model=FOLDER.

    IMAGES and LABELS are folders of TIFFs with the same names, or two OME-Zarrs. StarDist opens the model too.
    """
    from barlowtrack.cli.segmentation_training import train_here

    click.echo(train_here(images, labels, out, given, Bars(quiet=quiet)))


@cli.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--truth",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="CSV or parquet: t, neuron, z_um, y_um, x_um; or NWB, ZephIR's annotations.h5, a table of wbfm, a folder of masks (CTC).",
)
@click.option("--voxel-size", nargs=3, type=float, metavar="Z Y X", help="Where the truth is in voxels (z, y, x): their size in um.")
@click.option(
    "--gate-um",
    type=click.FloatRange(min=0, min_open=True),
    help="Farthest a detection may be from its true neuron; default: 3; for points in another unit, half the distance of neighbours.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(run_folder: Path, truth: Path, voxel_size: Any, gate_um: float | None, as_json: bool) -> None:
    """Compare identities with the truth. RUN is a run folder, a recording that has one, or a tracks table or folder."""
    from barlowtrack.cli.evaluation import evaluate_run

    click.echo(evaluate_run(run_folder, truth, voxel_size, gate_um, as_json=as_json))


cli.add_command(batch)
cli.add_command(train_encoder)
cli.add_command(review)
cli.add_command(correct)


@cli.command()
@click.argument("source", metavar="FROM_RUN", type=click.Path(path_type=Path))
@click.argument("target", metavar="TO_RUN", type=click.Path(path_type=Path))
@click.option(
    "--min-probability", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="Neurons that are less sure are left out."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the table too, as CSV or parquet.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--quiet", is_flag=True, help="No bars.")
def transfer(source: Path, target: Path, min_probability: float, out: Path | None, seed: int, quiet: bool) -> None:
    """Find the neurons of one animal in another, and carry their names over; nothing is changed in either.

    FROM_RUN and TO_RUN are run folders, recordings that have one, folders of tracked points, or atlas files.
    """
    from barlowtrack.cli.transfer import transfer_here

    transfer_here(source, target, out, min_probability, seed, Bars(quiet=quiet))


@cli.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Ends in .webp, .png, .gif or .mp4.")
@click.option("--volumes", metavar="FROM:TO", help="Volumes to show, TO not included, such as 0:100; default: all.")
@click.option("--width", type=click.IntRange(64, 4096), default=640, show_default=True, help="Of the picture, in pixels.")
@click.option("--fps", type=click.FloatRange(0.1, 60), default=10.0, show_default=True, help="Frames a second.")
@click.option(
    "--max-frames", type=click.IntRange(min=1), default=200, show_default=True, help="Of more volumes as many are shown, evenly chosen."
)
@click.option("--names", is_flag=True, help="Write names, or numbers, beside neurons where there is room.")
@click.option("--quiet", is_flag=True, help="No bar.")
def movie(run_folder: Path, out: Path, quiet: bool, **given: Any) -> None:
    """Film the recording with its identities: maximum projections with a ring around every neuron, coloured as in the report.

    RUN is a run folder, or a recording that has one; the recording must be at hand.
    """
    from barlowtrack.cli.movie import film_here

    film_here(run_folder, out, Bars(quiet=quiet), **given)


cli.add_command(export)


@cli.command("open")
@click.argument("target", metavar="RUN", type=click.Path(path_type=Path))
@look_options
def open_(target: Path, **given: Any) -> None:
    """Look at a run in napari: the recording, its nuclei in the colours of their neurons, and the panels.

    RUN is a run folder, or a recording with or without a run. Settings are for a recording without one.
    """
    from barlowtrack.cli.opening import open_here

    open_here(target, make_overrides({"overrides": (), **dict.fromkeys(("seed", "device", "workers")), **given}))


@cli.command()
@job_options
@click.option("--watch", is_flag=True, help="Look again until nobody is at work: drawn anew, or in a pipe a line for every change.")
@click.option("--every", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, metavar="SECONDS", help="Between two looks.")
def status(watch: bool, every: float, **given: Any) -> None:
    """Say for every stage: cached, with its time and memory; at work, and how far; missing; or stale and why."""
    from barlowtrack.cli.watching import show_status
    from barlowtrack.cli.watching import watch as watch_run

    job = make_job(given)
    if watch:
        watch_run(job, every)
    else:
        show_status(job)


@cli.command()
@click.argument("target", required=False, metavar="[RECORDING]", type=click.Path(path_type=Path))
@settings_options
@click.option("--default", is_flag=True, help="Print the default settings, each explained.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of the settings.")
def config(target: Path | None, default: bool, schema: bool, **given: Any) -> None:
    """Print the settings in force, all defaults with explanations, or the schema."""
    from barlowtrack.config import Config, load, to_schema, to_toml

    if schema:
        click.echo(to_schema())
    elif default:
        click.echo(to_toml(Config(), commented=True), nl=False)
    elif target is not None:
        click.echo(to_toml(make_job({**given, "target": target, "out": None}).config), nl=False)
    else:
        click.echo(to_toml(load(given["config_file"], make_overrides(given))), nl=False)
