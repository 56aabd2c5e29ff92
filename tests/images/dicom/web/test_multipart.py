"""Parts of a multipart answer, however it is cut as it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.images.dicom.web.multipart import DamagedAnswerError, boundary_of, pieces

PARTS = st.lists(st.binary(max_size=60).filter(lambda part: b"--edge" not in part), max_size=4)


def message(parts: list[bytes]) -> bytes:
    told = b"".join(b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts)
    return b"before\r\n" + told + b"--edge--\r\nafter"


def joined(chunks: list[bytes], count: int) -> list[bytes]:
    found = [b""] * count
    for number, piece in pieces(chunks, b"edge"):
        found[number - 1] += piece
    return found


@given(PARTS, st.integers(1, 30))
def test_parts_come_out_as_they_went_in_wherever_the_answer_is_cut(parts: list[bytes], size: int) -> None:
    whole = message(parts)
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert joined(chunks, len(parts)) == parts


@given(st.integers(0, 95))
def test_an_answer_that_ends_before_its_last_boundary_is_damaged(end: int) -> None:
    whole = message([b"one", b"two"])
    last = whole.index(b"--edge--")
    with pytest.raises(DamagedAnswerError):
        list(pieces([whole[: min(end, last + 7)]], b"edge"))


def test_what_looks_like_a_boundary_within_a_part_is_kept() -> None:
    part = b"\r\n--edg\r\n-\r\n--ed"
    assert joined([message([part])], 1) == [part]


def test_a_header_without_an_end_is_damaged() -> None:
    with pytest.raises(DamagedAnswerError):
        list(pieces([b"--edge\r\n", b"x" * (1 << 17)], b"edge"))


def test_memory_holds_no_more_than_a_piece() -> None:
    most = max(
        len(piece)
        for _, piece in pieces([message([b"y" * 5000])[at : at + 100] for at in range(0, 5100, 100)], b"edge")
    )
    assert most <= 200


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=a-b', b"a-b"),
        ('Multipart/Related; boundary="a b"; type="application/dicom"', b"a b"),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.1", None),
    ],
    ids=["plain", "quoted", "none"],
)
def test_the_boundary_stands_in_the_header(kind: str, boundary: bytes | None) -> None:
    assert boundary_of(kind) == boundary


@pytest.mark.parametrize("kind", ["", "text/html", "multipart/related", "application/json; boundary=x"])
def test_other_kinds_are_no_images(kind: str) -> None:
    with pytest.raises(DamagedAnswerError):
        boundary_of(kind)
