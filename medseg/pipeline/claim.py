"""Whose something is: what a process says of itself in what it runs, and whether it is still there."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any, Protocol

from medseg.errors import RunError
from medseg.pipeline.process import is_there
from medseg.recorder import Status

_LATEST = 2.0**40
"""Seconds since 1970 that no clock shows."""


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
        """Host, process id and start time of who does; empty if nobody ever did."""


def elsewhere(claimed: Claimed) -> bool:
    """Whether it says that it is RUNNING on another machine, or on this one under another name."""
    return (
        claimed.status == "RUNNING" and bool(claimed.process) and claimed.process["host"] != platform.node()
    )


def alive(claimed: Claimed) -> bool:
    """Whether the process of something RUNNING is still there. Of another machine it is taken to be."""
    if claimed.status != "RUNNING" or not claimed.process:
        return False
    if elsewhere(claimed):
        return True
    if claimed.process["pid"] == os.getpid():
        return False
    return is_there(claimed.process["pid"], claimed.process["since"])


def taken(claimed: Claimed) -> RunError:
    """That another process works on it."""
    pid, host = claimed.process["pid"], claimed.process["host"]
    if not elsewhere(claimed):
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
    return (
        isinstance(process["host"], str)
        and type(process["pid"]) is int
        and 0 < process["pid"] < 2**31
        and type(process["since"]) in (int, float)
        and 0 <= process["since"] < _LATEST
    )
