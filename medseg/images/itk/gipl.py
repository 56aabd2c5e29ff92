"""Headers of GIPL, `.gipl`: 256 bytes with big-endian numbers.

Source: ITK's `GiplImageIO`; the format says no directions.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np

from medseg.images.itk.declared import Declared, refused

_SIZE = 256
_MAGIC = (719555000, 4026526128)
_TYPES = {7: "i1", 8: "u1", 15: "i2", 16: "u2", 31: "u4", 32: "i4", 64: "f4", 65: "f8"}
_SIDES = "its header gives no directions; axes are assumed to run to the patient's left, back and top"


def declared(file: BinaryIO) -> Declared:
    """What a header says.

    Raises:
        RefusedError: It is none, or holds voxels of another type.
    """
    raw = file.read(_SIZE)
    if len(raw) < _SIZE or struct.unpack(">I", raw[252:])[0] not in _MAGIC:
        raise refused(
            "the file is not GIPL, or truncated: a header of 256 bytes with its magic number was expected"
        )
    sizes, kind = struct.unpack(">4H", raw[:8]), struct.unpack(">H", raw[8:10])[0]
    if kind not in _TYPES:
        raise refused(f"the file holds voxels of type {kind}, expected one number of 8 to 64 bits each")
    if not all(sizes[:3]):
        raise refused("the file's header gives a size of 0")
    if sizes[3] > 1:
        return Declared(sizes, np.dtype(_TYPES[kind]).newbyteorder(">"), _SIZE, assumed=(_SIDES,))
    return Declared(sizes[:3], np.dtype(_TYPES[kind]).newbyteorder(">"), _SIZE, assumed=(_SIDES,))
