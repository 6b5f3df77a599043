"""Waits for whoever is at work in a folder: for jobs that nobody sits at."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import click

from barlowtrack.errors import InUseError

Result = TypeVar("Result")
EVERY_S = 1.0

wait_option = click.option("--wait", "wait_min", type=click.FloatRange(min=0), default=0.0, hidden=True, metavar="MINUTES")
"""For how long to wait where somebody else is at work: a job of a batch that was killed goes on after it."""


def patiently(do: Callable[[], Result], wait_min: float) -> Result:
    """Does something as soon as nobody else is at work there; says for whom it waits, on standard error.

    Args:
        do: What is to be done; raises InUseError where somebody else is at work.
        wait_min: Most time to wait, in minutes; 0: none.

    Raises:
        InUseError: they are at work yet.
    """
    end, said = time.monotonic() + 60 * wait_min, False
    while True:
        try:
            return do()
        except InUseError as error:
            if not wait_min:
                raise
            who = str(error).partition("; wait for it")[0]
            if time.monotonic() > end:
                raise InUseError(f"{who}; waited {wait_min:g} min for it, start again when it has ended") from None
            if not said:
                click.echo(f"waiting: {who}", err=True)
            said = True
        time.sleep(EVERY_S)
