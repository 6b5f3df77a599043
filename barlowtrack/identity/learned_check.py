"""Whether an atlas that was read can be one: shapes that go together, and numbers that mean something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from barlowtrack.errors import InputError

if TYPE_CHECKING:
    from barlowtrack.identity.appearance import Appearance
    from barlowtrack.identity.confidence import Calibration
    from barlowtrack.identity.learned import Learned
    from barlowtrack.identity.registration import Shape
    from barlowtrack.identity.volumes import Preparation

N_EVIDENCE = {"assigned": 6, "unknown": 4, "absent": 6}
"""How many weights each curve of the calibration has: one of each kind of evidence, and one more."""


def check_learned(learned: Learned) -> None:
    """Refuses what would fail, or be believed, later.

    Raises:
        InputError: arrays that do not fit each other, or numbers out of their bounds; says which.
    """
    k = learned.atlas.n_neurons
    if k < 0:
        raise InputError(f"atlas: expected atlas.n_neurons of 0 or more, got {k}")
    _check_preparation(learned.preparation)
    if learned.atlas.shape is not None:
        _check_shape(learned.atlas.shape, k)
    if learned.atlas.appearance is not None:
        _check_appearance(learned.atlas.appearance, k, learned.preparation)
    if learned.calibration is not None:
        _check_calibration(learned.calibration, k)


def _check_preparation(preparation: Preparation) -> None:
    _expect("preparation", {"unit_um": (preparation.unit_um, ())}, above=0)
    if (preparation.mean is None) != (preparation.axes is None):
        raise InputError("atlas: expected preparation.mean and preparation.axes together, got one of them")
    if preparation.mean is not None and preparation.axes is not None:
        _expect("preparation", {"mean": (preparation.mean, (None,)), "axes": (preparation.axes, (len(preparation.mean), None))})


def _check_shape(shape: Shape, k: int) -> None:
    _expect("atlas.shape", {"variance": (shape.variance, (None,)), "residual": (shape.residual, (k, 3))}, above=0)
    _expect("atlas.shape", {"mean": (shape.mean, (k, 3)), "modes": (shape.modes, (len(shape.variance), k, 3))})
    _expect("atlas.shape", {"occupancy": (shape.occupancy, (k,))}, above=0, most=1)


def _check_appearance(appearance: Appearance, k: int, preparation: Preparation) -> None:
    if preparation.axes is None:
        raise InputError("atlas: expected preparation.axes beside looks, got none")
    p = preparation.axes.shape[1]
    _expect("atlas.appearance", {"axes": (appearance.axes, (p, None)), "centre": (appearance.centre, (p,))})
    _expect("atlas.appearance", {"weight": (appearance.weight, (k, 2 * appearance.axes.shape[1] + 1))})
    _expect("atlas.appearance", {"slope": (appearance.slope, ()), "offset": (appearance.offset, ())})


def _check_calibration(calibration: Calibration, k: int) -> None:
    shares = {name: (getattr(calibration, name), (k,)) for name in ("posterior", "occupancy", "confirmed", "worth")}
    _expect("calibration", shares, least=0, most=1)
    for name, size in N_EVIDENCE.items():
        curve = getattr(calibration, name)
        _expect(f"calibration.{name}", {"beta": (curve.beta, (size,)), "shift": (curve.shift, ())})
        _expect(f"calibration.{name}", {"gamma": (curve.gamma, ())}, above=0)


def _expect(
    of: str,
    arrays: Mapping[str, tuple[Any, tuple[int | None, ...]]],
    *,
    above: float = -np.inf,
    least: float = -np.inf,
    most: float = np.inf,
) -> None:
    """Checks finite numbers of a shape, of which None is any length, and their bounds."""
    for name, (values, shape) in arrays.items():
        array = np.asarray(values)
        if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
            raise InputError(f"atlas: expected {of}.{name} of shape {str(shape).replace('None', 'any')}, got {array.shape}")
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise InputError(f"atlas: expected finite numbers as {of}.{name}, got others")
        if (array <= above).any() or (array < least).any() or (array > most).any():
            bounds = f"above {above:g}" if np.isfinite(above) else f"from {least:g}"
            bounds += f" to {most:g}" if np.isfinite(most) else ""
            raise InputError(f"atlas: expected {of}.{name} {bounds}, got {array.min():g} to {array.max():g}")
