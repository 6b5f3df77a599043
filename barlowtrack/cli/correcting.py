"""The verbs by which a person has the last word: review says what to look at, correct writes down what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from barlowtrack.errors import InputError, StorageError

if TYPE_CHECKING:
    from barlowtrack.answers import Answer
    from barlowtrack.api import Run
    from barlowtrack.data import Correction, Corrections
    from barlowtrack.identity.review import Question

_RUN = click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
_ACTIONS = ("is_", "not_a_neuron", "absent", "name", "merge", "split", "add", "divide", "undo", "take", "identities", "list_")
_FLAGS = {"is_": "--is", "not_a_neuron": "--not-a-neuron", "list_": "--list"}
_COMPANY = {
    "t": "--volume", "label": "--label", "position": "--at", "new": "--new", "neuron": "--neuron", "since": "--from", "until": "--to",
    "split_name": "--as", "within": "--within", "voxel_size": "--voxel-size",
}  # fmt: skip
_PLACE = "--label or --at"
_NEEDS = {
    "is_": {"--volume", _PLACE}, "not_a_neuron": {"--volume", _PLACE}, "absent": {"--volume"}, "split": {"--from"},
    "add": {"--volume"}, "divide": {"--volume"},
}  # fmt: skip
_SHOWN = 0.005
"""A candidate less likely reads 0.00."""
_MAY = {"is_": {"--new"}, "split": {"--to", "--as"}, "divide": {"--label"}, "identities": {"--within", "--voxel-size"}}


@click.command()
@_RUN
@click.option("--volume", "t", type=click.IntRange(min=0), help="Volume in which the detection lies, or the neuron is absent.")
@click.option("--label", type=click.IntRange(min=1), help="Label of the detection.")
@click.option("--at", "position", nargs=3, type=float, metavar="Z Y X", help="Or its position in um; the nearest detection is meant.")
@click.option("--is", "is_", metavar="NEURON", help="The detection is this neuron: an id of the tracks, or a name.")
@click.option("--new", is_flag=True, help="With --is NAME: a neuron that the tracks do not know yet.")
@click.option("--not-a-neuron", is_flag=True, help="The detection is no neuron; with --neuron, all of that neuron is none.")
@click.option("--neuron", metavar="NEURON", help="See --not-a-neuron.")
@click.option("--absent", metavar="NEURON", help="This neuron is not among the detections of the volume.")
@click.option("--name", nargs=2, metavar="NEURON NAME", help="What to call a neuron.")
@click.option("--merge", nargs=2, metavar="NEURON OTHER", help="Two neurons are one; the other becomes the first.")
@click.option("--split", metavar="NEURON", help="From a volume on (--from) this is another neuron.")
@click.option("--from", "since", type=click.IntRange(min=0), metavar="VOLUME", help="First volume of a split.")
@click.option("--to", "until", type=click.IntRange(min=0), metavar="VOLUME", help="Last volume of a split; to the end where not given.")
@click.option("--as", "split_name", metavar="NAME", help="What to call the neuron that is split off.")
@click.option("--add", nargs=3, type=float, metavar="Z Y X", help="There is a nucleus that was not found; its place in um.")
@click.option("--divide", nargs=6, type=float, metavar="Z Y X Z Y X", help="What was found as one is two nuclei; the place of each in um.")
@click.option("--undo", type=click.IntRange(min=2), metavar="LINE", help="Take a line of the table back.")
@click.option("--take", type=click.Path(path_type=Path), metavar="FOLDER", help="Append the rows of another run folder's table.")
@click.option("--identities", type=click.Path(path_type=Path), metavar="FILE", help="Take identities from NWB, CTC, ZephIR, wbfm or CSV.")
@click.option("--within", type=click.FloatRange(min=0, min_open=True), metavar="UM", help="See --identities: farthest a detection may be.")
@click.option("--voxel-size", nargs=3, type=float, metavar="Z Y X", help="See --identities: in um, if not the recording's.")
@click.option("--list", "list_", is_flag=True, help="Print what was said so far.")
@click.option("--who", metavar="NAME", help="Who says it; default: whoever is logged in.")
def correct(run_folder: Path, who: str | None, **given: Any) -> None:
    """Tell a run what is right: one answer, which its next run heeds.

    RUN is a run folder, or a recording that has one. Answers are rows of its corrections.csv.

    \b
    barlowtrack correct RUN --name 2 AVAL
    barlowtrack correct RUN --volume 7 --label 12 --is AVAL
    barlowtrack correct RUN --volume 7 --label 3 --not-a-neuron
    barlowtrack correct RUN --volume 7 --absent AVAL
    barlowtrack correct RUN --split 5 --from 20 --as AVAR
    barlowtrack correct RUN --volume 7 --add 12.0 40.5 61.0
    barlowtrack correct RUN --volume 7 --divide 12.0 40.5 61.0 12.0 43.0 61.5
    barlowtrack correct RUN --identities annotations.h5
    """  # noqa: D301 - click knows the mark of lines to be kept by its character
    action = _action(given)
    if who is not None and action in ("take", "list_"):
        raise InputError(f"correct: {_FLAGS.get(action, f'--{action}')}: expected nothing beside it, got --who; rows keep who said them")
    run = _open(run_folder)
    if action == "list_":
        click.echo(_listed(run.corrections), nl=False)
        return
    if action == "identities":
        _take_identities(run, who, **{name: given[name] for name in ("identities", "within", "voxel_size")})
    elif action == "take":
        taken = run.take_corrections(given["take"])
        click.echo(f"took {taken} row{'' if taken == 1 else 's'} over" + ("" if taken else ": all that was said there stands here already"))
    else:
        row = run.undo_correction(given["undo"], who=who) if action == "undo" else _answered(run, _answer(action, given), who)
        click.echo(f"line {row.line}: {_said(row)}")
    click.echo(f"'barlowtrack run {run_folder}' applies it")


@click.command()
@_RUN
@click.option("-n", "number", type=click.IntRange(min=1), default=20, show_default=True, help="How many questions.")
def review(run_folder: Path, number: int) -> None:
    """Print the questions whose answers promise to put most identities right.

    RUN is a run folder, or a recording that has one. Answer with 'barlowtrack correct'; one question is put about each volume, until it is
    solved again.
    """
    questions = _open(run_folder).review_queue(number)
    if not questions:
        click.echo("nothing is in doubt")
        return
    click.echo(f"{'gain':>6}{'volume':>8}{'label':>7}  question")
    for question in questions:
        click.echo(f"{question.gain:6.1f}{question.t:8d}{question.label:7d}  {_asked(question)}")


def _take_identities(
    run: Run, who: str | None, *, identities: Path, within: float | None, voxel_size: tuple[float, float, float] | None
) -> None:
    """Takes the file over, and says what of it was used and what was not."""
    taken = run.take_identities(identities, voxel_size_um=voxel_size or None, within_um=within, who=who)
    click.echo(f"{taken.matched} of {taken.points} points are a detection within {taken.within_um:.2f} um; {taken.agreed} are called alike")
    if taken.lost:
        click.echo(f"{taken.lost} points have none, and are left out; if nuclei are missing there: --volume T --add Z Y X")
    click.echo(f"{taken.neurons} of its neurons are one of ours" + (f"; new: {', '.join(taken.fresh)}" if taken.fresh else ""))
    for said in taken.told:
        click.echo(said)
    click.echo(f"wrote {len(taken.rows)} row{'' if len(taken.rows) == 1 else 's'}")


def _open(path: Path) -> Run:
    from barlowtrack.api import Run, prepare
    from barlowtrack.io.location import shown

    folder = prepare(path).folder
    if not folder.is_dir():
        raise StorageError(f"{shown(path)}: expected a run folder, or a recording that has one; run it first, or name what --out was")
    return Run(folder)


def _action(given: dict[str, Any]) -> str:
    chosen = [name for name in _ACTIONS if given[name] not in (None, False)]
    flags = [_FLAGS.get(name, f"--{name}") for name in (chosen or _ACTIONS)]
    if len(chosen) != 1:
        raise InputError(f"correct: expected one of {', '.join(flags)}" + (" alone" if chosen else ""))
    _check_company(chosen[0], flags[0], given)
    return chosen[0]


def _check_company(action: str, flag: str, given: dict[str, Any]) -> None:
    """Refuses what is missing, and what would not be heeded: who names a neuron of one volume means that volume."""
    places = () if action == "divide" else ("--label", "--at")  # which detection a division means, its places say
    got = {_PLACE if option in places else option for name, option in _COMPANY.items() if given[name] not in (None, False, ())}
    needs = {"--neuron"} if action == "not_a_neuron" and "--neuron" in got else _NEEDS.get(action, set())
    if needs - got or got - needs - _MAY.get(action, set()):
        expected, found = (" and ".join(sorted(options, reverse=True)) or "nothing" for options in (needs, got))
        raise InputError(f"correct: {flag}: expected {expected} beside it, got {found}")


def _answer(action: str, given: dict[str, Any]) -> Answer:
    from barlowtrack.answers import Answer

    place = {"t": given["t"], "label": given["label"], "position_um": given["position"] or None}
    match action:
        case "is_":
            return Answer("is", **place, neuron=given["is_"], new=given["new"])
        case "not_a_neuron":
            return Answer("not-a-neuron", **place, neuron=given["neuron"])
        case "absent":
            return Answer("absent", **place, neuron=given["absent"])
        case "split":
            return Answer("split", t=given["since"], until=given["until"], neuron=given["split"], other=given["split_name"])
        case "add":
            return Answer("add", t=given["t"], position_um=given["add"])
        case "divide":
            return Answer("divide", t=given["t"], label=given["label"], position_um=given["divide"][:3], other_um=given["divide"][3:])
        case _:
            neuron, other = given[action]
            return Answer(action, neuron=neuron, other=other)


def _answered(run: Run, answer: Answer, who: str | None) -> Correction:
    from barlowtrack.answers import give, whole_neuron

    row = give(run.folder, answer, who)
    neuron = whole_neuron(run.folder, row)
    if neuron is not None:
        click.echo(f"it was followed as neuron {neuron} elsewhere; if none of that is a neuron: --not-a-neuron --neuron {neuron}")
    return row


def _listed(corrections: Corrections) -> str:
    undone = {int(row.other): row.line for row in corrections.rows if row.what == "undo"}
    lines = []
    for row in corrections.rows:
        signed = " ".join(text for text in (row.when, row.who) if text)
        taken_back = f" [undone by line {undone[row.line]}]" if row.line in undone else ""
        lines.append(f"line {row.line}: {_said(row)}{f' ({signed})' if signed else ''}{taken_back}\n")
    return "".join(lines) or "no corrections yet\n"


def _said(row: Correction) -> str:
    from barlowtrack.data.corrections import place_text

    where = f"label {row.label}" if row.label is not None else "the nearest detection"
    match row.what:
        case "is":
            return f"volume {row.t}: {where} is {row.neuron}"
        case "not-a-neuron":
            return f"{row.neuron} is not a neuron" if row.neuron else f"volume {row.t}: {where} is not a neuron"
        case "absent":
            return f"volume {row.t}: {row.neuron} is absent"
        case "name":
            return f"{row.neuron} is called {row.other}"
        case "merge":
            return f"{row.other} is {row.neuron}"
        case "split":
            return f"{row.neuron} is {row.other} from volume {row.t} {'on' if row.until is None else f'to {row.until}'}"
        case "add":
            return f"volume {row.t}: there is a nucleus at {place_text(row.position_um or ())} um"
        case "divide":
            what = "what was found there" if row.label is None else f"label {row.label}"
            return f"volume {row.t}: {what} is two nuclei, at {place_text(row.position_um or ())} and {row.other} um"
        case _:
            return f"line {row.other} is taken back"


def _asked(question: Question) -> str:
    listed = [] if question.kind in ("same", "nobody") else question.candidates
    others = ", ".join(f"{neuron} ({share:.2f})" for neuron, share in listed if share >= _SHOWN)
    return question.text + (f"; candidates {others}" if others else "")
