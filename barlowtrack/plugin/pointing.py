"""Viewer and session follow each other: the volume that is shown, clicks on nuclei, marks around who is chosen, the camera."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from barlowtrack.data import UNKNOWN, FloatArray
from barlowtrack.plugin.marks import Marks, Spot
from barlowtrack.plugin.picking import SMALLEST_UM, Ways, hit_by_ray, hit_in_plane, radii_um
from barlowtrack.plugin.roles import Role, layers_of
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution
from barlowtrack.plugin.world import World

if TYPE_CHECKING:
    import napari

CLICK_PX = 4
"""A press that moves farther than this on the screen is a drag."""
LEAST_PX = 4
"""So near to the centre of a nucleus is a hit, however small it is drawn."""
LEFT = 1
THERE_UM = 1.0
"""So near to a place that somebody asks about lies the nucleus that is meant."""


class Pointing:
    """Binds a session to the viewer that shows its run; does nothing while the viewer shows no layer of it.

    Lives as long as the viewer, which holds it.

    Attributes:
        overview: The next place that is to be seen moves the plane only: a run that was just opened is seen whole first.

    Signals:
        following_changed: (following,) the camera follows the first chosen neuron, or does so no longer.
    """

    following_changed = Signal(bool)

    def __init__(self, viewer: napari.Viewer, session: Session) -> None:
        self._viewer, self._session = viewer, session
        self._world = World(viewer)
        self._marks = Marks(viewer)
        self._ways: Ways | None = None
        self._spot: Spot | None = None
        self.overview = False
        self._shown = self._following = self._settling = False
        viewer.dims.events.point.connect(self._viewer_moved, position="last")
        for event in (viewer.dims.events.ndisplay, viewer.dims.events.order):
            event.connect(self._turned, position="last")
        viewer.layers.events.inserted.connect(self._inserted, position="last")
        viewer.layers.events.removed.connect(self._layers_changed, position="last")
        viewer.mouse_drag_callbacks.append(self._pressed)
        session.solved.connect(self._solved)
        session.moved.connect(self._session_moved)
        session.chosen_changed.connect(self._chosen_changed)
        session.looked.connect(self._looked)
        session.pointed.connect(self._pointed)
        self._solved(session.solution, None)

    @property
    def following(self) -> bool:
        """Whether the camera follows the first chosen neuron as time goes."""
        return self._following

    @following.setter
    def following(self, following: bool) -> None:
        if following != self._following:
            self._following = following
            self.following_changed.emit(following)
            self._follow()

    def place_of(self, neuron: int) -> tuple[float, float, float] | None:
        """Returns where a neuron is in the volume that is shown, z, y, x in um, found or not; None where it never was found."""
        solution = self._session.solution
        if solution is None or self._ways is None or not 0 <= neuron < solution.n_neurons:
            return None
        z, y, x = (float(part) for part in self._ways[neuron].place_um[min(self._session.t, solution.n_volumes - 1)])
        return (z, y, x) if np.isfinite([z, y, x]).all() else None

    def look(self, place: tuple[float, float, float]) -> None:
        """Moves plane and camera to a place of the volume that is shown: z, y, x in um."""
        if self._shown:
            self._world.look(place)

    def _looked(self, place: tuple[float, float, float]) -> None:
        """Goes to see a place, near enough, and marks what lies there where no neuron is meant."""
        solution = self._session.solution
        if solution is None or not self._shown:
            return
        row = solution.nearest(self._session.t, place, THERE_UM)
        self._spot = None
        if not self._session.chosen and row is None:
            self._spot = Spot(self._session.t, place, SMALLEST_UM, "")
        elif row is not None and solution.tracks.neuron[row] == UNKNOWN:
            self._spot = _spot_of(solution, row)  # also where somebody is chosen: who it was before, and is no more
        volumes = solution.detections.volume_um3[solution.detections.rows_of(self._session.t) if row is None else [row]]
        overview, self.overview = self.overview, False
        if len(volumes) and not overview:
            self._world.come_near(float(np.median(radii_um(volumes))))
        self._world.look(place, centre=not overview)
        self._mark()

    def _pointed(self, row: int) -> None:
        """Marks a nucleus that is no neuron."""
        solution = self._session.solution
        if solution is not None:
            self._spot = _spot_of(solution, row) if solution.tracks.neuron[row] == UNKNOWN else None
            self._mark()

    def _solved(self, solution: Any, old: Any) -> None:
        self._spot = None
        self._ways = None if solution is None else Ways(solution)
        if old is None:
            self._shown = False  # of another run: whoever brings its layers says which volume is shown
        self._layers_changed()
        self._mark()

    def _layers_changed(self, _event: Any = None) -> None:
        """Begins to couple where the first layer of the run appears, and ends where the last goes."""
        run = self._session.path
        shown = run is not None and any(layers_of(self._viewer.layers, role, run) for role in Role if role is not Role.MARKS)
        before, self._shown = self._shown, shown
        if shown and not before:
            self._viewer_moved()
        if shown != before:  # not for every layer: marks are one, too
            self._mark()

    def _inserted(self, event: Any) -> None:
        if layers_of([event.value], Role.NEURONS):
            event.value.events.visible.connect(self._turned)  # marks say what its dots do not
        self._layers_changed()

    def _viewer_moved(self, _event: Any = None) -> None:
        t = self._world.t if self._shown else None
        if t is None or self._settling:
            return
        self._settling = True  # the viewer may stand where the run has no volume: it stays there
        try:
            self._session.show(t)
        finally:
            self._settling = False
        self._mark()

    def _session_moved(self, t: int) -> None:
        if self._settling:
            self._follow()  # the viewer moved, and marks when all is settled
            return
        self._settling = True
        try:
            if self._shown:
                self._world.go_to(t)
            self._follow()
        finally:
            self._settling = False
        self._mark()

    def _chosen_changed(self, neurons: tuple[int, ...]) -> None:
        if neurons:
            self._spot = None
        self._follow()
        self._mark()

    def _turned(self, _event: Any = None) -> None:
        self._mark()

    def _follow(self) -> None:
        if self._following and self._session.chosen:
            place = self.place_of(self._session.chosen[0])
            if place is not None:
                self.look(place)

    def _mark(self) -> None:
        if self._shown and self._ways is not None:
            self._marks.put(self._session, self._ways, self._world, self._spot)
        else:
            self._marks.clear()

    def _pressed(self, _viewer: Any, event: Any) -> Iterator[None]:
        """Waits whether a press becomes a click."""
        if not self._shown or event.button != LEFT or "Alt" in event.modifiers or not self._world.can_be_pointed_at:
            return
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            if np.abs(np.array(event.pos) - start).max() > CLICK_PX:
                return
            yield
        if not event.handled:
            adds = any(key in event.modifiers for key in ("Shift", "Control"))
            self._clicked(np.array(event.position, float), event.view_direction, adds=adds)

    def _clicked(self, position: FloatArray, direction: FloatArray | None, *, adds: bool) -> None:
        solution = self._session.solution
        if solution is None:
            return
        row = self._row_at(solution, position, direction)
        if row is not None:
            self._session.point(row)
            self._choose(int(solution.tracks.neuron[row]), adds=adds)

    def _choose(self, neuron: int, *, adds: bool) -> None:
        if neuron == UNKNOWN:
            if not adds:
                self._session.choose(())
            self._viewer.status = "This nucleus is none of the neurons."
        elif adds and neuron in self._session.chosen:
            self._session.choose(other for other in self._session.chosen if other != neuron)
        else:
            self._session.choose([neuron], add=adds)

    def _row_at(self, solution: Solution, position: FloatArray, direction: FloatArray | None) -> int | None:
        """Returns the row of the detection that a click is on."""
        world = self._world
        part = solution.detections.rows_of(self._session.t)
        places = np.asarray(solution.detections.position_um[part], np.float64)
        radii = radii_um(solution.detections.volume_um3[part]) + min(solution.voxel_size_um) / 2
        at, least = world.um_of(position), LEAST_PX * world.um_a_pixel
        if world.sliced is None:
            hit = None if direction is None else hit_by_ray(places, radii, at, np.asarray(direction)[-3:], least_um=least)
        else:
            slack = solution.voxel_size_um[world.sliced] / 2 + world.thickness_um
            hit = hit_in_plane(places, radii, at, axis=world.sliced, slack_um=slack, least_um=least)
        return None if hit is None else part.start + hit


def _spot_of(solution: Solution, row: int) -> Spot:
    """Returns where the nucleus of a row is, which is no neuron."""
    detections = solution.detections
    z, y, x = (float(part) for part in detections.position_um[row])
    radius = float(radii_um(detections.volume_um3[[row]])[0])
    return Spot(int(detections.t[row]), (z, y, x), radius, f"nucleus {detections.label[row]}")
