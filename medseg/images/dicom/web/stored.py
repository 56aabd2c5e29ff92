"""Whether an archive keeps an object as it was given: what it says of it, and what it gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from medseg.images.dicom.quiet import quiet
from medseg.images.refusal import RefusedError

_KEEPERS = "Ask those who keep the archive; the label map is not in it as it should be."

#: What an archive may write anew when it files an object, or what is new at each making: the same mask of the same
#: images has the same UIDs whenever it is made, so that an archive may keep the one of yesterday.
_OF_FILING = {
    *("ContributingEquipmentSequence", "DimensionOrganizationSequence", "DimensionIndexSequence"),
    *(
        "InstanceCreationDate",
        "InstanceCreationTime",
        "ContentDate",
        "ContentTime",
        "SeriesDate",
        "SeriesTime",
    ),
    *("TimezoneOffsetFromUTC", "SpecificCharacterSet", "AccessionNumber", "ReferringPhysicianName"),
    *("PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDescription", "StudyID"),
}

_PIXELS = "PixelData"

#: Source: DICOM PS3.4, annex B.2.3, and PS3.18, table I.2-2.
_FAILURES = {
    0x0110: "it met an error of its own",
    0x0122: "it keeps no segmentations",
    0x0124: "this user may not store there",
    0xA700: "it has no room left",
}


def refuse_failed(answer: Any, instance: str) -> None:
    """Refuse what an archive says it did not store.

    Args:
        answer: The data set it answered, or None.
        instance: UID of the object. An archive may list no failures in a sequence of them.

    Raises:
        RefusedError: It says so.
    """
    for item in getattr(answer, "FailedSOPSequence", None) or []:
        if str(getattr(item, "ReferencedSOPInstanceUID", instance)) == instance:
            code = int(getattr(item, "FailureReason", 0) or 0)
            reason = _FAILURES.get(
                code, "it cannot understand it" if code >> 12 == 0xC else "it says no more"
            )
            raise RefusedError(
                f"the archive did not store the segmentation: {reason} (code {code:04X})",
                "Ask those who keep the archive.",
            )


def refuse_changed(given: Path, back: Path) -> None:
    """Refuse an object that an archive gives back changed: pixels, places, segments, references, patient or UIDs.

    Attributes may be added, and pixels compressed without loss.

    Args:
        given: What was stored.
        back: What came back.

    Raises:
        RefusedError: It is another.
    """
    with quiet():
        try:
            ours, theirs = dcmread(given), dcmread(back)
            changed = [name for name in _names(ours) if not _same(ours, theirs, name)]
        except Exception as error:  # pydicom raises whatever it meets in what the archive gave
            raise RefusedError("what the archive gives back is no DICOM object", _KEEPERS) from error
    if changed:
        listed = ", ".join(changed[:5]) + (", ..." if len(changed) > 5 else "")
        raise RefusedError(f"the archive gives back a segmentation that differs in {listed}", _KEEPERS)


def _names(ours: Dataset) -> list[str]:
    return [element.keyword for element in ours if element.keyword and element.keyword not in _OF_FILING]


def _same(ours: Dataset, theirs: Dataset, name: str) -> bool:
    if name not in theirs:
        return not ours[name].value  # an empty attribute that was left out says the same
    if name == _PIXELS:
        if ours.file_meta.TransferSyntaxUID == theirs.file_meta.TransferSyntaxUID:
            return bool(ours[name].value == theirs[name].value)
        return np.array_equal(ours.pixel_array, theirs.pixel_array)
    return bool(ours[name].value == theirs[name].value)
