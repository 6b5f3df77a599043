"""The part of the page about the recording itself: motion and bleaching."""

from __future__ import annotations

from barlowtrack.data import Bleaching
from barlowtrack.stages.report import page
from barlowtrack.stages.report.bleaching import bleaching_chart
from barlowtrack.stages.report.motion import motion, motion_chart
from barlowtrack.stages.report.shown import Shown

TITLE = "Motion and bleaching"


def animal_part(shown: Shown, bleaching: Bleaching) -> str:
    """Returns the part as HTML."""
    content = []
    for title, picture, without in (
        ("Motion", motion_chart(motion(shown.detections, shown.tracks), shown.time), "Too few neurons are shared by successive volumes."),
        ("Bleaching", bleaching_chart(bleaching, shown.time), "No neuron was seen, so nobody knows how the light fades."),
    ):
        content += [page.subtitle(title), page.figure(picture) if picture else page.paragraph(without)]
    return page.section("animal", TITLE, "How the animal moves, told by its neurons, and how their light fades.", *content)
