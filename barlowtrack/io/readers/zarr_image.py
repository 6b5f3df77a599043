"""OME-Zarr 0.4 (zarr 2) and 0.5 (zarr 3), and zarr arrays without metadata: here, or on a server."""

from __future__ import annotations

import json
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from barlowtrack.config import RecordingConfig
from barlowtrack.data import VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.location import as_url, scrubbed, shown
from barlowtrack.io.metadata import AXES, FileMetadata, length_um, time_s
from barlowtrack.io.readers.opened import (
    Files,
    Opened,
    at_time,
    channels_at,
    dark_chunks,
    first_line,
    is_filling,
    listed,
    needed,
    one_volume,
    refuse_dtype,
    settle_shape,
)
from barlowtrack.io.regular import refuse_endless

log = logging.getLogger(__name__)

METADATA_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
LARGEST_CHUNK_GB = 64
"""A chunk is read whole, whatever is wanted of it."""
_SAMPLED_CHUNKS = 64


@dataclass(frozen=True)
class ZarrSource:
    """Volumes of zarr arrays, one a channel or one that holds them all; axes: a letter of TCZYX each."""

    where: str
    arrays: tuple[zarr.Array[Any], ...]
    axes: str

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X).

        Raises:
            InputError: a chunk that cannot be read, or a volume of which none is stored.
        """
        parts = [self._read(array, t) for array in self.arrays]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=0)

    def _read(self, array: zarr.Array[Any], t: int) -> VoxelArray:
        try:
            values = np.asarray(array[at_time(self.axes, t)])
            for c, channel in channels_at(values, self.axes):
                if is_filling(channel, array.fill_value) and not any(_stored(array, key) for key in _chunks_of(array, self.axes, t, c)):
                    which = f"channel {c} of it" if "C" in self.axes else "it"
                    raise InputError(
                        f"volume {t}: {self.where}: expected voxels, got not one chunk of {which}; never written, or lost in a copy"
                    )
        except InputError:
            raise
        except Exception as error:  # each codec has its own
            raise InputError(f"volume {t}: {self.where}: a chunk cannot be read: {scrubbed(first_line(error))}") from None
        return one_volume(values, self.axes, array.dtype.newbyteorder("="))


class _Files(LocalStore):
    """A folder of which nothing is read that never ends."""

    async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Returns the content of a file; None where there is none."""
        refuse_endless(self.root / key)
        return await super().get(key, prototype, byte_range)


def is_zarr(names: Sequence[str]) -> bool:
    """Says by the names in a folder whether it is a zarr array or group."""
    return any(name in ("zarr.json", ".zgroup", ".zarray") for name in names)


def open_zarr(path: Path, config: RecordingConfig) -> Opened:
    """Opens the finest level of an OME-Zarr image, or zarr arrays whose axes the settings give.

    Args:
        path: Folder, or address on a server.
        config: Which arrays, where there are several, and what their metadata do not say.

    Raises:
        InputError: no zarr, no image, or of a type that is none.
    """
    where = shown(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)  # of what lies beside the image and is none
            root = _node(path)
            metadata, image, found = _find(where, root, config.dataset)
    except InputError:
        raise
    except Exception as error:  # zarr and its codecs raise many kinds
        got = "no answer, or no OME-Zarr" if as_url(path) else "something else"
        raise InputError(f"{where}: expected an OME-Zarr, got {got}: {scrubbed(first_line(error))}") from None
    arrays = tuple(array for _, array in found)
    for array in arrays:
        refuse_dtype(where, array.dtype)
        _refuse_codecs(where, array)
        if array.shape != arrays[0].shape or array.dtype != arrays[0].dtype:
            raise InputError(f"{where}: expected {arrays[0].shape} {arrays[0].dtype} in every array, got {array.shape} {array.dtype}")
    axes, (t, c, z, y, x) = settle_shape(metadata, config)
    source, shape = ZarrSource(where, arrays, axes), (t, c * len(arrays), z, y, x)
    inside = [name for name, _ in found]
    if as_url(path):
        return Opened(metadata, source, shape, lambda: _files_afar(root, arrays, inside))
    files = [(path / image, path / name) for name in inside]
    return Opened(
        metadata,
        source,
        shape,
        lambda: [one for pair in files for one in zarr_files(*pair)],
        lambda: tuple(said for array, (_, folder) in zip(arrays, files, strict=True) for said in _lacking(array, folder)),
    )


