"""Broken NIfTI files, in one file, packed, and in two."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from medseg.testing.broken.form import Files, Kind, Make

SHAPE = (12, 10, 6)
"""(I, J, K) of a sound volume."""

_NAN, _INF = float("nan"), float("inf")
_BEGIN = 352


def voxels(draw: np.random.Generator, shape: tuple[int, ...] = SHAPE) -> NDArray[np.int16]:
    """Something bright on noise."""
    found = draw.normal(100, 10, shape)
    found[tuple(slice(n // 3, n // 3 + max(n // 3, 1)) for n in shape)] += 300
    return np.rint(found).astype(np.int16)


def nifti(data: NDArray[Any], *, second: bool = False, **fields: Any) -> bytes:
    """The bytes of a file; fields of its header are set last, whatever they say."""
    made = (nibabel.Nifti2Image if second else nibabel.Nifti1Image)(
        data, np.diag([-1.5, -1.5, 3.0, 1.0]), dtype=data.dtype
    )
    made.header.set_xyzt_units("mm")
    made.update_header()
    header = made.header
    begin = 544 if second else _BEGIN
    header["vox_offset"] = begin
    for name, value in fields.items():
        with np.errstate(all="ignore"):
            header[name] = value
    head = header.binaryblock
    return head + bytes(begin - len(head)) + data.tobytes("F")


def _dim(*sizes: int) -> list[int]:
    return [*sizes, *[1] * (8 - len(sizes))]


#: Fields of the header, by what is wrong with them.
_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "huge dimensions": {"dim": _dim(3, 32767, 32767, 32767)},
    "dimensions that overflow": {"dim": [7, *[32767] * 7]},
    "huge along one axis": {"dim": _dim(3, 12, 10, 30000)},
    "a negative size": {"dim": _dim(3, -12, 10, 6)},
    "negative sizes": {"dim": _dim(3, -12, -10, 6)},
    "a size of zero": {"dim": _dim(3, 12, 0, 6)},
    "no axes": {"dim": _dim(0, 12, 10, 6)},
    "nine axes": {"dim": _dim(9, 12, 10, 6)},
    "a negative number of axes": {"dim": _dim(-3, 12, 10, 6)},
    "one axis": {"dim": _dim(1, 720)},
    "four axes": {"dim": _dim(4, 12, 10, 2, 3)},
    "seven axes": {"dim": [7, 2, 2, 2, 2, 5, 3, 3]},
    "a byte type that is none": {"datatype": 999},
    "a byte type of 0": {"datatype": 0},
    "bits as voxels": {"datatype": 1},
    "colours": {"datatype": 128, "bitpix": 24},
    "complex numbers": {"datatype": 32, "bitpix": 64, "dim": _dim(3, 3, 10, 6)},
    "numbers of 16 bytes": {"datatype": 1536, "bitpix": 128, "dim": _dim(3, 3, 5, 6)},
    "a negative byte type": {"datatype": -4},
    "a number of bits that is not its type's": {"bitpix": 64},
    "no bits": {"bitpix": 0},
    "voxels that begin before the file": {"vox_offset": -352},
    "voxels that begin nowhere": {"vox_offset": _NAN},
    "voxels that begin at infinity": {"vox_offset": _INF},
    "voxels that begin behind its end": {"vox_offset": 1e9},
    "voxels that begin far behind": {"vox_offset": 1e30},
    "voxels that begin in the header": {"vox_offset": 16},
    "voxels that begin within a byte": {"vox_offset": 352.5},
    "a slope that is no number": {"scl_slope": _NAN, "scl_inter": 3},
    "an infinite slope": {"scl_slope": _INF},
    "a huge slope": {"scl_slope": 1e38},
    "a tiny slope": {"scl_slope": 1e-38},
    "an intercept that is no number": {"scl_slope": 1, "scl_inter": _NAN},
    "a huge intercept": {"scl_slope": 1, "scl_inter": 3e38},
    "zero spacing": {"pixdim": [1, 0, 0, 0, 0, 0, 0, 0], "sform_code": 0, "qform_code": 1},
    "zero spacing and no place": {"pixdim": [0] * 8, "sform_code": 0, "qform_code": 0},
    "spacing that is no number": {"pixdim": [1, _NAN, 1, 1, 1, 1, 1, 1], "sform_code": 0, "qform_code": 0},
    "infinite spacing": {"pixdim": [1, _INF, 1, 1, 1, 1, 1, 1], "sform_code": 0},
    "negative spacing": {"pixdim": [-1, -2, -2, -2, 1, 1, 1, 1], "sform_code": 0, "qform_code": 0},
    "huge spacing": {"pixdim": [1, 1e30, 1, 1, 1, 1, 1, 1], "sform_code": 0},
    "tiny spacing": {"pixdim": [1, 1e-30, 1e-30, 1e-30, 1, 1, 1, 1], "sform_code": 0},
    "an affine that is no number": {"srow_x": [_NAN] * 4},
    "an infinite affine": {"srow_y": [0, _INF, 0, 0]},
    "an affine that loses an axis": {"srow_z": [0, 0, 0, 0]},
    "an affine of one axis twice": {"srow_x": [0, -1.5, 0, 0]},
    "an affine of zeros": {"srow_x": [0] * 4, "srow_y": [0] * 4, "srow_z": [0] * 4},
    "an affine almost singular": {"srow_x": [1e-7, 1, 0, 0], "srow_y": [0, 1, 0, 0]},
    "a place beyond any image": {"srow_x": [-1.5, 0, 0, 1e25]},
    "an affine of huge numbers": {"srow_x": [3e38, 3e38, 0, 0]},
    "a rotation that is none": {"sform_code": 0, "qform_code": 1, "quatern_b": 9, "quatern_c": 9},
    "a rotation that is no number": {"sform_code": 0, "qform_code": 1, "quatern_b": _NAN},
    "a handedness of 7": {"sform_code": 0, "qform_code": 1, "pixdim": [7, 1, 1, 1, 1, 1, 1, 1]},
    "a negative code of the place": {"sform_code": -1, "qform_code": -1},
    "codes of the place that are none": {"sform_code": 32767, "qform_code": 99},
    "a unit that is none": {"xyzt_units": 255},
    "lengths in metres": {"xyzt_units": 1},
    "another size of the header": {"sizeof_hdr": 0},
    "a negative size of the header": {"sizeof_hdr": -348},
    "another magic": {"magic": b"n+9"},
    "the magic of a pair": {"magic": b"ni1"},
    "no magic": {"magic": b""},
    "intents and slices out of range": {"intent_code": 32767, "slice_code": 255, "slice_end": 32767},
    "text that is no text": {"descrip": b"\xff\xfe\x00\x1b[31m" + b"\xff" * 70},
}

_WIDE: Mapping[str, Mapping[str, Any]] = {
    "huge dimensions (NIfTI-2)": {"dim": [3, 2**40, 2**40, 2**40, 1, 1, 1, 1]},
    "dimensions that overflow (NIfTI-2)": {"dim": [7, *[2**62] * 7]},
    "negative sizes (NIfTI-2)": {"dim": [3, -(2**62), -2, 6, 1, 1, 1, 1]},
    "a huge number of axes (NIfTI-2)": {"dim": [2**62, 12, 10, 6, 1, 1, 1, 1]},
    "voxels that begin far behind (NIfTI-2)": {"vox_offset": 2**62},
    "voxels that begin before the file (NIfTI-2)": {"vox_offset": -(2**62)},
    "a huge affine (NIfTI-2)": {"srow_x": [1e300, 1e300, 0, 0]},
    "a huge slope (NIfTI-2)": {"scl_slope": 1e300},
}


def _contents(draw: np.random.Generator) -> Mapping[str, NDArray[Any]]:
    """Volumes whose header is true, and whose voxels are no image."""
    base = voxels(draw).astype(np.float32)
    spotted = base.copy()
    spotted[3, 4, 2] = _NAN
    return {
        "voxels that are no numbers": np.full_like(base, _NAN),
        "one voxel that is no number": spotted,
        "infinite voxels": np.where(base > 200, _INF, base).astype(np.float32),
        "one value throughout": np.full_like(base, 7),
        "zeros throughout": np.zeros_like(base),
        "huge values": (base.astype(np.float64) * 1e300),
        "tiny values": base * np.float32(1e-43),
        "one voxel": base[:1, :1, :1],
        "one line": base[:1, :1],
        "one slice": base[:, :, :1],
        "a needle": np.resize(base, (1, 1, 20_000)),
        "whole numbers of 64 bits": (base.astype(np.int64) << 52),
        "unsigned numbers of 64 bits": np.full(SHAPE, 2**64 - 1, np.uint64),
    }


def _field(fields: Mapping[str, Any], *, second: bool = False) -> Make:
    return lambda draw: {".nii": nifti(voxels(draw), second=second, **fields)}


def _content(why: str) -> Make:
    return lambda draw: {".nii": nifti(_contents(draw)[why])}


def _extension(size: int, *, flag: int = 1) -> Make:
    def make(draw: np.random.Generator) -> Files:
        raw = nifti(voxels(draw), vox_offset=_BEGIN + 32)
        extension = struct.pack("<4B2i", flag, 0, 0, 0, size, 44) + bytes(24)
        return {".nii": raw[:348] + extension + raw[352:]}

    return make


def _swapped(draw: np.random.Generator) -> Files:
    """Numbers in the other order of bytes than the header's own size says."""
    raw = bytearray(nifti(voxels(draw)))
    raw[40:56] = np.frombuffer(bytes(raw[40:56]), "<i2").astype(">i2").tobytes()
    return {".nii": bytes(raw)}


NIFTI_LIES: Mapping[str, Make] = {
    **{why: _field(fields) for why, fields in _FIELDS.items()},
    **{why: _field(fields, second=True) for why, fields in _WIDE.items()},
    **{why: _content(why) for why in _contents(np.random.default_rng(0))},
    "an extension of no size": _extension(0),
    "an extension of negative size": _extension(-16),
    "an extension larger than the file": _extension(2**31 - 16),
    "an extension of an odd size": _extension(17),
    "a flag of extensions that is none": _extension(32, flag=255),
    "sizes in the other order of bytes": _swapped,
}


def _packed(make: Make) -> Make:
    return lambda draw: {".nii.gz": gzip.compress(make(draw)[".nii"], 1, mtime=0)}


def deflated_zeros(head: bytes, count: int, form: int = 31) -> bytes:
    """`head` and so many zeros, packed, without ever having them in memory.

    Args:
        head: What comes first.
        count: A multiple of a MiB.
        form: As `zlib` takes it: 31 of gzip, 15 of zlib, -15 of neither.
    """
    packer, piece = zlib.compressobj(9, zlib.DEFLATED, form), bytes(1 << 20)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    one = packer.compress(piece) + packer.flush(
        zlib.Z_FULL_FLUSH
    )  # nothing before it matters: it may be repeated
    last = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    whole = first + one * (count >> 20) + last
    if form < 0:
        return whole
    check = zlib.crc32 if form == 31 else zlib.adler32
    found = check(head)
    for _ in range(count >> 20):
        found = check(piece, found)
    return whole + (struct.pack("<II", found, len(head) + count) if form == 31 else struct.pack(">I", found))


