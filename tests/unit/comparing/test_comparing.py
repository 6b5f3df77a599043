import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barlowtrack.comparing import compare_sides
from barlowtrack.comparing.page import headline, write_page
from barlowtrack.comparing.side import Making
from barlowtrack.data import UNKNOWN, Detections, Swaps, Tracks
from barlowtrack.errors import InputError
from tests.unit.comparing.tables import K, T, exchanged, given_up, side


def listed(compared):
    return {(move.neuron_a, move.neuron_b, move.first, move.last, move.detections) for move in compared.moved}


def test_two_runs_that_are_alike_say_that_nothing_changed():
    compared = compare_sides(side("one"), side("other"))
    assert compared.is_nothing
    assert compared.moved == compared.settings == compared.traces == compared.renamed == ()
    assert headline(compared).startswith(f"Nothing changed: {T * K} detections")
    assert np.all(compared.agreement == 1)


def test_other_numbers_are_no_change():
    compared = compare_sides(side(), side(ids=[5, 3, 8, 0, 1, 2]))
    assert compared.is_nothing
    assert compared.same == {0: 5, 1: 3, 2: 8, 3: 0, 4: 1, 5: 2}


def test_a_swap_is_listed_exactly_where_it_was_put():
    a = side(ids=[5, 3, 8, 0, 1, 2])
    compared = compare_sides(a, exchanged(side(), 3, 5, 1, 4))
    assert listed(compared) == {(3, 4, 3, 5, 3), (1, 1, 3, 5, 3)}
    assert compared.n_moved == 6
    assert np.array_equal(compared.agreement, np.where(np.isin(np.arange(T), [3, 4, 5]), (K - 2) / K, 1))
    assert {(one.neuron_a, one.neuron_b) for one in compared.traces} == {(3, 1), (1, 4)}


@settings(max_examples=40, deadline=None)
@given(
    st.permutations(range(K)),
    st.permutations(range(K)),
    st.integers(0, 4),
    st.integers(0, 2),
    st.lists(st.booleans(), min_size=T * K, max_size=T * K),
)
def test_what_moved_depends_neither_on_numbers_nor_on_which_run_comes_first(one, other, first, length, lost):
    changed = given_up(exchanged(side(), first, first + length, 0, 2), np.array(lost) & (np.arange(T * K) % 3 == 0))

    def places(a, b):
        compared = compare_sides(side(ids=list(a)), renumbered(changed, list(b)))
        return sorted((a.index(m.neuron_a), b.index(m.neuron_b) if m.neuron_b >= 0 else -1, m.first, m.last) for m in compared.moved)

    straight = range(K)
    assert places(one, other) == places(straight, straight)
    forth, back = compare_sides(side(), changed), compare_sides(changed, side())
    assert forth.n_moved == back.n_moved
    assert np.array_equal(forth.agreement, back.agreement)


def renumbered(one, ids):
    neuron = np.where(one.tracks.neuron >= 0, np.array(ids)[one.tracks.neuron], UNKNOWN)
    return replace(one, tracks=Tracks(neuron, one.tracks.probability, max(ids) + 1), traces=None, neuron_names=("",) * (max(ids) + 1))


def test_who_is_nobody_in_one_of_them_is_no_other_neuron():
    rows = (side().detections.label == 3) & (side().detections.t >= 6)
    changed = given_up(exchanged(side(), 1, 2, 0, 4), rows)
    for a, b, said in ((side(), changed, "4 in A, 0 in B"), (changed, side(), "0 in A, 4 in B")):
        compared = compare_sides(a, b)
        assert (compared.n_another, sum(compared.n_given_up), compared.n_moved) == (4, 4, 8)
        said = f"4 (7\xa0%) have a neuron in only one of the two ({said})."
        assert headline(compared).startswith(f"4 of 60 shared detections (7\xa0%) have another neuron in B. {said}")
        another, only = write_page(compared).split("<h3>Another neuron</h3>")[1].split("<h3>A neuron in only one of the two</h3>")
        assert "nobody" not in another
        assert only.split("</table>")[0].count("nobody") == 1


