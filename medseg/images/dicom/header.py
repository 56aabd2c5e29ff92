"""Opening a DICOM file: its header, what it says of its pixels, and what is refused before they are decoded."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medseg.errors import DataError
from medseg.files import regular
from medseg.images.dicom.attributes import COPY, is_given, value_of
from medseg.images.dicom.deflated import refuse_bomb
from medseg.images.dicom.elements import Counted, refuse_many_elements
from medseg.images.dicom.quiet import quiet
from medseg.images.dicom.sniff import begins_with_element
from medseg.images.pictures.decoders import within_limit
from medseg.images.refusal import FRAMES, NO_RIGHT, NOT_THERE, RefusedError

EXPORT = "Export the image that is meant, or leave the case out."

TOO_DEEP = "the sequences of the DICOM file are nested too deeply to be read"
"""What is wrong with a file at which pydicom comes to the end of its stack."""

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

#: A file of more bytes, or a deflated data set that unpacks to more, is refused before pydicom reads it whole: a
#: picture of `MAX_PIXELS` in three colours of 16 bits takes 600 MB.
_MOST_BYTES = 1 << 30

_NO_TEXT = {"SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN", "OB or OW", "US or OW"}


@dataclass(frozen=True)
class Header:
    """What a file says of its pixels, checked.

    Attributes:
        data: All attributes.
        syntax: The transfer syntax.
        height: Rows.
        width: Columns.
        samples: Of each pixel, 1 or 3.
        colours: Photometric Interpretation.
        allocated: Bits that a sample takes.
        stored: Bits that count.
        signed: Whether samples are.
        keyword: The attribute that holds the pixels; empty in a header alone.
        notes: What is odd about the file.
        frames: How many pictures it holds.
        frame: Which of them is meant, from 0.
        coded: Those of a compressed file, taken apart once for all frames; empty before that.
    """

    data: FileDataset
    syntax: UID
    height: int
    width: int
    samples: int
    colours: str
    allocated: int
    stored: int
    signed: bool
    keyword: str
    notes: list[str] = field(default_factory=list)
    frames: int = 1
    frame: int = 0
    coded: list[bytes] = field(default_factory=list)

    @property
    def is_float(self) -> bool:
        """Whether samples are real numbers."""
        return self.keyword in PIXELS[1:]

    def of_frame(self, number: int) -> Header:
        """The same of another frame of the file."""
        return replace(self, frame=number)

    def value(self, keyword: str) -> Any:
        """The value of an attribute, None where there is none.

        Raises:
            RefusedError: It is written in a way that cannot be read.
        """
        return value_of(self.data, keyword)

    def frame_value(self, group: str, keyword: str) -> Any:
        """As `value`; in an enhanced image, of the frame that is meant.

        Args:
            group: The sequence within the functional groups that holds it. Source: DICOM PS3.3 C.7.6.16.
            keyword: Of the attribute.
        """
        return value_of(self.holder(group, keyword), keyword)

    def holder(self, group: str, *keywords: str) -> Dataset:
        """Where an attribute of these stands first: for the frame that is meant, for all, or in the file itself."""
        for item in self._groups:
            for held in (value_of(item, group) or [])[:1]:
                if any(is_given(value_of(held, keyword)) for keyword in keywords):
                    return held
        return self.data

    @cached_property
    def _groups(self) -> list[Dataset]:
        """Functional groups of the frame that is meant, and of all."""
        own = (value_of(self.data, "PerFrameFunctionalGroupsSequence") or [])[self.frame : self.frame + 1]
        return [*own, *(value_of(self.data, "SharedFunctionalGroupsSequence") or [])[:1]]


def opened(path: Path, *, pixels: bool) -> Header:
    """Read a file's attributes, within `quiet`; its pixels are not yet decoded.

    Raises:
        DataError: It cannot be read, or is no single-frame image.
    """
    head = opened_frames(path, pixels=pixels)
    if head.frames > 1:
        raise RefusedError(
            f"the DICOM file holds {head.frames} frames, expected a single one",
            f"Export each in a file of its own; or, where frames are slices of one case, {FRAMES}.",
        )
    return head


def opened_frames(
    path: Path, *, pixels: bool, label_maps: bool = False, only: list[int] | None = None
) -> Header:
    """As `opened`, of any number of frames.

    Args:
        path: The file.
        pixels: Whether its pixels are read as well.
        label_maps: Whether segmentations are what is looked for, in place of images.
        only: As `parsed`.

    Raises:
        DataError: It cannot be read, or is no image.
    """
    data, notes = parsed(path, pixels=pixels, only=only)
    return _checked(data, notes, pixels=pixels, label_maps=label_maps)


def size(path: Path) -> tuple[int, int]:
    """Height and width, from the header alone."""
    with quiet():
        head = opened(path, pixels=False)
    return head.height, head.width


def tag(path: Path, keyword: str) -> str:
    """The text of an attribute, or none."""
    number = text_tag(keyword)
    with quiet():
        try:
            return text_of(parsed(path, pixels=False, only=[number])[0], keyword)
        except Exception:  # noqa: BLE001 - what is wrong with the file, reading its pixels will tell
            return ""


def text_tag(keyword: str) -> int:
    """The number of an attribute.

    Raises:
        RefusedError: DICOM knows no attribute of that name, or one without a text of its own.
    """
    number = tag_for_keyword(keyword)
    if number is None or dictionary_VR(number) in _NO_TEXT:
        raise RefusedError(
            f"`{keyword}` is no attribute of DICOM that holds a text",
            "Name one by its keyword, such as `PatientID` or `StudyInstanceUID`.",
        )
    return number


def text_of(data: Dataset, keyword: str) -> str:
    """The text of an attribute, several values joined by a backslash; empty where there is none."""
    value = value_of(data, keyword)
    values = [] if value is None else value if isinstance(value, MultiValue) else [value]
    return "\\".join(str(each).strip(" \0") for each in values)


def parsed(path: Path, *, pixels: bool, only: list[int] | None = None) -> tuple[FileDataset, list[str]]:
    """Attributes of a file, within `quiet`, and what is odd about it.

    Args:
        path: The file.
        pixels: Whether its pixels are read as well.
        only: Tags of the attributes that are read; None for all.

    Raises:
        DataError: It cannot be read, or is no DICOM.
    """
    try:
        handle = Counted(io.FileIO(path, opener=regular.opener))
    except FileNotFoundError:
        raise RefusedError("the file is not there", NOT_THERE) from None
    except PermissionError:
        raise RefusedError("the file may not be read by this user", NO_RIGHT) from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}") from error
    with handle:
        head = handle.read(352)
        if not head:
            raise DataError("the file is empty (0 bytes)")
        if os.fstat(handle.fileno()).st_size > _MOST_BYTES:
            problem = f"the DICOM file holds more than {_MOST_BYTES} bytes, and a single picture needs less"
            raise RefusedError(
                problem, "Export its pictures each in a file of its own, or leave the case out."
            )
        bare = head[128:132] != b"DICM"
        if bare and not begins_with_element(head):
            raise RefusedError(
                "the file was to be DICOM by its name or place, and does not begin as DICOM does", COPY
            )
        handle.seek(0)
        try:
            refuse_bomb(handle, 0 if bare else 132, _MOST_BYTES)
            data = dcmread(handle, force=bare, stop_before_pixels=not pixels, specific_tags=only)
            refuse_many_elements(data)
        except DataError:
            raise
        except MemoryError:
            raise RefusedError("the DICOM file does not fit into memory", "Leave the case out.") from None
        except RecursionError:
            raise RefusedError(TOO_DEEP, COPY) from None
        except Exception as error:
            raise RefusedError(
                "the DICOM file ends early or is damaged: its header cannot be read", COPY
            ) from error
    notes = ["it has no DICOM preamble and meta information"] if bare else []
    return data, notes


def _refuse_without_kind(data: FileDataset, keyword: str) -> None:
    """Refuse pixels whose value representation is none in a file that writes them: their length is not known then.

    pydicom takes such an element to be written without, so that the length would be read as the first pixels.
    """
    element = data.get_item(keyword, keep_deferred=True)
    if not data.original_encoding[0] and getattr(element, "VR", "") is None:
        raise RefusedError(
            "the DICOM file is damaged: the value representation of its pixel data is none of the standard's",
            COPY,
        )


def _checked(data: FileDataset, notes: list[str], *, pixels: bool, label_maps: bool) -> Header:
    meta = getattr(data, "file_meta", Dataset())
    syntax = value_of(meta, "TransferSyntaxUID")
    held = [keyword for keyword in PIXELS if keyword in data]
    _refuse_other_objects(data, held, pixels=pixels, label_maps=label_maps)
    if not syntax and len(meta):
        raise RefusedError(
            "the DICOM file names no transfer syntax: how its pixels are coded is not known", COPY
        )
    if syntax and not isinstance(syntax, str):  # its value representation is of something else
        raise RefusedError("the DICOM header is damaged: its `TransferSyntaxUID` is no UID", COPY)
    keyword = held[0] if held else ""
    if keyword:
        _refuse_without_kind(data, keyword)
    integers = keyword in {"", PIXELS[0]}
    height, width = _whole(data, "Rows"), _whole(data, "Columns")
    if not height or not width:
        raise RefusedError("the DICOM header says a picture of no rows or no columns", EXPORT)
    within_limit(height, width)
    return Header(
        data=data,
        syntax=UID(syntax) if syntax else _seen(data),
        height=height,
        width=width,
        samples=_whole(data, "SamplesPerPixel", None if integers else 1),
        colours=str(value_of(data, "PhotometricInterpretation") or "").strip().upper(),
        allocated=_whole(data, "BitsAllocated"),
        stored=_whole(data, "BitsStored", None if integers else 64),
        signed=bool(_whole(data, "PixelRepresentation", None if integers else 1)),
        keyword=keyword,
        notes=notes,
        frames=max(1, _whole(data, "NumberOfFrames", 1)),
    )


def _refuse_other_objects(data: FileDataset, held: list[str], *, pixels: bool, label_maps: bool) -> None:
    uid = UID(str(value_of(data, "SOPClassUID") or ""))
    kind = f"of the kind {uid.name}" if uid and not uid.is_private and uid.name != uid else "of no known kind"
    if not label_maps and ("Segmentation" in uid.name or value_of(data, "Modality") == "SEG"):
        raise RefusedError(f"the DICOM file is {kind}: label maps, expected an image", EXPORT)
    if held or (not pixels and "Rows" in data):
        return
    if "Rows" in data or "Image Storage" in uid.name:
        raise RefusedError(
            f"the DICOM file is {kind}, but ends early or was stripped: it holds no pixels", COPY
        )
    raise RefusedError(f"the DICOM file is {kind}: it holds no pixels, expected an image", EXPORT)


def _whole(data: FileDataset, keyword: str, otherwise: int | None = None) -> int:
    value = value_of(data, keyword)
    if value is None and otherwise is not None:
        return otherwise
    try:
        return int(str(value))
    except ValueError:
        problem = "is missing" if value is None else "is no whole number"
        raise RefusedError(f"the DICOM header is damaged: its `{keyword}` {problem}", COPY) from None


def _seen(data: FileDataset) -> UID:
    """The transfer syntax of a file without meta information, as its bytes look."""
    implicit, little = data.original_encoding
    if not little:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
