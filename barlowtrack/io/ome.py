"""Which plane of an OME-TIFF lies on which page of which file: of series that are spread over files, or were ended early."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePath

from barlowtrack.errors import InputError


@dataclass(frozen=True)
class Run:
    """Pages in a row that hold planes in a row.

    Attributes:
        file: Name of the file beside the one that says so; "" for itself.
        page: First, in the file.
        plane: First, in the order of the axes.
        count: How many; None for all pages that are left.
    """

    file: str
    page: int
    plane: int
    count: int | None


@dataclass(frozen=True)
class Layout:
    """What the metadata say of an image: its axes, slowest first, how long each is, and where its planes lie."""

    axes: str
    shape: tuple[int, ...]
    runs: tuple[Run, ...]

    def places(self, n_pages: Mapping[str, int]) -> dict[int, tuple[str, int]]:
        """Returns file and page of the planes that are there.

        Args:
            n_pages: In every file that is there.
        """
        found: dict[int, tuple[str, int]] = {}
        n_planes, n_looked = prod(self.shape[:-2]), 0
        for run in self.runs:
            if n_looked > 2 * sum(n_pages.values()):
                break  # no file that is meant well names a page more than once
            left = n_pages.get(run.file, 0) - run.page
            count = min(left if run.count is None else run.count, left, n_planes - run.plane)
            n_looked += max(count, 0)
            for i in range(count):
                found[run.plane + i] = (run.file, run.page + i)
        return found

    def whole(self, there: Mapping[int, tuple[str, int]]) -> tuple[int, int]:
        """Returns how many volumes from the start on have all their planes, and how many planes lie behind these.

        Args:
            there: Planes that are there.
        """
        if self.axes[0] != "T":
            n_volumes = self.shape[self.axes.index("T")]
            whole = n_volumes if len(there) == prod(self.shape[:-2]) else 0
            return whole, 0 if whole else len(there)
        each = prod(self.shape[1:-2])
        gap = next(plane for plane in range(len(there) + 1) if plane not in there)
        whole = gap // each
        return whole, sum(plane >= (whole + 1) * each for plane in there)


def pixels_of(xml: str, path: Path) -> tuple[ET.Element | None, ET.Element, int]:
    """Returns what describes the image of this file, the whole text, and how many images the text describes.

    Micro-Manager writes the images of all positions into every file: the one counts that lies in this file.
    """
    root = ET.fromstring(xml)  # expat itself refuses entities that explode
    images = [pixels for image in root.findall("{*}Image") if (pixels := image.find("{*}Pixels")) is not None]
    own = [pixels for pixels in images if any(_file(root, data, path) == "" for data in pixels.findall("{*}TiffData"))]
    return next(iter([*own, *images]), None), root, len(images)


def layout_of(xml: str, path: Path) -> Layout | None:
    """Returns where the planes of the image in this file lie; None where the metadata do not say.

    Args:
        xml: The metadata.
        path: Of the file that holds them.

    Raises:
        InputError: the metadata lie in another file, or a part of the image lies outside the folder.
    """
    pixels, root, _ = pixels_of(xml, path)
    binary = root.find("{*}BinaryOnly")
    if binary is not None:
        raise InputError(f"{path}: a part of a series that {binary.get('MetadataFile')} describes; give that file, or the folder")
    if pixels is None or any(int(channel.get("SamplesPerPixel", 1)) > 1 for channel in pixels.findall("{*}Channel")):
        return None
    axes = pixels.get("DimensionOrder", "XYZCT")[::-1]
    shape = tuple(int(pixels.get(f"Size{axis}", 1)) for axis in axes)
    runs = []
    for data in pixels.findall("{*}TiffData"):
        count = data.get("PlaneCount", data.get("NumPlanes", "1" if "IFD" in data.attrib else None))
        first = [int(data.get(f"First{axis}", 0)) for axis in axes[:-2]]
        page = int(data.get("IFD", 0))
        if page < 0 or any(not 0 <= at < size for at, size in zip(first, shape, strict=False)):
            continue  # ImageJ leaves those of what was cut away
        plane = sum(at * prod(shape[i + 1 : -2]) for i, at in enumerate(first))
        runs.append(Run(_file(root, data, path), page, plane, None if count is None else int(count)))
    sound = sorted(axes) == sorted("TCZYX") and axes.endswith("YX") and min(shape) > 0
    return Layout(axes, shape, tuple(runs)) if runs and sound else None


def _file(root: ET.Element, data: ET.Element, path: Path) -> str:
    """Returns the name of the file that holds some planes; "" for the one that says so.

    Raises:
        InputError: it does not lie in the same folder.
    """
    said = data.find("{*}UUID")
    name = "" if said is None else said.get("FileName", "")
    own = root.get("UUID")
    if said is None or (said.text == own if own else name.lower() in ("", path.name.lower())):
        return ""
    if not name or name in (".", "..") or name != PurePath(name).name or "\\" in name:
        raise InputError(f"{path}: a part of the series lies at {name or 'no name'}; expected all parts in the folder of the first")
    return name
