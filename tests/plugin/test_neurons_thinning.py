"""Long traces, thinned out for the screen: the same picture of fewer points, without a window."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from barlowtrack.data import Flag
from barlowtrack.plugin.neurons.lines import FLAGS, Stroke, alone, flag_strip, pieces, shade
from barlowtrack.plugin.neurons.thinning import ThinGround, ThinLine, View, cells, thin_dots, thin_flags, thin_line, thin_shade

T, WIDE, HIGH = 18_000, 300, 90
WHOLE = View(-0.5, T - 0.5, WIDE, HIGH)


def made_up(kind):
    """Heights between 0 and 1 and how each is drawn: "walk" is whole, "torn" has gaps of all lengths, "odd" only single values."""
    rng = np.random.default_rng(3)
    y = np.cumsum(rng.normal(0, 0.02, T))
    y = (y - y.min()) / (y.max() - y.min())
    stroke = np.full(T, int(Stroke.SURE))
    if kind == "torn":
        y = np.where(rng.random(T) < 0.5, y, 1 - y)  # what a pixel's width holds lies in two places
        stroke[rng.random(T) < 0.2] = Stroke.NONE
        stroke[4000:7000] = Stroke.NONE
        stroke[9000:9010] = Stroke.NONE
        stroke[12_000:15_000] = rng.choice([Stroke.SURE, Stroke.UNSURE, Stroke.BRIDGED], 3000)
    if kind == "odd":
        stroke[::2] = Stroke.NONE
    return y, stroke


def picture(lines, span):
    """What matplotlib draws: (HIGH, WIDE) how much ink is on each pixel."""
    figure = Figure(figsize=(WIDE / 100, HIGH / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    for line in lines:
        axes.add_artist(line)
    axes.set(xlim=span, ylim=(0, 1))
    canvas.draw()
    return 1 - np.asarray(canvas.buffer_rgba())[..., 0] / 255.0


@pytest.mark.parametrize("kind", ["walk", "torn"])
@pytest.mark.parametrize("span", [(-0.5, T - 0.5), (3500, 7300), (8950, 9080)])
def test_thinned_lines_look_as_all_of_them_would(kind, span):
    y, stroke = made_up(kind)
    at, x, style = pieces(stroke, Stroke.SURE), np.arange(T, dtype=float), {"color": "black", "linewidth": 1.0}
    full = Line2D(np.where(at < 0, np.nan, x[at]), np.where(at < 0, np.nan, y[at]), **style)
    ours = ThinLine(at, x, y, style)
    expected, drawn = picture([full], span), picture([ours], span)
    assert expected.mean() > 0.01
    assert np.abs(expected - drawn).mean() < 0.03
    if kind == "torn" and span[0] == 3500:
        assert not drawn[:, 41:275].any(), "nothing was seen from 4000 to 7000"
    assert len(ours.get_xdata()) <= max(len(at) * (span[1] - span[0]) / T + 20, 12 * WIDE)


def test_the_extremes_of_every_column_are_kept():
    y, stroke = made_up("walk")
    y[1234], y[1235] = -3.0, 4.0
    x = np.arange(T, dtype=float)
    thin_x, thin_y = thin_line(pieces(stroke, Stroke.SURE), x, y, WHOLE)
    assert len(thin_x) < T / 8
    thin_y = thin_y[np.isfinite(thin_x)]
    before, after = WHOLE.column_of(x), WHOLE.column_of(thin_x[np.isfinite(thin_x)])
    for column in range(WIDE):
        inside = thin_y[after == column]
        assert (inside.min(), inside.max()) == (y[before == column].min(), y[before == column].max())


def test_whoever_comes_near_sees_every_point():
    y, stroke = made_up("torn")
    at, x, near = pieces(stroke, Stroke.SURE), np.arange(T, dtype=float), View(2000, 2100, WIDE, HIGH)
    thin_x, thin_y = thin_line(at, x, y, near)
    seen = at[(at >= 2000) & (at <= 2100)]
    inside = (thin_x >= 2000) & (thin_x <= 2100)
    np.testing.assert_array_equal(thin_x[inside], x[seen])
    np.testing.assert_array_equal(thin_y[inside], y[seen])
    assert np.isnan(thin_x).sum() >= (np.diff(seen) > 1).sum(), "a break between two pieces stays one"
    assert len(thin_x) < 2 * 104, "what is out of sight is not drawn"
    assert [len(part) for part in thin_line(np.zeros(0, np.int64), x, y, near)] == [0, 0]


def test_single_values_are_dots_one_a_pixel():
    y, stroke = made_up("odd")
    at, x = alone(stroke), np.arange(T, dtype=float)
    thin_x, thin_y = thin_dots(at, x, y, WHOLE)
    pixels = {(column, int(value * HIGH)) for column, value in zip(WHOLE.column_of(x[at]), y[at], strict=True)}
    assert len(thin_x) == len(pixels) < len(at)
    assert {(column, int(value * HIGH)) for column, value in zip(WHOLE.column_of(thin_x), thin_y, strict=True)} == pixels
    near = View(100, 140, WIDE, HIGH)
    assert np.array_equal(thin_dots(at, x, y, near)[0], x[at[(at >= 99) & (at <= 140)]])


@pytest.mark.parametrize("columns", [97, 300, 5000, 40_000])
def test_doubt_is_the_mean_of_a_cell_and_a_rare_flag_is_seen(columns):
    rng = np.random.default_rng(0)
    probability = rng.random((2, T))
    probability[:, ::7] = np.nan
    start, each = cells(T, slice(0, T), columns)
    assert len(start) <= columns
    shades = thin_shade(probability, start, each)
    by_hand = [shade(probability[:, first : first + each]).mean(axis=1) for first in start[[0, 1, -1]]]
    np.testing.assert_allclose(shades[:, [0, 1, -1]], np.stack(by_hand, axis=1), atol=1e-5)
    flags = np.zeros((1, T), np.uint8)
    flags[0, 5000], flags[0, 11_000:11_600] = Flag.SATURATED, Flag.CROWDED
    flags[0, 11_300] |= Flag.SWAPPED
    strip = thin_flags(flags, start, each)[0]
    assert tuple(strip[5000 // each, :3]) == pytest.approx(FLAGS[Flag.SATURATED][1])
    assert 0.4 <= strip[5000 // each, 3] <= 1
    assert tuple(strip[11_300 // each, :3]) == pytest.approx(FLAGS[Flag.SWAPPED][1])
    assert strip[11_500 // each, 3] > 0.5
    assert np.count_nonzero(strip[:, 3]) <= 2 + -(-600 // each) + 1
    if each == 1:
        np.testing.assert_allclose(strip, flag_strip(flags)[0])


def test_grounds_lie_behind_their_volumes_however_near_one_comes():
    figure = Figure(figsize=(WIDE / 100, HIGH / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    flags = np.zeros((1, T), np.uint8)
    flags[0, 9000:9100] = Flag.SATURATED
    axes.set(xlim=(-0.5, T - 0.5), ylim=(0, 1))
    axes.add_artist(ThinGround(axes, np.arange(T, dtype=float), flags, thin_flags, (0, 1)))
    for low, high in ((-0.5, T - 0.5), (8000, 9500), (8990, 9010), (9090, 9120)):
        axes.set_xlim(low, high)
        canvas.draw()
        red = np.flatnonzero(np.asarray(canvas.buffer_rgba())[HIGH // 2, :, 1] < 200)
        pixel = (high - low) / WIDE
        assert low + red[0] * pixel == pytest.approx(max(8999.5, low), abs=2 * pixel + 0.01)
        assert low + (red[-1] + 1) * pixel == pytest.approx(min(9099.5, high), abs=2 * pixel + 0.01)
