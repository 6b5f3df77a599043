"""Who is who and what they do, in an NWB file: the processing module CalciumActivity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from barlowtrack.data import Flag, Source
from barlowtrack.exports.content import COLUMNS, Content, corrections_table, detections_table
from barlowtrack.exports.nwb_extension import extension
from barlowtrack.exports.nwb_images import Masks, clock
from barlowtrack.io.columns import TABLES

MODULE = "CalciumActivity"
_SERIES = {
    "red": ("ReferenceFluorescence", "ReferenceCalciumImResponseSeries", "camera units"),
    "green": ("SignalFluorescence", "SignalCalciumImResponseSeries", "camera units"),
    "ratio": ("SignalRatio", "RatioCalciumImResponseSeries", "n.a."),
    "df_over_f0": ("SignalDFoF", "SignalCalciumImResponseSeries", "n.a."),
    "dr_over_r0": ("SignalDRoR", "RatioCalciumImResponseSeries", "n.a."),
    "probability": ("IdentityProbability", "ProbabilityResponseSeries", "n.a."),
    "source": ("ValueSource", "SourceResponseSeries", "n.a."),
    "flags": ("ValueFlags", "FlagsResponseSeries", "n.a."),
}
"""Trace -> (container, series, unit): names that readers of published worms look for, and ours where they have none."""


def add_activity(file: Any, content: Content, volume: Any, masks: Masks) -> None:
    """Adds identities, places, activity, and what people said."""
    from pynwb.ophys import ImageSegmentation

    module = file.create_processing_module(
        MODULE, " ".join(["Identified neurons and their activity, by barlowtrack.", content.where]).strip()
    )
    neurons = _neurons(content, volume) if content.n_neurons else None  # columns of no rows have no type
    if neurons is not None:
        module.add(ImageSegmentation(name="NeuronCentres", plane_segmentations=[neurons]))
    module.add(masks.neurons)
    module.add(masks.nuclei)
    module.add(
        extension("SegmentationLabels")(
            name="NeuronIDs",
            labels=list(content.names) or [""],
            description="What people call the neurons, in the order of NeuronSegmentation; empty where nobody said.",
            MCVSeriesSegmentation=masks.neurons,
        )
    )
    if neurons is not None:
        _add_series(module, content, neurons)
        module.add(_centroids(content))
    for name, said, table in (
        ("Detections", "A row for every nucleus of every volume; neuron is -1 where it is unknown.", detections_table(content)),
        ("Candidates", "Who every nucleus may be, likeliest first.", content.candidates),
        ("Absences", "Neurons that a volume does not show.", content.absences),
        (
            "Corrections",
            "What people said against the identities; -1, NaN: nothing.",
            corrections_table(content.corrections),
        ),
    ):
        if len(table):  # the format's own inspector takes an empty table for a mistake
            module.add(_table(name, said, table))


def _neurons(content: Content, volume: Any) -> Any:
    """A row a neuron, its mask the voxel in which it lies in the middle of its places; of weight 0 where it was never found."""
    from pynwb.ophys import PlaneSegmentation

    table = PlaneSegmentation(
        name="NeuronSegmentation",
        description="The neurons. voxel_mask: one voxel (x, y, z) at the median of its places, of weight 0 if it was never found.",
        imaging_plane=volume,
    )
    said = COLUMNS["neurons"]
    for column, meaning in (
        ("ID_labels", said["name"][1]),
        *((name, said[name][1]) for name in ("neuron", "volumes", "probability", "entry")),
    ):
        table.add_column(column, meaning)
    place = content.matrix(content.position_vox[:, ::-1])
    frame = content.neurons
    for k in range(content.n_neurons):
        seen = place[k][np.isfinite(place[k]).all(1)]
        x, y, z = (max(round(float(axis)), 0) for axis in np.median(seen, 0)) if len(seen) else (0, 0, 0)
        entry = frame["entry"].iloc[k]
        table.add_row(
            voxel_mask=[(x, y, z, float(len(seen) > 0))],
            ID_labels=content.names[k],
            neuron=k,
            volumes=int(frame["volumes"].iloc[k]),
            probability=float(frame["probability"].iloc[k]),
            entry=-1 if pd.isna(entry) else int(entry),
        )
    return table


def _add_series(module: Any, content: Content, neurons: Any) -> None:
    from pynwb.ophys import DfOverF, Fluorescence, RoiResponseSeries

    codes = {
        "source": " Codes: " + ", ".join(f"{int(s)} {s.name.lower()}" for s in Source) + ".",
        "flags": " Bits: " + ", ".join(f"{int(f)} {f.name.lower()}" for f in Flag if f.name) + ".",
    }
    for name, (container, series, unit) in _SERIES.items():
        kind = DfOverF if container in ("SignalDFoF", "SignalDRoR") else Fluorescence
        values = getattr(content.traces, name)
        holder = kind(name=container)
        module.add(holder)  # first: a reference into a table wants to lie in the same file
        one = RoiResponseSeries(
            name=series,
            description=f"(volumes, neurons). {TABLES['traces'][name][1]} NaN: there is no value.{codes.get(name, '')}",
            data=np.ascontiguousarray(values.T),
            rois=neurons.create_roi_table_region("All neurons, in the order of the columns.", region=list(range(content.n_neurons))),
            unit=unit,
            **clock(content),
        )
        holder.add_roi_response_series(one)


def _centroids(content: Content) -> Any:
    """Where each neuron was, (volumes, 3) x, y, z in voxels; called by its name, or neuron_007."""
    from pynwb.behavior import Position, SpatialSeries

    place = content.matrix(content.position_vox[:, ::-1])
    digits = max(3, len(str(content.n_neurons - 1)))
    position = Position(name="NeuronCentroids")
    for k in range(content.n_neurons):
        position.add_spatial_series(
            SpatialSeries(
                name=f"neuron_{k:0{digits}d}",
                description=f"Centroid x, y, z of neuron {k} {content.names[k]}".strip() + "; NaN where it was not found.",
                data=place[k],
                unit="pixels",
                reference_frame="Pixels are voxels; the centre of the first one lies at 0.",
                **clock(content),
            )
        )
    return position


def _table(name: str, description: str, frame: pd.DataFrame) -> Any:
    from hdmf.common import DynamicTable, VectorData

    made = []
    for column in frame.columns:
        unit, meaning = COLUMNS[name.lower()][str(column)]
        called = "neuron_name" if column == "name" else str(column)  # a table has a name of its own
        made.append(VectorData(name=called, description=f"{meaning} Unit: {unit}." if unit else meaning, data=_values(frame[column])))
    return DynamicTable(name=name, description=description, columns=made, id=np.arange(len(frame)))


def _values(column: pd.Series) -> Any:
    """A column as HDF5 holds it: texts, numbers, whole numbers with -1 where there is none."""
    if isinstance(column.dtype, (pd.StringDtype, pd.CategoricalDtype)):
        return [text if isinstance(text, str) else "" for text in column]
    if column.dtype.kind in "iu" and column.isna().any():
        return column.fillna(-1).to_numpy(np.int64)
    return column.to_numpy()
