"""The part of the page about activity, and the map of coverage: who does the same, and where values come from."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barlowtrack.data import Flag, Source, Swaps, Traces
from barlowtrack.showing.names import Names
from barlowtrack.stages.report.activity import activity_part
from barlowtrack.stages.report.clusters import FEWEST_COMMON, clusters, correlations
from barlowtrack.stages.report.correlated import by_distance, correlation_pictures, distances_um
from barlowtrack.stages.report.coverage import coverage_map
from barlowtrack.stages.report.drawing import house_style
from barlowtrack.stages.report.heatmap import trace_heatmap
from barlowtrack.stages.report.made import neurons_part
from barlowtrack.stages.report.shown import activity_of
from barlowtrack.stages.report.sources import source_image, source_patches
from barlowtrack.stages.report.traced import single_traces
from tests.unit.stages.test_report import case, shown_of


def with_sources(run: dict) -> dict:
    """Neuron 0 predicted in volume 1, neuron 1 interpolated in volume 2, neuron 2 gone in volume 3."""
    traces = run["traces"]
    source, columns = traces.source.copy(), {}
    source[0, 1], source[1, 2], source[2, 3] = Source.PREDICTED, Source.INTERPOLATED, Source.NONE
    for name in ("red", "green", "ratio", "dr_over_r0", "probability"):
        columns[name] = getattr(traces, name).copy()
        columns[name][2, 3] = np.nan
    return run | {"traces": replace(traces, source=source, **columns)}


def test_correlations_are_those_of_the_columns_that_two_rows_share():
    rng = np.random.default_rng(0)
    values = 1e4 + rng.normal(size=(5, 60))  # a large mean must not cancel the digits
    values[rng.random(values.shape) < 0.3] = np.nan
    found = correlations(values)
    for a in range(5):
        for b in range(5):
            both = np.isfinite(values[a]) & np.isfinite(values[b])
            assert found[a, b] == pytest.approx(np.corrcoef(values[a, both], values[b, both])[0, 1], abs=1e-9)


def test_rows_that_hardly_meet_or_never_change_correlate_with_nobody():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(4, 40))
    values[1, FEWEST_COMMON - 1 :] = np.nan
    values[2] = 3.0
    found = correlations(values)
    assert np.isnan(found[[0, 0, 1, 2], [1, 2, 2, 2]]).all()
    assert np.isfinite(found[0, 3])
    assert correlations(np.zeros((0, 5))).shape == (0, 0)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.floats(0.1, 100), st.floats(-1e3, 1e3))
def test_scale_and_offset_of_a_trace_change_no_correlation(seed, scale, offset):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(3, 30))
    changed = values * np.array([[scale], [1], [1]]) + np.array([[offset], [0], [0]])
    np.testing.assert_allclose(correlations(values), correlations(changed), atol=1e-6)


def two_groups(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    wave, group = rng.normal(size=(2, 80)), rng.permutation(np.arange(n) % 2)
    return wave[group] + 0.3 * rng.normal(size=(n, 80)), group


def test_neurons_that_do_the_same_lie_together_and_are_one_group():
    values, group = two_groups()
    found = clusters(correlations(values))
    assert sorted(found.order) == list(range(12))
    assert found.order[0] < found.order[-1]
    assert [len(set(group[found.order[a:b]])) for a, b in found.stretches()] == [1, 1]
    assert found.stretches() == [(0, 6), (6, 12)]


def test_who_is_beside_whom_does_not_hang_on_the_numbers():
    values, _ = two_groups()
    permuted = np.random.default_rng(3).permutation(12)
    ours, theirs = clusters(correlations(values)).order, permuted[clusters(correlations(values[permuted])).order]
    assert list(ours) in (list(theirs), list(theirs[::-1]))


def test_neurons_that_cannot_be_compared_stay_in_their_order():
    alone = clusters(np.full((2, 2), np.nan))
    assert alone.order.tolist() == [0, 1]
    assert alone.stretches() == []
    assert clusters(np.full((5, 5), np.nan)).stretches() == []
    assert len(clusters(np.zeros((0, 0))).order) == 0


def test_the_heatmap_says_what_it_tints():
    run = with_sources(case(n_volumes=20))
    shown = shown_of(run)
    found = clusters(correlations(run["traces"].dr_over_r0))
    values, what = activity_of(run["traces"])
    assert what == "dR/R0"
    with house_style():
        tinted = trace_heatmap(values, run["traces"].source, found, shown.time, what, "abcde")
        plain = trace_heatmap(values, np.full((5, 20), Source.SEEN), found, shown.time, what, "abcde")
    assert "Tinted green" in tinted.caption
    assert "Tinted green" not in plain.caption
    assert tinted.source != plain.source


def test_without_a_signal_red_stands_in_and_says_so():
    run = case(n_volumes=12, n_channels=1)
    values, what = activity_of(run["traces"])
    assert what == "red / its median"
    assert np.nanmedian(values) == 1
    with house_style():
        html = activity_part(shown_of(run), 2)
    assert "There is no signal channel, so there is no activity to show" in html
    assert not re.search("R0|ratio", re.sub('src="[^"]*"', "", html), re.IGNORECASE)


def test_where_hardly_anybody_has_an_r0_the_ratio_stands_in_and_says_so():
    run = case(n_volumes=12)
    few = np.full_like(run["traces"].dr_over_r0, np.nan)
    few[0, 0] = 0.5
    run["traces"] = replace(run["traces"], dr_over_r0=few)
    values, what = activity_of(run["traces"])
    assert what == "ratio / its median"
    assert np.nanmedian(values) == pytest.approx(1, rel=0.01)
    with house_style():
        html = activity_part(shown_of(run), 2)
    assert "Hardly any neuron has an R0 to divide by" in html
    assert "The 2 most certain neurons" in html


def test_neurons_without_a_value_do_not_take_a_place_among_the_traces():
    run = case(n_volumes=12)
    dark = run["traces"].dr_over_r0.copy()
    first = int(shown_of(run).neurons[0])
    dark[first] = np.nan
    html = activity_words(run | {"traces": replace(run["traces"], dr_over_r0=dark)})
    assert f"Left out: 1 neuron that has no dR/R0 anywhere ({first})." in html
    assert f"Traces (dR/R0) of neurons {shown_of(run).neurons[1]}, each" in html
    assert "Left out" not in activity_words(run)


def test_correlations_that_are_left_out_say_why():
    assert "no two neurons have values in 10 common volumes" in activity_words(case(n_volumes=9))
    assert "common volumes or more" not in activity_words(case(n_volumes=12))


def test_values_that_are_all_alike_have_a_scale_of_ordinary_size():
    run = case(n_volumes=12)
    shown = shown_of(run)
    flat = np.full((5, 12), 0.25)
    with house_style():
        picture = trace_heatmap(flat, run["traces"].source, shown.alike, shown.time, "dR/R0", "abcde")
    assert "between -0.25 and 0.75" in picture.alt


def test_the_table_of_neurons_has_row_and_group_of_the_heatmap():
    values, group = two_groups()
    run = case(n_volumes=80, n_neurons=12)
    shown = shown_of(run | {"traces": replace(run["traces"], dr_over_r0=values)})
    rows = re.findall(r"</span>(\d+)</td>(?:<td>[^<]*</td>){3}<td>(\d+)</td><td>(\d+)</td>", neurons_part(shown))
    found = {int(neuron): (int(row), int(its)) for neuron, row, its in rows}
    assert sorted(row for row, _ in found.values()) == list(range(1, 13))
    assert [found[int(neuron)][0] for neuron in shown.rows[shown.alike.order]] == list(range(1, 13))
    for its in (1, 2):
        assert len({group[neuron] for neuron, (_, one) in found.items() if one == its}) == 1


def test_shares_of_what_was_not_seen_are_in_words():
    with house_style():
        html = activity_part(shown_of(with_sources(case(n_volumes=20))), 1)
    assert "1\u00a0% of all values were read where the neuron should be, but nobody was found." in html
    assert "1\u00a0% of all values are interpolated." in html
    assert "interpolated." not in activity_words(case())


def activity_words(run: dict) -> str:
    with house_style():
        return activity_part(shown_of(run), 1)


def test_sources_have_their_colours_and_blocks_show_what_most_are():
    probability = np.array([[0.9, 0.9, np.nan, 0.5, 0.5, 0.5]])
    source = np.array([[Source.SEEN, Source.SEEN, Source.NONE, Source.PREDICTED, Source.INTERPOLATED, Source.SEEN]])
    image = source_image(probability, source)
    assert image.shape == (1, 6, 3)
    assert len({tuple(np.round(colour, 3)) for colour in image[0, [0, 2, 3, 4, 5]]}) == 5
    np.testing.assert_array_equal(image[0, 0], image[0, 1])
    assert [patch.get_label() for patch in source_patches(source)] == ["predicted", "interpolated", "none"]
    long = np.full((1, 3000), Source.PREDICTED)
    long[0, ::3] = Source.NONE
    assert source_image(np.full((1, 3000), 0.5), long).shape == (1, 1500, 3)


def test_the_map_of_coverage_counts_every_source():
    run = with_sources(case(n_volumes=20))
    with house_style():
        picture = coverage_map(run["traces"], np.arange(5), shown_of(run).time, Names([""] * 5))
    assert "97\u00a0% seen, 1\u00a0% predicted, 1\u00a0% interpolated, 1\u00a0% nothing" in picture.caption
    assert "5 of 5 neurons were seen in at least 95 %" in picture.alt
    with house_style():
        assert "predicted" not in coverage_map(case()["traces"], np.arange(5), shown_of(case()).time, Names([""] * 5)).caption


def test_single_traces_say_what_is_exchanged_and_guessed_and_show_flags():
    run = with_sources(case(n_volumes=20))
    swaps = Swaps(np.array([4]), np.array([9]), np.array([[1, 3]]), np.array([5.0]))
    flags = run["traces"].flags.copy()
    plain = shown_of(run, ("AVAL", "", "", "<b>", ""))
    flagged = flags.copy()
    flagged[2, 3] = Flag.EDGE | Flag.SWAPPED
    marked = replace(plain, swaps=swaps, traces=replace(run["traces"], flags=flagged))
    values, what = activity_of(run["traces"])
    with house_style():
        (before,) = single_traces(plain, np.arange(5), values, what)
        (after,) = single_traces(marked, np.arange(5), values, what)
    assert "of neurons AVAL (0), 1, 2, <b> (3), 4, each with its probability over time; 2 values predicted or interpolated." in before.alt
    assert after.alt.endswith("perhaps exchanged with another for a while: 1, <b> (3).")
    assert before.source != after.source


def test_a_trace_of_one_volume_and_one_without_a_number_are_drawn():
    for run in (case(n_volumes=1), case(n_volumes=1, n_neurons=1)):
        nan = np.full(run["traces"].red.shape, np.nan)
        empty = Traces.of_seen(run["traces"].time_s, nan, nan, nan, nan, nan)
        with house_style():
            assert len(list(single_traces(shown_of(run | {"traces": empty}), np.array([0]), nan, "dR/R0"))) == 1


def test_distances_between_neurons_and_classes_of_them():
    run = case(n_volumes=30)
    apart = distances_um(run["detections"], run["tracks"], np.array([0, 2, 3]))
    np.testing.assert_allclose(apart, np.abs(np.subtract.outer([0, 2, 3], [0, 2, 3])) * 2.5)  # 1.5 um down, 2 um right, each
    far = np.arange(100.0)
    classes = by_distance(far, np.where(far < 50, 0.8, 0.1))
    assert len(classes) == 5
    assert classes[0].tolist() == pytest.approx([9.5, 0.8, 0.8, 0.8])
    assert classes[-1, 2] == pytest.approx(0.1)
    assert by_distance(np.zeros(3), np.zeros(3)).shape == (0, 4)


def test_correlations_are_shown_only_where_there_are_any():
    few, more = case(n_volumes=FEWEST_COMMON - 1), case(n_volumes=FEWEST_COMMON + 2)
    for run, n in ((few, 0), (more, 1)):  # ten pairs are too few for a curve over distance
        found = correlations(run["traces"].dr_over_r0)
        with house_style():
            assert len(list(correlation_pictures(shown_of(run), np.arange(5), found, clusters(found)))) == n


def test_names_show_in_texts_and_only_plain_ones_in_figures():
    names = Names(("", "AVAL", "$x$", "a name with blanks", "日本"))
    assert names.listed(range(5)) == "0, AVAL (1), $x$ (2), a name with blanks (3), 日本 (4)"
    assert [names.short(k) for k in range(5)] == ["0", "AVAL", "2", "3", "4"]
