"""A minimal ND2 of version 3, laid out as the package nd2 reads it.

Nobody but Nikon writes ND2, and no file of theirs may be kept here: what this shows is that the reader goes right with the package nd2,
not that the package goes right with Nikon's files, which its own tests show.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

MAGIC, HEADER = 0x0ABECEDA, struct.Struct("<IIQ")
KINDS = {bool: "bool", int: "lx_uint32", float: "double", str: "CLxStringW"}


def write(
    path: Path,
    voxels: np.ndarray,
    *,
    names: tuple[str, ...],
    positions: int = 1,
    recorded: int | None = None,
    times_s: Sequence[float] | None = None,
) -> Path:
    """Writes (T, C, Z, Y, X) voxels, a frame a plane; of several positions, p adds p to the voxels. Planned are 250 ms between volumes."""
    n_times, n_channels, depth, height, width = voxels.shape
    n_frames = n_times * positions * depth
    times_ms = 250.0 * np.arange(n_times) if times_s is None else 1000.0 * np.array(times_s)
    attributes = {
        "uiWidth": width, "uiHeight": height, "uiWidthBytes": width * n_channels * 2, "uiComp": n_channels, "uiBpcInMemory": 16,
        "uiBpcSignificant": 16, "uiSequenceCount": n_frames if recorded is None else recorded, "eCompression": 2,
    }  # fmt: skip
    planes = {f"a{c}": {"sDescription": name, "uiCompCount": 1, "pFluorescentProbe": {"m_x": 1}} for c, name in enumerate(names)}
    metadata = {"bCalibrated": True, "dCalibration": 0.35, "sPicturePlanes": {"uiCount": n_channels, "sPlaneNew": planes}}
    stack = {"eType": 4, "uLoopPars": {"uiCount": depth, "dZLow": 0.0, "dZHigh": 1.5 * (depth - 1), "dZStep": 1.5}}
    points = {f"p{p}": {"dPosX": float(p), "dPosY": 0.0, "dPosZ": 0.0} for p in range(positions)}
    where = {"eType": 2, "uLoopPars": {"Points": points, "bUseZ": False}, "ppNextLevelEx": {"i0": stack}}
    loop = {"uiCount": n_times, "dStart": 0.0, "dPeriod": 250.0, "dDuration": 0.0}
    experiment = {"eType": 1, "uLoopPars": loop, "ppNextLevelEx": {"i0": where if positions > 1 else stack}}
    chunks = {"ImageAttributesLV!": _xml(attributes), "ImageMetadataSeqLV|0!": _xml(metadata), "ImageMetadataLV!": _xml(experiment)}
    chunks["CustomData|AcqTimesCache!"] = np.repeat(times_ms, depth * positions).tobytes()
    for i, (t, p, z) in enumerate(np.ndindex(n_times, positions, depth)):
        if recorded is None or i < recorded:
            frame = (voxels[t, :, z] + p).transpose(1, 2, 0).astype("<u2")
            chunks[f"ImageDataSeq|{i}!"] = struct.pack("<d", times_ms[t]) + frame.tobytes()
    path.write_bytes(_file(chunks))
    return path


def _file(chunks: dict[str, bytes]) -> bytes:
    out = bytearray(HEADER.pack(MAGIC, 32, 64) + b"ND2 FILE SIGNATURE CHUNK NAME01!" + b"Ver3.0".ljust(64, b"\0"))
    places = {}
    for name, data in chunks.items():
        out += bytes(-len(out) % 4096)
        places[name] = (len(out), len(data))
        room = 4096 - HEADER.size - 8  # so that voxels, after the 8 bytes of a frame's time, begin where nd2 expects them
        out += HEADER.pack(MAGIC, room, len(data)) + name.encode().ljust(room, b"\0") + data
    at = len(out)
    table = b"".join(name.encode() + struct.pack("<QQ", *place) for name, place in places.items())
    table += b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", at)
    out += HEADER.pack(MAGIC, 32, len(table)) + b"ND2 FILEMAP SIGNATURE NAME 0001!" + table
    return bytes(out)


def _xml(values: dict[str, object]) -> bytes:
    return f'<variant version="1.0"><no_name runtype="CLxListVariant">{_inside(values)}</no_name></variant>'.encode()


def _inside(values: dict[str, object]) -> str:
    parts = []
    for name, value in values.items():
        if isinstance(value, dict):
            parts.append(f'<{name} runtype="CLxListVariant">{_inside(value)}</{name}>')
        else:
            parts.append(f'<{name} runtype="{KINDS[type(value)]}" value={quoteattr(str(value))}/>')
    return "".join(parts)
