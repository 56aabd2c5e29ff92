"""TIFF without metadata: every byte that no pixel needs becomes zero, and all others stay where they are."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tifffile import TiffFile, TiffPage, TiffTag

from medseg.datasets.deidentification.choice import Cleaned
from medseg.images.made_up import MADE_UP, is_made_up
from medseg.images.pictures.watched import AS_BOMBS, BESIDE
from medseg.images.refusal import RefusedError

_ANEW = "Save the picture anew as plain TIFF or PNG, or leave it out."

#: Tags that say where samples are and what they mean; all others, and all directories below, are left out.
_KEPT = {
    *(
        254,
        255,
        256,
        257,
        258,
        259,
        262,
        263,
        264,
        265,
        266,
        273,
        274,
        277,
        278,
        279,
        280,
        281,
        282,
        283,
        284,
    ),
    *(290, 291, 292, 293, 296, 297, 301, 317, 318, 319, 320, 322, 323, 324, 325, 332, 334, 336, 338, 339),
    *(340, 341, 347, 512, 513, 514, 529, 530, 531, 532, 32997, 32998),
}

_DESCRIPTION = 270

_OFTEN = 4  # times that a byte of a file may be copied, since strips may share their place


@contextmanager
def _quiet() -> Iterator[None]:
    """Log nothing of what tifffile finds, which names what stands in a file."""
    log = logging.getLogger("tifffile")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def clean_tiff(data: bytes) -> Cleaned:
    """A TIFF without descriptions, names, dates, EXIF, XMP, and bytes that nothing refers to.

    The mark of a generated picture stays.

    Raises:
        RefusedError: It is damaged, or only its description says how many pictures it holds.
    """
    try:
        with _quiet(), TiffFile(io.BytesIO(data), name="picture.tif") as tiff:
            _refuse_described(tiff)
            content, left_out = _bare(data, tiff)
            count = len(tiff.pages)
    except RefusedError:
        raise
    except Exception as error:  # whatever tifffile meets in a damaged file
        raise RefusedError("the TIFF is damaged, or of a kind that cannot be cleaned", _ANEW) from error
    pages = "it holds several pictures: look at each, since one may show a label with a name"
    return Cleaned(
        content,
        changes={"removed": left_out} if left_out else {},
        warnings=(pages,) if count > 1 else (),
    )


def _refuse_described(tiff: TiffFile) -> None:
    counted = re.match(r"ImageJ=.*?^images=(\d+)", tiff.pages.first.description, re.DOTALL | re.MULTILINE)
    if counted and int(counted[1]) > len(tiff.pages):
        raise RefusedError(
            "the TIFF holds several pictures of which only its description tells, and that is to be removed",
            "Save each in a file of its own.",
        )


def _is_mark(tag: TiffTag) -> bool:
    """Whether a tag says that the picture was generated, and nothing else."""
    shortest = tag.valuebytecount <= len(MADE_UP) + 1
    return tag.code == _DESCRIPTION and shortest and is_made_up(tag.value)


def _bare(data: bytes, tiff: TiffFile) -> tuple[bytes, int]:
    kind, found = tiff.tiff, bytearray(len(data))
    head = 16 if kind.is_bigtiff else 8
    found[:head] = data[:head]
    left_out = copied = 0
    order = "little" if kind.byteorder == "<" else "big"
    for page in tiff.pages:
        if not isinstance(page, TiffPage):
            raise TypeError("a page without tags of its own")
        kept = [tag for tag in page.tags if tag.code in _KEPT or _is_mark(tag)]
        left_out += len(page.tags) - len(kept)
        entries = b"".join(data[tag.offset : tag.offset + kind.tagsize] for tag in kept)
        behind = page.offset + kind.tagnosize + len(page.tags) * kind.tagsize
        following = data[behind : behind + kind.offsetsize]
        directory = len(kept).to_bytes(kind.tagnosize, order) + entries + following  # type: ignore[arg-type]
        found[page.offset : page.offset + len(directory)] = directory
        values = [
            (tag.valueoffset, tag.valuebytecount) for tag in kept if tag.valuebytecount > kind.offsetsize
        ]
        if 513 in page.tags and 514 in page.tags:  # a whole JPEG, as old files have
            raise RefusedError("the TIFF holds a JPEG in the way of TIFF 6.0, with text of its own", _ANEW)
        pieces = zip(page.dataoffsets, page.databytecounts, strict=True)
        for at, size in (*values, *pieces):
            copied += size
            if copied > _OFTEN * len(data) + BESIDE:
                raise RefusedError(
                    f"strips, tiles or tags of the TIFF lie in one place, and take {copied} bytes together, or more, "
                    f"{AS_BOMBS}",
                    _ANEW,
                )
            if at + size > len(data):
                raise EOFError("truncated")
            found[at : at + size] = data[at : at + size]
    return bytes(found), left_out
