"""The part of the page that asks: the questions whose answers promise most, each with pictures and the command that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from barlowtrack.data import UNKNOWN, Detections, FloatArray, Tracks
from barlowtrack.identity.review import Question
from barlowtrack.showing.colours import ink_of
from barlowtrack.showing.thumbnails import side_um, thumbnails
from barlowtrack.stages.report import page
from barlowtrack.stages.report.drawing import INK, SOFT, as_jpeg
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.pictures import choose_volumes
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.thumbnails import draw, in_words
from barlowtrack.stages.report.words import counted, percent

TITLE = "Questions to you"
MOST_QUESTIONS = 12
LIKELY = 0.05
"""Candidates below it are not offered."""
MOST_OFFERED = 3
SIGHTINGS = 2
"""Pictures of a neuron that the nucleus in question is compared with."""
SURE = 0.9
REACH = 10
"""Volumes away from a nucleus that may tell who is missing there."""
FEWEST_AROUND = 5
GAP = 0.1


@dataclass(frozen=True)
class Compared:
    """A nucleus beside those of a neuron that it may be.

    Attributes:
        neuron: Who.
        rows: Detections that are surely it, in other volumes.
    """

    neuron: int
    rows: tuple[int, ...]


def questions_part(shown: Shown, asked: Sequence[Question]) -> str:
    """Returns the part as HTML; at most MOST_QUESTIONS of the questions are put, and about two volumes each are read."""
    asked = asked[:MOST_QUESTIONS]
    if not asked:
        return page.section("questions", TITLE, "", page.paragraph("Nothing is in doubt that an answer could put right."))
    intro = (
        "The answers that promise to put most identities right, best first. On the left the nucleus in question, beside it neurons that it "
        "may be, where they are surely seen. If one of them looks the same and has the same neighbours, say so: RUN is this run's folder. "
        "'barlowtrack run RUN' then heeds all answers at once, in seconds; 'barlowtrack review RUN' asks on. "
        f"{in_words(shown.detections)}"
    )
    rows = [_row_of(shown.detections, question) for question in asked]
    nearby = sorted({*(question.t for question in asked), *choose_volumes(shown.detections)})
    missing = [_missing(shown, question, row) for question, row in zip(asked, rows, strict=True)]
    compared = [_compared(shown, *about, nearby) for about in zip(asked, rows, missing, strict=True)]
    wanted = [*rows, *(row for others in compared for other in others for row in other.rows)]
    crops = thumbnails(shown.recording, shown.detections, np.array(wanted, np.int64))
    cards = [
        _card(shown, number, question, gone, _picture(shown, question, row, others, crops))
        for number, (question, row, gone, others) in enumerate(zip(asked, rows, missing, compared, strict=True), 1)
    ]
    return page.section("questions", TITLE, intro, page.cards(cards))


def _row_of(detections: Detections, question: Question) -> int:
    part = detections.rows_of(question.t)
    return int(part.start) + int(np.searchsorted(detections.label[part], question.label))


def _offered(question: Question) -> list[tuple[int, float]]:
    """Returns who it may be, likeliest first; who it is now is among them."""
    likely = [(neuron, share) for neuron, share in question.candidates if share >= LIKELY or neuron == question.neuron]
    return sorted(likely, key=lambda candidate: (-candidate[1], candidate[0]))[:MOST_OFFERED]


def missing_here(detections: Detections, tracks: Tracks, row: int) -> tuple[int, ...]:
    """Returns neurons that nobody is in the volume of a nucleus, and that should lie about there: nearest first, MOST_OFFERED at most.

    The nearest volume in time that shows enough of the same neurons tells where the missing ones were; what lies around the nucleus has
    carried them along since.

    Args:
        detections: N nuclei.
        tracks: Whose they are.
        row: The nucleus.
    """
    t, place = int(detections.t[row]), detections.position_um[row].astype(np.float64)
    part = detections.rows_of(t)
    here = part.start + np.flatnonzero(tracks.neuron[part] != UNKNOWN)
    for other in sorted(range(max(0, t - REACH), min(detections.n_volumes, t + REACH + 1)), key=lambda at: (abs(at - t), at)):
        rows = detections.rows_of(other)
        there = rows.start + np.flatnonzero(tracks.neuron[rows] != UNKNOWN)
        missing = there[~np.isin(tracks.neuron[there], tracks.neuron[here])]
        _, first, second = np.intersect1d(tracks.neuron[there], tracks.neuron[here], return_indices=True)
        if other == t or len(first) < FEWEST_AROUND or not len(missing):
            continue
        start, end = (detections.position_um[which].astype(np.float64) for which in (there[first], here[second]))
        around = np.argsort(np.linalg.norm(end - place, axis=1), kind="stable")[:FEWEST_AROUND]
        carried = detections.position_um[missing] + np.median(end[around] - start[around], axis=0)
        away = np.linalg.norm(carried - place, axis=1)
        near = np.argsort(away, kind="stable")[:MOST_OFFERED]
        found = missing[near[away[near] <= side_um(detections)]]
        if len(found):
            return tuple(int(neuron) for neuron in tracks.neuron[found])
    return ()


def _compared(shown: Shown, question: Question, row: int, missing: Sequence[int], nearby: Sequence[int]) -> list[Compared]:
    if question.kind == "same":
        neurons = [question.neuron, question.other]
    elif question.kind == "nobody":
        neurons = [question.neuron]
    else:
        neurons = [*(neuron for neuron, _ in _offered(question)), *missing][:2]
    found = [Compared(neuron, sure_sightings(shown.detections, shown.tracks, neuron, row, nearby)) for neuron in neurons]
    return [compared for compared in found if compared.rows]


def sure_sightings(detections: Detections, tracks: Tracks, neuron: int, row: int, nearby: Sequence[int]) -> tuple[int, ...]:
    """Chooses up to SIGHTINGS detections of a neuron to compare another one with.

    Args:
        detections: N nuclei.
        tracks: Whose they are.
        neuron: Whose pictures are wanted.
        row: The nucleus that is compared; none is of its volume.
        nearby: Volumes that are read anyway: of those that are sure, those come first.
    """
    rows = np.flatnonzero((tracks.neuron == neuron) & (detections.t != detections.t[row]))
    sure = tracks.probability[rows] >= SURE
    apart = np.abs(detections.t[rows] - detections.t[row])
    unread = ~np.isin(detections.t[rows], np.asarray(nearby))
    order = np.lexsort((apart, unread, np.where(sure, 0, -np.round(tracks.probability[rows], 3)), ~sure))
    return tuple(int(r) for r in rows[order[:SIGHTINGS]])


def _picture(shown: Shown, question: Question, row: int, compared: Sequence[Compared], crops: dict[int, FloatArray]) -> Picture:
    n = 1 + SIGHTINGS * 2  # as wide as the widest, so that nuclei are of one size in all of them
    across, down = n * (1 + GAP) + 0.25, 1.22
    figure = Figure(figsize=(5.2, 5.2 * down / across))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-GAP / 2, across - GAP / 2), ylim=(1 + GAP / 4, 1 + GAP / 4 - down))
    axes.axis("off")
    draw(axes, crops[row], 0.0, 0.0, INK)
    what = f"{shown.names.short(question.neuron)} in" if question.kind == "nobody" else "who? in"
    axes.text(0.5, -0.03, f"{what} {question.t}", ha="center", va="bottom", fontsize=7.5, color=INK)
    left = 1 + 2 * GAP
    for other in compared:
        for sighting in other.rows:
            draw(axes, crops[sighting], left, 0.0, ink_of(other.neuron))
            said = f"{shown.names.short(other.neuron)} in {shown.detections.t[sighting]}"
            axes.text(left + 0.5, -0.03, said, ha="center", va="bottom", fontsize=7.5, color=SOFT)
            left += 1 + GAP
    beside = [f"{shown.names.text(other.neuron)} in {counted(len(other.rows), 'volume')}" for other in compared]
    alt = f"Nucleus {question.label} of volume {question.t}" + (f", beside neuron {' and '.join(beside)}" if beside else "") + "."
    return Picture(as_jpeg(figure, dpi=120), alt)


def _missing(shown: Shown, question: Question, row: int) -> tuple[int, ...]:
    """Whom else to offer, where hardly anybody is a candidate."""
    few = question.kind in ("who", "anchor") and len(_offered(question)) < 2
    known = [neuron for neuron, _ in question.candidates]
    return tuple(neuron for neuron in missing_here(shown.detections, shown.tracks, row) if neuron not in known) if few else ()


def _card(shown: Shown, number: int, question: Question, missing: Sequence[int], picture: Picture) -> str:
    return page.card(
        f"{number}. {_asked(shown, question)}",
        page.figure(picture),
        page.paragraph(_candidates(shown, question, missing)),
        page.commands(commands(question, missing)),
    )


def _asked(shown: Shown, question: Question) -> str:
    if question.kind == "same":
        return f"Are {shown.names.text(question.neuron)} and {shown.names.text(question.other)} one neuron?"
    if question.kind == "nobody":
        return f"Is {shown.names.text(question.neuron)} a neuron at all?"
    now = f"{shown.names.text(question.neuron)} now" if question.neuron != UNKNOWN else "nobody now"
    return f"Who is nucleus {question.label} of volume {question.t}? It is {now}."


def _candidates(shown: Shown, question: Question, missing: Sequence[int]) -> str:
    if question.kind == "same":
        return "They are hardly ever seen in one volume, and each is a candidate where the other is. If both look alike, they are one."
    if question.kind == "nobody":
        seen = counted(int(np.count_nonzero(shown.tracks.neuron == question.neuron)), "volume")
        return (
            f"It was followed through {seen}, and is doubted in most of them: nobody we know, {_left(question)} in the one on the left. "
            "If it is a granule, or else something that glows, the first line settles all volumes; if it is a neuron, the second says so."
        )
    part = shown.detections.rows_of(question.t)
    elsewhere = set(shown.tracks.neuron[part].tolist()) - {question.neuron}
    said = [
        f"{shown.names.text(neuron)}: {percent(share)}" + (" (found elsewhere in this volume)" if neuron in elsewhere else "")
        for neuron, share in _offered(question)
    ]
    said.append(f"nobody we know: {_left(question)}")
    text = "; ".join(said)
    text = f"{text[0].upper()}{text[1:]}."
    if missing:
        text += f" Not found in this volume, and about here in a volume close by: {shown.names.listed(missing)}."
    return text + (" Its part of the volume is in doubt too, so the answer moves its neighbours." if question.kind == "anchor" else "")


def _left(question: Question) -> str:
    """How likely it is nobody we know."""
    return percent(max(1 - sum(share for _, share in question.candidates), 0.0))


def commands(question: Question, missing: Sequence[int] = ()) -> list[str]:
    """Returns what to type, a line an answer; ids instead of names, which may hold anything.

    Args:
        question: What is asked.
        missing: Neurons to offer beside its candidates.
    """
    if question.kind == "same":
        return [f"barlowtrack correct RUN --merge {question.neuron} {question.other}"]
    nowhere = f"barlowtrack correct RUN --not-a-neuron --neuron {question.neuron}"
    place = f"barlowtrack correct RUN --volume {question.t} --label {question.label}"
    if question.kind == "nobody":
        return [nowhere, f"{place} --is {question.neuron}"]
    offered = [*(neuron for neuron, _ in _offered(question)), *missing]
    return [*(f"{place} --is {neuron}" for neuron in offered), f"{place} --not-a-neuron"]
