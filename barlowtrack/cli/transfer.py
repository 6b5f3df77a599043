"""transfer: which neuron of one recording is which of another's, as a table."""

from __future__ import annotations

from pathlib import Path

import click

from barlowtrack.cli.terminal import Bars
from barlowtrack.errors import InputError
from barlowtrack.io.tables import table_kind, write_table
from barlowtrack.known import open_known
from barlowtrack.storage.outputs import refuse_output, writing
from barlowtrack.transfer import match


def transfer_here(source: Path, target: Path, out: Path | None, min_probability: float, seed: int, bars: Bars) -> None:
    """Prints the table, and stores it where that is wanted.

    Raises:
        StorageError, InputError: nothing to compare, or no place to store it.
    """
    if out is not None:  # said before the work, not after
        table_kind(out)
        if not out.parent.is_dir():
            raise InputError(f"{out}: expected an existing folder to write it into, got {out.parent}")
        refuse_output(out)
    known, other = open_known(source), open_known(target)
    progress = bars.follow("transfer")
    try:
        table = match(known, other, min_probability=min_probability, seed=seed, progress=progress)
    finally:
        bars.close()
    if out is not None:
        temporary = out.with_name(f"half-made-{out.name}")
        with writing(out):
            write_table(table, temporary)
            temporary.replace(out)
    if len(table):
        shown = table[["name", "from_neuron", "neuron", "probability"]]
        shown.columns = ["name", "from neuron", "to neuron", "probability"]
        click.echo(shown.to_string(index=False, float_format="{:.3f}".format))
    named = int((table["name"] != "").sum())
    click.echo(
        f"{len(table)} of {known.n_neurons} neurons found again with probability {min_probability:g} or more; {named} of them have a name"
    )
