"""How far the probabilities can be believed, and who may have been exchanged."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from barlowtrack.data import UNKNOWN, Swaps, Tracks
from barlowtrack.stages.report.coherence import Steps
from barlowtrack.stages.report.drawing import house_style
from barlowtrack.stages.report.exchanged import MOST_SWAPS, swaps_in_words
from barlowtrack.stages.report.reliability import (
    FEWEST_STEPS,
    FEWEST_VOTES,
    by_volume,
    error_pictures,
    jumps_by_doubt,
    reliability_pictures,
    second_opinions,
    why_no_opinions,
)
from tests.unit.stages.test_report import case, shown_of

NOBODY_ASKED = SimpleNamespace(calibration=None)


def steps_of(doubt: float, n: int, n_jumps: int) -> Steps:
    return Steps(np.ones(n, int), np.full(n, doubt), np.arange(n) < n_jumps)


def asked(confirmed: list[float], votes: int = FEWEST_VOTES) -> SimpleNamespace:
    shares = np.array(confirmed)
    return SimpleNamespace(calibration=SimpleNamespace(said=lambda n_volumes: (np.full(len(shares), votes), shares)))


def test_jumps_are_counted_by_doubt_with_an_interval():
    sure, doubtful = steps_of(0.01, 200, 20), steps_of(0.3, 50, 10)
    both = Steps(*(np.concatenate([getattr(part, name) for part in (sure, doubtful)]) for name in ("t", "doubt", "jumps")))
    found = jumps_by_doubt(both)
    assert found[:, :2] == pytest.approx(np.array([[0.01, 0.1], [0.3, 0.2]]))
    assert (found[:, 2] < found[:, 1]).all()
    assert (found[:, 1] < found[:, 3]).all()
    assert np.diff(found[1, 2:]) > np.diff(found[0, 2:])  # fewer steps say less
    assert len(jumps_by_doubt(steps_of(0.01, FEWEST_STEPS - 1, 0))) == 0
    assert jumps_by_doubt(steps_of(1.0, FEWEST_STEPS, FEWEST_STEPS))[0, 1] == 1


@pytest.mark.parametrize(("n_jumps", "said"), [(100, "the probabilities promise too much"), (2, "do not contradict the probabilities")])
def test_sure_steps_that_jump_are_called_what_they_are(n_jumps: int, said: str):
    shown = shown_of(case())
    volumes = replace(shown.verdict.volumes, step=steps_of(0.01, 1000, n_jumps))
    with house_style():
        (picture,) = reliability_pictures(replace(shown, verdict=replace(shown.verdict, volumes=volumes)), NOBODY_ASKED, np.arange(5))
    assert said in picture.alt


def test_second_opinions_follow_the_entry_and_name_who_is_believed_alone():
    shown = shown_of(case(), ("", "<i>", "", "", ""))
    entry = np.array([4, 3, 2, 1, UNKNOWN])
    neuron, probability, share = second_opinions(shown, asked([0.9, 0.8, 0.7, 0.1, 0.6]), entry)
    assert dict(zip(neuron.tolist(), share.tolist(), strict=True)) == {0: 0.6, 1: 0.1, 2: 0.7, 3: 0.8}
    assert probability == pytest.approx(np.full(4, 0.95))
    with house_style():
        (picture,) = reliability_pictures(shown, asked([0.9, 0.8, 0.7, 0.1, 0.6]), entry)
        assert list(reliability_pictures(shown, NOBODY_ASKED, entry)) == []
    assert "1 neuron (<i> (1)) believed at 0.9 or more, but confirmed in less than half" in picture.alt


def test_few_second_opinions_are_not_drawn_and_the_page_says_why():
    shown, entry = shown_of(case()), np.arange(5)
    few = asked([0.1] * 5, FEWEST_VOTES - 1)
    assert list(reliability_pictures(shown, few, entry)) == []
    for opinions in (few, NOBODY_ASKED):
        assert why_no_opinions(shown, opinions, entry).startswith("Second opinions are not drawn")
    assert why_no_opinions(shown, asked([0.1] * 5), entry) == ""
    with house_style():
        (picture,) = reliability_pictures(shown, asked([0.9] * 5), np.array([0, 1, 2, UNKNOWN, UNKNOWN]))
    assert "Left out: 2 neurons asked about in fewer than 10 volumes." in picture.caption


def test_the_expected_error_of_volumes_and_neurons():
    run = case(n_volumes=4)
    probability = np.where(run["detections"].t == 2, 0.5, 1.0)
    probability[run["tracks"].neuron == 3] = 0.2
    shown = shown_of(run | {"tracks": Tracks(run["tracks"].neuron, probability, 5)})
    share, half = by_volume(shown)
    assert share == pytest.approx([0.16, 0.16, (4 * 0.5 + 0.8) / 5, 0.16])
    assert half[2] == pytest.approx(1.645 * np.sqrt(4 * 0.25 + 0.16) / 5)
    assert share == pytest.approx(shown.verdict.wrong.volume)
    with house_style():
        by_time, by_neuron = error_pictures(shown)
    assert "at most 56\u00a0%, in volume 2" in by_time.alt
    assert "1 neuron (3) expected to be wrong more often than right" in by_neuron.alt


def test_without_identities_there_is_no_error_to_draw():
    run = case()
    none = np.full((0, 6), np.nan)
    traces = type(run["traces"]).of_seen(run["traces"].time_s, *(none,) * 5)
    shown = shown_of(run | {"tracks": Tracks(np.full(30, UNKNOWN), np.full(30, 0.5), 0), "traces": traces})
    assert np.isnan(by_volume(shown)[0]).all()
    assert list(error_pictures(shown)) == []
    assert list(reliability_pictures(shown, asked([]), np.zeros(0, int))) == []


def test_exchanges_are_listed_surest_first_and_escaped():
    swaps = Swaps(np.array([2, 7]), np.array([2, 9]), np.array([[0, 1], [1, 3]]), np.array([1.5, 8.25]))
    html = "".join(swaps_in_words(shown_of(case() | {"swaps": swaps}, ("", "<script>", "", "", ""))))
    assert html.index("&lt;script&gt; (1) and 3") < html.index("0 and &lt;script&gt; (1)")
    assert "<td>7 \N{EN DASH} 9</td><td>0 of 3</td>" in html  # behind the last volume of the case
    assert "<td>2</td><td>1 of 1</td><td>0.95 and 0.95</td><td>2.5 µm</td><td>1.5</td>" in html
    assert html.count('class="swatch"') == 4
    assert "believe" not in html
    assert "<script>" not in html
    assert "None: no trace goes on" in "".join(swaps_in_words(shown_of(case())))
    n = MOST_SWAPS + 3
    many = Swaps(np.arange(n), np.arange(n), np.tile([0, 1], (n, 1)), np.ones(n))
    assert "3 more" in "".join(swaps_in_words(shown_of(case() | {"swaps": many})))
