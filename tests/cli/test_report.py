"""What `medseg data check` says of the patients."""

from __future__ import annotations

from medseg.cli.report import _told_groups
from medseg.datasets.case import Case
from medseg.datasets.finding.scan import Listing


def case(name: str, group: str) -> Case:
    return Case(name, group, {})


def test_patients_of_cases_that_lack_a_file_are_counted_too() -> None:
    listing = Listing((case("a", "p1"),), incomplete=(case("b", "p2"),))

    assert _told_groups(listing, "patient") == " of 2 patients"


def test_a_case_that_tells_no_patient_is_not_counted_as_one() -> None:
    some = Listing((case("a", "p1"), case("b", "p1")), incomplete=(case("c", ""),))
    none = Listing((), incomplete=(case("c", ""), case("d", "")))

    assert _told_groups(some, "patient") == " of 1 patient (1 of them of no known patient)"
    assert _told_groups(none, "patient") == " (2 of them of no known patient)"
