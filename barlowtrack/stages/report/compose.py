"""report: the page, from top to bottom."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence

from barlowtrack.config import ReportConfig, TrainConfig
from barlowtrack.data import (
    Bleaching,
    Corrections,
    Detections,
    Embeddings,
    FloatArray,
    Identities,
    Progress,
    Recording,
    StageCost,
    Swaps,
    Traces,
    Tracks,
    VolumeLooks,
    silent,
)
from barlowtrack.embedding.health import health
from barlowtrack.errors import InputError
from barlowtrack.identity.heed import heed
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.review import review
from barlowtrack.identity.rulings import rule
from barlowtrack.preparing.view import seen_through
from barlowtrack.showing.names import MOST_LETTERS, Names
from barlowtrack.stages.report import activity, animal, embedding, page, questions, training, trust
from barlowtrack.stages.report.advice import about_the_embedding, advice
from barlowtrack.stages.report.costs import TITLE as COSTS
from barlowtrack.stages.report.costs import costs_part
from barlowtrack.stages.report.drawing import TimeAxis, house_style
from barlowtrack.stages.report.made import made_part, neurons_part, people_in_words
from barlowtrack.stages.report.pictures import projections
from barlowtrack.stages.report.prepared import TITLE as PREPARED
from barlowtrack.stages.report.prepared import prepared_part
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.top import top
from barlowtrack.stages.report.training import about_the_training, is_trained
from barlowtrack.stages.report.verdict import judge


def report(
    recording: Recording,
    detections: Detections,
    volumes: VolumeLooks,
    embeddings: Embeddings,
    atlas: Learned,
    identities: Identities,
    corrections: Corrections,
    tracks: Tracks,
    traces: Traces,
    swaps: Swaps,
    bleaching: Bleaching,
    history: Mapping[str, FloatArray],
    costs: Sequence[StageCost],
    *,
    config: ReportConfig,
    settings: str,
    seed: int = 0,
    progress: Progress = silent,
) -> str:
    """Writes the page that says what came out, and how far to trust it.

    The page stands alone: it fetches nothing, runs nothing, names no path and no date. The same input gives the same bytes, but for what
    the run cost, which stands between two marks (see costs.without_costs).

    Args:
        recording: What was tracked; a few volumes are read, one at a time.
        detections: N nuclei.
        volumes: How each of the T volumes looks.
        embeddings: (N, D).
        atlas: What was learned from them: second opinions stand there, and it says what is in doubt.
        identities: What it says of every detection, before anybody was heard.
        corrections: What people said: whom they named, and what need not be asked again.
        tracks: N identities.
        traces: (K, T).
        swaps: Who may have been taken for whom.
        bleaching: How the light fades.
        history: Columns of the training, one row an epoch, the start first: epoch, loss, feature_term, object_term,
            held_out_agreement, effective_rank, round_trips; empty where none is known.
        costs: What each stage cost; differs from run to run.
        config: How much is shown.
        settings: The settings as TOML, shown as they are; [train] says where the encoder comes from.
        seed: Of the sample and the layout of the embedding.
        progress: Told after every part.

    Returns:
        HTML, well under 10 MB.

    Raises:
        InputError: if detections, embeddings, identities and tracks disagree on N, traces and recording on T, or corrections and tracks
            on K.
    """
    _check(recording, detections, volumes, embeddings, identities, tracks, traces)
    rulings = rule(corrections, detections, identities)
    if len(rulings.name) != tracks.n_neurons:
        raise InputError(f"report: expected tracks of {len(rulings.name)} neurons, as corrections say, got {tracks.n_neurons}")
    verdict, time = judge(detections, volumes, tracks, traces), TimeAxis(traces.time_s)
    shown = Shown(recording, detections, tracks, traces, swaps, verdict, Names(rulings.name), time, corrections)
    heard = heed(rulings, detections, embeddings.vectors, atlas, identities)
    asked = review(detections, heard, rulings, questions.MOST_QUESTIONS)
    sound = health(embeddings.vectors, detections.t)
    encoder = TrainConfig.model_validate(tomllib.loads(settings).get("train", {}))
    looks = [*about_the_embedding(sound, is_trained(history)), *about_the_training(history, encoder)]
    parts: list[Callable[[], str]] = [
        lambda: top(shown, list(advice(shown, looks, asked)), _menu(shown)),
        *([lambda: prepared_part(shown)] if seen_through(recording) is not None else []),
        lambda: _volumes(shown),
        lambda: activity.activity_part(shown, config.max_traces),
        lambda: trust.trust_part(shown, atlas, rulings.entry),
        lambda: questions.questions_part(shown, asked),
        lambda: animal.animal_part(shown, bleaching),
        lambda: embedding.embedding_part(recording, detections, embeddings, tracks, health=sound, time=time, seed=seed),
        lambda: training.training_part(history, encoder),
        lambda: neurons_part(shown),
        lambda: made_part(recording, corrections, settings, seed),
        lambda: costs_part(costs),
    ]
    body = []
    with house_style():
        for done, part in enumerate(parts, 1):
            body.append(part())
            progress(done, len(parts))
    return page.document(f"{recording.name} {page.DASH} barlowtrack", body)


def _check(
    recording: Recording,
    detections: Detections,
    volumes: VolumeLooks,
    embeddings: Embeddings,
    identities: Identities,
    tracks: Tracks,
    traces: Traces,
) -> None:
    if not len(detections) == len(embeddings) == len(tracks) == len(identities):
        sizes = f"{len(detections)}, {len(embeddings)}, {len(identities)} and {len(tracks)}"
        raise InputError(f"report: expected as many detections, embeddings, identities and rows of tracks, got {sizes}")
    expected = (tracks.n_neurons, recording.n_volumes)
    if len(volumes) != recording.n_volumes:
        raise InputError(f"report: expected the looks of {recording.n_volumes} volumes, got {len(volumes)}")
    if traces.red.shape != expected or detections.n_volumes != recording.n_volumes:
        raise InputError(f"report: expected traces of shape {expected} (neurons, volumes), got {traces.red.shape}")


def _menu(shown: Shown) -> list[tuple[str, str]]:
    return [
        *([("prepared", PREPARED)] if seen_through(shown.recording) is not None else []),
        ("volumes", "Volumes"),
        ("activity", activity.TITLE),
        ("trust", trust.TITLE),
        ("questions", questions.TITLE),
        ("animal", animal.TITLE),
        ("embedding", embedding.TITLE),
        ("training", training.TITLE),
        *([("neurons", "Neurons")] if len(shown.neurons) else []),
        ("made", "How it was made"),
        ("costs", COSTS),
    ]


def _volumes(shown: Shown) -> str:
    intro = (
        "Maximum projections of the reference channel. A ring is an identified nucleus; its colour is its neuron, the same in every "
        "picture and figure of this page. A grey cross is a nucleus without identity. The most certain neurons are numbered: "
        "follow a number from picture to picture. If it lands on another nucleus, that volume is laid wrongly."
    )
    if any(shown.names.given):
        intro += f" Names of up to {MOST_LETTERS} plain letters and digits stand in figures too, other names in texts only."
    intro += people_in_words(shown.corrections)
    pictures = projections(shown.recording, shown.detections, shown.tracks, shown.neurons, shown.names)
    return page.section("volumes", "Volumes", intro, page.grid(pictures))
