"""How the camera of the signal lies against that of the reference: the two see the same nuclei, in other brightness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from barlowtrack.data import FloatArray
from barlowtrack.errors import InputError
from barlowtrack.preparing.spots import Pictures, peak, spots

TILE_VOX = 64
REACH_VOX = 16
"""A tile is looked for as far as this from where it is thought to be."""
FURTHEST = 0.25
"""The whole picture is, as a share of its size."""
LEAST_CORRELATION = 0.25
FEWEST_TILES = 12
OUTLIER_VOX = 0.5
ROUNDS = 4
NO_CHANGE = np.eye(2, 3)


def projection(channel: FloatArray) -> FloatArray:
    """Returns (Y, X) maximum of a channel (Z, Y, X) along its depth, as spots."""
    flat: FloatArray = spots(channel.max(axis=0)[None])[0]
    return flat


def lie_of_camera(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, float]:
    """Measures an affine map on projections.

    The whole picture first, then tile by tile, each time with the signal as it lies by what is known: what the tiles still say is fitted
    by a map that trusts those less which contradict the others.

    Args:
        pairs: Reference and signal (Y, X) of several volumes; see projection.

    Returns:
        (2, 3) from a place (y, x) of the reference to that of the signal, in voxels, and the median distance in voxels at which tiles
        disagree with it.

    Raises:
        InputError: the two have too little in common.
    """
    matrix: FloatArray = NO_CHANGE.copy()
    matrix[:, 2] = _whole(pairs)
    distance = float("nan")
    for _ in range(ROUNDS):
        here, there, weight = _tiles(pairs, matrix)
        if len(here) < FEWEST_TILES:
            raise InputError(
                f"prepare: alignment: expected at least {FEWEST_TILES} places where both channels show the same, got {len(here)}; are they"
                " two colours of one animal? Else give [prepare] alignment_matrix, or leave alignment out"
            )
        matrix, distance = _fitted(here, there, weight)
    return matrix, distance


def displacement(matrix: FloatArray, shape: tuple[int, int]) -> float:
    """Returns how far the map moves places of a picture (Y, X), root mean square over its corners and middle, in voxels."""
    (height, width) = shape
    at = np.array([(y, x, 1.0) for y in (0, (height - 1) / 2, height - 1) for x in (0, (width - 1) / 2, width - 1)])
    return float(np.sqrt(np.mean(np.sum((at @ (matrix - NO_CHANGE).T) ** 2, axis=1))))


def correlation(pairs: Sequence[tuple[FloatArray, FloatArray]], matrix: FloatArray) -> float:
    """Returns the mean correlation of reference and signal when the signal is laid over it."""
    found = []
    for reference, signal in pairs:
        laid = _laid(signal, matrix)
        length = float(np.linalg.norm(reference) * np.linalg.norm(laid))
        found.append(float(np.sum(reference * laid)) / length if length > 0 else 0.0)
    return float(np.mean(found))


def _laid(signal: FloatArray, matrix: FloatArray) -> FloatArray:
    return np.asarray(ndimage.affine_transform(signal, matrix[:, :2], matrix[:, 2], order=1, mode="constant"))


def _whole(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """Returns (2,) how far the signal lies off as a whole, by the correlation of all volumes together."""
    shape = pairs[0][0].shape
    pictures = Pictures((shape[0], shape[1]), (int(FURTHEST * shape[0]), int(FURTHEST * shape[1])))
    surface = sum(pictures.overlay(pictures.transformed(one), pictures.transformed(other)) for one, other in pairs)
    shift, _ = peak(np.asarray(surface))
    return np.where(np.isfinite(shift), shift, 0.0)


def _tiles(pairs: Sequence[tuple[FloatArray, FloatArray]], matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns places of the reference, places of the signal that show the same (both (n, 2)), and how alike they are."""
    height, width = pairs[0][0].shape
    size = (min(TILE_VOX, height), min(TILE_VOX, width))
    window = np.outer(np.hanning(size[0] + 2)[1:-1], np.hanning(size[1] + 2)[1:-1])
    pictures = Pictures(size, (REACH_VOX, REACH_VOX))
    corners = [(y, x) for y in _steps(height, size[0]) for x in _steps(width, size[1])]
    here, there, weight = [], [], []
    for reference, signal in pairs:
        laid, least = _laid(signal, matrix), 0.2 * np.linalg.norm(reference) / np.sqrt(len(corners))
        for y, x in corners:
            tiles = [picture[y : y + size[0], x : x + size[1]] * window for picture in (reference, laid)]
            if np.linalg.norm(tiles[0]) < least:
                continue
            shift, alike = peak(pictures.overlay(*(pictures.transformed(tile) for tile in tiles)))
            if alike > LEAST_CORRELATION and np.isfinite(shift).all():
                power = tiles[0] ** 2
                at = np.array([np.sum(power.sum(axis=1 - axis) * np.arange(size[axis])) for axis in (0, 1)]) / power.sum() + (y, x)
                here.append(at)
                there.append(matrix[:, :2] @ (at + shift) + matrix[:, 2])
                weight.append(alike**2)
    return np.array(here).reshape(-1, 2), np.array(there).reshape(-1, 2), np.array(weight)


def _steps(length: int, size: int) -> list[int]:
    corners: list[int] = np.unique(np.linspace(0, length - size, max(1, 2 * length // size - 1)).round().astype(int)).tolist()
    return corners


def _fitted(here: FloatArray, there: FloatArray, weight: FloatArray) -> tuple[FloatArray, float]:
    """Fits an affine map by least squares, again and again with less trust in what lies far from it."""
    middle = here.mean(axis=0)
    known, trusted = np.c_[here - middle, np.ones(len(here))], weight.copy()
    fitted, away = np.zeros((3, 2)), np.zeros(len(here))
    for _ in range(20):
        root = np.sqrt(trusted)[:, None]
        fitted = np.linalg.lstsq(known * root, there * root, rcond=None)[0]
        away = np.linalg.norm(there - known @ fitted, axis=1)
        trusted = weight / (1 + (away / OUTLIER_VOX) ** 2)
    matrix = fitted.T  # (2, 3)
    matrix[:, 2] -= matrix[:, :2] @ middle
    return matrix, float(np.median(away))
