"""Tables that are no CSV in UTF-8 are told so in words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medseg.datasets.finding.text_table import beside, open_table, read_rows
from medseg.errors import Fault
from medseg.images.refusal import RefusedError

TEXT = "img,label\n1.png,é\n"


@pytest.mark.parametrize("letter", ["é", "e"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_refused_in_words(tmp_path: Path, encoding: str, letter: str) -> None:
    if (encoding, letter) == ("latin-1", "e"):
        return  # the same bytes as in UTF-8
    path = tmp_path / "list.csv"
    path.write_bytes(TEXT.replace("é", letter).encode(encoding))
    fault = open_table(path, "the list of paths")
    assert isinstance(fault, Fault)
    assert fault.found == "the list of paths cannot be read: the file is not UTF-8 text"
    assert fault.remedy == "Save it as CSV in UTF-8."
    with pytest.raises(RefusedError, match="not UTF-8 text"):
        read_rows(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_with_and_without_its_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(TEXT.encode(encoding))
    assert read_rows(path).lines == ((2, {"img": "1.png", "label": "é"}),)


def test_a_letter_of_another_encoding_far_below_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"img,label\n" + b"1.png,a\n" * 50_000 + b"2.png,\xe9\n")
    fault = open_table(path, "the table")
    assert isinstance(fault, Fault)
    assert "not UTF-8 text" in fault.found


def test_what_is_no_csv_is_told_why(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"img,label\n1.png,{'a' * 200_000}\n", "utf-8")
    fault = open_table(path, "the table")
    assert isinstance(fault, Fault)
    assert "the file is no CSV (field larger" in fault.found


def test_a_table_that_cannot_be_opened_is_told_in_words(tmp_path: Path) -> None:
    fault = open_table(tmp_path / "list.csv", "the table")
    assert isinstance(fault, Fault)
    assert fault.found == "the table cannot be read: No such file or directory"
    assert str(tmp_path) not in fault.text()


ROWS = [f"i{n:02}.png,{'ab'[n % 2]},P{n:02},,fine" for n in range(24)]


def of_comments(path: Path, changed: dict[int, str]) -> Path:
    rows = [changed.get(number, row) for number, row in enumerate(ROWS)]
    path.write_text("\n".join(["image,label,patient,role,comment", *rows]) + "\n", encoding="utf-8")
    return path


OPEN = {
    "never closed": {4: 'i04.png,a,P04,,"5 mm nodule'},
    "two open": {4: 'i04.png,a,P04,,"5 mm nodule', 15: 'i15.png,b,P15,,"7 mm nodule'},
    "closed by an empty one": {4: 'i04.png,a,P04,,"5 mm nodule', 9: 'i09.png,b,P09,,"'},
    "closed in another column": {4: 'i04.png,a,"P04,,5 mm', 5: 'i05.png,b,P05",,5 mm'},
    "text behind a closed one": {4: 'i04.png,a,P04,,"5 mm" nodule'},
}


@pytest.mark.parametrize("changed", OPEN.values(), ids=list(OPEN))
def test_a_quotation_mark_that_swallows_rows_is_refused_with_its_line(
    tmp_path: Path, changed: dict[int, str]
) -> None:
    fault = open_table(of_comments(tmp_path / "list.csv", changed), "the list of paths")
    assert isinstance(fault, Fault)
    assert "the row that begins in line 6" in fault.found
    assert "quotation marks of that row" in fault.remedy
    assert "nodule" not in fault.text()


def test_quotation_marks_that_are_closed_may_hold_separators_marks_and_line_breaks(tmp_path: Path) -> None:
    text = 'small, round\nsoft, "bright", by the hilum, at its rim, 5 mm'
    quoted = '"' + text.replace('"', '""') + '"'
    changed = {4: f"i04.png,a,P04,,{quoted}", 5: f"{quoted},b,P05,,", 6: 'i06.png,a,P06,,5" nodule'}
    lines = read_rows(of_comments(tmp_path / "list.csv", changed)).lines
    assert len(lines) == len(ROWS)
    assert (lines[4][1]["comment"], lines[5][1]["image"], lines[6][1]["comment"]) == (text, text, '5" nodule')


@pytest.mark.parametrize(
    ("row", "count"), [("i04.png,b, severe,P04,,fine", 6), ("i04.png,b", 2), ("i04.png,b,P04,fine", 4)]
)
def test_a_row_of_too_many_or_too_few_values_is_refused_with_its_line(
    tmp_path: Path, row: str, count: int
) -> None:
    fault = open_table(of_comments(tmp_path / "list.csv", {4: row}), "the table")
    assert isinstance(fault, Fault)
    expected = f"the row in line 6 has {count} values, and the table has 5 columns"
    assert fault.found == f"the table cannot be read: {expected}"


def test_empty_values_at_the_end_of_a_row_are_not_too_many(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("img,label,\n1.png,a\n2.png,b,,,\n,,,,,,\n3.png,,\n", "utf-8")
    assert [(line, row["img"], row["label"]) for line, row in read_rows(path).lines] == [
        (2, "1.png", "a"),
        (3, "2.png", "b"),
        (5, "3.png", ""),
    ]


@pytest.mark.parametrize("name", ["list.csv", "list.xlsx"])
def test_a_pipe_in_place_of_a_table_is_told_as_no_regular_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    path = beside(tmp_path, name)
    assert path is not None
    fault = open_table(path, "the table")
    assert isinstance(fault, Fault)
    assert fault.found == "the table cannot be read: it is a named pipe, expected a regular file"
    assert fault.remedy == "Put the file itself there."


def test_a_folder_or_a_circle_of_links_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "list.csv").mkdir()
    (tmp_path / "other.csv").symlink_to(tmp_path / "other.csv")
    assert [beside(tmp_path, name) for name in ("list.csv", "other.csv", "x" * 999)] == [None, None, None]


def test_a_table_with_too_many_columns_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(",".join(f"column{number}" for number in range(20_000)) + "\n")
    fault = open_table(tmp_path / "list.csv", "the table")
    assert isinstance(fault, Fault)
    assert "no table has as many columns" in fault.found
