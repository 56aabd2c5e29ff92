"""Reading what torch has saved: no code of it is run, and it takes no more memory than its file has bytes."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from pickle import PickleError
from typing import Any

import torch
from safetensors import SafetensorError

from medseg.files.regular import refuse_irregular
from medseg.machine.memory import available_memory

#: What torch and safetensors raise at a file that is damaged, of another kind, or the state of something else.
UNREADABLE = (
    SafetensorError,
    RuntimeError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    EOFError,
    OSError,
    PickleError,
    zipfile.BadZipFile,
)

_PACKED = 1 << 24  # bytes that packing may save: torch packs no numbers, only notes on code


class UnpacksError(ValueError):
    """A file holds more than it has bytes, or than fits into memory."""


def load_state(file: Path, device: torch.device | str = "cpu") -> Any:
    """Load what torch saved; nothing is unpickled but tensors and plain containers.

    Raises:
        UnpacksError: It would take more memory than its file has bytes, or than is free.
        OSError: It cannot be read, or is no regular file.
        Exception: One of `UNREADABLE`: it is damaged, or no such file.
    """
    refuse_irregular(file)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
        if unpacked > file.stat().st_size + _PACKED:
            raise UnpacksError(f"it unpacks to {unpacked} bytes, more than its file holds, as bombs do")
        if unpacked > available_memory():
            raise UnpacksError(f"it holds {unpacked} bytes, more than fit into memory")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, on the way to refusing a TorchScript archive
        return torch.load(file, map_location=device, weights_only=True)


def is_whole(tensor: torch.Tensor) -> bool:
    """Whether each of its values was in the file: a few can be spread over a tensor of any size."""
    return (
        tensor.layout == torch.strided
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    )


def refuse_spread(held: object) -> None:
    """Refuse containers with a tensor that is not whole: who copies it takes any memory.

    Raises:
        UnpacksError: There is one.
    """
    if not all(map(is_whole, _tensors_in(held))):
        raise UnpacksError("it has tensors that take more memory than the file holds numbers")


def _tensors_in(held: object) -> Iterator[torch.Tensor]:
    left, seen = [held], set()  # one container may be held many times, and even by itself
    while left:
        each = left.pop()
        if isinstance(each, torch.Tensor):
            yield each
        elif isinstance(each, Iterable) and not isinstance(each, str | bytes) and id(each) not in seen:
            seen.add(id(each))
            left += each.values() if isinstance(each, Mapping) else each
