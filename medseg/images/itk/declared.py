"""What the header of a volume says of its voxels, and where they lie, before any is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from medseg.images.refusal import RefusedError, of_format

MOST_HEADER = 1 << 20
"""Bytes of a header, which is text."""

ANEW = "Save it anew with SimpleITK or 3D Slicer, or leave the case out."

#: Names of fields of both formats, in lower case; others may be anybody's.
_FIELDS = frozenset(
    (
        *("ndims", "dimsize", "offset", "position", "origin", "transformmatrix", "rotation", "orientation"),
        *("anatomicalorientation", "centerofrotation", "elementspacing", "elementsize", "elementtype"),
        *("elementnumberofchannels", "elementdatafile", "elementbyteordermsb", "binarydata"),
        *(
            "binarydatabyteordermsb",
            "compresseddata",
            "compresseddatasize",
            "headersize",
            "objecttype",
            "distanceunits",
        ),
        *(
            "type",
            "dimension",
            "sizes",
            "encoding",
            "endian",
            "kinds",
            "spacings",
            "units",
            "centers",
            "content",
        ),
        *("space", "spacedirections", "spaceorigin", "spaceunits", "spacedimension", "measurementframe"),
        *("datafile", "lineskip", "byteskip", "thicknesses", "labels", "min", "max", "axismins", "axismaxs"),
    )
)
LENGTHS = frozenset({"m", "cm", "um", "nm", "pixel", "pixels", "meter", "metre", "inch", "microns", "micron"})
"""Units of a length other than mm, in lower case."""

ORIGIN = (
    "its header gives no origin ({}); 0 is assumed: it may lie elsewhere than other images of the patient"
)
"""What is assumed of the place where voxels begin; to be filled with the field that would say so."""

_MM = frozenset({"mm", "millimeter", "millimeters", "millimetre", "millimetres", "", "?", "???", "none"})
_WHOLE = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True)
class Declared:
    """What a header says.

    Attributes:
        sizes: Of all axes, that along which voxels follow one another first; several values of a voxel are an axis.
        dtype: Of a value, as stored.
        begin: The byte at which the voxels begin; None where they end with the file.
        packed: How many bytes are packed by zlib or gzip, 0 where nobody says; None where voxels lie as they are.
        data: Name of the file beside the header that holds the voxels; empty where they follow it.
        several: What the values of a voxel are together, such as `colours (RGB)`; empty where each is one number.
        along: The axis along which these values lie, from 0.
        assumed: Which sizes in mm, or sides of the patient, the header does not give; clauses.
    """

    sizes: tuple[int, ...]
    dtype: np.dtype[np.generic]
    begin: int | None
    packed: int | None = None
    data: str = ""
    several: str = ""
    along: int = 0
    assumed: tuple[str, ...] = ()

    @property
    def expected(self) -> int:
        """Bytes of all values."""
        return math.prod(self.sizes) * self.dtype.itemsize


def refused(found: str) -> RefusedError:
    """That a header cannot be used, with what usually helps."""
    return RefusedError(found, ANEW)


def once(fields: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Fields of a header by their names.

    Raises:
        RefusedError: One is given twice, and programs differ in which they take.
    """
    found: dict[str, str] = {}
    for name, value in fields:
        if name in found:
            raise refused(f"the file's header gives {of_format(name, _FIELDS)} twice")
        found[name] = value
    return found


def refuse_other_lengths(*units: str) -> None:
    """Refuse units of length other than mm, which SimpleITK passes over.

    Raises:
        RefusedError: One of them is none that is known for mm, and not left open.
    """
    strange = sorted({each for each in units if each.strip().lower() not in _MM})
    if strange:
        raise RefusedError(
            f"the file's header gives lengths in {of_format(strange[0], LENGTHS)}, expected mm",
            "Export it anew with sizes in mm, or leave the case out.",
        )


def whole_numbers(fields: Mapping[str, str], name: str) -> tuple[int, ...]:
    """Whole numbers above 0 that a field lists.

    Raises:
        RefusedError: It is missing, or lists something else.
    """
    words = fields.get(name, "").split()
    if not words or not all(_WHOLE.fullmatch(word) and int(word) for word in words):
        raise refused(f"the file's header should hold whole numbers above 0 under '{name}'")
    return tuple(int(word) for word in words)
