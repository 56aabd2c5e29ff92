"""Small arrays on their way to the device of a batch, together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_ALIGNED = 16  # bytes; more than any number has


def sent(arrays: Sequence[Mapping[str, NDArray[Any]]], device: torch.device) -> list[dict[str, torch.Tensor]]:
    """The same arrays as tensors on a device.

    To a GPU they go as one piece of pinned memory, and nothing waits for it: many small copies out of ordinary memory
    would each stop the program until the GPU has done all that it was given before.
    """
    tensors = [{name: torch.from_numpy(value) for name, value in each.items()} for each in arrays]
    if device.type == "cpu":
        return tensors
    flat = [each.contiguous().reshape(-1).view(torch.uint8) for some in tensors for each in some.values()]
    starts = np.cumsum([0, *(-(-each.numel() // _ALIGNED) * _ALIGNED for each in flat)]).tolist()
    piece = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
    for start, each in zip(starts, flat, strict=False):
        piece[start : start + each.numel()] = each
    there = piece.to(device, non_blocking=True)
    place = iter(starts)
    found = []
    for some in tensors:
        own = {}
        for name, each in some.items():
            start = next(place)
            own[name] = there[start : start + each.nbytes].view(each.dtype).reshape(each.shape)
        found.append(own)
    return found
