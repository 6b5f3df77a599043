"""Rings around the chosen neurons in the volume that is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from barlowtrack.data import FloatArray
from barlowtrack.plugin.picking import Ways
from barlowtrack.plugin.roles import Role, layers_of, metadata_of
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution
from barlowtrack.plugin.world import World
from barlowtrack.showing.colours import colours_of, glow_of, ink_of

if TYPE_CHECKING:
    import napari

RING = 1.7
"""Radius of a ring, in radii of the nucleus: it shall not cover it."""
MOST = 50
"""More rings than these would hide what they mark."""
SEEN, UNSEEN = "disc", "x"
DEFAULTS = {"said": "", "shade": "#ffffff"}
_Said: TypeAlias = tuple[tuple[str, str], ...]
"""A text and a symbol for each."""


class Marks:
    """A layer of points, made when there is something to mark, and made again when somebody deleted it and chooses others."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._marked: tuple[Any, ...] = ()
        self._look: tuple[Any, ...] = ()

    def put(self, session: Session, ways: Ways, world: World) -> None:
        """Marks who is chosen, where they are in the volume that is shown.

        In a plane, a neuron that lies in another one is marked all the same, with a text that says in which: so it is found.

        Args:
            session: Who is chosen, and when.
            ways: Where they are.
            world: What the viewer shows.
        """
        solution = session.solution
        assert solution is not None, "a run is open"
        # where it was just solved again, who is chosen may be nobody any more, and the volume none, until all have heard of it
        t, there = min(session.t, solution.n_volumes - 1), [neuron for neuron in session.chosen if neuron < solution.n_neurons]
        neurons = tuple(neuron for neuron in there[:MOST] if np.isfinite(ways[neuron].place_um[t]).all())
        marked, self._marked = self._marked, (session.path, session.chosen)
        if self._layer is not None and layers_of([self._layer], Role.MARKS, session.path) != [self._layer]:
            self._take_away()  # it is of another run, with voxels of its own
        if self._layer is not None and self._layer not in self._viewer.layers:
            if marked == self._marked:
                return  # whoever deleted it does not want it for these
            self._layer = None
        if self._layer is None and not neurons:
            return
        places, said = _say(solution, t, ways, world, neurons)
        size = np.array([2 * RING * ways[neuron].radius_um for neuron in neurons])
        self._draw(session, neurons, places, size, said)

    def clear(self) -> None:
        """Marks nobody."""
        if self._layer is not None and self._layer in self._viewer.layers and len(self._layer.data):
            self._layer.data = np.zeros((0, 3))
        self._marked = self._look = ()

    def _take_away(self) -> None:
        if self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer = None

    def _draw(self, session: Session, neurons: tuple[int, ...], places: FloatArray, size: FloatArray, said: _Said) -> None:
        solution, look = session.solution, (session.path, neurons, said)
        assert solution is not None, "nobody is chosen where no run is open"
        voxel = np.asarray(solution.voxel_size_um)
        if self._layer is None:
            self._layer = self._new(session, places / voxel, size / voxel[-1], neurons, said)
        else:
            self._change(places / voxel, size / voxel[-1], neurons, said, others=look[:2] != self._look[:2])
        self._look = look

    def _change(self, data: FloatArray, size: FloatArray, neurons: tuple[int, ...], said: _Said, *, others: bool) -> None:
        """Changes what differs, and draws once: else napari does for each property that is set."""
        moved, otherwise = not np.array_equal(self._layer.data, data), others or said != self._look[2]
        if not (moved or otherwise):
            return
        with self._layer.events.blocker_all():
            if moved:
                self._layer.data = data
            if otherwise:
                self._layer.features = self._features(neurons, said)
                self._layer.feature_defaults = DEFAULTS  # else napari takes them from the last point, and has none after an empty layer
                if neurons:
                    self._layer.symbol = [symbol for _, symbol in said]
            if others and neurons:
                self._layer.size = size
                self._layer.border_color = _colours(neurons)
        self._layer.refresh()

    def _features(self, neurons: tuple[int, ...], said: _Said) -> pd.DataFrame:
        shade = ink_of if self._viewer.theme == "light" else glow_of
        texts = {"said": [text for text, _ in said], "shade": [to_hex(shade(neuron)) for neuron in neurons]}
        return pd.DataFrame(texts, dtype=object)  # texts even where there are none

    def _new(self, session: Session, data: FloatArray, size: FloatArray, neurons: tuple[int, ...], said: _Said) -> Any:
        solution = session.solution
        assert solution is not None, "nobody is chosen where no run is open"
        before = self._viewer.layers.selection.active
        layer = self._viewer.add_points(
            data,
            name="chosen",
            scale=solution.voxel_size_um,
            units=("um", "um", "um"),
            axis_labels=("z", "y", "x"),
            size=size,
            symbol=[symbol for _, symbol in said],
            face_color="transparent",
            border_color=_colours(neurons),
            border_width=0.08,
            features=self._features(neurons, said),
            text={
                "string": "{said}",
                "size": 10,
                "color": {"feature": "shade", "fallback": "white"},
                "anchor": "upper_left",
                "translation": (0, 0, float(size.max()) * 0.6),
                "blending": "translucent_no_depth",
            },
            blending="translucent_no_depth",
            metadata=metadata_of(Role.MARKS, session.path),
        )
        if before is not None:
            self._viewer.layers.selection.active = before
        return layer


def _say(solution: Solution, t: int, ways: Ways, world: World, neurons: tuple[int, ...]) -> tuple[FloatArray, _Said]:
    """Returns where marks go (n, 3), and what they say, with their symbols."""
    places = np.array([ways[neuron].place_um[t] for neuron in neurons]).reshape(-1, 3)
    texts = []
    for place, neuron in zip(places, neurons, strict=True):
        seen = bool(ways[neuron].seen[t])
        words = [solution.names.text(neuron), *([] if seen else ["not seen here"])]
        axis = world.sliced
        if axis is not None:
            step, plane = solution.voxel_size_um[axis], world.plane_um
            if abs(place[axis] - plane) > ways[neuron].radius_um + step / 2 + world.thickness_um:
                words.append(f"in plane {round(place[axis] / step)}")
            place[axis] = plane
        texts.append((", ".join(words), SEEN if seen else UNSEEN))
    return places, tuple(texts)


def _colours(neurons: tuple[int, ...]) -> FloatArray:
    return np.concatenate([colours_of(np.array(neurons)), np.ones((len(neurons), 1))], axis=1)
