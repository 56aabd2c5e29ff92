"""Headers of NRRD, `.nrrd` and `.nhdr`: lines `field: value` up to an empty one.

Source: teem's "Definition of NRRD File Format", http://teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np

from medseg.images.beside import plain_name
from medseg.images.itk.declared import (
    LENGTHS,
    MOST_HEADER,
    ORIGIN,
    Declared,
    once,
    refuse_other_lengths,
    refused,
    whole_numbers,
)
from medseg.images.limits import refuse_placeless
from medseg.images.refusal import of_format

MAGIC = b"NRRD000"

_TYPES = {
    **dict.fromkeys(("signedchar", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsignedchar", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "shortint", "signedshort", "signedshortint", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsignedshort", "unsignedshortint", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signedint", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsignedint", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(
        ("longlong", "longlongint", "signedlonglong", "signedlonglongint", "int64", "int64_t"), "i8"
    ),
    **dict.fromkeys(("ulonglong", "unsignedlonglong", "unsignedlonglongint", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_PACKED = {"raw": None, "gzip": 0, "gz": 0}
_OTHER_ENCODINGS = frozenset({"txt", "text", "ascii", "hex", "bzip2", "bz2"})
_SIDES = re.compile(r"(right|left)-(anterior|posterior)-superior(-time)?|RAST?|LAST?|LPST?", re.I)
_COLOURS = frozenset({"rgb-color", "rgba-color", "hsv-color", "xyz-color", "3-color", "4-color"})
_VECTORS = frozenset(
    {
        "vector",
        "list",
        "point",
        "2-vector",
        "3-vector",
        "4-vector",
        "covariant-vector",
        "time",
        "stub",
        "scalar",
        "normal",
        "quaternion",
    }
)
_DOMAINS = frozenset({"domain", "space", "???", "none"})
_LONGEST = 400
"""Characters of a field: SimpleITK 2.5 ends the program over a fault in one of about a thousand, path included."""


def declared(file: BinaryIO) -> Declared:
    """What a header says.

    Raises:
        RefusedError: It is none, contradicts itself, or says that the voxels lie elsewhere.
    """
    if not file.readline(10).startswith(MAGIC):
        raise refused("the file is not NRRD: it does not begin with NRRD000 and the number of a version")
    fields = once(_fields(file))
    sizes = whole_numbers(fields, "sizes")
    if fields.get("dimension") != str(len(sizes)):
        raise refused(
            f"the file's header gives {len(sizes)} sizes, and {of_format(fields.get('dimension', ''))} as the number "
            "of axes"
        )
    kind = _TYPES.get(_close(fields.get("type", "")))
    if kind is None:
        raise refused(
            f"the file holds voxels of type {of_format(fields.get('type', ''), ['block'])}, expected one number each"
        )
    encoding = fields.get("encoding", "").lower()
    if encoding not in _PACKED:
        raise refused(
            f"the file's voxels are encoded as {of_format(encoding, _OTHER_ENCODINGS)}, expected raw or gzip"
        )
    _refuse_other_units(fields)
    data = _aside(fields)
    several = _several(fields, len(sizes))
    if not several:
        _refuse_sizeless(fields)
    dtype = np.dtype(kind)
    if dtype.itemsize > 1 and fields.get("endian", "").lower() not in ("little", "big"):
        raise refused("the file's header does not say in which order bytes stand ('endian')")
    return Declared(
        sizes,
        dtype.newbyteorder(">" if fields.get("endian", "").lower() == "big" else "<"),
        _begin(fields, 0 if data else file.tell(), packed=encoding != "raw"),
        _PACKED[encoding],
        data,
        several,
        _along(fields),
        tuple(_assumed(fields)),
    )


def _fields(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Fields up to the empty line, or to the end of a header that stands alone."""
    while file.tell() < MOST_HEADER:
        line = file.readline(MOST_HEADER).decode("latin-1")
        text = line.rstrip("\r\n")
        if not text:  # the empty line, or the end of a file
            return
        name, colon, value = text.partition(":")
        if text.startswith("#") or value.startswith("="):  # comments and free texts, which may name a patient
            continue
        if not colon:
            break
        if len(text) > _LONGEST:
            raise refused(
                f"a field of the file's header is of {len(text)} characters, expected {_LONGEST} at most"
            )
        yield _close(name), value.strip()
    raise refused("the file is not NRRD, or truncated: lines 'field: value' up to an empty one were expected")


