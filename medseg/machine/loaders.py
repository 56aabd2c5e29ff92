"""Processes that load for torch's DataLoader: what ended one of them."""

# ruff: noqa: SLF001 - torch has no public way to end its processes, or to end its watch of them
from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data._utils.signal_handling import _remove_worker_pids
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from medseg.errors import MedsegError, ShortOfMemoryError


@contextmanager
def workers_watched(loader: DataLoader[Any]) -> Iterator[None]:
    """Tell what ended a process that loads slices; torch raises a RuntimeError, or a whole traceback as a message.

    Args:
        loader: Of torch, with persistent processes.

    Raises:
        ShortOfMemoryError: One was killed or crashed, or found no memory.
        MedsegError: What one of them raised, with the message that it has in this process.
    """
    try:
        try:
            yield
        except BaseException:
            _let_go(loader)
            raise
    except MedsegError as error:
        own = f"{type(error).__module__}.{type(error).__qualname__}: "
        if not str(error).startswith("Caught ") or own not in str(error):
            raise
        raise type(error)(str(error).rpartition(own)[2].strip()) from error
    except (RuntimeError, MemoryError, EOFError, OSError, UnpicklingError) as error:
        if not _lacked_memory(str(error)) and not _cut_off(error):
            raise
        raise ShortOfMemoryError(
            f"one of {loader.num_workers} processes that load slices ended unexpectedly: most likely the system "
            "stopped it for want of memory, of which each takes its own, in a container also of shared memory "
            "(--shm-size). Start the run again with --set loading.workers=0, or a smaller loading.batch_size; or "
            "free memory and go on with medseg pipeline resume.",
            setting="loading.workers=0",
        ) from error


def _let_go(loader: DataLoader[Any]) -> None:
    """End the processes of a loader, and torch's watch of them first.

    A process that ends sends a signal, at which torch raises a RuntimeError wherever this process is by then, such as
    in writing down how the run ended.
    """
    iterator = loader._iterator
    if isinstance(iterator, _MultiProcessingDataLoaderIter):
        if iterator._worker_pids_set:
            _remove_worker_pids(id(iterator))
            iterator._worker_pids_set = False
        iterator._shutdown_workers()
        loader._iterator = None


def _lacked_memory(message: str) -> bool:
    """Whether an error of torch's loader is that a process of it was stopped, or found no memory of one kind."""
    if "DataLoader worker (" in message or message.startswith(
        ("Caught MemoryError", "Pin memory thread exited")
    ):
        return True
    words = (
        "can't allocate memory",
        "Cannot allocate memory",
        "shared memory",
        "unable to write to file </torch_",
    )
    return message.startswith("Caught ") and any(each in message for each in words)


def _cut_off(error: Exception) -> bool:
    """Whether a process ended while it handed over a batch, of which torch says no more than where reading stopped.

    A batch crosses as a message, read from a pipe, that names memory, which is then asked for by a socket: where the
    other side is gone, there is an end of file, a reset or refused connection, a missing socket or half a message.
    """
    return isinstance(error, (EOFError, OSError, UnpicklingError)) and any(
        frame.f_globals.get("__name__", "").startswith("multiprocessing.")
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )
