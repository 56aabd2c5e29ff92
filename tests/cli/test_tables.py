"""The closing table of masks says no more than its patients can tell."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from pandas import DataFrame
from rich.console import Console

from medseg.api import load_pipeline
from medseg.api.result import RunResult
from medseg.cli.tables import print_result
from medseg.errors import RunError
from medseg.yaml import write_yaml


def printed(folder: Path, patients: int, score: str = "dice", refused: int = 0) -> str:
    return print_rows(folder, [WHOLE | {"score": score, "patients": patients}], refused)


def print_rows(folder: Path, rows: list[dict[str, object]], refused: int = 0, mixture: str = "") -> str:
    """What is printed of a run whose summary has these rows."""
    (folder / "scores").mkdir(exist_ok=True)
    write_yaml(load_pipeline("acdc").to_dict(), folder / "definition.yaml")
    DataFrame(rows, columns=list(rows[0] if rows else WHOLE)).to_csv(
        folder / "scores" / "test_summary.csv", index=False
    )
    console = Console(file=StringIO(), width=80)
    result = RunResult(
        folder.name,
        folder,
        "id",
        "sqlite:///x.db",
        generated=False,
        leaking=False,
        refused=refused,
        mixture=mixture,
    )
    print_result(console, result)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_scores_of_a_mixture_say_how_many_cases_were_generated_in_their_title_and_below(
    tmp_path: Path,
) -> None:
    text = print_rows(tmp_path, [WHOLE], mixture="8 of 11")
    title, below = " ".join(text.split()).split("kidney")
    assert "mean over patients, 8 of 11 GENERATED" in title
    assert "GENERATED CASES: 8 of 11 are of a sample." in below
    assert "GENERATED" not in printed(tmp_path, 2)


def test_one_patient_has_no_interval(tmp_path: Path) -> None:
    assert "0.500-0.500" not in printed(tmp_path, 1)
    assert "0.500-0.500" in printed(tmp_path, 2)


def test_what_the_tracking_server_lacks_is_said_with_the_command_that_sends_it(tmp_path: Path) -> None:
    (tmp_path / "untracked.jsonl").write_text("{}\n", encoding="utf-8")

    assert f"medseg runs sync {tmp_path}" in printed(tmp_path, 2)


def test_what_the_tracking_server_has_refused_for_good_is_said(tmp_path: Path) -> None:
    assert "refused" not in printed(tmp_path, 2)
    assert "The tracking server has refused 1 record of this run for good" in printed(tmp_path, 2, refused=1)


WHOLE = {"name": "kidney", "score": "dice", "mean": 0.5, "low": 0.5, "high": 0.5, "patients": 2}
FOREIGN: dict[str, tuple[dict[str, object], str]] = {
    **{
        f"no {name}": ({k: v for k, v in WHOLE.items() if k != name}, f"has no column {name}")
        for name in WHOLE
    },
    "a mean that is none": (WHOLE | {"mean": "good"}, "holds no scores"),
    "nobody counted": (WHOLE | {"patients": ""}, "of how many patients"),
    "endless patients": (WHOLE | {"patients": "inf"}, "of how many patients"),
    "no images counted": (WHOLE | {"cases": ""}, "of how many patients"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_table_of_other_columns_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    row, reason = FOREIGN[name]
    with pytest.raises(RunError, match=rf"test_summary\.csv is no summary of scores: .*{reason}"):
        print_rows(tmp_path, [row])


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no scores"):
        print_rows(tmp_path, [])


@pytest.mark.parametrize("images", [{}, {"cases": 2}])
def test_scores_that_a_class_lacks_leave_its_cells_empty(tmp_path: Path, images: dict[str, object]) -> None:
    rows = [WHOLE | images, WHOLE | images | {"name": "tumour", "score": "recall"}]

    assert "tumour" in print_rows(tmp_path, rows)


def test_where_dice_was_not_asked_for_the_first_score_has_its_place(tmp_path: Path) -> None:
    assert "iou" in printed(tmp_path, 2, "iou")
    assert "0.500-0.500" in printed(tmp_path, 2, "iou")
