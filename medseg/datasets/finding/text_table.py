"""Tables of text beside the data: CSV with commas, semicolons or tabs, in UTF-8, or an Excel sheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from medseg.datasets.finding.excel import Cells, is_spreadsheet, read_sheet
from medseg.errors import Fault
from medseg.files.regular import IrregularError, open_text
from medseg.images.refusal import RefusedError, found_and_remedy
from medseg.text import composed

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest

_REMEDY = "Save it as CSV in UTF-8."
_QUOTES = (
    "See to the quotation marks of that row: one that begins a value must be closed at its end, and within the value "
    'each is written twice, as in "a ""b"" c".'
)

#: A table of more characters in a row, or in all, is refused.
LONGEST_ROW = 1_000_000
MOST_TEXT = 500_000_000
MOST_LINES = 2_500_000
_LONGEST_FIRST = csv.field_size_limit()  # of another separator it is one value
_NEEDED = "Save it with the needed rows and columns alone, one row a line."

_SEPARATORS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w"\r\n])"?[\r\n]*', re.IGNORECASE)


@dataclass(frozen=True)
class Rows:
    """A table as text.

    Attributes:
        columns: Names of the columns.
        lines: Line in the file or row in the sheet, from 1, and values by column, of each row below the names of
            the columns that is not empty.
    """

    columns: tuple[str, ...]
    lines: tuple[tuple[int, Mapping[str, str]], ...]


def open_table(path: Path, what: str) -> Rows | Fault:
    """Read a table, or say what keeps it from being read.

    Args:
        path: Of the file.
        what: What the table is, such as `the list of paths`.
    """
    try:
        return read_rows(path)
    except RefusedError as error:
        problem, remedy = found_and_remedy(error)
        return Fault("", 0, "", f"{what} cannot be read: {problem}", remedy, path)
    except OSError as error:
        remedy = "Give this user the right to read it, or copy it again."
        if isinstance(error, IrregularError):
            remedy = "Put the file itself there."
        return Fault(
            "", 0, "", f"{what} cannot be read: {error.strerror or 'the file is damaged'}", remedy, path
        )


def read_rows(path: Path) -> Rows:
    """Read a table: an Excel file by its first sheet, any other as CSV.

    What separates the columns of a CSV is what gives the first line most of them. A line `sep=;` above the names
    of the columns, as Excel reads and writes it, says what separates them.

    Raises:
        OSError: It cannot be read.
        RefusedError: It is neither CSV in UTF-8 nor an Excel file that can be read, a quotation mark swallows rows,
            or a row has another number of values than there are columns.
    """
    if is_spreadsheet(path):
        return _of_sheet(path)
    try:
        return _of_csv(path)
    except UnicodeDecodeError as error:
        raise RefusedError("the file is not UTF-8 text", _REMEDY) from error
    except csv.Error as error:
        raise RefusedError(f"the file is no CSV ({error})", _REMEDY) from error


def _of_sheet(path: Path) -> Rows:
    rows = read_sheet(path)
    _, names = next(rows, (0, ()))
    columns = tuple(name.strip() for name in names)
    return Rows(columns, tuple(_below(columns, rows)))


def _of_csv(path: Path) -> Rows:
    with open_text(path) as file:
        first = file.readline(_LONGEST_FIRST + 1)
        if len(first) > _LONGEST_FIRST:
            problem = (
                f"its first line has more than {_LONGEST_FIRST} characters: no table has as many columns"
            )
            raise RefusedError(problem, _NEEDED)
        if "\0" in first:  # UTF-16 that does not begin with its mark
            raise RefusedError("the file is not UTF-8 text", _REMEDY)
        declared = _SEPARATOR_LINE.fullmatch(first)
        if declared is None:
            separator = max(_SEPARATORS, key=lambda each: len(next(csv.reader([first], delimiter=each), [])))
            file.seek(0)
        else:
            separator = declared[1]
        above = 0 if declared is None else 1
        rows = _csv_rows(file, separator, above)
        columns = tuple(name.strip() for name in next(rows, (0, []))[1])
        return Rows(columns, tuple(_below(columns, rows)))


def _csv_rows(file: TextIO, separator: str, above: int) -> Iterator[tuple[int, Sequence[str]]]:
    """Rows with the line in which each ends.

    One of more than `LONGEST_ROW` characters is refused as it is read, and so is one that a quotation mark spoils.
    """
    row = whole = width = count = 0
    separators: list[int] = []  # in each line of the row, but for those before a space, as in sentences
    tight = re.compile(re.escape(separator) + "(?! )")

    def lines() -> Iterator[str]:
        nonlocal row, whole, count
        while line := file.readline(LONGEST_ROW + 1):
            row += len(line)
            whole += len(line)
            count += 1
            if count > MOST_LINES:
                problem = f"the table has more than {MOST_LINES} lines, empty ones counted"
                raise RefusedError(problem, _NEEDED)
            if row > LONGEST_ROW or whole > MOST_TEXT:
                what, most = (
                    ("a row of the table", LONGEST_ROW) if row > LONGEST_ROW else ("the table", MOST_TEXT)
                )
                raise RefusedError(f"{what} has more than {most} characters", _NEEDED)
            separators.append(len(tight.findall(line)))
            yield line

    reader = csv.reader(lines(), delimiter=separator, strict=True)
    while True:
        begin = above + reader.line_num + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            problem = f"the file is no CSV ({error}) in the row that begins in line {begin}"
            raise RefusedError(problem, f"{_REMEDY} {_QUOTES}") from error
        if values is None:
            return
        width = width or len(values)
        _refuse_swallowed(begin, separators, width)
        row = 0
        separators.clear()
        yield above + reader.line_num, values


def _refuse_swallowed(begin: int, separators: Sequence[int], width: int) -> None:
    """Refuse a row of several lines of which more than the first would be whole rows themselves."""
    rows = [number for number, count in enumerate(separators) if count >= max(width - 1, 1)]
    if len(rows) > 1 and rows[0] == 0:
        raise RefusedError(
            f"the row that begins in line {begin} goes on in line {begin + rows[1]}, which looks like a row of its "
            "own, as after a quotation mark that is never closed",
            f"{_QUOTES} If the value does hold line breaks, take them out.",
        )


def _below(
    columns: Sequence[str], rows: Iterable[tuple[int, Sequence[str]]]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Rows that are not empty, by column, as long as there are not too many cells for the memory.

    Raises:
        RefusedError: A row has more values than there are columns, or fewer, so that some may stand in a wrong one.
            Empty values at its end are none too many, and columns at the end without a name need no value.
    """
    cells, named = Cells(), _filled(columns)
    for line, values in rows:
        filled = _filled(values)
        if not filled:
            continue
        if filled > len(columns) or len(values) < named:
            held = max(filled, len(values))
            count = f"{held} value{'' if held == 1 else 's'}"
            raise RefusedError(
                f"the row in line {line} has {count}, and the table has {len(columns)} columns",
                "Give it one value for each column, empty ones too; put a value that holds what separates the "
                'columns into quotation marks, as in "1,5".',
            )
        cells.add(len(columns))
        yield line, dict(zip(columns, (*values, *[""] * (len(columns) - len(values))), strict=False))


