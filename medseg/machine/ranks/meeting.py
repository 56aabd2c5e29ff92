"""Where the processes of a training meet: the store of torch that its first process, or torchrun, opens."""

from __future__ import annotations

import json
import platform
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import torch.distributed as dist

from medseg.errors import RunError, TrainingError
from medseg.machine.ranks.place import Place
from medseg.machine.ranks.seal import Seal

START = 300.0
"""Seconds until all processes must have met: they import for ten, and a scheduler may start some late."""

_LOOK = 0.2  # seconds from one look for a task to the next; a process that is to end does so between two
_SAME = ("medseg", "torch", "monai", "numpy")
_NOTHING = b"nothing"


def versions() -> dict[str, str]:
    """Of the packages by which a training must agree: what they draw and compute may change with each."""
    return {name: version(name) for name in _SAME}


class Meeting:
    """What the processes of a training know of one another.

    Args:
        store: Of torch, that all of them have opened.
        place: Of this process.
        seal: Signs what is unpickled.
        limit: Seconds that another may take to answer.
    """

    def __init__(self, store: Any, place: Place, seal: Seal, limit: float = START) -> None:
        self.store, self.place, self.seal, self.limit = store, place, seal, limit
        self.turn = 0

    @classmethod
    def join(cls, place: Place, seal: Seal, limit: float = START) -> Meeting:
        """Open the store that the environment names, and wait until all are there.

        Raises:
            RunError: It cannot be reached or opened, somebody is missing, or versions differ.
        """
        met = cls(dist.PrefixStore("medseg", _opened(place, limit)), place, seal, limit)
        met.agree(versions())
        return met

    def agree(self, own: Mapping[str, str]) -> None:
        """Compare what all processes have installed with the first.

        Args:
            own: Version by package.

        Raises:
            RunError: Somebody does not come in time, or has others.
        """
        rank = self.place.rank
        told = {"host": platform.node(), "versions": dict(own)}
        self.store.set(f"hello/{rank}", self.seal.sealed(f"hello/{rank}", told))
        if rank:
            refused = self._wait("agreed", "the first process has not answered").decode()
        else:
            try:
                refused = self._refusal(own)
            except RunError as error:
                with suppress(RuntimeError, OSError):
                    self.store.set("agreed", str(error))
                raise
            self.store.set("agreed", refused or _NOTHING)
        if refused not in ("", _NOTHING.decode()):
            raise RunError(refused)

    def _refusal(self, own: Mapping[str, str]) -> str:
        for rank in range(1, self.place.world):
            key = f"hello/{rank}"
            told = self.seal.opened(key, self._wait(key, f"rank {rank} has not come"))
            other = told["versions"]
            if other != own:
                differ = [f"{name} {other.get(name)} and not {own[name]}" for name in own]
                differ = [
                    text for name, text in zip(own, differ, strict=True) if other.get(name) != own[name]
                ]
                return (
                    f"rank {rank} on {told['host']} has {', '.join(differ)}: what is drawn and computed might "
                    "differ. Install the same versions on all machines."
                )
        return ""

    def _wait(self, key: str, otherwise: str) -> bytes:
        try:
            self.store.wait([key], timedelta(seconds=self.limit))
            return bytes(self.store.get(key))
        except (RuntimeError, OSError) as error:
            raise RunError(
                f"{self.place.world} processes are to train together, and {otherwise} within {self.limit:g} s. Look "
                "at what the others say; WORLD_SIZE must be how many are started."
            ) from error

    def call(self, how: str) -> int:
        """Call all others to the next training; gives its number."""
        self.turn += 1
        key = f"task/{self.turn}"
        self.store.set(key, self.seal.sealed(key, how))
        return self.turn

    def called(self) -> str:
        """Wait to be called to a training, and give how; `end` where the first has ended.

        It waits for as long as that lives, since checking and preparing take what they take.

        Raises:
            RunError: The first is gone.
        """
        self.turn += 1
        key = f"task/{self.turn}"
        while True:
            try:
                if self.store.check([key]):
                    found = bytes(self.store.get(key))
                    break
            except (RuntimeError, OSError) as error:
                raise RunError("the first process of this training is gone: see what it said.") from error
            time.sleep(_LOOK)
        how: str = self.seal.opened(key, found)
        return how

    def end(self, result: Any = None, failure: str = "") -> None:
        """Tell the others that all is done, or why not; waits a moment for them to hear it."""
        with suppress(RuntimeError, OSError):  # they, or what opened the store, may be gone
            self.store.set("result", self.seal.sealed("result", (failure, None if failure else result)))
            self.call("end")
            left = [f"left/{rank}" for rank in range(1, self.place.world)]
            self.store.wait(left, timedelta(seconds=2.0 if failure else 20.0))

    def ended(self) -> Any:
        """What the first has made of it all.

        Raises:
            RunError: It failed.
        """
        failure, result = self.seal.opened("result", bytes(self.store.get("result")))
        self.store.set(f"left/{self.place.rank}", _NOTHING)
        if failure:
            raise RunError(f"rank 0 has ended: {failure}")
        return result

    def fail(self, text: str) -> None:
        """Let the others know why this one ends, before they miss it; the first to say so counts."""
        told = json.dumps({"rank": self.place.rank, "host": platform.node(), "text": text})
        with suppress(RuntimeError, OSError):
            self.store.compare_set("failed", "", told)

    def why(self, error: BaseException) -> TrainingError:
        """What ended another process, where a collective failed in this one."""
        told: dict[str, Any] = {}
        with suppress(RuntimeError, OSError, ValueError):  # the last, where a stranger wrote it
            self.store.wait(["failed"], timedelta(seconds=3.0))
            told = json.loads(self.store.get("failed"))
        if told and told["rank"] != self.place.rank:
            return TrainingError(f"rank {told['rank']} on {told['host']} has ended: {told['text']}")
        return TrainingError(
            f"another process of this training does not answer any more ({_first_line(error)}): it was killed, its "
            "machine is gone, or it took too long. Look at what it said; what was trained is kept: go on with "
            "medseg pipeline resume, started by torchrun as before."
        )


