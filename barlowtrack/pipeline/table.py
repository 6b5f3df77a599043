"""STAGES: the table that alone knows the order.

Plan, cache, CLI, progress and docs come from it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from barlowtrack.errors import InputError


@dataclass(frozen=True)
class Stage:
    """One row of the table.

    Attributes:
        name: Verb; also its module in barlowtrack.stages, and its function there.
        needs: What it is made from, in the order of the function's positional parameters.
        makes: What it leaves in the run folder.
        does: One sentence.
        version: Raised by whoever changes what the stage computes; older results become stale.
        aspects: What it uses of the recording beside voxels, voxel size and the roles of the channels.
        sections: Sections of the settings it reads, or single settings of one ("track.position"); the first one's section is its config.
        seeded: Whether the run's seed changes its result.
        by_volume: Whether its parts are volumes, so that pieces can be made by jobs of their own.
        amends: Artefacts of which it makes another edition, by what it makes: whoever comes later, and everybody outside, gets that one;
            whoever comes before gets what was made first. Where nobody edits, it does nothing, and there is one edition.
        whole: Whether what it needs is read through before, and held against what was made; not where it looks at a few volumes.
        voxels: Whether it reads the recording, if it needs it; else it takes of it what the run folder knows, too.
        prepares: Whether all others see the recording through what it makes. Where its section asks for nothing, it does nothing, and keys
            are as if it were not there.
    """

    name: str
    needs: tuple[str, ...]
    makes: tuple[str, ...]
    does: str
    version: int = 1
    aspects: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    seeded: bool = False
    by_volume: bool = False
    amends: tuple[str, ...] = ()
    whole: bool = True
    voxels: bool = True
    prepares: bool = False

    def function(self) -> Callable[..., Any]:
        """Imports the stage's function."""
        found: Callable[..., Any] = getattr(importlib.import_module(f"barlowtrack.stages.{self.name}"), self.name)
        return found


STAGES = (
    Stage(
        "prepare",
        needs=("recording", "deconvolver"),
        makes=("preparation",),
        does="Put the pictures right, where the settings ask for it.",
        version=2,
        sections=("prepare",),
        prepares=True,
    ),
    Stage(
        "segment",
        needs=("recording", "segmenter"),
        makes=("detections", "volumes", "labels"),
        does="Find the nuclei of every volume.",
        version=2,
        sections=("segment",),
        by_volume=True,
    ),
    Stage(
        "crop",
        needs=("recording", "detections", "volumes"),
        makes=("crops",),
        does="Cut a box around the nuclei of the training volumes.",
        version=2,
        sections=("crop",),
    ),
    Stage(
        "train",
        needs=("crops", "detections", "start"),
        makes=("encoder", "history"),
        does="Get an encoder ready that tells the neurons apart, without labels.",
        version=2,
        sections=("train",),
        seeded=True,
    ),
    Stage(
        "embed",
        needs=("recording", "detections", "encoder"),
        makes=("embeddings",),
        does="Describe every nucleus by a vector.",
        sections=("embed",),
        by_volume=True,
    ),
    Stage(
        "identify",
        needs=("detections", "volumes", "embeddings"),
        makes=("atlas", "identities"),
        does="Learn which neurons there are, and lay that atlas over every volume.",
        version=2,
        sections=("track.position", "track.appearance"),
        seeded=True,
    ),
    Stage(
        "measure",
        needs=("recording", "labels", "detections", "identities"),
        makes=("light", "places"),
        does="Read the light of every nucleus, and where neurons should be that were not found.",
        version=2,
        sections=("measure",),
        by_volume=True,
    ),
    Stage(
        "amend",
        needs=("recording", "labels", "detections", "embeddings", "encoder", "identities", "light", "edits"),
        makes=("amendments",),
        does="Add and divide nuclei where people say so.",
        version=2,
        sections=("measure",),
        amends=("labels", "detections", "embeddings", "identities", "light", "places"),
        whole=False,
    ),
    Stage(
        "track",
        needs=("detections", "embeddings", "atlas", "identities", "corrections"),
        makes=("tracks", "candidates", "neurons", "absences"),
        does="Decide which nuclei are the same neuron, and how surely.",
        version=4,
        sections=("track.min_probability", "track.max_error"),
    ),
    Stage(
        "trace",
        needs=("recording", "light", "places", "detections", "identities", "tracks", "neurons", "absences"),
        makes=("traces", "wide", "swaps", "bleaching"),
        does="Make the activity of every neuron of its light.",
        version=3,
        aspects=("rate_hz",),
        sections=("trace",),
        voxels=False,
    ),
    Stage(
        "report",
        needs=(
            "recording",
            "detections",
            "volumes",
            "embeddings",
            "atlas",
            "identities",
            "corrections",
            "tracks",
            "traces",
            "swaps",
            "bleaching",
            "history",
            "costs",
        ),
        makes=("report",),
        does="Write the page that says what came out and how far to trust it.",
        version=5,
        aspects=("rate_hz", "name", "channel_names", "assumptions"),
        sections=("report", "recording", "prepare", "segment", "crop", "train", "embed", "track", "measure", "trace"),
        seeded=True,
    ),
)

GIVEN = ("recording", "deconvolver", "segmenter", "start", "edits", "corrections", "costs")
"""What stages need and no stage makes: the recording, who sharpens it, the star-convex model of the settings, and the encoder that
training starts from (each None where the settings ask for none), what people said in the run folder's corrections.csv, once the rows that
change detections, once all of them, and what the stages cost, which is part of no key: the same result may cost more or less."""
SAID = {"corrections": "corrections", "edits": "edits of detections"}
"""What of that people said, and what to call it."""

MAKER = {artefact: stage.name for stage in STAGES for artefact in stage.makes}
"""The stage of every artefact that one makes."""

AMENDMENTS = "amendments"
AMEND = next(stage for stage in STAGES if stage.amends)
UNAMENDED = "none"
"""Edition of what was made first, and digest of no edits."""
PREPARATION = "preparation"
PREPARE = next(stage for stage in STAGES if stage.prepares)


def stage_named(name: str) -> Stage:
    """Returns a row of the table.

    Raises:
        InputError: there is none of that name.
    """
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise InputError(f"{name} is not a stage; stages are {', '.join(stage.name for stage in STAGES)}")
