"""The first sheet of an Excel file (.xlsx) as text."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from medseg.files.regular import open_regular
from medseg.images.refusal import RefusedError

_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")

_ZIP = b"PK\x03\x04"
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # what older Excel wrote, and what holds a file under a password

#: An Excel file that unpacks to more is refused before openpyxl reads any of it, as is one of more elements of XML
#: (begins and ends counted; a cell has four to six) or more different texts, for each of which it takes its time.
MAX_BYTES = 200_000_000
MAX_ELEMENTS = 5_000_000
MAX_STRINGS = 500_000
MAX_STYLES = 100_000
"""Formats of cells, names and such, which openpyxl makes one by one; Excel keeps to 65,490 formats of cells."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_STYLE = re.compile(
    rb"<(?:[\w.-]+:)?(?:xf|font|fill|border|dxf|numFmt|cellStyle|definedName|Override|Default|Relationship|sheet)[\s/>]"
)
_FORMULA = re.compile(rb"<(?:[\w.-]+:)?f[\s/>]")
_STRING = re.compile(rb"<(?:[\w.-]+:)?si[\s/>]")

#: Rows of a sheet beyond Excel's own last one are refused.
MAX_ROWS = 1_048_576

#: A table of more cells is refused; each row counts as some more, for what it takes itself.
MAX_CELLS = 10_000_000
_ROW = 4

_PIECE = 1 << 20

_EXTRA = (
    'Install it: pip install "openpyxl>=3.1" (it is the extra `excel` of medseg). '
    "Or save the table as CSV in UTF-8."
)
_REMEDY = "Open it in Excel or LibreOffice and save it as .xlsx without a password, or as CSV in UTF-8."


class Cells:
    """Counts the cells of a table as it is read."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, width: int) -> None:
        """Count a row.

        Raises:
            RefusedError: There are more than `MAX_CELLS`.
        """
        self._count += width + _ROW
        if self._count > MAX_CELLS:
            problem = f"the table has more rows and columns than fit into memory: above {MAX_CELLS} cells"
            raise RefusedError(problem, "Save it with the needed rows and columns alone.")


def is_spreadsheet(path: Path) -> bool:
    """Whether a file's name says that a program for spreadsheets wrote it."""
    return path.name.lower().endswith(_SUFFIXES)