def _filled(values: Sequence[str]) -> int:
    """How many values there are up to the last one that is not empty."""
    return max((place for place, value in enumerate(values, start=1) if value.strip()), default=0)


def lacking(what: str, lost: Sequence[str], columns: Sequence[str], manifest: Manifest) -> str:
    """Which columns a table lacks, and what it has instead.

    Without a line of names the first row of values stands in their place: it is shown only where it may be.
    """
    count = f"{len(columns)} column{'' if len(columns) == 1 else 's'}"
    named = list(columns) if manifest.ids == "pseudonyms" else f"{count}, and its first line must name them"
    return f"{what} has no column {list(lost)}; it has {named}"


def beside(root: Path, name: str) -> Path | None:
    """The file of this name in a data set's folder, or in the folder above it; None if there is none."""
    if Path(name).is_absolute() or ".." in Path(name).parts:  # a manifest leads nowhere else
        return None
    return next((path for path in (root / name, root.resolve().parent / name) if _is_there(path)), None)


def _is_there(path: Path) -> bool:
    """Whether there is something that is no folder: what is no regular file is refused as it is opened."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # a name that is too long, or a circle of links
        return False


@dataclass(frozen=True)
class Table:
    """The table beside the data: its expected columns by the text in its key column.

    Attributes:
        manifest: Says which table, and what of it.
        rows: The columns that are needed, by the text in the key column.
        faults: What is wrong with it.
        there: Whether there is such a file.
    """

    manifest: Manifest
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    there: bool = True

    def row(self, raw: str) -> dict[str, str]:
        """Values of a case, by its own id; empty ones if the table does not name it."""
        rule = self.manifest.table
        if rule is None:
            return {}
        found = self.rows.get(composed(rule.matches).replace("{case}", raw), {})
        return {column: found.get(column, "") for column in rule.columns}

    @classmethod
    def read(cls, manifest: Manifest, root: Path) -> Table:
        """Read the table of a manifest, if it names one and it is there."""
        rule = manifest.table
        path = None if rule is None else beside(root, rule.path)
        if rule is None or path is None:
            return cls(manifest, there=False)
        table = open_table(path, "the table")
        if isinstance(table, Fault):
            return cls(manifest, faults=(table,))
        lost = [column for column in (rule.key, *rule.columns) if column not in table.columns]
        if table.lines and lost:
            problem = lacking("the table", lost, table.columns, manifest)
            remedy = "Correct it, or 'table' of the manifest."
            return cls(manifest, faults=(Fault("", 0, "", problem, remedy, path),))
        by_key: dict[str, dict[str, str]] = {}
        for _, row in table.lines:
            values = {column: row[column] for column in rule.columns}
            if by_key.setdefault(composed(row[rule.key]), values) != values:
                problem = "the table names a file in two rows that disagree"
                return cls(manifest, faults=(Fault("", 0, "", problem, "Keep one of the rows.", path),))
        return cls(manifest, by_key)
