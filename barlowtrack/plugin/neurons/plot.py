"""A plot of traces in which the time can be seen and set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from psygnal import Signal
from qtpy.QtCore import QSize

from barlowtrack.data import FloatArray, IntArray, Traces
from barlowtrack.plugin.neurons.lines import Stroke, alone, flags_among, limits, pieces, strokes, times
from barlowtrack.plugin.neurons.thinning import ThinGround, ThinLine, thin_flags, thin_shade
from barlowtrack.plugin.solution import Solution
from barlowtrack.showing.colours import glow_of, ink_of

MOST = 8
"""More traces than these nobody can read at once."""
FEWEST_VOLUMES = 5
"""Closer than this one cannot zoom in."""
STEP = 1.25
"""By which a notch of the wheel zooms."""
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 52, 10, 8, 38
GAP = 0.1
"""Between two rows, in heights of one."""
NEAR_PX, CLICK_PX = 6, 3
"""So near a trace a click means it; so far the mouse may move in a click."""
STRIP = 0.015
"""Height of a strip of flags, as a share of the plot."""
_STYLES: dict[Stroke, dict[str, Any]] = {
    Stroke.EXPECTED: {"linestyle": ":", "linewidth": 1.1, "alpha": 0.9},
    Stroke.BRIDGED: {"linestyle": (0, (4, 2)), "linewidth": 1.0, "alpha": 0.9},
    Stroke.UNSURE: {"linestyle": "-", "linewidth": 1.0, "alpha": 0.5},
    Stroke.SURE: {"linestyle": "-", "linewidth": 1.2},
}


@dataclass(frozen=True)
class Paint:
    """Colours of the window around the plot.

    Attributes:
        ground: Behind everything.
        text: Of what is written.
        cursor: Of the line at the volume that is shown.
        dark: Whether the ground is dark.
    """

    ground: str
    text: str
    cursor: str
    dark: bool

    def of(self, neuron: int) -> tuple[float, float, float]:
        """Returns the neuron's colour, readable on this ground."""
        return glow_of(neuron) if self.dark else ink_of(neuron)


