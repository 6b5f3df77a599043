"""The thresholds of a trained star-convex network, chosen on volumes it did not learn from."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import FloatArray, IntArray
from barlowtrack.detect.agreement import overlaps
from barlowtrack.nn.brightness import Brightness
from barlowtrack.nn.candidates import candidates
from barlowtrack.nn.instances import draw
from barlowtrack.nn.segmentation_model import Thresholds
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_training import Pair

LEAST_PROB = 0.15
NMS = (0.2, 0.3, 0.4, 0.5)
IOUS = (0.3, 0.5, 0.7)  # over which StarDist averages too
TOLERANCE = 0.01
STEPS = np.arange(LEAST_PROB, 0.96, 0.01)


def choose_thresholds(net: StarConvexNet, pairs: list[Pair], brightness: Brightness) -> tuple[Thresholds, float]:
    """Chooses the smallest least probability whose F2 is within TOLERANCE of the largest.

    F2 = 5 TP / (5 TP + 4 FN + FP), averaged over volumes and over intersections over unions of 0.3, 0.5 and 0.7: it counts what is found
    twice as much as what is right among it. A nucleus that is missed is lost to all that follows; a false one is left over by tracking.

    Suppression works from the most probable object down, so that a higher least probability only drops objects; hence the network runs
    once a volume, suppression once a threshold, and the least probability is read off a curve.

    Args:
        net: In evaluation mode.
        pairs: Held out.
        brightness: Of the model.

    Returns:
        Thresholds, and the F2 they reach.

    Reference:
        stardist 0.9.2, StarDistBase.optimize_thresholds, which does the same for accuracy, TP / (TP + FP + FN); van Rijsbergen 1979 for F2.
    """
    curves = []
    looked = [candidates(net, brightness.lift(np.asarray(pair.image, np.float32)), LEAST_PROB, border=0) for pair in pairs]
    for nms in NMS:
        curve = np.zeros(len(STEPS))
        for pair, found in zip(pairs, looked, strict=True):
            z, y, x = pair.labels.shape
            drawn = draw(found, net.spec, nms, (z, y, x))
            curve += _f2(overlaps(pair.labels, drawn.labels), drawn.prob)
        curves.append(curve / max(len(pairs), 1))
    best = int(np.argmax([curve.max() for curve in curves]))
    at = int(np.flatnonzero(curves[best] >= curves[best].max() - TOLERANCE)[0])
    return Thresholds(round(float(STEPS[at]), 2), NMS[best]), float(curves[best][at])


def _f2(iou: FloatArray, prob: FloatArray) -> FloatArray:
    """Returns the mean F2 of a volume for every least probability in STEPS; iou: (true, found), prob: (found,)."""
    said = np.zeros(len(STEPS))
    for least_iou in IOUS:
        partner = _partners(iou, least_iou)
        for i, least in enumerate(STEPS):
            kept = prob > least
            right = int((partner[kept] >= 0).sum())
            said[i] += 5 * right / max(4 * iou.shape[0] + int(kept.sum()), 1) / len(IOUS)
    return said


def _partners(iou: FloatArray, least: float) -> IntArray:
    """Returns the true object of every found one, -1 for none; from one half up a pair is unique, below the best ones are taken first."""
    partner = np.full(iou.shape[1], -1)
    true, found = np.nonzero(iou >= least)
    taken: set[int] = set()
    for k in np.argsort(-iou[true, found], kind="stable"):
        if int(true[k]) not in taken and partner[found[k]] < 0:
            taken.add(int(true[k]))
            partner[found[k]] = true[k]
    return partner
