"""Broken NumPy archives, and what is broken in any archive of zip."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.testing.broken.form import Files, Kind, Make
from medseg.testing.broken.volumes import deflated_zeros, voxels

BOMB = 300 << 20
"""Bytes that a bomb unpacks to."""


def npy(array: NDArray[Any], header: str | None = None, version: tuple[int, int] = (1, 0)) -> bytes:
    """The bytes of a `.npy` file, with another header if one is given."""
    made = io.BytesIO()
    np.lib.format.write_array(made, array, allow_pickle=True)
    if header is None:
        return made.getvalue()
    length = struct.pack(
        "<H" if version == (1, 0) else "<I", len(header) & (0xFFFF if version == (1, 0) else -1)
    )
    return b"\x93NUMPY" + bytes(version) + length + header.encode("latin-1") + array.tobytes()


def zipped(members: Mapping[str, bytes], *, pack: bool = True) -> bytes:
    """An archive of zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED if pack else zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=archive.compression)
    return made.getvalue()


def zip_bomb(name: str, head: bytes = b"") -> bytes:
    """An archive whose one member unpacks to `head` and `BOMB` zeros."""
    packed, size, code = deflated_zeros(head, BOMB, -15), len(head) + BOMB, name.encode()
    shared = struct.pack("<HHHHIIIHH", 0, 8, 0, 33, zlib.crc32(head), len(packed), size, len(code), 0)
    first = b"PK\x03\x04\x14\0" + shared + code + packed
    entry = b"PK\x01\x02\x14\0\x14\0" + shared + struct.pack("<HHHII", 0, 0, 0, 0, 0) + code
    return first + entry + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(first), 0)


def _members(draw: np.random.Generator) -> dict[str, bytes]:
    scan = voxels(draw).astype(np.float32)
    return {"data.npy": npy(scan[..., None]), "seg.npy": npy((scan > 250).astype(np.uint8))}


def _changed(**members: bytes | None) -> Make:
    def make(draw: np.random.Generator) -> Files:
        found = {**_members(draw), **{f"{name}.npy": data for name, data in members.items()}}
        return {".npz": zipped({name: data for name, data in found.items() if data is not None})}

    return make


def _headed(header: str, version: tuple[int, int] = (1, 0)) -> Make:
    return lambda draw: {
        ".npz": zipped({**_members(draw), "data.npy": npy(voxels(draw).astype("f4"), header, version)})
    }


def _whole(change: Callable[[bytes], bytes]) -> Make:
    return lambda draw: {".npz": change(zipped(_members(draw)))}


def _described(shape: str, kind: str = "'<f4'", order: str = "False") -> str:
    return f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def _longer_than_it_is(raw: bytes) -> bytes:
    place = raw.rindex(b"PK\x01\x02")
    return raw[: place + 20] + struct.pack("<II", 2**31, 2**31) + raw[place + 28 :]


