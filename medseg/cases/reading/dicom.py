"""Reading single-frame DICOM images as pictures: stored values, Modality LUT, VOI window, brightness.

| stored                    | `grey`, window `file` or fixed       | `grey`, window `none`                 |
|---------------------------|--------------------------------------|---------------------------------------|
| MONOCHROME2               | float32, 0 black to 255 white        | float32, modality values (such as HU) |
| MONOCHROME1               | the same, turned once                | modality values, mirrored (see below) |
| colour, 8 bits            | luma, uint8                          | luma, uint8                           |
| colour, 16 or 32 bits     | luma, float32, 0 to 255              | luma, uint16 or float32, as stored    |

`rgb` repeats greys three times, and keeps colours. No axis is swapped or turned: row 0 is the first stored.

- Stored values have the bits that Bits Stored says, signed as Pixel Representation says.
- Modality LUT: the LUT of the file, or else its Rescale Slope and Intercept. Source: DICOM PS3.3 C.11.1.
- Window `file`: the first VOI LUT of the file, or else its first window by its VOI LUT Function (LINEAR,
  LINEAR_EXACT, SIGMOID), black to white mapped to 0 to 255. Where it has neither (or a window of no width),
  its smallest to largest modality value is, and a note says so. Source: PS3.3 C.11.2.
- Fixed window: centre and width in modality units, LINEAR; a window of the file then does not count.
- MONOCHROME1 means that low values are shown bright. What is shown (0 to 255) is turned, after the window:
  255 - v. With `none` the modality values are mirrored within the range that the stored bits can hold
  (4095 - v for 12 bits, unsigned, without a rescaling), the same for every picture of the same kind, so that
  bright means the same as in MONOCHROME2; a note says so.
- Padding (Pixel Padding Value, with its Range Limit) does not count for smallest and largest, and is shown
  black; with `none` it stays as it is. Source: PS3.3 C.7.5.1.1.2.
- Colours know no window: RGB, palettes, YBR_FULL, YBR_FULL_422, YBR_ICT and YBR_RCT become RGB as stored;
  more than 8 bits are mapped to 0 to 255 as the window of greys would, unless it is `none`.
- One decoder for each transfer syntax, the same on every machine: see `medseg.cases.reading.dicom_pixels`.
- Several frames, no pixels (SR, RTSTRUCT, presentation states, ...), segmentations and what cannot be decoded
  are refused, each for one reason. A file without preamble and meta information is read if it is
  uncompressed; one whose meta information names no transfer syntax is refused.

Importing pydicom takes half a second, so that only the functions that need it do.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal, TypeAlias

from medseg.cases.reading.picture import ChannelRule, Picture
from medseg.cases.reading.picture_kinds import KINDS
from medseg.regular import open_regular

SUFFIXES = (".dcm", ".dicom", ".ima")
"""What DICOM files are named, compared without regard to case; many have no suffix at all."""

Window: TypeAlias = Literal["file", "none"] | tuple[float, float]
"""`file`, `none`, or centre and width in modality units."""

_PREAMBLE = 128

#: Value representations that the first elements of a data set may have. Source: PS3.6, group 0008.
_FIRST_KINDS = {b"UL", b"UI", b"OB", b"CS", b"SH", b"DA", b"TM", b"DT", b"AE", b"LO", b"SQ"}


def is_dicom(path: Path) -> bool:
    """Whether a file is to be read as DICOM.

    Its content says so: `DICM` behind a preamble of 128 bytes; or, in files that leave both out, a first
    element of group 0002 or 0008. A file named as DICOM counts as well unless it is a picture of another
    kind, so that the reason for which it is refused is one of DICOM. A file that is missing, empty or not
    readable is none.
    """
    try:
        with open_regular(path) as handle:
            head = handle.read(352)
    except OSError:
        return False
    if begins_as_dicom(head):
        return True
    picture = any(head.startswith(kind.starts) for kind in KINDS)
    return bool(head) and not picture and path.suffix.lower() in SUFFIXES


def begins_as_dicom(head: bytes) -> bool:
    """Whether the first 132 bytes of a file, or more, are those of DICOM, with or without a preamble."""
    return head[_PREAMBLE : _PREAMBLE + 4] == b"DICM" or begins_with_element(head)


def begins_with_element(head: bytes) -> bool:
    """Whether bytes begin with an element of group 0002 or 0008, as files without preamble do."""
    if len(head) < 8:
        return False
    for order in "<>":
        group, element = struct.unpack_from(f"{order}HH", head)
        if group not in {2, 8} or element > 0x0100:
            continue
        if head[4:6] in _FIRST_KINDS:
            return True
        length = struct.unpack_from("<I", head, 4)[0]
        if order == "<" and group == 8 and length <= 128 and length % 2 == 0:
            return True
    return False


def read_dicom(path: Path, channels: ChannelRule, window: Window = "file") -> Picture:
    """Read one single-frame image as 1 (`grey`) or 3 (`rgb`) channels, by the rules above.

    Raises:
        RefusedError: The file is damaged, ends early, is too large, holds no image, several frames, or pixels
            that are not decoded; or the window is narrower than 1. The message holds no path and no value that
            might name a patient.
        DataError: It is missing or may not be read.
    """
    from medseg.cases.reading.dicom_picture import read  # noqa: PLC0415 - imports pydicom

    return read(path, channels, window)


def dicom_size(path: Path) -> tuple[int, int]:
    """Height and width, from the header alone.

    Raises:
        DataError: As `read_dicom`, as far as the header shows it.
    """
    from medseg.cases.reading.dicom_file import size  # noqa: PLC0415 - imports pydicom

    return size(path)


def dicom_tag(path: Path, keyword: str) -> str:
    """The value of an attribute, from the header alone; several values are joined by a backslash.

    Args:
        path: The file.
        keyword: Of the attribute, such as `PatientID`.

    Returns:
        Its text, without spaces around it; empty where the file has none, or cannot be read (which reading
        its pixels will tell).

    Raises:
        RefusedError: DICOM knows no attribute of that name, or one without a text of its own.
    """
    from medseg.cases.reading.dicom_file import tag  # noqa: PLC0415 - imports pydicom

    return tag(path, keyword)


def decoders() -> dict[str, str]:
    """The packages that decode pixels, with the versions that are installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - takes 20 ms

    found = {}
    for name in ("pydicom", "pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found
