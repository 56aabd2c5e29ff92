from __future__ import annotations

import csv
import io
import re
import sys
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.datasets.finding import by_table
from medseg.datasets.finding import excel as spreadsheet
from medseg.datasets.finding.excel import read_sheet
from medseg.datasets.finding.scan import Listing, found_classes, scan
from medseg.datasets.finding.text_table import read_rows
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError
from medseg.images.refusal import RefusedError
from medseg.testing.empty import empty_files
from medseg.testing.labelled import write_labelled_table

MANIFESTS = Path(__file__).parents[3] / "data_manifests"
FLAGS = {"image_labels": "many", "label": None, "labels": ["sick", "old"]}
JOINED = {"image_labels": "many", "label": None, "labels": {"column": "label", "separator": "|"}}


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))


def manifest(
    *, classes: Sequence[str] = (), image_labels: str = "one", ids: str = "pseudonyms", **layout: Any
) -> Manifest:
    return Manifest.model_validate(
        {
            **dict.fromkeys(["name", "about", "source", "licence", "citation"], "x"),
            "obtain": "Ask at the desk.",
            "channels": ["grey"],
            "pictures": {"channels": "grey"},
            "image_labels": image_labels,
            "classes": classes,
            "layout": {"csv": "list.csv", "image": "img", "label": "label", **layout},
            "ids": ids,
        }
    )


def written(root: Path, rows: Sequence[Sequence[object]], *, images: bool = True) -> Path:
    """The table as `list.csv`, and an empty file for each image."""
    with (root / "list.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    if images:
        for row in rows[1:]:
            (root / str(row[0])).touch()
    return root


def as_sheet(root: Path, rows: Sequence[Sequence[object]], name: str = "list.xlsx") -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    book.create_sheet("more").append(["another", "sheet"])
    book.save(root / name)
    return root / name


def labels(listing: Listing) -> dict[str, tuple[str, ...] | None]:
    return {case.id: case.labels for case in listing.cases}


def complaints(listing: Listing) -> list[tuple[str, str]]:
    return [(fault.case, fault.found) for fault in listing.faults]


ONE = [["img", "label"], ["1.png", "b"], ["2.png", " A "], ["3.png", "b"]]


def test_a_column_tells_the_class_of_each_image(tmp_path: Path) -> None:
    listing = scan(manifest(), written(tmp_path, ONE))
    assert listing.faults == ()
    assert labels(listing) == {"1": ("b",), "2": ("A",), "3": ("b",)}
    assert (
        found_classes(manifest(), tmp_path) == found_classes(manifest(), tmp_path / "list.csv") == ("A", "b")
    )
    assert found_classes(manifest(classes=["b", "A"]), tmp_path) == ("b", "A")
    assert all(case.mask is None and list(case.files) == ["grey"] for case in listing.cases)


def test_columns_of_0_and_1_tell_any_number_of_classes(tmp_path: Path) -> None:
    rows = [["img", "old", "sick"], ["1.png", 1, 0], ["2.png", "1.0", "1"], ["3.png", "0", 0.0]]
    written(tmp_path, rows)
    listing = scan(manifest(**FLAGS), tmp_path)
    assert listing.faults == ()
    assert labels(listing) == {"1": ("old",), "2": ("old", "sick"), "3": ()}
    assert found_classes(manifest(**FLAGS), tmp_path) == ("old", "sick")
    given_order = manifest(classes=["sick", "old"], **FLAGS)
    assert labels(scan(given_order, tmp_path))["2"] == ("sick", "old")


def test_one_column_with_a_separator_tells_any_number_of_classes(tmp_path: Path) -> None:
    written(tmp_path, [["img", "label"], ["1.png", "b | é|b|"], ["2.png", "A"], ["3.png", " "]])
    listing = scan(manifest(**JOINED), tmp_path)
    assert labels(listing) == {"1": ("b", "é"), "2": ("A",)}
    assert complaints(listing) == [("3", "row 4 of the list has no class in column 'label'")]
    assert "`empty_is_none: true`" in listing.faults[0].remedy
    none = manifest(**{**JOINED, "labels": {"column": "label", "empty_is_none": True}})
    assert scan(none, tmp_path).faults == ()
    assert labels(scan(none, tmp_path))["3"] == ()
    assert found_classes(none, tmp_path) == ("A", "b", "é")


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sets(st.sampled_from(["a", "b c", "é", "10"])), min_size=1, max_size=8),
    st.sampled_from([";", "|", " / "]),
)
def test_a_joined_column_a_row_of_flags_and_a_sheet_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, truths: list[set[str]], separator: str
) -> None:
    root = tmp_path_factory.mktemp("same")
    classes = sorted(set().union(*truths))
    rows = [["img", "label", *classes]]
    for number, truth in enumerate(truths):
        rows.append(
            [f"{number}.png", separator.join(sorted(truth)), *(str(int(name in truth)) for name in classes)]
        )
    sheet = as_sheet(written(root, rows), rows)
    joined = manifest(
        **{**JOINED, "labels": {"column": "label", "separator": separator, "empty_is_none": True}}
    )
    expected = {str(number): tuple(sorted(truth)) for number, truth in enumerate(truths)}
    if classes:
        assert labels(scan(joined, root)) == labels(scan(joined, sheet)) == expected
        flags = manifest(**{**FLAGS, "labels": classes})
        assert labels(scan(flags, root)) == labels(scan(flags, sheet)) == expected
        assert found_classes(joined, root) == found_classes(flags, sheet) == tuple(classes)
    else:
        assert [fault.found for fault in scan(joined, root).faults] == ["no row tells a class"]


