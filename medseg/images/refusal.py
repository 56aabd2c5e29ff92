"""What a reader says of a file that it refuses, with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Collection

from medseg.errors import DataError

NOT_THERE = "Add the file, mend the manifest that names it, or leave the case out."
NO_RIGHT = "Ask for the right to read the file, or leave the case out."
UNREADABLE = "Unpack or copy the file again, or leave the case out."
"""What to do about a file that cannot be read, where nothing better is known."""

FRAMES = "write `frames: slices` under 'pictures' of the manifest"
"""What to do where one file holds the slices of a case as pictures."""


class RefusedError(DataError):
    """Data that are refused for a reason that has a remedy of its own.

    Attributes:
        found: What was found, and what was expected.
        remedy: What to do about it, in place of a general advice.
    """

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found}. {remedy}")
        self.args = (found, remedy)  # with which a copy is made, such as one from another process
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        """Both, in one line."""
        return f"{self.found}. {self.remedy}"


class SeveralVolumesError(RefusedError):
    """A file of more than three axes where one volume was expected."""


def found_and_remedy(error: Exception, otherwise: str = UNREADABLE) -> tuple[str, str]:
    """What an error says is wrong, and its own remedy, or `otherwise` where it has none."""
    return (error.found, error.remedy) if isinstance(error, RefusedError) else (str(error), otherwise)


_SMALL = re.compile(r"[+-]?[0-9]{1,4}(\.[0-9]{1,4})?")


def of_format(text: str, words: Collection[str] = ()) -> str:
    """What a header says, to be told in a message: its words may be a name wherever they are none of the format's.

    Args:
        text: What it says.
        words: Those of the format, in lower case.

    Returns:
        The text if it is such a word or a small number, else that it is something else.
    """
    return text if text.lower() in words or _SMALL.fullmatch(text) else "something else"
