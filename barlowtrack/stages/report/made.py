"""The end of the page: the table of neurons, and how it all was made."""

from __future__ import annotations

import platform
from importlib import metadata

import numpy as np
from matplotlib.colors import to_hex

from barlowtrack.data import Corrections, Flag, IntArray, Recording, Source
from barlowtrack.showing.colours import colour_of
from barlowtrack.stages.report import page
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.words import by, counted, percent

MOST_NEURONS = 1000
OFTEN = 0.1
"""Share of its values from which on a flag is said of a neuron."""
FLAGS = {Flag.EDGE: "at the edge", Flag.SATURATED: "saturated", Flag.CROWDED: "crowded", Flag.DIM: "dim", Flag.SWAPPED: "exchanged?"}
PACKAGES = ("barlowtrack", "torch", "numpy", "scipy", "scikit-learn", "scikit-image", "stardist", "zarr", "tifffile", "matplotlib")


def neurons_part(shown: Shown) -> str:
    """Returns the table of neurons as HTML; empty where there are none."""
    counts = shown.verdict.neurons
    neurons = counts.neuron[:MOST_NEURONS]
    if not len(neurons):
        return ""
    rows, group = [], _groups(shown)
    for place, neuron in enumerate(neurons):
        source, red = shown.traces.source[neuron], float(counts.red[place])
        there = max(int(np.count_nonzero(source != Source.NONE)), 1)
        seen = int(counts.seen[place])
        rows.append(
            (
                shown.names.text(int(neuron)),
                f"{seen} ({percent(seen / shown.recording.n_volumes)})",
                f"{counts.probability[place]:.2f}",
                f"{red:.4g}" if np.isfinite(red) else page.DASH,
                *group.get(int(neuron), (page.DASH, page.DASH)),
                ", ".join(_flags(shown.traces.flags[neuron], there)) or page.DASH,
            )
        )
    swatches = [to_hex(colour_of(int(k))) for k in neurons]
    table = page.table(("neuron", "volumes seen", "mean probability", "median red", "row", "group", "flags"), rows, swatches)
    left_out = len(counts.neuron) - len(rows)
    more = [page.paragraph(f"{counted(left_out, 'less certain neuron')} not listed; the tables hold all.")] if left_out else []
    intro = (
        "All neurons, most certain first (probability times coverage); their row and group in the heatmap of all traces, counted from the "
        f"top; and flags that hold for at least a tenth of their values.{people_in_words(shown.corrections)}"
    )
    return page.section("neurons", "Neurons", intro, page.folded(f"Show {counted(len(rows), 'neuron')}", table, *more))


def _groups(shown: Shown) -> dict[int, tuple[str, str]]:
    """Returns row and group of each neuron in the heatmap, from 1; no group where it is alone in it, nothing where there is no heatmap."""
    if shown.recording.n_volumes == 1:
        return {}
    order, group = shown.rows[shown.alike.order], [page.DASH] * len(shown.rows)
    for number, (start, stop) in enumerate(shown.alike.stretches(), 1):
        group[start:stop] = [str(number)] * (stop - start)
    return {int(neuron): (str(row), group[row - 1]) for row, neuron in enumerate(order, 1)}


def people_in_words(corrections: Corrections) -> str:
    """Says that people had a say, with a space in front; "" where nobody had."""
    said = corrections_in_words(corrections)
    return f" People corrected this run: {said}." if corrections.in_force else ""


def corrections_in_words(corrections: Corrections) -> str:
    """Says how many corrections are in force, and of how many people; not what they said, nor who they are."""
    rows = corrections.in_force
    if not rows:
        return "none in force"
    return f"{counted(len(rows), 'row')} in force, by {counted(len({row.who for row in rows}), 'person', 'people')}"


def _flags(flags: IntArray, there: int) -> list[str]:
    shares = {word: float(np.count_nonzero(flags & flag)) / there for flag, word in FLAGS.items()}
    return [f"{word} {percent(share)}" for word, share in shares.items() if share >= OFTEN]


def made_part(recording: Recording, corrections: Corrections, settings: str, seed: int) -> str:
    """Returns settings and versions as HTML."""
    signal = "none" if recording.signal is None else recording.channel_names[recording.signal]
    facts = [
        ("recording", recording.name),
        ("volumes, channels, z, y, x", f"{by(recording.shape)}, {recording.dtype}"),
        ("voxel size z, y, x", f"{by(recording.voxel_size_um)} µm"),
        ("rate", f"{recording.rate_hz:g} volumes a second" if recording.rate_hz else "unknown"),
        ("reference channel", recording.channel_names[recording.reference]),
        ("signal channel", signal),
        ("fingerprint", recording.fingerprint),
        ("seed", str(seed)),
        ("corrections by people", corrections_in_words(corrections)),
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


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
