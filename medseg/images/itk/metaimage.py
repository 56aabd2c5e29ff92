"""Headers of MetaImage, `.mha` and `.mhd`: lines `Key = Value`, of which `ElementDataFile` is the last.

Source: MetaIO documentation of Kitware, "Reading a Brick-of-Bytes" and "Tags".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np

from medseg.images.beside import plain_name
from medseg.images.itk.declared import (
    MOST_HEADER,
    ORIGIN,
    Declared,
    once,
    refuse_other_lengths,
    refused,
    whole_numbers,
)
from medseg.images.refusal import of_format

#: Bytes of each type, with its letter in NumPy. `LONG` has four, whatever the machine.
_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_SIGN = re.compile("[=:]")
_OTHER_TYPES = frozenset(
    {"ascii", "none", "string", "other", "char", "uchar", "short", "ushort", "int", "uint", "float", "double"}
)
_LONGEST = 250
"""Characters of a text: SimpleITK 2.5 writes longer ones behind their place in memory."""
_OF_NUMBERS = frozenset("0123456789 .+-eE")
_SPACINGS = ("ElementSpacing", "ElementSize")
_ORIGINS = ("Offset", "Position", "Origin")
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")
_SIDES = "AnatomicalOrientation"
_CERTAIN = 0.8  # of an axis that runs along one side of the patient


def declared(file: BinaryIO) -> Declared:
    """What a header says.

    Raises:
        RefusedError: It is none, contradicts itself, or says that the voxels lie elsewhere.
    """
    fields = once(_fields(file))
    begin = file.tell()
    sizes, channels = whole_numbers(fields, "DimSize"), fields.get("ElementNumberOfChannels", "1")
    if fields.get("NDims") != str(len(sizes)):
        raise refused(
            f"the file's header gives {len(sizes)} sizes, and {of_format(fields.get('NDims', ''))} as the "
            "number of axes"
        )
    kind = fields.get("ElementType", "")
    if kind not in _TYPES:
        raise refused(f"the file holds voxels of type {_named(kind)}, expected one number each")
    if not _true(fields, "BinaryData", usual=True):
        raise refused("the file holds its voxels as text, expected them as bytes (BinaryData = True)")
    refuse_other_lengths(fields.get("DistanceUnits", ""))
    big = _true(fields, "BinaryDataByteOrderMSB") or _true(fields, "ElementByteOrderMSB")
    data = fields["ElementDataFile"]
    packed, skipped = _packed(fields), _skipped(fields)
    beside = "" if data.upper() == "LOCAL" else plain_name(data)
    if skipped is not None:
        begin = max(begin, skipped) if not beside else skipped
    elif packed is not None:
        raise refused("the file's header counts from its end (HeaderSize -1), where its voxels are packed")
    several = channels != "1"
    return Declared(
        (*whole_numbers(fields, "ElementNumberOfChannels"), *sizes) if several else sizes,
        np.dtype(_TYPES[kind]).newbyteorder(">" if big else "<"),
        None if skipped is None else begin,
        packed,
        beside,
        f"{of_format(channels)} values in each voxel (colours or vectors)" if several else "",
        assumed=tuple(_assumed(fields)),
    )


def _named(kind: str) -> str:
    """A type of voxels that is none of one number, in words."""
    plain = re.fullmatch(r"MET_[A-Z]+(_ARRAY|_MATRIX)?", kind) and kind.split("_")[1].lower() in _OTHER_TYPES
    return kind if plain else "that nobody knows" if kind else "that nobody says"


def _fields(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Keys and values up to that which names the file of the voxels, behind which the file then is.

    A key ends with the first sign behind it, and may hold anything else, such as the `dim[0]` and `0010|0010` that
    SimpleITK writes of NIfTI and DICOM. Of a text of several lines the rest belongs to the next key, as MetaIO reads.
    """
    begun = ""
    while file.tell() < MOST_HEADER and len(begun) <= _LONGEST:
        line = file.readline(MOST_HEADER).decode("latin-1")
        sign = _SIGN.search(line)
        if sign is None:
            if not line:
                break
            begun = (begun + line).lstrip()
            continue
        key, value, begun = (begun + line[: sign.start()]).strip(), line[sign.end() :].strip(), ""
        longest = max(len(key), 0 if set(value) <= _OF_NUMBERS else len(value))
        if longest > _LONGEST:
            raise refused(
                f"a field of the file's header is of {longest} characters, expected {_LONGEST} at most"
            )
        yield key, value
        if key == "ElementDataFile":
            return
    raise refused(
        "the file is not MetaImage, or truncated: lines 'Key = Value' were expected, with ElementDataFile as the last"
    )


def _true(fields: Mapping[str, str], name: str, *, usual: bool = False) -> bool:
    return fields.get(name, str(usual))[:1] in ("T", "t", "1")


def _packed(fields: Mapping[str, str]) -> int | None:
    if not _true(fields, "CompressedData"):
        return None
    return whole_numbers(fields, "CompressedDataSize")[0] if "CompressedDataSize" in fields else 0


def _skipped(fields: Mapping[str, str]) -> int | None:
    """Bytes before the voxels, None where they end with the file."""
    given = fields.get("HeaderSize", "0")
    if given == "-1":
        return None
    return 0 if given == "0" else whole_numbers(fields, "HeaderSize")[0]


def _assumed(fields: Mapping[str, str]) -> Iterator[str]:
    spacing = next((name for name in _SPACINGS if name in fields), None)
    if spacing is None:
        yield "its header gives no voxel size (ElementSpacing); 1 mm is assumed: mm and mL are no measures"
    elif any(word.startswith("-") for word in fields[spacing].split()):
        yield f"its header gives voxel sizes below 0 ({spacing}), which are taken without their sign"
    directions = next((name for name in _DIRECTIONS if name in fields), None)
    if directions is None:
        yield (
            f"its header gives no directions (TransformMatrix; {_SIDES} is not looked at); axes are assumed to run "
            "to the patient's left, back and top"
        )
    elif told := _contradicted(fields.get(_SIDES, ""), fields[directions]):
        yield f"its header says {told} ({_SIDES}) against its directions ({directions}), which are taken"
    if directions is not None and not any(name in fields for name in _ORIGINS):
        yield ORIGIN.format("Offset")


def _contradicted(sides: str, directions: str) -> str:
    """Sides of the patient that axes begin at, where directions say others for certain; empty otherwise.

    Args:
        sides: A letter each axis, such as RAI of an identity.
        directions: Three numbers each axis, to the patient's left, back and top.
    """
    try:
        axes = np.array(directions.split(), float).reshape(3, 3)
    except ValueError:  # of a picture, or refused elsewhere
        return ""
    if not re.fullmatch("[RLAPIS]{3}", sides):
        return ""
    main = np.abs(axes).argmax(axis=1)
    certain = np.abs(axes).max(axis=1) > _CERTAIN * np.linalg.norm(axes, axis=1)
    begun = [("RAI" if axes[axis, along] > 0 else "LPS")[along] for axis, along in enumerate(main)]
    odd = any(sure and side != said for sure, side, said in zip(certain, begun, sides, strict=True))
    return sides if odd else ""
