"""Where slices are kept during training, by their size and the memory there is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import torch

from medseg.errors import TrainingError

#: Shares of free memory that slices may take: the rest is for batches, the network and other programs.
_MEMORY_SHARE = 0.6
_GPU_SHARE = 0.5


@dataclass(frozen=True)
class Placement:
    """Where slices are kept.

    Attributes:
        name: `gpu`, `memory` or `disk`.
        keep_on: The device whose memory holds them; None reads them from disk.
        note: One sentence for the person who watches.
    """

    name: Literal["gpu", "memory", "disk"]
    keep_on: torch.device | None
    note: str


def place_slices(expected: str, needed: int, device: torch.device, memory: int) -> Placement:
    """Choose where slices are kept.

    Args:
        expected: `auto`, or one of the places.
        needed: Bytes of all slices of training and validation.
        device: Where the network computes.
        memory: Bytes of main memory that are free, the control group's limit included.

    Raises:
        TrainingError: The place that was asked for is not there, or too small.
    """
    cpu = torch.device("cpu")
    gpu_free = int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else 0
    size = f"{needed / 2**20:,.0f} MiB of slices"
    in_memory = f"{size} are kept in memory ({memory / 2**30:.1f} GiB free)."
    if expected == "gpu":
        if needed > gpu_free:
            raise TrainingError(
                f"loading.cache is gpu, but {size} do not fit in {gpu_free / 2**30:.1f} GiB on {device}. "
                "Use auto, memory or disk."
            )
        return Placement("gpu", device, f"{size} are kept on {device}.")
    if expected == "memory":
        if needed > memory:
            raise TrainingError(
                f"loading.cache is memory, but {size} do not fit in {memory / 2**30:.1f} GiB. Use auto or disk."
            )
        return Placement("memory", cpu, in_memory)
    if expected == "auto" and needed <= gpu_free * _GPU_SHARE:
        return Placement("gpu", device, f"{size} are kept on {device}.")
    if expected == "auto" and needed <= memory * _MEMORY_SHARE:
        return Placement("memory", cpu, in_memory)
    reason = f" (they would not fit well in {memory / 2**30:.1f} GiB of memory)" if expected == "auto" else ""
    return Placement("disk", None, f"{size} are read from disk for each epoch{reason}.")


def worker_count(
    expected: int | str,
    device: torch.device,
    placement: Placement,
    augmented_on: torch.device,
    beside: int = 1,
) -> int:
    """Processes that read slices beside the training, and augment them unless the GPU does.

    On a CPU they take the cores that the network needs (measured: 0.875 against 0.953 of the raw speed with
    two cores), and slices on a GPU are gathered there; so `auto` starts some only for a GPU that is fed from
    main memory or disk. Of those that only draw and gather out of memory two are enough: one draws thousands of
    slices a second. Processes that train together on one machine, `beside` in number, share its cores.
    """
    if isinstance(expected, int):
        return expected
    if device.type != "cuda" or placement.name == "gpu":
        return 0
    most = 2 if augmented_on.type == "cuda" and placement.name == "memory" else 8
    return min(most, max((os.cpu_count() or 1) // beside - 1, 0))
