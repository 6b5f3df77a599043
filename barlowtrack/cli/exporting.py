"""The verb that hands a run to other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from barlowtrack.cli.terminal import Bars
from barlowtrack.exports.formats import FORMATS

if TYPE_CHECKING:
    from barlowtrack.data import Progress


@click.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Choice([row.name for row in FORMATS]), help="Format.")
@click.option("--out", type=click.Path(path_type=Path), metavar="PATH", help="File or folder; default: beside the run folder.")
@click.option("--images", is_flag=True, help="Copy the recording's images too (nwb, napari).")
@click.option("--metadata", type=click.Path(path_type=Path), metavar="FILE", help="TOML file: session, subject, device, channels (nwb).")
@click.option("--overwrite", is_flag=True, help="Replace an older export.")
@click.option("--quiet", is_flag=True, help="No bar.")
def export(run_folder: Path, to: str, out: Path | None, images: bool, metadata: Path | None, overwrite: bool, quiet: bool) -> None:
    """Write a finished run as files of other programs.

    RUN is a run folder, or a recording that has one.

    \b
    nwb      one NWB file, as published worm recordings are laid out
    ctc      masks and res_track.txt of the Cell Tracking Challenge
    geff     a graph of nuclei in a zarr, with masks
    csv      tables, with units in a README
    parquet  the same tables, typed
    mat      one MATLAB file of structs
    napari   a folder that napari opens without our plugin
    """  # noqa: D301 - click knows the mark of lines to be kept by its character
    from barlowtrack.api import Run, prepare

    bars = Bars(quiet=quiet)
    begun: list[Progress] = []

    def progress(done: int, total: int) -> None:
        """Shows no bar before there is something to show: what is refused is said in one line."""
        if not begun:
            begun.append(bars.follow("export"))
        begun[0](done, total)

    try:
        made = Run(prepare(run_folder).folder).export(to, out, images=images, metadata=metadata, overwrite=overwrite, progress=progress)
    finally:
        bars.close()
    click.echo(f"export: {made}")
