"""The verbs beside the stages: what is looked at, made, learned and told around a run. What each does lies in a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from barlowtrack.cli.looking import in_colour
from barlowtrack.cli.options import (
    FAULTS,
    fault_options,
    job_options,
    look_options,
    make_job,
    make_overrides,
    settings_options,
)
from barlowtrack.cli.terminal import Bars, on_one_line

PRESETS = ("still", "easy", "mid", "hard")
LAYOUTS = ("ome-tiff", "bigtiff", "ome-zarr-0.4", "ome-zarr-0.5")


@click.command()
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


@click.command()
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


def _show_defaults(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from barlowtrack.config import SegmentationTrainingConfig, section_to_toml

        click.echo(section_to_toml(SegmentationTrainingConfig()), nl=False)
        context.exit()


@click.command("train-segmentation")
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


@click.command()
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


@click.command()
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


@click.command()
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


@click.command("open")
@click.argument("target", metavar="RUN", type=click.Path(path_type=Path))
@look_options
def open_(target: Path, **given: Any) -> None:
    """Look at a run in napari: the recording, its nuclei in the colours of their neurons, and the panels.

    RUN is a run folder, or a recording with or without a run. Settings are for a recording without one.
    """
    from barlowtrack.cli.opening import open_here

    open_here(target, make_overrides({"overrides": (), **dict.fromkeys(("seed", "device", "workers")), **given}))


@click.command()
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


@click.command()
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
