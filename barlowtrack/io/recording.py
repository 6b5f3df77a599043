"""Opens a recording, whatever it is stored as: see READERS for what can be read."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from barlowtrack.config import RecordingConfig
from barlowtrack.data import Recording
from barlowtrack.errors import InputError
from barlowtrack.io.beside import with_file_beside
from barlowtrack.io.fingerprint import fingerprint
from barlowtrack.io.location import refuse_addresses, scrubbed, shown, without_query
from barlowtrack.io.metadata import SEEN, Channels, name_channels, settle_rate, settle_voxel_size, told_rate
from barlowtrack.io.patience import PatientSource, patiently
from barlowtrack.io.readers import READERS, Opened, reader_of
from barlowtrack.io.readers.opened import Shape
from barlowtrack.io.regular import refuse_endless

log = logging.getLogger(__name__)

METADATA_ONLY = RecordingConfig()
"""Settings that leave everything to the metadata."""

_SUFFIXES = sorted({"zarr", *(suffix[1:] for reader in READERS for suffix in reader.suffixes)})
_NO_TEXT = re.compile("[\udc80-\udcff]")  # how Python holds such bytes in a path
_EXTENSION = re.compile(rf"(\.ome)?\.({'|'.join(_SUFFIXES)})$", re.IGNORECASE)


def open_recording(
    path: Path | str, config: RecordingConfig = METADATA_ONLY, *, to_look: bool = False, known: Mapping[str, Any] | None = None
) -> Recording:
    """Opens a recording; reads metadata and samples for the fingerprint.

    Axes, voxel size, rate and channel names come from the metadata; a recording.toml beside the recording counts more, and the settings
    most. Volumes are read only where neither names nor settings say which channel is the reference: a few, to see which is constant.

    Args:
        path: What is in the table READERS; an OME-Zarr may lie on a server (https://, s3://).
        config: What the metadata does not say, or says wrongly.
        to_look: Leave out the fingerprint, for which every file is opened: seconds to minutes where they are thousands; and read no
            volume, so that channels without names stand as they are stored. Nothing may be kept of such a recording.
        known: What a run folder wrote down of it (recording_card): if its content is still the same, no volume is read again to see
            which channel is constant.

    Returns:
        The recording; what was assumed stands in its assumptions.

    Raises:
        InputError: nothing there that can be read, axes or voxel size that nobody gives, or channels that nobody tells apart.
    """
    path = Path(path)
    return patiently(lambda: _open(path, config, to_look, known or {}), shown(path))


def _open(path: Path, config: RecordingConfig, to_look: bool, known: Mapping[str, Any]) -> Recording:
    refuse_addresses(path)
    refuse_endless(path)
    reader = reader_of(path)
    config = with_file_beside(path, config)
    where = shown(path)
    if config.dataset is not None and not reader.dataset:
        raise InputError(f"{where}: [recording] dataset: expected none, as {reader.name} holds one image, got {', '.join(config.dataset)}")
    if config.planes is not None and not reader.planes:
        raise InputError(f"{where}: [recording] planes: expected none, as {reader.name} says its own, got {config.planes}")
    return _recording(path, config, reader.open(path, config), to_look, known)


def _refuse_giants(where: str, shape: Shape, itemsize: int) -> None:
    """Refuses volumes that this machine could not even hold: metadata may say any number, and asking for the memory may end the process."""
    needed_gb = math.prod(shape[1:]) * itemsize / 1e9
    there_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if needed_gb > there_gb:
        raise InputError(
            f"{where}: expected volumes that fit into memory ({there_gb:.0f} GB), got {needed_gb:.3g} GB a volume (C Z Y X = {shape[1:]}); "
            "are the axes right?"
        )


def recording_name(path: Path | str) -> str:
    """Returns what a recording at this path is called: the last name, without the extensions of its layout.

    Bytes that are no text, of a disk that was written in another encoding, are told as %FC: tables and pages hold text only.
    """
    name = _EXTENSION.sub("", Path(os.path.abspath(without_query(path))).name) or "recording"
    return _NO_TEXT.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", name)


def _seen_before(channels: Channels, digest: str, known: Mapping[str, Any]) -> Channels | None:
    """Returns the channels as they were seen in the same volumes before; None where they were not."""
    said = [remark for remark in known.get("assumptions", ()) if str(remark).startswith(SEEN)]
    if channels.told or not said or known.get("content") != digest or list(channels.names) != known.get("channel_names"):
        return None
    return Channels(channels.names, int(known["reference"]), known["signal"], (said[0],))


def _recording(path: Path, config: RecordingConfig, opened: Opened, to_look: bool, known: Mapping[str, Any]) -> Recording:
    metadata, shape = opened.metadata, opened.shape
    _refuse_giants(shown(path), shape, metadata.dtype.itemsize)
    voxel_size_um = settle_voxel_size(metadata, config)
    rate_hz, no_rate = settle_rate(metadata, config)
    # not sizes, rate or channels: a run folder keeps those apart, so that a new rate does not make every stage stale
    geometry: dict[str, object] = {"shape": shape, "dtype": metadata.dtype.str.lstrip("<>=|"), "axes": config.axes}
    geometry |= {name: value for name, value in (("dataset", config.dataset), ("planes", config.planes)) if value is not None}
    try:
        digest = "" if to_look else fingerprint(geometry, opened.files())
        looked = () if to_look else opened.looked()
    except OSError as error:
        raise InputError(f"{error.filename or shown(path)}: cannot be read: {scrubbed(error.strerror or str(error))}") from None
    channels = name_channels(metadata, config, shape[1])
    seen = _seen_before(channels, digest, known)
    if seen is not None:
        channels = seen
    elif not channels.told and not to_look:
        from barlowtrack.io.channels import seen_channels  # scipy takes a while to import

        channels = seen_channels(shown(path), channels, opened.source, shape, voxel_size_um)
    assumptions = (*told_rate(metadata.remarks, config), *opened.remarks, *looked, *no_rate, *channels.remarks)
    for assumption in assumptions:
        log.info("%s: %s", shown(path), assumption)
    who = (channels.names, channels.reference, channels.signal)
    source = PatientSource(opened.source)
    return Recording(recording_name(path), source, shape, metadata.dtype, voxel_size_um, rate_hz, *who, digest, assumptions)
