"""From crops to vectors, without learning."""

from __future__ import annotations

import functools
import logging

import numpy as np
import torch

from barlowtrack.data import FloatArray
from barlowtrack.faults import is_out_of_memory
from barlowtrack.nn.device import half_precision
from barlowtrack.nn.encoder import Encoder

log = logging.getLogger(__name__)


def embed_crops(encoder: Encoder, crops: torch.Tensor, device: torch.device) -> FloatArray:
    """Returns (n, D) embeddings of crops (n, Z, Y, X) by an encoder that is on the device, and not in training.

    Where memory does not suffice for all of them, half as many go through at a time: the vectors are the same up to rounding.
    """
    try:
        return _embed_at_once(encoder, crops, device)
    except Exception as error:
        if not is_out_of_memory(error) or len(crops) < 2:
            raise
    if device.type == "cuda":
        torch.cuda.empty_cache()  # here, not where the error's traceback still holds what did not fit
    _say_smaller()
    halves = crops[: len(crops) // 2], crops[len(crops) // 2 :]
    return np.concatenate([embed_crops(encoder, half, device) for half in halves])


@functools.cache
def _say_smaller() -> None:
    log.warning("memory does not suffice for a forward pass of all crops of a volume: fewer at a time; vectors are the same up to rounding")


@torch.inference_mode()
def _embed_at_once(encoder: Encoder, crops: torch.Tensor, device: torch.device) -> FloatArray:
    with half_precision(device):
        z = encoder(crops.to(device))  # (n, D)
    vectors: FloatArray = z.float().cpu().numpy()
    return vectors
