"""What is open, which volume is shown and who is chosen: the one thing that viewer and panels share. Knows neither."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from barlowtrack.plugin.solution import Solution
from barlowtrack.plugin.stops import Stop
from barlowtrack.plugin.telling import Signal


class Session:
    """Whoever changes something says it here; whoever shows something listens here. All of it in the thread of the window.

    Signals:
        solved: (new, old) another solution is shown; old is None where another run was opened, new None where none is open any more. All
            hear of it before anybody hears of a volume or of neurons of it.
        moved: (t,) another volume is shown.
        chosen_changed: (neurons,) others are chosen.
        looked: (place,) somebody wants to see a place of the volume that is shown: z, y, x in um.
        pointed: (row,) somebody clicked a nucleus of the volume that is shown, be it a neuron or not.
        said: () corrections.csv of the run has changed.
    """

    solved = Signal(object, object)
    moved = Signal(int)
    chosen_changed = Signal(tuple)
    looked = Signal(tuple)
    pointed = Signal(int)
    said = Signal()

    def __init__(self) -> None:
        self._solution: Solution | None = None
        self._t = self._told_t = 0
        self._chosen: tuple[int, ...] = ()
        self._told_chosen: tuple[int, ...] = ()
        self._taking = False
        self._why_none = ""

    @property
    def solution(self) -> Solution | None:
        """What is shown; None where no run is open."""
        return self._solution

    @property
    def path(self) -> Path | None:
        """The run folder that is open."""
        return None if self._solution is None else self._solution.path

    @property
    def t(self) -> int:
        """The volume that is shown."""
        return self._t

    @property
    def chosen(self) -> tuple[int, ...]:
        """Neurons, in the order in which they were chosen."""
        return self._chosen

    @property
    def why_none(self) -> str:
        """Why the run that somebody wanted to open is not shown; "" where none was wanted, or one is open."""
        return self._why_none

    def take(self, solution: Solution | None, why_none: str = "") -> None:
        """Shows a solution: of another run, or of the same one solved again; then who was chosen stays so as far as they are there.

        Args:
            solution: None: no run is open any more.
            why_none: Why there is none.
        """
        old, self._solution = self._solution, solution
        same = old is not None and solution is not None and old.path == solution.path
        self._why_none = why_none if solution is None else ""
        self._t = self._within(self._t) if solution is not None else self._t
        known = solution.n_neurons if solution is not None and same else 0
        self._chosen = tuple(neuron for neuron in self._chosen if neuron < known)
        self._taking = True
        try:
            self.solved.emit(solution, old if same else None)
        finally:
            self._taking = False
        self._say_where()

    def show(self, t: int) -> None:
        """Goes to a volume; to the nearest one where there is none of that number."""
        self._t = self._within(t)
        self._say_where()

    def choose(self, neurons: Iterable[int], *, add: bool = False) -> None:
        """Chooses neurons; those that were chosen stay so, where add is said."""
        self._chosen = tuple(dict.fromkeys([*(self._chosen if add else ()), *(int(neuron) for neuron in neurons)]))
        self._say_where()

    def _within(self, t: int) -> int:
        last = max(0, self._solution.n_volumes - 1) if self._solution is not None else 0
        return min(max(int(t), 0), last)

    def _say_where(self) -> None:
        """Says which volume is shown and who is chosen, where that is new, and once all know of which solution."""
        if not self._taking and self._t != self._told_t:
            self._told_t = self._t
            self.moved.emit(self._t)
        if not self._taking and self._chosen != self._told_chosen:
            self._told_chosen = self._chosen
            self.chosen_changed.emit(self._chosen)

    def look(self, stop: Stop) -> None:
        """Goes where somebody should look: shows the volume, chooses the neurons, and has the place moved into sight."""
        self.show(stop.t)
        self.choose(stop.neurons)
        if stop.position_um is not None:
            self.looked.emit(stop.position_um)

    def point(self, row: int) -> None:
        """Says which nucleus somebody clicked; whoever it is, is chosen beside."""
        self.pointed.emit(int(row))

    def tell(self) -> None:
        """Says that corrections.csv has changed."""
        self.said.emit()
