"""The page of a batch: a line a recording, worst first, with a way to each report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from barlowtrack.batch.outcome import Outcome
from barlowtrack.stages.report import page
from barlowtrack.stages.report.words import counted

COLUMNS = ("recording", "state", "volumes", "neurons", "seen", "expected error", "time", "encoder")
_STYLE = "<style>.batch td, .batch th { white-space: nowrap } .batch .why { white-space: normal; padding-top: 0 }"
_STYLE += " .batch .told td { border-bottom: 0 }</style>"


def write_page(outcomes: Sequence[Outcome], folder: Path, title: str, note: str = "") -> str:
    """Returns the page; it stands alone, and finds reports by the way from its own folder.

    Args:
        outcomes: Of every recording.
        folder: Where the page will lie.
        title: Text.
        note: A sentence more, for all recordings.
    """
    states = [outcome.state for outcome in outcomes]
    done = states.count("done")
    failed = states.count("failed")
    said = f"{done} of {counted(len(outcomes), 'recording')} done"
    left = len(outcomes) - done - failed
    said += "".join(f", {count} {what}" for count, what in ((failed, "failed"), (left, "not done")) if count)
    tone = "good" if done == len(outcomes) else "poor" if failed else "care"
    head = f'<h1>{escape(title)}</h1>\n<div class="verdict {tone}"><p class="headline">{escape(said)}.</p></div>'
    head += f"<p>{escape(note)}</p>" if note else ""
    rows = "\n".join(_row(outcome, folder) for outcome in sorted(outcomes, key=_worst_first))
    titles = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
    table = f'{_STYLE}<div class="scroll"><table class="batch"><thead><tr>{titles}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'
    intro = (
        "Failed ones first, then those with the largest expected error: the share of identities that is expected to be wrong, with its"
        " bounds; no truth is needed for it. Seen: the share of volumes in which a neuron is found, on average."
    )
    return page.document(f"{title} {page.DASH} barlowtrack", [head, page.section("recordings", "Recordings", intro, table)])


def _row(outcome: Outcome, folder: Path) -> str:
    name = escape(outcome.found.name)
    if outcome.state == "done":
        link = quote(os.path.relpath(outcome.found.folder / "report.html", folder))
        name = f'<a href="{escape(link)}">{name}</a>'
    known = outcome.state == "done"
    cells = [
        name,
        escape(outcome.state),
        str(outcome.volumes or ""),
        str(outcome.neurons) if known else "",
        share(outcome.coverage),
        error_text(outcome.error),
        duration(outcome.seconds),
        escape(outcome.encoder),
    ]
    row = ('<tr class="told">' if outcome.reason else "<tr>") + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    why = f'<tr><td></td><td class="why" colspan="{len(COLUMNS) - 1}">{escape(outcome.reason)}</td></tr>' if outcome.reason else ""
    return row + why


def _worst_first(outcome: Outcome) -> tuple[int, float]:
    error = outcome.error[0]
    return ({"failed": 0, "not done": 1, "done": 2}[outcome.state], -error if error == error else 0.0)


def share(value: float) -> str:
    """Returns a share as people write it; nothing where there is none."""
    return f"{value:.0%}" if value == value else ""


def error_text(error: tuple[float, float, float]) -> str:
    """Returns the expected error with its bounds."""
    value, low, high = error
    return f"{value:.1%} ({low:.1%} to {high:.1%})" if value == value else ""


def duration(seconds: float) -> str:
    """Returns seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds else ""
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
