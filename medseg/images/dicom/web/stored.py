"""Whether an archive keeps an object as it was given: what it says of it, and what it gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from medseg.images.dicom.quiet import quiet
from medseg.images.dicom.writing.identity import NEW_EACH_TIME
from medseg.images.refusal import RefusedError

#: What an archive may write anew when it files an object, or what is new at each making: the same content has the
#: same UIDs whenever it is made, so that an archive may keep the one of yesterday.
_NOT_COMPARED = NEW_EACH_TIME | {
    *("SpecificCharacterSet", "AccessionNumber", "ReferringPhysicianName"),
    *("PatientSex", "PatientAge", "StudyDescription", "StudyID"),
}

_COMPLETED = {"PatientName", "PatientBirthDate"}  # an archive may add them where the images lack them

_PIXELS = "PixelData"
_KEEPERS = "Ask those who keep the archive."

_IS_THERE = 0x0111  # a duplicate: reading it back tells whether it is the same. Source: DICOM PS3.7, C.5.8

#: Source: DICOM PS3.4, annex B.2.3, and PS3.18, table I.2-2.
_FAILURES = {
    0x0110: "it met an error of its own",
    0x0122: "it keeps no segmentations",
    0x0124: "this user may not store there",
    0xA700: "it has no room left",
}


class NotStoredError(RefusedError):
    """An archive says that it did not store an object."""


class ChangedError(RefusedError):
    """An archive holds another object under the UIDs of what it was given."""


def refuse_failed(answer: Any, instance: str) -> None:
    """Refuse what an archive says it did not store.

    Args:
        answer: The data set it answered, or None.
        instance: UID of the object. An archive may list no failures in a sequence of them.

    Raises:
        NotStoredError: It says so.
    """
    for item in getattr(answer, "FailedSOPSequence", None) or []:
        if str(getattr(item, "ReferencedSOPInstanceUID", instance)) == instance:
            code = int(getattr(item, "FailureReason", 0) or 0)
            if code == _IS_THERE:
                continue
            reason = _FAILURES.get(
                code, "it cannot understand it" if code >> 12 == 0xC else "it says no more"
            )
            raise NotStoredError(
                f"the archive did not store the segmentation: {reason} (code {code:04X})",
                _KEEPERS,
            )


def refuse_changed(given: Path, back: Path) -> None:
    """Refuse an object given back changed: in pixels, places, segments, references, patient, texts or UIDs.

    Attributes may be added, and pixels compressed without loss.

    Args:
        given: What was stored.
        back: What came back.

    Raises:
        ChangedError: It differs.
        RefusedError: It cannot be read.
    """
    with quiet():
        try:
            ours, theirs = dcmread(given), dcmread(back)
            changed = [name for name in _names(ours) if not _same(ours, theirs, name)]
        except Exception as error:  # pydicom raises whatever it meets in what the archive gave
            raise RefusedError("what the archive gives back is no DICOM object", _KEEPERS) from error
    if changed:
        listed = ", ".join(changed[:5]) + (", ..." if len(changed) > 5 else "")
        raise ChangedError(f"the archive gives back a segmentation that differs in {listed}", _KEEPERS)


def _names(ours: Dataset) -> list[str]:
    return [element.keyword for element in ours if element.keyword and element.keyword not in _NOT_COMPARED]


def _same(ours: Dataset, theirs: Dataset, name: str) -> bool:
    if name not in theirs:
        return not ours[name].value  # an empty attribute that was left out says the same
    if name == _PIXELS:
        if ours.file_meta.TransferSyntaxUID == theirs.file_meta.TransferSyntaxUID:
            return bool(ours[name].value == theirs[name].value)
        return np.array_equal(ours.pixel_array, theirs.pixel_array)
    if name in _COMPLETED:
        return _written(ours, name) in {"", _written(theirs, name)}
    return bool(ours[name].value == theirs[name].value)


def _written(data: Dataset, name: str) -> str:
    """A text without what an archive may leave out: empty parts at the end of a name."""
    return str(data[name].value or "").rstrip(" ^=")