@pytest.mark.parametrize("sheet", [False, True])
def test_rows_that_tell_no_class_are_faults_with_the_numbers_of_their_rows(
    tmp_path: Path, sheet: bool
) -> None:
    rows = [["img", "label"], ["1.png", "a"], ["2.png", ""], ["", ""], ["4.png", "b"], ["5.png", "  "]]
    root = written(tmp_path, rows[:3] + rows[4:])
    written(tmp_path, rows, images=False)
    listing = scan(manifest(), as_sheet(root, rows) if sheet else root)
    assert complaints(listing) == [
        ("2", "row 3 of the list has no class in column 'label'"),
        ("5", "row 6 of the list has no class in column 'label'"),
    ]
    assert labels(listing) == {"1": ("a",), "4": ("b",)}


def test_na_is_a_blank_unless_the_manifest_names_such_a_class(tmp_path: Path) -> None:
    root = written(tmp_path, [["img", "label"], ["1.png", "a"], ["2.png", "NA"], ["3.png", "a"]])
    blank = scan(manifest(), root)
    named = scan(manifest(classes=["a", "NA"]), root)

    assert ("2", "row 3 of the list has no class in column 'label'") in complaints(blank)
    assert (complaints(named), labels(named)["2"]) == ([], ("NA",))


@pytest.mark.parametrize(
    ("cell", "met"),
    [
        ("2", "holds neither 0 nor 1 in column 'old'"),
        ("yes", "holds neither 0 nor 1 in column 'old'"),
        ("nan", "holds nothing in column 'old'"),
        ("", "holds nothing in column 'old'"),
    ],
)
def test_a_flag_is_0_or_1(tmp_path: Path, cell: str, met: str) -> None:
    written(tmp_path, [["img", "old", "sick"], ["1.png", "1", "1"], ["2.png", cell, "1"]])
    assert complaints(scan(manifest(**FLAGS), tmp_path)) == [("2", f"row 3 of the list {met}")]


