"""Tables that are no CSV in UTF-8 are told so in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from medseg.datasets.finding.text_table import open_table, read_rows
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
