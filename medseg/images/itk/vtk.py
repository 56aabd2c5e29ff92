"""Headers of VTK's older form, `.vtk`: lines of text, of which `LOOKUP_TABLE` is the last.

Source: "VTK File Formats", simple legacy formats: structured points with one number each, in binary, big-endian.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np

from medseg.images.itk.declared import Declared, once, refused, whole_numbers
from medseg.images.refusal import of_format

_TYPES = {
    "unsigned_char": "u1",
    "char": "i1",
    "unsigned_short": "u2",
    "short": "i2",
    "unsigned_int": "u4",
    "int": "i4",
    "float": "f4",
    "double": "f8",
}
_OTHER_KINDS = frozenset({"polydata", "structured_grid", "rectilinear_grid", "unstructured_grid", "field"})
_LINES, _LONGEST = 20, 400
_SIDES = "its header gives no directions; axes are assumed to run to the patient's left, back and top"


def declared(file: BinaryIO) -> Declared:
    """What a header says.

    Raises:
        RefusedError: It is none, holds other things than a volume, or says its voxels as text.
    """
    if not file.readline(_LONGEST).startswith(b"# vtk DataFile Version"):
        raise refused("the file is not VTK: it does not begin with '# vtk DataFile Version'")
    file.readline(_LONGEST)  # a title, which may name a patient
    if file.readline(_LONGEST).strip().upper() != b"BINARY":
        raise refused("the file holds its voxels as text, expected them as bytes (BINARY)")
    fields = once(_fields(file))
    kind = fields.get("DATASET", "").lower()
    if kind != "structured_points":
        raise refused(
            f"the file holds {of_format(kind, _OTHER_KINDS)}, expected a volume (STRUCTURED_POINTS)"
        )
    sizes = whole_numbers(fields, "DIMENSIONS")
    words = fields.get("SCALARS", "").lower().split()
    if len(words) < 2 or words[1] not in _TYPES or words[2:] not in ([], ["1"]):
        raise refused("the file holds several values in each voxel, or none: one SCALARS was expected")
    if whole_numbers(fields, "POINT_DATA") != (math.prod(sizes),):
        raise refused("the file's header says in two ways how many voxels there are, and they differ")
    dtype = np.dtype(_TYPES[words[1]]).newbyteorder(">")
    return Declared(sizes, dtype, file.tell(), assumed=tuple(_assumed(fields)))


def _fields(file: BinaryIO) -> Iterator[tuple[str, str]]:
    for _ in range(_LINES):
        line = file.readline(_LONGEST)
        found = re.fullmatch(r"([A-Z_]+)\s*(.*?)\s*", line.decode("latin-1").rstrip("\r\n"), re.IGNORECASE)
        if not line or (found is None and line.strip()):
            break
        if found is not None:
            yield found[1].upper(), found[2]
            if found[1].upper() == "LOOKUP_TABLE":
                return
    raise refused("the file is not VTK of one number a voxel, or truncated: its header has no LOOKUP_TABLE")


def _assumed(fields: Mapping[str, str]) -> Iterator[str]:
    if "SPACING" not in fields and "ASPECT_RATIO" not in fields:
        yield "its header gives no voxel size (SPACING); 1 mm is assumed: mm and mL are no measures"
    yield _SIDES