@pytest.mark.parametrize("ids", ["pseudonyms", "identifying"])
def test_a_value_that_is_no_class_is_shown_only_where_names_may_be(tmp_path: Path, ids: str) -> None:
    written(tmp_path, [*ONE, ["4.png", "Meier"]])
    (fault,) = scan(manifest(classes=["A", "b"], ids=ids), tmp_path).faults
    assert fault.found.startswith("row 5 of the list says ")
    assert "in column 'label', which is none of ['A', 'b']" in fault.found
    assert ("Meier" in fault.text()) == (ids == "pseudonyms")


def test_a_class_that_no_row_has_is_a_fault(tmp_path: Path) -> None:
    written(tmp_path, ONE)
    assert complaints(scan(manifest(classes=["A", "b", "c"]), tmp_path)) == [
        ("", "no picture is of the class 'c'")
    ]
    written(tmp_path, [["img", "old", "sick"], ["1.png", 0, 1], ["2.png", 0, 0]])
    assert complaints(scan(manifest(**FLAGS), tmp_path)) == [("", "no picture is of the class 'old'")]


def test_a_table_of_one_class_is_refused(tmp_path: Path) -> None:
    written(tmp_path, [["img", "label"], ["1.png", "a"], ["2.png", "a"]])
    assert "one class only, 'a'" in scan(manifest(), tmp_path).faults[0].found
    with pytest.raises(DataError, match="one class only, 'a'"):
        found_classes(manifest(), tmp_path)
    assert found_classes(manifest(**JOINED), tmp_path) == ("a",)  # it is there or not


def test_a_class_that_the_rows_of_training_do_not_have_is_refused(tmp_path: Path) -> None:
    rows = [
        ["img", "label", "role"],
        ["1.png", "a", "train"],
        ["2.png", "b", "Training"],
        ["3.png", "c", "test"],
    ]
    listed = manifest(extra=["role"])
    listing = scan(listed, written(tmp_path, rows))
    assert complaints(listing) == [
        ("", "the row of 1 picture in 'test' says 'c', a class that training does not know")
    ]
    assert labels(listing) == {"1": ("a",), "2": ("b",)}
    assert "the role test has no picture of 'a', 'b'" in listing.notes
    assert found_classes(listed, tmp_path) == ("a", "b")


@pytest.mark.parametrize("ids", ["identifying", "pseudonyms"])
@pytest.mark.parametrize(("people", "pictures"), [(40, 1), (20, 1), (30, 3)])
@pytest.mark.parametrize("how", [{}, JOINED])
def test_a_column_of_names_taken_for_classes_is_refused_and_not_shown(
    tmp_path: Path, people: int, pictures: int, ids: str, how: dict[str, Any]
) -> None:
    total = people * pictures
    rows = [[f"{n}.png", f"Meier {n // pictures}", "test" if n < 9 else "train"] for n in range(total)]
    written(tmp_path, [["img", "label", "role"], *rows])
    listed = manifest(ids=ids, extra=["role"], **how)
    listing = scan(listed, tmp_path)
    (fault,) = listing.faults
    assert fault.found.startswith(
        f"the rows tell {people} classes of {total} pictures: these look like patient names"
    )
    assert "column of the class below 'layout'" in fault.remedy
    assert "'classes' of the manifest" in fault.remedy
    with pytest.raises(DataError, match="these look like patient names") as refused:
        found_classes(listed, tmp_path)
    assert ("Meier" in str(refused.value)) == ("Meier" in fault.found) == (ids == "pseudonyms")
    assert not any("Meier" in note for note in listing.notes)


def test_columns_that_the_manifest_names_are_classes_however_few_have_them(tmp_path: Path) -> None:
    columns = [f"c{number}" for number in range(30)]
    rows = [[f"{n}.png", *(int(n == m) for m in range(30))] for n in range(30)]
    written(tmp_path, [["img", *columns], *rows])
    assert scan(manifest(**{**FLAGS, "labels": columns}), tmp_path).faults == ()


