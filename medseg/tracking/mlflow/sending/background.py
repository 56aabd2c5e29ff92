"""Sends in a thread of its own: who trains does not wait for a server, however slow it is."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from medseg.errors import RunError
from medseg.tracking.mlflow.calls import Call
from medseg.tracking.mlflow.sending.outbox import Outbox, leave


class Background:
    """Gives calls to an outbox in their order, and returns before the server has them.

    Until then each stands in `untracked.jsonl` of the run's folder: a process that is killed leaves it to the next.

    Args:
        outbox: Sends them. Nobody else puts anything into it before `settle` has returned.
        folder: The run's folder.
        say: Called if an end of what waits is damaged, which is cut off then.
    """

    def __init__(self, outbox: Outbox, folder: Path, say: Callable[[str], None]) -> None:
        self._outbox = outbox
        self._folder = folder
        self._say = say
        self._calls: deque[Call] = deque()
        self._changed = threading.Condition(outbox.file_lock)
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        outbox.behind = lambda: list(self._calls)[1:]  # the first is the outbox's own already

    def put(self, call: Call) -> None:
        """Take a call; returns at once."""
        with self._changed:
            self._calls.append(call)
            with suppress(OSError, RunError):  # a full disk must not stop the training: memory has it
                leave(self._folder, call, self._say)
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_all, name="medseg-tracking", daemon=True)
                self._thread.start()

    def settle(self) -> None:
        """Wait until each call has been sent, or waits for a server that is away.

        Raises:
            Exception: What the outbox raised, which is a defect.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._calls)
            error, self._error = self._error, None
        if error is not None:
            raise error

    def _send_all(self) -> None:
        """Send until nothing is left: a thread that waited for more would hold on to the run for ever."""
        stale = False
        while True:
            with self._changed:
                if not self._calls:
                    self._thread = None
                    return
                call = self._calls[0]
            try:
                stale = not self._outbox.put(call, written=True) or stale
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                self._error = error
            with self._changed:
                self._calls.popleft()
                if stale and not self._calls:
                    stale = not self._saved()
                self._changed.notify_all()

    def _saved(self) -> bool:
        """Let the file hold what waits; where it cannot be written, what was sent may be sent twice: no harm."""
        with suppress(OSError, RunError):
            self._outbox.save()
            return True
        return False
