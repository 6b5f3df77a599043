"""StarDist's compiled suppression and drawing, called so that the interpreter is free meanwhile and Ctrl-C does what it should.

StarDist's own functions for Python hold the interpreter all the while: no other thread can even ask a GPU for the next volume. And they
catch SIGINT themselves: on Ctrl-C they return early with whatever is in memory, which looks like an answer, and nobody is told; after
drawing they never give SIGINT back. Here the same compiled functions are called through ctypes, which frees the interpreter; an answer
that was cut short is known by a mark, asked for again, and the signal is passed on to whom it was meant for.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from barlowtrack.data import FloatArray, IntArray, VoxelArray
from barlowtrack.errors import BarlowtrackError
from barlowtrack.nn.starconvex_spec import Triple

log = logging.getLogger(__name__)

_SUPPRESS = "_Z38_COMMON_non_maximum_suppression_sparsePKfS0_S0_iiiS0_PKifiiiPb"
_DRAW = "_Z27_COMMON_polyhedron_to_labelPKfS0_S0_PKiiiiS2_iiiiiiiPi"
_HANDLER = "_Z17my_signal_handleri"
"""Their names hold the types of their arguments: a StarDist that wants others has none of these names. Compilers other
than gcc and clang name things differently; then StarDist's own functions serve, with their faults."""

_UNSAID = 2  # neither 0 nor 1
_TRIES = 1000  # far more than anyone presses Ctrl-C

_lock, _running, _theirs = threading.Lock(), 0, None


def kept(dist: FloatArray, points: VoxelArray, prob: FloatArray, rays: Any, nms_thresh: float) -> NDArray[np.bool_]:
    """Says which polyhedra StarDist's suppression keeps.

    Args:
        dist: (K, R) positive, in voxels; the most probable first.
        points: (K, 3) z y x in voxels.
        prob: (K,).
        rays: StarDist's, R of them.
        nms_thresh: Of two that share more than this of the smaller one, the less probable one goes.

    Reference:
        Weigert et al. 2020, "Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy".
    """
    library = _library()
    if library is None:
        from stardist.lib.stardist3d import c_non_max_suppression_inds

        ends = (1, 1, 0, np.float32(nms_thresh))
        return np.asarray(c_non_max_suppression_inds(_float(dist), _float(points), *_table(rays), _float(prob), *ends), bool)
    said = np.empty(len(dist), np.uint8)
    arrays = [_float(a) for a in (prob, dist, points)]
    sizes, (vertices, faces) = (*dist.shape, len(rays.faces)), _table(rays)

    def ask() -> bool:
        said.fill(_UNSAID)
        ends = _at(vertices), _at(faces), ctypes.c_float(nms_thresh), 1, 1, 0, _at(said)  # bounding boxes, a tree, nothing printed
        getattr(library, _SUPPRESS)(*map(_at, arrays), *sizes, *ends)
        return not (said == _UNSAID).any()

    _until_said(library, ask)
    return said.astype(bool)


def drawn(dist: FloatArray, points: VoxelArray, prob: FloatArray, rays: Any, shape: Triple) -> IntArray:
    """Draws polyhedra into a volume, as StarDist's polyhedron_to_label does; where they overlap the more probable one shows.

    A ray longer than the volume's three sides together is cut there.

    Args:
        dist: (K, R) positive, in voxels.
        points: (K, 3) z y x in voxels.
        prob: (K,).
        rays: StarDist's, R of them.
        shape: Z, Y, X.

    Returns:
        (Z, Y, X) int32; polyhedron k is k + 1, 0 is background.
    """
    library = _library()
    if library is None:
        from stardist.geometry import polyhedron_to_label

        return np.asarray(polyhedron_to_label(dist, points, rays=rays, prob=prob, shape=shape, verbose=False), np.int32)
    order = np.argsort(prob)[::-1]  # as StarDist does it, equals included
    points, (vertices, faces) = _float(points[order]), _table(rays)
    dist = np.minimum(_float(dist[order]), _float(sum(shape) / np.linalg.norm(vertices, axis=1)))
    # the mark is one more polyhedron, drawn last, behind the volume's end where no other reaches
    farthest = float((points[:, 2] + (dist * vertices[:, 2]).max(axis=1)).max())
    mark = max(shape[2], int(np.ceil(farthest)) + 1) + 2
    dist, points = np.append(dist, np.ones((1, dist.shape[1]), np.float32), axis=0), np.append(points, _float([[0, 0, mark]]), axis=0)
    names = np.append(order + 1, 1).astype(np.int32)
    labels = np.empty((*shape[:2], mark + 2), np.int32)
    sizes = (*dist.shape, len(faces))

    def ask() -> bool:
        labels.fill(0)
        arrays = map(_at, (dist, points, vertices, faces))
        getattr(library, _DRAW)(*arrays, *sizes, _at(names), *labels.shape, 0, 0, 0, 0, _at(labels))
        return bool(labels[0, 0, mark])

    _until_said(library, ask)
    return np.ascontiguousarray(labels[:, :, : shape[2]])


def _until_said(library: ctypes.CDLL, ask: Callable[[], bool]) -> None:
    library.omp_set_num_threads(torch.get_num_threads())  # of this thread alone: others may ask at the same time
    for _ in range(_TRIES):
        with _borrowed_signal(library):
            complete = ask()
        if complete:
            return
        _interrupt()
    raise BarlowtrackError("StarDist's compiled geometry gave no answer")


@contextmanager
def _borrowed_signal(library: ctypes.CDLL) -> Iterator[None]:
    """Gives SIGINT back to whom it belongs when the last thread has left the compiled functions."""
    global _running, _theirs
    with _lock:
        if not _running:
            _theirs = _get_handler(signal.SIGINT)
            if _theirs == ctypes.cast(getattr(library, _HANDLER), ctypes.c_void_p).value:
                _theirs = None  # somebody drew with StarDist itself: whose SIGINT was is lost, so it ends the process as it would
        _running += 1
    try:
        yield
    finally:
        late = False
        with _lock:
            _running -= 1
            if not _running:
                _set_handler(signal.SIGINT, _theirs)
                caught = ctypes.c_int.in_dll(library, "IS_TERMINATED")
                late, caught.value = bool(caught.value), 0  # it came when there was nothing left to cut short
        if late:
            _interrupt()


def _interrupt() -> None:
    """Passes on a SIGINT that StarDist caught."""
    with _lock:
        _set_handler(signal.SIGINT, _theirs)
    os.kill(os.getpid(), signal.SIGINT)


_get_handler, _set_handler = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig  # signal.signal answers to the main thread alone
_get_handler.argtypes, _get_handler.restype = [ctypes.c_int], ctypes.c_void_p
_set_handler.argtypes, _set_handler.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p


@cache
def _library() -> ctypes.CDLL | None:
    """Returns StarDist's compiled library, or None where its build hides the functions or gives them other arguments."""
    from stardist.lib import stardist3d

    library = ctypes.CDLL(stardist3d.__file__)
    if all(hasattr(library, name) for name in (_SUPPRESS, _DRAW, _HANDLER, "IS_TERMINATED", "omp_set_num_threads")):
        return library
    log.warning("this build of StarDist hides its functions, so its own for Python are used: do not press Ctrl-C while nuclei are sought")
    return None


def _float(values: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)


def _table(rays: Any) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    return _float(rays.vertices), np.ascontiguousarray(rays.faces, np.int32)


def _at(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
