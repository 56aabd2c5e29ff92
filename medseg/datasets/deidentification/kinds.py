"""What a file is, by its bytes, and how such files are cleaned; other kinds are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medseg.datasets.deidentification.choice import Choice, Cleaned
from medseg.datasets.deidentification.dicom.file import clean_dicom
from medseg.datasets.deidentification.dicom.known import Known
from medseg.datasets.deidentification.nifti import (
    begins_as_header,
    begins_as_nifti,
    clean_header,
    clean_nifti,
    clean_voxels,
)
from medseg.datasets.deidentification.pictures import clean_jpeg, clean_png
from medseg.datasets.deidentification.sidecar import clean_sidecar
from medseg.datasets.deidentification.substitutes import Substitutes
from medseg.datasets.deidentification.tiff import clean_tiff
from medseg.files.regular import MOST_JSON, open_regular
from medseg.images.dicom.sniff import begins_as_dicom
from medseg.images.pictures.open import opened_picture
from medseg.images.refusal import RefusedError

_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Rules:
    """By what files are cleaned.

    Attributes:
        choice: Options.
        substitutes: In place of identifiers.
        known: What the DICOM files of the folder say of their patients.
    """

    choice: Choice
    substitutes: Substitutes
    known: Known


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes:
        name: What they are called.
        ending: Of the names that are written; of NIfTI that of the file, `.nii` or `.nii.gz`.
        endings: Of names that are read, the longest first: what is left out before the rest becomes a pseudonym.
        is_one: Whether a file is one, by its path and its first 352 bytes.
        clean: Give it without what names a patient.
    """

    name: str
    ending: str
    endings: tuple[str, ...]
    is_one: Callable[[Path, bytes], bool]
    clean: Callable[[Path, Rules], Cleaned]


def _picture(clean: Callable[[bytes], Cleaned]) -> Callable[[Path, Rules], Cleaned]:
    """Clean a picture, of which no more is read than its pixels can need."""

    def cleaned(path: Path, rules: Rules) -> Cleaned:  # noqa: ARG001 - as DICOM
        if path.stat().st_size > _MOST_BYTES:
            raise RefusedError(f"it holds more than {_MOST_BYTES} bytes", "Leave it out.")
        with opened_picture(path) as (handle, kind):
            data = kind.content(handle)
        return clean(data)

    return cleaned


def _clean_json(path: Path) -> Cleaned:
    with open_regular(path) as file:
        return clean_sidecar(file.read(MOST_JSON + 1))


def _begins(*marks: bytes) -> Callable[[Path, bytes], bool]:
    return lambda _, head: head.startswith(marks)


def _nifti(packed: bool) -> Callable[[Path, bytes], bool]:
    return lambda path, head: head.startswith(b"\x1f\x8b") == packed and begins_as_nifti(path)


def _alone(clean: Callable[[Path], Cleaned]) -> Callable[[Path, Rules], Cleaned]:
    return lambda path, _: clean(path)


def _clean_dicom(path: Path, rules: Rules) -> Cleaned:
    return clean_dicom(path, rules.choice, rules.substitutes, rules.known)


_NII = (".nii.gz", ".nii")

KINDS = (
    Kind("DICOM", ".dcm", (".dcm",), lambda _, head: begins_as_dicom(head), _clean_dicom),
    Kind("PNG", ".png", (".png",), _begins(b"\x89PNG\r\n\x1a\n"), _picture(clean_png)),
    Kind("JPEG", ".jpg", (".jpeg", ".jpg"), _begins(b"\xff\xd8\xff"), _picture(clean_jpeg)),
    Kind(
        "TIFF",
        ".tif",
        (".tiff", ".tif"),
        _begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        _picture(clean_tiff),
    ),
    Kind("NIfTI", ".nii.gz", _NII, _nifti(packed=True), _alone(clean_nifti)),
    Kind("NIfTI", ".nii", _NII, _nifti(packed=False), _alone(clean_nifti)),
    Kind("NIfTI", ".hdr", (".hdr",), begins_as_header, _alone(clean_header)),
    Kind("NIfTI", ".img", (".img",), lambda path, _: path.suffix.lower() == ".img", _alone(clean_voxels)),
    Kind("JSON", ".json", (".json",), lambda path, _: path.suffix.lower() == ".json", _alone(_clean_json)),
)


def kind_of(path: Path) -> Kind:
    """The kind of a file.

    Raises:
        RefusedError: It is none that is cleaned.
        OSError: It cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        head = file.read(352)
    for kind in KINDS:
        if kind.is_one(path, head):
            return kind
    raise RefusedError(
        "the file is of a kind that is not cleaned, expected DICOM, NIfTI, PNG, JPEG, TIFF or JSON",
        "Look at it yourself, and copy it if it names nobody.",
    )
