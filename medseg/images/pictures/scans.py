"""Scans of a JPEG: each paints the whole picture, and takes the time of all its pixels."""

from __future__ import annotations

from medseg.images.refusal import RefusedError

MAX_SCANS = 100
"""More in one JPEG are refused; the finest progressive ones have about twenty."""

SCAN = b"\xff\xda"
"""What each scan of a JPEG begins with, and no data within it hold. Source: ITU-T T.81, annex B."""


def refuse_many_scans(data: bytes) -> None:
    """Refuse a progressive JPEG that paints its picture over and over.

    Raises:
        RefusedError: It holds more than `MAX_SCANS` scans.
    """
    scans = data.count(SCAN)
    if scans > MAX_SCANS:
        raise RefusedError(
            f"the JPEG holds {scans} scans of its picture, above the limit of {MAX_SCANS}, as decompression bombs do",
            "Save it anew, or leave the case out.",
        )
