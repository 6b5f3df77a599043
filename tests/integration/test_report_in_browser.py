"""The pages as a browser shows them: nothing blocked, no picture missing, nothing wider than the window, on a phone and on a desk."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import barlowtrack as bt
from barlowtrack.comparing import compare_sides
from barlowtrack.stages.report.page import document
from tests.browser import Browser, contrast, find_chromium

pytestmark = pytest.mark.slow

PHONE, DESK = 390, 1280
PICTURE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium: none of chromium, chromium-browser, google-chrome is installed")
    with Browser(path, tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tiny_run, tmp_path_factory):
    """The page of the tiny run, and that of the run beside one in which two neurons are exchanged."""
    place = tmp_path_factory.mktemp("pages")
    compared = bt.compare(tiny_run, tiny_run)
    return {"report": tiny_run.report, "compare": swapped(compared).write(place / "compare.html")}


def swapped(compared):
    """The comparison with a run in which two neurons are exchanged for a while, under a name too long for any phone."""
    tracks = compared.b.tracks
    t, neuron = compared.b.detections.t, tracks.neuron.copy()
    for row in np.flatnonzero((t >= 3) & (t <= 5) & (neuron >= 0) & (neuron < 2)):
        neuron[row] = 1 - tracks.neuron[row]
    names = ("N" * 200, *compared.b.neuron_names[1:])
    return compare_sides(compared.a, replace(compared.b, name="n" * 300, tracks=replace(tracks, neuron=neuron), neuron_names=names))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", ["report", "compare"])
def test_a_browser_has_nothing_to_complain_of(browser, pages, name, width, dark):
    look = browser.look(pages[name], width=width, dark=dark)
    assert look.problems == ()
    assert look.n_images >= (8 if name == "report" else 1)
    assert look.n_images == len(re.findall("<img ", pages[name].read_text()))
    assert contrast(look) >= 7
    assert (sum(look.paper) < sum(look.ink)) == dark


def test_what_is_folded_is_printed(browser, pages):
    height = "document.querySelector('#neurons details table').checkVisibility({contentVisibilityAuto: true})"
    assert browser.ask(pages["report"], height, width=DESK, media={"media": "print"}) is True
    assert browser.ask(pages["report"], height, width=DESK, media={}) is False


def test_on_a_phone_narrow_figures_fit_and_wide_ones_say_that_they_go_on(browser, pages):
    frames = """JSON.stringify([...document.querySelectorAll('.frame')].map(frame => [
      frame.classList.contains('wide'), frame.scrollWidth > frame.clientWidth + 1, getComputedStyle(frame, '::before').content]))"""
    said = json.loads(browser.ask(pages["report"], frames, width=PHONE, media={}))
    assert {wide for wide, _, _ in said} == {True, False}
    for wide, goes_on, hint in said:
        assert goes_on == wide == hint.startswith('"swipe sideways'), (wide, goes_on, hint)
    assert not any(goes_on for _, goes_on, _ in json.loads(browser.ask(pages["report"], frames, width=DESK, media={})))


BROKEN = {
    "a picture that is none": ('<img src="data:image/png;base64,AAAA" alt="a lost figure">', "picture missing: a lost figure"),
    "a picture from elsewhere": ('<img src="https://example.org/x.png" alt="fetched">', "security: "),
    "a picture in a fold": ('<details><img src="data:image/png;base64,AAAA" alt="folded"></details>', "picture missing: folded"),
    "a block that is too wide": ('<div class="far" style="width: 3000px">far</div>', "wider than the window"),
    "a word that does not break": (f"<p>{'long' * 400}</p>", "wider than the window"),
    "a script": ("<script>document.title = 'mine'</script>", "security: "),
    "a handler": ("<p onclick=\"alert('mine')\">text</p>", "security: "),
    "a style sheet from elsewhere": ('<link rel="stylesheet" href="https://example.org/x.css">', "security: "),
}


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize(("body", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_is_noticed(browser, tmp_path, body, said, width):
    page = tmp_path / "broken.html"
    page.write_text(document("broken", [f"<p>text</p>{body}"]))
    problems = browser.look(page, width=width).problems
    assert any(problem.startswith(said) for problem in problems), problems


def test_errors_of_scripts_and_of_the_console_are_noticed(browser, tmp_path):
    page = tmp_path / "loud.html"
    page.write_text("<p>text</p><script>console.error('woe'); throw new Error('thrown')</script>")
    problems = browser.look(page, width=DESK).problems
    assert "console: woe" in problems
    assert any(problem.startswith("exception: ") for problem in problems)


def test_what_is_whole_is_not_complained_of(browser, tmp_path):
    page = tmp_path / "whole.html"
    scrolled = '<div style="overflow-x: auto"><div style="width: 3000px">far, but it scrolls</div></div>'
    page.write_text(document("whole", [f'<p>text</p><img src="{PICTURE}" alt="a dot">{scrolled}']))
    look = browser.look(page, width=PHONE)
    assert (look.problems, look.n_images) == ((), 1)


def test_an_empty_page_is_noticed(browser, tmp_path):
    (tmp_path / "empty.html").write_text(document("empty", []))
    assert browser.look(tmp_path / "empty.html", width=PHONE).problems == ("empty page",)
