"""Catching what pydicom and highdicom say while they read and write, which may hold values of a file."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

_NOTES = {
    "excess padding": "its pixel data are longer than its pixels, and what follows them was passed over",
    "using implicit VR": "its header is implicit where it says explicit",
    "using explicit VR": "its header is explicit where it says implicit",
    "sufficient to contain": "it holds more pixels than its header says, of which the first picture was read",
}
"""Notes for warnings of pydicom: those that have to do with pixels, by a part of their text."""

_LOGGERS = ("pydicom", "highdicom")

_NOWHERE = logging.NullHandler()
_LOCK = threading.Lock()
_own = threading.local()


class _Watch:
    """Catches warnings and logs of the whole process as long as any thread reads, and gives each to its thread."""

    def __init__(self) -> None:
        self._readers = 0
        self._within = ExitStack()

    def begin(self) -> None:
        """A thread begins to read."""
        with _LOCK:
            self._readers += 1
            if self._readers == 1:
                self._within.enter_context(warnings.catch_warnings())
                warnings.simplefilter("always")
                shown = warnings.showwarning
                warnings.showwarning = partial(_kept, shown)
                for log in map(logging.getLogger, _LOGGERS):
                    self._within.callback(setattr, log, "propagate", log.propagate)
                    log.propagate = False
                    log.addHandler(_NOWHERE)  # without any, the last resort of `logging` prints warnings
                    self._within.callback(log.removeHandler, _NOWHERE)

    def end(self) -> None:
        """A thread has read."""
        with _LOCK:
            self._readers -= 1
            if not self._readers:
                self._within.close()


def _kept(shown: Callable[..., None], message: Warning | str, *others: Any, **more: Any) -> None:
    """Keep a warning for the thread that warns, if it reads; others are shown as before."""
    caught: list[str] | None = getattr(_own, "caught", None)
    if caught is None:
        shown(message, *others, **more)
    else:
        caught.append(str(message))


_WATCH = _Watch()


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Catch warnings, and what pydicom and highdicom log, which may hold values; gives the notes that a person needs.

    Threads may read at the same time; one reads one file at a time.
    """
    notes: list[str] = []
    _WATCH.begin()
    caught = _own.caught = []
    try:
        yield notes
    finally:
        del _own.caught
        _WATCH.end()
        new = [note for each in caught for part, note in _NOTES.items() if part in each]
        notes += dict.fromkeys(new)
