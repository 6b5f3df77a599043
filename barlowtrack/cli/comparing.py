"""report --compare: two runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from barlowtrack.api import prepare
from barlowtrack.comparing.compared import refuse_place
from barlowtrack.comparing.page import headline
from barlowtrack.comparing.two_runs import compare


def compare_here(a: Path, b: Path, out: Path | None, *, dry_run: bool) -> None:
    """Writes the page, and says in a sentence what changed and where the page is.

    Raises:
        StorageError, InputError: nothing to compare, or no place to write it.
    """
    if out is not None:
        refuse_place(out)  # said before the work, not after
    compared = compare(a, b)
    path = prepare(a).folder / "compare.html" if out is None else out
    written = "would write " if dry_run else ""
    if not dry_run:
        compared.write(path)  # what goes wrong is said instead of a result, not below it
    click.echo(headline(compared))
    click.echo(f"compare: {written}{path}")
