"""What a cell says of the classes of an image, and what is as good as nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from medseg.datasets.finding.scan import found_classes, scan
from medseg.datasets.manifest.label_columns import Flags, Joined, JoinedColumn, OneClass
from medseg.datasets.manifest.manifest import Manifest

NOTHING = ["", " ", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "<NA>", " NA "]

JOINED = Joined(JoinedColumn(column="label"))
EMPTY_IS_NONE = Joined(JoinedColumn(column="label", empty_is_none=True))


def manifest(**layout: object) -> Manifest:
    many = "labels" in layout
    return Manifest.model_validate(
        {
            **dict.fromkeys(["name", "about", "source", "licence", "citation", "obtain"], "x"),
            "channels": ["grey"],
            "pictures": {"channels": "grey"},
            "image_labels": "many" if many else "one",
            "layout": {"csv": "list.csv", "image": "img", **({} if many else {"label": "label"}), **layout},
            "ids": "pseudonyms",
        }
    )


@pytest.mark.parametrize("cell", NOTHING)
def test_what_programs_write_for_an_empty_cell_is_an_empty_cell(cell: str) -> None:
    for rule in (OneClass("label"), JOINED):
        told = rule.read({"label": cell})
        assert told.labels is None
        assert told.wrong == "has no class in column 'label'"
        assert (f"If {cell.strip()} is a class" in told.remedy) == bool(cell.strip())
    told = Flags(("old", "label")).read({"old": "1", "label": cell})
    assert (told.labels, told.wrong) == (None, "holds nothing in column 'label'")
    assert EMPTY_IS_NONE.read({"label": cell}).labels == ()


@pytest.mark.parametrize("cell", ["None", "none", "na", "Na", "NAN", "N", "0", "NA1"])
def test_anything_else_is_a_class(cell: str) -> None:
    for rule in (OneClass("label"), JOINED, EMPTY_IS_NONE):
        assert rule.read({"label": cell}).labels == (cell,)


def test_a_class_that_the_manifest_calls_so_is_one() -> None:
    for rule in (OneClass("label"), JOINED, EMPTY_IS_NONE):
        assert rule.read({"label": " NA "}, ("A", "NA")).labels == ("NA",)
        assert rule.read({"label": "nan"}, ("A", "NA")).labels in {None, ()}


def test_a_place_between_separators_may_be_empty() -> None:
    for cell in ("b|", "NA|b", "b|<NA>|b"):
        assert JOINED.read({"label": cell}).labels == ("b",)
    assert JOINED.read({"label": "NA|NA"}).wrong == "has no class in column 'label'"
    assert EMPTY_IS_NONE.read({"label": "NA|"}).labels == ()
    assert Joined(JoinedColumn(column="label", separator=" / ")).read({"label": "b / "}).labels == ("b",)
    assert Joined(JoinedColumn(column="label", separator="/")).read({"label": "N/A"}).labels is None


def test_a_table_as_r_writes_it_has_no_class_na(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('"img","label"\n"1.png","b"\n"2.png",NA\n"3.png","A"\n', "utf-8")
    for number in (1, 2, 3):
        (tmp_path / f"{number}.png").touch()
    listing = scan(manifest(), tmp_path)
    assert [(each.case, each.found) for each in listing.faults] == [
        ("2", "row 3 of the list has no class in column 'label'")
    ]
    assert found_classes(manifest(), tmp_path) == ("A", "b")
    none = manifest(labels={"column": "label", "empty_is_none": True})
    assert {case.id: case.labels for case in scan(none, tmp_path).cases} == {
        "1": ("b",),
        "2": (),
        "3": ("A",),
    }