def test_who_is_nobody_in_one_of_them_is_listed_as_such():
    rows = (side().detections.label == 3) & (side().detections.t >= 6)
    compared = compare_sides(side(), given_up(side(), rows))
    assert listed(compared) == {(2, UNKNOWN, 6, 9, 4)}
    assert listed(compare_sides(given_up(side(), rows), side())) == {(UNKNOWN, 2, 6, 9, 4)}


def test_a_volume_in_which_all_is_well_parts_two_stretches_and_one_in_which_nothing_is_seen_does_not():
    a, b = side(), exchanged(exchanged(side(), 1, 2, 0, 1), 4, 5, 0, 1)
    assert {(m.first, m.last) for m in compare_sides(a, b).moved} == {(1, 2), (4, 5)}
    without = np.flatnonzero(a.detections.t != 3)
    gone = [replace(one, detections=one.detections.subset(without), tracks=some(one.tracks, without)) for one in (a, b)]
    assert {(m.first, m.last) for m in compare_sides(*gone).moved} == {(1, 5)}


def some(tracks, rows):
    return Tracks(tracks.neuron[rows], tracks.probability[rows], tracks.n_neurons)


def test_neurons_that_were_merged_lose_one_and_move_its_detections():
    a = side()
    b = replace(a, tracks=replace(a.tracks, neuron=np.where((a.tracks.neuron == 4) & (a.detections.t > 1), UNKNOWN, a.tracks.neuron)))
    alone = given_up(b, b.tracks.neuron == 4)
    compared = compare_sides(a, alone)
    assert [ids.tolist() for ids in compared.alone] == [[4], []]
    assert listed(compared) == {(4, UNKNOWN, 0, 9, 10)}


def test_another_segmentation_is_matched_by_place_and_what_only_one_has_is_counted():
    a = side()
    d = a.detections
    rng = np.random.default_rng(0)
    kept = np.flatnonzero(~((d.t == 7) & (d.label == 2)))
    shaken = replace(d.subset(kept), position_um=d.position_um[kept] + rng.uniform(-0.5, 0.5, (len(kept), 3)))
    extra = Detections(T, *(np.array(column) for column in ([9], [K + 1], [[0.0, 30.0, 0.0]], *([[1.0]] * 7))))
    order = np.lexsort((np.append(shaken.label, K + 1), np.append(shaken.t, 9)))
    columns = {n: np.concatenate([getattr(shaken, n), getattr(extra, n)])[order] for n in d.__dataclass_fields__ if n != "n_volumes"}
    tracks = Tracks(np.append(a.tracks.neuron[kept], UNKNOWN)[order], np.append(a.tracks.probability[kept], 0.2)[order], K)
    compared = compare_sides(a, replace(a, detections=Detections(T, **columns), tracks=tracks))
    one, other = compared.unshared
    assert one.tolist() == [0] * 7 + [1, 0, 0]
    assert other.tolist() == [0] * 9 + [1]
    assert compared.moved == ()
    assert not compared.is_nothing
    assert "1 detection only in A, 1 only in B" in headline(compared)


def test_settings_versions_and_corrections_are_said_from_a_to_b():
    old = {"track": Making(3, None, {"track": {"min_probability": 0.0}}, given={"corrections": "none"})}
    new = {"track": Making(4, None, {"track": {"min_probability": 0.5}}, given={"corrections": "2 abc"})}
    compared = compare_sides(side(stages=old), side(stages=new))
    assert compared.settings == ("track version 3 -> 4", "track.min_probability 0.0 -> 0.5", "corrections 0 -> 2")
    assert headline(compared).endswith("; what the runs were made from differs, see below.")
    seeded = [{"train": Making(1, seed, given={"start": start})} for seed, start in ((0, "a"), (1, "b"))]
    assert compare_sides(*(side(stages=stages) for stages in seeded)).settings == ("seed 0 -> 1", "another encoder to start from")