def test_two_classes_in_the_cell_of_one_are_refused_with_what_is_meant(tmp_path: Path) -> None:
    written(tmp_path, [["img", "label"], ["1.png", "a; b"], ["2.png", "a"], ["3.png", "b;c"]])
    (fault,) = scan(manifest(), tmp_path).faults
    assert (
        "['a; b'] cannot be the name of a class: '; ' stands between the classes of one image" in fault.found
    )
    assert "`image_labels: many`" in fault.remedy
    several = {**JOINED, "labels": {"column": "label", "separator": ";"}}
    assert labels(scan(manifest(**several), tmp_path)) == {"1": ("a", "b"), "2": ("a",), "3": ("b", "c")}


@pytest.mark.parametrize(
    ("header", "met"),
    [
        ("img,class", "no column ['label']; it has ['img', 'class']"),
        ("img,label,label", "more than one column ['label']"),
    ],
)
def test_a_label_column_that_is_missing_or_double_is_refused(tmp_path: Path, header: str, met: str) -> None:
    (tmp_path / "list.csv").write_text(
        f"{header}\n1.png,a{',b' * (header.count(',') - 1)}\n", encoding="utf-8"
    )
    assert met in scan(manifest(), tmp_path).faults[0].found


def test_for_prediction_a_table_needs_no_label_and_no_table_is_needed(tmp_path: Path) -> None:
    listed = manifest(group="patient", extra=["role"])
    written(tmp_path, [["img"], ["1.png"], ["2.png"]])
    listing = scan(listed, tmp_path, truth=False)
    assert listing.faults == ()
    assert labels(listing) == {"1": None, "2": None}
    assert [case.extra for case in listing.cases] == [{"role": ""}] * 2
    assert labels(scan(listed, as_sheet(tmp_path, [["img"], ["2.png"]]), truth=False)) == {"2": None}
    (tmp_path / "list.csv").unlink()
    (tmp_path / "list.xlsx").unlink()
    (tmp_path / "notes.txt").touch()
    flat = scan(listed, tmp_path, truth=False)
    assert labels(flat) == {"1": None, "2": None}
    assert [case.extra for case in flat.cases] == [{"role": ""}] * 2
    assert labels(scan(listed, tmp_path / "2.png", truth=False)) == {"2": None}
    assert scan(listed, tmp_path).faults[0].found.endswith("is not in the folder")


def test_where_no_column_tells_the_patient_that_is_noted(tmp_path: Path) -> None:
    (note,) = scan(manifest(), written(tmp_path, ONE)).notes
    assert "cannot be excluded" in note
    rows = [["img", "label", "who"], ["1.png", "a", "p1"], ["2.png", "b", "p1"], ["3.png", "a", ""]]
    listing = scan(manifest(group="who"), written(tmp_path, rows))
    assert [case.group for case in listing.cases] == ["p1", "p1", "3"]
    (note,) = listing.notes
    assert note.startswith("1 of 3 pictures do not tell of which patient it is")
    assert "cannot be excluded" in note


def test_a_sheet_is_read_as_text_with_the_numbers_of_its_rows(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        [None, None],
        ["img", " label ", "when"],
        [12, True, date(2020, 1, 31)],
        [1.0, 2.5, datetime.fromisoformat("2020-01-31 12:30")],
        [],
        ["x.png", None],
    ]
    table = read_rows(as_sheet(tmp_path, rows))
    assert table.columns == ("img", "label", "when")
    assert [(line, tuple(row.values())) for line, row in table.lines] == [
        (3, ("12", "TRUE", "2020-01-31")),
        (4, ("1", "2.5", "2020-01-31 12:30:00")),
        (6, ("x.png", "", "")),
    ]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 5).map(lambda number: [f"{number}", "x"] if number else []), max_size=12))
def test_rows_of_a_sheet_are_counted_as_excel_counts_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    path = as_sheet(tmp_path_factory.mktemp("rows"), [["a", "b"], *rows])
    found = {line: values for line, values in read_sheet(path) if any(values)}
    assert found == {1: ("a", "b")} | {n: tuple(row) for n, row in enumerate(rows, start=2) if row}


