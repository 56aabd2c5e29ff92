"""Catching what pydicom says while it reads, which may hold values of a file."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NOTES = {
    "excess padding": "its pixel data are longer than its pixels, and what follows them was passed over",
    "using implicit VR": "its header is implicit where it says explicit",
    "using explicit VR": "its header is explicit where it says implicit",
    "sufficient to contain": "it holds more pixels than its header says, of which the first picture was read",
}
"""Notes for warnings of pydicom: those that have to do with pixels, by a part of their text."""

_LOGGERS = ("pydicom",)

_LOCK = threading.Lock()  # warnings are caught for the whole process


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Catch what pydicom warns of and logs, which may hold values; gives the notes that a person needs."""
    logs = [logging.getLogger(name) for name in _LOGGERS]
    notes: list[str] = []
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = [log.propagate for log in logs]
        for log in logs:
            log.propagate = False
        try:
            yield notes
        finally:
            for log, propagate in zip(logs, before, strict=True):
                log.propagate = propagate
            new = [note for each in caught for part, note in _NOTES.items() if part in str(each.message)]
            notes += dict.fromkeys(new)
