"""Which DICOM objects are de-identified, and what a person must look at in one."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.uid import UID, RTStructureSetStorage

from medseg.images.dicom.header import PIXELS
from medseg.images.refusal import RefusedError

_LEAVE = "Leave it out."

#: Kinds of devices whose pictures often show names: ultrasound, captured screens, photographs, endoscopy, documents.
_SHOWN = frozenset(
    ("US", "IVUS", "SC", "OT", "XC", "ES", "GM", "HC", "DOC", "BMD", "XA", "RF", "OP", "OPT", "SM")
)
_CAPTURED = ("Secondary Capture", "Ultrasound", "VL ", "Video", "Photographic")


#: Why kinds of objects without an image are left out, by what the standard calls them; the first that fits.
_OTHERS = (
    (
        ("SR", "Key Object Selection", "Procedure Log", "Report"),
        "a structured report: names stand in its text items, and the option Clean Structured Content is not done",
        "Leave it out; write what you need of it into a table without names.",
    ),
    (
        ("Presentation State", "Hanging Protocol", "Structured Display"),
        "a presentation state: its annotations are text that somebody wrote over images, and cannot be cleaned",
        "Leave it out; images are shown without it.",
    ),
    (
        ("Encapsulated",),
        "a document within DICOM: it holds a file of another kind, which is not looked through",
        _LEAVE,
    ),
    (("RT ",), "an object of a radiation treatment: its plan names people and places in free text", _LEAVE),
    (("Waveform", "ECG"), "a recording: its channels and annotations hold text", _LEAVE),
)


def refuse_other_objects(data: Dataset) -> None:
    """Refuse what holds text in place of an image: reports, documents, presentations, waveforms, directories.

    Structure sets are no images either, and are cleaned: all their text stands in attributes of the profile's table.

    Raises:
        RefusedError: It is one.
    """
    kind = UID(str(data.get("SOPClassUID", "")))
    name = kind.name if not kind.is_private and kind.name != kind else "unknown kind"
    if "DirectoryRecordSequence" in data:
        raise RefusedError(
            "a DICOM directory, which names patients and files",
            "Leave it out; make one anew of the files that are written, if you need one.",
        )
    if not any(keyword in data for keyword in PIXELS) and kind != RTStructureSetStorage:
        for words, what, remedy in _OTHERS:
            if any(word in name for word in words):
                raise RefusedError(f"{what} ({name})", remedy)
        raise RefusedError(f"a DICOM object without an image: its text cannot be cleaned ({name})", _LEAVE)
    if not kind or "SOPInstanceUID" not in data:
        raise RefusedError(
            "the DICOM file does not say which kind of object it is, or which instance", _LEAVE
        )


def warnings_of(data: Dataset) -> Iterator[str]:
    """Why the pixels of an object may show who it is of."""
    burned = str(data.get("BurnedInAnnotation", "")).upper()
    kind = UID(str(data.get("SOPClassUID", ""))).name
    likely = data.get("Modality") in _SHOWN or any(word in kind for word in _CAPTURED)
    if burned == "YES":
        yield "its header says that text is burned into its pixels: look at it, and blank or leave out what names"
    elif burned != "NO" and likely:
        yield "pictures of its kind often show text: look at it, and blank or leave out what names"
    if str(data.get("RecognizableVisualFeatures", "")).upper() == "YES":
        yield "its header says that the person can be recognised in its pixels, as by a face"
    if any(tag.group & 0xFF00 == 0x6000 for tag in data.keys()):  # noqa: SIM118 - it iterates over elements
        yield "its overlays were removed, and what they marked with them"
