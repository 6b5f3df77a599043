"""Rings around the chosen neurons, and around a nucleus that is none, in the volume that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from barlowtrack.data import FloatArray
from barlowtrack.plugin.picking import Ways
from barlowtrack.plugin.roles import Role, layers_of, metadata_of
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.slicing import slice_now
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
NOBODY = (1.0, 1.0, 1.0, 1.0)
"""Colour of the ring around a nucleus that is no neuron."""


@dataclass(frozen=True)
class Spot:
    """A place that somebody asks about, or points at, where no neuron is.

    Attributes:
        t: Volume.
        place_um: z, y, x.
        radius_um: Of what lies there.
        said: What is written beside it.
    """

    t: int
    place_um: tuple[float, float, float]
    radius_um: float
    said: str


@dataclass(frozen=True, eq=False)
class Rings:
    """What is drawn: n rings, those of neurons first.

    Attributes:
        who: Whose they are, and the spot: so that it is seen when they are others.
        place_um: (n, 3) z, y, x.
        radius_um: (n,) of the nuclei.
        colour: (n, 4).
        shade: Colour of each text.
        said: A text and a symbol for each.
    """

    who: tuple[Any, ...]
    place_um: FloatArray
    radius_um: FloatArray
    colour: FloatArray
    shade: tuple[str, ...]
    said: tuple[tuple[str, str], ...]


class Marks:
    """A layer of points, made when there is something to mark, and made again when somebody deleted it and chooses others.

    Rings that are too many are not shown: the layer never becomes shorter, see Dots.filled_up.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._marked: tuple[Any, ...] = ()
        self._look: tuple[Any, ...] = ()
        self._late: tuple[Session, Ways, World, Spot | None] | None = None

    def put(self, session: Session, ways: Ways, world: World, spot: Spot | None = None) -> None:
        """Marks who is chosen, where they are in the volume that is shown.

        In a plane, a neuron that lies in another one is marked all the same, with a text that says in which: so it is found.

        Args:
            session: Who is chosen, and when.
            ways: Where they are.
            world: What the viewer shows.
            spot: Marked, too, in its volume.
        """
        solution = session.solution
        assert solution is not None, "a run is open"
        if self._layer is not None and not self._layer.loaded and self._layer in self._viewer.layers:
            self._late = (session, ways, world, spot)  # rings of one volume on the image of another would be lies
            return
        self._late = None
        # where it was just solved again, who is chosen may be nobody any more, and the volume none, until all have heard of it
        t, there = min(session.t, solution.n_volumes - 1), [neuron for neuron in session.chosen if neuron < solution.n_neurons]
        neurons = tuple(neuron for neuron in there[:MOST] if np.isfinite(ways[neuron].place_um[t]).all())
        spot = spot if spot is not None and spot.t == t else None
        marked, self._marked = self._marked, (session.path, session.chosen, spot)
        if self._layer is not None and layers_of([self._layer], Role.MARKS, session.path) != [self._layer]:
            self._take_away()  # it is of another run, with voxels of its own
        if self._layer is not None and self._layer not in self._viewer.layers:
            if marked == self._marked:
                return  # whoever deleted it does not want it for these
            self._layer = None
        if self._layer is None and not neurons and spot is None:
            return
        self._draw(session, self._rings(solution, t, ways, world, neurons, spot))

    def clear(self) -> None:
        """Marks nobody."""
        self._late = None
        if self._layer is not None and self._layer in self._viewer.layers and self._layer.shown.any():
            self._layer.shown = np.zeros(len(self._layer.data), bool)
        self._marked = self._look = ()

    def _take_away(self) -> None:
        if self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer = None

    def _rings(self, solution: Solution, t: int, ways: Ways, world: World, neurons: tuple[int, ...], spot: Spot | None) -> Rings:
        shade = ink_of if self._viewer.theme == "light" else glow_of
        names = _named_by_dots(self._viewer, solution)
        found = [
            _Ring(ways[neuron].place_um[t], ways[neuron].radius_um, solution.names.text(neuron), bool(ways[neuron].seen[t]))
            for neuron in neurons
        ]
        colour, shades = _colours(neurons), [to_hex(shade(neuron)) for neuron in neurons]
        if spot is not None:
            found.append(_Ring(np.array(spot.place_um), spot.radius_um, spot.said, seen=True))
            colour, shades = np.concatenate([colour, [NOBODY]]), [*shades, "#808080" if self._viewer.theme == "light" else "#ffffff"]
        named = [names and k < len(neurons) for k in range(len(found))]
        drawn = [_say(solution, ring, world, named=by) for ring, by in zip(found, named, strict=True)]
        places = np.array([place for place, _, _ in drawn]).reshape(-1, 3)
        radii = np.array([ring.radius_um for ring in found])
        return Rings((neurons, spot), places, radii, colour, tuple(shades), tuple((text, symbol) for _, text, symbol in drawn))

    def _draw(self, session: Session, rings: Rings) -> None:
        solution, look = session.solution, (session.path, rings.who, rings.shade, rings.said)
        assert solution is not None, "nobody is chosen where no run is open"
        voxel = np.asarray(solution.voxel_size_um)
        data, size = rings.place_um / voxel, 2 * RING * rings.radius_um / voxel[-1]
        if self._layer is None:
            self._layer = self._new(session, rings, data, size)
        else:
            self._change(rings, data, size, others=look[:2] != self._look[:2], otherwise=look != self._look)
        self._look = look

    def _change(self, rings: Rings, data: FloatArray, size: FloatArray, *, others: bool, otherwise: bool) -> None:
        """Changes what differs, and draws once: else napari does for each property that is set."""
        layer, n = self._layer, len(data)
        more = max(0, len(layer.data) - n)
        data = np.concatenate([data, layer.data[n:]])
        moved = not np.array_equal(layer.data, data)
        if not (moved or otherwise):
            return
        with layer.events.blocker_all():
            if moved:
                layer.data = data
            if otherwise:
                layer.features = _features(rings, more)
                layer.feature_defaults = DEFAULTS  # else napari takes them from the last point
                layer.symbol = [*(symbol for _, symbol in rings.said), *[SEEN] * more]
                layer.shown = np.arange(n + more) < n
            if others:
                layer.size = np.concatenate([size, np.ones(more)])
                layer.border_color = np.concatenate([rings.colour, np.ones((more, 4))])
        slice_now(self._viewer, layer)

    def _came(self, _event: Any = None) -> None:
        """Draws what was to be marked while the slices of another volume were on their way."""
        late = self._late
        if late is not None and self._layer is not None and self._layer.loaded:
            self._late = None
            self.put(*late)

    def _new(self, session: Session, rings: Rings, data: FloatArray, size: FloatArray) -> Any:
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
            symbol=[symbol for _, symbol in rings.said],
            face_color="transparent",
            border_color=rings.colour,
            border_width=0.08,
            features=_features(rings, 0),
            feature_defaults=DEFAULTS,
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
        layer.events.set_data.connect(self._came)
        if before is not None:
            self._viewer.layers.selection.active = before
        return layer


