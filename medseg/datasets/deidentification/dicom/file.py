"""DICOM files by the Basic Application Level Confidentiality Profile (PS3.15, annex E)."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLETransferSyntaxes,
)

from medseg.datasets.deidentification.choice import Choice, Cleaned
from medseg.datasets.deidentification.dicom.dataset import DatasetCleaner
from medseg.datasets.deidentification.dicom.known import Known
from medseg.datasets.deidentification.dicom.objects import refuse_other_objects, warnings_of
from medseg.datasets.deidentification.dicom.run_lengths import bare_rle
from medseg.datasets.deidentification.markers import bare_jpeg, bare_jpeg2000
from medseg.datasets.deidentification.substitutes import Substitutes
from medseg.images.dicom.attributes import says_made_up
from medseg.images.dicom.header import PIXELS, TOO_DEEP, parsed
from medseg.images.dicom.quiet import quiet
from medseg.images.made_up import MADE_UP
from medseg.images.refusal import RefusedError

#: What is done, as coded concepts. Source: DICOM PS3.16, CID 7050.
_BASIC = ("113100", "Basic Application Confidentiality Profile")
_WORDS = ("113105", "Clean Descriptors Option")
_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
_DEVICE = ("113109", "Retain Device Identity Option")
_UIDS = ("113110", "Retain UIDs Option")

_BARE: Mapping[str, Callable[[bytes], tuple[bytes, int]]] = {
    **dict.fromkeys([*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes], bare_jpeg),
    **dict.fromkeys(JPEG2000TransferSyntaxes, bare_jpeg2000),
}
_ANEW = "Export it anew, or leave it out."
_NOTHING = Known()
_TRAILING = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")


def clean_dicom(path: Path, choice: Choice, substitutes: Substitutes, known: Known = _NOTHING) -> Cleaned:
    """One DICOM object without what names a patient.

    Args:
        path: Of the file.
        choice: Options of the profile.
        substitutes: In place of identifiers.
        known: What other files say of the same patient.

    Returns:
        The file, with folders of its patient, study and series as its place.

    Raises:
        DataError: It cannot be read, or is of a kind that is not cleaned.
    """
    with quiet():
        try:
            return _clean(path, choice, substitutes, known)
        except RecursionError:
            raise RefusedError(TOO_DEEP, _ANEW) from None
        except NotImplementedError:  # what pydicom raises where such a value is asked for
            raise RefusedError(
                "an attribute of the DICOM file has a value representation that is not known", _ANEW
            ) from None


def _clean(path: Path, choice: Choice, substitutes: Substitutes, known: Known) -> Cleaned:
    data = parsed(path, pixels=True)[0]
    refuse_other_objects(data)
    warnings = tuple(warnings_of(data))
    syntax = _syntax(data)
    patient = known.patient(data)
    place = _place(data, patient, substitutes)
    cleaner = DatasetCleaner(choice, substitutes, patient, known.naming(path, data))
    _clean_pixels(data, syntax, cleaner)
    made_up = says_made_up(data)
    cleaner.clean(data)
    if made_up:  # no patient's data, and whoever gets them is to know
        data.ImageComments = MADE_UP
    _declare(data, choice)
    return Cleaned(_written(data, syntax), place, dict(cleaner.counts), warnings)


def _place(data: Dataset, patient: str, substitutes: Substitutes) -> tuple[str, ...]:
    study, series, instance = (
        str(data.get(keyword, "")) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    return (
        substitutes.patient(patient),
        substitutes.label("study", study),
        substitutes.label("series", series),
        substitutes.label("instance", instance),
    )


def _syntax(data: FileDataset) -> UID:
    named = getattr(data, "file_meta", Dataset()).get("TransferSyntaxUID")
    if named is None:
        implicit, little = data.original_encoding
        if not little:
            return ExplicitVRBigEndian
        return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    syntax = UID(str(named))
    read = {*_BARE, *RLETransferSyntaxes}
    if syntax.is_private or (syntax.is_compressed and not syntax.is_deflated and syntax not in read):
        raise RefusedError(
            "the DICOM file is coded as a film, or in a way that cannot be looked through",
            "Export it uncompressed, or leave it out.",
        )
    return syntax


def _clean_pixels(data: Dataset, syntax: UID, cleaner: DatasetCleaner) -> None:
    """Cut off what follows the pixels, and leave out comments within compressed ones."""
    if PIXELS[0] not in data:
        return
    for keyword in _TRAILING:
        if keyword in data:
            del data[keyword]  # frames may become shorter
    if not syntax.is_encapsulated:
        longest = get_expected_length(data)
        longest += longest % 2
        if len(data.PixelData) > longest:
            data.PixelData = data.PixelData[:longest]
            cleaner.counts["removed"] += 1
        return
    frames = []
    try:
        bare = _BARE.get(syntax) or partial(bare_rle, pixels=int(data.Rows) * int(data.Columns))
        for frame in generate_frames(data.PixelData, number_of_frames=int(data.get("NumberOfFrames") or 1)):
            content, left_out = bare(frame)
            frames.append(content)
            cleaner.counts["removed"] += left_out
    except Exception as error:  # whatever pydicom meets in damaged pixels
        raise RefusedError(
            "the compressed pixels of the DICOM file are damaged, or of a form that cannot be looked through",
            "Export it uncompressed, or leave it out.",
        ) from error
    data.PixelData = encapsulate(frames)
    data["PixelData"].is_undefined_length = True


def _declare(data: Dataset, choice: Choice) -> None:
    """Say in the object what was done. Source: PS3.15 E.1.1, PS3.3 C.7.1.1."""
    options = (
        (bool(choice.words), _WORDS),
        (choice.shift_dates, _DATES),
        (choice.keep_device, _DEVICE),
        (choice.keep_uids, _UIDS),
    )
    done = [_BASIC, *(code for taken, code in options if taken)]
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = ["medseg deidentify", "DICOM PS3.15 2026c Basic Profile"]
    data.DeidentificationMethodCodeSequence = [_code(*each) for each in done]
    data.LongitudinalTemporalInformationModified = "MODIFIED" if choice.shift_dates else "REMOVED"


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning[:64]
    return code


def _written(data: FileDataset, syntax: UID) -> bytes:
    data.preamble = bytes(128)
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    try:
        data.save_as(buffer, enforce_file_format=True)
    except RecursionError:
        raise
    except Exception as error:  # values that no DICOM file may hold, which pydicom read all the same
        raise RefusedError("the DICOM file holds values that cannot be written", _ANEW) from error
    return buffer.getvalue()
