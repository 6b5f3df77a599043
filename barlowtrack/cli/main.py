"""The verbs, in the order a user needs them; and how the command line ends."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import NoReturn

import click

from barlowtrack import __version__
from barlowtrack.cli import verbs
from barlowtrack.cli.batching import batch
from barlowtrack.cli.correcting import correct, review
from barlowtrack.cli.encoder_training import train_encoder
from barlowtrack.cli.exporting import export
from barlowtrack.cli.stage_verbs import run, stage_verbs
from barlowtrack.cli.terminal import STOPPED, Discreet, concerns_a_person, in_a_line, without_secrets
from barlowtrack.errors import BarlowtrackError

log = logging.getLogger(__name__)


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
    handler.addFilter(concerns_a_person)
    handler.setFormatter(Discreet("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler], force=True)


for _verb in (
    verbs.simulate,
    verbs.check,
    run,
    *stage_verbs(),
    verbs.train_segmentation,
    verbs.evaluate,
    batch,
    train_encoder,
    review,
    correct,
    verbs.transfer,
    verbs.movie,
    export,
    verbs.open_,
    verbs.status,
    verbs.config,
):
    cli.add_command(_verb)


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
        said = io.StringIO()
        error.show(file=said)
        click.echo(without_secrets(said.getvalue()), err=True, nl=False)
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
