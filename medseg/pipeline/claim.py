"""Whose something is: what a process says of itself in what it runs, and whether it is still there."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from medseg.errors import RunError
from medseg.pipeline.process import worked_on
from medseg.recorder import Status


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
    """Whether the process of something RUNNING is still there; taken to be where that cannot be told from here."""
    if claimed.status != "RUNNING" or not claimed.process:
        return False
    return worked_on(folder) == "held" or unsure(claimed, folder)


def unsure(claimed: Claimed, folder: Path) -> bool:
    """Whether it says RUNNING and nobody can tell: on another machine, or where the lock of its folder says nothing.

    The lock of a network share may be seen by one machine alone, so that a free one proves nothing there.
    """
    if claimed.status != "RUNNING" or not claimed.process:
        return False
    told = worked_on(folder)
    return told == "unknown" or (told == "free" and claimed.process["host"] != platform.node())


def taken(claimed: Claimed, folder: Path) -> RunError:
    """That another process works on it."""
    pid, host = claimed.process["pid"], claimed.process["host"]
    if not unsure(claimed, folder):
        return RunError(f"{claimed.name} is still going on (process {pid}). Wait for it.")
    return RunError(
        f"{claimed.name} is still going on, as far as can be told from here: process {pid} on the machine "
        f"{host!r}; this one is {platform.node()!r}. Wait for it. If that process is gone for certain, as with a "
        f"container that was replaced: medseg pipeline resume {claimed.name} --take-over"
    )


def is_claim(process: object) -> bool:
    """Whether what was read from a file can be who works on something; nobody is."""
    if not isinstance(process, dict):
        return False
    if not process:
        return True
    return isinstance(process["host"], str) and type(process["pid"]) is int and 0 < process["pid"] < 2**31