def _refuse_codecs(where: str, array: zarr.Array[Any]) -> None:
    """Refuses chunks that could run a program when they are opened, or that no memory holds."""
    said = json.dumps(array.metadata.to_dict(), default=str)
    if "pickle" in said:
        raise InputError(f"{where}: its chunks are pickled, which could run any program when they are opened; they are not opened")
    chunk_gb = math.prod(array.chunks) * array.dtype.itemsize / 1e9
    if chunk_gb > LARGEST_CHUNK_GB:
        raise InputError(f"{where}: expected chunks of at most {LARGEST_CHUNK_GB} GB, got {chunk_gb:.3g} GB (shape {array.chunks})")


def _node(path: Path) -> Any:
    url = as_url(path)
    if url is not None:
        return _node_afar(url)
    bare = (path / ".zarray").is_file()
    if not bare and (path / "zarr.json").is_file():
        bare = json.loads((path / "zarr.json").read_text(encoding="utf-8")).get("node_type") == "array"
    store = _Files(path, read_only=True)
    # consolidated metadata is a second copy, which may be older than the first
    return zarr.open_array(store=store, mode="r") if bare else zarr.open_group(store=store, mode="r", use_consolidated=False)


def _node_afar(url: str) -> Any:
    url, _, query = url.partition("?")
    fsspec = needed("fsspec", url, "remote")
    try:
        fsspec.get_filesystem_class(url.partition(":")[0])
    except ImportError as error:
        raise InputError(f'{url}: cannot be reached ({first_line(error)}); pip install "barlowtrack[remote]"') from None
    store: Any = _with_query(url, query) if query else url
    try:
        return zarr.open_group(store=store, mode="r", use_consolidated=False)
    except (FileNotFoundError, zarr.errors.ContainsArrayError, zarr.errors.NodeTypeValidationError):
        return zarr.open_array(store=store, mode="r")


def _with_query(url: str, query: str) -> Any:
    """Returns the store at an address whose query, such as a signature, has to go behind the name of every file in it."""
    if not url.startswith("http"):
        raise InputError(f"{url}: expected no ? in the address of a bucket; give signatures and keys in fsspec's own configuration")
    http, yarl = needed("fsspec.implementations.http", url, "remote"), needed("yarl", url, "remote")

    class WithQuery(http.HTTPFileSystem):  # type: ignore[name-defined, misc]
        cachable = False

        def encode_url(self, address: str) -> Any:
            return yarl.URL(f"{address}?{query}", encoded=True)

    return FsspecStore(WithQuery(asynchronous=True), path=url, read_only=True)


def _find(where: str, node: Any, wanted: tuple[str, ...] | None) -> tuple[FileMetadata, str, list[tuple[str, zarr.Array[Any]]]]:
    """Returns metadata, where the image lies inside, and the arrays with their paths inside."""
    if isinstance(node, zarr.Array):
        if wanted:
            raise InputError(f"{where}: [recording] dataset: expected none, as this is an array itself, got {listed(wanted)}")
        return _bare(where, [node]), "", [("", node)]
    if wanted:
        found = [(_inside(where, name), _array(where, node, name)) for name in wanted]
        names = tuple(PurePosixPath(name).name for name, _ in found) if len(found) > 1 else None
        return _bare(where, [array for _, array in found], names), "", found
    remarks: tuple[str, ...] = ()
    attributes, image = _attributes(node), ""
    if "nwb_version" in attributes:
        raise InputError(f"{where}: {_nwb_in_zarr(node)}")
    if "multiscales" not in attributes and "0" in node and isinstance(node["0"], zarr.Group):  # as bioformats2raw nests images
        node, image = node["0"], "0"
        attributes, remarks = _attributes(node), ("the file may hold several images; the first is used",)
    if not attributes.get("multiscales"):
        metadata, name, array = _only_array(where, node)
        return metadata, "", [(name, array)]
    broken = InputError(
        f"{where}: its metadata (multiscales, omero) are not as OME-Zarr has them: expected a list of images, each with axes that have "
        "names and datasets that have a path; give the array as --dataset PATH with --axes TCZYX and --voxel-size Z Y X"
    )
    try:
        multiscale = attributes["multiscales"][0]
        dataset = _finest(multiscale)
        inside = _inside(where, dataset["path"])
    except (LookupError, TypeError, ValueError, AttributeError):
        raise broken from None
    array = _array(where, node, inside)
    try:
        metadata = _described(where, array, multiscale, dataset, attributes, remarks)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise broken from None
    return metadata, image, [(str(PurePosixPath(image) / inside), array)]


