"""Whose something is: what a process says of itself in what it runs, and whether it is still there."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from medseg.errors import RunError
from medseg.pipeline.process import lock_trouble, worked_on
from medseg.recorder import Status


class _Claim(BaseModel):
    model_config = ConfigDict(strict=True)

    host: str
    pid: Annotated[int, Field(gt=0, lt=2**31)]


def _named(process: dict[str, Any]) -> dict[str, Any]:
    if process:
        _Claim.model_validate(process)
    return process


Process = Annotated[dict[str, Any], AfterValidator(_named)]
"""Who works on something, as `medseg.pipeline.process.this_process` says it; empty if nobody ever did."""


class Claimed(Protocol):
    """What one process at a time works on: a run, or a cross-validation."""

    @property
    def name(self) -> str:
        """Of its folder."""

    @property
    def status(self) -> Status:
        """RUNNING while a process works on it."""

    @property
    def process(self) -> Mapping[str, Any]:
        """Who does, as `medseg.pipeline.process.this_process` says it; empty if nobody ever did."""


def alive(claimed: Claimed, folder: Path) -> bool:
    """Whether the process of something RUNNING is still there; taken to be where this machine cannot know."""
    if claimed.status != "RUNNING" or not claimed.process:
        return False
    return worked_on(folder) == "held" or unsure(claimed, folder)


def unsure(claimed: Claimed, folder: Path) -> bool:
    """Whether it says RUNNING and nobody can tell: on another machine, or where the lock of its folder says nothing.

    The lock of a network share may be seen by one machine alone, so that a free one proves nothing there.
    """
    if claimed.status != "RUNNING" or not claimed.process:
        return False
    lock = worked_on(folder)
    return lock == "unknown" or (lock == "free" and claimed.process["host"] != platform.node())


def taken(claimed: Claimed, folder: Path) -> RunError:
    """That another process works on it."""
    pid, host = claimed.process["pid"], claimed.process["host"]
    if not unsure(claimed, folder):
        return RunError(f"{claimed.name} is still going on (process {pid}). Wait for it.")
    unreadable = lock_trouble(folder)
    if unreadable:
        return RunError(
            f"whether {claimed.name} is still going on (process {pid} on the machine {host!r}) cannot be known: "
            f"{unreadable}"
        )
    return RunError(
        f"{claimed.name} is still going on, as far as is known here: process {pid} on the machine "
        f"{host!r}; this one is {platform.node()!r}. Wait for it. If that process is gone for certain, as with a "
        f"container that was replaced: medseg pipeline resume {claimed.name} --take-over"
    )