class TracePlot(FigureCanvasQTAgg):
    """Traces of some neurons over time.

    A click or a drag goes to that time, and a click on a trace or its name chooses the neuron; the wheel zooms, the right or middle button
    moves what is seen, a double click shows all.

    Signals:
        went: (t,) somebody went to a volume.
        picked: (neuron, adds) somebody clicked a trace or its name; adds: with Shift or Ctrl.
    """

    went = Signal(int)
    picked = Signal(int, bool)

    def __init__(self, paint: Paint) -> None:
        self._figure = Figure()
        super().__init__(self._figure)  # type: ignore[no-untyped-call]
        self.setMinimumHeight(120)
        self.paint_with = paint
        self._x: FloatArray = np.zeros(0)
        self._t = self._bands = 0
        self._axes = self._figure.add_subplot()
        self._cursor = self._axes.axvline(0, linewidth=1.2, animated=True)
        self._drawing: list[Artist] = []
        self._ground: Any = None
        self._held: tuple[float, float, float] | None = None  # where the picture was taken to move it, and what it showed
        self._dragging = False
        self._pressed_at: tuple[float, float] | None = None  # until it is dragged away from there
        self._drawn_y: list[tuple[int, FloatArray]] = []
        self._names: list[tuple[int, Artist]] = []
        self._dress()
        self.mpl_connect("draw_event", self._drawn)
        self.mpl_connect("resize_event", lambda _: self._fit())
        self.mpl_connect("button_press_event", self._pressed)
        self.mpl_connect("motion_notify_event", self._dragged)
        self.mpl_connect("button_release_event", self._released)
        self.mpl_connect("scroll_event", self._scrolled)

    def sizeHint(self) -> QSize:  # noqa: N802  (Qt's name)
        return QSize(420, 320)  # a figure's own would make the panel as wide as the picture

    @property
    def span(self) -> tuple[float, float]:
        """The part of the time that is seen."""
        low, high = self._axes.get_xlim()
        return float(low), float(high)

    @property
    def cursor_at(self) -> float:
        """Where the cursor stands, on the axis of time."""
        return float(np.asarray(self._cursor.get_xdata())[0])

    @property
    def lines(self) -> list[Line2D]:
        """The lines that are drawn, without the cursor."""
        return [artist for artist in self._drawing if isinstance(artist, Line2D)]

    def pixel_of(self, t: int) -> tuple[float, float]:
        """Returns where in the widget a volume of the plot is, x and y: half way up."""
        x, y = self._axes.transData.transform((self._x[t], self._bands / 2))
        return float(x) / self.device_pixel_ratio, float(self._figure.bbox.height - y) / self.device_pixel_ratio

    def neuron_at(self, x_px: float, y_px: float) -> int | None:
        """Returns whose trace, or whose name, is at a place of the figure, in its pixels; the nearest of several."""
        for neuron, name in self._names:
            if name.get_window_extent().contains(x_px, y_px):
                return neuron
        near, found = NEAR_PX * self.device_pixel_ratio, None
        for neuron, y in self._drawn_y:
            at = self._axes.transData.transform(np.column_stack([self._x, y]))
            away = _away(at[np.isfinite(y)], x_px, y_px)
            if away < near:
                near, found = away, neuron
        return found

    def pixel_of_trace(self, neuron: int, t: int) -> tuple[float, float]:
        """Returns where in the widget the trace of a neuron is at a volume, x and y."""
        y = dict(self._drawn_y)[neuron]
        x_px, y_px = self._axes.transData.transform((self._x[t], y[t]))
        return float(x_px) / self.device_pixel_ratio, float(self._figure.bbox.height - y_px) / self.device_pixel_ratio

    def dress(self, paint: Paint) -> None:
        """Takes on the colours of another theme; traces are to be drawn again."""
        self.paint_with = paint
        self._dress()

    def show_traces(self, solution: Solution, neurons: tuple[int, ...], kind: str, *, overlaid: bool, keep: bool) -> None:
        """Draws the traces of neurons.

        All rows lie in one system of axes, one above the other, each value scaled into its row: a system each takes matplotlib five times
        as long.

        Args:
            solution: With traces.
            neurons: The first MOST of them are drawn.
            kind: Which of lines.KINDS.
            overlaid: All in one row instead of one each; then without the shades and flags, which are each neuron's own.
            keep: Whether the part of the time that is seen stays.
        """
        traces = solution.traces
        assert traces is not None, "traces are there to be drawn"
        span = self.span if keep and self._bands else None
        self._x, called = times(traces)
        for artist in self._drawing:
            artist.remove()
        for kept in (self._drawing, self._drawn_y, self._names):
            kept.clear()
        shown = np.array(neurons[:MOST])
        values = np.asarray(getattr(traces, kind)[shown], np.float64)
        how = np.stack([strokes(traces, int(neuron), row) for neuron, row in zip(shown, values, strict=True)])
        sure = how == Stroke.SURE
        scales = [limits(*row) for row in zip(values, sure, strict=True)] if not overlaid else [limits(values, sure)] * len(shown)
        self._bands = 1 if overlaid else len(shown)
        if not overlaid:
            self._lay_ground(traces, shown)
        for i, neuron in enumerate(shown):
            base = 0 if overlaid else self._bands - 1 - i
            low, high = scales[i]
            y = base + GAP / 2 + (1 - GAP) * np.clip((values[i] - low) / (high - low), 0, 1)
            self._drawn_y.append((int(neuron), y))
            self._draw_one(y, how[i], int(neuron))
            place = (0.005 + (i * 0.99 / len(shown) if overlaid else 0), base + 1 - GAP)
            self._names.append((int(neuron), self._name(place, solution.names.text(int(neuron)), self.paint_with.of(int(neuron)))))
        self._mark_scales(scales[: self._bands])
        self._axes.set_xlabel(called, color=self.paint_with.text, fontsize=9)
        self._axes.set(ylim=(0, self._bands), xlim=span or self._whole())
        self._cursor.set_xdata([self._at(), self._at()])
        self.draw_idle()  # type: ignore[no-untyped-call]

    def show_t(self, t: int) -> None:
        """Moves the cursor, and the picture after it where it would leave it."""
        self._t = t
        if not self._bands:
            return
        low, high = self.span
        at = self._at()
        self._cursor.set_xdata([at, at])
        if not low <= at <= high:
            self._see(at - (high - low) / 2, at + (high - low) / 2)
        self._draw_cursor()

    def show_all(self) -> None:
        """Shows the whole time."""
        if self._bands:
            self._see(*self._whole())

    def _dress(self) -> None:
        paint, axes = self.paint_with, self._axes
        self._figure.set_facecolor(paint.ground)
        axes.set_facecolor(paint.ground)
        axes.tick_params(colors=paint.text, labelsize=8, length=3)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(paint.text)
            spine.set_alpha(0.5)
        self._cursor.set_color(paint.cursor)

    def _draw_one(self, y: FloatArray, stroke: IntArray, neuron: int) -> None:
        colour = self.paint_with.of(neuron)
        drawn = [(pieces(stroke, kind), style) for kind, style in _STYLES.items()]
        drawn.append((alone(stroke), {"linestyle": "", "marker": "o", "markersize": 2.5}))
        for at, style in drawn:
            if len(at):
                line = ThinLine(at, self._x, y, {"color": colour, "zorder": 2, **style})
                self._drawing.append(self._axes.add_artist(line))

    def _name(self, place: tuple[float, float], text: str, colour: tuple[float, float, float]) -> Artist:
        drawn = self._axes.text(*place, text, color=colour, fontsize=9, weight="bold", va="top", zorder=4)
        drawn.set_transform(self._axes.get_yaxis_transform())
        drawn.set_bbox({"facecolor": self.paint_with.ground, "edgecolor": "none", "alpha": 0.6, "pad": 0.5})
        drawn.set_parse_math(False)  # names are anybody's: a dollar sign begins no formula
        self._drawing.append(drawn)
        return drawn

    def _mark_scales(self, scales: list[tuple[float, float]]) -> None:
        """Writes a few values beside each row."""
        places, texts = [], []
        for i, (low, high) in enumerate(scales):
            ticks = np.asarray(MaxNLocator(6 if len(scales) == 1 else 2).tick_values(low, high))
            ticks = ticks[(ticks >= low) & (ticks <= high)]
            places += list(len(scales) - 1 - i + GAP / 2 + (1 - GAP) * (ticks - low) / (high - low))
            texts += [f"{tick:.4g}" for tick in ticks]
        self._axes.set_yticks(places, texts)

    def _lay_ground(self, traces: Traces, shown: IntArray) -> None:
        """Lays shades behind the traces, and strips of flags below them."""
        n = len(shown)
        probability = traces.probability[shown][::-1]
        if (probability < 1).any():
            self._lay(ThinGround(self._axes, self._x, probability, thin_shade, (0, n)), 0)
        for i, neuron in enumerate(shown):
            flags = traces.flags[neuron][None]
            if flags_among(flags):
                self._lay(ThinGround(self._axes, self._x, flags, thin_flags, (n - 1 - i, n - 1 - i + STRIP * n)), 3)

    def _lay(self, ground: ThinGround, zorder: int) -> None:
        ground.set_zorder(zorder)
        self._drawing.append(self._axes.add_artist(ground))

    @property
    def _a_volume(self) -> float:
        return float(self._x[-1] - self._x[0]) / (len(self._x) - 1) if len(self._x) > 1 else 1.0

    def _at(self) -> float:
        return float(self._x[min(self._t, len(self._x) - 1)])

    def _whole(self) -> tuple[float, float]:
        half = self._a_volume / 2
        return float(self._x[0]) - half, float(self._x[-1]) + half

    def _see(self, low: float, high: float) -> None:
        """Shows a part of the time, as far as there is such a time."""
        first, last = self._whole()
        wide = min(max(high - low, FEWEST_VOLUMES * self._a_volume), last - first)
        low = min(max((low + high - wide) / 2, first), last - wide)
        self._axes.set_xlim(low, low + wide)
        self.draw_idle()  # type: ignore[no-untyped-call]

    def _fit(self) -> None:
        """Keeps the margins, whatever the size of the panel: a layout that measures its texts would take longer than the drawing."""
        wide, high = (max(float(size), 1.0) for size in (self._figure.bbox.width, self._figure.bbox.height))
        scale = float(self._figure.dpi) / 100
        self._figure.subplots_adjust(
            left=min(LEFT_PX * scale / wide, 0.4),
            right=1 - min(RIGHT_PX * scale / wide, 0.1),
            top=1 - min(TOP_PX * scale / high, 0.1),
            bottom=min(BOTTOM_PX * scale / high, 0.5),
        )

    def _drawn(self, _event: Any) -> None:
        self._ground = self.copy_from_bbox(self._figure.bbox)  # type: ignore[no-untyped-call]
        if self._bands:
            self._axes.draw_artist(self._cursor)

    def _draw_cursor(self) -> None:
        if self._ground is not None and self.isVisible():
            self.restore_region(self._ground)  # type: ignore[no-untyped-call]
            self._axes.draw_artist(self._cursor)
            self.update()

    def _pressed(self, event: Any) -> None:
        if not self._bands or event.inaxes is None:
            return
        if event.dblclick:
            self.show_all()
        elif event.button == 1:
            self._dragging, self._pressed_at = True, (event.x, event.y)
            self._go(event.xdata)
        else:
            self._held = (event.x, *self.span)

    def _dragged(self, event: Any) -> None:
        if self._dragging:
            if self._pressed_at is not None and self._is_away(event):
                self._pressed_at = None
            if self._pressed_at is None:  # a hand that trembles as it clicks goes to no other volume
                self._go(self._time_at(event.x))
        elif self._held is not None:
            start, low, high = self._held
            by = (event.x - start) / max(self._axes.bbox.width, 1.0) * (high - low)
            self._see(low - by, high - by)

    def _released(self, event: Any) -> None:
        pressed, self._pressed_at = self._pressed_at, None
        self._dragging, self._held = False, None
        neuron = self.neuron_at(*pressed) if pressed is not None and event.button == 1 else None
        if neuron is not None:
            self.picked.emit(neuron, bool({"shift", "ctrl"} & set(event.modifiers)))

    def _is_away(self, event: Any) -> bool:
        assert self._pressed_at is not None, "the button is down"
        by = max(abs(event.x - self._pressed_at[0]), abs(event.y - self._pressed_at[1]))
        return bool(by > CLICK_PX * self.device_pixel_ratio)

    def _scrolled(self, event: Any) -> None:
        if not self._bands or event.inaxes is None:
            return
        low, high = self.span
        by = STEP ** -float(event.step)
        self._see(event.xdata - (event.xdata - low) * by, event.xdata + (high - event.xdata) * by)

    def _time_at(self, x_px: float) -> float:
        return float(self._axes.transData.inverted().transform((x_px, 0))[0])

    def _go(self, x: float) -> None:
        self.went.emit(int(np.argmin(np.abs(self._x - x))))


def _away(line: FloatArray, x: float, y: float) -> float:
    """Returns how far a place is from a line through points, in their units: (n, 2)."""
    if len(line) < 2:
        return float(np.hypot(*(line[0] - (x, y)))) if len(line) else np.inf
    start, along, to = line[:-1], np.diff(line, axis=0), np.array([x, y]) - line[:-1]
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    share = np.clip((to * along).sum(axis=1) / length, 0, 1)
    return float(np.sqrt(((start + share[:, None] * along - (x, y)) ** 2).sum(axis=1).min()))