def _finest(multiscale: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the level with the smallest voxels; the first, as levels are to be in that order, where not all say their scale."""
    levels: list[Mapping[str, Any]] = multiscale["datasets"]
    steps = [[step for step in level.get("coordinateTransformations", []) if step.get("type") == "scale"] for level in levels]
    volumes = [[float(np.prod(np.asarray(step["scale"], float))) for step in scales] for scales in steps]
    if not all(len(volume) == 1 and volume[0] > 0 for volume in volumes):
        return levels[0]
    return levels[int(np.argmin(volumes))]


def _nwb_in_zarr(node: zarr.Group) -> str:
    """Returns what to do with NWB that hdmf-zarr wrote, of which single arrays are read."""
    try:
        series = [f"acquisition/{name}/data" for name, one in node["acquisition"].groups() if "data" in one]  # type: ignore[union-attr]
    except Exception:  # none, or a server that does not list
        series = []
    name = series[0] if series else "acquisition/NAME/data"
    said = f"; there is {listed(series)}" if len(series) > 1 else ""
    return f"NWB in zarr, of which arrays are read by their names: give --dataset {name} --axes TXYZC --voxel-size Z Y X{said}"


def _only_array(where: str, group: zarr.Group) -> tuple[FileMetadata, str, zarr.Array[Any]]:
    """Returns the only array of a group that is no OME-Zarr."""
    try:
        inside = {name: array for name, array in group.arrays() if array.ndim >= 3}
    except Exception:  # a server may not list
        inside = {}
    if len(inside) != 1:
        said = listed([f"{name} {array.shape}" for name, array in inside.items()]) or "a zarr group without one"
        hint = "; say which as --dataset NAME" if inside else ""
        raise InputError(f"{where}: expected an OME-Zarr image (multiscales), got {said}{hint}")
    [(name, array)] = inside.items()
    return _bare(where, [array]), name, array


def _inside(where: str, name: str) -> str:
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts:
        raise InputError(f"{where}: expected an array inside the folder, got {inside}")
    return str(inside)


def _array(where: str, group: zarr.Group, name: str) -> zarr.Array[Any]:
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise InputError(f"{where}: expected an array at {name}, got {'nothing' if array is None else 'a group'}")
    return array


def _bare(where: str, arrays: Sequence[zarr.Array[Any]], channels: tuple[str, ...] | None = None) -> FileMetadata:
    array = arrays[0]
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    axes = "".join(_LETTERS.get(str(name).lower(), str(name).upper()) for name in names)  # type: ignore[union-attr]
    known = len(axes) == array.ndim and set(axes) <= set(AXES) and len(set(axes)) == len(axes)
    return FileMetadata(where, axes if known else None, array.shape, array.dtype.newbyteorder("="), channel_names=channels)


_LETTERS = {"time": "T", "frame": "T", "channel": "C", "channels": "C", "depth": "Z", "height": "Y", "width": "X"}


def _described(
    where: str,
    array: zarr.Array[Any],
    multiscale: Mapping[str, Any],
    dataset: Mapping[str, Any],
    attributes: Mapping[str, Any],
    remarks: Any,
) -> FileMetadata:
    axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in multiscale.get("axes", [])]
    letters = "".join(str(axis["name"]).upper() for axis in axes)
    scale = np.ones(len(axes))
    for step in [*dataset.get("coordinateTransformations", []), *multiscale.get("coordinateTransformations", [])]:
        if step.get("type") == "scale" and len(step.get("scale", [])) == len(axes):
            scale = scale * np.asarray(step["scale"], float)
    size_um, step_s = {}, None
    for axis, letter, size in zip(axes, letters, scale, strict=True):
        length = length_um(size, axis.get("unit"))  # a size without a unit is none
        if letter in "ZYX" and length:
            size_um[letter.lower()] = length
        if letter == "T":
            step_s = time_s(size, axis.get("unit"))
    names = tuple(str(channel.get("label") or "") for channel in attributes.get("omero", {}).get("channels", []))
    known = len(letters) == array.ndim and set(letters) <= set(AXES) and len(set(letters)) == len(letters)
    return FileMetadata(
        where,
        letters if known else None,
        array.shape,
        array.dtype.newbyteorder("="),
        size_um,
        1 / step_s if step_s else None,
        names if names and all(names) else None,
        remarks,
    )


def _attributes(group: Any) -> dict[str, Any]:
    attributes = dict(group.attrs)
    return dict(attributes["ome"]) if isinstance(attributes.get("ome"), Mapping) else attributes


def _chunks_of(array: zarr.Array[Any], axes: str, t: int, channel: int) -> Iterator[str]:
    """Yields the names of the chunks, or shards, that hold a channel of a volume."""
    size = array.shards or array.chunks
    ranges = [
        range(at // n, at // n + 1) if isinstance(at, int) else range(-(-whole // n))
        for at, whole, n in zip(at_time(axes, t, channel), array.shape, size, strict=True)
    ]
    yield from (array.metadata.encode_chunk_key(place) for place in product(*ranges))


def _stored(array: zarr.Array[Any], key: str) -> bool:
    place = array.store_path / key
    return bool(sync(place.store.exists(place.path)))


def _lacking(array: zarr.Array[Any], folder: Path) -> Iterator[str]:
    """Says that chunks are not stored, which zarr reads as if they were dark."""
    n_stored, n_chunks = 0, int(np.prod([-(-whole // n) for whole, n in zip(array.shape, array.shards or array.chunks, strict=True)]))
    for _, _, names in os.walk(folder):
        n_stored += sum(name not in METADATA_FILES and not name.endswith(".partial") for name in names)
    yield from dark_chunks(n_stored, n_chunks, array.fill_value)


def zarr_files(root: Path, folder: Path) -> Files:
    """Lists what makes the fingerprint: metadata and evenly sampled chunks whole, of the other chunks name and size.

    Args:
        root: Of the image.
        folder: Of its array.
    """
    listed: list[tuple[str, Path | bytes, bool]] = []
    for place, prefix in dict.fromkeys([(root, "image"), (folder.parent, "image"), (folder, "array")]):
        listed += [(f"{prefix}/{name}", place / name, True) for name in METADATA_FILES if (place / name).is_file()]
    chunks = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        chunks += [Path(parent) / name for name in sorted(names) if name not in METADATA_FILES and not name.endswith(".partial")]
    every = max(1, len(chunks) // _SAMPLED_CHUNKS)
    listed += [(chunk.relative_to(folder).as_posix(), chunk, i % every == 0) for i, chunk in enumerate(chunks)]
    return listed


def _files_afar(root: Any, arrays: Sequence[zarr.Array[Any]], inside: Sequence[str]) -> Files:
    """Lists metadata and evenly sampled chunks: a server does not list, and asking for the size of every chunk would take hours."""
    said = json.dumps(
        {"attributes": dict(root.attrs), "arrays": [array.metadata.to_dict() for array in arrays]}, sort_keys=True, default=str
    )
    yield "metadata", said.encode(), True
    for name, array in zip(inside, arrays, strict=True):
        counts = [-(-whole // n) for whole, n in zip(array.shape, array.shards or array.chunks, strict=True)]
        for flat in np.unique(np.linspace(0, int(np.prod(counts)) - 1, _SAMPLED_CHUNKS).astype(np.int64)):
            key = array.metadata.encode_chunk_key(tuple(int(i) for i in np.unravel_index(flat, counts)))
            yield f"{name}/{key}", _bytes_afar(array, key), True


def _bytes_afar(array: zarr.Array[Any], key: str) -> bytes:
    from zarr.core.buffer import default_buffer_prototype

    place = array.store_path / key
    try:
        buffer = sync(place.store.get(place.path, default_buffer_prototype()))
    except Exception as error:  # each server, and what asks it, has its own
        raise InputError(f"{shown(str(place))}: cannot be read: {scrubbed(first_line(error))}") from None
    return b"" if buffer is None else buffer.to_bytes()
