"""The field's standard tracking scores, by the package that the Cell Tracking Challenge keeps."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import UNKNOWN, IntArray

STANDARD_METRICS = ("IDF1", "HOTA", "MOTA", "DET", "LNK", "TRA")
"""HOTA is taken at one localisation threshold, the gate. TRA and LNK look excellent while identity is broken."""

NOT_INSTALLED = "not installed (pip install barlowtrack[metrics])"


def standard_metrics(
    t: IntArray, neuron: IntArray, true_t: IntArray, true_neuron: IntArray, truth_row: IntArray, matched: IntArray
) -> dict[str, float | str]:
    """Computes IDF1, HOTA, MOTA, DET, LNK and TRA; only detections with an id take part.

    Args:
        t: (N,) volume of our detections.
        neuron: (N,) their ids.
        true_t: (M,) volume of the true detections.
        true_neuron: (M,) their ids.
        truth_row: Rows of truth that are scored.
        matched: (N,) row of truth that a detection is, or -1.

    Returns:
        A number for each, or a text that says why there is none.

    Reference:
        Ristani 2016 (IDF1), Luiten 2020 (HOTA), Bernardin 2008 (MOTA), Matula 2015 (DET, LNK, TRA).
    """
    try:
        from ctc_metrics.metrics import det, hota, idf1, lnk, mota, tra
        from ctc_metrics.utils.representations import count_acyclic_graph_correction_operations as count_operations
    except ImportError:
        return dict.fromkeys(STANDARD_METRICS, NOT_INSTALLED)
    ours = np.flatnonzero((neuron != UNKNOWN) & np.isin(t, true_t[truth_row]))
    if not len(truth_row):
        return dict.fromkeys(STANDARD_METRICS, "no true detection to score")
    if not len(ours):
        return dict.fromkeys(STANDARD_METRICS, 0.0)
    if len(np.unique(np.stack([t[ours], neuron[ours]]), axis=1).T) < len(ours):
        return dict.fromkeys(STANDARD_METRICS, "not defined: an id occurs twice in a volume")

    frames, true_frame = np.unique(true_t[truth_row], return_inverse=True)
    frame = np.searchsorted(frames, t[ours])
    place = np.full(len(true_t), -1)
    place[truth_row] = np.arange(len(truth_row))
    pair = np.flatnonzero(matched[ours] >= 0)
    true_of_pair = place[matched[ours[pair]]]

    true_id, our_id = _count_from_one(true_neuron[truth_row]), _count_from_one(neuron[ours])
    whole = _by_frame(len(frames), true_frame, frame, true_id, our_id, true_of_pair, pair)
    scores: dict[str, float | str] = {
        "IDF1": float(idf1(*whole)["IDF1"]),
        "HOTA": float(hota(*whole)["HOTA"]),
        "MOTA": float(mota(*whole)["MOTA"]),
    }
    if len(frames) == 1:
        return scores | dict.fromkeys(("DET", "LNK", "TRA"), "not defined: one volume has no links")
    true_piece, true_pieces = _pieces(true_frame, true_id)
    our_piece, our_pieces = _pieces(frame, our_id)
    parts = _by_frame(len(frames), true_frame, frame, true_piece, our_piece, true_of_pair, pair)
    operations = count_operations(true_pieces, our_pieces, *parts)
    links = float(lnk(**operations)) if operations["num_edges"] else "not defined: no neuron is seen twice"
    return scores | {"DET": float(det(**operations)), "LNK": links, "TRA": float(tra(**operations)[0])}


def _count_from_one(ids: IntArray) -> IntArray:
    return np.unique(ids, return_inverse=True)[1] + 1


def _by_frame(
    n_frames: int,
    true_frame: IntArray,
    frame: IntArray,
    true_id: IntArray,
    our_id: IntArray,
    true_of_pair: IntArray,
    pair: IntArray,
) -> tuple[list[IntArray], list[IntArray], list[IntArray], list[IntArray]]:
    """Returns true ids, our ids, and the two of every pair, each a list of arrays, one a frame.

    The ids of a frame are sorted: the package takes the rank of an id in its frame for its place, and counts wrong otherwise.
    """
    return (
        [np.sort(ids) for ids in _split(n_frames, true_frame, true_id)],
        [np.sort(ids) for ids in _split(n_frames, frame, our_id)],
        _split(n_frames, frame[pair], true_id[true_of_pair]),
        _split(n_frames, frame[pair], our_id[pair]),
    )


def _split(n_frames: int, frame: IntArray, values: IntArray) -> list[IntArray]:
    order = np.argsort(frame, kind="stable")
    return np.split(values[order], np.searchsorted(frame[order], np.arange(1, n_frames)))


def _pieces(frame: IntArray, ids: IntArray) -> tuple[IntArray, IntArray]:
    """Cuts tracks at gaps, as the challenge's format has it: a piece after a gap is the child of the one before.

    Returns:
        (n,) piece of every detection, from 1; (P, 4) piece, first frame, last frame, parent (0 = none).
    """
    order = np.lexsort((frame, ids))
    new_track = np.diff(ids[order], prepend=-1) != 0
    new_piece = new_track | (np.diff(frame[order], prepend=-2) != 1)
    piece = np.empty(len(ids), np.int64)
    piece[order] = np.cumsum(new_piece)
    first = np.flatnonzero(new_piece)
    last = np.append(first[1:] - 1, len(ids) - 1)
    number = np.arange(1, len(first) + 1)
    parent = np.where(new_track[first], 0, number - 1)
    return piece, np.stack([number, frame[order][first], frame[order][last], parent], axis=1)