def test_names_and_certainty_count_as_change():
    named = compare_sides(side(), side(neuron_names=("AVAL", *[""] * (K - 1))))
    assert named.renamed == ((0, 0),)
    assert "1 neuron has another name" in headline(named)
    surer = side()
    surer = replace(surer, tracks=replace(surer.tracks, probability=surer.tracks.probability + 0.05))
    assert "Probabilities differ by 0.050" in headline(compare_sides(side(), surer))


def test_values_that_only_one_has_and_swaps_that_only_one_suspects_count_as_change():
    a, b = side(), side()
    b.traces.dr_over_r0[2, 4] = np.nan
    compared = compare_sides(a, b)
    assert [(one.neuron_a, one.change, one.lost, one.gained) for one in compared.traces] == [(2, 0, 1, 0)]
    assert not compared.is_nothing
    one, other = (Swaps(np.array([3]), np.array([5]), np.array([pair]), np.array([7.0])) for pair in ([1, 4], [1, 2]))
    assert "Other swaps are suspected" in headline(compare_sides(side(swaps=one), side(swaps=other)))
    ids = [1, 0, 2, 3, 4, 5]
    renumbered_swap = replace(one, neuron=np.array([[0, 4]]))
    assert compare_sides(side(swaps=one), side(ids=ids, swaps=renumbered_swap)).is_nothing
    assert not compare_sides(side(swaps=one), side(ids=ids, swaps=one)).is_nothing


def test_runs_of_another_length_are_refused():
    shorter = replace(side(), detections=replace(side().detections, n_volumes=T + 1), traces=None)
    with pytest.raises(InputError, match="as many volumes, got 10 and 11"):
        compare_sides(side(), shorter)


class _Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_says_it_all_and_shows_texts_as_texts():
    evil = "<script>alert(1)</script> & \"'"
    swaps = Swaps(np.array([3]), np.array([5]), np.array([[1, 4]]), np.array([7.5]))
    stages = [{"segment": Making(2, None, {"segment": {"model": text}})} for text in ("", evil)]
    a = side(evil, neuron_names=(evil, *[""] * (K - 1)), stages=stages[0])
    b = exchanged(side("b"), 3, 5, 0, 4, swaps=swaps, stages=stages[1], neuron_names=(*[""] * (K - 1), evil))
    tags = _Tags(write_page(compare_sides(a, b)))
    assert tags.text.count(evil) >= 6
    assert not {"script", "link", "iframe", "form"} & {tag for tag, _ in tags.tags}
    for said in ("3 \N{EN DASH} 5", "Identities that moved", "Suspected swaps", "7.5", "Nobody looked.", "estimated share of wrong"):
        assert said in tags.text
    assert all(attrs["src"].startswith("data:image/") and len(attrs["alt"]) > 20 for tag, attrs in tags.tags if tag == "img")
    assert re.search(r"default-src 'none'", write_page(compare_sides(a, b)))


def test_the_page_of_empty_runs_and_of_runs_without_traces_can_be_written():
    nothing = side("empty", detections=Detections.empty(T), tracks=Tracks(np.zeros(0, int), np.zeros(0), 0), neuron_names=(), traces=None)
    html = write_page(compare_sides(nothing, nothing))
    assert "Nothing changed: 0 detections" in html
    assert "with the same identities and probabilities. Traces are not compared: A and B have none of these tracks." in html
    assert headline(compare_sides(side(), side(traces=None))).endswith("Traces are not compared: B has none of these tracks.")
    assert "A and B have no traces" in html
    assert "A has no traces" in write_page(compare_sides(side(traces=None), side()))


def test_the_same_runs_give_the_same_bytes_and_a_page_goes_only_where_it_can(tmp_path):
    compared = compare_sides(side("one"), exchanged(side("other"), 3, 5, 1, 4))
    written = compared.write(tmp_path / "compare.html")
    again = compare_sides(side("one"), exchanged(side("other"), 3, 5, 1, 4))
    assert written.read_text() == again.html()
    assert [path.name for path in tmp_path.iterdir()] == ["compare.html"]
    with pytest.raises(InputError, match=r"ends in \.html, got \.pdf"):
        compared.write(tmp_path / "compare.pdf")
    with pytest.raises(InputError, match="existing folder"):
        compared.write(tmp_path / "nowhere" / "compare.html")