def _damaged() -> bytes:
    file = io.BytesIO()
    openpyxl.Workbook().save(file)
    return file.getvalue()[:-400]


@pytest.mark.parametrize(
    ("content", "name", "met"),
    [
        (_damaged(), "list.xlsx", "the Excel file is damaged"),
        (b"PK\x03\x04 no archive", "list.xlsx", "the Excel file is damaged"),
        (
            bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600),
            "list.xlsx",
            "under a password, or of the format before",
        ),
        (
            bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600),
            "list.xls",
            "under a password, or of the format before",
        ),
        (b"", "list.xlsx", "the file is no .xlsx"),
        (b"img,label\n1.png,a\n", "list.xlsx", "the file is no .xlsx"),
        (b"PK\x03\x04", "list.ods", "the file is no .xlsx"),
    ],
)
def test_a_sheet_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, name: str, met: str) -> None:
    (tmp_path / name).write_bytes(content)
    (fault,) = scan(manifest(), tmp_path / name).faults
    assert fault.found.startswith("the list of paths cannot be read: ")
    assert met in fault.found
    assert "save it as .xlsx without a password, or as CSV" in fault.remedy
    assert str(tmp_path) not in fault.text()
    with pytest.raises(DataError, match="cannot be read"):
        found_classes(manifest(), tmp_path / name)


