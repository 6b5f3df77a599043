"""From crops to vectors, without learning."""

from __future__ import annotations

import torch

from barlowtrack.data import FloatArray
from barlowtrack.nn.device import half_precision
from barlowtrack.nn.encoder import Encoder


@torch.inference_mode()
def embed_crops(encoder: Encoder, crops: torch.Tensor, device: torch.device) -> FloatArray:
    """Returns (n, D) embeddings of crops (n, Z, Y, X) by an encoder that is on the device, and not in training."""
    with half_precision(device):
        z = encoder(crops.to(device))  # (n, D)
    vectors: FloatArray = z.float().cpu().numpy()
    return vectors
