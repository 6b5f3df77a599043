"""Labelled volumes to learn segmentation from: images and label images side by side, on whatever voxel size they have."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from barlowtrack.config import RecordingConfig
from barlowtrack.data import IntArray, Recording
from barlowtrack.errors import InputError
from barlowtrack.io.recording import open_recording
from barlowtrack.nn.brightness import Brightness
from barlowtrack.nn.resample import Sizes, resample, resample_labels
from barlowtrack.nn.starconvex_training import Pair

log = logging.getLogger(__name__)


@dataclass
class LabelledVolumes:
    """Pairs, read when asked for and kept while they fit.

    Attributes:
        items: Image recording, label recording, and which of their volumes.
        voxel_size_um: All are resampled to this; None: each is taken as it is.
        brightness: Its percentiles become 0 and 1 in every image.
        memory_bytes: What may be kept.
    """

    items: list[tuple[Recording, Recording, int]]
    voxel_size_um: Sizes | None
    brightness: Brightness
    memory_bytes: float
    _kept: dict[int, Pair] = field(default_factory=dict)
    _used: int = 0

    def __len__(self) -> int:
        return len(self.items)

    @property
    def fingerprint(self) -> str:
        """Of the content of all images and labels."""
        return " ".join(f"{images.fingerprint} {labels.fingerprint} {t}" for images, labels, t in self.items)

    def read(self, index: int) -> Pair:
        """Returns a pair.

        Raises:
            InputError: it cannot be read, image and labels differ in shape, or labels are not whole numbers.
        """
        if index in self._kept:
            return self._kept[index]
        images, labels, t = self.items[index]
        try:
            pair = self._read(images, labels, t)
        except InputError as error:
            raise InputError(f"pair {index} ({images.name}): {error}") from None
        self._used += pair.image.nbytes + pair.labels.nbytes
        if self._used <= self.memory_bytes:
            self._kept[index] = pair
        return pair

    def _read(self, images: Recording, labels: Recording, t: int) -> Pair:
        image, truth = images.read(t)[images.reference].astype(np.float32), labels.read(t)[0]
        where = f"{labels.name}: volume {t}"
        if truth.shape != image.shape:
            raise InputError(f"{where}: expected labels of the image's shape {image.shape} (Z Y X), got {truth.shape}")
        bounded = bool(np.isfinite(truth).all()) and truth.max(initial=0) <= np.iinfo(np.uint16).max
        truth = truth if truth.dtype.kind == "u" else np.maximum(truth, -1)  # any negative number is unknown
        whole = truth.astype(np.int64) if bounded else None
        if whole is None or not np.array_equal(whole, truth):
            raise InputError(f"{where}: expected labels that are whole numbers up to 65535, got others")
        size = self.voxel_size_um or images.voxel_size_um
        seen = self.brightness.scale(resample(image, images.voxel_size_um, size))
        near = resample_labels(whole, images.voxel_size_um, size)
        small: IntArray = near.astype(np.int16) if near.max(initial=0) <= np.iinfo(np.int16).max else near.astype(np.int32)
        # half of the memory, and finer than any camera: the bright end of a volume is 1
        return Pair(np.clip(seen, -100, 100).astype(np.float16), small)


def open_pairs(
    images: Path,
    labels: Path,
    *,
    voxel_size_um: Sizes | None,
    brightness: Brightness,
    memory_gb: float,
    config: RecordingConfig | None = None,
) -> LabelledVolumes:
    """Opens images and their labels.

    Args:
        images: A folder of TIFFs, each a volume or a stack of them and each of its own size; or an OME-Zarr, or one TIFF.
        labels: TIFFs of the same names; or an OME-Zarr, or one TIFF, of as many volumes. 0 background, negative: unknown.
        voxel_size_um: The model's.
        brightness: Of the model.
        memory_gb: Pairs kept in memory.
        config: What the images' metadata does not say: voxel size, axes, channels.

    Raises:
        InputError: no images, an image without labels, or labels of another length or shape.
    """
    config = config or RecordingConfig()
    named, found = _files(images), _files(labels)
    if named is None or found is None:
        pairs = [(images, labels)]
    else:
        lacking = [name for name in named if name not in found]
        if lacking:
            raise InputError(f"{labels}: expected a label image of the same name for every image, got none for {', '.join(lacking[:3])}")
        pairs = [(path, found[name]) for name, path in named.items()]
    items = [(image, truth, t) for image, truth in (_open(*pair, config) for pair in pairs) for t in range(image.n_volumes)]
    return LabelledVolumes(items, voxel_size_um, brightness, memory_gb * 1e9)


def _files(folder: Path) -> dict[str, Path] | None:
    """Returns the TIFFs of a folder by name; None where it is no folder of TIFFs."""
    if not folder.is_dir() or any((folder / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
        return None
    found = {path.name: path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".tif", ".tiff") and path.name[0] != "."}
    if not found:
        raise InputError(f"{folder}: expected TIFFs, got none")
    return found


def _open(images: Path, labels: Path, config: RecordingConfig) -> tuple[Recording, Recording]:
    image = open_recording(images, config)
    axes = config.axes and config.axes.replace("C", "")  # labels have no channels
    truth = open_recording(labels, RecordingConfig(voxel_size_um=image.voxel_size_um, axes=axes, reference_channel=0))
    if truth.n_volumes != image.n_volumes or truth.volume_shape != image.volume_shape:
        expected = f"{image.n_volumes} volume(s) of shape {image.volume_shape} like {images}"
        raise InputError(f"{labels}: expected {expected}, got {truth.n_volumes} of {truth.volume_shape}")
    return image, truth
