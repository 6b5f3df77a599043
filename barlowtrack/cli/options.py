"""Options that several verbs share, and how they become a Job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from barlowtrack.errors import InputError

if TYPE_CHECKING:
    from barlowtrack.api import Job

Command = TypeVar("Command", bound=Callable[..., Any])

_TARGET = click.argument("target", metavar="RECORDING", type=click.Path(path_type=Path))
_LOOK = (
    click.option("--voxel-size", nargs=3, type=float, metavar="Z Y X", help="Distance between voxel centres, in um."),
    click.option("--rate", type=float, metavar="HZ", help="Volumes a second."),
    click.option("--reference-channel", metavar="NAME_OR_INDEX", help="The channel that shows where the neurons are (red)."),
    click.option("--signal-channel", metavar="NAME_OR_INDEX", help="The channel that shows their activity (green)."),
    click.option("--channel-names", metavar="A,B", help="Names of the channels, in their order."),
    click.option("--axes", metavar="AXES", help="Axes of each file, such as ZCYX."),
    click.option("--planes", type=int, metavar="N", help="Planes a volume, where a TIFF holds nothing but planes."),
    click.option(
        "--dataset", multiple=True, metavar="NAME", help="Image inside a file that holds several; repeatable: one for each channel."
    ),
)
"""What the metadata of a recording may leave open."""
_SETTINGS = (
    click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="TOML file of settings."),
    click.option(
        "--set", "overrides", multiple=True, metavar="NAME=VALUE", help="One setting, such as track.min_probability=0.5; repeatable."
    ),
    *_LOOK,
    click.option("--seed", type=int, metavar="N", help="Seed of everything random."),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where networks run."),
    click.option("--workers", type=int, metavar="N", help="Threads that work on volumes side by side."),
)
_OUT = click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Run folder; default: RECORDING.barlowtrack beside the recording."
)

_FAULTS = (
    click.option("--jitter", "jitter_vox", type=float, metavar="VOXELS", help="Planes jump by so much along y and x (spread)."),
    click.option("--drift", "drift_vox", nargs=3, type=float, metavar="Z Y X", help="The field drifts by so many voxels a volume."),
    click.option("--offset", nargs=2, type=float, metavar="RED GREEN", help="Further offset of the two cameras."),
    click.option("--hot-pixels", type=float, metavar="SHARE", help="Share of the pixels of each camera that are stuck bright."),
    click.option("--camera-shift", "shift_vox", nargs=2, type=float, metavar="Y X", help="How far off the green camera looks, in voxels."),
    click.option("--camera-turn", "turn_deg", type=float, metavar="DEGREES", help="How far the green camera is turned."),
    click.option("--camera-scale", "scale", type=float, metavar="FACTOR", help="How much larger the green camera sees things."),
)
FAULTS = ("jitter_vox", "drift_vox", "offset", "hot_pixels", "shift_vox", "turn_deg", "scale")
"""Names of the faults that these options give."""

_TARGET_OR_POINTS = click.argument("target", metavar="[RECORDING]", required=False, type=click.Path(path_type=Path))
_POINTS = click.option(
    "--points",
    type=click.Path(path_type=Path),
    metavar="POINTS",
    help="CSV or parquet of detections: t or volume, and x, y, z in any unit; results go to --out.",
)

_COMPARE = click.option(
    "--compare",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="A B",
    help="Instead of RECORDING, two runs of one recording: a page of what differs, in --out FILE; default: compare.html in A's run folder.",
)

_PIECE = click.option(
    "--volumes",
    metavar="FROM:TO",
    help="Make these volumes only, TO not included, such as 0:400, beside other jobs that make others; without it, put them together.",
)

_NO_PIECE = click.option("--volumes", hidden=True)

_QUIET = click.option("--quiet", is_flag=True, help="No bars.")
_PROGRESS = click.option(
    "--progress",
    type=click.Choice(["bars", "lines", "json"]),
    help="How progress is told: bars (default; lines where nobody watches), lines, or json: an object a line, for programs.",
)

# flag of the CLI -> setting it stands for
_FLAGS = {
    "voxel_size": "recording.voxel_size_um",
    "rate": "recording.rate_hz",
    "reference_channel": "recording.reference_channel",
    "signal_channel": "recording.signal_channel",
    "channel_names": "recording.channel_names",
    "axes": "recording.axes",
    "planes": "recording.planes",
    "dataset": "recording.dataset",
    "seed": "seed",
    "device": "compute.device",
    "workers": "compute.workers",
}


def settings_options(command: Command) -> Command:
    """Adds --config, --set and the flags that stand for a setting."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


def look_options(command: Command) -> Command:
    """Adds the flags that say what a recording's metadata do not."""
    for option in reversed(_LOOK):
        command = option(command)
    return command


def fault_options(command: Command) -> Command:
    """Adds the faults of a microscope."""
    for option in reversed(_FAULTS):
        command = option(command)
    return command


def job_options(command: Command) -> Command:
    """Adds RECORDING, --out and the options of settings."""
    return _TARGET(_OUT(settings_options(command)))


def points_options(command: Command) -> Command:
    """Adds RECORDING or --points, --out and the options of settings."""
    return _TARGET_OR_POINTS(_POINTS(_OUT(settings_options(command))))


def piece_option(wanted: bool) -> Callable[[Command], Command]:
    """Returns what adds --volumes; hidden where no pieces can be made, so that it is refused with the reason."""
    return _PIECE if wanted else _NO_PIECE


def comparing_options(command: Command) -> Command:
    """Adds RECORDING or --compare, --out and the options of settings."""
    target = click.argument("target", metavar="[RECORDING]", required=False, type=click.Path(path_type=Path))
    return target(_COMPARE(_OUT(settings_options(command))))


def progress_options(command: Command) -> Command:
    """Adds --quiet and --progress."""
    return _QUIET(_PROGRESS(command))


def refuse_settings(given: dict[str, Any], verb: str) -> None:
    """Refuses settings where none are read, lest somebody think that they counted.

    Raises:
        InputError: one was given.
    """
    flags = [name for name in ("config_file", *_FLAGS) if given[name] not in (None, ())]
    if given["overrides"] or flags:
        raise InputError(f"{verb}: compares what is there, so it takes no settings; leave out --{_option(flags[0]) if flags else 'set'}")


def _option(name: str) -> str:
    return "config" if name == "config_file" else name.replace("_", "-")


def make_overrides(given: dict[str, Any]) -> list[str]:
    """Turns --set and the flags given into overrides of settings; flags come last."""
    texts = list(given["overrides"])
    for flag, setting in _FLAGS.items():
        value = given[flag]
        if flag == "channel_names" and value is not None:
            value = [name.strip() for name in value.split(",")]
        if value not in (None, ()):
            texts.append(f"{setting}={json.dumps(value, ensure_ascii=False)}" if not _is_index(value) else f"{setting}={value}")
    return texts


def make_job(given: dict[str, Any]) -> Job:
    """Makes the Job that the options describe; takes them out of given."""
    from barlowtrack.api import prepare

    overrides = make_overrides(given)
    job = prepare(given["target"], out=given["out"], config=given["config_file"], overrides=overrides)
    return job


def _is_index(value: Any) -> bool:
    return isinstance(value, str) and value.isdecimal()
