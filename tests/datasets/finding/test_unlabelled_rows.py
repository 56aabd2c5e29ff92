"""Rows of a table that say nothing of the class of their image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from medseg.datasets.finding.by_declared_class import DeclaredFinder
from medseg.datasets.finding.draft import Draft
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.csv_layout import CsvLayout
from medseg.datasets.manifest.manifest import Manifest
from medseg.progress import Silent
from medseg.testing.empty import empty_files as made

SHIPPED = Path(__file__).parents[3] / "data_manifests"
ONE: dict[str, Any] = {"csv": "t.csv", "image": "file", "label": "kind", "unlabelled": True}


def table(image_labels: str = "one", **layout: Any) -> Manifest:
    return Manifest.model_validate(
        {
            **dict.fromkeys(["name", "about", "source", "licence", "citation", "obtain"], "x"),
            "channels": ["grey"],
            "pictures": {"channels": "grey"},
            "ids": "pseudonyms",
            "image_labels": image_labels,
            "layout": {"csv": "t.csv", "image": "file", **layout},
        }
    )


def written(root: Path, *rows: str) -> Path:
    made(root, *(row.split(",")[0] for row in rows[1:]))
    (root / "t.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


@pytest.mark.parametrize("blank", ["", "  ", "NA", "nan"])
def test_an_empty_class_is_no_label_where_the_layout_says_so_else_a_fault(tmp_path: Path, blank: str) -> None:
    written(tmp_path, "file,kind", "1.png,a", "2.png,b", f"3.png,{blank}")

    listing = scan(table(**ONE), tmp_path)

    assert listing.faults == listing.skipped == ()
    assert {case.id: (case.labels, case.unlabelled) for case in listing.cases} == {
        "1": (("a",), False),
        "2": (("b",), False),
        "3": (None, True),
    }
    (fault,) = scan(table(label="kind"), tmp_path).faults
    assert (fault.case, "has no class in column 'kind'" in fault.found) == ("3", True)


def test_of_columns_of_0_and_1_all_must_be_empty(tmp_path: Path) -> None:
    written(tmp_path, "file,a,b", "1.png,1,0", "2.png,0,1", "3.png,,NA", "4.png,1,")
    listing = scan(table("many", labels=["a", "b"], unlabelled=True), tmp_path)
    assert [case.id for case in listing.cases if case.unlabelled] == ["3"]
    assert [(fault.case, fault.found) for fault in listing.faults] == [
        ("4", "row 5 of the list holds nothing in column 'b'")
    ]


def test_of_a_joined_column_an_empty_cell_is_no_label_and_cannot_mean_none_as_well(tmp_path: Path) -> None:
    written(tmp_path, "file,found", "1.png,a|b", "2.png,")
    joined = {"column": "found"}
    listing = scan(table("many", labels=joined, unlabelled=True), tmp_path)
    assert [case.labels for case in listing.cases] == [("a", "b"), None]
    with pytest.raises(ValidationError, match="take out one"):
        table("many", labels={**joined, "empty_is_none": True}, unlabelled=True)


def test_a_missing_file_without_a_label_is_skipped_and_one_with_a_label_is_a_fault(tmp_path: Path) -> None:
    written(tmp_path, "file,kind", "1.png,a", "2.png,b", "3.png,", "4.png,a")
    for name in ("3.png", "4.png"):
        (tmp_path / name).unlink()
    listing = scan(table(**ONE), tmp_path)
    assert [fault.case for fault in listing.skipped] == ["3"]
    assert [fault.case for fault in listing.faults] == ["4"]


def test_a_class_that_is_none_of_the_manifest_is_still_a_fault(tmp_path: Path) -> None:
    written(tmp_path, "file,kind", "1.png,a", "2.png,b", "3.png,typo", "4.png,")
    listing = scan(table(**ONE).with_classes(["a", "b"]), tmp_path)
    assert [fault.case for fault in listing.faults] == ["3"]
    assert [case.id for case in listing.cases if case.unlabelled] == ["4"]


def test_a_table_without_such_a_row_is_noted(tmp_path: Path) -> None:
    written(tmp_path, "file,kind", "1.png,a", "2.png,b")
    assert any(note.startswith("no row is without a class") for note in scan(table(**ONE), tmp_path).notes)


def test_without_columns_of_classes_the_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="'unlabelled' is of classes of images"):
        Manifest.model_validate(
            {
                **dict.fromkeys(["name", "about", "source", "licence", "citation", "obtain"], "x"),
                "channels": ["grey"],
                "pictures": {"channels": "grey"},
                "classes": ["a"],
                "label_values": {1: "a"},
                "layout": {"csv": "t.csv", "image": "file", "mask": "mask", "unlabelled": True},
            }
        )


def test_a_layout_without_the_key_is_written_as_before() -> None:
    plain = table(label="kind")
    assert "unlabelled" not in plain.model_dump(mode="json", by_alias=True)["layout"]
    assert "unlabelled" not in plain.layout.model_dump()
    again = Manifest.from_json(table(**ONE).model_dump(mode="json", by_alias=True))
    assert isinstance(again.layout, CsvLayout)
    assert again.layout.unlabelled
    assert plain.fingerprint() != again.fingerprint()


def test_the_shipped_table_tells_sources_by_names(tmp_path: Path) -> None:
    made(tmp_path, "p/1 no.jpg", "p/Y3.jpg", "p/c4_1.jpg")
    (tmp_path / "images.csv").write_text(
        "image,label\np/1 no.jpg,no\np/Y3.jpg,yes\np/c4_1.jpg,\n", encoding="utf-8"
    )
    listing = scan(Manifest.from_yaml(SHIPPED / "brain_mri_ssl_table.yaml"), tmp_path)
    assert listing.faults == ()
    assert {case.id: (case.labels, case.extra["source"]) for case in listing.cases} == {
        "1 no": (("no",), ""),
        "Y3": (("yes",), ""),
        "c4_1": (None, "c4"),
    }


class Photographs:
    """A layout of somebody's own, which knows the class of some."""

    def find(self, root: Path, manifest: Manifest) -> list[Draft]:
        kinds = {"1": ("a",), "2": ("b",), "3": None}
        return [
            Draft(name, {"grey": [(f"{name}.png", root / f"{name}.png")]}, labels=kind)
            for name, kind in kinds.items()
        ]


@pytest.mark.parametrize("truth", [True, False])
def test_a_layout_of_one_s_own_says_so_by_giving_no_labels(tmp_path: Path, truth: bool) -> None:
    found = DeclaredFinder(table(label="kind"), Photographs()).find(
        tmp_path, ("grey",), truth=truth, progress=Silent()
    )
    assert [draft.unlabelled for draft in found.drafts] == [False, False, truth]
