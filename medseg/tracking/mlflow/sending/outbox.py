"""Calls on their way to a tracking server that may go away and come back."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from medseg.errors import MedsegError, RunError
from medseg.files.durable import append_line, cut_damage
from medseg.files.regular import open_regular
from medseg.places import written_whole
from medseg.text import many
from medseg.tracking.mlflow.address import masked
from medseg.tracking.mlflow.calls import Call
from medseg.tracking.mlflow.sending.refusal import LOGIN, code_of, failure, is_refusal, is_too_large

UNTRACKED = "untracked.jsonl"
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 300.0
# A server that answers may have trouble with one file and none with the next; each try of one may take seconds.
_MOST_TROUBLES = 8


class Outbox:
    """Sends calls in order, and never lets a server hold up or stop the one who calls.

    A call that fails because the server is away, or the login has run out, waits in memory and as a line of
    `untracked.jsonl` in the run's folder, with all that come after it; but numbers, settings and the end of the run
    never wait for files. The server is tried again after 30 seconds, then after pauses that double up to five
    minutes, each time with a short question first. A call that the server refuses for what it says is reported and
    dropped.

    Args:
        send: Sends one call, or raises; gives what the user should know of it.
        reach: Raises `TrackingError` soon if the server does not answer.
        folder: The run's folder. Calls that an earlier process left there are sent first.
        say: Called once when the server goes away, when it is back, and of each refusal.
        clock: Seconds, never running backwards.

    Attributes:
        refused: Calls of this process that were dropped.
        reason: Why the last one that failed did.
        behind: Gives the calls that will be put later, which the file holds as well.
        file_lock: Held while the file is written.

    Raises:
        RunError: What an earlier process left there is damaged.
    """

    def __init__(
        self,
        send: Callable[[Call], str | None],
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
        self.refused = 0
        self.reason = ""
        self._weight = 1.0  # of the failure that was last
        self.behind: Callable[[], Sequence[Call]] = tuple
        self.file_lock = threading.RLock()

    @property
    def unsent(self) -> str:
        """What the server has not had, and why, as one sentence; empty if it has had everything."""
        parts = []
        if self._waiting:
            named = ", ".join(
                f"{count} {what}" if what.endswith("s") else many(count, what)
                for what, count in Counter(c.what for c in self._waiting).items()
            )
            verb = "waits" if len(self._waiting) == 1 else "wait"
            parts.append(
                f"{many(len(self._waiting), 'record')} {verb} in {UNTRACKED} ({named}): {self.reason}"
            )
        if self.refused:
            parts.append(f"{self.refused} were refused for good, and are in the run's own folder alone")
        return "; ".join(parts)

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
                self.save()

    def put(self, call: Call, *, written: bool = False) -> bool:
        """Send a call, or keep it behind those that wait. Never raises on behalf of the server.

        Args:
            call: What is sent.
            written: Whether it stands in the file already.

        Returns:
            Whether the file still holds the very calls that wait, if it was `written`.
        """
        with self._lock:
            kept = self._is_held_up(call) or not self._sent(call)
            if kept:
                self._waiting.append(call)
                if not written:
                    self._append(call)
            if self._waiting and self._clock() >= self._next_try:
                with suppress(OSError):  # a full disk, as above
                    self.flush()
            return kept

    def flush(self) -> bool:
        """Try to send all that waits, however short the last try is past; True if nothing waits any more."""
        with self._lock:
            if not self._waiting:
                self.save()  # there may be an empty one, whose damaged end was cut off
                return True
            if not self._answers():
                return False
            self._waiting = self._left_over()
            self.save()
            if self._waiting:
                return False
            self._pause = _FIRST_PAUSE
            but = f", but for {self.refused} that were refused for good" if self.refused else ""
            self._say(f"The tracking server has now received all that waited for it{but}.")
            return True

    def _is_held_up(self, call: Call) -> bool:
        """Whether something waits that must arrive before: files, which may be too large for ever, hold up files."""
        return any(call.is_file or not before.is_file for before in self._waiting)

    def _answers(self) -> bool:
        try:
            self._reach()
        except MedsegError as error:
            self._back_off("does not answer", error)
            return False
        return True

    def _left_over(self) -> list[Call]:
        """Send what waits, files last: an artifact store that is broken holds back files, not the scores."""
        records = [call for call in self._waiting if not call.is_file]
        files = [call for call in self._waiting if call.is_file]
        left = self._tried(records)
        return [*left, *files] if len(left) > 1 else [*left, *self._tried(files)]

    def _tried(self, calls: Sequence[Call]) -> list[Call]:
        """Send calls; one that fails stays behind and lets others pass, two in a row end the try.

        But any number of files may be too large for the server: that says nothing of the next one; and eight in a row
        may be answered by an error of the server's own.
        """
        failed: list[Call] = []
        in_a_row = 0.0
        for position, call in enumerate(calls):
            if self._sent(call):
                in_a_row = 0
                continue
            failed.append(call)
            in_a_row += self._weight
            if in_a_row >= 2:
                return [*failed, *calls[position + 1 :]]
        return failed

    def _sent(self, call: Call) -> bool:
        """True if the call needs no more care: it arrived, or it never will."""
        try:
            note = self._send(call)
        except RunError as error:  # it is we who will not
            self.refused += 1
            self._say(f"One {call.what} is not sent to the tracking server: {error}")
            return True
        except Exception as error:  # noqa: BLE001 - MLflow raises whatever its stores and HTTP layers raise
            if is_refusal(error):
                self.refused += 1
                self._say(f"The tracking server refused {call.what}: {_first_line(error)}.")
                return True
            self._weight = _weight(call, error)
            does_not = "refuses the login" if code_of(error) in LOGIN else f"did not take {call.what}"
            self._back_off(does_not, error)
            return False
        if note:
            self._say(note)
        return True

    def _append(self, call: Call) -> None:
        with (
            self.file_lock,
            suppress(OSError, RunError),
        ):  # a full disk must not stop the thread: memory has it
            leave(self._path.parent, call, self._say)

    def save(self) -> None:
        """Let the file hold what waits, and nothing else."""
        with self.file_lock:
            calls = [*self._waiting, *self.behind()]
            if not calls:
                self._path.unlink(missing_ok=True)
                return
            with written_whole(self._path) as beside:
                beside.write_text("".join(f"{call.line()}\n" for call in calls), encoding="utf-8")

    def _back_off(self, does: str, error: Exception) -> None:
        self.reason = f"it {does}: {_first_line(error)}"
        if self._pause == _FIRST_PAUSE:
            self._say(
                f"The tracking server {does} ({_first_line(error)}). What it has not had is kept in the run's own "
                "folder and sent again later; nothing waits for it."
            )
        self._next_try = self._clock() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


def _weight(call: Call, error: Exception) -> float:
    """How much a failure says against the next call; 2 in a row end a try."""
    if is_too_large(error):
        return 0
    return 2 / _MOST_TROUBLES if call.is_file and failure(error) is not None else 1


def leave(folder: Path, call: Call, say: Callable[[str], None]) -> None:
    """Write a call down for the next outbox of a run's folder; says what of a damaged end is lost."""
    _say_cut(append_line(folder / UNTRACKED, call.line()), say)


def _say_cut(cut: int, say: Callable[[str], None]) -> None:
    if cut:
        say(f"The last {cut} bytes of {UNTRACKED} were damaged, as by a power cut, and are cut off.")


def _first_line(error: Exception) -> str:
    if (status := failure(error)) is not None:
        return f"it answered {status}, an error of its own"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return masked(lines[0])[:300].rstrip(".")


def _read(path: Path, say: Callable[[str], None]) -> list[Call]:
    if not path.exists():
        return []
    _say_cut(cut_damage(path), say)
    with open_regular(path) as file:
        content = file.read()
    try:
        return [Call.from_line(line.decode("utf-8")) for line in content.split(b"\n") if line]
    except ValueError as error:
        raise RunError(
            f"{path.name} of the run {path.parent.name} holds a line that medseg did not write. Remove that line, or "
            "the whole file, if the tracking server need not have what waits in it."
        ) from error
