"""The page of a comparison, made of the blocks of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
from matplotlib.colors import to_hex

from barlowtrack.comparing.charts import agreement_chart, both_traces
from barlowtrack.comparing.compared import Comparison
from barlowtrack.comparing.moved import Moved
from barlowtrack.comparing.side import Side
from barlowtrack.data import UNKNOWN, Swaps
from barlowtrack.showing.colours import colour_of
from barlowtrack.stages.report import page
from barlowtrack.stages.report.drawing import TimeAxis, house_style
from barlowtrack.stages.report.words import counted, percent

MOST_MOVES, MOST_FOLDED = 60, 1000
MOST_TRACES = 10
MOST_NUMBERS = 300
NONE_TEXT = "None."


def write_page(compared: Comparison) -> str:
    """Returns the page. It stands alone, as the report does, and names no path but what tells the two folders apart."""
    with house_style():
        body = [
            _top(compared),
            _settings(compared),
            _side_by_side(compared),
            _moved(compared),
            _volumes(compared),
            _neurons(compared),
            _traces(compared),
            _swaps(compared),
        ]
    return page.document(f"{compared.a.name} and {compared.b.name} {page.DASH} barlowtrack", body)


def headline(compared: Comparison) -> str:
    """Says in a sentence or two what changed."""
    n_shared = len(compared.row_a)
    if compared.is_nothing:
        but = "; what the runs were made from differs, see below" if compared.settings else ""
        what = "identities, probabilities and traces" if compared.has_traces else "identities and probabilities"
        without = "" if compared.has_traces else f" {_no_traces(compared)}"
        return f"Nothing changed: {counted(n_shared, 'detection')} with the same {what}{but}.{without}"
    one, other = (int(count.sum()) for count in compared.unshared)
    said = _moved_in_words(compared)
    if one or other:
        said.append(f"{counted(one, 'detection')} only in A, {other} only in B.")
    gone, new = (len(ids) for ids in compared.alone)
    if gone or new:
        said.append(f"{counted(gone, 'neuron')} only in A, {new} only in B.")
    if not compared.moved and compared.certainty:
        said.append(f"Probabilities differ by {compared.certainty:.3f} on average.")
    if compared.traces:
        said.append(f"The traces of {counted(len(compared.traces), 'neuron')} differ.")
    if compared.swaps_differ:
        said.append("Other swaps are suspected.")
    if compared.renamed:
        said.append(f"{counted(len(compared.renamed), 'neuron')} {'has' if len(compared.renamed) == 1 else 'have'} another name.")
    if not compared.has_traces:
        said.append(_no_traces(compared))
    return " ".join(said)


def _moved_in_words(compared: Comparison) -> list[str]:
    n_shared = len(compared.row_a)
    if not compared.moved:
        return [f"No identity moved: {counted(n_shared, 'shared detection')} with the same neurons."]
    n, (one, other) = compared.n_another, compared.n_given_up
    share, has = f" ({percent(n / n_shared)})" if n else "", "has" if n < 2 else "have"
    said = [f"{n or 'None'} of {counted(n_shared, 'shared detection')}{share} {has} another neuron in B."]
    only = one + other
    if only:
        has = "has" if only == 1 else "have"
        said.append(f"{only} ({percent(only / n_shared)}) {has} a neuron in only one of the two ({one} in A, {other} in B).")
    return said


def _no_traces(compared: Comparison) -> str:
    lacking = [name for name, side in zip("AB", (compared.a, compared.b), strict=True) if side.traces is None]
    return f"Traces are not compared: {' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} none of these tracks."


def _top(compared: Comparison) -> str:
    agreement, one, other = compared.agreement, *compared.unshared
    n_shared, (in_a, in_b) = len(compared.row_a), compared.n_given_up
    worst = int(np.nanargmin(agreement)) if np.isfinite(agreement).any() else None
    numbers = [
        ("same identity", percent(1 - compared.n_moved / max(n_shared, 1)), f"of {n_shared} shared detections; nobody in both counts too"),
        ("another neuron", str(compared.n_another), f"{percent(compared.n_another / max(n_shared, 1))} of them"),
        ("a neuron in only one", str(in_a + in_b), f"of them: {in_a} in A, {in_b} in B; nobody in the other"),
        ("same neurons", str(len(compared.same)), f"of {len(compared.a.neurons)} in A and {len(compared.b.neurons)} in B"),
        ("detections in one only", str(int(one.sum() + other.sum())), f"{one.sum()} in A, {other.sum()} in B"),
        ("least agreement", page.DASH if worst is None else percent(float(agreement[worst])), "" if worst is None else f"volume {worst}"),
    ]
    return "\n".join(
        [
            f"<header><h1>{escape(compared.a.name)} and {escape(compared.b.name)}</h1>",
            '<p class="soft">Two runs of one recording: the first is A, the second B. Neither is the truth.</p></header>',
            f'<div class="verdict" style="--tone: var(--mark)"><p class="headline">{escape(headline(compared))}</p>',
            page.tiles(numbers),
            "</div>",
        ]
    )


def _settings(compared: Comparison) -> str:
    intro = "Settings, versions of the stages, and what was given from outside, from A to B."
    content = page.listing(compared.settings) if compared.settings else page.paragraph("The same in both.")
    return page.section("settings", "What the runs were made from", intro, content)


def _side_by_side(compared: Comparison) -> str:
    columns = [_facts(side) for side in (compared.a, compared.b)]
    rows = [(name, one, other) for (name, one), (_, other) in zip(*columns, strict=True)]
    intro = "Each run's own account of itself; no truth is needed for it."
    return page.section("numbers", "Side by side", intro, page.table(("", "A", "B"), rows))


def _facts(side: Side) -> list[tuple[str, str]]:
    known, error = side.tracks.neuron != UNKNOWN, side.error
    sure = float(np.mean(side.tracks.probability[known], dtype=np.float64)) if known.any() else float("nan")
    share = "unknown" if np.isnan(error.share) else f"{100 * error.share:.1f} % ({100 * error.low:.1f} to {100 * error.high:.1f})"
    return [
        ("run folder", side.name),
        ("detections", str(len(side.detections))),
        ("with an identity", f"{np.count_nonzero(known)} ({percent(float(known.mean()) if len(known) else float('nan'))})"),
        ("neurons", str(len(side.neurons))),
        ("coverage of neurons and volumes", percent(side.coverage)),
        ("mean probability of an identity", page.DASH if np.isnan(sure) else f"{sure:.3f}"),
        ("estimated share of wrong identities", share),
    ]


def _moved(compared: Comparison) -> str:
    intro = (
        "Stretches of shared detections that are one neuron in A and another in B, or nobody in one of them. Neurons are matched once for "
        "the whole recording, by the most shared detections; other numbers alone are no change. Which of the two is right, this page "
        "cannot say. The probability is that the run's own answer is right; of nobody, that it is none of the neurons."
    )
    if not compared.moved:
        return page.section("moved", "Identities that moved", intro, page.paragraph(NONE_TEXT))
    content = []
    for title, which in (
        ("Another neuron", [move for move in compared.moved if UNKNOWN not in (move.neuron_a, move.neuron_b)]),
        ("A neuron in only one of the two", [move for move in compared.moved if UNKNOWN in (move.neuron_a, move.neuron_b)]),
    ):
        content += [page.subtitle(title), *_moves(compared, which)]
    return page.section("moved", "Identities that moved", intro, *content)


def _moves(compared: Comparison, moved: Sequence[Moved]) -> Iterator[str]:
    """Yields the table of some stretches."""
    if not moved:
        yield page.paragraph(NONE_TEXT)
        return
    head = ("neuron in A", "in B it is", "which is in A", "volumes", "detections", "probability in A", "in B")
    back = {theirs: ours for ours, theirs in compared.same.items()}
    rows = []
    for move in moved[: MOST_MOVES + MOST_FOLDED]:
        a = compared.a.called(back[move.neuron_b]) if move.neuron_b in back else ("" if move.neuron_b == UNKNOWN else "not there")
        span = str(move.first) if move.first == move.last else f"{move.first} {page.DASH} {move.last}"
        sure = (f"{move.probability_a:.2f}", f"{move.probability_b:.2f}")
        rows.append((compared.a.called(move.neuron_a), compared.b.called(move.neuron_b), a, span, str(move.detections), *sure))
    yield page.table(head, rows[:MOST_MOVES])
    if len(rows) > MOST_MOVES:
        yield page.folded(f"{len(rows) - MOST_MOVES} shorter ones", page.table(head, rows[MOST_MOVES:]))
    left_out = len(moved) - len(rows)
    if left_out:
        yield page.paragraph(f"{left_out} still shorter ones are not listed.")


def _volumes(compared: Comparison) -> str:
    intro = "Where in time the two differ, and how many of its own identities each expects to be wrong there."
    return page.section("volumes", "Volume by volume", intro, page.figure(agreement_chart(compared, _time(compared))))


def _neurons(compared: Comparison) -> str:
    content = []
    for side, ids, here, there in zip((compared.a, compared.b), compared.alone, "AB", "BA", strict=True):
        counts = np.bincount(side.tracks.neuron[side.tracks.neuron != UNKNOWN], minlength=side.tracks.n_neurons)
        texts = [f"{side.called(int(k))}: {counted(int(counts[k]), 'detection')}" for k in ids[:MOST_NUMBERS]]
        content.append(page.subtitle(f"Only in {here}"))
        content.append(page.listing(texts) if texts else page.paragraph(f"None: every neuron of {here} is one of {there}."))
        if len(ids) > MOST_NUMBERS:
            content.append(page.paragraph(f"{len(ids) - MOST_NUMBERS} more are not listed."))
    content += list(_names(compared))
    intro = f"{counted(len(compared.same), 'neuron')} found in both; {sum(i != j for i, j in compared.same.items())} have another number."
    return page.section("neurons", "Neurons", intro, *content)


def _names(compared: Comparison) -> Iterator[str]:
    if compared.renamed:
        rows = [(compared.a.called(i), compared.b.called(j)) for i, j in compared.renamed[:MOST_NUMBERS]]
        yield page.subtitle("Other names")
        yield page.table(("in A", "in B"), rows)
        if len(compared.renamed) > MOST_NUMBERS:
            yield page.paragraph(f"{len(compared.renamed) - MOST_NUMBERS} more are not listed.")
    pairs = sorted((i, j) for i, j in compared.same.items() if i != j)[:MOST_FOLDED]
    if pairs:
        swatches = [to_hex(colour_of(i)) for i, _ in pairs]
        rows = [(compared.a.called(i), compared.b.called(j)) for i, j in pairs]
        yield page.folded("Which number is which", page.table(("in A", "in B"), rows, swatches))


def _traces(compared: Comparison) -> str:
    lacking = [name for name, side in zip("AB", (compared.a, compared.b), strict=True) if side.traces is None]
    if lacking:
        text = (
            f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no traces of these tracks; 'barlowtrack trace' makes them."
        )
        return page.section("traces", "Traces", "", page.paragraph(text))
    if not compared.traces:
        return page.section("traces", "Traces", "", page.paragraph("The same in both."))
    shown = compared.traces[:MOST_TRACES]
    intro = (
        f"The {counted(len(shown), 'neuron')} of both runs whose traces differ most, of {len(compared.traces)} that do: A in blue, B over "
        "it in dashed orange. The number is the neuron's in A; the change is the root mean square of the difference where both have a "
        "value, in standard deviations of the trace."
    )
    rows = [
        (compared.a.called(one.neuron_a), compared.b.called(one.neuron_b), f"{one.change:.2f}", str(one.lost), str(one.gained))
        for one in shown
    ]
    chart = both_traces(compared, shown, _time(compared))
    return page.section(
        "traces",
        "Traces",
        intro,
        page.figure(chart),
        page.folded("In numbers", page.table(("in A", "in B", "change", "values only in A", "only in B"), rows)),
    )


def _swaps(compared: Comparison) -> str:
    if compared.a.swaps is None and compared.b.swaps is None:
        return ""
    content = []
    for name, side in zip("AB", (compared.a, compared.b), strict=True):
        content.append(page.subtitle(f"In {name}"))
        content.append(_swap_table(side, side.swaps))
    intro = "Stretches in which two neurons seem to carry each other's identity, by their light; larger evidence is surer."
    return page.section("swaps", "Suspected swaps", intro, *content)


def _swap_table(side: Side, swaps: Swaps | None) -> str:
    if swaps is None:
        return page.paragraph("Nobody looked.")
    if not len(swaps):
        return page.paragraph(NONE_TEXT)
    rows = [
        (side.called(int(one)), side.called(int(other)), f"{first} {page.DASH} {last}", f"{evidence:.1f}")
        for (one, other), first, last, evidence in zip(swaps.neuron, swaps.first, swaps.last, swaps.evidence, strict=True)
    ]
    more = [page.paragraph(f"{len(rows) - MOST_NUMBERS} more are not listed.")] if len(rows) > MOST_NUMBERS else []
    return "\n".join([page.table(("neuron", "with", "volumes", "evidence"), rows[:MOST_NUMBERS]), *more])


def _time(compared: Comparison) -> TimeAxis:
    for side in (compared.a, compared.b):
        if side.traces is not None:
            return TimeAxis(side.traces.time_s)
    return TimeAxis(np.full(compared.a.detections.n_volumes, np.nan))
