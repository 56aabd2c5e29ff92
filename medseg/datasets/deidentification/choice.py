"""What a person may choose about de-identification, and what the cleaning of a file gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Choice:
    """Options of the Basic Profile (DICOM PS3.15, annex E.3), and words that may stay.

    Attributes:
        keep_uids: Leave UIDs as they are, in place of consistent new ones.
        shift_dates: Move dates by the same number of days for each patient, in place of taking them out.
        keep_device: Leave what names the device: serial number, station, detector.
        words: Words that name nobody, in lower case: they may stay in names of files, and in descriptions.
    """

    keep_uids: bool = False
    shift_dates: bool = False
    keep_device: bool = False
    words: frozenset[str] = frozenset()

    def harmless(self, text: str) -> bool:
        """Whether a text holds nothing but words that may stay."""
        found = _WORD.findall(text)
        return bool(found) and all(word.casefold() in self.words for word in found)


@dataclass(frozen=True)
class Cleaned:
    """A file without what names a patient.

    Attributes:
        content: Its bytes.
        place: Names of folders and of the file, without its ending, where the file itself decides; else empty.
        changes: How often what was done, such as `removed`: 12. Holds no value of the file.
        warnings: What a person must look at. Hold no value of the file.
    """

    content: bytes
    place: tuple[str, ...] = ()
    changes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
