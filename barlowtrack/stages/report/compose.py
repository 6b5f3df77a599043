"""report: the page, from top to bottom."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from importlib import metadata

import numpy as np
from matplotlib.colors import to_hex

from barlowtrack.config import ReportConfig, TrainConfig
from barlowtrack.data import Detections, Embeddings, FloatArray, Progress, Recording, Traces, Tracks, VolumeLooks, silent
from barlowtrack.embedding.health import health
from barlowtrack.errors import InputError
from barlowtrack.stages.report import page
from barlowtrack.stages.report.advice import about_the_embedding, advice
from barlowtrack.stages.report.charts import detections_chart, probability_histogram, single_traces
from barlowtrack.stages.report.drawing import TimeAxis, colour_of, house_style
from barlowtrack.stages.report.embedding import TITLE, embedding_part
from barlowtrack.stages.report.pictures import coverage_map, projections, trace_heatmap
from barlowtrack.stages.report.training import about_the_training, is_trained, training_part
from barlowtrack.stages.report.verdict import Verdict, judge
from barlowtrack.stages.report.words import counted, percent

GRADES = {"good": "✓ Looks sound", "care": "▲ Use with care", "poor": "✕ Do not rely on this"}
MOST_STRETCHES = 30
MOST_ROWS = 1000  # of a map of neurons: the most certain ones; more rows than pixels show nothing
MOST_NEURON_ROWS = 1000
PACKAGES = ("barlowtrack", "torch", "numpy", "scipy", "scikit-learn", "scikit-image", "stardist", "zarr", "tifffile", "matplotlib")


def report(
    recording: Recording,
    detections: Detections,
    volumes: VolumeLooks,
    embeddings: Embeddings,
    tracks: Tracks,
    traces: Traces,
    history: Mapping[str, FloatArray],
    *,
    config: ReportConfig,
    settings: str,
    seed: int = 0,
    progress: Progress = silent,
) -> str:
    """Writes the page that says what came out, and how far to trust it.

    The page stands alone: it fetches nothing, runs nothing, names no path and no date; the same input gives the same bytes.

    Args:
        recording: What was tracked; a few volumes are read, one at a time.
        detections: N nuclei.
        volumes: How each of the T volumes looks.
        embeddings: (N, D).
        tracks: N identities.
        traces: (K, T).
        history: Columns of the training, one row an epoch, the start first: epoch, loss, feature_term, object_term,
            held_out_agreement, effective_rank, round_trips; empty where none is known.
        config: How much is shown.
        settings: The settings as TOML, shown as they are; [train] says where the encoder comes from.
        seed: Of the sample and the layout of the embedding.
        progress: Told after every part.

    Returns:
        HTML, well under 10 MB.

    Raises:
        InputError: if detections, embeddings and tracks disagree on N, or traces and recording on T.
    """
    _check(recording, detections, volumes, embeddings, tracks, traces)
    verdict = judge(detections, volumes, tracks, traces)
    sound = health(embeddings.vectors, detections.t)
    training = TrainConfig.model_validate(tomllib.loads(settings).get("train", {}))
    embedding = [*about_the_embedding(sound, is_trained(history)), *about_the_training(history, training)]
    steps = list(advice(recording, detections, traces, verdict, embedding))
    time = TimeAxis(traces.time_s)
    parts: list[Callable[[], str]] = [
        lambda: _top(recording, detections, verdict, steps),
        lambda: _volumes(recording, detections, tracks, verdict),
        lambda: _activity(traces, verdict, time, config),
        lambda: _trust(detections, tracks, traces, verdict, time),
        lambda: embedding_part(recording, detections, embeddings, tracks, health=sound, time=time, seed=seed),
        lambda: training_part(history, training),
        lambda: _neurons(recording, verdict),
        lambda: _made(recording, settings, seed),
    ]
    body = []
    with house_style():
        for done, part in enumerate(parts, 1):
            body.append(part())
            progress(done, len(parts))
    return page.document(f"{recording.name} {page.DASH} barlowtrack", body)


def _check(
    recording: Recording, detections: Detections, volumes: VolumeLooks, embeddings: Embeddings, tracks: Tracks, traces: Traces
) -> None:
    if not len(detections) == len(embeddings) == len(tracks):
        sizes = f"{len(detections)}, {len(embeddings)} and {len(tracks)}"
        raise InputError(f"report: expected as many detections, embeddings and identities, got {sizes}")
    expected = (tracks.n_neurons, recording.n_volumes)
    if len(volumes) != recording.n_volumes:
        raise InputError(f"report: expected the looks of {recording.n_volumes} volumes, got {len(volumes)}")
    if traces.red.shape != expected or detections.n_volumes != recording.n_volumes:
        raise InputError(f"report: expected traces of shape {expected} (neurons, volumes), got {traces.red.shape}")


def _top(recording: Recording, detections: Detections, verdict: Verdict, steps: list[str]) -> str:
    n_volumes, shape = recording.n_volumes, _by(recording.volume_shape)
    rate = f", {recording.rate_hz:g} volumes a second" if recording.rate_hz else ""
    facts = f"{counted(n_volumes, 'volume')} of {shape} voxels (z y x){rate}; channels: {', '.join(recording.channel_names)}"
    usual = float(np.median(verdict.volumes.detections))
    n_distrusted = int(verdict.distrusted.sum())
    numbers = [
        ("neurons found", str(len(verdict.neurons.neuron)), f"a usual volume shows {usual:.0f} nuclei; {len(detections)} in all"),
        ("coverage", percent(verdict.coverage), "of all neurons in all volumes"),
        (
            "identities right",
            percent(verdict.estimated_right),
            f"the tracker's own estimate, {percent(1 - verdict.wrong.high)} to {percent(1 - verdict.wrong.low)}",
        ),
        ("volumes to distrust", str(n_distrusted), f"of {n_volumes}" + (", listed below" if n_distrusted else "")),
        ("jumps", percent(verdict.jumps), "of the steps between volumes go against the neighbours: most likely wrong identities"),
    ]
    links = [
        ("volumes", "Volumes"),
        ("activity", "Activity"),
        ("trust", "How far to trust it"),
        ("embedding", TITLE),
        ("training", "Training"),
        *([("neurons", "Neurons")] if len(verdict.neurons.neuron) else []),
        ("made", "How it was made"),
    ]
    menu = "<nav>" + "".join(f'<a href="#{name}">{title}</a>' for name, title in links) + "</nav>"
    assumed = list(recording.assumptions) or ["None: voxel size, rate and channels were given or stood in the metadata."]
    steps = steps or ["Nothing stands out. Look at the pictures below, then use the traces with their probabilities."]
    return "\n".join(
        [
            f'<header><h1>{escape(recording.name)}</h1>\n<p class="soft">{escape(facts)}</p></header>',
            f'<div class="verdict {verdict.grade}"><p class="grade">{GRADES[verdict.grade]}</p>',
            f'<p class="headline">{escape(verdict.headline)}</p>',
            page.tiles(numbers),
            page.subtitle("What to do next"),
            page.listing(steps, numbered=True),
            page.subtitle("Assumed about the recording"),
            page.listing(assumed),
            f"{menu}</div>",
        ]
    )


def _volumes(recording: Recording, detections: Detections, tracks: Tracks, verdict: Verdict) -> str:
    intro = (
        "Maximum projections of the reference channel. A ring is an identified nucleus; its colour is its neuron, the same in every "
        "picture and figure of this page. A grey cross is a nucleus without identity. The most certain neurons are numbered: "
        "follow a number from picture to picture."
    )
    return page.section("volumes", "Volumes", intro, page.grid(projections(recording, detections, tracks, verdict.neurons.neuron)))


def _activity(traces: Traces, verdict: Verdict, time: TimeAxis, config: ReportConfig) -> str:
    neurons = verdict.neurons.neuron
    if not len(neurons):
        return page.section("activity", "Activity", "", page.paragraph("No neuron was identified, so there is nothing to show."))
    chosen, rows = neurons[: config.max_traces], np.sort(neurons[:MOST_ROWS])
    intro = "Ratio of green to red relative to its own base line (dR/R0), background subtracted."
    if len(rows) < len(neurons):
        intro += f" The {len(rows)} most certain of {len(neurons)} neurons are shown."
    strip = (
        "Beside a trace its neuron, below it the probability that it is this neuron: blue is certain, orange and red doubtful, grey not "
        "seen. A trace that is empty above a coloured strip was read, but has no positive R0 to divide by."
    )
    return page.section(
        "activity",
        "Activity",
        intro,
        page.figure(trace_heatmap(traces, rows, time)),
        page.subtitle(f"The {counted(len(chosen), 'most certain neuron')}"),
        page.paragraph(strip),
        page.grid(single_traces(traces, chosen, time)),
    )


def _trust(detections: Detections, tracks: Tracks, traces: Traces, verdict: Verdict, time: TimeAxis) -> str:
    intro = "No ground truth was used here; these figures show where the result contradicts itself."
    content = [page.figure(detections_chart(verdict, time)), *_distrusted(verdict)]
    if len(verdict.neurons.neuron):
        rows = np.sort(verdict.neurons.neuron[:MOST_ROWS])
        content.append(page.figure(coverage_map(traces, rows, time)))
    if len(detections):
        content.append(page.figure(probability_histogram(tracks)))
    return page.section("trust", "How far to trust it", intro, *content)


def _distrusted(verdict: Verdict) -> Iterator[str]:
    if not verdict.distrust:
        return
    yield page.subtitle("Volumes to distrust")
    rows = [(str(first) if first == last else f"{first} {page.DASH} {last}", why) for first, last, why in verdict.distrust]
    yield page.table(("volume", "why"), rows[:MOST_STRETCHES])
    if len(rows) > MOST_STRETCHES:
        yield page.folded(f"{len(rows) - MOST_STRETCHES} more", page.table(("volume", "why"), rows[MOST_STRETCHES:]))


def _neurons(recording: Recording, verdict: Verdict) -> str:
    neurons = verdict.neurons
    rows = [
        (str(k), f"{seen} ({percent(seen / recording.n_volumes)})", f"{p:.2f}", f"{red:.4g}" if np.isfinite(red) else page.DASH)
        for k, seen, p, red in zip(
            *(column[:MOST_NEURON_ROWS] for column in (neurons.neuron, neurons.seen, neurons.probability, neurons.red)), strict=True
        )
    ]
    if not rows:
        return ""
    swatches = [to_hex(colour_of(int(k))) for k in neurons.neuron[:MOST_NEURON_ROWS]]
    table = page.table(("neuron", "volumes seen", "mean probability", "median red"), rows, swatches)
    left_out = len(neurons.neuron) - len(rows)
    more = [page.paragraph(f"{counted(left_out, 'less certain neuron')} not listed; the tables hold all.")] if left_out else []
    intro = "All neurons, most certain first (probability times coverage)."
    return page.section("neurons", "Neurons", intro, page.folded(f"Show {counted(len(rows), 'neuron')}", table, *more))


def _made(recording: Recording, settings: str, seed: int) -> str:
    size = _by(recording.voxel_size_um)
    signal = "none" if recording.signal is None else recording.channel_names[recording.signal]
    facts = [
        ("recording", recording.name),
        ("volumes, channels, z, y, x", f"{_by(recording.shape)}, {recording.dtype}"),
        ("voxel size z, y, x", f"{size} µm"),
        ("rate", f"{recording.rate_hz:g} volumes a second" if recording.rate_hz else "unknown"),
        ("reference channel", recording.channel_names[recording.reference]),
        ("signal channel", signal),
        ("fingerprint", recording.fingerprint),
        ("seed", str(seed)),
    ]
    versions = [("Python", platform.python_version()), *((name, _version(name)) for name in PACKAGES)]
    return page.section(
        "made",
        "How it was made",
        "",
        page.table((), facts),
        page.folded("Settings", page.code(settings)),
        page.folded("Versions", page.table((), versions)),
    )


def _by(sizes: Sequence[float]) -> str:
    return f" {page.TIMES} ".join(f"{size:g}" for size in sizes)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
