"""Connections on which sending a question, and each step of waiting for its answer, end in time.

Timeouts of a socket count from one sign of life to the next: an archive that gives a letter a minute would never end.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

SLOWEST = 4096
"""Bytes a second that are the least, on the whole, ..."""

GRACE_S = 60.0
"""... after so many seconds."""


class _Timed:
    """What is added to a connection."""

    sock: Any

    def request(self, method: str, url: str, body: Any = None, *rest: Any, **how: Any) -> None:
        """Send a question."""
        size = body.getbuffer().nbytes if isinstance(body, BytesIO) else 0
        with self._until(GRACE_S + size / SLOWEST):
            super().request(method, url, body, *rest, **how)  # type: ignore[misc]

    def getresponse(self) -> Any:
        """Wait for the head of the answer."""
        with self._until(2 * GRACE_S):  # a slow archive may be silent for one
            return super().getresponse()  # type: ignore[misc]

    @contextmanager
    def _until(self, seconds: float) -> Iterator[None]:
        """Cut the connection if a block takes longer."""
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        with suppress(OSError, TypeError):  # it is gone already, or not there yet
            socket.socket.shutdown(
                self.sock, socket.SHUT_RDWR
            )  # that of TLS would read on as if there were none


class _Connection(_Timed, HTTPConnection):
    """By HTTP."""


class _SecureConnection(_Timed, HTTPSConnection):
    """By HTTPS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


@contextmanager
def watched(cut: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Cut an answer of which no piece comes for twice `GRACE_S`, such as one whose chunks never begin.

    Args:
        cut: Ends it.

    Returns:
        What says that a piece came.
    """
    ended, last = threading.Event(), [time.monotonic()]

    def came() -> None:
        last[0] = time.monotonic()

    def watch() -> None:
        while not ended.wait(min(1.0, GRACE_S)):
            if time.monotonic() - last[0] > 2 * GRACE_S:
                with suppress(OSError, ValueError, RuntimeError):  # it ended meanwhile
                    cut()
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield came
    finally:
        ended.set()


def timed(manager: PoolManager) -> PoolManager:
    """Give a manager of connections such ones alone."""
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager
