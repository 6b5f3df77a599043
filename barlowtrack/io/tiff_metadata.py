"""What OME-XML and ImageJ say in a TIFF of sizes, times and channels."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from barlowtrack.io.clock import noted_rate
from barlowtrack.io.metadata import length_um, time_s
from barlowtrack.io.ome import pixels_of


def ended_early(tif: Any, series: Any) -> tuple[tuple[int, int, int], str] | None:
    """Returns how many whole volumes, planes and channels there are where ImageJ was to write more planes than that, and says so."""
    if series.kind == "imagej" and series.dataoffset is not None:
        return None  # of a long one all planes lie behind a single page
    n_times, n_planes, n_channels = (int((tif.imagej_metadata or {}).get(name, 1)) for name in ("frames", "slices", "channels"))
    n_pages, each = len(tif.pages), n_planes * n_channels
    if each < 1 or not each <= n_pages < n_times * each:
        return None
    n_whole = n_pages // each
    remark = f"the file says {n_times} volumes; the {n_whole} that are whole are read; the recording was ended early, or is not all here"
    return (n_whole, n_planes, n_channels), remark


def from_ome(xml: str, path: Path, n_volumes: int) -> dict[str, Any]:
    """Returns what OME-XML says, as fields of FileMetadata; n_volumes: how many there are, whatever it says."""
    pixels = pixels_of(xml, path)[0]
    if pixels is None:
        return {}
    size_um = {}
    for axis in "zyx":
        size = length_um(pixels.get(f"PhysicalSize{axis.upper()}"), pixels.get(f"PhysicalSize{axis.upper()}Unit", "um"))
        if size:
            size_um[axis] = size
    step_s = time_s(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s"))
    names = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    channel_names = tuple(name for name in names if name)
    times_s = _delta_times(pixels, n_volumes)
    rate_hz, remarks = noted_rate("DeltaT of the planes", times_s.get, len(times_s), 1 / step_s if step_s else None)
    return {
        "size_um": size_um,
        "rate_hz": rate_hz,
        "channel_names": channel_names if channel_names and len(channel_names) == len(names) else None,
        "remarks": remarks,
        "times_s": tuple(times_s[t] for t in range(n_volumes)) if times_s else None,
    }


def _delta_times(pixels: ET.Element, n_volumes: int) -> dict[int, float]:
    """Returns when each volume was recorded, in s, by the first plane of its first channel; nothing where it is not noted of all."""
    found: dict[int, float] = {}
    for plane in pixels.findall("{*}Plane[@TheC='0'][@TheZ='0']"):
        said, unit_s = plane.get("DeltaT"), time_s(1, plane.get("DeltaTUnit", "s"))
        t = plane.get("TheT", "")
        if said is None or unit_s is None or not t.isdecimal():
            return {}
        try:
            if int(t) < n_volumes:
                found[int(t)] = float(said) * unit_s
        except ValueError:
            return {}
    return found if len(found) == n_volumes else {}


def from_imagej(said: dict[str, Any], keyframe: Any) -> dict[str, Any]:
    """Returns what ImageJ wrote down, as fields of FileMetadata; keyframe: the first page, whose tags hold the size of a pixel."""
    unit = said.get("unit")
    if str(unit).strip().lower() in ("inch", "in"):
        unit = None  # of a printer: what a picture has that nobody calibrated
    size_um = {}
    for axis, tag in (("y", "YResolution"), ("x", "XResolution")):
        value = keyframe.tags.get(tag)
        size = length_um(value.value[1] / value.value[0], unit) if value is not None and value.value[0] else None
        if size:
            size_um[axis] = size
    spacing = length_um(abs(said.get("spacing", 0)), said.get("zunit", unit))
    if spacing:
        size_um["z"] = spacing
    step_s = time_s(said.get("finterval"), said.get("tunit", "s"))
    labels = said.get("Labels")
    names = tuple(labels) if isinstance(labels, list) and len(labels) == said.get("channels", 1) else None
    return {"size_um": size_um, "rate_hz": 1 / step_s if step_s else None, "channel_names": names}
