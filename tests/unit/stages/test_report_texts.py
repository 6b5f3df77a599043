"""What the pages say, word by word: headings, tables, captions and what pictures show, for a small fixed case.

The texts lie in tests/data/texts. Whoever changes a text on purpose renews them, and reads the difference before committing it:

    BARLOWTRACK_RENEW=1 python -m pytest tests/unit/stages/test_report_texts.py
"""

import os
import re
from difflib import unified_diff
from html.parser import HTMLParser

import numpy as np
import pytest

from barlowtrack.comparing import compare_sides
from barlowtrack.comparing.page import write_page
from barlowtrack.comparing.side import Making
from barlowtrack.data import Swaps, Tracks
from tests.conftest import ROOT
from tests.unit.comparing.tables import exchanged, given_up, side
from tests.unit.stages.test_report import case, page_of

RENEW = "BARLOWTRACK_RENEW"
TEXTS = ROOT / "tests" / "data" / "texts"
VERSIONS = "Versions"
"""A fold whose table says what is installed here, which is no text of ours."""


LINES = {"h1": "h1", "h2": "h2", "h3": "h3", "p": "p", "li": "li", "figcaption": "caption", "dt": "tile", "summary": "fold", "pre": "code"}
CELLS = {"td": "row", "th": "head"}


class _Texts(HTMLParser):
    """The texts of a page, a line each, with what they are in front: `h2 Volumes`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._text, self._cells, self._kind, self._fold = "", [], "row", ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag in LINES | CELLS or tag in ("a", "title", "dd"):
            self._text = ""
        if tag in CELLS:
            self._kind = CELLS[tag]
        if tag == "small":
            self._text += ": "
        if tag == "img":
            self.lines.append(f"picture {dict(attrs)['alt']}")

    def handle_endtag(self, tag):
        if tag in LINES:
            self._say(LINES[tag])
            self._fold = self._text if tag == "summary" else self._fold
        elif tag == "dd":
            self.lines[-1] += f" | {self._text}"
        elif tag in ("a", "title"):
            self._say("link" if tag == "a" else tag)
        elif tag in CELLS:
            self._cells.append(self._text)
        elif tag == "tr":
            if self._fold != VERSIONS:
                self.lines.append(f"{self._kind} {' | '.join(self._cells)}")
            self._cells = []
        elif tag == "details":
            self._fold = ""

    def handle_data(self, data):
        self._text += data

    def _say(self, kind: str) -> None:
        self.lines += [f"{kind} {line}" for line in self._text.splitlines() or [""]]


def texts_of(html: str) -> str:
    """Returns the texts of a page, one a line; spaces at which no line breaks are spaces."""
    return "\n".join(line.replace("\xa0", " ").rstrip() for line in _Texts(html).lines) + "\n"


def report_page() -> str:
    run = case(n_volumes=8, keep=np.arange(8) != 4, assumptions=("the reference channel is red",))
    tracks, t = run["tracks"], run["detections"].t
    doubtful = np.where(tracks.neuron == 4, 0.4, np.where((tracks.neuron == 2) & (t == 3), 0.6, tracks.probability))
    return page_of(run | {"tracks": Tracks(tracks.neuron, doubtful, tracks.n_neurons)})


def compare_page() -> str:
    stages = [
        {"track": Making(4, None, {"track": {"min_probability": p}}, given={"corrections": c})} for p, c in ((0.0, "none"), (0.5, "1 a"))
    ]
    swaps = Swaps(np.array([3]), np.array([5]), np.array([[1, 4]]), np.array([7.5]))
    one = side("worm.barlowtrack", ids=[5, 3, 8, 0, 1, 2], stages=stages[0], neuron_names=("", "AVAL", *[""] * 7))
    other = given_up(exchanged(side(), 3, 5, 1, 4), side().detections.label == 3)
    return write_page(compare_sides(one, exchanged(other, 9, 9, 0, 1, name="stricter.barlowtrack", stages=stages[1], swaps=swaps)))


@pytest.mark.parametrize(("name", "page"), [("report", report_page), ("compare", compare_page)])
def test_the_page_says_what_it_said(name, page):
    file, said = TEXTS / f"{name}.txt", texts_of(page())
    if os.environ.get(RENEW):
        file.parent.mkdir(exist_ok=True)
        file.write_text(said, encoding="utf-8")
    difference = changes(file.read_text(encoding="utf-8"), said)
    assert not difference, f"{difference}\n\nIf this is what the page shall say: {RENEW}=1 python -m pytest {__file__}"


def changes(before: str, now: str) -> str:
    """Returns the lines that went and came, each after - or +, with a line around them."""
    lines = unified_diff(before.splitlines(), now.splitlines(), "as stored", "as written now", n=1, lineterm="")
    return "\n".join(lines)


def test_a_changed_caption_is_seen_and_named():
    html = "<section><h2>Volumes</h2><figure><img src='x' alt='A map.'><figcaption>Grey: not seen.</figcaption></figure></section>"
    changed = changes(texts_of(html), texts_of(html.replace("not seen", "seen")))
    assert "-caption Grey: not seen." in changed
    assert "+caption Grey: seen." in changed


def test_tables_tiles_folds_and_code_are_read_and_versions_are_not():
    html = (
        "<dl><div><dt>neurons</dt><dd>5<small>in all</small></dd></div></dl>"
        "<details><summary>Show</summary><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>"
        "</details><details><summary>Versions</summary><table><tbody><tr><td>numpy</td><td>9</td></tr></tbody></table></details>"
        "<pre>x = 1\ny = 2</pre><p>100\xa0%</p>"
    )
    expected = ["tile neurons | 5: in all", "fold Show", "head a | b", "row 1 | 2", "fold Versions", "code x = 1", "code y = 2", "p 100 %"]
    assert texts_of(html).splitlines() == expected


def test_stored_texts_name_no_machine_and_no_version():
    for file in TEXTS.glob("*.txt"):
        assert not re.search(r"/(home|work|root|tmp)/\w|\b\d+\.\d+\.\d+\b", file.read_text(encoding="utf-8")), file
