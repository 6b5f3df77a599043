"""How far the probabilities can be believed, without truth: do neurons jump as rarely, and second opinions agree as often, as they say?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from barlowtrack.data import UNKNOWN, FloatArray, IntArray
from barlowtrack.identity.learned import Learned
from barlowtrack.showing.colours import colours_of
from barlowtrack.stages.report.coherence import Steps
from barlowtrack.stages.report.drawing import ACCENT, INK, SECOND, SOFT, WARN, as_svg, canvas, in_blocks
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.words import counted, percent

EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
FEWEST_STEPS = 20
NORMAL_90 = 1.645
SLACK = 0.02
"""Steps that jump although both ends are right: a fast bend makes about so many."""
BELIEVED, CONFIRMED = 0.9, 0.5
FEWEST_VOTES = 10
"""Volumes in which two second opinions must have been asked about a neuron; a share of fewer says more of chance than of the neuron."""
WRONG = 0.5
MOST_NAMED = 8
PALE = "#9fb4c7"


def jumps_by_doubt(found: Steps) -> FloatArray:
    """Returns (b, 4) for each class of steps with FEWEST_STEPS at least: mean doubt, share that jumps, and its 90 % interval (Wilson)."""
    rows = []
    which = np.clip(np.searchsorted(EDGES, found.doubt, "right") - 1, 0, len(EDGES) - 2)
    for b in range(len(EDGES) - 1):
        here = which == b
        n = int(here.sum())
        if n < FEWEST_STEPS:
            continue
        share, z = float(found.jumps[here].mean()), NORMAL_90
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        rows.append((float(found.doubt[here].mean()), share, max(middle - half, 0.0), min(middle + half, 1.0)))
    return np.array(rows, np.float64).reshape(-1, 4)


def second_opinions(shown: Shown, atlas: Learned, entry: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Returns neurons (n,), their mean probability (n,), and (n,) how often atlases learned from half of the recording confirm them.

    Only neurons that they were asked about FEWEST_VOTES times are among them, and the share is counted: no prior is in it.

    Args:
        shown: The run.
        atlas: Its calibration knows; without one nobody was asked.
        entry: (K,) entry of the atlas that each neuron has its id from.
    """
    counts = shown.verdict.neurons
    if atlas.calibration is None:
        return counts.neuron[:0], np.zeros(0), np.zeros(0)
    votes, share = atlas.calibration.said(shown.detections.n_volumes)
    of = entry[counts.neuron]
    asked = (of != UNKNOWN) & (votes[of] >= FEWEST_VOTES)
    return counts.neuron[asked], counts.probability[asked], share[of[asked]]


def reliability_pictures(shown: Shown, atlas: Learned, entry: IntArray) -> Iterator[Picture]:
    """Holds the probabilities against jumps and second opinions, which the tracker was not asked for; yields what can be said.

    Args:
        shown: The run.
        atlas: What second opinions said stands there.
        entry: (K,) entry of the atlas that each neuron has its id from.
    """
    classes = jumps_by_doubt(shown.verdict.volumes.step)
    if len(classes):
        yield _jumps_picture(classes)
    neuron, probability, confirmed = second_opinions(shown, atlas, entry)
    if len(neuron):
        yield _opinions_picture(shown, neuron, probability, confirmed)


def why_no_opinions(shown: Shown, atlas: Learned, entry: IntArray) -> str:
    """Says why second opinions are not drawn; "" where they are.

    Args:
        shown: The run.
        atlas: What second opinions said stands there.
        entry: (K,) entry of the atlas that each neuron has its id from.
    """
    if not len(shown.neurons) or len(second_opinions(shown, atlas, entry)[0]):
        return ""
    return (
        f"Second opinions are not drawn: atlases learned from half of the recording each were asked about no neuron in {FEWEST_VOTES} "
        "volumes or more, and a share of fewer says more of chance than of the neuron."
    )


def _jumps_picture(classes: FloatArray) -> Picture:
    figure = canvas(4.6, 3.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=0.9)
    spread = np.abs(classes[:, 2:].T - classes[:, 1])
    axes.errorbar(classes[:, 0], classes[:, 1], yerr=spread, fmt="o", color=ACCENT, markersize=4, linewidth=1.2, capsize=2)
    root = (lambda value: np.sqrt(np.maximum(value, 0)), np.square)  # most steps are sure, most classes near 0
    axes.set_xscale("function", functions=root)
    axes.set_yscale("function", functions=root)
    ticks = (0, 0.01, 0.05, 0.1, 0.2, 0.5, 1)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlim=(0, 1.05), ylim=(0, 1.05), xlabel="chance of a wrong end, as the tracker says", ylabel="share of steps that jump")
    axes.set_title("Jumps")
    too_kind = bool(np.any(classes[:, 2] > classes[:, 0] + SLACK))
    said = f"of the steps that are {percent(1 - classes[0, 0])} sure {percent(classes[0, 1])} jump"
    verdict = "the probabilities promise too much" if too_kind else "the jumps do not contradict the probabilities"
    caption = (
        "Steps from volume to volume by how likely the tracker holds one of their ends for wrong, and the share of them that go against "
        "their neighbours (bars: where it lies in 9 of 10 cases). Not every error jumps, so points should lie below the line; if they lie "
        f"above it, the probabilities promise too much. Here {said}: {verdict}."
    )
    return Picture(as_svg(figure), f"Share of steps that jump, by the doubt that the tracker admits: {said}; {verdict}.", caption)


