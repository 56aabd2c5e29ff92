"""Broken DICOM series: slices that contradict one another, and multi-frame images that contradict themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from medseg.testing.broken.dicoms import RLE, described, fragments, plain, uid, written
from medseg.testing.broken.elements import Element, coded, element, item
from medseg.testing.broken.form import Files, Kind, Make
from medseg.testing.broken.volumes import voxels

SLICES = 5
SHAPE = (12, 14)
_MR = "1.2.840.10008.5.1.4.1.1.4"
_ENHANCED = "1.2.840.10008.5.1.4.1.1.4.1"

Change = Callable[[int], Mapping[int, Element | None]]
"""Elements of the slice with a number that are others, or missing (None)."""


def slices(draw: np.random.Generator, change: Change, count: int = SLICES) -> Files:
    """The files of a series, 3 mm apart from (-10, -20, 0) on, of pixels of 1.5 mm."""
    volume = voxels(draw, (count, *SHAPE)).astype(np.uint16)
    shared = described(draw, SHAPE, 16)
    frame = uid(draw)
    files = {}
    for number in range(count):
        own: dict[int, Element | None] = {
            **shared,
            0x00080016: ("UI", _MR),
            0x00080018: ("UI", uid(draw)),
            0x00080060: ("CS", "MR"),
            0x0008103E: ("LO", "scan"),
            0x00200013: ("IS", str(number + 1)),
            0x00200032: ("DS", f"-10\\-20\\{3 * number}"),
            0x00200037: ("DS", "1\\0\\0\\0\\1\\0"),
            0x00200052: ("UI", frame),
            0x00280030: ("DS", "1.5\\1.5"),
            **change(number),
        }
        kept = {tag: each for tag, each in own.items() if each is not None}
        files[f"/slice{number}.dcm"] = written(kept, plain(volume[number]))
    return files


def _all(changes: Mapping[int, Element | None]) -> Make:
    return lambda draw: slices(draw, lambda _: changes)


def _one(changes: Mapping[int, Element | None]) -> Make:
    return lambda draw: slices(draw, lambda number: changes if number == 2 else {})


def _by(change: Change) -> Make:
    return lambda draw: slices(draw, change)


_WRONG: Mapping[str, Mapping[int, Element | None]] = {
    "no position": {0x00200032: None},
    "a position that is no number": {0x00200032: ("DS", "nan\\nan\\nan")},
    "a position of two numbers": {0x00200032: ("DS", "1\\2")},
    "a position beyond any image": {0x00200032: ("DS", "1e30\\0\\0")},
    "a position of nonsense": {0x00200032: ("DS", "here\\there\\x")},
    "a position over-long": {0x00200032: ("DS", "\\".join(["1"] * 5000))},
    "no orientation": {0x00200037: None},
    "an orientation that loses an axis": {0x00200037: ("DS", "1\\0\\0\\1\\0\\0")},
    "an orientation of zeros": {0x00200037: ("DS", "0\\0\\0\\0\\0\\0")},
    "an orientation that is no number": {0x00200037: ("DS", "nan\\0\\0\\0\\nan\\0")},
    "an orientation that leans": {0x00200037: ("DS", "1\\0\\0\\0.7\\0.7\\0")},
    "an orientation of huge numbers": {0x00200037: ("DS", "1e300\\0\\0\\0\\1e300\\0")},
    "another orientation": {0x00200037: ("DS", "0\\1\\0\\0\\0\\1")},
    "no spacing": {0x00280030: None},
    "zero spacing": {0x00280030: ("DS", "0\\0")},
    "negative spacing": {0x00280030: ("DS", "-1\\-1")},
    "spacing that is no number": {0x00280030: ("DS", "nan\\nan")},
    "infinite spacing": {0x00280030: ("DS", "inf\\1")},
    "one spacing": {0x00280030: ("DS", "1.5")},
    "another size": {0x00280010: ("US", 6)},
    "huge size": {0x00280010: ("US", 65535), 0x00280011: ("US", 65535)},
    "no size": {0x00280010: None, 0x00280011: None},
    "other bits": {0x00280100: ("US", 8), 0x00280101: ("US", 8), 0x00280102: ("US", 7)},
    "another sign": {0x00280103: ("US", 1)},
    "colours": {0x00280002: ("US", 3), 0x00280004: ("CS", "RGB")},
    "a slope that is no number": {0x00281053: ("DS", "nan"), 0x00281052: ("DS", "0")},
    "a huge slope": {0x00281053: ("DS", "1e300"), 0x00281052: ("DS", "0")},
    "another series": {0x0020000E: ("UI", "2.25.77")},
    "another study": {0x0020000D: ("UI", "2.25.78")},
    "another patient": {0x00100020: ("LO", "somebody")},
    "another frame of reference": {0x00200052: ("UI", "2.25.79")},
    "another description": {0x0008103E: ("LO", "other")},
    "another modality": {0x00080060: ("CS", "SR")},
    "a class of no image": {0x00080016: ("UI", "1.2.840.10008.5.1.4.1.1.88.11")},
    "no UIDs": {0x00080018: None, 0x0020000D: None, 0x0020000E: None},
    "one UID for all": {0x00080018: ("UI", "2.25.80")},
    "a UID over-long": {0x0020000E: ("UI", "1." * 3000)},
    "a UID that leads elsewhere": {0x0020000D: ("UI", "../../../x")},
    "several frames": {0x00280008: ("IS", "3")},
    "an acquisition of nonsense": {0x00200012: ("IS", "x" * 500)},
    "times that differ": {0x00200100: ("IS", "2")},
    "a private element that is long": {0x00091010: ("UN", bytes(400_000))},
}


def _lost(draw: np.random.Generator) -> Files:
    files = dict(slices(draw, lambda _: {}))
    del files["/slice2.dcm"]
    return files


def _twice(draw: np.random.Generator) -> Files:
    files = dict(slices(draw, lambda _: {}))
    return {**files, "/again.dcm": files["/slice1.dcm"]}


def _beside(name: str, data: bytes) -> Make:
    return lambda draw: {**slices(draw, lambda _: {}), f"/{name}": data}


_TOGETHER: Mapping[str, Make] = {
    "a slice is missing": _lost,
    "a slice twice": _twice,
    "one slice": lambda draw: slices(draw, lambda _: {}, 1),
    "all slices at one place": _all({0x00200032: ("DS", "0\\0\\0")}),
    "distances that grow": _by(lambda n: {0x00200032: ("DS", f"0\\0\\{n * n}")}),
    "a gantry that leans": _by(lambda n: {0x00200032: ("DS", f"0\\{n}\\{3 * n}")}),
    "slices a millionth apart": _by(lambda n: {0x00200032: ("DS", f"0\\0\\{n * 1e-6}")}),
    "slices far apart": _by(lambda n: {0x00200032: ("DS", f"0\\0\\{n * 1e9}")}),
    "slices that turn": _by(lambda n: {0x00200037: ("DS", f"1\\0\\0\\0\\{1 - n * 0.1}\\{n * 0.1}")}),
    "spacing that differs": _by(lambda n: {0x00280030: ("DS", f"{1 + n}\\1")}),
    "a slope for each": _by(lambda n: {0x00281053: ("DS", str(10.0**n)), 0x00281052: ("DS", "0")}),
    "a file of noise beside": _beside("noise.dcm", bytes(range(256)) * 4),
    "an empty file beside": _beside("empty.dcm", b""),
    "a DICOMDIR of noise beside": _beside("DICOMDIR", bytes(128) + b"DICM" + b"x" * 500),
    "a text beside": _beside("readme.txt", b"nothing"),
}


def _frames(
    draw: np.random.Generator, change: Mapping[int, Element | None], groups: bytes | None = None
) -> Files:
    volume = voxels(draw, (SLICES, *SHAPE)).astype(np.uint16)
    place = [element(0x00200032, "DS", coded(f"-10\\-20\\{3 * n}")) for n in range(SLICES)]
    each = b"".join(item(element(0x00209113, "SQ", item(one))) for one in place)
    plane = element(0x00209116, "SQ", item(element(0x00200037, "DS", coded("1\\0\\0\\0\\1\\0"))))
    sizes = element(0x00289110, "SQ", item(element(0x00280030, "DS", coded("1.5\\1.5"))))
    own: dict[int, Element | None] = {
        **described(draw, SHAPE, 16),
        0x00080016: ("UI", _ENHANCED),
        0x00080060: ("CS", "MR"),
        0x0008103E: ("LO", "scan"),
        0x00200052: ("UI", uid(draw)),
        0x00280008: ("IS", str(SLICES)),
        0x52009229: ("SQ", item(plane + sizes)),
        0x52009230: ("SQ", each if groups is None else groups),
        **change,
    }
    return {"/frames.dcm": written({tag: one for tag, one in own.items() if one is not None}, plain(volume))}


def _framed(change: Mapping[int, Element | None], groups: bytes | None = None) -> Make:
    return lambda draw: _frames(draw, change, groups)


def _in_pieces(draw: np.random.Generator) -> Files:
    files = _frames(draw, {})
    raw = files["/frames.dcm"].replace(b"1.2.840.10008.1.2.1\0", RLE.encode() + b"\0")
    place = raw.index(b"\xe0\x7f\x10\x00")
    return {"/frames.dcm": raw[:place] + fragments(*[b"x" * 70] * 3)}


_OF_FRAMES: Mapping[str, Make] = {
    "frames": _framed({}),
    "more frames than there are": _framed({0x00280008: ("IS", "50")}),
    "fewer frames than there are": _framed({0x00280008: ("IS", "2")}),
    "two billion frames": _framed({0x00280008: ("IS", "2147483647")}),
    "minus one frames": _framed({0x00280008: ("IS", "-1")}),
    "no number of frames": _framed({0x00280008: None}),
    "frames without groups": _framed({0x52009230: None}),
    "frames without shared groups": _framed({0x52009229: None}),
    "frames with empty groups": _framed({}, item(b"") * SLICES),
    "frames with groups of noise": _framed({}, b"no sequence at all!!"),
    "frames with ten thousand groups": _framed({}, item(b"") * 10_000),
    "frames all at one place": _framed(
        {}, item(element(0x00209113, "SQ", item(element(0x00200032, "DS", coded("0\\0\\0"))))) * SLICES
    ),
    "frames at places that are no numbers": _framed(
        {}, item(element(0x00209113, "SQ", item(element(0x00200032, "DS", coded("nan\\0\\0"))))) * SLICES
    ),
    "frames in too few pieces": _in_pieces,
}


_LIES: Mapping[str, Make] = {
    **{f"{why}, in all slices": _all(changes) for why, changes in _WRONG.items()},
    **{f"{why}, in one slice": _one(changes) for why, changes in _WRONG.items()},
    **_TOGETHER,
    **_OF_FRAMES,
    **{f"{why}, of frames": _framed(changes) for why, changes in _WRONG.items()},
}

SERIES = Kind("", lambda draw: slices(draw, lambda _: {}), _LIES)
