"""train: get an encoder ready that tells what makes a nucleus itself."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

from barlowtrack.config import ComputeConfig, TrainConfig
from barlowtrack.data import Crops, Detections, Progress, silent
from barlowtrack.embedding.diagnosis import Watch
from barlowtrack.embedding.rounds import led_astray
from barlowtrack.embedding.training import Training
from barlowtrack.errors import InputError
from barlowtrack.nn.encoder import Encoder
from barlowtrack.nn.state import HISTORY_COLUMNS, Epoch, TrainState

__all__ = ["HISTORY_COLUMNS", "Epoch", "TrainState", "train"]

log = logging.getLogger(__name__)


def train(
    crops: Crops,
    detections: Detections,
    start: Encoder | None,
    *,
    config: TrainConfig,
    compute: ComputeConfig,
    seed: int,
    checkpoint: TrainState | None = None,
    progress: Progress = silent,
) -> Iterator[TrainState]:
    """Gets an encoder ready for a recording, without labels: taken as it is, trained further, or trained from random weights.

    A batch is one volume, in which all objects are different. Some volumes are held out and only watched; of a single volume, that
    one is watched too. The encoder that counts is the best of all epochs, the start included, by round trips through held-out volumes:
    training that leads astray costs time, not accuracy.

    Args:
        crops: One batch a training volume.
        detections: Of the recording; self-training asks the tracker who they are.
        start: Encoder to start from; not used, and may be None, where the mode is "scratch".
        config: Mode, objective, augmentation, optimiser.
        compute: Device.
        seed: Of weights, order and augmentation.
        checkpoint: A state this function yielded; training goes on behind it and ends with the same bytes as one never stopped.
        progress: Told after every epoch.

    Yields:
        The state after every epoch, first the start (epoch 0); the last one holds the encoder that counts.

    Raises:
        InputError: no crops, no start or one that sees something else, a checkpoint of another training, or a loss that is not finite.
    """
    if not len(crops):
        raise InputError(
            "train: expected crops of at least one volume with two nuclei, got none; try another [segment] probability or radius_um"
        )
    _warn_of_unused(config)
    training = Training(crops, detections, start, config, compute, seed)
    watch, n_epochs = Watch(config.n_epochs), config.n_epochs
    if checkpoint is None:
        state = training.start()
        watch.look(training.seen, state.history)
        yield state
    else:
        training.resume(checkpoint)
        state = checkpoint
    progress(state.epoch, n_epochs)
    for epoch in range(state.epoch + 1, n_epochs + 1):
        if led_astray([row.round_trips for row in state.history], config.rounds, n_epochs):
            log.info("self-training stops after epoch %d: round trips through held-out volumes close less often", state.epoch)
            break
        state = training.advance(state, epoch)
        watch.look(training.seen, state.history)
        yield state
        progress(epoch, n_epochs)
    if state.epoch < n_epochs:
        progress(n_epochs, n_epochs)
    if state.epoch and math.isnan(state.history[-1].round_trips):
        log.warning("fewer than three volumes: nobody can say whether training helped, and the last epoch is used")
    if state.best < state.epoch:
        log.info("the encoder of epoch %d is kept: later ones find fewer nuclei again", state.best)


def _warn_of_unused(config: TrainConfig) -> None:
    """Says which settings contradict the mode, so that nobody takes them for followed."""
    if config.mode == "zero-shot" and (config.epochs or config.rounds):
        log.warning('[train] epochs and rounds are not used in mode "zero-shot", which takes the encoder as it is')
    if config.mode == "scratch" and config.start:
        log.warning('[train] start is not used in mode "scratch", which begins with random weights')
    if config.rounds > config.n_epochs > 0:
        log.warning(
            "[train] %d rounds of self-training are asked for in %d epochs: one begins with every epoch", config.rounds, config.n_epochs
        )
