"""How a file's name misses a pattern: what is loosened in a pattern, to find the one that was meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_SEPARATORS = re.compile(r"[-_. ]")
_TOKENS = re.compile(r"\*|\{[^{}]*\}")
_LAST = re.compile(r"\.nii\*$|\.\*$|(?:\.[A-Za-z0-9]+)+$")


@dataclass(frozen=True)
class Slip:
    """What a pattern is loosened in.

    Attributes:
        difference: What differs in the name of a file that fits then alone, in words.
        letters: Whether upper and lower case are one.
        separators: Whether `-`, `_`, `.` and a space are one.
        endings: Of which any may stand in place of the pattern's own, or none where the pattern names more than the
            case; nothing is loosened without them.
        folder: Whether the file may lie in any folder.
    """

    difference: str = ""
    letters: bool = False
    separators: bool = False
    endings: tuple[str, ...] = ()
    folder: bool = False

    def split(self, given: str) -> tuple[str, str]:
        """A pattern that is to be compiled, and the regular expression of what follows it."""
        name = given.rpartition("/")[2]
        tokens = [each for each in _TOKENS.findall(given) if each not in ("*", "{within}")]
        if self.folder and all(each in name for each in tokens):
            given = f"**/{name}"
        last = _LAST.search(given)
        if not self.endings or last is None:
            return given, ""
        stem = given[: last.start()]
        says_more = _TOKENS.sub("", stem.rpartition("/")[2])
        return stem, f"{_any(self.endings)}?" if says_more else _any(self.endings)

    def literal(self, text: str) -> str:
        """The regular expression of what stands for itself."""
        if not self.separators:
            return re.escape(text)
        return "".join("[-_. ]" if _SEPARATORS.match(each) else re.escape(each) for each in text)

    def whole(self, written: str) -> str:
        """The regular expression of a pattern, of that of its parts."""
        return f"(?i){written}" if self.letters else written


def _any(texts: Sequence[str]) -> str:
    """The regular expression of one of some texts."""
    return f"(?:{'|'.join(re.escape(each) for each in texts)})"


EXACT = Slip()
"""Nothing: patterns as they are written."""

FOLDER = Slip("the folder that it lies in", folder=True)
"""A name that fits, in another folder."""


UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".tmp", ".temp", ".filepart", ".aria2")
"""What programs put behind a name while they download or copy, in lower case."""

OF_UNFINISHED = "an ending of unfinished downloads or copies"
"""What differs in the name of a file that fits without such an ending."""

PUT_ASIDE = (".bak", ".backup", ".old", ".orig", ".save", ".copy")
"""What people and programs put behind a name to put a file aside, in lower case."""

OF_PUT_ASIDE = "an ending of files that were put aside"
"""What differs in the name of a file that fits without such an ending."""


def behind(suffix: str) -> str:
    """What differs in a name that ends so, where the name without the ending fits; empty for other endings."""
    ending = suffix.lower()
    return OF_UNFINISHED if ending in UNFINISHED else OF_PUT_ASIDE if ending in PUT_ASIDE else ""


def nearest(patterns: Sequence[str], spelt: Sequence[str], name: str) -> str:
    """The pattern whose last part is most like the name of a file.

    Args:
        patterns: As written.
        spelt: What may stand in place of `{channel}`.
        name: Of the file, without its folders.
    """
    likely = {
        (pattern, pattern.rpartition("/")[2].replace("{channel}", each))
        for pattern in patterns
        for each in spelt or [""]
    }
    return max(sorted(likely), key=lambda pair: SequenceMatcher(None, pair[1], name, autojunk=False).ratio())[
        0
    ]


def slips(endings: Sequence[str]) -> tuple[Slip, ...]:
    """What is tried of a name that fits no pattern, in this order.

    Args:
        endings: Of names of the kind of file, in lower case.
    """
    return (
        Slip("the ending"),  # files that a pattern fits as it is were passed over for theirs
        Slip("upper and lower case", letters=True),
        Slip("the separator (- _ . or a space)", separators=True),
        Slip("the ending", endings=tuple(endings)),
        Slip(
            "more than one of upper and lower case, the separator and the ending",
            letters=True,
            separators=True,
            endings=tuple(endings),
        ),
    )
