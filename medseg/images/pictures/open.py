"""Opening a picture: its kind by its first bytes, and the error of one that cannot be read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from medseg.errors import DataError
from medseg.files.regular import opener
from medseg.images.pictures.decoders import DAMAGE
from medseg.images.pictures.kinds import KINDS
from medseg.images.pictures.stored import Kind, Stored
from medseg.images.pictures.watched import Watched
from medseg.images.refusal import NO_RIGHT, NOT_THERE, RefusedError

OTHERS = {
    "GIF": (0, b"GIF8"),
    "WebP": (8, b"WEBP"),
    "PDF": (0, b"%PDF"),
    "DICOM": (128, b"DICM"),
    "NIfTI": (344, b"n+1\0"),
    "JPEG 2000": (4, b"jP  "),
    "gzip, such as NIfTI (.nii.gz)": (0, b"\x1f\x8b"),
    "HDF5": (0, b"\x89HDF"),
    "a ZIP archive, such as .npz": (0, b"PK"),
    "a Python pickle": (0, b"\x80"),
}
"""Where in a file which bytes stand, and what it then is."""


def stored_picture(path: Path) -> Stored:
    """Decode one file of one picture; a note says so where it is not what it is named."""
    with opened_picture(path) as (handle, kind):
        stored = kind.read(handle)
    return _named(stored, kind, path)


def stored_pictures(path: Path) -> list[Stored]:
    """As `stored_picture`, of a file that may hold several: pages of a TIFF, in their order."""
    with opened_picture(path) as (handle, kind):
        found = kind.read_all(handle)
    return [_named(stored, kind, path) for stored in found]


def _named(stored: Stored, kind: Kind, path: Path) -> Stored:
    if path.suffix.lower() in kind.suffixes:
        return stored
    named = f"though named {path.suffix}" if path.suffix else "though its name has no suffix"
    return replace(stored, notes=(f"it is {kind.name} inside {named}", *stored.notes))


@contextmanager
def opened_picture(path: Path) -> Iterator[tuple[Watched, Kind]]:
    """Open one file as the kind it is; whatever goes wrong meanwhile ends in a DataError."""
    try:
        raw = io.FileIO(path, opener=opener)
    except FileNotFoundError:
        raise RefusedError("the file is not there", NOT_THERE) from None
    except PermissionError:
        raise RefusedError("the file may not be read by this user", NO_RIGHT) from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}") from error
    with Watched(raw) as handle:
        kind: Kind | None = None
        try:
            kind = _kind(handle.read(352))
            handle.seek(0)
            handle.starved = False
            yield handle, kind
        except MemoryError:
            raise RefusedError(
                "the picture does not fit into memory", "Save it smaller, or in tiles."
            ) from None
        except DAMAGE as error:
            raise failure(error, "picture" if kind is None else kind.name, handle) from error


def _kind(head: bytes) -> Kind:
    if not head:
        raise DataError("the file is empty (0 bytes)")
    text = all(32 <= byte < 127 or byte in b"\r\n\t" for byte in head[:64])
    for kind in KINDS:
        if head.startswith(kind.starts) and not text:
            return kind
    looks = next(
        (name for name, (at, mark) in OTHERS.items() if head[at:].startswith(mark)),
        "text" if text else "other data",
    )
    raise RefusedError(
        f"the file is not a picture that medseg reads: it holds {looks}, expected PNG, JPEG, TIFF, BMP, "
        ".npy or DICOM",
        "Save it as one of these, or leave the case out.",
    )


def failure(error: Exception, name: str, handle: Watched) -> DataError:
    """What is raised for an error in decoding."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return DataError(f"the file cannot be read: {error.strerror}")
    if "Decompressed data too large" in text or "Too much memory" in text:
        problem = f"text in the {name} file unpacks to far more than text, as decompression bombs do"
        return RefusedError(problem, "Save it anew, without that text, or leave the case out.")
    if handle.starved or isinstance(error, EOFError) or "truncated" in text.lower() or "mmap length" in text:
        problem = f"the {name} file ends early: it holds fewer pixels than its header says"
        return RefusedError(problem, "Copy or save it anew, or leave the case out.")
    return DataError(
        f"the {name} file is damaged, ends early, or holds a kind of {name} that cannot be decoded ({text})"
    )
