"""What `medseg data check` says of patients and files."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from medseg.cli.report import _grid_table, _groups_text, _print_files, _print_left, _refused_text
from medseg.datasets.case import Case
from medseg.datasets.checks.check import Report
from medseg.datasets.finding.scan import Listing
from medseg.errors import Fault


def case(name: str, group: str) -> Case:
    return Case(name, group, {})


def test_patients_of_cases_that_lack_a_file_are_counted_too() -> None:
    listing = Listing((case("a", "p1"),), incomplete=(case("b", "p2"),))

    assert _groups_text(listing, "patient") == " of 2 patients"


def test_a_case_that_tells_no_patient_is_not_counted_as_one() -> None:
    some = Listing((case("a", "p1"), case("b", "p1")), incomplete=(case("c", ""),))
    none = Listing((), incomplete=(case("c", ""), case("d", "")))

    assert _groups_text(some, "patient") == " of 1 patient (1 of them of no known patient)"
    assert _groups_text(none, "patient") == " (2 of them of no known patient)"


@pytest.mark.parametrize(("show_paths", "shown"), [(False, "--show-paths lists"), (True, "Ts/b.nii.gz")])
def test_files_of_no_case_are_listed_where_paths_are_shown(*, show_paths: bool, shown: str) -> None:
    console = Console(record=True, width=200)
    _print_left(console, Listing((), left=("Tr/a.nii.gz", "Ts/b.nii.gz")), show_paths=show_paths)
    text = console.export_text()

    assert shown in text
    assert ("a.nii.gz" in text) == show_paths


def test_files_are_counted_by_their_use() -> None:
    console = Console(record=True, width=200)
    _print_files(
        console, Listing((), files={"of cases": 1200, "of other kinds": 0, "that fit no pattern": 3})
    )
    _print_files(console, Listing((case("a", "p1"),)))  # of a layout that does not tell

    assert console.export_text() == "Files: 1,200 of cases, 3 that fit no pattern.\n"


def test_cases_that_have_faults_are_spoken_of_where_some_have_any() -> None:
    of_all, of_one = (
        Fault("", 0, "", "a folder is empty", "Fill it."),
        Fault("a", 1, "", "damaged", "Mend it."),
    )

    assert _refused_text([], "too few patients.") == "A run would be refused: too few patients."
    assert _refused_text([of_all], "too few") == "A run would be refused: too few."
    assert "A run without the cases that have faults would be refused" in _refused_text([of_all, of_one], "x")


def test_of_many_grids_the_frequent_ones_are_listed_and_the_ranges_of_the_rest() -> None:
    facts = [
        SimpleNamespace(shape=(30 + number, 40, 24), spacing=(1.0, 1.0, 1.0), orientation="LPS")
        for number in range(50)
    ]
    table = _grid_table(SimpleNamespace(rows=lambda: Report.rows(SimpleNamespace(facts=facts))))  # type: ignore[arg-type]
    file = io.StringIO()

    Console(file=file, width=80).print(table)

    assert len(file.getvalue().splitlines()) < 25
    assert "42 to 79 x 40 x 24" in file.getvalue()
    assert "38 further grids" in file.getvalue()
