"""NIfTI without text: the free fields of its header and all extensions; voxels stay byte for byte.

One file, or a pair of `.hdr` and `.img`, whose header may be that of Analyze 7.5. Of a pair each file is cleaned for
itself, and both are called alike.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isal import igzip, isal_zlib

from medseg.datasets.deidentification.choice import Cleaned
from medseg.files.regular import open_regular
from medseg.images.made_up import is_made_up
from medseg.images.opening import Unpacked
from medseg.images.refusal import RefusedError
from medseg.machine.memory import available_memory

_ANEW = "Copy or export it anew, or leave it out."
_DAMAGED = "the header of the NIfTI file is damaged"

#: Voxels begin within so many bytes, and what follows the header of a pair is looked at so far.
_FURTHEST, _MOST_EXTENSIONS = 1 << 28, 1 << 20


@dataclass(frozen=True)
class _Form:
    """Where fields lie in a header; spans are of free text. Source: nifti1.h, nifti2.h, dbh.h of Analyze 7.5."""

    size: int
    magic: slice
    dim: tuple[int, str]
    bitpix: int
    offset: tuple[int, str]
    remark: slice
    texts: tuple[tuple[int, int], ...]


_NIFTI1 = _Form(
    348,
    slice(344, 348),
    (40, "8h"),
    72,
    (108, "f"),
    slice(148, 228),
    ((4, 14), (14, 32), (32, 36), (36, 38), (140, 148), (148, 228), (228, 252), (328, 344)),
)
_NIFTI2 = _Form(
    540,
    slice(4, 8),
    (16, "8q"),
    14,
    (168, "q"),
    slice(240, 320),
    ((240, 320), (320, 344), (508, 524), (525, 540)),
)
_FORMS = ((_NIFTI1, b"n+1\0"), (_NIFTI2, b"n+2\0"))

#: Behind `orient`, which says how axes lie, come names, dates and numbers of the scan, and an origin of SPM alone.
_ANALYZE = replace(
    _NIFTI1,
    texts=(
        *((4, 14), (14, 32), (32, 36), (36, 38), (39, 40), (56, 70), (132, 140)),
        *((148, 228), (228, 252), (253, 348)),
    ),
)
_PAIR = b"ni1\0"
_PACKED = b"\x1f\x8b"


def form_of(head: bytes) -> _Form | None:
    """The form of a header, by the first 348 bytes of a file that is unpacked; None where it is no NIfTI."""
    return next((form for form, magic in _FORMS if head[form.magic] == magic), None)


def begins_as_nifti(path: Path) -> bool:
    """Whether a file is NIfTI of one file, packed or not."""
    with open_regular(path) as file:
        head = file.read(2)
        file.seek(0)
        try:
            stream: Any = Unpacked(fileobj=file) if head == _PACKED else file
            return form_of(stream.read(348)) is not None
        except (OSError, EOFError, isal_zlib.error, zlib.error):  # type: ignore[misc]  # its stubs call it a value
            return False


def clean_nifti(path: Path) -> Cleaned:
    """A NIfTI file with empty texts and no extension; packed as it was, without name and time of the packed file.

    The mark of a generated file stays.

    Raises:
        RefusedError: It is damaged, or holds fewer voxels than its header says.
    """
    with open_regular(path) as file:
        packed = file.read(2) == _PACKED
        file.seek(0)
        stream: Any = Unpacked(fileobj=file) if packed else file
        try:
            content, changes = _cleaned(stream)
        except (OSError, EOFError, isal_zlib.error, zlib.error) as error:  # type: ignore[misc]  # as above
            raise RefusedError("the NIfTI file is truncated or damaged", _ANEW) from error
    return Cleaned(_pack(content) if packed else content, changes=changes)


def begins_as_header(path: Path, head: bytes) -> bool:
    """Whether a file is the header of a pair, by its name and its first 348 bytes."""
    return path.suffix.lower() == ".hdr" and head[:4] in (_size("<"), _size(">"))


def clean_header(path: Path) -> Cleaned:
    """The `.hdr` of a pair with empty texts and no extension; its voxels begin with the `.img` file.

    Raises:
        RefusedError: It is damaged.
    """
    head, rest, form = _header_of_pair(path)
    order = _voxels(head, form).order
    content, emptied = _emptied(head, form)
    struct.pack_into(order + form.offset[1], content, form.offset[0], 0)
    counts = {"emptied": emptied, "removed": int(any(rest))}
    return Cleaned(
        bytes(content) + bytes(4), changes={name: count for name, count in counts.items() if count}
    )


def clean_voxels(path: Path) -> Cleaned:
    """The voxels of the `.img` of a pair, as many as the `.hdr` file beside it says, and nothing else.

    Raises:
        RefusedError: There is no header beside it, it is damaged, or there are fewer voxels than it says.
    """
    header = path.with_suffix(".HDR" if path.suffix.isupper() else ".hdr")
    if header.is_symlink() or not header.exists():
        raise RefusedError("there is no header (.hdr) beside the .img file", "Put it there, or leave it out.")
    head, _, form = _header_of_pair(header)
    voxels = _voxels(head, form)
    with open_regular(path) as file:
        before, content = file.read(voxels.begin), file.read(voxels.size)
        removed = bool(before) + bool(file.read(1))
    if len(content) < voxels.size:
        raise RefusedError("the .img file holds fewer voxels than the header beside it says", _ANEW)
    return Cleaned(content, changes={"removed": removed} if removed else {})


@dataclass(frozen=True)
class _Voxels:
    """What a header says of its voxels: the order of bytes, where they begin, and how many bytes they take."""

    order: str
    begin: int
    size: int


def _size(order: str) -> bytes:
    return struct.pack(order + "i", _NIFTI1.size)


def _header_of_pair(path: Path) -> tuple[bytes, bytes, _Form]:
    """The header, what follows it, and its form.

    Raises:
        RefusedError: It is none.
    """
    with open_regular(path) as file:
        head, rest = file.read(_NIFTI1.size), file.read(_MOST_EXTENSIONS)
    if len(head) < _NIFTI1.size or head[:4] not in (_size("<"), _size(">")):
        raise RefusedError("the .hdr file is no header of Analyze or of a NIfTI pair", _ANEW)
    return head, rest, _NIFTI1 if head[_NIFTI1.magic] == _PAIR else _ANALYZE


def _cleaned(stream: Any) -> tuple[bytes, dict[str, int]]:
    raw = stream.read(348)
    form = form_of(raw)
    if form is None:
        raise RefusedError("the file is no NIfTI of one file", _ANEW)
    raw += stream.read(form.size - len(raw))
    if len(raw) < form.size:
        raise RefusedError("the NIfTI file ends within its header", _ANEW)
    voxels = _voxels(raw, form)
    if voxels.begin < form.size:
        raise RefusedError(_DAMAGED, _ANEW)
    extensions = stream.read(voxels.begin - form.size)
    content = stream.read(voxels.size)
    if len(content) < voxels.size:
        raise RefusedError("the NIfTI file holds fewer voxels than its header says", _ANEW)
    head, emptied = _emptied(raw, form)
    struct.pack_into(voxels.order + form.offset[1], head, form.offset[0], form.size + 4)
    removed = (extensions.count(0) < len(extensions)) + bool(stream.read(1))
    changes = {name: count for name, count in (("emptied", emptied), ("removed", removed)) if count}
    return bytes(head) + bytes(4) + content, changes


def _voxels(raw: bytes, form: _Form) -> _Voxels:
    """What a header says of its voxels.

    Raises:
        RefusedError: That cannot be, or does not fit into memory.
    """
    order = "<" if struct.unpack_from("<i", raw)[0] == form.size else ">"
    dim = struct.unpack_from(order + form.dim[1], raw, form.dim[0])
    (bits,) = struct.unpack_from(order + "h", raw, form.bitpix)
    (offset,) = struct.unpack_from(order + form.offset[1], raw, form.offset[0])
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1 or bits < 1 or not 0 <= offset < _FURTHEST:
        raise RefusedError(_DAMAGED, _ANEW)
    size = math.ceil(math.prod(dim[1 : dim[0] + 1]) * bits / 8)
    if offset + size > available_memory() // 3:
        raise RefusedError("the NIfTI file does not fit into memory", "Leave it out.")
    return _Voxels(order, int(offset), size)


def _emptied(raw: bytes, form: _Form) -> tuple[bytearray, int]:
    """A header without its texts, but for the mark of a generated file, and how many there were."""
    head, emptied = bytearray(raw), 0
    made_up = is_made_up(raw[form.remark])  # no patient's data, and whoever gets them is to know
    for first, last in form.texts:
        if made_up and slice(first, last) == form.remark:
            continue
        emptied += any(head[first:last])
        head[first:last] = bytes(last - first)
    return head, emptied


def _pack(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with igzip.IGzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=2, mtime=0) as packed:
        packed.write(content)
    return buffer.getvalue()
