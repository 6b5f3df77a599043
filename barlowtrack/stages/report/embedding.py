"""The part of the page about the embedding: is it sound, what does it tell apart, does it drift."""

from __future__ import annotations

from collections.abc import Iterator

from barlowtrack.data import Detections, Embeddings, Recording, Tracks
from barlowtrack.embedding import Consistency, Health, consistency, drift, findings, retrieval, tsne, two_volumes
from barlowtrack.stages.report import page
from barlowtrack.stages.report.drawing import TimeAxis
from barlowtrack.stages.report.retrieved import retrieval_picture
from barlowtrack.stages.report.similarity import drift_chart, layout_chart, matrices_chart
from barlowtrack.stages.report.words import percent

MARKS = {"good": "✓", "care": "▲", "poor": "✕"}
TITLE = "What the embedding shows"
INTRO = (
    "The embedding describes each nucleus by its looks alone, without its position. The tracker uses both, so it can be right where the "
    "embedding is not. No ground truth was used."
)


def embedding_part(
    recording: Recording, detections: Detections, embeddings: Embeddings, tracks: Tracks, *, health: Health, time: TimeAxis, seed: int
) -> str:
    """Returns the part as HTML; at most seven volumes are read, one at a time."""
    if not len(detections):
        return page.section("embedding", TITLE, "", page.paragraph("No nucleus was found, so there is nothing to show."))
    vectors, t, neuron = embeddings.vectors, detections.t, tracks.neuron
    content = [page.table((), [(MARKS[finding.grade], finding.said) for finding in findings(health)])]
    content += [page.paragraph(said) for said in _consistency_in_words(consistency(vectors, t, neuron))]
    pictures, drifting = [layout_chart(tsne(vectors, neuron, seed), tracks)], drift(vectors, t, neuron)
    if len(drifting.lag):
        pictures.append(drift_chart(drifting, time))
    content.append(page.grid(pictures, kept=True))
    pair = two_volumes(t, neuron)
    if pair is not None:
        content.append(page.figure(matrices_chart(vectors, pair)))
    answers = retrieval(vectors, t, neuron)
    if len(answers.query):
        content += [page.subtitle("Who looks like whom"), page.figure(retrieval_picture(recording, detections, tracks, answers))]
    return page.section("embedding", TITLE, INTRO, *content)


def _consistency_in_words(found: Consistency) -> Iterator[str]:
    if not found.n_pairs:
        yield "No neuron was identified in two volumes, so nobody can say whether looks and identities agree, or whether looks drift."
        return
    yield (
        f"By looks alone, the nucleus of another volume that is most like a neuron is the one that the tracker chose in "
        f"{percent(found.share)} of the cases; guessing would reach {percent(found.chance)}."
    )
