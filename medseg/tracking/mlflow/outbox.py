"""Calls on their way to a tracking server that may go away and come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from medseg.errors import MedsegError, RunError
from medseg.files.durable import append_line, cut_damage
from medseg.files.regular import open_regular
from medseg.places import written_whole
from medseg.tracking.mlflow.address import masked
from medseg.tracking.mlflow.calls import Call

UNTRACKED = "untracked.jsonl"
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 300.0
# What a server says when it understood and will not: to send it again would block all that comes after.
_REFUSALS = frozenset({
    "ALREADY_EXISTS", "BAD_REQUEST", "CUSTOMER_UNAUTHORIZED", "FEATURE_DISABLED", "INVALID_PARAMETER_VALUE",
    "NOT_FOUND", "NOT_IMPLEMENTED", "PERMISSION_DENIED", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST",
    "UNAUTHENTICATED",
})  # fmt: skip
# MLflow calls most of these a bad request, whatever is wrong with the database.
_OUTAGES = frozenset({"DatabaseError", "InterfaceError", "InternalError", "OperationalError"})


class Outbox:
    """Sends calls in order, and never lets a server hold up or stop the one who calls.

    A call that fails because the server is away waits in memory and as a line of `untracked.jsonl` in the
    run's folder, with all that come after it. The server is tried again after 30 seconds, then after pauses
    that double up to five minutes, each time with a short question first. A call that the server refuses is
    reported and dropped.

    Args:
        send: Sends one call, or raises.
        reach: Raises `TrackingError` soon if the server does not answer.
        folder: The run's folder. Calls that an earlier process left there are sent first.
        say: Told once when the server goes away, when it is back, and of each refusal.
        clock: Seconds, never running backwards.

    Raises:
        RunError: What an earlier process left there is damaged.
    """

    def __init__(
        self,
        send: Callable[[Call], None],
        reach: Callable[[], None],
        folder: Path,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._reach = reach
        self._path = folder / UNTRACKED
        self._say = say
        self._clock = clock
        self._lock = threading.RLock()  # the run's thread and the one that watches the system both call
        self._waiting = _read(self._path, say)
        self._pause = _FIRST_PAUSE
        self._next_try = float("-inf")

    @property
    def waiting(self) -> int:
        """Number of calls that the server has not had yet."""
        return len(self._waiting)

    def holds(self, what: str) -> bool:
        """Whether a call of this name waits."""
        return any(call.what == what for call in self._waiting)

    def forget(self, what: str) -> None:
        """Drop the calls of this name that wait."""
        with self._lock:
            if self.holds(what):
                self._waiting = [call for call in self._waiting if call.what != what]
                self._write()

    def put(self, call: Call) -> None:
        """Send a call, or keep it behind those that wait. Never raises on behalf of the server."""
        with self._lock:
            if not self._waiting and self._sent(call):
                return
            self._keep(call)
            if self._clock() >= self._next_try:
                self.flush()

    def flush(self) -> bool:
        """Try to send all that waits, however short the last try is past; True if nothing waits any more."""
        with self._lock:
            if not self._waiting:
                return True
            if not self._answers():
                return False
            self._waiting = self._left_over()
            self._write()
            if self._waiting:
                return False
            self._pause = _FIRST_PAUSE
            self._say("The tracking server answers again and has been told all that it missed.")
            return True

    def _answers(self) -> bool:
        try:
            self._reach()
        except MedsegError as error:
            self._back_off(error)
            return False
        return True

    def _left_over(self) -> list[Call]:
        """Send what waits; a call that fails stays behind and lets others pass, two in a row end the try.

        So an artifact store that is broken holds back files, not the scores.
        """
        failed: list[Call] = []
        in_a_row = 0
        for position, call in enumerate(self._waiting):
            if self._sent(call):
                in_a_row = 0
                continue
            failed.append(call)
            in_a_row += 1
            if in_a_row == 2:
                return failed + self._waiting[position + 1 :]
        return failed

    def _sent(self, call: Call) -> bool:
        """True if the call needs no more care: it arrived, or it never will."""
        try:
            self._send(call)
        except RunError as error:  # it is we who will not
            self._say(f"One {call.what} is not sent to the tracking server: {error}")
            return True
        except Exception as error:  # noqa: BLE001 - MLflow raises whatever its stores and HTTP layers raise
            if _is_refusal(error):
                self._say(f"The tracking server refused {call.what}: {_first_line(error)}.")
                return True
            self._back_off(error)
            return False
        return True

    def _keep(self, call: Call) -> None:
        self._waiting.append(call)
        with suppress(OSError):  # a full disk must not stop the thread: memory has it
            leave(self._path.parent, call)

    def _write(self) -> None:
        if not self._waiting:
            self._path.unlink(missing_ok=True)
            return
        with written_whole(self._path) as beside:
            beside.write_text("".join(f"{call.line()}\n" for call in self._waiting), encoding="utf-8")

    def _back_off(self, error: Exception) -> None:
        if self._pause == _FIRST_PAUSE:
            self._say(
                f"The tracking server does not answer ({_first_line(error)}). The run goes on and keeps "
                "all in its own folder; the server is told when it is back."
            )
        self._next_try = self._clock() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


def leave(folder: Path, call: Call) -> None:
    """Write a call down for the next outbox of a run's folder."""
    append_line(folder / UNTRACKED, call.line())


def _is_refusal(error: Exception) -> bool:
    if type(error.__cause__).__name__ in _OUTAGES:
        return False
    code = getattr(error, "error_code", None)
    if code is not None:
        return code in _REFUSALS
    # A file that is gone will not come back; any other trouble with files or sockets may pass.
    return isinstance(error, FileNotFoundError) or not isinstance(error, OSError)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return masked(lines[0])[:300].rstrip(".")


def _read(path: Path, say: Callable[[str], None]) -> list[Call]:
    if not path.exists():
        return []
    cut = cut_damage(path)
    if cut:
        say(f"The last {cut} bytes of {UNTRACKED} were damaged, as by a power cut, and are cut off.")
    with open_regular(path) as file:
        content = file.read()
    try:
        return [Call.from_line(line.decode("utf-8")) for line in content.split(b"\n") if line]
    except ValueError as error:
        raise RunError(
            f"{path.name} of the run {path.parent.name} holds a line that medseg did not write. Remove that line, or "
            "the whole file, if the tracking server need not have what waits in it."
        ) from error
