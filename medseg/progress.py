"""Where work says how far it is. The library is quiet; the command line passes a display."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

LOADING = "loading torch and MONAI"
"""Label of the bar over their import, which takes ten seconds or so."""


class Bar(Protocol):
    """One job with a known or unknown number of parts."""

    def advance(self, count: float = 1, **shown: str) -> None:
        """Say that `count` more parts are done; `shown` are short texts beside the bar, by name."""

    def restart(self, total: float, label: str = "") -> None:
        """Begin the same line again with another total, as a batch bar does at each epoch."""


class Progress(Protocol):
    """A display of jobs."""

    def bar(self, label: str, total: float | None, unit: str = "") -> AbstractContextManager[Bar]:
        """Open a bar, closed at the end of the `with` block.

        Args:
            label: What is being done, a few words.
            total: Number of parts, None if unknown.
            unit: What a part is called in rates: "slices" gives "12.3 slices/s".
        """

    def say(self, text: str, *, loud: bool = False) -> None:
        """Print one message for the person who watches; `loud` ones must not be overlooked."""


class _SilentBar:
    def advance(self, count: float = 1, **shown: str) -> None:
        pass

    def restart(self, total: float, label: str = "") -> None:
        pass


class Silent:
    """The progress of a library call: nothing is shown."""

    @contextmanager
    def bar(self, label: str, total: float | None, unit: str = "") -> Iterator[Bar]:  # noqa: ARG002
        """Open a bar that shows nothing."""
        yield _SilentBar()

    def say(self, text: str, *, loud: bool = False) -> None:
        """Say nothing."""


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep libraries from talking over the display; what matters reaches the user as an error."""
    loggers = [logging.getLogger(name) for name in ("ignite", "ignite.engine", "monai", "nibabel.global")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # such as that a slice of one intensity is left alone, once for each of them
            warnings.filterwarnings("ignore", category=UserWarning, module=r"monai\.transforms")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