def _raw(draw: np.random.Generator) -> bytes:
    return nifti(voxels(draw))


def _gz(change: Callable[[bytes], bytes]) -> Make:
    return lambda draw: {".nii.gz": change(_raw(draw))}


def _checked(raw: bytes, at: int) -> bytes:
    packed = bytearray(gzip.compress(raw, 1, mtime=0))
    packed[at] ^= 0x55
    return bytes(packed)


_GZ_LIES: Mapping[str, Make] = {
    "a bomb: 300 MB of zeros behind the voxels": _gz(lambda raw: deflated_zeros(raw, 300 << 20)),
    "a bomb: 300 MB of zeros, no header": _gz(lambda raw: deflated_zeros(raw[:0], 300 << 20)),
    "a bomb within a bomb": _gz(lambda raw: gzip.compress(deflated_zeros(raw, 100 << 20), mtime=0)),
    "packed twice": _gz(lambda raw: gzip.compress(gzip.compress(raw, mtime=0), mtime=0)),
    "a wrong check sum": _gz(lambda raw: _checked(raw, -6)),
    "a wrong length at its end": _gz(lambda raw: _checked(raw, -1)),
    "another method of packing": _gz(lambda raw: _checked(raw, 2)),
    "flags that promise a name without end": _gz(lambda raw: _checked(raw, 3)),
    "a block of a reserved type": _gz(lambda raw: gzip.compress(raw, mtime=0)[:10] + b"\x07" + bytes(30)),
    "a second member that is noise": _gz(
        lambda raw: gzip.compress(raw, mtime=0) + b"\x1f\x8b\x08\0" + b"x" * 50
    ),
    "a thousand empty members": _gz(
        lambda raw: gzip.compress(b"", mtime=0) * 1000 + gzip.compress(raw, mtime=0)
    ),
    "not packed though its name says so": _gz(lambda raw: raw),
    "a header that says 20 GB": lambda draw: {
        ".nii.gz": deflated_zeros(nifti(voxels(draw), dim=_dim(3, 4000, 2500, 1000)), 4 << 20)
    },
}


def _pair(make: Make) -> Make:
    def split(draw: np.random.Generator) -> Files:
        raw = bytearray(make(draw)[".nii"])
        if raw[344:347] == b"n+1":
            raw[344:347] = b"ni1"
        if raw[108:112] == struct.pack("<f", _BEGIN):
            raw[108:112] = bytes(4)
        return {".hdr": bytes(raw[:348]), ".img": bytes(raw[_BEGIN:])}

    return split


def _sound(draw: np.random.Generator) -> Files:
    return {".nii": _raw(draw)}


NIFTI = Kind(".nii", _sound, NIFTI_LIES)
PACKED = Kind(".nii.gz", _packed(_sound), {**{w: _packed(m) for w, m in NIFTI_LIES.items()}, **_GZ_LIES})
PAIR = Kind(".hdr", _pair(_sound), {why: _pair(_field(fields)) for why, fields in _FIELDS.items()})
