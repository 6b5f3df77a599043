"""The part of the page about the encoder: where it comes from, what training made of it, and what to try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath

import numpy as np

from barlowtrack.config import TrainConfig
from barlowtrack.data import FloatArray
from barlowtrack.embedding.best import best_epoch, gauge
from barlowtrack.embedding.diagnosis import PERFECT
from barlowtrack.embedding.rounds import round_starts
from barlowtrack.stages.report import page
from barlowtrack.stages.report.charts import training_chart
from barlowtrack.stages.report.words import counted, percent

TITLE = "Training"
OBJECTIVES = {
    "barlow-object": "Barlow Twins over features and over objects",
    "barlow": "Barlow Twins over features",
    "object": "Barlow Twins over objects",
    "vicreg": "VICReg",
    "simclr": "SimCLR",
    "moco": "MoCo",
    "swav": "SwAV",
    "byol": "BYOL",
    "simsiam": "SimSiam",
    "dino": "DINO",
}
FEW_TRIPS = 0.5
"""Below it the looks of an encoder that was never trained on this recording are worth an attempt to train it."""


def is_trained(history: Mapping[str, FloatArray]) -> bool:
    """Says whether any epoch was trained: the first row is the start."""
    return len(history.get("epoch", ())) > 1


def training_part(history: Mapping[str, FloatArray], config: TrainConfig) -> str:
    """Returns the part as HTML.

    Args:
        history: Columns, one row an epoch; may be empty.
        config: Where the encoder comes from, and what training minimised.
    """
    if not is_trained(history):
        said = [_untrained(config), *_of_the_start(history)]
        return page.section("training", TITLE, "", *(page.paragraph(text) for text in said))
    shown = "nuclei of single volumes" if not config.rounds else "nuclei, also of different volumes where the tracker was sure of them"
    intro = f"{OBJECTIVES[config.objective]} on {shown}, no labels. {_begins(config)}"
    best = best_epoch(history["round_trips"].tolist(), history["effective_rank"].tolist())
    said = [*_of_the_rounds(len(history["epoch"]) - 1, config), _of_the_best(history, best)]
    return page.section("training", TITLE, intro, *(page.paragraph(text) for text in said), page.figure(training_chart(history, best)))


def about_the_training(history: Mapping[str, FloatArray], config: TrainConfig) -> Iterator[str]:
    """Yields what is wrong with the training, or the want of it, and what to try."""
    trips = np.asarray(history.get("round_trips", ()), np.float64)
    if not len(trips):
        return
    if not is_trained(history):
        if config.mode != "scratch" and trips[0] < FEW_TRIPS:
            yield (
                f"By looks alone only {percent(trips[0])} of the nuclei find back to themselves by way of two other volumes, and the "
                "encoder was never trained on this recording. Missed and false nuclei lower that share, and so does a wrong voxel size: "
                "look at those first. Then try --set train.mode=fine-tune, whose result is used only if the share does not fall."
            )
        return
    what, values = gauge(trips.tolist(), history["held_out_agreement"].tolist())
    lost = best_epoch(values, history["effective_rank"].tolist()) == 0 if what == "round trips" else values[-1] <= values[0]
    if lost and values[0] < PERFECT:
        start = "its random start" if config.mode == "scratch" else "the encoder it started from"
        were = "were" if what == "round trips" else "was"
        yield (
            f"Training did not beat {start}: {what} on held-out volumes {were} {values[0]:.2f} before it and {values[-1]:.2f} after it. "
            "Look at its curves, lower train.learning_rate, or give it more volumes (crop.training_volumes); "
            f"{_instead(config, what)}."
        )


def _instead(config: TrainConfig, what: str) -> str:
    if config.mode == "scratch":
        return "or take the encoder that comes along (train.mode=zero-shot)"
    return "the start is used as it was" if what == "round trips" else "or take the start as it is (train.mode=zero-shot)"


def _start(config: TrainConfig) -> str:
    """Returns the start in words: of another run's path the file and its folder, as every such file has the same name."""
    return f"the encoder of {'/'.join(PurePath(config.start).parts[-2:])}" if config.start else "the encoder that comes with barlowtrack"


def _untrained(config: TrainConfig) -> str:
    if config.mode == "scratch":
        return "The encoder was not trained: the embedding is that of random weights."
    start = _start(config)
    return f"{start[0].upper()}{start[1:]} was taken as it is: it was not trained on this recording."


def _begins(config: TrainConfig) -> str:
    return "It began with random weights." if config.mode == "scratch" else f"It began with {_start(config)}."


def _of_the_start(history: Mapping[str, FloatArray]) -> Iterator[str]:
    if not len(history.get("round_trips", ())):
        return
    trips, agreement = float(history["round_trips"][0]), float(history["held_out_agreement"][0])
    if np.isfinite(trips):
        yield (
            f"On volumes spread over this recording {percent(trips)} of the nuclei make round trips: the way from a nucleus to the one "
            "most like it in a second volume, from there to a third and back ends where it began. Positions have no part in it; "
            "missed and false nuclei lower it."
        )
    else:
        yield "There are fewer than three volumes to compare, so nobody can say whether looks agree between volumes."
    yield (
        f"Two views of a nucleus, distorted as training would distort them, find each other among all nuclei of their volume in "
        f"{percent(agreement)} of the cases (agreement). An encoder that was not taught these distortions may do badly here and well on "
        "the recording."
    )


def _of_the_rounds(done: int, config: TrainConfig) -> Iterator[str]:
    if not config.rounds:
        return
    begun = sum(first < done for first in round_starts(config.rounds, config.n_epochs))
    yield (
        f"{counted(begun, 'round')} of self-training: before each the tracker says which nuclei of different volumes are surely "
        "one neuron, and training shows these, if there are any, as two views of one."
    )
    if done < config.n_epochs:
        yield f"It stopped after epoch {done} of {config.n_epochs}, for a round had made round trips close less often."


def _of_the_best(history: Mapping[str, FloatArray], best: int) -> str:
    trips = np.asarray(history["round_trips"], np.float64)
    done = len(trips) - 1
    if not np.isfinite(trips).all():
        few = "there are fewer than three volumes to compare, so nobody can say which is best"
        return f"The encoder of the last epoch, {done}, is used: {few}."
    if best == 0:
        return f"No epoch made as many round trips close as the start ({percent(trips[0])}), so the start is used."
    return f"The encoder of epoch {best} is used: {percent(trips[best])} of the round trips close, and {percent(trips[0])} at the start."
