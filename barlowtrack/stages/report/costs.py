"""What the run cost: time and memory of every stage. The only part of the page that differs between two runs of the same."""

from __future__ import annotations

from collections.abc import Sequence

from barlowtrack.data import StageCost
from barlowtrack.stages.report import page
from barlowtrack.stages.report.words import percent

TITLE = "Time and memory"
BEGIN, END = "<!-- costs: differs from run to run -->", "<!-- end of costs -->"


def costs_part(costs: Sequence[StageCost]) -> str:
    """Returns the part as HTML, between BEGIN and END."""
    total = sum(cost.seconds for cost in costs)
    rows = [
        (cost.stage, _seconds(cost.seconds), percent(cost.seconds / total) if total else page.DASH, f"{cost.peak_mb:.0f} MB")
        for cost in costs
    ]
    intro = (
        "What each stage took when it last ran; of one that was stopped and went on, or was made in pieces by several jobs, the time of "
        "all its parts together. Memory is the most that one of these processes held meanwhile. This page itself is not counted."
    )
    content = (
        page.table(("stage", "time", "of all", "peak memory"), [*rows, ("all", _seconds(total), "", "")])
        if rows
        else page.paragraph("Nobody wrote down what the stages cost.")
    )
    return f"{BEGIN}\n{page.section('costs', TITLE, intro if rows else '', content)}\n{END}"


def without_costs(html: str) -> str:
    """Returns the page without that part: equal for equal results."""
    before, _, rest = html.partition(BEGIN)
    return before + rest.partition(END)[2]


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
