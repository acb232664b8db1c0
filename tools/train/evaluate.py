"""Held-out bits per byte of a model."""

import math

import torch
import torch.nn.functional as F


@torch.no_grad()
def bits_per_byte(model, stream, window):
    """Mean over the stream cut into rows of `window` bytes; each row starts from a zero state.

    The first byte of a row is not scored, as nothing stands before it, nor is a short last row.
    """
    model.eval()
    rows = stream[: len(stream) // window * window].view(-1, window).long()
    nats = 0.0
    for batch in rows.split(max(1, 16384 // window)):
        logits = model(batch)[:, :-1].flatten(0, 1)
        nats += F.cross_entropy(logits, batch[:, 1:].flatten(), reduction="sum").item()
    model.train()
    return nats / math.log(2) / (rows.numel() - len(rows))
