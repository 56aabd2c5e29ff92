"""Broken tables of pictures, as CSV and as Excel workbooks, and broken split files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np

from medseg.testing.broken.archives import zip_bomb, zipped
from medseg.testing.broken.form import Files, Kind, Make

ROWS = ("image,label,patient,role", *(f"sound{n}.png,{'ab'[n % 2]},p{n},{'Train'}" for n in range(8)))
"""A sound table, of pictures `sound0.png` to `sound7.png` beside it."""

_TEXT = "\n".join(ROWS) + "\n"


def _csv(change: Callable[[str], str | bytes]) -> Make:
    def make(draw: np.random.Generator) -> Files:
        del draw
        found = change(_TEXT)
        return {".csv": found if isinstance(found, bytes) else found.encode("utf-8")}

    return make


def _replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


_CSV_LIES: Mapping[str, Make] = {
    "a row too short": _csv(_replaced("sound3.png,b,p3,Train", "sound3.png")),
    "a row too long": _csv(_replaced("p3", "p3,x,x,x,x")),
    "a quotation that never ends": _csv(_replaced("sound3.png", '"sound3.png')),
    "a cell of a megabyte": _csv(_replaced("p3", "x" * 1_000_000)),
    "a header twice": _csv(_replaced("patient", "label")),
    "no header": _csv(lambda text: text.split("\n", 1)[1]),
    "a header alone": _csv(lambda text: text.split("\n", 1)[0]),
    "empty rows": _csv(lambda text: text.replace("\n", "\n\n\n")),
    "a million empty rows": _csv(lambda text: text + "\n" * 1_000_000),
    "a hundred thousand columns": _csv(lambda text: text + ",".join("x" * 100_000)),
    "zero bytes": _csv(_replaced("p3", "\0\0")),
    "UTF-16": _csv(lambda text: text.encode("utf-16")),
    "Latin-1": _csv(lambda text: text.replace("p3", "M\xfcller").encode("latin-1")),
    "a mark at its beginning": _csv(lambda text: text.encode("utf-8-sig")),
    "a mark twice": _csv(lambda text: b"\xef\xbb\xbf" * 2 + text.encode()),
    "semicolons": _csv(lambda text: text.replace(",", ";")),
    "old ends of lines": _csv(lambda text: text.replace("\n", "\r")),
    "a picture that is missing": _csv(_replaced("sound3.png", "gone.png")),
    "a picture elsewhere": _csv(_replaced("sound3.png", "../../../../etc/hostname")),
    "a picture in a device": _csv(_replaced("sound3.png", "/dev/zero")),
    "a picture that is the table": _csv(_replaced("sound3.png", "images.csv")),
    "a picture that is a folder": _csv(_replaced("sound3.png", ".")),
    "a picture twice": _csv(_replaced("sound3.png", "sound2.png")),
    "a picture with a name of 5,000 letters": _csv(_replaced("sound3.png", "x" * 5000)),
    "a picture with a zero in its name": _csv(_replaced("sound3.png", "a\0b.png")),
    "no picture": _csv(_replaced("sound3.png", "")),
    "no class": _csv(_replaced("sound3.png,b", "sound3.png,")),
    "a class of one picture": _csv(_replaced("sound3.png,b", "sound3.png,c")),
    "a class that is a formula": _csv(_replaced("sound3.png,b", "sound3.png,=cmd|' /C calc'!A0")),
    "a class of commands for a terminal": _csv(_replaced("sound3.png,b", "sound3.png,\x1b[31m\x07")),
    "a role that is none": _csv(_replaced("p3,Train", "p3,nobody")),
    "one role for all": _csv(lambda text: text.replace("Train", "Test")),
    "a role for one": _csv(lambda text: text.replace("Train", "").replace("p3,", "p3,Test")),
    "one patient": _csv(lambda text: "\n".join(row.replace(",p", ",p0 #") for row in text.split("\n"))),
    "letters that turn the text around": _csv(_replaced("p3", "\u202e3p")),
    "half a letter": _csv(lambda text: text.encode() + b"\xed\xa0\x80,b,p9,Train\n"),
}

_SHEET = "xl/worksheets/sheet1.xml"
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>'
)
_RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def _relations(kind: str, target: str) -> str:
    return (
        '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATED}/{kind}" Target="{target}"/></Relationships>'
    )


def _cells(rows: tuple[str, ...]) -> str:
    return "".join(
        f'<row r="{number}">'
        + "".join(
            f'<c r="{chr(65 + column)}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
            for column, text in enumerate(row.split(","))
        )
        + "</row>"
        for number, row in enumerate(rows, start=1)
    )


def _sheet(cells: str, before: str = "", dimension: str = "") -> str:
    said = f'<dimension ref="{dimension}"/>' if dimension else ""
    return f'<?xml version="1.0"?>{before}<worksheet xmlns="{_MAIN}">{said}<sheetData>{cells}</sheetData></worksheet>'


def _members(sheet: str | None = None) -> dict[str, bytes]:
    book = (
        f'<?xml version="1.0"?><workbook xmlns="{_MAIN}" xmlns:r="{_RELATED}"><sheets>'
        '<sheet name="one" sheetId="1" r:id="rId1"/></sheets></workbook>'
    )
    found = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _relations("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": book,
        "xl/_rels/workbook.xml.rels": _relations("worksheet", "worksheets/sheet1.xml"),
        _SHEET: sheet or _sheet(_cells(ROWS)),
    }
    return {name: text.encode() for name, text in found.items()}


def _book(change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Make:
    return lambda draw: {".xlsx": zipped(change(_members()))}  # noqa: ARG005 - as every maker


def _sheets(cells: str, before: str = "", dimension: str = "") -> Make:
    return lambda draw: {".xlsx": zipped(_members(_sheet(cells, before, dimension)))}  # noqa: ARG005 - as above


_LAUGHS = (
    "<!DOCTYPE a [<!ENTITY b0 'ha'>"
    + "".join(f"<!ENTITY b{n} '{f'&b{n - 1};' * 10}'>" for n in range(1, 10))
    + "]>"
)
_OUTSIDE = "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/hostname'>]>"


def _with_bomb(draw: np.random.Generator) -> Files:
    del draw
    return {".xlsx": zip_bomb(_SHEET, _sheet("").encode()[:90])}


_XLSX_LIES: Mapping[str, Make] = {
    "a bomb": _with_bomb,
    "entities that grow": _sheets(_cells(ROWS).replace("p3", "&b9;"), _LAUGHS),
    "an entity of another file": _sheets(_cells(ROWS).replace("p3", "&e;"), _OUTSIDE),
    "a cell in the last column": _sheets(_cells(ROWS) + '<row r="20"><c r="XFD20"><v>1</v></c></row>'),
    "a cell in the last row": _sheets(_cells(ROWS) + '<row r="1048576"><c r="A1048576"><v>1</v></c></row>'),
    "a cell beyond the last row": _sheets(
        _cells(ROWS) + '<row r="99999999"><c r="A99999999"><v>1</v></c></row>'
    ),
    "a size that is a lie": _sheets(_cells(ROWS), dimension="A1:XFD1048576"),
    "a size of nonsense": _sheets(_cells(ROWS), dimension="here:there"),
    "rows that are no number": _sheets(_cells(ROWS).replace('r="3"', 'r="x"')),
    "rows that repeat": _sheets(_cells(ROWS).replace('r="3"', 'r="2"')),
    "a text of a number that is none": _sheets(
        _cells(ROWS) + '<row r="12"><c r="A12" t="s"><v>99999</v></c></row>'
    ),
    "a date that is none": _sheets(_cells(ROWS) + '<row r="12"><c r="A12" t="d"><v>x</v></c></row>'),
    "a truth that is none": _sheets(_cells(ROWS) + '<row r="12"><c r="A12" t="b"><v>x</v></c></row>'),
    "a number of nonsense": _sheets(_cells(ROWS) + '<row r="12"><c r="A12" t="n"><v>x</v></c></row>'),
    "an error in a cell": _sheets(_cells(ROWS) + '<row r="12"><c r="A12" t="e"><v>#REF!</v></c></row>'),
    "elements within elements": _sheets("<a>" * 20_000 + "</a>" * 20_000),
    "no rows": _sheets(""),
    "no workbook": _book(lambda members: {n: d for n, d in members.items() if n != "xl/workbook.xml"}),
    "no sheet": _book(lambda members: {n: d for n, d in members.items() if n != _SHEET}),
    "no types": _book(lambda members: {n: d for n, d in members.items() if n != "[Content_Types].xml"}),
    "no relations": _book(lambda members: {n: d for n, d in members.items() if "workbook.xml.rels" not in n}),
    "a sheet that is no XML": _book(lambda members: {**members, _SHEET: b"nothing"}),
    "a sheet above": _book(lambda members: {**members, "../../above.xml": b"x"}),
    "ten thousand members": _book(lambda members: {**members, **{f"m{n}": b"" for n in range(10_000)}}),
    "an archive of nothing": lambda draw: {".xlsx": zipped({})},  # noqa: ARG005 - as above
    "an old workbook": lambda draw: {".xlsx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + draw.bytes(600)},
    "a table of text": lambda draw: {".xlsx": _TEXT.encode()},  # noqa: ARG005 - as above
}

_ROLES = {"train": [f"sound{n}" for n in range(4)], "val": ["sound4", "sound5"], "test": ["sound6", "sound7"]}


def _json(content: object) -> Make:
    return lambda draw: {".json": json.dumps(content).encode()}  # noqa: ARG005 - as above


def _text(raw: bytes) -> Make:
    return lambda draw: {".json": raw}  # noqa: ARG005 - as above


_SPLIT_LIES: Mapping[str, Make] = {
    "names that nobody has": _json({**_ROLES, "test": ["nobody"]}),
    "a name in two roles": _json({**_ROLES, "test": ["sound0"]}),
    "a role that is none": _json({**_ROLES, "exam": ["sound4"]}),
    "no roles": _json({}),
    "a list": _json([1, 2, 3]),
    "a number": _json(7),
    "nothing": _json(None),
    "names that are numbers": _json({"train": [1, 2], "val": [3], "test": [4.5]}),
    "names in names": _json({"train": [["sound0"]], "val": [[]], "test": [{}]}),
    "a role that is no list": _json({"train": "sound0", "val": 3, "test": None}),
    "a split by slice of nonsense": _json({"by": "slice", "ratios": "x", "cases": 3, "seed": "y"}),
    "a split by slice of huge numbers": _json(
        {"by": "slice", "ratios": [1e308, 1e308, 0], "cases": ["sound0"], "seed": 10**400}
    ),
    "places of nonsense": _json({"places": {"sound0": {"train": [-1, 10**30, "x"]}}}),
    "places that are none": _json({"places": [1, 2]}),
    "a seed that is negative": _json(
        {"by": "slice", "ratios": [0.5, 0.25, 0.25], "cases": ["sound0"], "seed": -1}
    ),
    "brackets": _text(b"[" * 100_000),
    "braces": _text(b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "a number of 10,000 digits": _text(b"[" + b"9" * 10_000 + b"]"),
    "no numbers": _text(b'{"train": NaN, "val": Infinity, "test": -Infinity}'),
    "a key twice": _text(b'{"train": ["sound0"], "train": ["sound1"], "val": [], "test": []}'),
    "half a letter": _text(b'{"train": ["\\ud800"], "val": [], "test": []}'),
    "UTF-16": _text(json.dumps(_ROLES).encode("utf-16")),
    "a name of a megabyte": _json({**_ROLES, "train": ["x" * 1_000_000]}),
    "a name that leads elsewhere": _json({**_ROLES, "train": ["../../etc/hostname"]}),
    "commands for a terminal": _json({**_ROLES, "train": ["\x1b[31m\x07"]}),
}

CSV = Kind(".csv", lambda _: {".csv": _TEXT.encode()}, _CSV_LIES)
XLSX = Kind(".xlsx", lambda _: {".xlsx": zipped(_members())}, _XLSX_LIES)
SPLIT = Kind(".json", lambda _: {".json": json.dumps(_ROLES).encode()}, _SPLIT_LIES)