def test_without_openpyxl_a_sheet_is_refused_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_sheet(tmp_path, [["img", "label"], ["1.png", "a"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (fault,) = scan(manifest(), path).faults
    assert "openpyxl, which reads these, cannot be imported" in fault.found
    assert 'pip install "openpyxl>=3.1" (it is the extra `excel`' in fault.remedy

    monkeypatch.undo()
    assert not any("openpyxl" in each.found for each in scan(manifest(), path).faults)


def test_an_empty_sheet_has_no_rows(tmp_path: Path) -> None:
    assert "no column ['img', 'label']" in scan(manifest(), as_sheet(tmp_path, [])).faults[0].found
    assert "has no rows" in scan(manifest(), as_sheet(tmp_path, [["img", "label"]])).faults[0].found


@pytest.mark.parametrize("many", [False, True])
def test_the_shipped_table_reads_what_the_maker_writes_and_hides_names(tmp_path: Path, many: bool) -> None:
    root = write_labelled_table(tmp_path, ("left", "right"), 6, many=many, patients=2)
    listed = Manifest.from_yaml(MANIFESTS / "image_table.yaml")
    if many:
        text = (MANIFESTS / "image_table.yaml").read_text(encoding="utf-8")
        text = text.replace("image_labels: one", "image_labels: many")
        text = text.replace("  label: label\n", "  labels: [left, right]\n")
        (tmp_path / "image_table.yaml").write_text(text, encoding="utf-8")
        listed = Manifest.from_yaml(tmp_path / "image_table.yaml")
    table = (root / "labels.csv").read_text(encoding="utf-8").replace("label,", "label,role,", 1).splitlines()
    rows = [table[0], *(",".join([*row.split(",")[:3], "", *row.split(",")[3:]]) for row in table[1:])]
    (root / "images.csv").write_text("\n".join(rows), encoding="utf-8")
    listing = scan(listed, root)
    assert listing.faults == ()
    assert len(listing.cases) == 6
    assert len({case.group for case in listing.cases}) == 2
    assert all(case.id.startswith("case-") for case in listing.cases)
    assert found_classes(listed, root) == ("left", "right")


def test_a_sheet_whose_file_says_a_wrong_size_is_read_whole(tmp_path: Path) -> None:
    path = as_sheet(tmp_path, [["img", "label"], ["1.png", "a"], ["2.png", "b"]])
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b'ref="A1:B3"', b'ref="A1:A2"'))
    assert sum(b'ref="A1:B3"' in content for content in members.values()) == 1
    assert [tuple(row.values()) for _, row in read_rows(path).lines] == [("1.png", "a"), ("2.png", "b")]


def test_a_sheet_that_unpacks_to_very_much_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_sheet(tmp_path, [["img", "label"], ["1.png", "a" * 30000], ["2.png", "b"]])
    assert len(list(read_sheet(path))) == 3
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(len(archive.read(name)) for name in archive.namelist())
    monkeypatch.setattr(spreadsheet, "MAX_BYTES", unpacked)
    assert len(list(read_sheet(path))) == 3
    monkeypatch.setattr(spreadsheet, "MAX_BYTES", unpacked - 1)
    monkeypatch.setattr(openpyxl, "load_workbook", lambda *_, **__: pytest.fail("it was unpacked"))
    (fault,) = scan(manifest(), path).faults
    assert (
        f"unpacks to {unpacked} bytes, above the limit of {unpacked - 1}, as decompression bombs do"
        in fault.found
    )
    assert "save it as .xlsx" in fault.remedy


@pytest.mark.parametrize(
    ("rows", "cell"),
    [
        ([["1.png", "a"], ["2.png", '=IF(1>0,"b","")']], "row 3, column B"),
        ([["1.png", "a"], ["=A2", "=B2"], ["2.png", "b"]], "row 3, column A"),
        ([["1.png", "a"], [None, None], ["2.png", "=B2"]], "row 4, column B"),
    ],
)
def test_a_formula_whose_value_is_not_in_the_file_is_no_empty_cell(
    tmp_path: Path, rows: list[list[str]], cell: str
) -> None:
    sheet = as_sheet(tmp_path, [["img", "label"], *rows])
    with pytest.raises(
        RefusedError, match=f"the cell in {cell} of the Excel file holds a formula"
    ) as refused:
        read_rows(sheet)
    assert "save it, which computes the values" in refused.value.remedy


def test_the_stored_value_of_a_formula_counts_an_empty_one_too(tmp_path: Path) -> None:
    sheet = as_sheet(tmp_path, [["img", "label"], ["1.png", "=C2"], ["2.png", "=C3"], ["3.png", "=C4"]])
    with zipfile.ZipFile(sheet) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    written = parts["xl/worksheets/sheet1.xml"]
    stored = [b' t="str"><f>C2</f><v>b</v>', b' t="str"><f>C3</f><v></v>', b"><f>C4</f><v>7</v>"]
    for number, cell in enumerate(stored, start=2):
        empty = rb"><f>C%d</f><v ?(/>|></v>)" % number
        written, count = re.subn(empty, cell, written)
        assert count == 1
    with zipfile.ZipFile(sheet, "w") as book:
        for name, data in parts.items():
            book.writestr(name, written if name == "xl/worksheets/sheet1.xml" else data)
    assert [row["label"] for _, row in read_rows(sheet).lines] == ["b", "", "7"]


STRANGERS = [f"more/{number}.PNG" for number in range(7)]


def beside(listing: Listing) -> list[str]:
    return [note for note in listing.notes if "named by no row" in note]


def test_pictures_that_no_row_names_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    written(tmp_path, ONE)
    assert beside(scan(manifest(), tmp_path)) == []
    (tmp_path / "more").mkdir()
    for name in [*STRANGERS, "more/readme.txt", ".hidden.png"]:
        (tmp_path / name).touch()
    count = "7 pictures in the folder are named by no row of the list, in img"
    names = ", ".join(STRANGERS[:5])
    assert beside(scan(manifest(), tmp_path)) == [f"{count}: {names} and 2 more"]
    assert beside(scan(manifest(ids="identifying"), tmp_path)) == [count]
    assert beside(scan(manifest(), tmp_path / "list.csv")) == []  # no folder was given
    assert beside(scan(manifest(), tmp_path, truth=False)) == []


def test_a_picture_that_is_named_by_another_spelling_or_twice_is_named(tmp_path: Path) -> None:
    written(tmp_path, ONE)
    (tmp_path / "to").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "more").mkdir()
    rows = [["img", "label"], ["./1.png", "b"], ["to/2.png", "A"], ["more/../3.png", "b"], ["2.png", "A"]]
    listing = scan(manifest(), written(tmp_path, rows, images=False))
    assert "rows 3 and 5 of the list name one image" in complaints(listing)[0][1]
    assert beside(listing) == []