def _close(text: str) -> str:
    return text.replace(" ", "").lower()


def _aside(fields: Mapping[str, str]) -> str:
    """The name of the file that holds the voxels; empty where they follow the header."""
    given = fields.get("datafile")
    return "" if given is None else plain_name(given)


def _begin(fields: Mapping[str, str], begin: int, *, packed: bool) -> int | None:
    """The byte at which the voxels begin, or what is packed; None where they end with the file."""
    lines, given = fields.get("lineskip", "0"), fields.get("byteskip", "0")
    if lines != "0":
        raise refused("the file's header skips lines ('line skip'), which is not read")
    if given == "0":
        return begin
    if packed:
        raise refused("the file's header skips bytes ('byte skip') of what is packed, which is not read")
    return None if given == "-1" else begin + whole_numbers(fields, "byteskip")[0]


def _refuse_other_units(fields: Mapping[str, str]) -> None:
    """Of the axes where there are units of the space, only lengths count: others are of times and the like."""
    of_space, of_axes = (_quoted(fields.get(name, "")) for name in ("spaceunits", "units"))
    if of_space:
        of_axes = [each for each in of_axes if each.lower() in LENGTHS]
    refuse_other_lengths(*of_space, *of_axes)


def _quoted(text: str) -> list[str]:
    """Units as the format quotes them, or words of a list that does not."""
    return re.findall(r'"([^"]*)"', text) or text.split()


def _several(fields: Mapping[str, str], axes: int) -> str:
    """What an axis is that no place in space runs along, as colours are; empty where there is none."""
    kinds = [each for each in fields.get("kinds", "").split() if each.lower() not in _DOMAINS]
    if kinds:
        named = kinds[0].lower()
        if "color" in named:
            return f"colours ({of_format(kinds[0], _COLOURS)})"
        several = f"several values in each voxel ({of_format(kinds[0], _VECTORS)})"
        return "complex numbers" if named == "complex" else several
    directions = _vectors(fields)
    if len(directions) == axes and axes > 3 and directions[0] == "none":
        return "several values in each voxel"
    return ""


def _along(fields: Mapping[str, str]) -> int:
    """The axis of several values of a voxel; the first where there is none."""
    kinds = [each.lower() for each in fields.get("kinds", "").split()]
    return next((place for place, kind in enumerate(kinds) if kind not in _DOMAINS), 0)


def _vectors(fields: Mapping[str, str]) -> list[str]:
    return re.findall(r"\([^)]*\)|none", fields.get("spacedirections", "").lower())


def _refuse_sizeless(fields: Mapping[str, str]) -> None:
    """Refuse sizes that are no numbers, which SimpleITK takes for 1 mm."""
    given = (*_vectors(fields)[:3], fields.get("spacings", "").lower())
    if any("nan" in each or "none" in each for each in given):
        refuse_placeless(np.full((4, 4), np.nan))


def _assumed(fields: Mapping[str, str]) -> Iterator[str]:
    directions, spacings = _vectors(fields), fields.get("spacings", "").lower()
    ends = "axismaxs" in fields
    if not directions and not spacings:
        found = "its header gives no voxel size (space directions"
        found += "; axis maxs, which would give one, are not looked at)" if ends else ")"
        yield f"{found}; 1 mm is assumed: mm and mL are no measures"
    elif ends:
        yield "its header says where axes end (axis maxs), which is not looked at: its voxel size is taken"
    if not directions or not _SIDES.fullmatch(fields.get("space", "")):
        yield (
            "its header gives no sides of the patient (space, space directions); axes are assumed to run to the "
            "patient's left, back and top"
        )
    elif "spaceorigin" not in fields:
        yield ORIGIN.format("space origin")
