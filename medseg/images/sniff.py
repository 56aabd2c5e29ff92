"""What a file whose ending says nothing is: a picture that is read, an image that is not, or neither."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from medseg.files.regular import open_regular
from medseg.images.dicom.sniff import begins_as_dicom
from medseg.images.pictures.kinds import KINDS
from medseg.images.pictures.open import OTHERS

Look = Literal["picture", "image", "neither"]
"""A picture that is read, an image of a kind that is not, or no image."""

#: Raw files of cameras begin as TIFF files do, and what could be read of them is a small preview.
_RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw")

UNREAD = (
    *(".gif", ".webp", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".jxr"),
    *(".svg", ".psd", ".xcf", ".pcx", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".exr", ".hdr", ".ico", ".dib"),
    *(*_RAW, ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".mnc", ".gipl"),
)
"""Endings of images that are not read, in lower case; a picture that is called so is read, but for raw files."""

#: Where in a file which bytes stand, if it is an image that is not read.
_SIGNS = (
    *(OTHERS[name] for name in ("GIF", "WebP", "JPEG 2000", "NIfTI")),
    *((4, b"ftyp" + brand) for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")),
    *(
        (4, b"JXL "),
        (0, b"\xff\x4f\xff\x51"),
        (0, b"8BPS"),
        (0, b"gimp xcf"),
        (0, b"NRRD0"),
        (0, b"\x76\x2f\x31\x01"),
    ),
)


def look(path: Path) -> Look:
    """What a file is by its first bytes, or else by its ending; a directory of DICOM files is neither."""
    try:
        with open_regular(path) as handle:
            head = handle.read(352)
    except OSError:
        head = b""
    if begins_as_dicom(head):
        return "neither" if path.name.upper() == "DICOMDIR" else "picture"
    if not path.name.lower().endswith(_RAW) and any(kind.surely(head) for kind in KINDS):
        return "picture"
    signed = any(head.startswith(sign, at) for at, sign in _SIGNS)
    return "image" if signed or unread_ending(path.name) else "neither"


def unread_ending(name: str) -> str:
    """The ending of a name, in lower case, if it is that of an image that is not read; else empty."""
    return max((each for each in UNREAD if name.lower().endswith(each)), key=len, default="")
