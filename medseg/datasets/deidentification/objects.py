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


def refuse_other_objects(data: Dataset) -> None:
    """Refuse what holds text in place of an image: reports, documents, presentations, waveforms, directories.

    Raises:
        RefusedError: It is one.
    """
    kind = UID(str(data.get("SOPClassUID", "")))
    name = kind.name if not kind.is_private and kind.name != kind else "an unknown kind"
    if "DirectoryRecordSequence" in data:
        raise RefusedError(
            "a DICOM directory, which names patients and files",
            "Leave it out; make one anew of the files that are written, if you need one.",
        )
    if not any(keyword in data for keyword in PIXELS) and kind != RTStructureSetStorage:
        raise RefusedError(f"a DICOM object of {name} without an image: its text cannot be cleaned", _LEAVE)
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
