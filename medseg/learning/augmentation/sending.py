"""Small arrays on their way to the device of a batch, together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_ALIGNED = 16  # bytes; no number takes more

Named = Mapping[str, NDArray[Any]]


def sent(arrays: Sequence[Named], device: torch.device) -> list[dict[str, torch.Tensor]]:
    """The same arrays as tensors on a device.

    To a GPU they go as one piece of pinned memory, and nothing waits for it: many small copies out of ordinary memory
    would each stop the program until the GPU has done all that it was given before.
    """
    if device.type == "cpu":
        return [{name: torch.from_numpy(value) for name, value in each.items()} for each in arrays]
    return taken_apart(packed(arrays, pinned=device.type == "cuda").to(device, non_blocking=True), arrays)


def packed(arrays: Sequence[Named], *, pinned: bool) -> torch.Tensor:
    """All of them in one piece of memory: bytes, each array at a place that suits any type."""
    starts = _starts(arrays)
    piece = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=pinned)
    values = [value for each in arrays for value in each.values()]
    for start, value in zip(starts, values, strict=False):
        piece.numpy()[start : start + value.nbytes] = np.frombuffer(value.tobytes(), dtype=np.uint8)
    return piece


def taken_apart(piece: torch.Tensor, arrays: Sequence[Named]) -> list[dict[str, torch.Tensor]]:
    """What `packed` put together, as views of the piece, wherever that is now."""
    starts = iter(_starts(arrays))
    found = []
    for each in arrays:
        own = {}
        for name, value in each.items():
            start = next(starts)
            kind = torch.from_numpy(np.empty(0, dtype=value.dtype)).dtype
            own[name] = piece[start : start + value.nbytes].view(kind).reshape(value.shape)
        found.append(own)
    return found


def _starts(arrays: Sequence[Named]) -> list[int]:
    sizes = [-(-value.nbytes // _ALIGNED) * _ALIGNED for each in arrays for value in each.values()]
    return [0, *np.cumsum(sizes).tolist()] if sizes else [0]
