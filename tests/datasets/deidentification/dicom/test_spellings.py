"""A name is found however it is spelled."""

from __future__ import annotations

import unicodedata

import pytest

from medseg.datasets.deidentification.dicom.spellings import parts_of, spellings


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("Müller", ["MUELLER", "Muller", "müller", unicodedata.normalize("NFD", "Müller")]),
        ("Lefèvre", ["LEFEVRE"]),
        ("Sørensen", ["SOERENSEN", "Sorensen"]),
        ("Weiß", ["WEISS"]),
        ("Łukasz", ["Lukasz"]),
        ("Åberg", ["Aaberg", "ABERG"]),
        ("Yılmaz", ["YILMAZ"]),
        ("Иванов", ["ИВАНОВ"]),
    ],
)
def test_a_name_is_met_in_each_of_its_spellings(name: str, others: list[str]) -> None:
    for other in others:
        text = f"protocol of {other}, second"
        assert any(part in each for each in spellings(text) for part in parts_of(name, 4)), other


def test_a_spelling_that_drops_what_the_name_writes_out_is_met_by_the_other_way_round() -> None:
    assert any(part in each for each in spellings("Müller") for part in parts_of("MUELLER", 4))


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("KH-0012345", {"0012345", "12345"}),
        ("PAT00012345X", {"pat00012345x", "12345"}),
        ("A-123", set()),
        ("Meier^Sophie", {"meier", "sophie"}),
        ("Li^An", set()),
    ],
)
def test_numbers_are_looked_for_without_what_stands_around_them(identifier: str, expected: set[str]) -> None:
    assert parts_of(identifier, 4) == expected
