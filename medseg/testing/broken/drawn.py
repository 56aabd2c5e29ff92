"""Broken DICOM segmentations and structure sets, beside the sound series that they were drawn on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from medseg.testing.broken.dicoms import described, fragments, plain, uid, written
from medseg.testing.broken.elements import END, ENDLESS, HEADERS, Element, coded, element, item
from medseg.testing.broken.form import Files, Kind, Make
from medseg.testing.broken.series import SHAPE, slices

NAME = "bright"
"""Of the structure that is drawn."""
_SEG, _RTSTRUCT = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
_MARKED = (1, 2)  # slices
_CORNERS = ((3, 2), (9, 2), (9, 8), (3, 8))  # columns and rows of a square

Elements = dict[int, Element]
Draw = Callable[[Elements], bytes]
"""Makes what is drawn from what the series and it have in common."""


def _beside(drawn: Draw) -> Make:
    """A series, and what is drawn on it."""

    def make(draw: np.random.Generator) -> Files:
        own: Elements = described(draw, SHAPE, 16)
        same = {tag: own[tag] for tag in (0x00100010, 0x00100020, 0x0020000D)}
        same[0x00200052] = ("UI", uid(draw))
        series = {0x0020000E: ("UI", uid(draw))}
        files = slices(draw, lambda _: {**same, **series})
        other: Elements = {**own, **same, 0x00080018: ("UI", uid(draw)), 0x0020000E: ("UI", uid(draw))}
        return {**files, "/drawn.dcm": drawn(other)}

    return make


def _sequence(*items: bytes) -> bytes:
    return b"".join(map(item, items))


def _kept(elements: Mapping[int, Element | None]) -> Elements:
    return {tag: each for tag, each in elements.items() if each is not None}


# Segmentations


def _segment(number: int = 1, name: str = NAME) -> bytes:
    return element(0x00620004, "US", coded(number)) + element(0x00620005, "LO", coded(name))


def _frame(height: str, number: int = 1, corner: str = "-10\\-20") -> bytes:
    place = element(0x00200032, "DS", coded(f"{corner}\\{height}"))
    return element(0x00209113, "SQ", item(place)) + element(
        0x0062000A, "SQ", item(element(0x0062000B, "US", coded(number)))
    )


def _shared(orientation: str = "1\\0\\0\\0\\1\\0", spacing: str = "1.5\\1.5") -> bytes:
    plane = element(0x00209116, "SQ", item(element(0x00200037, "DS", coded(orientation))))
    return item(plane + element(0x00289110, "SQ", item(element(0x00280030, "DS", coded(spacing)))))


def _bits() -> bytes:
    marked = np.zeros((len(_MARKED), *SHAPE), np.uint8)
    marked[:, 2:8, 3:9] = 1
    return np.packbits(marked.ravel(), bitorder="little").tobytes()


def _segmentation(changes: Mapping[int, Element | None], own: Elements, last: bytes | None = None) -> bytes:
    found: dict[int, Element | None] = {
        **own,
        0x00080016: ("UI", _SEG),
        0x00080060: ("CS", "SEG"),
        0x00280008: ("IS", str(len(_MARKED))),
        0x00280100: ("US", 1),
        0x00280101: ("US", 1),
        0x00280102: ("US", 0),
        0x00620001: ("CS", "BINARY"),
        0x00620002: ("SQ", item(_segment())),
        0x52009229: ("SQ", _shared()),
        0x52009230: ("SQ", _sequence(*(_frame(str(3 * number)) for number in _MARKED))),
        **changes,
    }
    bits = element(0x7FE00010, "OB", _bits())
    return written(_kept(found), bits if last is None else last)


def _groups(*frames: bytes) -> Mapping[int, Element | None]:
    return {0x52009230: ("SQ", _sequence(*frames))}


_SEGMENTS: Mapping[str, Mapping[int, Element | None]] = {
    "no list of segments": {0x00620002: None},
    "a list of no segments": {0x00620002: ("SQ", b"")},
    "a list of segments of noise": {0x00620002: ("SQ", b"no sequence at all!!")},
    "segments without numbers": {0x00620002: ("SQ", item(element(0x00620005, "LO", coded(NAME))))},
    "segments without names": {0x00620002: ("SQ", item(element(0x00620004, "US", coded(1))))},
    "segments of other names": {0x00620002: ("SQ", item(_segment(1, "other")))},
    "a name of commands for a terminal": {0x00620002: ("SQ", item(_segment(1, "\x1b[31m\x07bright")))},
    "a name of 60,000 characters": {0x00620002: ("SQ", item(_segment(1, "x" * 60_000)))},
    "three thousand segments": {0x00620002: ("SQ", _sequence(*(_segment(n, NAME) for n in range(1, 3_000))))},
    "two segments of one number": {0x00620002: ("SQ", _sequence(_segment(), _segment(1, "other")))},
    "frames of a segment that is none": _groups(_frame("3", 7), _frame("6", 7)),
    "frames without their segment": _groups(
        *(element(0x00209113, "SQ", item(element(0x00200032, "DS", coded("0\\0\\3")))) for _ in _MARKED)
    ),
    "frames without groups": {0x52009230: None},
    "frames with empty groups": _groups(b"", b""),
    "frames with groups of noise": {0x52009230: ("SQ", b"no sequence at all!!")},
    "frames with three thousand groups": _groups(*(_frame("3") for _ in range(3_000))),
    "more frames than groups": _groups(_frame("3")),
    "a frame twice": _groups(_frame("3"), _frame("3")),
    "a frame between slices": _groups(_frame("3"), _frame("4.4")),
    "a frame beyond the series": _groups(_frame("3"), _frame("3000")),
    "a frame at no number": _groups(_frame("3"), _frame("nan")),
    "a frame at nonsense": _groups(_frame("3"), _frame("here")),
    "a frame at infinity": _groups(_frame("3"), _frame("1e300")),
    "a frame on another grid": _groups(_frame("3"), _frame("6", 1, "-10.7\\-20")),
    "no shared groups": {0x52009229: None},
    "another orientation": {0x52009229: ("SQ", _shared("0\\1\\0\\0\\0\\1"))},
    "an orientation that loses an axis": {0x52009229: ("SQ", _shared("1\\0\\0\\1\\0\\0"))},
    "spacing of zero": {0x52009229: ("SQ", _shared(spacing="0\\0"))},
    "spacing that is no number": {0x52009229: ("SQ", _shared(spacing="nan\\nan"))},
    "another frame of reference": {0x00200052: ("UI", "2.25.79")},
    "no frame of reference": {0x00200052: None},
    "another study": {0x0020000D: ("UI", "2.25.78")},
    "another patient": {0x00100020: ("LO", "somebody")},
    "no kind of segmentation": {0x00620001: None},
    "a kind of segmentation that is none": {0x00620001: ("CS", "PAINTED")},
    "fractions, it says": {0x00620001: ("CS", "FRACTIONAL")},
    "fractions of a most of zero": {0x00620001: ("CS", "FRACTIONAL"), 0x0062000E: ("US", 0)},
    "fractions of a most of nonsense": {0x00620001: ("CS", "FRACTIONAL"), 0x0062000E: ("LO", "all")},
    "a label map, it says": {0x00620001: ("CS", "LABELMAP")},
    "a structure set, it says": {0x00080060: ("CS", "RTSTRUCT")},
    "no modality": {0x00080060: None},
}  # fmt: skip

_PIXELS: Mapping[str, bytes] = {
    "no pixel data": b"",
    "pixel data of no bytes": element(0x7FE00010, "OB", b""),
    "pixel data of too few frames": element(0x7FE00010, "OB", _bits()[:8]),
    "pixel data longer than the file": element(0x7FE00010, "OB", _bits(), 2**31),
    "pixel data a megabyte longer": element(0x7FE00010, "OB", _bits() + bytes(1 << 20)),
    "pixel data of whole bytes": plain(np.ones((len(_MARKED), *SHAPE), np.uint8)),
    "pixel data in fragments": fragments(_bits()),
    "pixel data in fragments that never end": fragments(_bits(), end=b""),
}

_SEG_LIES: Mapping[str, Make] = {
    **{why: _beside(partial(_segmentation, changes)) for why, changes in {**HEADERS, **_SEGMENTS}.items()},
    **{why: _beside(partial(_segmentation, {}, last=last)) for why, last in _PIXELS.items()},
}

SEG = Kind("", _beside(partial(_segmentation, {})), _SEG_LIES)


# Structure sets


def _points(corners: tuple[tuple[float, float], ...], height: str) -> str:
    return "\\".join(f"{-10 + 1.5 * column:g}\\{-20 + 1.5 * row:g}\\{height}" for column, row in corners)


def _contour(points: str, kind: str = "CLOSED_PLANAR", count: str = "4") -> bytes:
    data = coded(points)
    return (
        element(0x30060042, "CS", coded(kind))
        + element(0x30060046, "IS", coded(count))
        + element(0x30060050, "DS" if len(data) < 60_000 else "UN", data)
    )


def _region(number: str, *contours: bytes) -> bytes:
    return element(0x30060040, "SQ", _sequence(*contours)) + element(0x30060084, "IS", coded(number))


def _listed(number: str, name: str, reference: str) -> bytes:
    return (
        element(0x30060022, "IS", coded(number))
        + element(0x30060024, "UI", coded(reference))
        + element(0x30060026, "LO", coded(name))
    )


def _squares() -> tuple[bytes, ...]:
    return tuple(_contour(_points(_CORNERS, str(3 * number))) for number in _MARKED)


def _structure_set(changes: Mapping[int, Element | None], own: Elements) -> bytes:
    none = dict.fromkeys(tag for tag in own if tag >> 16 == 0x0028)
    found: dict[int, Element | None] = {
        **own,
        **none,
        0x00080016: ("UI", _RTSTRUCT),
        0x00080060: ("CS", "RTSTRUCT"),
        0x30060020: ("SQ", item(_listed("1", NAME, str(own[0x00200052][1])))),
        0x30060039: ("SQ", item(_region("1", *_squares()))),
        **changes,
    }
    return written(_kept(found), b"")


def _names(*listed: bytes) -> Mapping[int, Element | None]:
    return {0x30060020: ("SQ", _sequence(*listed))}


def _contours(*contours: bytes) -> Mapping[int, Element | None]:
    return {0x30060039: ("SQ", item(_region("1", *contours)))}


def _circle(count: int, height: str = "3") -> str:
    turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return _points(tuple(zip(6 + 3 * np.cos(turns), 5 + 3 * np.sin(turns), strict=True)), height)


_DRAWN: Mapping[str, Mapping[int, Element | None]] = {
    "no list of regions": {0x30060020: None},
    "a list of no regions": {0x30060020: ("SQ", b"")},
    "a list of regions of noise": {0x30060020: ("SQ", b"no sequence at all!!")},
    "regions without names": _names(element(0x30060022, "IS", coded("1"))),
    "regions without numbers": _names(element(0x30060026, "LO", coded(NAME))),
    "regions of numbers that are none": _names(_listed("one", NAME, "2.25.1")),
    "regions of huge numbers": _names(_listed("9" * 400, NAME, "2.25.1")),
    "regions of other names": _names(_listed("1", "other", "2.25.1")),
    "a name of commands for a terminal": _names(_listed("1", "\x1b[31m\x07bright", "2.25.1")),
    "three thousand regions": _names(*(_listed(str(n), NAME, "") for n in range(3_000))),
    "another frame of reference": _names(_listed("1", NAME, "2.25.79")),
    "no contours": {0x30060039: None},
    "a region of no contours": _contours(),
    "contours of a region that is none": {0x30060039: ("SQ", item(_region("8", *_squares())))},
    "contours of noise": {0x30060039: ("SQ", b"no sequence at all!!")},
    "contours without a list": {0x30060039: ("SQ", item(element(0x30060084, "IS", coded("1"))))},
    "a contour of no points": _contours(_contour("")),
    "a contour of one point": _contours(_contour(_points(_CORNERS[:1], "3"))),
    "a contour of two points": _contours(_contour(_points(_CORNERS[:2], "3"))),
    "a contour of half a point": _contours(_contour(_points(_CORNERS, "3") + "\\1")),
    "a contour of no numbers": _contours(_contour(_points(_CORNERS, "nan"))),
    "a contour of nonsense": _contours(_contour("here\\there\\3")),
    "a contour at infinity": _contours(_contour(_points(_CORNERS, "1e300"))),
    "a contour of huge corners": _contours(_contour(_points(((-1e15, -1e15), (1e15, -1e15), (0, 1e15)), "3"))),
    "a contour between slices": _contours(_contour(_points(_CORNERS, "4.4"))),
    "a contour across slices": _contours(_contour("-5\\-15\\0\\5\\-15\\3\\5\\-5\\6")),
    "a contour beyond the series": _contours(_contour(_points(_CORNERS, "3000"))),
    "a contour outside the images": _contours(_contour(_points(((900, 900), (910, 900), (910, 910)), "3"))),
    "a contour that crosses itself": _contours(_contour(_points(((1, 1), (9, 9), (9, 1), (1, 9)), "3"))),
    "points, it says": _contours(_contour(_points(_CORNERS, "3"), "POINT")),
    "a line that is open, it says": _contours(_contour(_points(_CORNERS, "3"), "OPEN_PLANAR")),
    "a kind of contour that is none": _contours(_contour(_points(_CORNERS, "3"), "CURLY")),
    "another number of points than it says": _contours(_contour(_points(_CORNERS, "3"), count="4000")),
    "a hundred thousand points": _contours(_contour(_circle(100_000))),
    "two thousand contours": _contours(*(_contour(_points(_CORNERS, "3")) for _ in range(2_000))),
    "contours that never end": {0x30060039: ("SQ", item(b"", ENDLESS) * 50)},
    "ends that close nothing": {0x30060039: ("SQ", END * 4)},
    "a segmentation, it says": {0x00080060: ("CS", "SEG")},
    "another study": {0x0020000D: ("UI", "2.25.78")},
    "no modality": {0x00080060: None},
}  # fmt: skip

RTSTRUCT = Kind(
    "",
    _beside(partial(_structure_set, {})),
    {why: _beside(partial(_structure_set, changes)) for why, changes in _DRAWN.items()},
)
