"""The part of the page about how far to trust the result: where it contradicts itself, and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator

from barlowtrack.data import IntArray
from barlowtrack.identity.learned import Learned
from barlowtrack.stages.report import page
from barlowtrack.stages.report.charts import detections_chart, probability_histogram
from barlowtrack.stages.report.coverage import coverage_map
from barlowtrack.stages.report.exchanged import swaps_in_words
from barlowtrack.stages.report.reliability import error_pictures, reliability_pictures, why_no_opinions
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.verdict import Verdict

TITLE = "How far to trust it"
MOST_STRETCHES = 30


def trust_part(shown: Shown, atlas: Learned, entry: IntArray) -> str:
    """Returns the part as HTML.

    Args:
        shown: The run.
        atlas: What second opinions said stands there.
        entry: (K,) entry of the atlas that each neuron has its id from.
    """
    intro = "No ground truth was used here; these figures show where the result contradicts itself."
    content = [page.subtitle("Volume by volume"), page.figure(detections_chart(shown.verdict, shown.time)), *_distrusted(shown.verdict)]
    if len(shown.neurons):
        content += [page.subtitle("Coverage"), page.figure(coverage_map(shown.traces, shown.rows, shown.time, shown.names))]
        content += _confidence(shown, atlas, entry)
        content += swaps_in_words(shown)
    return page.section("trust", TITLE, intro, *content)


def _confidence(shown: Shown, atlas: Learned, entry: IntArray) -> Iterator[str]:
    yield page.subtitle("Confidence, and whether to believe it")
    yield page.figure(probability_histogram(shown.tracks))
    yield page.grid([*error_pictures(shown), *reliability_pictures(shown, atlas, entry)], kept=True)
    why = why_no_opinions(shown, atlas, entry)
    if why:
        yield page.paragraph(why)


def _distrusted(verdict: Verdict) -> Iterator[str]:
    if not verdict.distrust:
        return
    yield page.subtitle("Volumes to distrust")
    rows = [(str(first) if first == last else f"{first} {page.DASH} {last}", why) for first, last, why in verdict.distrust]
    yield page.table(("volume", "why"), rows[:MOST_STRETCHES])
    if len(rows) > MOST_STRETCHES:
        yield page.folded(f"{len(rows) - MOST_STRETCHES} more", page.table(("volume", "why"), rows[MOST_STRETCHES:]))
