"""Trackers of others, given the same positions: laptrack and byotrack, each with the best of four settings.

Both link detections through time; a track is an id. The truth chooses their setting, which it never does for ours; the settings themselves
were picked on the labels of the first 119 volumes of the real points, on which Kalman filters with a velocity did worst.
Lengths are told to them in tenths of the median neighbour distance, so that their defaults, meant for pixels, find nuclei ten pixels apart.

    pip install "barlowtrack[bench]"
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray
from barlowtrack.identity.volumes import neighbour_distance_um

Link = Callable[[list[FloatArray]], list[IntArray]]
"""Positions (n_t, 3) of every volume to the id of each, UNKNOWN where there is none."""

PIXELS = 10.0  # a neighbour distance
GAP = 10  # volumes after which a lost track is not taken up again


def laptrack_settings() -> dict[str, Link]:
    """Linear assignment between successive volumes, then between ends and beginnings of tracks (Jaqaman et al. 2008)."""
    from laptrack import LapTrack

    def linked(gate: float, gap: int) -> Link:
        most = (gate * PIXELS) ** 2
        tracker = LapTrack(cutoff=most, gap_closing_cutoff=most if gap else False, gap_closing_max_frame_count=gap)
        return lambda volumes: _numbered(volumes, _chains(tracker.predict(volumes)))

    ways = {f"gate {gate}, gaps of {GAP}": linked(gate, GAP) for gate in (3, 5, 8)}
    return {"gate 2, no gaps": linked(2, 0)} | ways  # tens of thousands of short tracks take hours to join


def _chains(tree: Any) -> Iterable[list[tuple[int, int]]]:
    import networkx

    return ([(int(t), int(i)) for t, i in chain] for chain in networkx.weakly_connected_components(tree))


def byotrack_settings() -> dict[str, Link]:
    """Nearest neighbours (Reme et al. 2024), of the last position or of a running mean, or stitched (EMC2, Lagache et al. 2021)."""
    import byotrack
    import torch
    from byotrack.implementation.linker.frame_by_frame.nearest_neighbor import NearestNeighborLinker, NearestNeighborParameters
    from byotrack.implementation.refiner.stitching.emc2 import EMC2Stitcher

    def linked(gate: float, mean: float = 0.0, *, stitched: bool = False) -> Link:
        def link(volumes: list[FloatArray]) -> list[IntArray]:
            low = np.min([points.min(0) for points in volumes if len(points)], axis=0)
            found = [byotrack.PointDetections(torch.from_numpy((points - low).astype(np.float32))) for points in volumes]
            dark = np.zeros((len(volumes), 1, 1, 1, 1), np.float32)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # bars and counts
                tracks = NearestNeighborLinker(NearestNeighborParameters(gate * PIXELS, n_gap=GAP, ema=mean)).run(dark, found)
                if stitched:
                    tracks = EMC2Stitcher(eta=gate * PIXELS).run(dark, tracks)
            chains = ([(track.start + k, int(i)) for k, i in enumerate(track.detection_ids) if i >= 0] for track in tracks)
            return _numbered(volumes, chains)

        return link

    return {
        "gate 3": linked(3),
        "gate 5, EMC2": linked(5, stitched=True),
        "gate 5, mean .8": linked(5, 0.8),
        "gate 8, mean .8": linked(8, 0.8),
    }


SETTINGS = {"laptrack": laptrack_settings, "byotrack": byotrack_settings}


def best(
    tools: Iterable[str], detections: Detections, score: Callable[[IntArray], float]
) -> tuple[dict[str, Callable[[Any], tuple[IntArray, None]]], list[str]]:
    """Returns each tool in the setting that scores best, as a method of bench_track.py, and lines that say which, or that it is absent."""
    methods: dict[str, Callable[[Any], tuple[IntArray, None]]] = {}
    said = []
    for tool in tools:
        try:
            settings = SETTINGS[tool]()
        except ImportError as error:
            said.append(f"{tool}: not installed ({error})")
            continue
        scores = {name: _score(link, detections, score) for name, link in settings.items()}
        winner = max(scores, key=lambda name: scores[name])
        methods[tool] = lambda _, link=settings[winner]: (_ids(link, detections), None)
        said.append(f"{tool}: " + "; ".join(f"{name} " + (f"{value:.3f}" if value >= 0 else "failed") for name, value in scores.items()))
    return methods, said


def _score(link: Link, detections: Detections, score: Callable[[IntArray], float]) -> float:
    """-1 where the tool gives up: EMC2 solves for a warp that two volumes with few tracks in common do not determine."""
    try:
        return score(_ids(link, detections))
    except RuntimeError:
        return -1.0


def _ids(link: Link, detections: Detections) -> IntArray:
    scale = PIXELS / neighbour_distance_um(detections)
    place = detections.position_um.astype(np.float64) * scale
    given = link([place[detections.rows_of(t)] for t in range(detections.n_volumes)])
    return np.concatenate([*given, np.zeros(0, np.int64)])


def _numbered(volumes: list[FloatArray], chains: Iterable[list[tuple[int, int]]]) -> list[IntArray]:
    given = [np.full(len(points), UNKNOWN) for points in volumes]
    for number, chain in enumerate(chains):
        for t, i in chain:
            given[t][i] = number
    return given
