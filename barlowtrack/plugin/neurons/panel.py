"""The Neurons panel: which neurons are good, what they do, where they are."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QKeyEvent, QKeySequence, QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from barlowtrack.plugin.attached import pointing_of, session_of
from barlowtrack.plugin.background import in_background
from barlowtrack.plugin.docking import together
from barlowtrack.plugin.listening import Listening
from barlowtrack.plugin.neurons.figures import Figures, figures_of
from barlowtrack.plugin.neurons.lines import DOUBT, FLAGS, KINDS, flags_among, in_words
from barlowtrack.plugin.neurons.plot import MOST, Paint, TracePlot
from barlowtrack.plugin.neurons.searching import Search
from barlowtrack.plugin.neurons.table import NeuronTable
from barlowtrack.plugin.parts import CHANGED, shade
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution

if TYPE_CHECKING:
    import napari

NO_RUN = "No run is open.<br>Drop a run folder (NAME.barlowtrack) on the window, or open it with <i>File &gt; Open Folder</i>."
NO_CHOICE = "Choose a neuron: click it in the picture or in the table.<br>With Ctrl or Shift, several."
MOST_READ = 4
"""So many neurons are read out in words below the plot."""


@dataclass
class Liked:
    """How somebody wants traces to be drawn."""

    kind: str = "ratio"
    overlaid: bool = False


_LIKED: WeakKeyDictionary[Session, Liked] = WeakKeyDictionary()
"""By session, so that a panel that was closed comes back as it was."""


class Neurons(QWidget):
    """Table and traces of the run that is open.

    Args:
        napari_viewer: Whose session is shown.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer, self._session = napari_viewer, session_of(napari_viewer)
        self._pointing = pointing_of(napari_viewer)
        self._liked = _LIKED.setdefault(self._session, Liked())
        self._asked: Solution | None = None
        self.search, self.count, self.table = QLineEdit(), QLabel(), NeuronTable()
        self.copy, self.all = QPushButton("Copy table"), QPushButton("All")
        self.kind, self.rows, self.follow = QComboBox(), QComboBox(), QCheckBox("Follow")
        self.plot, self.hint = TracePlot(_paint_of(napari_viewer)), QLabel()
        self.pages, self.read, self.legend = QStackedWidget(), QLabel(), QLabel()
        self._dark = _paint_of(napari_viewer).dark
        self.table.dress(dark=self._dark)
        self._arrange()
        self._explain()
        self._connect()
        self._solved(self._session.solution, None)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Lies over our other panels, the first time."""
        super().showEvent(event)
        together(self)

    def _arrange(self) -> None:
        for kind, called in KINDS.items():
            self.kind.addItem(called, kind)
        self.kind.setCurrentIndex(self.kind.findData(self._liked.kind))
        for called, overlaid in (("one row each", False), ("overlaid", True)):
            self.rows.addItem(called, overlaid)
        self.rows.setCurrentIndex(self.rows.findData(self._liked.overlaid))
        self.follow.setChecked(self._pointing.following)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        for label in (self.hint, self.read, self.legend, self.count):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.RichText)
        for label in (self.read, self.legend, self.count):
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.pages.addWidget(self.hint)
        self.pages.addWidget(self.plot)
        above, below, splitter = QWidget(), QWidget(), QSplitter(Qt.Orientation.Vertical)
        _column(above, _row(self.search, self.copy), self.count, self.table)
        _column(below, _row(self.kind, self.rows, self.follow, self.all), self.pages, self.read, self.legend)
        splitter.addWidget(above)
        splitter.addWidget(below)
        splitter.setSizes([380, 460])
        splitter.setChildrenCollapsible(False)
        _column(self, splitter)
        self.setMinimumWidth(430)
        self.setMinimumHeight(420)

    def _explain(self) -> None:
        self.search.setPlaceholderText("Search: 12   AVA   probability<0.9   coverage>50%")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip(
            "Number or name, and bounds on columns: probability<0.9, coverage>50%, r>0.8, swaps>0. All must hold. "
            "Ctrl+F comes here, Down goes to the table."
        )
        self.copy.setToolTip("Copies the rows that are shown, or the chosen ones if there are several, for a spreadsheet (Ctrl+C)")
        self.kind.setToolTip(
            "ratio: green / red. dR/R0, dF/F0: change against the ground level. red, green: light, background and bleaching undone."
        )
        self.all.setToolTip("Shows the whole time again (double click in the plot)")
        self.follow.setToolTip("The picture follows the first chosen neuron as time goes (F, or double click in the table)")
        self.table.setToolTip("Enter: go where it is. F: follow it, or no longer. Esc: choose none. Ctrl+C: copy.")
        self.plot.setToolTip(
            "Click or drag: go there. Click a trace or its name: choose that neuron alone; with Ctrl, all but it. "
            "Wheel: zoom. Right button: move. Arrow keys: one volume on or back."
        )

    def _connect(self) -> None:
        listening, session = Listening(self), self._session
        listening.to(session.solved, self._solved)
        listening.to(session.moved, self._moved)
        listening.to(session.chosen_changed, self._chosen_changed)
        listening.to(self._pointing.following_changed, self._followed)
        listening.to(self._viewer.events.theme, self._repaint)
        self._listening = listening
        self.search.textChanged.connect(self._search)
        self.search.installEventFilter(self)
        self.copy.clicked.connect(self.table.copy)
        self.all.clicked.connect(self.plot.show_all)
        self.table.picked.connect(self._picked)
        self.table.wanted.connect(self._go_to)
        self.table.follow.connect(self._follow)
        self.follow.toggled.connect(lambda on: setattr(self._pointing, "following", on))
        self.kind.currentIndexChanged.connect(lambda _: self._like())
        self.rows.currentIndexChanged.connect(lambda _: self._like())
        self.plot.went.connect(session.show)
        self.plot.picked.connect(self._trace_picked)
        self.plot.installEventFilter(self)

    def keyPressEvent(self, a0: QKeyEvent | None) -> None:  # noqa: N802  (Qt's name)
        if a0 is not None and a0.matches(QKeySequence.StandardKey.Find):
            self.search.setFocus()
            self.search.selectAll()
        else:
            super().keyPressEvent(a0)

    def eventFilter(self, a0: Any, a1: Any) -> bool:  # noqa: N802  (Qt's name)
        if isinstance(a1, QKeyEvent) and a1.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(a1.key()))
            if a0 is self.plot and step is not None:
                self._session.show(self._session.t + step)
                return True
            if a0 is self.search and a1.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return):
                self.table.setFocus()
                if not self.table.selected and self.table.shown:
                    self.table.selectRow(0)
                return True
        return bool(super().eventFilter(a0, a1))

    def _solved(self, solution: Solution | None, old: Solution | None) -> None:
        self._asked = solution
        if solution is None or old is None:
            self._show_figures(Figures.none())
        if solution is not None:
            in_background(lambda: (solution, figures_of(solution)), self._figured)
        self._draw(keep=old is not None)

    def _figured(self, made: tuple[Solution, Figures]) -> None:
        solution, figures = made
        if self._listening.on and solution is self._asked:  # and no other one since
            self._show_figures(figures)

    def _show_figures(self, figures: Figures) -> None:
        self.table.show_figures(figures, self._session.chosen)
        self._say_count()

    def _search(self, text: str) -> None:
        self.table.search(Search.read(text), self._session.chosen)
        self._say_count()

    def _say_count(self) -> None:
        wrong, shown, n = Search.read(self.search.text()).wrong, self.table.found.rowCount(), len(self.table.figures.figures)
        hidden = len(set(self._session.chosen) - set(self.table.shown)) if n else 0
        said = [f"{shown} of {n} neurons" if shown != n else f"{n} neurons"]
        said += [f"{len(self._session.chosen)} chosen" + (f", {hidden} of them not in this list" if hidden else "")]
        colour = shade(CHANGED, dark=self._dark)
        self.count.setText(f"<span style='color:{colour}'>{escape(wrong)}</span>" if wrong else "; ".join(said) if n else "")

    def _picked(self, neurons: list[int]) -> None:
        stay = [neuron for neuron in self._session.chosen if neuron in neurons]
        self._session.choose([*stay, *(neuron for neuron in neurons if neuron not in stay)])

    def _trace_picked(self, neuron: int, adds: bool) -> None:
        """Chooses the neuron of a trace alone, as in the picture; with Shift or Ctrl, all but it, for it was chosen."""
        self._session.choose([other for other in self._session.chosen if other != neuron] if adds else [neuron])

    def _go_to(self, neuron: int) -> None:
        place = self._pointing.place_of(neuron)
        if place is not None:
            self._session.looked.emit(place)

    def _follow(self, neuron: int | None) -> None:
        if neuron is None:
            self._pointing.following = not self._pointing.following
            return
        self._session.choose([neuron])
        self._pointing.following = True
        self._go_to(neuron)

    def _followed(self, following: bool) -> None:
        self.follow.setChecked(following)

    def _chosen_changed(self, neurons: tuple[int, ...]) -> None:
        self.table.choose(neurons)
        self._say_count()
        self._draw(keep=True)

    def _moved(self, t: int) -> None:
        self.plot.show_t(t)
        self._read_out()

    def _like(self) -> None:
        self._liked.kind, self._liked.overlaid = self.kind.currentData(), self.rows.currentData()
        self._draw(keep=True)

    def _repaint(self, _event: Any = None) -> None:
        paint = _paint_of(self._viewer)
        self._dark = paint.dark
        self.plot.dress(paint)
        self.table.dress(dark=paint.dark)
        self._say_count()
        self._draw(keep=True)

    @property
    def _chosen(self) -> tuple[int, ...]:
        """Who is chosen, as far as they are there: where the run was just solved again, not all may be."""
        solution = self._session.solution
        return tuple(neuron for neuron in self._session.chosen if solution is not None and neuron < solution.n_neurons)

    def _draw(self, *, keep: bool) -> None:
        solution, chosen = self._session.solution, self._chosen
        empty = _what_is_missing(solution, chosen, self._liked.kind)
        self.hint.setText(empty)
        self.pages.setCurrentWidget(self.hint if empty else self.plot)
        if not empty and solution is not None:
            self.plot.show_t(self._session.t)
            self.plot.show_traces(solution, chosen, self._liked.kind, overlaid=self._liked.overlaid, keep=keep)
            self.legend.setText(_legend(solution, chosen, overlaid=self._liked.overlaid))
        self.legend.setVisible(not empty)
        self.read.setVisible(not empty)
        self._read_out()

    def _read_out(self) -> None:
        solution, chosen = self._session.solution, self._chosen
        if solution is None or solution.traces is None or not chosen:
            return
        t = min(self._session.t, solution.n_volumes - 1)
        second = float(solution.traces.time_s[t])
        said = [f"Volume {t}" + (f" ({second:.1f} s)" if np.isfinite(second) else "")]
        for neuron in chosen[:MOST_READ]:
            words = in_words(solution.traces, self._liked.kind, neuron, t)
            said += [f"<b>{escape(solution.names.text(neuron))}</b>: {escape(words)}"]
        self.read.setText("<br>".join(said))


def _what_is_missing(solution: Solution | None, chosen: tuple[int, ...], kind: str) -> str:
    """Returns what to do first, where there is nothing to draw; "" where there is."""
    if solution is None:
        return NO_RUN
    if solution.traces is None:
        return (
            "No traces yet, or they are older than the identities.<br>The Run panel makes them, and so does<br>"
            f"<code>barlowtrack run {escape(str(solution.path))}</code>"
        )
    if not chosen:
        return NO_CHOICE
    values = getattr(solution.traces, kind)[list(chosen[:MOST])]
    if not np.isfinite(values).any():
        return "There are no such values of these neurons.<br>Choose other traces above: red is there wherever a neuron was found."
    return ""


def _legend(solution: Solution, chosen: tuple[int, ...], *, overlaid: bool) -> str:
    said = ["line: seen", "dashes: between what was seen", "dots: light where it should be"]
    if overlaid:
        said.append("pale: likelier another neuron")
    else:
        traces = solution.traces
        assert traces is not None, "traces are there to be drawn"
        said.append(f"{_block(DOUBT)} perhaps another neuron")
        said += [f"{_block(FLAGS[flag][1])} {FLAGS[flag][0]}" for flag in flags_among(traces.flags[list(chosen[:MOST])])]
    if len(chosen) > MOST:
        said.insert(0, f"<b>The first {MOST} of {len(chosen)} chosen neurons are drawn</b>")
    return " · ".join(said)


def _block(colour: tuple[float, float, float]) -> str:
    red, green, blue = (round(255 * part) for part in colour)
    return f"<span style='color:rgb({red},{green},{blue})'>&#9632;</span>"


def _paint_of(viewer: napari.Viewer) -> Paint:
    from napari.utils.theme import get_theme

    theme = get_theme(viewer.theme)
    ground, text, current = (getattr(theme, name).as_hex(format="long")[:7] for name in ("background", "text", "text"))
    dark = sum(int(ground[i : i + 2], 16) for i in (1, 3, 5)) < 3 * 128
    return Paint(ground, text, current, dark)


def _row(*parts: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for part in parts:
        row.addWidget(part)
    return row


def _column(owner: QWidget, *parts: QWidget | QHBoxLayout) -> None:
    column = QVBoxLayout(owner)
    column.setContentsMargins(2, 2, 2, 2)
    column.setSpacing(4)
    for part in parts:
        if isinstance(part, QHBoxLayout):
            column.addLayout(part)
        else:
            column.addWidget(part, stretch=1 if isinstance(part, (NeuronTable, QStackedWidget, QSplitter)) else 0)
