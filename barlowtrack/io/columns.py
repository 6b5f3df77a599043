"""Names, units and meaning of every column of every table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

TableName = Literal[
    "detections",
    "volumes",
    "light",
    "places",
    "tracks",
    "candidates",
    "neurons",
    "absences",
    "corrections",
    "traces",
    "swaps",
    "bleaching",
    "truth",
]

_T = ("volume", "Volume, counted from 0.")
_LABEL = ("", "Label of the nucleus in the label image of its volume; from 1, unique in the volume.")
_Z, _Y, _X = (("um", f"Centroid along {axis}; the centre of the first voxel lies at 0.") for axis in "zyx")


def _light(of: str) -> dict[str, tuple[str, str]]:
    """Columns of what was read of every row, which is a nucleus or a place."""
    readings = {
        "mean": f"Mean over the voxels of the {of}.",
        "soft": "The same, each voxel weighted by its distance to the rim, so that the middle counts most.",
        "brightest": "Mean over its brightest voxels; measure.brightest_voxels says how many.",
        "background": "Percentile of the shell around it, without any nucleus; of the whole volume where that shell is too small.",
        "shell": "Median of the same voxels.",
        "shell_spread": "How far the darker half of them lies below their median, as a standard deviation: the noise of one voxel.",
    }
    colours = {"red": "Reference channel. ", "green": "Signal channel; empty where there is none. "}
    return {
        **{f"{c}_{name}": ("camera units", said + text) for name, text in readings.items() for c, said in colours.items()},
        "voxels": ("voxels", "How many were read."),
        "crowding": ("", "0 to 1: share of the shell that nuclei fill."),
        "edge": ("", "1: it touches the border of the volume, part of it was not filmed; else 0."),
        "saturated": ("", "0 to 1: share of its voxels at which the camera was at its end, in either channel."),
    }


TABLES: Mapping[TableName, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "detections": {
            "t": _T,
            "label": _LABEL,
            "z_um": _Z,
            "y_um": _Y,
            "x_um": _X,
            "volume_um3": ("um^3", "Size of the nucleus."),
            "red_mean": ("camera units", "Mean of the reference channel over the nucleus."),
            "red_peak": ("camera units", "Maximum of the reference channel in the nucleus."),
            "green_mean": ("camera units", "Mean of the signal channel over the nucleus; empty where there is no such channel."),
            "green_peak": ("camera units", "Maximum of the signal channel in the nucleus; empty where there is no such channel."),
            "quality": ("noise", "Contrast of the nucleus in units of the noise of its volume; larger is better."),
            "probability": (
                "",
                "0 to 1: that this is a nucleus, as the star-convex network says; empty where another method, or a person, found it.",
            ),
        },
        "volumes": {
            "t": _T,
            "nuclei": ("", "Nuclei found."),
            "contrast": ("noise", "Median contrast of its nuclei, in units of its noise; 0 without any."),
            "sharpness": ("1/um", "How steep light is in its nuclei over how much light there is; blur lowers it; 0 without any."),
            "junk": ("", "1: far fewer nuclei, far less contrast or far less sharp than usual here: nothing is learned from it; else 0."),
        },
        "tracks": {
            "t": _T,
            "label": _LABEL,
            "neuron": ("", "Identity, counted from 0, the same in every volume; empty where unknown."),
            "probability": ("", "0 to 1: that the identity is right; without identity: that it is none of the neurons."),
            "z_um": _Z,
            "y_um": _Y,
            "x_um": _X,
        },
        "candidates": {
            "t": _T,
            "label": _LABEL,
            "rank": ("", "1: the likeliest, or the one that was chosen; 2: the next; 3."),
            "neuron": ("", "Identity that this nucleus may have."),
            "probability": ("", "0 to 1: that it has; what the ranks of a nucleus leave is that it is nobody we know."),
        },
        "neurons": {
            "neuron": ("", "Identity, counted from 0."),
            "name": ("", "What people call it; empty where nobody said."),
            "volumes": ("", "Volumes in which it was found."),
            "probability": ("", "0 to 1: mean over these that it is the right one."),
            "entry": ("", "Which entry of the atlas it is; empty where a person added it."),
        },
        "absences": {
            "t": _T,
            "neuron": ("", "Identity that no nucleus of this volume was given."),
            "probability": ("", "0 to 1: that it is really not among them."),
        },
        "corrections": {
            "when": ("", "ISO 8601, UTC."),
            "who": ("", "Said it."),
            "what": ("", "is, not-a-neuron, absent, name, merge, split, add, divide or undo."),
            "t": ("volume", "Volume, counted from 0; of a split, the first in which it is another neuron."),
            "until": ("volume", "Of a split, the last; empty: to the end."),
            "label": ("", "Label of the detection that is meant."),
            **{
                f"{axis}_um": (
                    "um",
                    f"Position of that detection along {axis}; stands for it where the label is empty or lies elsewhere. Of add, where the"
                    " nucleus lies; of divide, where the first of two does.",
                )
                for axis in "zyx"
            },
            "neuron": ("", "Identity, or name."),
            "other": (
                "",
                "Name it gets; neuron that is the same; name of the neuron that is split off; where the second of two nuclei lies, z y x in"
                " um with spaces between; line that is undone.",
            ),
            "atlas": ("", "Whose identities these are; empty: those of the row above, or of the atlas at hand."),
        },
        "light": {"t": _T, "label": _LABEL, **_light("nucleus")},
        "places": {
            "t": _T,
            "entry": ("", "Entry of the atlas that should lie there; no nucleus fills the place."),
            **{f"{axis}_um": ("um", f"Where it should lie along {axis}.") for axis in "zyx"},
            **_light("ball there that no nucleus has"),
        },
        "traces": {
            "t": _T,
            "neuron": ("", "Identity, counted from 0, the same in every volume."),
            "name": ("", "What people call it; empty where nobody said."),
            "time_s": ("s", "Time since the first volume; empty where the rate of volumes is unknown."),
            "red": ("camera units", "Reference channel, background subtracted, bleaching undone; empty where there is no value."),
            "green": ("camera units", "Signal channel, likewise."),
            "ratio": (
                "",
                "green / red; empty also where red is not positive. Bridged and smoothed, where that is asked for, by itself: then it is"
                " not quite the ratio of the two columns.",
            ),
            "dr_over_r0": (
                "",
                "(ratio - R0) / R0; empty also where R0 is not positive, of fewer than five values, or of light that does not stand out"
                " from the noise around it.",
            ),
            "df_over_f0": (
                "",
                "(green - F0) / F0; empty likewise. Where what moves alike in red was taken out, green and its baseline are without that,"
                " and the F0 that divides is of green as it was.",
            ),
            "probability": ("", "Probability, 0 to 1, that the value is this neuron's; empty where there is no value."),
            "source": ("", "Where the value comes from: none, seen, predicted or interpolated."),
            "flags": ("", "What to think of it, words with spaces between: edge, saturated, crowded, doubtful, swapped, dim; often empty."),
        },
        "swaps": {
            "first": ("volume", "From here on two neurons seem to be taken for each other."),
            "last": ("volume", "Up to here, included."),
            "neuron": ("", "One of them, the smaller identity."),
            "other": ("", "The other."),
            "evidence": ("", "Log likelihood ratio of the swap against none; larger is surer."),
        },
        "bleaching": {
            "t": _T,
            **{
                f"{colour}_{name}": text
                for colour in ("red", "green")
                for name, text in {
                    "level": ("", "Median over the neurons of their light relative to their own usual light; empty where nobody was seen."),
                    "fit": ("", "The curve that was divided out, 1 at the first volume; 1 throughout where nothing was."),
                    "kind": ("", "What was fitted: none, mono or bi."),
                }.items()
            },
        },
        "truth": {
            "t": _T,
            "neuron": ("", "True identity: any whole number, the same in every volume."),
            "z_um": _Z,
            "y_um": _Y,
            "x_um": _X,
            "activity": ("", "True activity; this column may be absent."),
        },
    }
)
"""Table -> column -> (unit, sentence). The reference in the docs is made from this."""
