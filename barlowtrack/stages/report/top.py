"""The head of the page: the verdict in a sentence and in numbers, what to do next, and the way to the rest."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from barlowtrack.data import Recording
from barlowtrack.stages.report import page
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.words import by, counted, percent

GRADES = {"good": "✓ Looks sound", "care": "▲ Use with care", "poor": "✕ Do not rely on this"}


def top(shown: Shown, steps: Sequence[str], menu: Sequence[tuple[str, str]]) -> str:
    """Returns the head as HTML.

    Args:
        shown: The run.
        steps: What to do next, most important first.
        menu: Name and title of the parts that follow.
    """
    recording, verdict = shown.recording, shown.verdict
    links = "<nav>" + "".join(f'<a href="#{escape(name)}">{escape(title)}</a>' for name, title in menu) + "</nav>"
    assumed = list(recording.assumptions) or ["None: voxel size, rate and channels were given or stood in the metadata."]
    steps = list(steps) or ["Nothing stands out. Look at the pictures below, then use the traces with their probabilities."]
    return "\n".join(
        [
            f'<header><h1>{escape(recording.name)}</h1>\n<p class="soft">{escape(_facts(recording))}</p></header>',
            f'<div class="verdict {verdict.grade}"><p class="grade">{GRADES[verdict.grade]}</p>',
            f'<p class="headline">{escape(verdict.headline)}</p>',
            page.tiles(_numbers(shown)),
            page.subtitle("What to do next"),
            page.listing(steps, numbered=True),
            page.subtitle("Assumed about the recording"),
            page.listing(assumed),
            f"{links}</div>",
        ]
    )


def _facts(recording: Recording) -> str:
    rate = f", {recording.rate_hz:g} volumes a second" if recording.rate_hz else ""
    size = f"{counted(recording.n_volumes, 'volume')} of {by(recording.volume_shape)} voxels (z y x)"
    return f"{size}{rate}; channels: {', '.join(recording.channel_names)}"


def _numbers(shown: Shown) -> list[tuple[str, str, str]]:
    verdict, n_volumes = shown.verdict, shown.recording.n_volumes
    usual = float(np.median(verdict.volumes.detections))
    n_distrusted = int(verdict.distrusted.sum())
    wrong = verdict.wrong
    return [
        (
            "neurons found",
            str(len(verdict.neurons.neuron)),
            f"a usual volume shows {usual:.0f} nuclei; {len(shown.detections)} in all",
        ),
        ("coverage", percent(verdict.coverage), "of all neurons in all volumes"),
        (
            "identities wrong",
            percent(wrong.share) if n_volumes > 1 else "unknown",
            f"estimated, without truth; {percent(wrong.low)} to {percent(wrong.high)} in 9 of 10 cases"
            if n_volumes > 1
            else "one volume cannot be tracked",
        ),
        ("volumes to distrust", str(n_distrusted), f"of {n_volumes}" + (", listed below" if n_distrusted else "")),
        ("jumps", percent(verdict.jumps), "of the steps between volumes go against the neighbours: a sign of wrong identities"),
    ]
