"""The verb that trains one encoder on many recordings."""

from __future__ import annotations

from pathlib import Path

import click

from barlowtrack.cli.waiting import patiently, wait_option


@click.command("train-encoder")
@click.argument("targets", metavar="RECORDING...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Where the encoder goes, .safetensors.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="TOML file of settings; [train] counts.")
@click.option("--set", "overrides", multiple=True, metavar="NAME=VALUE", help="One setting, such as train.epochs=10; repeatable.")
@click.option("--leave-out", is_flag=True, help="Leave out recordings without crops that fit, and say so, instead of refusing.")
@click.option("--as-planned", is_flag=True, hidden=True, help="The settings hold for the recordings, too: their crops must be made so.")
@wait_option
@click.option("--quiet", is_flag=True, help="No bars.")
def train_encoder(
    targets: tuple[Path, ...],
    out: Path,
    config_file: Path | None,
    overrides: tuple[str, ...],
    leave_out: bool,
    as_planned: bool,
    wait_min: float,
    quiet: bool,
) -> None:
    """Train one encoder on several recordings, for all that are like them.

    RECORDINGS, or their run folders, must have crops that are up to date: barlowtrack run RECORDING --to crop. Where the settings leave
    it open, the encoder that comes along is trained further (train.mode=fine-tune). Use it by --set train.start=FILE.
    """
    from barlowtrack.api import SUFFIX, prepare
    from barlowtrack.cli.terminal import Bars
    from barlowtrack.one_encoder import settings_of, train_together

    config = settings_of(config_file, overrides)
    folders = [target if target.name.endswith(SUFFIX) else prepare(target).folder for target in targets]
    given = (config_file, overrides) if as_planned else None
    bars = Bars(quiet=quiet)
    follow = bars.follow("train-encoder")
    made, lost, trained = patiently(
        lambda: train_together(folders, out, config, leave_out=leave_out, given=given, progress=follow), wait_min
    )
    bars.close()
    for name, why in lost.items():
        click.echo(f"left out: {name}: {why}", err=True)
    done = f"{out}: trained on {', '.join(made.recordings)}" + ("" if trained else "; done already")
    click.echo(f"{done}\nuse it: barlowtrack run RECORDING --set train.mode=zero-shot --set train.start={out}")
