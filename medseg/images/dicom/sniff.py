"""Whether a file is DICOM, from its first bytes."""

from __future__ import annotations

import struct
from pathlib import Path

from medseg.files.regular import open_regular
from medseg.images.pictures.kinds import KINDS

SUFFIXES = (".dcm", ".dicom", ".ima")
"""What DICOM files are named, compared without regard to case; many have no suffix at all."""


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