@dataclass(frozen=True, eq=False)
class _Ring:
    place_um: FloatArray
    radius_um: float
    name: str
    seen: bool


def _features(rings: Rings, more: int) -> pd.DataFrame:
    texts = {"said": [*(text for text, _ in rings.said), *[""] * more], "shade": [*rings.shade, *["#ffffff"] * more]}
    return pd.DataFrame(texts, dtype=object)  # texts even where there are none


def _named_by_dots(viewer: napari.Viewer, solution: Solution) -> bool:
    """Says whether the dots of the nuclei have their names beside them."""
    return any(layer.visible and layer.text.visible for layer in layers_of(viewer.layers, Role.NEURONS, solution.path))


def _say(solution: Solution, ring: _Ring, world: World, *, named: bool) -> tuple[FloatArray, str, str]:
    """Returns where a ring goes, and what it says, with its symbol; `named`: what is seen in this plane has its name there already."""
    place, words = np.array(ring.place_um, np.float64), [] if ring.seen else ["not seen here"]
    axis, dotted = world.sliced, named and ring.seen
    if axis is not None:
        step, away = solution.voxel_size_um[axis], abs(place[axis] - world.plane_um)
        if away > ring.radius_um + step / 2 + world.thickness_um:
            words.append(f"in plane {round(place[axis] / step)}")
        dotted = dotted and away <= world.thickness_um
        place[axis] = world.plane_um
    return place, ", ".join([*([] if dotted else [ring.name]), *words]), SEEN if ring.seen else UNSEEN


def _colours(neurons: tuple[int, ...]) -> FloatArray:
    return np.concatenate([colours_of(np.array(neurons, np.int64)), np.ones((len(neurons), 1))], axis=1)
