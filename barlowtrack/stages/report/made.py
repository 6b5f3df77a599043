"""The end of the page: the table of neurons, and how it all was made."""

from __future__ import annotations

import platform
from importlib import metadata

import numpy as np
from matplotlib.colors import to_hex

from barlowtrack.data import Flag, IntArray, Recording, Source
from barlowtrack.stages.report import page
from barlowtrack.stages.report.drawing import colour_of
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
    rows = []
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
                ", ".join(_flags(shown.traces.flags[neuron], there)) or page.DASH,
            )
        )
    swatches = [to_hex(colour_of(int(k))) for k in neurons]
    table = page.table(("neuron", "volumes seen", "mean probability", "median red", "flags"), rows, swatches)
    left_out = len(counts.neuron) - len(rows)
    more = [page.paragraph(f"{counted(left_out, 'less certain neuron')} not listed; the tables hold all.")] if left_out else []
    intro = "All neurons, most certain first (probability times coverage), and what holds for at least a tenth of their values."
    return page.section("neurons", "Neurons", intro, page.folded(f"Show {counted(len(rows), 'neuron')}", table, *more))


def _flags(flags: IntArray, there: int) -> list[str]:
    shares = {word: float(np.count_nonzero(flags & flag)) / there for flag, word in FLAGS.items()}
    return [f"{word} {percent(share)}" for word, share in shares.items() if share >= OFTEN]


def made_part(recording: Recording, settings: str, seed: int) -> str:
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
