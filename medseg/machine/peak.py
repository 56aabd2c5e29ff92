"""How much memory a part of a program took at its most."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Watches, within its block, what a device holds at most: that of torch on a GPU, of this process on a CPU.

    Attributes:
        taken: Bytes above those that were held when the block began; None until it has ended, where the system does
            not tell (a CPU without Linux's /proc).
    """

    def __init__(self, device: torch.device) -> None:
        self.taken: int | None = None
        self._gpu = device if device.type == "cuda" else None
        self._before: int | None = None

    def __enter__(self) -> Self:
        """Begin at what is held now."""
        if self._gpu is not None:
            torch.cuda.reset_peak_memory_stats(self._gpu)
            self._before = int(torch.cuda.memory_allocated(self._gpu))
        else:
            self._before = _reset()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look what it was at most."""
        most = int(torch.cuda.max_memory_allocated(self._gpu)) if self._gpu is not None else _status("VmHWM")
        if most is not None and self._before is not None:
            self.taken = max(most - self._before, 0)


def _reset() -> int | None:
    """Begin the kernel's record of the process anew, and give what it holds now.

    What was freed before and is held by the allocator is given back first: it would be taken again without a trace.
    """
    with suppress(OSError, AttributeError):  # an allocator of another kind
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _RESET.write_text("5", encoding="ascii")  # proc(5): resets the peak of the resident set
    except OSError:
        return None
    return _status("VmRSS")


def _status(name: str) -> int | None:
    """A size of this process, in bytes."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith(f"{name}:")), None)
    return None if found is None else int(found[1]) * 1024