def _opinions_picture(shown: Shown, neuron: IntArray, probability: FloatArray, confirmed: FloatArray) -> Picture:
    figure = canvas(4.6, 3.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=0.9)
    axes.scatter(probability, confirmed, s=14, c=colours_of(neuron), linewidths=0.4, edgecolors=INK, clip_on=False)
    axes.set(xlim=(0, 1.03), ylim=(0, 1.03), xlabel="mean probability of a neuron", ylabel="confirmed by second opinions")
    axes.set_title("Second opinions")
    odd = neuron[(probability >= BELIEVED) & (confirmed < CONFIRMED)]
    some = f"{counted(len(odd), 'neuron')} ({_named(shown, odd)})" if len(odd) else "no neuron"
    said = f"{some} believed at {BELIEVED:g} or more, but confirmed in less than half of the cases"
    few = len(shown.neurons) - len(neuron)
    left_out = f" Left out: {counted(few, 'neuron')} asked about in fewer than {FEWEST_VOTES} volumes." if few else ""
    caption = (
        "A dot is a neuron: its mean probability, and how often two atlases learned from half of the recording each see the same neuron "
        "there. The probabilities were fitted to such opinions among other things, so agreement is no proof; a neuron may also be doubted "
        f"for other reasons, and lie above the line. If a dot lies far below it, look at that neuron. Here: {said}.{left_out}"
    )
    return Picture(as_svg(figure), f"{counted(len(neuron), 'neuron')} by probability and second opinions: {said}.", caption)


def error_pictures(shown: Shown) -> Iterator[Picture]:
    """Draws the error to be expected, by volume and by neuron; yields nothing without identities."""
    if np.isfinite(shown.verdict.wrong.share):
        yield _error_by_volume(shown)
        yield _error_by_neuron(shown)


def _error_by_volume(shown: Shown) -> Picture:
    wrong = shown.verdict.wrong
    share, half = by_volume(shown)
    figure = canvas(4.6, 3.2)
    axes = figure.subplots()
    x, middle, band = (in_blocks(values) for values in (shown.time.at, share, half))
    axes.fill_between(x, np.maximum(middle - band, 0), np.minimum(middle + band, 1), color=ACCENT, alpha=0.2, linewidth=0)
    axes.plot(x, middle, "o-" if len(x) < 60 else "-", color=ACCENT, markersize=3)
    axes.axhline(wrong.share, color=SECOND, linewidth=0.9, linestyle="--")
    axes.set(ylim=(0, max(1.1 * float(np.nanmax(np.minimum(share + half, 1))), 0.05)), ylabel="share expected to be wrong")
    axes.set_title("Expected error by volume")
    shown.time.finish(axes)
    worst = int(np.nanargmax(share))
    overall = f"{percent(wrong.share)} ({percent(wrong.low)} to {percent(wrong.high)} in 9 of 10 cases)"
    at_most = f"at most {percent(float(share[worst]))}, in volume {worst}"
    caption = (
        f"No truth was used: this is 1 minus the probability, averaged. Dashed: over all, {overall}, if the probabilities are honest. The "
        f"band is what chance alone does if errors of a volume come singly. It is {at_most}: if the error sits in a few volumes, leave "
        "those out and trust the rest."
    )
    return Picture(as_svg(figure), f"Expected share of wrong identities over time: {overall} in all; {at_most}.", caption)


def _error_by_neuron(shown: Shown) -> Picture:
    share = shown.verdict.wrong.neuron
    order = shown.neurons[np.lexsort((shown.neurons, -np.round(share[shown.neurons], 9)))]
    values = share[order]
    figure = canvas(4.6, 3.2)
    axes = figure.subplots()
    axes.bar(np.arange(len(values)), values, width=1.0, color=np.where(values > WRONG, WARN, PALE).tolist())
    axes.set(xlim=(-0.6, len(values) - 0.4), ylim=(0, max(1.1 * float(values.max()), 0.05)), xticks=[], xlabel="neurons, worst first")
    axes.set(ylabel="share expected to be wrong", title="Expected error by neuron")
    worst = order[values > WRONG]
    some = f"{counted(len(worst), 'neuron')} ({_named(shown, worst)})" if len(worst) else "no neuron"
    said = f"{some} expected to be wrong more often than right"
    caption = f"The same, a bar a neuron. Red: {said}. If a few neurons carry most of the error, leave them out and trust the rest."
    return Picture(as_svg(figure), f"Expected share of wrong identities of {counted(len(values), 'neuron')}: {said}.", caption)


def _named(shown: Shown, neurons: IntArray) -> str:
    return shown.names.listed(neurons[:MOST_NAMED]) + (" and others" if len(neurons) > MOST_NAMED else "")


def by_volume(shown: Shown) -> tuple[FloatArray, FloatArray]:
    """Returns the expected share of wrong identities of each volume (T,), and (T,) how far chance moves it, 9 times in 10."""
    tracks, detections = shown.tracks, shown.detections
    known = tracks.neuron != UNKNOWN
    t, p, n = detections.t[known], tracks.probability[known].astype(np.float64), detections.n_volumes
    count = np.bincount(t, minlength=n)
    share = np.where(count > 0, np.bincount(t, 1 - p, minlength=n) / np.maximum(count, 1), np.nan)
    spread = np.sqrt(np.bincount(t, p * (1 - p), minlength=n)) / np.maximum(count, 1)
    return share, np.where(count > 0, NORMAL_90 * spread, np.nan)
