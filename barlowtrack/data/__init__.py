"""The nouns of the pipeline. Frozen; each checks itself once, when it is made.

Row i of Detections, Embeddings, Identities and Tracks is the same nucleus. Axes are always T C Z Y X; positions are (z, y, x) in um,
and the centre of voxel (0, 0, 0) lies at 0 um. Volumes and neurons count from 0.
"""

from barlowtrack.data.amendments import AmendedVolume, Amendments
from barlowtrack.data.arrays import UNKNOWN, BoolArray, FloatArray, IntArray, VoxelArray, medians_by
from barlowtrack.data.corrections import Correction, Corrections, Witnesses
from barlowtrack.data.costs import StageCost
from barlowtrack.data.crops import CropBatch, Crops, CropSource, Embeddings
from barlowtrack.data.detections import LEAST_SHARE, Detections, Segmentation, VolumeLooks
from barlowtrack.data.identities import Amended, Candidates, Clicks, Identities, Neurons, Tracked, Tracks
from barlowtrack.data.light import Light, MeasuredVolume, Places
from barlowtrack.data.preparation import Deconvolution, Preparation, Shifts
from barlowtrack.data.progress import Progress, silent
from barlowtrack.data.recording import Labels, Recording, VolumeSource
from barlowtrack.data.span import span_of
from barlowtrack.data.traces import Bleaching, Flag, Source, Swaps, Traced, Traces, Truth

__all__ = [
    "Traced",
    "Swaps",
    "Source",
    "Places",
    "Light",
    "Flag",
    "Bleaching",
    "LEAST_SHARE",
    "UNKNOWN",
    "Amended",
    "AmendedVolume",
    "Amendments",
    "BoolArray",
    "Candidates",
    "Clicks",
    "Correction",
    "Corrections",
    "CropBatch",
    "CropSource",
    "Crops",
    "Deconvolution",
    "Detections",
    "Embeddings",
    "FloatArray",
    "Identities",
    "IntArray",
    "Labels",
    "MeasuredVolume",
    "Neurons",
    "Preparation",
    "Progress",
    "Recording",
    "Segmentation",
    "Shifts",
    "StageCost",
    "Traces",
    "Tracked",
    "Tracks",
    "Truth",
    "VolumeLooks",
    "VolumeSource",
    "VoxelArray",
    "Witnesses",
    "medians_by",
    "silent",
    "span_of",
]
