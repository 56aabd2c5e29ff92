"""Pictures of DICOM's RLE, whose runs may unpack to a hundred times what they take. Source: DICOM PS3.5, Annex G."""

from __future__ import annotations

from medseg.images.dicom.attributes import COPY
from medseg.images.refusal import RefusedError

_HEAD = 64
_NO_MATTER = 1 << 26  # bytes for which nobody looks through the runs of a segment
_MOST_RUN = 64  # bytes that a byte can unpack to: two say 128 of one value


def refuse_long_runs(coded: bytes, pixels: int) -> None:
    """Refuse a picture of which a segment unpacks to more than twice the pixels; one segment is a byte of each.

    Raises:
        RefusedError: It does.
    """
    count = min(int.from_bytes(coded[:4], "little"), 15)
    begins = [int.from_bytes(coded[4 * place : 4 * place + 4], "little") for place in range(1, count + 1)]
    for begin, end in zip(
        begins, (*begins, len(coded))[1:], strict=True
    ):  # of no segment the decoder says so
        segment = coded[max(begin, _HEAD) : end]
        if _MOST_RUN * len(segment) > _NO_MATTER and _is_longer(segment, 2 * pixels):
            raise RefusedError(
                f"a segment of the DICOM file's RLE unpacks to more than twice the {pixels} bytes that it needs, as "
                "decompression bombs do",
                COPY,
            )


def _is_longer(segment: bytes, most: int) -> bool:
    """Whether runs come to more bytes than so many."""
    place = total = 0
    while place < len(segment) and total <= most:
        said = segment[place]
        if said < 128:
            place += said + 2
            total += said + 1
        else:  # 128 says nothing, and stands alone
            place += 1 + (said > 128)
            total += (257 - said) if said > 128 else 0
    return total > most