def _opened(place: Place, limit: float) -> Any:
    """The store, opened beside: torch waits for ever where another program listens and does not answer."""
    found: list[Any] = []

    def open_store() -> None:
        try:
            store, *_ = next(dist.rendezvous("env://", timeout=timedelta(seconds=limit)))
            found.append(store)
        except (RuntimeError, ValueError, OSError) as error:
            found.append(error)

    opening = threading.Thread(target=open_store, name="open-store", daemon=True)
    opening.start()
    opening.join(2 * limit + 1)  # torch tries a second time after the first
    if not found:
        raise _unmet(place, TimeoutError("what listens there does not answer"))
    if isinstance(found[0], Exception):
        raise _unmet(place, found[0]) from found[0]
    return found[0]


def _unmet(place: Place, error: Exception) -> RunError:
    text = _first_line(error)
    if "EADDRINUSE" in str(error) or "address already in use" in str(error):
        return RunError(
            "MASTER_PORT is in use on this machine. Give another: torchrun --master-port=PORT, or --standalone, "
            "which finds a free one."
        )
    if place.first:
        return RunError(
            f"not all of the {place.world} processes that WORLD_SIZE names have come to MASTER_ADDR and MASTER_PORT "
            f"({text}). Look at what the others say; torchrun starts as many as --nproc-per-node says, on each of "
            "--nnodes machines."
        )
    return RunError(
        f"rank {place.rank} does not reach the first process at MASTER_ADDR and MASTER_PORT ({text}). MASTER_ADDR "
        "must name the machine of rank 0 so that all others reach it, and its port must be open to them."
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
