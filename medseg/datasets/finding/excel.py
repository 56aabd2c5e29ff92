"""The first sheet of an Excel file (.xlsx) as text."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from medseg.images.refusal import RefusedError

_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")

_ZIP = b"PK\x03\x04"
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # what older Excel wrote, and what holds a file under a password

#: An Excel file that unpacks to more is refused before openpyxl reads any of it.
MAX_BYTES = 200_000_000

_REMEDY = "Open it in Excel or LibreOffice and save it as .xlsx without a password, or as CSV in UTF-8."


def is_spreadsheet(path: Path) -> bool:
    """Whether a file's name says that a program for spreadsheets wrote it."""
    return path.name.lower().endswith(_SUFFIXES)


def read_sheet(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Rows of the first sheet as text, each with its number in the sheet, from 1; empty rows included.

    Whole numbers have no decimal point, dates are ISO 8601, and a formula counts by the value that it had when
    the file was saved.

    Raises:
        OSError: The file cannot be read.
        RefusedError: It is under a password, of another format, damaged, or unpacks to more than `MAX_BYTES`.
    """
    _refuse_other(path)
    import openpyxl  # noqa: PLC0415 - only where there is such a file

    try:
        with warnings.catch_warnings():  # of styles and forms, which are of no matter here
            warnings.simplefilter("ignore")
            _refuse_bomb(path)
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                rows = [tuple(_text(cell) for cell in row) for row in _cells(book)]
            finally:
                book.close()
    except (OSError, RefusedError):
        raise
    except Exception as error:  # openpyxl raises what its many parsers raise
        raise RefusedError(f"the Excel file is damaged ({type(error).__name__})", _REMEDY) from error
    yield from enumerate(rows, start=1)


def _cells(book: Any) -> Iterator[tuple[Any, ...]]:
    if not book.worksheets:
        raise RefusedError("the Excel file has no sheet of cells", _REMEDY)
    sheet = book.worksheets[0]
    sheet.reset_dimensions()  # what some programs write of them is wrong
    yield from sheet.iter_rows(values_only=True)


def _refuse_other(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    if start == _OLE:
        raise RefusedError("the Excel file is under a password, or of the format before 2007", _REMEDY)
    if not start.startswith(_ZIP) or not path.name.lower().endswith((".xlsx", ".xlsm")):
        raise RefusedError("the file is no .xlsx, whatever its name", _REMEDY)


def _refuse_bomb(path: Path) -> None:
    # No more than this is unpacked of any of its parts, whatever they hold.
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > MAX_BYTES:
        raise RefusedError(
            f"the Excel file unpacks to {unpacked} bytes, above the limit of {MAX_BYTES}, as decompression bombs do",
            "If it is a real table, save it as .xlsx with the needed rows and columns alone, or as CSV in UTF-8.",
        )


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