def test_files_beside_a_list_are_looked_through_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, ONE)
    for number in range(9):
        (tmp_path / f"x{number}.png").touch()
    monkeypatch.setattr(by_table, "_MOST_SEEN", 6)  # the list, its pictures, and two more
    assert beside(scan(manifest(), tmp_path))[0].startswith("at least 2 pictures in the folder")


BRING = "Copy the file below the folder of the list"


def outside(tmp_path: Path) -> Path:
    """A data set's folder, and a picture and a folder of pictures beside it."""
    empty_files(
        tmp_path, "d/own.png", "d/sub/own.png", "elsewhere/deep/i1.png", "elsewhere/i1.png", "d-more/i1.png"
    )
    (tmp_path / "d" / "linked").symlink_to(tmp_path / "elsewhere" / "deep")
    return tmp_path / "d"


WAYS_OUT = (
    *("../elsewhere/i1.png", "..\\elsewhere\\i1.png", "sub/../../elsewhere/i1.png", "../d-more/i1.png"),
    *("{above}/elsewhere/i1.png", "linked/../i1.png", "../elsewhere/none.png", "{above}/elsewhere"),
)


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_row_that_leads_out_of_the_folder_of_the_data_is_a_fault(tmp_path: Path, way: str) -> None:
    root = outside(tmp_path)
    written(root, [["img", "label"], ["own.png", "a"], [way.format(above=tmp_path), "b"]], images=False)
    listing = scan(manifest(), root)
    assert [case.id for case in listing.cases] == ["own"]
    (fault,) = [fault for fault in listing.faults if fault.case]
    assert (
        fault.found == "row 3 of the list names in column 'img' what lies outside of the folder of the data"
    )
    assert fault.remedy.startswith(BRING)
    assert str(tmp_path) not in fault.text()


@pytest.mark.parametrize("way", ["sub/own.png", "sub/../sub/own.png", "{root}/sub/own.png", "linked/i1.png"])
def test_a_row_that_stays_below_the_folder_of_the_data_is_read(tmp_path: Path, way: str) -> None:
    root = outside(tmp_path)
    (tmp_path / "same").symlink_to(root)
    written(root, [["img", "label"], ["own.png", "a"], [way.format(root=root), "b"]], images=False)
    for folder in (root, tmp_path / "same"):
        listing = scan(manifest(), folder)
        assert (len(listing.cases), listing.faults) == (2, ())


@pytest.mark.parametrize(
    "way", ["sub/../\0.png", f"sub/../{'x' * 999}.png", "sub/../none.png", "own.png/../x.png"]
)
def test_a_row_that_names_no_file_at_all_is_one_of_a_missing_file(tmp_path: Path, way: str) -> None:
    root = outside(tmp_path)
    (root / "list.csv").write_text(f"img,label\nown.png,a\n{way},b\n")
    (found,) = [fault.found for fault in scan(manifest(), root).faults if fault.case]
    assert found == "row 3 of the list names in column 'img' a file that is missing"


def test_a_folder_that_holds_both_is_the_remedy_for_a_row_that_leads_out(tmp_path: Path) -> None:
    root = outside(tmp_path)
    written(root, [["img", "label"], ["own.png", "a"], ["../elsewhere/i1.png", "b"]], images=False)
    assert len(scan(manifest(), root).faults) > 0
    listing = scan(manifest(csv="d/list.csv"), tmp_path)
    assert (len(listing.cases), listing.faults) == (2, ())
