"""What a file says of itself, and how it becomes a Recording: metadata first, settings over it, and nothing guessed without a word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from barlowtrack.config import RecordingConfig
from barlowtrack.errors import InputError

AXES = "TCZYX"
SEEN = "reference channel, seen: "
"""How the remark begins that says which channel was seen to be constant."""
AS_THEY_CAME = "; taken as they came"
"""How the remark ends that says that volumes came at another rate than was planned."""

_LENGTHS_UM = {
    1e9: ("km", "kilometer"),
    1e6: ("m", "meter", "metre"),
    1e4: ("cm", "centimeter", "centimetre"),
    1e3: ("mm", "millimeter", "millimetre"),
    1.0: ("um", "µm", "μm", "\\u00b5m", "micron", "microns", "micrometer", "micrometre", "micrometers"),
    1e-3: ("nm", "nanometer", "nanometre"),
    1e-4: ("å", "angstrom"),
    1e-6: ("pm", "picometer", "picometre"),
    25400.0: ("inch", "in"),
}
_TIMES_S = {
    86400.0: ("d", "day"),
    3600.0: ("h", "hour"),
    60.0: ("min", "minute"),
    1.0: ("s", "sec", "second", "seconds"),
    1e-3: ("ms", "msec", "millisecond"),
    1e-6: ("us", "µs", "μs", "microsecond"),
    1e-9: ("ns", "nanosecond"),
}
_REFERENCE = re.compile(
    r"(?<![a-z])(red|nir|near.?infrared)(?![a-z])|rfp|mcherry|mneptune|tdtomato|dsred|mscarlet|mkate|reference", re.IGNORECASE
)
_SIGNAL = re.compile(r"(?<![a-z])(green|signal)(?![a-z])|gcamp|gfp|gcaam|calcium|jgc|mneongreen", re.IGNORECASE)
_OTHER_COLOURS = {"blue", "cyan", "yellow", "farred", "bfp", "tagbfp", "cfp", "yfp", "mtagbfp", "cyofp", "dapi", "bf", "brightfield", "dic"}


@dataclass(frozen=True)
class FileMetadata:
    """What a file says of itself; empty where it says nothing.

    Attributes:
        where: Its path, for messages.
        axes: A letter of TCZYX an axis; None where it does not say which is which.
        shape: Of the array as it is stored, one size an axis.
        dtype: Of the voxels, in the order of bytes of this machine.
        size_um: Distance between voxels by axis, of those of z, y, x that are known.
        rate_hz: Volumes a second.
        channel_names: One a channel.
        remarks: What the reader chose, in plain words.
        times_s: When each volume was recorded, where it was noted.
    """

    where: str
    axes: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size_um: dict[str, float] = field(default_factory=dict)
    rate_hz: float | None = None
    channel_names: tuple[str, ...] | None = None
    remarks: tuple[str, ...] = ()
    times_s: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Channels:
    """Names of the channels, and which of them do what; remarks say what was assumed; told: settings or names say which is which."""

    names: tuple[str, ...]
    reference: int
    signal: int | None
    remarks: tuple[str, ...]
    told: bool = True


def length_um(value: object, unit: str | None) -> float | None:
    """Returns a length in um; None where it is no positive number or the unit is none."""
    return _convert(value, unit, _LENGTHS_UM)


def time_s(value: object, unit: str | None) -> float | None:
    """Returns a time in s; None where it is no positive number or the unit is none."""
    return _convert(value, unit, _TIMES_S)


def names_channel(word: str) -> bool:
    """Says whether a word is what people call a channel."""
    return bool(_REFERENCE.search(word) or _SIGNAL.search(word)) or word.lower() in _OTHER_COLOURS


def settle_axes(metadata: FileMetadata, config: RecordingConfig) -> tuple[str, tuple[int, ...]]:
    """Returns the letters of the axes and their sizes; what the settings say counts more than the file.

    Raises:
        InputError: neither says, the settings do not fit, or an axis of a picture is missing.
    """
    shape = metadata.shape
    hint = f"give them as [recording] axes, letters of {AXES}"
    if config.axes is None:
        if metadata.axes is None:
            raise InputError(f"{metadata.where}: which axis is which in shape {shape}? The file does not say; {hint}")
        return metadata.axes, shape
    axes = config.axes
    if len(set(axes)) != len(axes) or "Y" not in axes or "X" not in axes:
        raise InputError(f"[recording] axes: expected letters of {AXES}, each once, Y and X among them, got {axes}")
    if len(axes) == len(shape):
        return axes, shape
    thick = tuple(size for size in shape if size > 1)
    if len(axes) == len(thick):
        return axes, thick
    raise InputError(f"{metadata.where}: expected {len(shape)} axes for shape {shape}, got [recording] axes {axes}")


def settle_voxel_size(metadata: FileMetadata, config: RecordingConfig) -> tuple[float, float, float]:
    """Returns the voxel size z, y, x in um.

    Raises:
        InputError: neither the file nor the settings say it whole.
    """
    if config.voxel_size_um is not None:
        return config.voxel_size_um
    missing = [axis for axis in "zyx" if axis not in metadata.size_um]
    if missing:
        known = ", ".join(f"{axis} {size:g} um" for axis, size in metadata.size_um.items())
        raise InputError(
            f"{metadata.where}: no voxel size along {', '.join(missing)} in its metadata{f' (only {known})' if known else ''}; "
            "give it as --voxel-size Z Y X, or as [recording] voxel_size_um, in um"
        )
    return metadata.size_um["z"], metadata.size_um["y"], metadata.size_um["x"]


def settle_rate(metadata: FileMetadata, config: RecordingConfig) -> tuple[float | None, tuple[str, ...]]:
    """Returns volumes a second, and what to say where nobody knows."""
    rate_hz = config.rate_hz or metadata.rate_hz
    unknown = "volumes a second: unknown, so traces have no seconds; give --rate or [recording] rate_hz"
    return rate_hz, () if rate_hz else (unknown,)


def told_rate(remarks: Sequence[str], config: RecordingConfig) -> tuple[str, ...]:
    """Returns remarks on the clock of a file as they hold where the settings say the rate."""
    taken = f"; {config.rate_hz:g} are taken, as you say" if config.rate_hz else AS_THEY_CAME
    return tuple(remark.replace(AS_THEY_CAME, taken) for remark in remarks)


def name_channels(metadata: FileMetadata, config: RecordingConfig, n_channels: int) -> Channels:
    """Decides which channel is the reference and which the signal: by the settings, then by name.

    Returns:
        The channels; told is False where neither says, and the first is taken.

    Raises:
        InputError: the settings name a channel that is not there, or the signal is unclear among more than two.
    """
    names = config.channel_names or metadata.channel_names or tuple(f"channel {c}" for c in range(n_channels))
    if len(names) != n_channels:
        raise InputError(f"{metadata.where}: expected {n_channels} channel names, got {len(names)}: {', '.join(names)}")
    reference = _settle_reference(config, names)
    if reference is not None:
        return Channels(tuple(names), reference, _settle_signal(metadata.where, config, names, reference), ())
    reference = next((c for c in range(n_channels) if _REFERENCE.search(names[c])), 0)
    remark = f"reference channel: not known from the names {', '.join(names)}; channel {reference} ({names[reference]}) is shown as such"
    others = [c for c in range(n_channels) if c != reference]
    return Channels(tuple(names), reference, others[0], (remark,), told=False)


def _settle_reference(config: RecordingConfig, names: Sequence[str]) -> int | None:
    """Returns the reference channel; None where neither settings nor names say."""
    if config.reference_channel is not None:
        return _channel(config.reference_channel, names, "reference_channel")
    if len(names) == 1:
        return 0
    if config.signal_channel is not None and len(names) == 2:
        return 1 - _channel(config.signal_channel, names, "signal_channel")
    named = [c for c in range(len(names)) if _REFERENCE.search(names[c])]
    signals = [c for c in range(len(names)) if _SIGNAL.search(names[c])]
    if len(named) == 1:
        return named[0]
    return 1 - signals[0] if len(names) == 2 and len(signals) == 1 and not named else None


def _settle_signal(where: str, config: RecordingConfig, names: Sequence[str], reference: int) -> int | None:
    if config.signal_channel is not None:
        return _channel(config.signal_channel, names, "signal_channel")
    others = [c for c in range(len(names)) if c != reference]
    if len(others) <= 1:
        return others[0] if others else None
    named = [c for c in others if _SIGNAL.search(names[c])]
    if len(named) != 1:
        raise InputError(f"{where}: which of the channels {', '.join(names)} shows activity? Give it as [recording] signal_channel")
    return named[0]


def _channel(wanted: str | int, names: Sequence[str], setting: str) -> int:
    lower = [name.lower() for name in names]
    if isinstance(wanted, str) and wanted.lower() in lower:
        return lower.index(wanted.lower())
    if str(wanted).isdecimal() and int(wanted) < len(names):
        return int(wanted)
    raise InputError(f"[recording] {setting}: expected one of {', '.join(names)}, or 0 to {len(names) - 1}, got {wanted}")


def _convert(value: object, unit: str | None, table: dict[float, tuple[str, ...]]) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    factor = next((factor for factor, names in table.items() if unit is not None and unit.strip().lower() in names), None)
    return number * factor if factor is not None and np.isfinite(number) and number > 0 else None
