"""The verb for a folder of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from barlowtrack.errors import InputError

if TYPE_CHECKING:
    from barlowtrack.batch import Found, Outcome, Work
    from barlowtrack.batch.together import Together

COLOURS = {"done": "green", "failed": "red", "not done": "yellow"}


def _show_profile(context: click.Context, _: click.Parameter, name: str | None) -> None:
    if name is not None:
        from barlowtrack.batch.drive import find_profile

        found = find_profile(name)
        assert found is not None, "there is a name"
        click.echo((found / "config.yaml").read_text(), nl=False)
        context.exit()


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pattern", default="*", show_default=True, metavar="GLOB", help="Which entries are recordings, such as '*/worm*'.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Recordings, or parts of one, side by side.")
@click.option("--profile", metavar="NAME_OR_FOLDER", help="A profile of Snakemake: workstation, slurm, or a folder with a config.yaml.")
@click.option("--volumes-a-job", type=click.IntRange(min=1), metavar="N", help="Cut long recordings into jobs of N volumes each.")
@click.option(
    "--one-encoder",
    metavar="N|NAMES|all",
    help="Train one encoder on N recordings, or on those named (a,b,c; 5, is one called 5), and let all take it; see train-encoder.",
)
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="TOML file of settings, for all of them.")
@click.option("--set", "overrides", multiple=True, metavar="NAME=VALUE", help="One setting, for all of them; repeatable.")
@click.option(
    "--show-profile", metavar="NAME", is_eager=True, expose_value=False, callback=_show_profile, help="Print a profile, to change a copy."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be done, and do none of it; only FOLDER/barlowtrack-batch is made, with the list of work.",
)
@click.option("--quiet", is_flag=True, help="Say nothing but the table at the end.")
def batch(
    folder: Path,
    pattern: str,
    jobs: int,
    profile: str | None,
    volumes_a_job: int | None,
    one_encoder: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
) -> None:
    """Run all recordings of a folder: what is done already is left alone, and one that fails keeps no other from going on.

    Ends with a table, and the page FOLDER/barlowtrack-batch/batch.html. Stopped, or killed, it is simply started again.
    """
    from barlowtrack.batch import find_recordings, outcomes, run_batch
    from barlowtrack.batch.drive import alone, find_profile, refuse_without_engine
    from barlowtrack.batch.found import STATE
    from barlowtrack.batch.left_over import stop_left_over
    from barlowtrack.batch.page import write_page
    from barlowtrack.storage.atomic import write_bytes

    refuse_without_engine()
    chosen = find_profile(profile)
    settings = ["--config", str(config_file.absolute())] if config_file else []
    settings += [part for text in overrides for part in ("--set", text)]
    found = find_recordings(folder, pattern)
    state = folder / STATE
    asked = _Asked(found, state, settings, pattern, volumes_a_job, one_encoder)
    if dry_run:
        _dry_run(asked, jobs, chosen)
        return
    with alone(state) as lock:
        _tell_stopped(stop_left_over(state), quiet=quiet)
        works, together = asked.plan(state)
        taking = together.options if together else ()
        if not quiet:
            _show_plan(works, together)
            _tell_in_use(works)
        if together:
            together.remember()
        failed = 0
        if any(work.stages for work in works):
            failed = run_batch(state, lock, jobs=jobs, profile=chosen, told=None if quiet else _tell)
        came = outcomes(works, state, [*settings, *taking])
        note = together.note() if together else ""
        write_bytes(state / "batch.html", write_page(came, state, folder.absolute().name, note).encode())
        _show_outcomes(came)
        if note:
            click.echo(note)
        click.echo(f"page: {state / 'batch.html'}")
    lost = [outcome for outcome in came if outcome.state != "done"]
    if lost:
        raise InputError(f"{folder}: {len(lost)} of {len(came)} recordings are not done; logs lie in {state / 'logs'}")
    if failed:
        raise InputError(f"{folder}: Snakemake ended with an error though all is done; see {state / 'snakemake.log'}")


@dataclass(frozen=True)
class _Asked:
    """What a batch is to be about.

    Attributes:
        found: Recordings.
        state: Folder of the batch.
        settings: Options of the CLI that hold for all.
        pattern: By which they were found.
        volumes_a_job: As given.
        one_encoder: As given.
    """

    found: Sequence[Found]
    state: Path
    settings: Sequence[str]
    pattern: str
    volumes_a_job: int | None
    one_encoder: str | None

    def plan(self, place: Path) -> tuple[list[Work], Together | None]:
        """Says what is left to do, and writes the list of work into a folder."""
        from barlowtrack.batch import make_worklist
        from barlowtrack.batch.drive import WORK
        from barlowtrack.batch.together import plan_together, told
        from barlowtrack.batch.worklist import make_work

        together, encoder = None, None
        if self.one_encoder is None:
            works = [make_work(one, self.settings) for one in self.found]
        else:
            together, works = plan_together(self.one_encoder, self.found, self.state, self.settings, self.pattern)
            encoder = told(together, works, self.settings)
        taking = together.options if together else ()
        make_worklist(works, place / WORK, settings=self.settings, volumes_a_job=self.volumes_a_job, taking=taking, encoder=encoder)
        return works, together


def _dry_run(asked: _Asked, jobs: int, profile: Path | None) -> None:
    from barlowtrack.batch.drive import at_work, looking, plan_jobs

    with looking(asked.state) as place:
        if place != asked.state:
            click.echo(f"a batch is at work here ({at_work(asked.state)}); its list of work is left as it is. Left to do now:", err=True)
        works, together = asked.plan(place)
        _show_plan(works, together)
        counts = plan_jobs(place, jobs=jobs, profile=profile) if any(work.stages for work in works) else {}
    said = ", ".join(f"{count} {rule}" for rule, count in counts.items())
    click.echo(f"jobs: {said or 'none'}", err=True)


def _show_plan(works: Sequence[Work], together: Together | None) -> None:
    if together:
        said = "done already" if together.current else "to be trained"
        click.echo(f"one encoder for all, on {', '.join(one.found.name for one in together.chosen)}: {said}", err=True)
        for name, why in together.unlike.items():
            click.echo(f"{name}: is not trained on, and cannot take that encoder: {why}", err=True)
    for work in works:
        said = f"cannot be used: {work.error}" if work.error else ", ".join(work.stages) or "done already"
        click.echo(f"{work.found.name}: {said}", err=True)


def _tell_in_use(works: Sequence[Work]) -> None:
    from barlowtrack.storage.locks import holder

    for work in works:
        who = holder(work.found.folder / "lock") if work.stages else None
        if who:
            click.echo(
                f"{work.found.name}: in use by {who}, perhaps a job of a batch that was killed; its jobs here wait for that", err=True
            )


def _tell_stopped(jobs: Sequence[str], *, quiet: bool) -> None:
    if jobs and not quiet:
        click.echo(f"cancelled what a batch that was killed left on the cluster: jobs {', '.join(jobs)}", err=True)


def _tell(name: str, job: str, wrong: str) -> None:
    said = click.style("failed", fg="red") + f": {wrong}" if wrong else click.style("done", fg="green")
    click.echo(f"{name}: {job} {said}", err=True)


def _show_outcomes(came: Sequence[Outcome]) -> None:
    from barlowtrack.batch.page import duration, error_text, share

    width = max(len(outcome.found.name) for outcome in came)
    click.echo(f"{'recording':{width}}  {'state':8}  neurons  seen  {'expected error':24}  {'time':7}  encoder or reason")
    for outcome in came:
        state = click.style(f"{outcome.state:8}", fg=COLOURS[outcome.state])
        neurons = str(outcome.neurons) if outcome.state == "done" else ""
        last = outcome.encoder or outcome.reason
        cells = f"{neurons:>7}  {share(outcome.coverage):>4}  {error_text(outcome.error):24}  {duration(outcome.seconds):7}  {last}"
        click.echo(f"{outcome.found.name:{width}}  {state}  {cells}".rstrip())
