"""The processes that torchrun has started, connected for as long as they train."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pickle import dumps, loads
from typing import Any, TypeVar

import ignite.distributed as idist
import torch
import torch.distributed as dist

from medseg.errors import MedsegError, RunError
from medseg.machine.ranks.meeting import Meeting
from medseg.machine.ranks.place import Place
from medseg.machine.ranks.ranks import Ranks

LIMIT = 1800.0
"""Seconds that a process waits for the others: the first writes checkpoints and draws pictures meanwhile."""

Result = TypeVar("Result")
_BACKENDS = {"cuda": "nccl", "cpu": "gloo"}


class Connected:
    """Several processes. They are connected while they train, and not outside of it.

    Outside, the first one checks, prepares, scores and records as a process by itself does, where metrics of MONAI
    would wait for the others if there were a connection.

    Args:
        meeting: Where they have met.
        limit: Seconds that each waits for the others.
    """

    def __init__(self, meeting: Meeting, limit: float = LIMIT) -> None:
        self.meeting, self.limit = meeting, limit

    @property
    def place(self) -> Place:
        """Which of them this process is."""
        return self.meeting.place

    def device(self, expected: torch.device) -> torch.device:
        """The CUDA device of the number that this process has on its machine; else as expected.

        Raises:
            RunError: There are fewer devices than processes.
        """
        if expected.type != "cuda":
            return expected
        there = torch.cuda.device_count()
        if self.place.local >= there:
            raise RunError(
                f"{self.place.beside} processes are started on this machine, which has {there} CUDA devices. Start "
                f"torchrun with --nproc-per-node={there}, or train on processors: --device cpu."
            )
        return torch.device("cuda", self.place.local)

    def together(
        self, own: Callable[[], Result], others: Callable[[Ranks], object], device: torch.device
    ) -> Result:
        """As of `Ranks`."""
        backend = _BACKENDS.get(device.type, "gloo")
        turn = self.meeting.call(backend)
        with self._connected(backend, turn):
            self.first_does(lambda: dumps(others))
            return own()

    def follow(self) -> Any:
        """Do what the first process asks for, until it has ended; gives what it has made of it all.

        Raises:
            RunError: The first has failed, or is gone.
            TrainingError: Another one does not answer any more.
        """
        while (backend := self.meeting.called()) != "end":
            with self._connected(backend, self.meeting.turn):
                task: Callable[[Ranks], object] = loads(self.first_does(bytes))  # noqa: S301 - of rank 0
                task(self)
        return self.meeting.ended()

    @contextmanager
    def _connected(self, backend: str, turn: int) -> Iterator[None]:
        """Be connected in the block; what fails in it is told to the others, and what failed there is told here."""
        try:
            if backend == "nccl":
                torch.cuda.set_device(self.device(torch.device("cuda")))
            _connect(self.meeting, backend, turn, self.limit)
            yield
        except RuntimeError as error:
            if not _of_others(error):
                self.meeting.fail(_told(error))
                raise
            raise self.meeting.why(error) from error
        except BaseException as error:
            self.meeting.fail(_told(error))
            raise
        finally:
            _disconnect()

    def first_does(self, what: Callable[[], Result]) -> Result:
        """What the first process makes of it, in all of them; where it fails, they find it gone."""
        made: Any = what() if self.place.first else None
        found: Result = self.agreed(made)
        return found

    def agreed(self, value: Result) -> Result:
        """The value that the first process has, in all of them."""
        own = self.meeting.seal.sealed("agreed", value) if self.place.first else b""
        size = torch.tensor([len(own)], device=self._at)
        dist.broadcast(size, src=0)
        message = _as_tensor(own, int(size), self._at)
        dist.broadcast(message, src=0)
        found: Result = self.meeting.seal.opened("agreed", _as_bytes(message))
        return found

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes, by their number."""
        own = self.meeting.seal.sealed("gathered", value)
        sizes = [int(size) for size in self.rows(torch.tensor([len(own)], device=self._at))]
        messages = self.rows(_as_tensor(own, max(sizes), self._at))
        each = zip(messages, sizes, strict=True)
        return [self.meeting.seal.opened("gathered", _as_bytes(message[:size])) for message, size in each]

    @property
    def _at(self) -> torch.device:
        """Where tensors lie that the backend sends."""
        return torch.device("cuda", self.place.local) if dist.get_backend() == "nccl" else torch.device("cpu")

    def rows(self, own: torch.Tensor) -> torch.Tensor:
        """Tensors of one shape of all processes, by their number."""
        joined: torch.Tensor = idist.all_gather(own.detach().contiguous())
        return joined.view(self.place.world, *own.shape)

    def total(self, own: torch.Tensor) -> torch.Tensor:
        """The sum of all, whose gradient is that of all."""
        found: torch.Tensor = _Total.apply(own)
        return found


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, own: torch.Tensor) -> torch.Tensor:
        return _added(own)

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _added(gradient)


def _as_tensor(message: bytes, size: int, device: torch.device) -> torch.Tensor:
    """(size,) bytes, with zeros after those of the message."""
    return torch.frombuffer(bytearray(message.ljust(size, b"\0")), dtype=torch.uint8).to(device)


def _as_bytes(message: torch.Tensor) -> bytes:
    return bytes(message.cpu().numpy())


def _added(own: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = idist.all_reduce(own.detach().clone().contiguous())
    return found


def _connect(meeting: Meeting, backend: str, turn: int, limit: float) -> None:
    store = dist.PrefixStore(f"turn/{turn}", meeting.store)
    place, wait = meeting.place, timedelta(seconds=limit)
    dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.world, timeout=wait)
    # ignite would take LOCAL_RANK from SLURM_LOCALID, which under `srun torchrun` is 0 in every process of a machine
    job = os.environ.pop("SLURM_JOB_ID", None)
    os.environ.setdefault("LOCAL_RANK", str(place.local))
    try:
        idist.sync()
    finally:
        if job is not None:
            os.environ["SLURM_JOB_ID"] = job


def _disconnect() -> None:
    with suppress(RuntimeError, ValueError):  # it never came to be, or is broken
        if dist.is_initialized():
            idist.finalize()


def _of_others(error: RuntimeError) -> bool:
    """Whether a collective failed, for which torch has an error of its own on CUDA, and but words for gloo."""
    text = str(error)
    return isinstance(error, dist.DistError) or any(
        word in text for word in ("gloo", "NCCL", "Connection closed")
    )


def _told(error: BaseException) -> str:
    """What others are told of it: messages of ours hold neither paths nor names of patients, others may."""
    if isinstance(error, MedsegError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted."
    return f"{type(error).__name__}. See what it said."