def read_sheet(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Rows of the first sheet as text, each with its number in the sheet, from 1; empty rows are left out.

    The first one names the columns, and no other is longer. Whole numbers have no decimal point, dates are
    ISO 8601, and a formula counts by the value that it had when the file was saved.

    Needs the extra `medseg[excel]`.

    Raises:
        OSError: The file cannot be read.
        RefusedError: openpyxl is not installed. Or the file is under a password, of another format, damaged, has a
            formula without its value, more than `MAX_ROWS` rows, or unpacks to more than `MAX_BYTES`,
            `MAX_ELEMENTS`, `MAX_STRINGS` or `MAX_STYLES`; or it is packed in a way that Excel does not use.
    """
    with open_regular(path) as file:
        _refuse_other(file, path.name)
        openpyxl = _openpyxl()
        try:
            with warnings.catch_warnings():  # of styles and forms, which are of no matter here
                warnings.simplefilter("ignore")
                formulas = _refuse_bomb(file)
                with _opened(openpyxl, file, data_only=True) as book:
                    rows = list(_filled(book))
                    if formulas and rows:
                        with _opened(openpyxl, file, data_only=False) as written:
                            _refuse_uncomputed(book, written, rows[0][0], len(rows[0][1]))
        except (OSError, RefusedError):
            raise
        except Exception as error:  # openpyxl raises what its many parsers raise
            raise RefusedError(f"the Excel file is damaged ({type(error).__name__})", _REMEDY) from error
    yield from rows


def _openpyxl() -> Any:
    try:
        return import_module("openpyxl")
    except ImportError as error:
        raise RefusedError(
            f"the table is an Excel file, and openpyxl, which reads these, cannot be imported: {error}",
            _EXTRA,
        ) from error


def _opened(openpyxl: Any, file: BinaryIO, *, data_only: bool) -> closing[Any]:
    return closing(openpyxl.load_workbook(file, read_only=True, data_only=data_only, keep_links=False))


def _refuse_uncomputed(book: Any, written: Any, first: int, width: int) -> None:
    """Refuse formulas whose value is not in the file: that a formula gives no text is stored as an empty text."""
    sheets = [each.worksheets[0] for each in (book, written)]
    sheets[1].reset_dimensions()
    rows = (sheet.iter_rows(min_row=first, max_col=width) for sheet in sheets)
    for number, cells in enumerate(zip(*rows, strict=True), start=first):
        for value, formula in zip(*cells, strict=True):
            if formula.data_type == "f" and value.value is None and value.data_type != "str":
                raise RefusedError(
                    f"the cell in row {number}, column {formula.column_letter} of the Excel file holds a formula, "
                    "and the file does not hold its value, as where a program wrote it that computes none",
                    "Open it in Excel or LibreOffice and save it, which computes the values; or save it as CSV in "
                    "UTF-8 from there.",
                )


def _filled(book: Any) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Rows that are not empty, as far as the first of them goes: one cell far away makes a row very long."""
    if not book.worksheets:
        raise RefusedError("the Excel file has no sheet of cells", _REMEDY)
    sheet = book.worksheets[0]
    sheet.reset_dimensions()  # what some programs write of them is wrong
    first, width, cells = 1, None, Cells()
    for number, texts in _texts(sheet.iter_rows(values_only=True), 1):
        first, width = number, max(place for place, text in enumerate(texts, start=1) if text.strip())
        break
    if width is not None:
        for number, texts in _texts(sheet.iter_rows(min_row=first, max_col=width, values_only=True), first):
            cells.add(width)
            yield number, texts


def _texts(rows: Iterable[tuple[Any, ...]], first: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    for number, row in enumerate(rows, start=first):
        if number > MAX_ROWS:  # openpyxl makes up all rows before one that says to be the two billionth
            raise RefusedError(f"the Excel file says that it has more than {MAX_ROWS} rows", _REMEDY)
        if row.count(None) == len(row):
            continue
        texts = tuple(_text(cell) for cell in row)
        if any(text.strip() for text in texts):
            yield number, texts


def _refuse_other(file: BinaryIO, name: str) -> None:
    start = file.read(8)
    if start == _OLE:
        raise RefusedError("the Excel file is under a password, or of the format before 2007", _REMEDY)
    if not start.startswith(_ZIP) or not name.lower().endswith((".xlsx", ".xlsm")):
        raise RefusedError("the file is no .xlsx, whatever its name", _REMEDY)


def _refuse_bomb(file: BinaryIO) -> bool:
    """Refuse what grows too large as it is unpacked; else whether there are formulas in the file."""
    formulas = False
    remedy = (
        "If it is a real table, save it as .xlsx with the needed rows and columns alone, or as CSV in UTF-8."
    )
    # zipfile unpacks no more of a part than its size says, whatever it holds.
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        unpacked = sum(part.file_size for part in parts)
        if unpacked > MAX_BYTES:
            raise RefusedError(
                f"the Excel file unpacks to {unpacked} bytes, above the limit of {MAX_BYTES}, as decompression bombs "
                "do",
                remedy,
            )
        if any(part.compress_type not in _METHODS for part in parts):  # zipfile unpacks others whole
            raise RefusedError(
                "the Excel file is packed in another way than Excel packs, expected deflated or stored",
                _REMEDY,
            )
        elements = strings = styles = 0
        for part in parts:
            with archive.open(part) as stream:
                end = b""
                while piece := stream.read(_PIECE).replace(b"\0", b""):  # UTF-16 has zeros in between
                    elements += piece.count(b"<")
                    strings += len(_STRING.findall(piece))
                    styles += len(_STYLE.findall(piece))
                    if elements > MAX_ELEMENTS or strings > MAX_STRINGS or styles > MAX_STYLES:
                        bounds = (
                            f"{MAX_ELEMENTS} elements, {MAX_STRINGS} texts or {MAX_STYLES} formats and names"
                        )
                        raise RefusedError(
                            f"the Excel file holds more than {bounds}, as decompression bombs do", remedy
                        )
                    if b"<!DOCTYPE" in end + piece:  # what entities stand for can be very long
                        raise RefusedError("the Excel file defines entities, which none needs", _REMEDY)
                    formulas = formulas or _FORMULA.search(end + piece) is not None
                    end = piece[-20:]
    file.seek(0)
    return formulas


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == datetime.min.time() else cell.isoformat(" ")
    return str(cell)
