"""Parts of a multipart answer as they come in, none of which has to fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.message import Message

_MOST_HEAD = 1 << 16  # bytes of the header of a part


class DamagedAnswerError(ValueError):
    """An answer ends early, or is no multipart message."""


def boundary_of(content_type: str) -> bytes | None:
    """What separates the parts of an answer; None if it has none, and is a file itself.

    Args:
        content_type: Its header.

    Raises:
        DamagedAnswerError: It is neither parts nor DICOM.
    """
    message = Message()
    message["content-type"] = content_type
    if message.get_content_type() == "application/dicom":
        return None
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/related" or not boundary:
        raise DamagedAnswerError
    return boundary.encode("latin-1", "replace")


def pieces(chunks: Iterable[bytes], boundary: bytes | None) -> Iterator[tuple[int, bytes]]:
    """The bytes of each part, without its header, piece by piece, with the number of the part from 1.

    Source: RFC 2046, 5.1.1.

    Args:
        chunks: The answer.
        boundary: As `boundary_of` gives it.

    Raises:
        DamagedAnswerError: The answer ends before its last boundary.
    """
    if boundary is None:
        yield from ((1, chunk) for chunk in chunks)
        return
    mark = b"\r\n--" + boundary
    held, number, in_head = bytearray(b"\r\n"), 0, False
    for chunk in chunks:
        held += chunk
        while True:
            if in_head:
                if held[:2] == b"--":
                    return
                end = held.find(b"\r\n\r\n")
                if end < 0:
                    if len(held) > _MOST_HEAD:
                        raise DamagedAnswerError
                    break
                del held[: end + 4]
                number, in_head = number + 1, False
            at = held.find(mark)
            sure = at if at >= 0 else max(0, len(held) - len(mark) + 1)  # a boundary may have begun behind it
            if number and sure:
                yield number, bytes(held[:sure])
            if at < 0:
                del held[:sure]
                break
            del held[: at + len(mark)]
            in_head = True
    raise DamagedAnswerError