_LIES: Mapping[str, Make] = {
    "huge dimensions": _headed(_described("(100000, 100000, 100000, 1)")),
    "dimensions that overflow": _headed(_described(f"({2**62}, {2**62}, 4, 1)")),
    "dimensions of five thousand digits": _headed(_described(f"({'9' * 5000}, 1, 1, 1)")),
    "a negative size": _headed(_described("(-12, 10, 6, 1)")),
    "negative sizes": _headed(_described("(-12, -10, 6, 1)")),
    "a size of zero": _headed(_described("(12, 0, 6, 1)")),
    "sizes that are no whole numbers": _headed(_described("(12.0, 10, 6, 1)")),
    "sizes that are truths": _headed(_described("(True, True, True, True)")),
    "no axes": _headed(_described("()")),
    "a hundred axes": _headed(_described("(" + "1, " * 100 + ")")),
    "a header that is no dictionary": _headed("[1, 2, 3]\n"),
    "a header that lacks a key": _headed("{'descr': '<f4', 'shape': (12, 10, 6, 1)}\n"),
    "a header of brackets": _headed("(" * 9000),
    "a header of signs": _headed("-" * 9000 + "1"),
    "a header that names code": _headed(
        "{'descr': __import__('os').getpid(), 'fortran_order': 0, 'shape': ()}\n"
    ),
    "a header of a megabyte": _headed(_described("(12, 10, 6, 1)") + " " * 1_000_000, (2, 0)),
    "a header that never ends": _headed("", (2, 0)),
    "another version": _headed(_described("(12, 10, 6, 1)"), (9, 9)),
    "objects": _headed(_described("(12, 10, 6, 1)", "'|O'")),
    "texts": _headed(_described("(12, 10, 3, 1)", "'<U2'")),
    "texts of huge length": _headed(_described("(1, 1, 1, 1)", "'<U999999999'")),
    "fields": _headed(_described("(12, 10, 6, 1)", "[('a', '<f4')]")),
    "fields in fields": _headed(_described("(12, 10, 6, 1)", "[('a'," * 200 + "'<f4'" + ")]" * 200)),
    "dates": _headed(_described("(12, 10, 3, 1)", "'<M8[D]'")),
    "complex numbers": _headed(_described("(12, 10, 3, 1)", "'<c8'")),
    "a type that is none": _headed(_described("(12, 10, 6, 1)", "'<z4'")),
    "a type of no bytes": _headed(_described("(12, 10, 6, 1)", "'|V0'")),
    "a pickle": _changed(data=npy(np.array([{"a": 1}], dtype=object))),
    "no data": _changed(data=None),
    "data that are no array": _changed(data=b"nothing"),
    "data that are empty": _changed(data=b""),
    "a label map of another shape": _changed(seg=npy(np.zeros((3, 3, 3), np.uint8))),
    "a label map that is no number": _changed(seg=npy(np.full((12, 10, 6), np.nan))),
    "a label map of huge numbers": _changed(seg=npy(np.full((12, 10, 6), 2**63, np.uint64))),
    "an affine that is no number": _changed(affine=npy(np.full((4, 4), np.nan))),
    "an affine that loses an axis": _changed(affine=npy(np.diag([1.0, 1.0, 0.0, 1.0]))),
    "an affine of zeros": _changed(affine=npy(np.zeros((4, 4)))),
    "an affine of huge numbers": _changed(affine=npy(np.diag([1e300, 1e300, 1e300, 1.0]))),
    "an affine of another shape": _changed(affine=npy(np.eye(3))),
    "an affine of texts": _changed(affine=npy(np.full((4, 4), "x"))),
    "an affine without its last row": _changed(affine=npy(np.ones((4, 4)))),
    "data that are no numbers": _changed(data=npy(np.full((12, 10, 6, 1), np.nan, np.float32))),
    "infinite data": _changed(data=npy(np.full((12, 10, 6, 1), np.inf, np.float32))),
    "a member above": _changed(**{"../above": npy(np.eye(4))}),
    "a bomb": lambda draw: {
        ".npz": zip_bomb("data.npy", npy(voxels(draw).astype("f4"), _described("(12, 10, 6, 1)")))
    },
    "a header that unpacks to 300 MB": lambda _: {
        ".npz": zip_bomb("data.npy", b"\x93NUMPY\x02\0" + struct.pack("<I", BOMB))
    },
    "a member as long as the disk": _whole(_longer_than_it_is),
    "ten thousand members": lambda draw: {
        ".npz": zipped({**_members(draw), **{f"m{n}.npy": b"" for n in range(10_000)}})
    },
    "no directory at its end": _whole(lambda raw: raw[: raw.rindex(b"PK\x01\x02")]),
    "members that are encrypted, it says": _whole(
        lambda raw: raw.replace(b"PK\x01\x02\x14\x03\x14\0\0", b"PK\x01\x02\x14\x03\x14\0\x01")
    ),
    "another way of packing": _whole(lambda raw: raw.replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x63\0")),
    "packed by LZMA, it says": _whole(lambda raw: raw.replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x0e\0")),
    "packed by bzip2, it says": _whole(lambda raw: raw.replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x0c\0")),
    "a wrong check sum": _whole(lambda raw: raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]),
    "one plain array": lambda draw: {".npz": npy(voxels(draw))},
}

NPZ = Kind(".npz", lambda draw: {".npz": zipped(_members(draw))}, _LIES)
